/* mailbox.c - roles by name, and what can be asked of a MIME tree. */
#include "mailbox.h"

#include <string.h>

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_INBOX] = "inbox", [ROLE_SENT] = "sent",       [ROLE_DRAFTS] = "drafts",
    [ROLE_TRASH] = "trash", [ROLE_JUNK] = "junk",       [ROLE_ARCHIVE] = "archive",
    [ROLE_ALL] = "all",     [ROLE_FLAGGED] = "flagged",
};

const char *folder_role_name(enum folder_role role)
{
    return (unsigned)role < ROLE_COUNT ? role_names[role] : NULL;
}

enum folder_role folder_role_parse(const char *name)
{
    for (int role = ROLE_INBOX; role < ROLE_COUNT; role++)
        if (strcmp(role_names[role], name) == 0)
            return (enum folder_role)role;
    return ROLE_NONE;
}

static bool type_begins(const struct part *part, const char *prefix)
{
    return strncmp(part->type, prefix, strlen(prefix)) == 0;
}

static bool is_container(const struct part *part)
{
    return type_begins(part, "multipart/");
}

static const struct part *parent_of(const struct part *parts, const struct part *part)
{
    return part->parent >= 0 ? &parts[part->parent] : NULL;
}

/* Inside a message/rfc822: that one is the attachment, not what it holds. */
static bool is_inside_message(const struct part *parts, const struct part *part)
{
    for (part = parent_of(parts, part); part; part = parent_of(parts, part))
        if (strcmp(part->type, "message/rfc822") == 0)
            return true;
    return false;
}

static bool is_signature(const struct part *part)
{
    return strcmp(part->type, "application/pgp-signature") == 0 ||
           strcmp(part->type, "application/pkcs7-signature") == 0 ||
           strcmp(part->type, "application/x-pkcs7-signature") == 0;
}

bool part_is_attachment(const struct part *parts, uint32_t count, uint32_t index)
{
    const struct part *part = &parts[index];
    if (index >= count || is_container(part) || is_inside_message(parts, part))
        return false;
    if (part->disposition && strcmp(part->disposition, "attachment") == 0)
        return true;
    const struct part *parent = parent_of(parts, part);
    if (parent && strcmp(parent->type, "multipart/signed") == 0 && is_signature(part))
        return false;
    if (parent && strcmp(parent->type, "multipart/related") == 0 && part->content_id)
        return false;
    if (parent && strcmp(parent->type, "multipart/alternative") == 0 && !part->name)
        return false;
    return part->name || !type_begins(part, "text/");
}

bool parts_have_attachment(const struct part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (part_is_attachment(parts, count, i))
            return true;
    return false;
}

int32_t parts_find_text(const struct part *parts, uint32_t count, const char *type)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct part *part = &parts[i];
        if (strcmp(part->type, type) == 0 && !is_inside_message(parts, part) &&
            !part_is_attachment(parts, count, i))
            return (int32_t)i;
    }
    return -1;
}

int32_t parts_find(const struct part *parts, uint32_t count, const char *id)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(parts[i].id, id) == 0)
            return (int32_t)i;
    return -1;
}

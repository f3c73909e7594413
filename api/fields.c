/* fields.c - the table of a message's members. */
#include "fields.h"
#include "text.h"

#include <string.h>

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_ID] = "id",
    [FIELD_SUBJECT] = "subject",
    [FIELD_FROM] = "from",
    [FIELD_TO] = "to",
    [FIELD_CC] = "cc",
    [FIELD_BCC] = "bcc",
    [FIELD_REPLY_TO] = "replyTo",
    [FIELD_SENDER] = "sender",
    [FIELD_DATE] = "date",
    [FIELD_RECEIVED_AT] = "receivedAt",
    [FIELD_SIZE] = "size",
    [FIELD_HAS_ATTACHMENT] = "hasAttachment",
    [FIELD_MESSAGE_ID] = "messageId",
    [FIELD_IN_REPLY_TO] = "inReplyTo",
    [FIELD_REFERENCES] = "references",
    [FIELD_FOLDER_ID] = "folderId",
    [FIELD_SEEN] = "seen",
    [FIELD_FLAGGED] = "flagged",
    [FIELD_ANSWERED] = "answered",
    [FIELD_DRAFT] = "draft",
    [FIELD_KEYWORDS] = "keywords",
    [FIELD_PREVIEW] = "preview",
    [FIELD_LIMITED] = "limited",
    [FIELD_PARTS] = "parts",
    [FIELD_ATTACHMENTS] = "attachments",
    [FIELD_HEADERS] = "headers",
    [FIELD_TEXT] = "text",
    [FIELD_HTML] = "html",
};

static const struct {
    const char *name;
    uint32_t mask;
} group_rows[] = {
    {"@list", FIELDS_LIST},
    {"@full", FIELDS_FULL},
};

#define HEADER_PREFIX    "header."
#define HEADER_NAME_MOST 77 /* a field name that fits RFC 5322's line */
#define GROUPS           (sizeof group_rows / sizeof group_rows[0])

const struct flag_field flag_fields[FLAG_FIELDS] = {
    {FIELD_SEEN, FLAG_SEEN},
    {FIELD_FLAGGED, FLAG_FLAGGED},
    {FIELD_ANSWERED, FLAG_ANSWERED},
    {FIELD_DRAFT, FLAG_DRAFT},
};

const char *field_name(enum field field)
{
    return field_names[field];
}

static uint32_t mask_of(const char *name)
{
    for (size_t i = 0; i < GROUPS; i++)
        if (strcmp(group_rows[i].name, name) == 0)
            return group_rows[i].mask;
    for (int field = 0; field < FIELD_COUNT; field++)
        if (strcmp(field_names[field], name) == 0)
            return FIELD_BIT(field);
    return 0;
}

/* RFC 5322 2.2: printable ASCII except colon. */
static bool header_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > HEADER_NAME_MOST)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
            return false;
    return true;
}

static enum err header_add(const char *name, struct fault *fault, struct fields *out)
{
    if (!header_name_is_valid(name))
        return fault_at(fault, ERR_INVALID, "fields", "\"header.\" wants the name of a header");
    for (uint32_t i = 0; i < out->header_count; i++)
        if (text_casecmp(out->headers[i], name) == 0)
            return OK;
    if (out->header_count == FIELDS_HEADERS_MAX)
        return fault_at(fault, ERR_INVALID, "fields", "at most %d single headers",
                        FIELDS_HEADERS_MAX);
    out->headers[out->header_count++] = name;
    return OK;
}

enum err fields_parse(const char *text, bool is_list, struct arena *arena, struct fault *fault,
                      struct fields *out)
{
    *out = (struct fields){.mask = text ? 0 : is_list ? FIELDS_LIST : FIELDS_FULL};
    for (const char *at = text; at;) {
        size_t length = strcspn(at, ",");
        const char *name = arena_strndup(arena, at, length);
        bool is_header = strncmp(name, HEADER_PREFIX, strlen(HEADER_PREFIX)) == 0;
        uint32_t mask = is_header ? 0 : mask_of(name);
        if (!is_header && !mask)
            return fault_at(fault, ERR_INVALID, "fields", "a message has no member \"%.*s\"",
                            (int)text_cut_bytes(name, length, 64), name);
        if (is_list && (is_header || mask & ~FIELDS_LIST))
            return fault_at(fault, ERR_INVALID, "fields",
                            "a list has the members of @list; \"%.*s\" is one message's",
                            (int)text_cut_bytes(name, length, 64), name);
        enum err err = is_header ? header_add(name + strlen(HEADER_PREFIX), fault, out) : OK;
        if (err)
            return err;
        out->mask |= mask;
        at = at[length] ? at + length + 1 : NULL;
    }
    return OK;
}

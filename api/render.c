/* render.c - the list JSON is made once, at sync, and never parsed again: a list is rows with the
 * changing members appended; a selection is spans of a row. Only this file knows the row's shape.
 */
#include "render.h"
#include "crypto.h"
#include "put.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void put_addresses(struct buf *out, const char *key, const struct address_list *list)
{
    put_key(out, key);
    put_open(out, '[');
    for (uint32_t i = 0; i < list->count; i++) {
        const struct address *address = &list->items[i];
        put_open(out, '{');
        put_member_text(out, "name", address->name && *address->name ? address->name : NULL);
        put_member_text(out, "email", address->email);
        if (address->group)
            put_member_text(out, "group", address->group);
        put_close(out, '}');
    }
    put_close(out, ']');
}

void api_render_message(const char *id, const struct message *message, struct buf *out)
{
    const struct envelope *envelope = &message->envelope;
    buf_text(out, "\"id\":");
    put_text(out, id);
    put_member_text(out, "subject", envelope->subject);
    put_addresses(out, "from", &envelope->from);
    put_addresses(out, "to", &envelope->to);
    put_addresses(out, "cc", &envelope->cc);
    put_addresses(out, "bcc", &envelope->bcc);
    put_addresses(out, "replyTo", &envelope->reply_to);
    put_addresses(out, "sender", &envelope->sender);
    put_key(out, "date");
    if (envelope->has_date)
        put_time(out, envelope->date_s);
    else
        put_null(out);
    put_key(out, "receivedAt");
    put_time(out, message->received_s);
    put_member_int(out, "size", (int64_t)message->size);
    put_member_bool(out, "hasAttachment", message->has_attachment);
    put_member_text(out, "messageId", envelope->message_id);
    put_key(out, "inReplyTo");
    put_strings(out, &envelope->in_reply_to);
    put_key(out, "references");
    put_strings(out, &envelope->references);
}

/* The end of the member that begins at `at`: the comma behind it, or the end of the row. */
static const char *member_end(const char *at, const char *end)
{
    bool in_string = false;
    int depth = 0;
    for (; at < end; at++) {
        if (in_string) {
            if (*at == '\\')
                at++;
            else if (*at == '"')
                in_string = false;
        } else if (*at == '"') {
            in_string = true;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (*at == ',' && depth == 0) {
            break;
        }
    }
    return at < end ? at : end;
}

/* Stored members stand in the order of enum field. */
static void render_stored(struct buf *out, const struct message_row *row, uint32_t mask)
{
    const char *at = row->json, *end = row->json + row->json_length;
    for (int field = 0; FIELD_BIT(field) & FIELDS_STORED && at < end; field++) {
        const char *stop = member_end(at, end);
        if (mask & FIELD_BIT(field))
            put_raw(out, at, (size_t)(stop - at));
        at = stop + 1;
    }
}

void render_row(struct buf *out, const struct message_row *row, const char *folder_id,
                uint32_t mask)
{
    if ((mask & FIELDS_STORED) == FIELDS_STORED)
        put_raw(out, row->json, row->json_length);
    else if (mask & FIELDS_STORED)
        render_stored(out, row, mask);
    if (mask & FIELD_BIT(FIELD_FOLDER_ID))
        put_member_text(out, field_name(FIELD_FOLDER_ID), folder_id);
    for (size_t i = 0; i < FLAG_FIELDS; i++)
        if (mask & FIELD_BIT(flag_fields[i].field))
            put_member_bool(out, field_name(flag_fields[i].field),
                            row->flags & flag_fields[i].flag);
    if (mask & FIELD_BIT(FIELD_KEYWORDS)) {
        const char *keywords = row->keywords_json ? row->keywords_json : "[]";
        put_key(out, field_name(FIELD_KEYWORDS));
        put_raw(out, keywords, strlen(keywords));
    }
    if (mask & FIELD_BIT(FIELD_PREVIEW))
        put_member_text(out, field_name(FIELD_PREVIEW), row->preview);
}

static void put_part_members(struct buf *out, const struct part *part)
{
    put_member_text(out, "id", part->id);
    put_member_text(out, "type", part->type);
    put_member_text(out, "charset", part->charset);
    put_member_text(out, "name", part->name);
    put_member_text(out, "disposition", part->disposition);
    put_member_text(out, "contentId", part->content_id);
    put_key(out, "size");
    if (part->size >= 0)
        put_int(out, part->size);
    else
        put_null(out);
    put_member_int(out, "encodedSize", (int64_t)part->encoded_size);
    put_member_text(out, "encoding", part->encoding);
}

static bool is_below(const struct part *parts, int32_t index, int32_t ancestor)
{
    while (index >= 0 && index != ancestor)
        index = parts[index].parent;
    return index == ancestor;
}

/* The tree comes in pre-order, so that closing what a node does not stand in is enough; no
 * recursion, whatever the depth. */
void render_parts(struct buf *out, const struct message *message)
{
    const struct part *parts = message->parts;
    int32_t open = -1; /* the innermost node whose children are being written */
    put_open(out, '[');
    for (uint32_t i = 0; i < message->part_count; i++) {
        assert(parts[i].parent < (int32_t)i);
        for (; open >= 0 && !is_below(parts, parts[i].parent, open); open = parts[open].parent)
            buf_text(out, "]}");
        put_open(out, '{');
        put_part_members(out, &parts[i]);
        put_key(out, "children");
        put_open(out, '[');
        open = (int32_t)i;
    }
    for (; open >= 0; open = parts[open].parent)
        buf_text(out, "]}");
    put_close(out, ']');
}

void render_attachments(struct buf *out, const struct message *message)
{
    put_open(out, '[');
    for (uint32_t i = 0; i < message->part_count; i++) {
        if (!part_is_attachment(message->parts, message->part_count, i))
            continue;
        put_open(out, '{');
        put_part_members(out, &message->parts[i]);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static const struct {
    enum message_limit limit;
    const char *name;
} limit_rows[] = {
    {LIMITED_UNREADABLE, "unreadable"}, {LIMITED_DEPTH, "depth"},         {LIMITED_PARTS, "parts"},
    {LIMITED_HEADERS, "headers"},       {LIMITED_ADDRESSES, "addresses"}, {LIMITED_TIME, "time"},
    {LIMITED_MEMORY, "memory"},
};

void render_limited(struct buf *out, uint32_t limited)
{
    put_open(out, '[');
    for (size_t i = 0; i < sizeof limit_rows / sizeof limit_rows[0]; i++)
        if (limited & limit_rows[i].limit)
            put_text(out, limit_rows[i].name);
    put_close(out, ']');
}

void render_weak_etag(const void *data, size_t length, char out[ETAG_BYTES])
{
    uint8_t digest[CRYPTO_HASH_BYTES];
    char text[TEXT_BASE64URL_BYTES(16)];
    crypto_hash(data, length, digest);
    text_base64url(digest, 16, text);
    snprintf(out, ETAG_BYTES, "W/\"%s\"", text);
}

void render_message_etag(const struct message_row *row, const char *folder_id, char out[ETAG_BYTES])
{
    struct buf facts;
    buf_init(&facts, 1024 * 1024);
    buf_printf(&facts, "%s/%d|%s|%s|%u|", POSTERN_VERSION, STORE_RENDER_VERSION, row->id, folder_id,
               row->flags & ~(unsigned)FLAG_DELETED);
    buf_text(&facts, row->keywords_json ? row->keywords_json : "[]");
    render_weak_etag(facts.data, facts.length, out);
    buf_clear(&facts);
}

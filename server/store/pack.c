/* pack.c - LEB128 numbers and length-prefixed text behind a version byte.
 *
 * Text is stored as its length plus one, 0 being NULL. Counts are checked against the bytes that
 * remain before anything is allocated for them.
 */
#include "pack.h"
#include "text.h"

#include <string.h>

#define PACK_VERSION   1
#define PART_LEAST     10 /* bytes of the smallest packed part, address and text */
#define ADDRESS_LEAST  3
#define TEXT_LEAST     1
#define PACK_MOST      (64u * 1024u * 1024u)
#define HAS_DATE       1u
#define HAS_ATTACHMENT 2u

static void put_number(struct buf *out, uint64_t value)
{
    do {
        uint8_t low = value & 0x7f;
        value >>= 7;
        buf_char(out, (char)(low | (value ? 0x80 : 0)));
    } while (value);
}

static void put_signed(struct buf *out, int64_t value)
{
    put_number(out, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

static void put_text(struct buf *out, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    put_number(out, text ? length + 1 : 0);
    buf_append(out, text, length);
}

static void put_addresses(struct buf *out, const struct address_list *list)
{
    put_number(out, list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        put_text(out, list->items[i].name);
        put_text(out, list->items[i].email);
        put_text(out, list->items[i].group);
    }
}

static void put_texts(struct buf *out, const struct string_list *list)
{
    put_number(out, list->count);
    for (uint32_t i = 0; i < list->count; i++)
        put_text(out, list->items[i]);
}

static void put_part(struct buf *out, const struct part *part)
{
    put_text(out, part->id);
    put_text(out, part->type);
    put_text(out, part->charset);
    put_text(out, part->name);
    put_text(out, part->disposition);
    put_text(out, part->content_id);
    put_text(out, part->encoding);
    put_number(out, part->encoded_size);
    put_signed(out, part->size);
    put_signed(out, part->parent);
}

void pack_message(const struct message *message, struct buf *out)
{
    const struct envelope *envelope = &message->envelope;
    buf_char(out, PACK_VERSION);
    put_number(out, (envelope->has_date ? HAS_DATE : 0) |
                        (message->has_attachment ? HAS_ATTACHMENT : 0));
    put_text(out, message->remote_id);
    put_signed(out, message->received_s);
    put_number(out, message->size);
    put_number(out, message->limited);
    put_text(out, envelope->subject);
    put_signed(out, envelope->date_s);
    put_text(out, envelope->message_id);
    put_addresses(out, &envelope->from);
    put_addresses(out, &envelope->sender);
    put_addresses(out, &envelope->reply_to);
    put_addresses(out, &envelope->to);
    put_addresses(out, &envelope->cc);
    put_addresses(out, &envelope->bcc);
    put_texts(out, &envelope->in_reply_to);
    put_texts(out, &envelope->references);
    put_number(out, message->part_count);
    for (uint32_t i = 0; i < message->part_count; i++)
        put_part(out, &message->parts[i]);
}

/* ---- and back; after the first bad byte every answer is 0 or NULL ---- */
struct unpack {
    struct arena *arena;
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t get_number(struct unpack *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    in->bad = true;
    in->at = in->end;
    return 0;
}

static int64_t get_signed(struct unpack *in)
{
    uint64_t value = get_number(in);
    return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

static const char *get_bytes(struct unpack *in, bool is_text)
{
    uint64_t length = get_number(in);
    if (length-- == 0)
        return NULL;
    if (length > (uint64_t)(in->end - in->at) || memchr(in->at, '\0', length) ||
        (is_text && !text_is_utf8((const char *)in->at, length))) {
        in->bad = true;
        in->at = in->end;
        return NULL;
    }
    const char *text = arena_strndup(in->arena, (const char *)in->at, length);
    in->at += length;
    return text;
}

static const char *get_text(struct unpack *in)
{
    return get_bytes(in, true);
}

static const char *get_present(struct unpack *in)
{
    const char *text = get_text(in);
    if (!text)
        in->bad = true;
    return text ? text : "";
}

static uint32_t get_count(struct unpack *in, uint32_t least_bytes)
{
    uint64_t count = get_number(in);
    if (count <= (uint64_t)(in->end - in->at) / least_bytes)
        return (uint32_t)count;
    in->bad = true;
    in->at = in->end;
    return 0;
}

static void get_addresses(struct unpack *in, struct address_list *out)
{
    uint32_t count = get_count(in, ADDRESS_LEAST);
    struct address *items = count ? arena_array(in->arena, struct address, count) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        items[i].name = get_text(in);
        items[i].email = get_text(in);
        items[i].group = get_text(in);
    }
    *out = (struct address_list){.items = items, .count = count};
}

static void get_texts(struct unpack *in, struct string_list *out)
{
    uint32_t count = get_count(in, TEXT_LEAST);
    const char **items = count ? arena_array(in->arena, const char *, count) : NULL;
    for (uint32_t i = 0; i < count; i++)
        items[i] = get_present(in);
    *out = (struct string_list){.items = items, .count = count};
}

static void get_part(struct unpack *in, uint32_t index, struct part *out)
{
    out->id = get_present(in);
    out->type = get_present(in);
    out->charset = get_text(in);
    out->name = get_text(in);
    out->disposition = get_text(in);
    out->content_id = get_text(in);
    out->encoding = get_text(in);
    out->encoded_size = get_number(in);
    out->size = get_signed(in);
    int64_t parent = get_signed(in);
    /* Pre-order: a parent stands before its children, and only the root has none. */
    if (index == 0 ? parent != -1 : parent < 0 || parent >= (int64_t)index)
        in->bad = true;
    out->parent = in->bad ? -1 : (int32_t)parent;
}

static void get_envelope(struct unpack *in, struct envelope *out)
{
    out->subject = get_text(in);
    out->date_s = get_signed(in);
    out->message_id = get_text(in);
    get_addresses(in, &out->from);
    get_addresses(in, &out->sender);
    get_addresses(in, &out->reply_to);
    get_addresses(in, &out->to);
    get_addresses(in, &out->cc);
    get_addresses(in, &out->bcc);
    get_texts(in, &out->in_reply_to);
    get_texts(in, &out->references);
}

bool unpack_message(struct arena *arena, const void *data, size_t length, struct message *out)
{
    if (!data || length < 2 || length > PACK_MOST || *(const uint8_t *)data != PACK_VERSION)
        return false;
    struct unpack in = {
        .arena = arena, .at = (const uint8_t *)data + 1, .end = (const uint8_t *)data + length};
    uint64_t bits = get_number(&in);
    out->remote_id = get_bytes(&in, false);
    out->received_s = get_signed(&in);
    out->size = get_number(&in);
    out->limited = (uint32_t)get_number(&in);
    get_envelope(&in, &out->envelope);
    out->envelope.has_date = bits & HAS_DATE;
    out->has_attachment = bits & HAS_ATTACHMENT;
    out->part_count = get_count(&in, PART_LEAST);
    struct part *parts = out->part_count ? arena_array(arena, struct part, out->part_count) : NULL;
    for (uint32_t i = 0; i < out->part_count && !in.bad; i++)
        get_part(&in, i, &parts[i]);
    out->parts = parts;
    return !in.bad && in.at == in.end;
}

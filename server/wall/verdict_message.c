/* verdict_message.c - a message: numbers, envelope, and a tree that is one. */
#include "verdict.h"

#include <string.h>

#define ADDRESS_BYTES 12u /* of the smallest: three texts that are NULL */
#define ID_BYTES      4u
#define PART_BYTES    48u

/* Years 0 to 9999, which is what dates in mails can say, whatever the time zone. */
#define DATE_LEAST_S (-INT64_C(62200000000))
#define DATE_MOST_S  INT64_C(253500000000)

static bool take_date(struct unpack *from, int64_t *out)
{
    *out = unpack_i64(from);
    return *out >= DATE_LEAST_S && *out <= DATE_MOST_S;
}

/* ---- envelope ---- */

static bool take_addresses(struct unpack *from, struct arena *arena, struct address_list *out)
{
    uint32_t count = unpack_u32(from, BACKEND_ADDRESSES_MAX);
    if (!verdict_fits(from, count, ADDRESS_BYTES))
        return false;
    if (count == 0)
        return true;
    struct address *items = arena_array(arena, struct address, count);
    for (uint32_t i = 0; i < count; i++) {
        items[i].name = unpack_text(from, RECORD_TEXT_BYTES);
        items[i].email = unpack_text(from, RECORD_TEXT_BYTES);
        items[i].group = unpack_text(from, RECORD_TEXT_BYTES);
    }
    *out = (struct address_list){.items = items, .count = count};
    return true;
}

static bool take_ids(struct unpack *from, struct arena *arena, struct string_list *out)
{
    uint32_t count = unpack_u32(from, BACKEND_MESSAGE_IDS_MAX);
    if (!verdict_fits(from, count, ID_BYTES))
        return false;
    if (count == 0)
        return true;
    const char **items = arena_array(arena, const char *, count);
    for (uint32_t i = 0; i < count; i++)
        if (!(items[i] = unpack_text(from, RECORD_ID_BYTES)))
            return false;
    *out = (struct string_list){.items = items, .count = count};
    return true;
}

static bool take_envelope(struct unpack *from, struct arena *arena, struct envelope *out)
{
    out->subject = unpack_text(from, RECORD_TEXT_BYTES);
    out->message_id = unpack_text(from, RECORD_ID_BYTES);
    out->has_date = unpack_bool(from);
    return take_date(from, &out->date_s) && (out->has_date || out->date_s == 0) &&
           take_addresses(from, arena, &out->from) && take_addresses(from, arena, &out->sender) &&
           take_addresses(from, arena, &out->reply_to) && take_addresses(from, arena, &out->to) &&
           take_addresses(from, arena, &out->cc) && take_addresses(from, arena, &out->bcc) &&
           take_ids(from, arena, &out->in_reply_to) && take_ids(from, arena, &out->references);
}

/* ---- parts ---- */

/* "1.2", or "4.TEXT" for a multipart that has no number of its own (imap_tree.c). */
static bool is_section(const char *id)
{
    for (;;) {
        size_t digits = strspn(id, "0123456789");
        if (digits == 0 || *id == '0')
            return false;
        id += digits;
        if (*id == '\0' || strcmp(id, ".TEXT") == 0)
            return true;
        if (*id++ != '.')
            return false;
    }
}

static bool is_lower(const char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            return false;
    return true;
}

/* Characters that turn or hide what a reader sees: those that decode_file_name takes out. */
static bool is_deceptive(const char *at)
{
    const unsigned char *byte = (const unsigned char *)at;
    switch (byte[0]) {
    case 0xd8: return byte[1] == 0x9c;                    /* U+061C */
    case 0xef: return byte[1] == 0xbb && byte[2] == 0xbf; /* U+FEFF */
    case 0xe2: break;
    default: return false;
    }
    if (byte[1] == 0x80) /* U+200B to 200F, U+2028 to 202E */
        return (byte[2] >= 0x8b && byte[2] <= 0x8f) || (byte[2] >= 0xa8 && byte[2] <= 0xae);
    return byte[1] == 0x81 && byte[2] >= 0xa0 && byte[2] <= 0xaf; /* U+2060 to 206F */
}

/* As decode_file_name leaves it. It may end with a dot: names are shortened last. */
static bool is_file_name(const char *name)
{
    if (!*name || *name == '.' || *name == ' ' || strpbrk(name, "/\\"))
        return false;
    for (; *name; name++)
        if (is_deceptive(name))
            return false;
    return true;
}

static bool is_part(const struct part *part, bool is_root)
{
    if (!part->id || !part->type || !part->encoding)
        return false;
    bool has_place = is_section(part->id) || (is_root && !*part->id);
    return has_place && strchr(part->type, '/') && is_lower(part->type) &&
           is_lower(part->encoding) && (!part->charset || is_lower(part->charset)) &&
           (!part->disposition || is_lower(part->disposition)) &&
           (!part->name || is_file_name(part->name)) && part->size >= -1;
}

/* Pre-order: a node stands in the one before it or in one of those that hold that one. Walking up
 * leaves each node once, so all of it costs no more than there are nodes. */
static bool is_in_order(const struct part *parts, int32_t index)
{
    int32_t parent = parts[index].parent, at = index - 1;
    if (index == 0 || parent < 0)
        return index == 0 && parent < 0;
    while (at > parent)
        at = parts[at].parent;
    return at == parent;
}

static bool take_part(struct unpack *from, struct part *parts, uint32_t index)
{
    struct part *part = &parts[index];
    part->id = unpack_text(from, RECORD_SECTION_BYTES);
    part->type = unpack_text(from, RECORD_TOKEN_BYTES);
    part->charset = unpack_text(from, RECORD_TOKEN_BYTES);
    part->name = unpack_text(from, RECORD_FILE_NAME_BYTES);
    part->disposition = unpack_text(from, RECORD_TOKEN_BYTES);
    part->content_id = unpack_text(from, RECORD_ID_BYTES);
    part->encoding = unpack_text(from, RECORD_TOKEN_BYTES);
    part->encoded_size = unpack_u64(from);
    part->size = unpack_i64(from);
    part->parent = (int32_t)unpack_u32(from, index) - 1; /* so it is below its own index */
    return !from->broken && is_part(part, index == 0) && is_in_order(parts, (int32_t)index);
}

static bool take_parts(struct unpack *from, struct arena *arena, struct message *out)
{
    uint32_t count = unpack_u32(from, BACKEND_PARTS_MAX);
    if (!verdict_fits(from, count, PART_BYTES))
        return false;
    if (count == 0)
        return true;
    struct part *parts = arena_array(arena, struct part, count);
    for (uint32_t i = 0; i < count; i++)
        if (!take_part(from, parts, i))
            return false;
    out->parts = parts;
    out->part_count = count;
    return true;
}

bool verdict_message(struct unpack *from, struct arena *arena, struct message *out)
{
    out->uid = unpack_u32(from, UINT32_MAX);
    out->remote_id = unpack_text(from, RECORD_ID_BYTES);
    bool good = out->uid != 0 && verdict_number(from, &out->modseq) &&
                verdict_flags(from, arena, &out->flags, &out->keywords) &&
                take_date(from, &out->received_s) && verdict_number(from, &out->size) &&
                take_envelope(from, arena, &out->envelope) && take_parts(from, arena, out);
    if (!good)
        return false;
    out->has_attachment = unpack_bool(from);
    out->limited = unpack_u32(from, LIMITED_ALL);
    return true;
}

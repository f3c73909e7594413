/* memory_message.c - reads the mail that tests write: one part, or multipart/mixed of one level. */
#include "memory_server.h"
#include "text.h"

#include <string.h>

#define LEAVES_MOST 16

struct leaf {
    const char *header, *body; /* in the raw message */
    size_t header_length, length;
};

/* The value of a header up to the line's end, in the arena, or NULL. */
static char *header_get(struct arena *arena, const char *at, size_t length, const char *name)
{
    const char *end = at + length;
    size_t name_length = strlen(name);
    while (at < end) {
        const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
        size_t line = (size_t)((stop ? stop : end) - at);
        if (line > name_length && at[name_length] == ':' &&
            text_case_equal(at, name_length, name)) {
            size_t skip = name_length + 1;
            while (skip < line && at[skip] == ' ')
                skip++;
            return arena_strndup(arena, at + skip, line - skip);
        }
        at += line + 2;
    }
    return NULL;
}

/* A parameter of a header value, without quotes, or NULL. */
static char *parameter_get(struct arena *arena, const char *value, const char *name)
{
    const char *at = value ? strcasestr(value, name) : NULL;
    if (!at)
        return NULL;
    at += strlen(name);
    size_t quoted = *at == '"';
    return arena_strndup(arena, at + quoted, strcspn(at + quoted, quoted ? "\"" : "; "));
}

static struct leaf leaf_read(const char *raw, size_t length)
{
    const char *empty = memmem(raw, length, "\r\n\r\n", 4);
    size_t header = empty ? (size_t)(empty - raw) + 4 : length;
    return (struct leaf){raw, raw + header, header, length - header};
}

/* The leaves of a multipart, or the message itself as its only one. */
static uint32_t leaves_read(struct arena *arena, const char *raw, size_t length,
                            struct leaf leaves[LEAVES_MOST], bool *multipart)
{
    struct leaf whole = leaf_read(raw, length);
    char *type = header_get(arena, raw, whole.header_length, "Content-Type");
    char *boundary = parameter_get(arena, type, "boundary=");
    *multipart = type && text_starts_case(type, "multipart/") && boundary;
    leaves[0] = whole;
    if (!*multipart)
        return 1;
    char *mark = arena_printf(arena, "--%s", boundary);
    size_t mark_length = strlen(mark);
    const char *end = raw + length;
    const char *at = memmem(whole.body, whole.length, mark, mark_length);
    uint32_t count = 0;
    while (at && count < LEAVES_MOST && at + mark_length + 2 <= end && at[mark_length] == '\r') {
        at += mark_length + 2;
        const char *next = memmem(at, (size_t)(end - at), mark, mark_length);
        const char *stop = next ? next - 2 : end; /* the line end belongs to the boundary */
        leaves[count++] = leaf_read(at, (size_t)(stop - at));
        at = next;
    }
    return count;
}

static void leaf_describe(struct arena *arena, const struct leaf *leaf, struct part *out)
{
    char *type = header_get(arena, leaf->header, leaf->header_length, "Content-Type");
    char *encoding =
        header_get(arena, leaf->header, leaf->header_length, "Content-Transfer-Encoding");
    char *disposition = header_get(arena, leaf->header, leaf->header_length, "Content-Disposition");
    *out = (struct part){
        .type = type ? arena_strndup(arena, type, strcspn(type, "; ")) : "text/plain",
        .charset = parameter_get(arena, type, "charset="),
        .name = parameter_get(arena, disposition, "filename="),
        .disposition =
            disposition ? arena_strndup(arena, disposition, strcspn(disposition, "; ")) : NULL,
        .encoding = encoding ? encoding : "7bit",
        .encoded_size = leaf->length,
        .size = -1,
        .parent = -1,
    };
}

static struct address_list one_address(struct arena *arena, const char *value)
{
    if (!value)
        return (struct address_list){0};
    struct address *address = arena_new(arena, struct address);
    const char *open = strchr(value, '<');
    if (open) {
        address->email = arena_strndup(arena, open + 1, strcspn(open + 1, ">"));
        size_t length = (size_t)(open - value);
        while (length && value[length - 1] == ' ')
            length--;
        address->name = length ? arena_strndup(arena, value, length) : NULL;
    } else {
        address->email = value;
    }
    return (struct address_list){address, 1};
}

void memory_message_describe(struct arena *arena, const struct memory_message *from,
                             struct message *out)
{
    struct leaf leaves[LEAVES_MOST];
    bool multipart;
    uint32_t count = leaves_read(arena, from->raw, from->length, leaves, &multipart);
    struct part *parts = arena_array(arena, struct part, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        leaf_describe(arena, &leaves[i], &parts[i + multipart]);
        parts[i + multipart].id = arena_printf(arena, "%u", i + 1);
        parts[i + multipart].parent = multipart ? 0 : -1;
    }
    if (multipart)
        parts[0] = (struct part){
            .id = "", .type = "multipart/mixed", .encoding = "7bit", .size = -1, .parent = -1};
    const char **keywords = arena_array(arena, const char *, from->keyword_count + 1);
    for (uint32_t i = 0; i < from->keyword_count; i++)
        keywords[i] = arena_strdup(arena, from->keywords[i]);
    size_t header = leaf_read(from->raw, from->length).header_length;
    char *id = header_get(arena, from->raw, header, "Message-ID");
    *out = (struct message){
        .uid = from->uid,
        .modseq = from->modseq,
        .flags = from->flags,
        .keywords = {keywords, from->keyword_count},
        .received_s = from->received_s,
        .size = from->length,
        .envelope = {.subject = header_get(arena, from->raw, header, "Subject"),
                     .from = one_address(arena, header_get(arena, from->raw, header, "From")),
                     .to = one_address(arena, header_get(arena, from->raw, header, "To")),
                     .message_id = id && *id == '<'
                                       ? arena_strndup(arena, id + 1, strcspn(id + 1, ">"))
                                       : id},
        .parts = parts,
        .part_count = count + multipart,
        .has_attachment = parts_have_attachment(parts, count + multipart),
    };
}

static void text_from(char *text, size_t *length)
{
    size_t put = 0;
    for (size_t i = 0; i < *length; i++)
        if (text[i] != '\0' && !(text[i] == '\r' && i + 1 < *length && text[i + 1] == '\n'))
            text[put++] = text[i];
    *length = put;
}

static void tags_drop(char *text, size_t *length)
{
    size_t put = 0;
    bool inside = false;
    for (size_t i = 0; i < *length; i++) {
        inside = inside || text[i] == '<';
        if (!inside)
            text[put++] = text[i];
        else if (text[i] == '>')
            inside = false;
    }
    *length = put;
}

static void base64_undo(struct arena *arena, char **text, size_t *length)
{
    char *packed = arena_alloc(arena, *length + 1), *out = arena_alloc(arena, *length + 1);
    size_t used = 0;
    for (size_t i = 0; i < *length; i++)
        if ((*text)[i] != '\r' && (*text)[i] != '\n')
            packed[used++] = (*text)[i];
    long got = text_base64_decode(packed, used, out, *length);
    *text = out;
    *length = got > 0 ? (size_t)got : 0;
}

bool memory_message_read(struct arena *arena, const char *raw, size_t length, const char *part,
                         enum read_mode mode, const char **out, size_t *out_length)
{
    struct leaf leaves[LEAVES_MOST];
    bool multipart;
    uint64_t number = 0;
    uint32_t count = leaves_read(arena, raw, length, leaves, &multipart);
    if (!*part) {
        *out = raw;
        *out_length = length;
        return true;
    }
    if (!text_to_u64(part, strlen(part), count, &number) || number == 0)
        return false;
    const struct leaf *leaf = &leaves[number - 1];
    struct part described;
    leaf_describe(arena, leaf, &described);
    char *text = arena_strndup(arena, leaf->body, leaf->length);
    size_t size = leaf->length;
    if (mode != READ_RAW && text_casecmp(described.encoding, "base64") == 0)
        base64_undo(arena, &text, &size);
    if (mode == READ_TEXT || mode == READ_HTML_TEXT)
        text_from(text, &size);
    if (mode == READ_HTML_TEXT)
        tags_drop(text, &size);
    *out = text;
    *out_length = size;
    return true;
}

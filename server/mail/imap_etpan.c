/* imap_etpan.c - libetpan's parser, for the two items whose grammar nests: ENVELOPE and
 * BODYSTRUCTURE.
 *
 * It is never given what a server sent, but that written anew: every string quoted (so it never
 * sees a literal, whose size could lie), no CR, LF or NUL in it, numbers that fit 32 bits, bare
 * words quoted, blanks single, depth under the cap. With that, what the notes know to crash it
 * cannot be said; and what Exchange leaves unquoted is mended on the way.
 */
#include "imap.h"

#include <libetpan/libetpan.h>
#include <stdlib.h>
#include <string.h>

/* Exported by the library, not declared in its installed headers. */
struct mailimap_parser_context;
struct mailimap_parser_context *mailimap_parser_context_new(mailimap *session);
int mailimap_response_data_parse(mailstream *fd, MMAPString *buffer,
                                 struct mailimap_parser_context *context, size_t *index,
                                 struct mailimap_response_data **result, size_t progress_rate,
                                 progress_function *progress);

/* Read-only after init: the parser writes to it only for BODY[..] items, which we never give it. */
static struct mailimap_parser_context *parser_context;

void imapc_etpan_init(void)
{
    mailimap *session;
    if (parser_context)
        return;
    session = mailimap_new(0, NULL);
    if (session)
        parser_context = mailimap_parser_context_new(session);
    if (!parser_context)
        abort();
    mailimap_free(session); /* without a stream: nothing is sent */
}

/* ---- the writer ---- */

#define LEVELS_MAX   128u
#define TOKENS_MAX   400000u /* the parser's time cannot be taken back: this is 0.2 s of it */
#define STRING_MAX   (BACKEND_HEADER_VALUE_BYTES_MAX + 1u) /* one more: so that it is seen as cut */
#define NUMBERS_FROM 6u /* no list has a number before its seventh value: octets, then lines */

/* What is known of a list that is being written. */
struct list {
    uint32_t count; /* values so far */
    uint32_t
        first_word; /* which value was the first that is no list; in a multipart, the subtype */
    bool has_word;
    bool is_body;
    bool is_envelope;    /* or inside one */
    bool has_envelope;   /* a message/rfc822: the next value is its body */
    bool is_parameters;  /* strings in pairs */
    bool is_disposition; /* the second value is a list */
};

struct writer {
    char *put; /* room for everything was made beforehand, see etpan_buffer */
    uint32_t tokens;
    uint32_t depth; /* of the list being written */
    struct list lists[LEVELS_MAX + 1];
};

/* A body, a disposition or parameters, but no multipart and no list of lists. */
static bool is_leaf(const struct list *list)
{
    return list->has_word && list->first_word == 0;
}

static void write_quoted(struct writer *writer, const struct imapc_token *token)
{
    size_t length = token->span.length < STRING_MAX ? token->span.length : STRING_MAX;
    const char *at = token->span.text, *end = at + length;
    bool quoted = token->kind == TOKEN_STRING && at[-1] == '"';
    *writer->put++ = '"';
    if (quoted && !token->escaped && !memchr(at, '\r', length) && !memchr(at, '\0', length)) {
        memcpy(writer->put, at, length);
        writer->put += length;
        at = end;
    }
    for (; at < end; at++) {
        char byte = *at;
        if (token->escaped && byte == '\\' && at + 1 < end)
            byte = *++at;
        if (byte == '\r' || byte == '\0')
            continue;
        if (byte == '"' || byte == '\\')
            *writer->put++ = '\\';
        *writer->put++ = byte == '\n' ? ' ' : byte;
    }
    *writer->put++ = '"';
}

static void write_plain(struct writer *writer, const char *text, size_t length)
{
    memcpy(writer->put, text, length);
    writer->put += length;
}

static void write_text(struct writer *writer, const char *text)
{
    write_plain(writer, text, strlen(text));
}

/* Where a string belongs, a number or a NIL is quoted: the parser would take it and lose its
 * memory. */
static void write_atom(struct writer *writer, const struct imapc_token *token)
{
    const struct list *list = &writer->lists[writer->depth];
    uint64_t number;
    if (token->kind == TOKEN_NIL) {
        bool is_subtype = list->is_body && is_leaf(list) && list->count == 1;
        if (list->is_parameters || is_subtype)
            write_plain(writer, "\"\"", 2);
        else
            write_plain(writer, "NIL", 3);
    } else if (list->is_parameters || (is_leaf(list) && list->count < NUMBERS_FROM)) {
        write_quoted(writer, token);
    } else if (imapc_span_number(token->span, UINT32_MAX, &number)) {
        write_plain(writer, token->span.text, token->span.length);
    } else if (strspn(token->span.text, "0123456789") >= token->span.length) {
        write_plain(writer, "4294967295", 10);
    } else if (imapc_span_is(token->span, "-1")) { /* "unknown", says Exchange */
        write_plain(writer, "0", 1);
    } else {
        write_quoted(writer, token);
    }
}

/* The third value of a leaf, the second of a disposition, what follows a multipart's subtype. */
static bool opens_parameters(const struct list *parent)
{
    if (is_leaf(parent))
        return parent->count == 1 || parent->count == 2;
    return parent->has_word && parent->count == parent->first_word + 1;
}

static void open_list(struct writer *writer)
{
    struct list *parent = &writer->lists[writer->depth];
    struct list list = {.is_envelope = parent->is_envelope};
    if (!parent->is_envelope) {
        list.is_envelope = is_leaf(parent) && parent->count == 7; /* of a message/rfc822 */
        list.is_body =
            writer->depth == 0 || !parent->has_word || (parent->has_envelope && parent->count == 8);
        parent->has_envelope |= list.is_envelope;
        list.is_parameters = opens_parameters(parent);
        parent->is_disposition |= is_leaf(parent) && parent->count == 1;
    }
    writer->lists[++writer->depth] = list;
    write_plain(writer, "(", 1);
}

static void close_list(struct writer *writer)
{
    const struct list *list = &writer->lists[writer->depth];
    if (list->is_parameters && list->count % 2 == 1)
        write_plain(writer, " \"\"", 3);
    writer->depth--;
    writer->lists[writer->depth].count++;
    write_plain(writer, ")", 1);
}

static void write_word(struct writer *writer, const struct imapc_token *token)
{
    struct list *list = &writer->lists[writer->depth];
    if (!list->has_word) {
        list->has_word = true;
        list->first_word = list->count;
    }
    if (token->kind == TOKEN_STRING)
        write_quoted(writer, token);
    else
        write_atom(writer, token);
    list->count++;
}

/* What the parser would stumble over and lose memory: a third value of a disposition, a list among
 * parameters. Stepped over. */
static bool is_surplus(const struct writer *writer, const struct imapc_token *token)
{
    const struct list *list = &writer->lists[writer->depth];
    return (token->kind != TOKEN_CLOSE && list->is_disposition && list->count >= 2) ||
           (token->kind == TOKEN_OPEN && list->is_parameters);
}

static void step_over(struct imapc_scan *scan, const struct imapc_token *token)
{
    struct imapc_span skipped;
    if (token->kind != TOKEN_OPEN)
        return;
    scan->at--;
    scan->depth--;
    (void)imapc_scan_value(scan, &skipped); /* a failure stays in the scan */
}

/* Behind its "(": ten fields, of which six are NIL or lists of addresses, which have four words
 * each. libetpan loses memory over any other, and tries what QQ Mail sends. */
static bool is_whole_envelope(struct imapc_scan scan)
{
    const uint32_t base = scan.depth;
    uint32_t fields = 0, words = 0;
    struct imapc_token token;
    while (imapc_scan_next(&scan, &token)) {
        bool is_addresses = fields >= 2 && fields <= 7;
        if (token.kind == TOKEN_CLOSE) {
            if (scan.depth < base)
                return fields == 10;
            if (scan.depth == base)
                fields++;
            else if (words != 4)
                return false;
        } else if (token.kind == TOKEN_OPEN) {
            words = 0;
            if (!is_addresses || scan.depth > base + 2)
                return false;
        } else if (scan.depth == base) {
            if (is_addresses && token.kind != TOKEN_NIL)
                return false;
            fields++;
        } else {
            if (scan.depth != base + 2)
                return false;
            words++;
        }
    }
    return false;
}

/* Bodies and addresses stand side by side, everything else is apart. */
static bool is_apart(const struct writer *writer, enum imapc_token_kind before,
                     enum imapc_token_kind kind)
{
    if (before == TOKEN_OPEN || kind == TOKEN_CLOSE)
        return false;
    return !(before == TOKEN_CLOSE && kind == TOKEN_OPEN && !writer->lists[writer->depth].has_word);
}

static bool write_token(struct writer *writer, const struct imapc_scan *scan,
                        const struct imapc_token *token)
{
    bool was_envelope = writer->lists[writer->depth].is_envelope;
    switch (token->kind) {
    case TOKEN_OPEN:
        open_list(writer);
        return was_envelope || !writer->lists[writer->depth].is_envelope ||
               is_whole_envelope(*scan);
    case TOKEN_CLOSE: {
        const struct list *list = &writer->lists[writer->depth];
        bool is_empty_body = list->is_body && list->count == 0; /* Domino */
        close_list(writer);
        return !is_empty_body;
    }
    default: write_word(writer, token); return true;
    }
}

static bool write_value(struct writer *writer, struct imapc_span value, uint32_t depth_max)
{
    struct imapc_scan scan = imapc_scan_of(value, depth_max < LEVELS_MAX ? depth_max : LEVELS_MAX);
    struct imapc_token token;
    enum imapc_token_kind before = TOKEN_OPEN;
    writer->depth = 0;
    writer->lists[0] = (struct list){0};
    while (imapc_scan_next(&scan, &token)) {
        if (++writer->tokens > TOKENS_MAX)
            return false;
        if (is_surplus(writer, &token)) {
            step_over(&scan, &token);
            continue;
        }
        if (is_apart(writer, before, token.kind))
            *writer->put++ = ' ';
        before = token.kind;
        if (!write_token(writer, &scan, &token))
            return false;
    }
    return !scan.broken && scan.depth == 0;
}

static bool write_envelope(struct writer *writer, struct imapc_span value, uint32_t depth_max)
{
    struct imapc_scan scan = imapc_scan_of(value, depth_max);
    struct imapc_token token;
    enum imapc_token_kind before = TOKEN_OPEN;
    writer->depth = 0;
    writer->lists[0] = (struct list){.is_envelope = true};
    for (bool first = true; imapc_scan_next(&scan, &token); first = false) {
        if (first && (token.kind != TOKEN_OPEN || !is_whole_envelope(scan)))
            return false;
        if (++writer->tokens > TOKENS_MAX)
            return false;
        if (is_apart(writer, before, token.kind))
            *writer->put++ = ' ';
        before = token.kind;
        (void)write_token(writer, &scan, &token);
    }
    return !scan.broken && scan.depth == 0;
}

/* A token of n bytes becomes at most 2 n + 3; an atom of one byte at most three, a number of one
 * at most one; a clamped number is never longer than it was; an odd parameter gains three,
 * and a blank before each. */
static MMAPString *etpan_buffer(struct imapc_span envelope, struct imapc_span structure,
                                uint32_t depth_max)
{
    size_t room = 5 * (envelope.length + structure.length) + 128;
    MMAPString *buffer = mmap_string_sized_new(room);
    if (!buffer)
        abort();
    struct writer writer = {.put = buffer->str, .depth = 0};
    bool good = true;
    write_text(&writer, "* 1 FETCH (");
    if (envelope.text) {
        write_text(&writer, "ENVELOPE ");
        good = write_envelope(&writer, envelope, depth_max);
    }
    if (good && structure.text) {
        write_text(&writer, envelope.text ? " BODYSTRUCTURE " : "BODYSTRUCTURE ");
        good = write_value(&writer, structure, depth_max);
    }
    write_text(&writer, ")\r\n");
    *writer.put = '\0';
    buffer->len = (size_t)(writer.put - buffer->str);
    if (good)
        return buffer;
    mmap_string_free(buffer);
    return NULL;
}

struct mailimap_response_data *imapc_etpan_parse(struct imapc_span envelope,
                                                 struct imapc_span structure, uint32_t depth_max)
{
    struct mailimap_response_data *parsed = NULL;
    size_t index = 0;
    MMAPString *buffer = etpan_buffer(envelope, structure, depth_max);
    if (!buffer)
        return NULL;
    int result =
        mailimap_response_data_parse(NULL, buffer, parser_context, &index, &parsed, 0, NULL);
    mmap_string_free(buffer);
    if (result == MAILIMAP_ERROR_MEMORY)
        abort();
    if (result != MAILIMAP_NO_ERROR)
        return NULL;
    if (parsed->rsp_type == MAILIMAP_RESP_DATA_TYPE_MESSAGE_DATA &&
        parsed->rsp_data.rsp_message_data->mdt_msg_att)
        return parsed;
    mailimap_response_data_free(parsed);
    return NULL;
}

void imapc_etpan_free(struct mailimap_response_data *parsed)
{
    if (parsed)
        mailimap_response_data_free(parsed);
}

static struct mailimap_msg_att_static *find_item(struct mailimap_response_data *parsed, int type)
{
    clist *items = parsed->rsp_data.rsp_message_data->mdt_msg_att->att_list;
    for (clistiter *at = clist_begin(items); at; at = clist_next(at)) {
        struct mailimap_msg_att_item *item = clist_content(at);
        if (item->att_type == MAILIMAP_MSG_ATT_ITEM_STATIC &&
            item->att_data.att_static->att_type == type)
            return item->att_data.att_static;
    }
    return NULL;
}

struct mailimap_envelope *imapc_etpan_envelope(struct mailimap_response_data *parsed)
{
    struct mailimap_msg_att_static *item = find_item(parsed, MAILIMAP_MSG_ATT_ENVELOPE);
    return item ? item->att_data.att_env : NULL;
}

struct mailimap_body *imapc_etpan_body(struct mailimap_response_data *parsed)
{
    struct mailimap_msg_att_static *item = find_item(parsed, MAILIMAP_MSG_ATT_BODYSTRUCTURE);
    return item ? item->att_data.att_bodystructure : NULL;
}

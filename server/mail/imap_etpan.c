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
#define NUMBERS_FROM 6u /* no item has a number before its seventh field: octets, then lines */

struct writer {
    char *put;      /* room for everything was made beforehand, see etpan_buffer */
    uint32_t depth; /* of the list being written */
    struct {
        uint32_t count; /* values so far */
        bool is_leaf;   /* the first one was no list */
    } lists[LEVELS_MAX + 1];
};

static void write_quoted(struct writer *writer, const struct imapc_token *token)
{
    const char *at = token->span.text, *end = at + token->span.length;
    bool quoted = token->kind == TOKEN_STRING && at[-1] == '"';
    *writer->put++ = '"';
    if (quoted && !token->escaped && !memchr(at, '\r', token->span.length) &&
        !memchr(at, '\0', token->span.length)) {
        memcpy(writer->put, at, token->span.length);
        writer->put += token->span.length;
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

/* A number where a string belongs is quoted: the parser would take it and lose its memory. */
static void write_atom(struct writer *writer, const struct imapc_token *token)
{
    uint64_t number;
    if (writer->lists[writer->depth].is_leaf && writer->lists[writer->depth].count < NUMBERS_FROM) {
        write_quoted(writer, token);
    } else if (imapc_span_number(token->span, UINT32_MAX, &number)) {
        memcpy(writer->put, token->span.text, token->span.length);
        writer->put += token->span.length;
    } else if (strspn(token->span.text, "0123456789") >= token->span.length) {
        memcpy(writer->put, "4294967295", 10);
        writer->put += 10;
    } else if (imapc_span_is(token->span, "-1")) { /* "unknown", says Exchange */
        *writer->put++ = '0';
    } else {
        write_quoted(writer, token);
    }
}

/* Before a token is written: where in its list it stands. */
static void count_value(struct writer *writer, enum imapc_token_kind kind)
{
    if (kind == TOKEN_CLOSE) {
        writer->depth--;
        writer->lists[writer->depth].count++;
    } else if (kind == TOKEN_OPEN) {
        writer->depth++;
        writer->lists[writer->depth].count = 0;
        writer->lists[writer->depth].is_leaf = false;
    } else {
        if (writer->lists[writer->depth].count == 0)
            writer->lists[writer->depth].is_leaf = true;
    }
}

static bool write_value(struct writer *writer, struct imapc_span value, uint32_t depth_max)
{
    struct imapc_scan scan = imapc_scan_of(value, depth_max < LEVELS_MAX ? depth_max : LEVELS_MAX);
    struct imapc_token token;
    bool after_open = true;
    for (const char *before = scan.at; imapc_scan_next(&scan, &token); before = scan.at) {
        bool spaced = before < value.text + value.length && *before == ' ';
        if (spaced && !after_open && token.kind != TOKEN_CLOSE)
            *writer->put++ = ' ';
        after_open = token.kind == TOKEN_OPEN;
        count_value(writer, token.kind);
        switch (token.kind) {
        case TOKEN_OPEN: *writer->put++ = '('; break;
        case TOKEN_CLOSE: *writer->put++ = ')'; break;
        case TOKEN_STRING: write_quoted(writer, &token); break;
        case TOKEN_NIL:
            memcpy(writer->put, "NIL", 3);
            writer->put += 3;
            break;
        default: write_atom(writer, &token); break;
        }
        if (token.kind != TOKEN_OPEN && token.kind != TOKEN_CLOSE)
            writer->lists[writer->depth].count++;
    }
    return !scan.broken && scan.depth == 0;
}

static void write_text(struct writer *writer, const char *text)
{
    size_t length = strlen(text);
    memcpy(writer->put, text, length);
    writer->put += length;
}

/* A token of n bytes becomes at most 2 n + 3; an atom of one byte at most three, a number of one
 * at most one; a clamped number is never longer than it was. */
static MMAPString *etpan_buffer(struct imapc_span envelope, struct imapc_span structure,
                                uint32_t depth_max)
{
    size_t room = 4 * (envelope.length + structure.length) + 128;
    MMAPString *buffer = mmap_string_sized_new(room);
    if (!buffer)
        abort();
    struct writer writer = {.put = buffer->str, .depth = 0};
    bool good = true;
    write_text(&writer, "* 1 FETCH (");
    if (envelope.text) {
        write_text(&writer, "ENVELOPE ");
        good = write_value(&writer, envelope, depth_max);
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

/* imap_read.c - content: the bytes of a message or part, streamed.
 *
 * A literal flows from the socket through the decoding chain into the caller's sink. Raw ranges are
 * asked for as such; a decoded range can only be found by decoding from the start, so an upper
 * estimate of the encoded bytes is asked for, then more while the range is not filled.
 */
#include "imap.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define ESTIMATE_SLACK_BYTES 1024u
#define CONTINUE_BYTES       (64u * 1024u)

/* One answer to UID FETCH n (BODY.PEEK[..]) or (BINARY.SIZE[..]). */
struct answer {
    struct imapc_handler handler;
    struct imapc *imap;
    uint32_t uid;
    bool arrived;   /* with content */
    uint64_t bytes; /* of it */
    bool has_size;
    uint64_t size;
    struct sink *sink; /* for content that came as a quoted string */
};

static enum err take_content(struct answer *answer, const struct imapc_response *response,
                             const struct imapc_fetch *fetch)
{
    size_t length;
    answer->arrived = true;
    if (response->streamed) {
        answer->bytes = response->streamed_bytes;
        return OK;
    }
    char *text = imapc_token_copy(&answer->imap->reply, &fetch->content, &length);
    answer->bytes = length;
    return text && answer->sink ? sink_write(answer->sink, text, length) : OK;
}

static enum err take_answer(struct imapc_handler *handler, const struct imapc_response *response,
                            bool *mine)
{
    struct answer *answer = (struct answer *)handler;
    struct imapc_fetch fetch;
    if (!response->has_number || !imapc_span_is(response->word, "FETCH"))
        return OK;
    imapc_fetch_read(&answer->imap->reply, response, &fetch);
    if (!fetch.has_section && !fetch.has_binary_size)
        return OK;
    *mine = true;
    if (fetch.has_flags) /* it changed, and this is how we hear of it */
        imapc_touch(answer->imap, fetch.sequence);
    if (fetch.uid !=
        answer->uid) /* what it streamed is another message's: nothing can be believed */
        return response->streamed ? imapc_die(answer->imap, ERR_PROTOCOL,
                                              "the mail server sent another message's bytes")
                                  : OK;
    if (fetch.has_binary_size) {
        answer->has_size = true;
        answer->size = fetch.binary_size;
    }
    return fetch.has_section && !answer->arrived ? take_content(answer, response, &fetch) : OK;
}

/* UID FETCH uid (item); the content goes to sink. */
static enum err ask(struct imapc *imap, struct call *call, struct answer *answer, const char *item,
                    bool tolerant)
{
    enum err err = imapc_begin(imap, call, &answer->handler);
    if (err)
        return err;
    if (tolerant)
        imapc_command_tolerant(imap, "UID FETCH");
    else
        imapc_command(imap, "UID FETCH");
    imapc_word(imap, arena_printf(&imap->scratch, "%u (UID %s)", answer->uid, item));
    imapc_command_end(imap);
    imap->wire.body_sink = answer->sink;
    if (answer->sink)
        imapc_limit_content(&imap->wire);
    err = imapc_run(imap);
    imap->wire.body_sink = NULL;
    return err;
}

static struct answer answer_of(struct imapc *imap, uint32_t uid, struct sink *sink)
{
    return (struct answer){
        .handler = {.untagged = take_answer}, .imap = imap, .uid = uid, .sink = sink};
}

static enum err gone(struct call *call)
{
    return fault_set(&call->fault, ERR_GONE, "the message is not there any more");
}

/* Section numbers come from structures we read, or from a URL: digits and dots, or x.TEXT. */
static bool section_is_valid(const char *part)
{
    size_t length = strlen(part), number = strspn(part, "0123456789.");
    return length < 256 && (part[number] == '\0' || strcmp(part + number, "TEXT") == 0);
}

static enum err open_part(struct imapc *imap, struct call *call, const struct part_wish *wish)
{
    if (!section_is_valid(wish->part))
        return fault_set(&call->fault, ERR_NOT_FOUND, "no such part");
    enum err err = imapc_select(imap, call, wish->remote, wish->validity);
    return err ? err : imapc_renew_view(imap, call);
}

/* ---- raw bytes: the server cuts the range ---- */

static enum err read_raw(struct imapc *imap, struct call *call, const struct part_wish *wish,
                         struct sink *sink)
{
    struct answer answer = answer_of(imap, wish->uid, sink);
    char item[320];
    bool whole = wish->first == 0 && wish->last == UINT64_MAX;
    uint64_t first = wish->first, count = wish->last - wish->first;
    count = count >= UINT32_MAX - 1 ? UINT32_MAX - 1 : count + 1; /* RFC 3501: 32 bits */
    if (first >= UINT32_MAX)
        return fault_set(&call->fault, ERR_RANGE, "IMAP cannot start reading behind 4 GiB");
    if (whole)
        snprintf(item, sizeof item, "BODY.PEEK[%s]", wish->part);
    else
        snprintf(item, sizeof item, "BODY.PEEK[%s]<%llu.%llu>", wish->part,
                 (unsigned long long)first, (unsigned long long)count);
    enum err err = ask(imap, call, &answer, item, false);
    if (err)
        return err;
    return answer.arrived ? sink_finish(sink) : gone(call);
}

/* ---- decoded bytes: from the start, until the range is filled ---- */

struct encoding_row {
    const char *name;
    uint32_t encoded_per_thousand; /* bytes on the wire for 1000 decoded ones, usually */
};

static const struct encoding_row encoding_rows[] = {
    {"base64", 1369}, /* lines of 76 and CRLF */
    {"quoted-printable", 1150},
};

static bool is_identity(const char *encoding)
{
    for (size_t i = 0; i < sizeof encoding_rows / sizeof *encoding_rows; i++)
        if (text_casecmp(encoding, encoding_rows[i].name) == 0)
            return false;
    return true;
}

/* Encoded bytes to ask for so that decoded byte `last` is most likely among them. */
static uint64_t estimate(const struct part_wish *wish)
{
    uint64_t per_thousand = wish->mode == READ_HTML_TEXT ? 6000 : 1050;
    for (size_t i = 0; i < sizeof encoding_rows / sizeof *encoding_rows; i++)
        if (wish->mode == READ_DECODED && text_casecmp(wish->encoding, encoding_rows[i].name) == 0)
            per_thousand = encoding_rows[i].encoded_per_thousand;
    if (wish->mode == READ_TEXT)
        per_thousand = 1500;
    if (wish->last >= UINT32_MAX / 8)
        return UINT64_MAX;
    return (wish->last + 1) * per_thousand / 1000 + ESTIMATE_SLACK_BYTES;
}

static struct sink *build_chain(struct decode_chain *chain, const struct part_wish *wish,
                                struct sink *last)
{
    if (wish->mode == READ_HTML_TEXT)
        last = decode_html(chain, last);
    if (wish->mode == READ_TEXT || wish->mode == READ_HTML_TEXT)
        last = decode_charset(chain, wish->charset, last);
    return decode_transfer(chain, wish->encoding, last);
}

/* Pieces of the encoded part into the chain, until the range is filled or the part ends. */
static enum err read_pieces(struct imapc *imap, struct call *call, const struct part_wish *wish,
                            struct sink *chain, const struct range_sink *range)
{
    uint64_t offset = 0, piece = estimate(wish);
    bool whole = piece == UINT64_MAX || (wish->encoded_size && piece >= wish->encoded_size);
    char item[320];
    for (;;) {
        struct answer answer = answer_of(imap, wish->uid, chain);
        if (whole && offset == 0)
            snprintf(item, sizeof item, "BODY.PEEK[%s]", wish->part);
        else
            snprintf(item, sizeof item, "BODY.PEEK[%s]<%llu.%llu>", wish->part,
                     (unsigned long long)offset, (unsigned long long)piece);
        enum err err = ask(imap, call, &answer, item, false);
        if (err)
            return range->done && !imap->wire.dead ? OK : err;
        if (!answer.arrived)
            return gone(call);
        offset += answer.bytes;
        if ((whole && offset == answer.bytes) || answer.bytes < piece || offset >= UINT32_MAX)
            return OK;
        piece = piece < CONTINUE_BYTES ? CONTINUE_BYTES : piece;
        whole = false;
    }
}

static enum err read_decoded(struct imapc *imap, struct call *call, const struct part_wish *wish,
                             struct sink *sink)
{
    struct range_sink range;
    range_sink_init(&range, sink, wish->first, wish->last);
    struct decode_chain *chain = decode_chain_new();
    struct sink *head = build_chain(chain, wish, &range.sink);
    imap->wire.range = &range;
    enum err err = read_pieces(imap, call, wish, head, &range);
    imap->wire.range = NULL;
    if (!err && !range.done) {
        err = sink_finish(head);
        if (range.done)
            err = sink_finish(sink);
    } else if (!err) {
        err = sink_finish(sink);
    }
    decode_chain_free(&chain);
    return err;
}

static const char *encoding_of(const struct part_wish *wish)
{
    return wish->encoding ? wish->encoding : "7bit";
}

enum err imapc_read_part(struct backend *backend, struct call *call, const struct part_wish *wish,
                         struct sink *sink)
{
    struct imapc *imap = (struct imapc *)backend;
    struct part_wish full = *wish;
    full.encoding = encoding_of(wish);
    enum err err = open_part(imap, call, wish);
    if (err)
        return err;
    if (full.mode == READ_RAW || (full.mode == READ_DECODED && is_identity(full.encoding)))
        return read_raw(imap, call, &full, sink);
    return read_decoded(imap, call, &full, sink);
}

/* ---- how long it is ---- */

struct count_sink {
    struct sink sink;
    uint64_t bytes;
};

static enum err count_write(struct sink *sink, const void *data, size_t length)
{
    (void)data;
    ((struct count_sink *)sink)->bytes += length;
    return OK;
}

enum err imapc_part_size(struct backend *backend, struct call *call, const struct part_wish *wish,
                         uint64_t *out)
{
    struct imapc *imap = (struct imapc *)backend;
    struct count_sink count = {.sink = {.write = count_write}};
    struct part_wish whole = *wish;
    char item[320];
    enum err err = open_part(imap, call, wish);
    if (err)
        return err;
    if ((imap->caps & CAP_BINARY) && wish->mode == READ_DECODED && *wish->part) {
        struct answer answer = answer_of(imap, wish->uid, NULL);
        snprintf(item, sizeof item, "BINARY.SIZE[%s]", wish->part);
        err = ask(imap, call, &answer, item, true); /* NO [UNKNOWN-CTE]: count */
        if (err)
            return err;
        if (answer.has_size) {
            *out = answer.size;
            return OK;
        }
    }
    whole.first = 0;
    whole.last = UINT64_MAX;
    err = imapc_read_part(backend, call, &whole, &count.sink);
    *out = count.bytes;
    return err;
}

enum err imapc_read_headers(struct backend *backend, struct call *call,
                            const struct part_wish *wish, struct header_sink *sink)
{
    struct imapc *imap = (struct imapc *)backend;
    const struct backend_world *world = imap->wire.world;
    struct decode_budget budget;
    struct buf raw;
    struct buf_sink into;
    char item[320];
    enum err err = open_part(imap, call, wish);
    if (err)
        return err;
    buf_init(&raw, world->literal_bytes_max);
    buf_sink_init(&into, &raw);
    struct answer answer = answer_of(imap, wish->uid, &into.sink);
    snprintf(item, sizeof item, "BODY.PEEK[%s%sHEADER]<0.%u>", wish->part, *wish->part ? "." : "",
             BACKEND_HEADER_SECTION_BYTES_MAX + 1);
    err = ask(imap, call, &answer, item, false);
    if (raw.overflowed) /* far more than was asked for */
        err = imapc_limit_passed(&imap->wire, &call->fault, LIMIT_LITERAL);
    if (!err && !answer.arrived)
        err = gone(call);
    decode_budget_begin(&budget, NULL, world->message_cpu_ms_max, world->message_bytes_max);
    budget.held_bytes = raw.length;
    if (!err)
        err = decode_headers(&budget, raw.data ? raw.data : "", raw.length, sink);
    sink->limited = budget.limited;
    buf_clear(&raw);
    return err;
}

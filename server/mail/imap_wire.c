/* imap_wire.c - bytes to responses, one at a time, under the caps of backend_world.
 *
 * Reads the stream directly rather than through libetpan's buffered one: that has no cap on a line
 * and would copy every attachment once more. A FETCH response that is longer than a cap is read
 * away and handed up `cut`, so that a letter with five thousand recipients costs itself and not the
 * folder; anything else that long ends the connection. A literal that belongs to content flows into
 * body_sink and is never whole in memory.
 */
#include "imap.h"
#include "text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_BYTES    32u
#define CONTENT_BYTES (64u * 1024u)
#define KEPT_BYTES    (256u * 1024u) /* a response buffer larger than this is given back */
#define DRAIN_BYTES   (64u * 1024u)

/* The response being put together. */
struct assembly {
    uint64_t line_bytes, literal_bytes;
    char tail[TAIL_BYTES]; /* the end of the current line, also when the rest is not kept */
    size_t tail_length;
    bool cut, streamed;
    uint64_t streamed_bytes;
};

void imapc_wire_init(struct imapc_wire *wire, struct stream *stream,
                     const struct backend_world *world)
{
    *wire = (struct imapc_wire){.stream = stream, .world = world};
    wire->in = xalloc(WIRE_READ_BYTES);
    buf_init(&wire->response, (size_t)world->line_bytes_max + world->literal_bytes_max + 4096);
    buf_init_secret(&wire->out, 16u * 1024u * 1024u);
}

void imapc_wire_clear(struct imapc_wire *wire)
{
    stream_close(&wire->stream);
    free(wire->in);
    wire->in = NULL;
    buf_clear(&wire->response);
    buf_clear(&wire->out);
}

enum err imapc_wire_flush(struct imapc_wire *wire, struct fault *fault)
{
    if (wire->out.length == 0)
        return OK;
    assert(!wire->out.overflowed);
    ssize_t sent = stream_write(wire->stream, wire->out.data, wire->out.length);
    buf_clear(&wire->out);
    return sent >= 0 ? OK : imapc_limit_explain(wire, fault);
}

static enum err wire_fill(struct imapc_wire *wire, struct fault *fault)
{
    ssize_t got = stream_read(wire->stream, wire->in, WIRE_READ_BYTES);
    if (got < 0)
        return imapc_limit_explain(wire, fault);
    wire->in_start = 0;
    wire->in_end = (size_t)got;
    return OK;
}

static void keep_tail(struct assembly *made, const char *data, size_t length)
{
    if (length >= TAIL_BYTES) {
        memcpy(made->tail, data + length - TAIL_BYTES, TAIL_BYTES);
        made->tail_length = TAIL_BYTES;
        return;
    }
    size_t room = TAIL_BYTES - length;
    size_t keep = made->tail_length < room ? made->tail_length : room;
    memmove(made->tail, made->tail + made->tail_length - keep, keep);
    memcpy(made->tail + keep, data, length);
    made->tail_length = keep + length;
}

/* Behind "* " and a number, if there is one. */
static bool begins_with_one_of(const struct buf *response, const char *const *words)
{
    const char *at = response->data + 2;
    while (*at >= '0' && *at <= '9')
        at++;
    at += *at == ' ' && at > response->data + 2;
    for (; *words; words++)
        if (text_starts_case(at, *words))
            return true;
    return false;
}

static bool is_untagged(const struct buf *response, const char *const *words)
{
    return response->length >= 3 && memcmp(response->data, "* ", 2) == 0 &&
           begins_with_one_of(response, words);
}

static bool is_fetch(const struct buf *response)
{
    static const char *const words[] = {"FETCH ", NULL};
    return is_untagged(response, words);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* How much of a line past line_bytes_max is kept: all of what is as long as the folder has
 * messages, nothing of a FETCH. Anything else is refused, and each of these when it does not end
 * either. */
static enum err take_long_line(struct imapc_wire *wire, struct fault *fault, struct assembly *made)
{
    static const char *const numbers[] = {"SEARCH ", "ESEARCH ", "SORT ", "VANISHED ", NULL};
    const struct backend_world *world = wire->world;
    uint64_t most = larger(world->line_bytes_max, world->literal_bytes_max);
    bool is_numbers = is_untagged(&wire->response, numbers);
    if (!is_numbers && !is_fetch(&wire->response))
        return imapc_limit_passed(wire, fault, LIMIT_LINE);
    if (made->line_bytes > most)
        return imapc_limit_passed(wire, fault, is_numbers ? LIMIT_NUMBERS : LIMIT_LINE);
    made->cut |= !is_numbers;
    return OK;
}

/* The next bytes of a line, up to the cap; what was kept of it tells what it is. */
static enum err take_line_bytes(struct imapc_wire *wire, struct fault *fault, struct assembly *made,
                                const char *from, size_t length)
{
    uint64_t most = wire->world->line_bytes_max;
    size_t room = made->line_bytes < most ? (size_t)(most - made->line_bytes) : 0;
    size_t first = length < room ? length : room;
    if (!made->cut)
        buf_append(&wire->response, from, first);
    made->line_bytes += length;
    keep_tail(made, from, length);
    if (first == length)
        return OK;
    enum err err = take_long_line(wire, fault, made);
    if (!err && !made->cut)
        buf_append(&wire->response, from + first, length - first);
    return err;
}

static enum err read_line(struct imapc_wire *wire, struct fault *fault, struct assembly *made)
{
    made->tail_length = 0;
    for (;;) {
        if (wire->in_start == wire->in_end) {
            enum err err = wire_fill(wire, fault);
            if (err)
                return err;
        }
        const char *from = wire->in + wire->in_start;
        size_t available = wire->in_end - wire->in_start;
        const char *end = memchr(from, '\n', available);
        size_t take = end ? (size_t)(end - from) + 1 : available;
        wire->in_start += take;
        enum err err = take_line_bytes(wire, fault, made, from, take);
        if (err || end)
            return err;
    }
}

/* Does the line just read announce a literal? */
static bool announces_literal(const struct assembly *made, uint64_t *size, size_t *mark_length)
{
    size_t end = made->tail_length;
    while (end > 0 && (made->tail[end - 1] == '\n' || made->tail[end - 1] == '\r'))
        end--;
    if (end == 0 || made->tail[end - 1] != '}')
        return false;
    size_t open = end - 1;
    while (open > 0 && made->tail[open - 1] != '{')
        open--;
    if (open == 0)
        return false;
    size_t digits_end = end - 1;
    if (digits_end > open && made->tail[digits_end - 1] == '+')
        digits_end--;
    *mark_length = made->tail_length - (open - 1);
    size_t digits = digits_end - open;
    if (digits == 0 || strspn(made->tail + open, "0123456789") < digits)
        return false;
    if (!text_to_u64(made->tail + open, digits, UINT64_MAX, size))
        *size = UINT64_MAX; /* which is over every limit */
    return true;
}

/* Status responses end in text for people, which may look like anything. */
static bool may_hold_literals(const struct buf *response)
{
    static const char *const texts[] = {"OK ", "NO ", "BAD ", "BYE ", "PREAUTH ", NULL};
    return response->length >= 3 && memcmp(response->data, "* ", 2) == 0 &&
           !is_untagged(response, texts);
}

/* Is the literal whose mark ends the buffer the value of BODY[..], BODY[..]<0> or BINARY[..]? */
static bool is_content(const struct buf *response, size_t mark_length)
{
    size_t at = response->length - mark_length;
    if (at > 0 && response->data[at - 1] == '~')
        at--;
    while (at > 0 && response->data[at - 1] == ' ')
        at--;
    return at > 0 && (response->data[at - 1] == ']' || response->data[at - 1] == '>');
}

static enum err read_bytes(struct imapc_wire *wire, struct fault *fault, char *out, uint64_t wanted,
                           size_t *got)
{
    size_t held = wire->in_end - wire->in_start;
    if (held > 0) {
        *got = held < wanted ? held : (size_t)wanted;
        *got = *got < CONTENT_BYTES ? *got : CONTENT_BYTES;
        memcpy(out, wire->in + wire->in_start, *got);
        wire->in_start += *got;
        return OK;
    }
    size_t ask = wanted < CONTENT_BYTES ? (size_t)wanted : CONTENT_BYTES;
    ssize_t read = stream_read(wire->stream, out, ask);
    if (read < 0)
        return imapc_limit_explain(wire, fault);
    *got = (size_t)read;
    return OK;
}

/* Reads `size` bytes into the sink, or away when there is none. */
static enum err pass_literal(struct imapc_wire *wire, struct fault *fault, uint64_t size,
                             struct sink *sink)
{
    char *chunk = xalloc(CONTENT_BYTES);
    enum err err = OK;
    while (size > 0 && !err) {
        size_t got = 0;
        err = read_bytes(wire, fault, chunk, size, &got);
        if (err)
            break;
        size -= got;
        if (!sink || wire->sink_error)
            continue;
        wire->sink_error = sink_write(sink, chunk, got);
        bool ours = wire->range && wire->range->done;
        if (wire->sink_error && !ours && size > DRAIN_BYTES) {
            wire->dead = true;
            err = ERR_CANCELLED;
        }
    }
    free(chunk);
    return err;
}

static enum err keep_literal(struct imapc_wire *wire, struct fault *fault, uint64_t size)
{
    while (size > 0) {
        if (wire->in_start == wire->in_end) {
            enum err err = wire_fill(wire, fault);
            if (err)
                return err;
        }
        size_t held = wire->in_end - wire->in_start;
        size_t take = held < size ? held : (size_t)size;
        buf_append(&wire->response, wire->in + wire->in_start, take);
        wire->in_start += take;
        size -= take;
    }
    return OK;
}

static enum err read_literal(struct imapc_wire *wire, struct fault *fault, struct assembly *made,
                             uint64_t size, size_t mark_length)
{
    const struct backend_world *world = wire->world;
    if (!made->cut && wire->body_sink && is_content(&wire->response, mark_length)) {
        struct sink *sink = wire->body_sink;
        if (size > world->command_bytes_max)
            return imapc_limit_passed(wire, fault, LIMIT_CONTENT);
        wire->body_sink = NULL;
        made->streamed = true;
        made->streamed_bytes = size;
        wire->response.length -= mark_length;
        buf_text(&wire->response, "\"\"");
        sink_expect(sink, size);
        return pass_literal(wire, fault, size, sink);
    }
    bool is_over =
        size > world->literal_bytes_max || made->literal_bytes + size > world->literal_bytes_max;
    if (is_over && (size > world->answer_bytes_max || !is_fetch(&wire->response)))
        return imapc_limit_passed(wire, fault, LIMIT_LITERAL);
    made->literal_bytes += size;
    made->cut |= is_over;
    return made->cut ? pass_literal(wire, fault, size, NULL) : keep_literal(wire, fault, size);
}

static struct imapc_span next_word(struct imapc_span *rest)
{
    const char *at = rest->text, *end = at + rest->length;
    while (at < end && *at == ' ')
        at++;
    const char *from = at;
    while (at < end && *at != ' ' && *at != '(')
        at++;
    while (rest->text < at) {
        rest->text++;
        rest->length--;
    }
    struct imapc_span word = {from, (size_t)(at - from)};
    if (rest->length > 0 && *rest->text == ' ') {
        rest->text++;
        rest->length--;
    }
    return word;
}

/* "* 12 FETCH (..." into its parts; false when it is no response at all. */
static bool split_response(struct imapc_response *out, struct imapc_span line)
{
    uint64_t number = 0;
    while (line.length > 0 &&
           (line.text[line.length - 1] == '\n' || line.text[line.length - 1] == '\r'))
        line.length--;
    if (line.length > 0 && line.text[0] == '+') {
        out->kind = RESPONSE_CONTINUE;
        out->rest = (struct imapc_span){line.text + 1, line.length - 1};
        return true;
    }
    out->rest = line;
    struct imapc_span tag = next_word(&out->rest);
    if (imapc_span_is(tag, "*")) {
        out->kind = RESPONSE_UNTAGGED;
    } else if (tag.length > 1 && tag.text[0] == 'a' &&
               text_to_u64(tag.text + 1, tag.length - 1, UINT32_MAX, &number)) {
        out->kind = RESPONSE_TAGGED;
        out->tag = (uint32_t)number;
    } else {
        return false;
    }
    out->word = next_word(&out->rest);
    if (out->kind == RESPONSE_UNTAGGED && imapc_span_number(out->word, UINT32_MAX, &number)) {
        out->has_number = true;
        out->number = (uint32_t)number;
        out->word = next_word(&out->rest);
    }
    return true;
}

enum err imapc_wire_read(struct imapc_wire *wire, struct fault *fault, struct imapc_response *out)
{
    struct assembly made = {0};
    uint64_t size;
    size_t mark_length;
    if (wire->response.capacity > KEPT_BYTES)
        buf_clear(&wire->response);
    buf_reset(&wire->response);
    enum err err = read_line(wire, fault, &made);
    while (!err && may_hold_literals(&wire->response) &&
           announces_literal(&made, &size, &mark_length)) {
        err = read_literal(wire, fault, &made, size, mark_length);
        if (!err)
            err = read_line(wire, fault, &made);
    }
    if (err)
        return err;
    *out = (struct imapc_response){
        .cut = made.cut,
        .streamed = made.streamed,
        .streamed_bytes = made.streamed_bytes,
    };
    struct imapc_span line = {wire->response.data, wire->response.length};
    if (line.length > 0 && split_response(out, line))
        return OK;
    wire->dead = true;
    return fault_set(fault, ERR_PROTOCOL, "the mail server sent a line that is no IMAP response");
}

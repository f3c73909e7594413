/* imap_run.c - the one place that writes commands, and the loop that awaits their tags.
 *
 * What callers have checked is looked at once more as it is written: a byte that could end a
 * command is never sent, nor is any other command of that exchange.
 *
 * Several commands may be under way (RFC 3501 5.5); what comes untagged goes to the exchange's
 * handler, and what nobody asked for is kept account of in imap_harvest.c. Nothing is sent twice.
 * After a tagged NO the connection is usable; after a parse failure, a BAD or a BYE it is dead.
 */
#include "imap.h"
#include "text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED_DRAIN_BYTES (4u * 1024u * 1024u) /* read away after a sink's refusal */
#define LITERAL_MINUS_BYTES 4096u                /* RFC 7888 */
#define TEXT_BYTES_MAX      4096u                /* kept of what a server says to people */

enum err imapc_die(struct imapc *imap, enum err err, const char *detail)
{
    imap->wire.dead = true;
    return fault_set(&imap->call->fault, err, "%s", detail);
}

enum err imapc_begin(struct imapc *imap, struct call *call, struct imapc_handler *handler)
{
    imap->call = call;
    imap->handler = handler;
    imap->sent_count = imap->open_count = imap->unasked = imap->asked = 0;
    imap->failure = OK;
    imap->unsendable = false;
    imap->refusal = imap->challenge = NULL;
    imap->wire.body_sink = NULL;
    imap->wire.sink_error = OK;
    arena_clear(&imap->scratch);
    buf_clear(&imap->wire.out); /* what a failed exchange left unsent */
    if (imap->wire.dead) {
        enum err err = stream_failure(imap->wire.stream, &call->fault);
        return err ? err
                   : fault_set(&call->fault, ERR_UNREACHABLE,
                               "the connection to the mail server was given up");
    }
    imapc_limit_begin(&imap->wire, call->deadline_ms);
    return OK;
}

static bool is_printable(const char *text)
{
    while (*text >= 0x20 && *text < 0x7f)
        text++;
    return *text == '\0';
}

static void put_printable(struct imapc *imap, const char *text)
{
    imap->unsendable |= !is_printable(text);
    buf_text(&imap->wire.out, text);
}

static void command_start(struct imapc *imap, const char *name, bool tolerant)
{
    assert(imap->sent_count < IMAPC_PIPELINE_MAX);
    struct imapc_sent *sent = &imap->sent[imap->sent_count++];
    *sent = (struct imapc_sent){.name = name, .tag = ++imap->next_tag, .tolerant = tolerant};
    imap->open_count++;
    buf_printf(&imap->wire.out, "a%u ", sent->tag);
    put_printable(imap, name);
}

void imapc_command(struct imapc *imap, const char *name)
{
    command_start(imap, name, false);
}

void imapc_command_tolerant(struct imapc *imap, const char *name)
{
    command_start(imap, name, true);
}

void imapc_word(struct imapc *imap, const char *text)
{
    buf_char(&imap->wire.out, ' ');
    put_printable(imap, text);
}

void imapc_command_end(struct imapc *imap)
{
    buf_text(&imap->wire.out, "\r\n");
}

void imapc_reply(struct imapc *imap, const char *text)
{
    put_printable(imap, text);
    imapc_command_end(imap);
}

static bool fits_quoted(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
            return false;
    return length <= 1000;
}

static enum err run_until(struct imapc *imap, bool to_challenge);

static enum err send_literal(struct imapc *imap, const char *text, size_t length)
{
    bool at_once = (imap->extra & EXTRA_LITERAL_PLUS) ||
                   ((imap->extra & EXTRA_LITERAL_MINUS) && length <= LITERAL_MINUS_BYTES);
    buf_printf(&imap->wire.out, at_once ? "{%zu+}\r\n" : "{%zu}\r\n", length);
    if (!at_once) {
        imap->challenge = NULL;
        enum err err = run_until(imap, true);
        if (err)
            return err;
        if (!imap->challenge && imap->failure)
            return imap->failure;
        if (!imap->challenge && imap->sent[imap->sent_count - 1].status == STATUS_NO)
            return ERR_REFUSED; /* of a tolerant command: an answer, given early */
        if (!imap->challenge)
            return imapc_die(imap, ERR_PROTOCOL, "the mail server ended a command half sent");
    }
    buf_append(&imap->wire.out, text, length);
    return OK;
}

enum err imapc_astring(struct imapc *imap, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        imap->unsendable |= text[i] == '\r' || text[i] == '\n' || text[i] == '\0';
    buf_char(&imap->wire.out, ' ');
    if (!fits_quoted(text, length))
        return send_literal(imap, text, length);
    buf_char(&imap->wire.out, '"');
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\')
            buf_char(&imap->wire.out, '\\');
        buf_char(&imap->wire.out, text[i]);
    }
    buf_char(&imap->wire.out, '"');
    return OK;
}

enum imapc_status imapc_status_of(const struct imapc *imap, uint32_t index)
{
    assert(index < imap->sent_count);
    return imap->sent[index].status;
}

static struct imapc_sent *find_sent(struct imapc *imap, uint32_t tag)
{
    for (uint32_t i = 0; i < imap->sent_count; i++)
        if (imap->sent[i].tag == tag && imap->sent[i].status == STATUS_PENDING)
            return &imap->sent[i];
    return NULL;
}

static void note_refusal(struct imapc *imap, const struct imapc_sent *sent, struct imapc_span text)
{
    struct imapc_span human = imapc_code_skip(text);
    struct fault *fault = &imap->call->fault;
    if (sent->tolerant || imap->failure)
        return;
    int retry_after_s = 0;
    enum err err = imapc_code_error(text, ERR_REFUSED, &retry_after_s);
    fault_reply(fault, "imap", human.text, (uint32_t)human.length);
    imap->failure = fault_set(fault, err, "the mail server refused %s", sent->name);
    if (retry_after_s)
        fault->retry_after_s = retry_after_s;
}

/* Enough for any code and sentence, and for the error document of a refused token. */
static char *keep_text(struct imapc *imap, struct imapc_span text)
{
    size_t length = text.length < TEXT_BYTES_MAX ? text.length : TEXT_BYTES_MAX;
    return arena_strndup(&imap->scratch, text.text, length);
}

static enum err take_tagged(struct imapc *imap, const struct imapc_response *response)
{
    struct imapc_sent *sent = find_sent(imap, response->tag);
    if (!sent)
        return imapc_die(imap, ERR_PROTOCOL, "the mail server answered a command nobody sent");
    imap->open_count--;
    if (imapc_span_is(response->word, "OK")) {
        sent->status = STATUS_OK;
        imapc_harvest(imap, response);
        return OK;
    }
    sent->status = STATUS_NO;
    imap->refusal = keep_text(imap, response->rest);
    if (imapc_span_is(response->word, "NO") || sent->tolerant) {
        note_refusal(imap, sent, response->rest);
        return OK;
    }
    struct imapc_span human = imapc_code_skip(response->rest);
    fault_reply(&imap->call->fault, "imap", human.text, (uint32_t)human.length);
    imap->wire.dead = true;
    return fault_set(&imap->call->fault, ERR_PROTOCOL, "the mail server did not understand %s",
                     sent->name);
}

static enum err take_bye(struct imapc *imap, const struct imapc_response *response)
{
    int retry_after_s = 0;
    enum err err = imapc_code_error(response->rest, ERR_UNREACHABLE, &retry_after_s);
    struct imapc_span human = imapc_code_skip(response->rest);
    fault_reply(&imap->call->fault, "imap", human.text, (uint32_t)human.length);
    err = imapc_die(imap, err == ERR_BUSY ? err : ERR_UNREACHABLE,
                    "the mail server ended the session");
    imap->call->fault.retry_after_s = retry_after_s;
    return err;
}

/* Each command can be answered with every message once, or every folder twice (LIST, STATUS); how
 * many there are is the server's own word, so mail_answer_bytes_max stands behind this. */
static bool is_asked_too_often(struct imapc *imap, bool is_fetch)
{
    const struct backend_world *world = imap->wire.world;
    uint64_t each = is_fetch ? imap->facts.exists : 2ull * world->folders_max;
    return ++imap->asked > imap->sent_count * each + world->untagged_max;
}

static enum err take_untagged(struct imapc *imap, const struct imapc_response *response, bool muted)
{
    bool is_fetch = response->has_number && imapc_span_is(response->word, "FETCH");
    bool mine = false;
    enum err err = OK;
    if (imapc_span_is(response->word, "BYE"))
        return take_bye(imap, response);
    imapc_harvest(imap, response);
    if (imap->handler && !muted)
        err = imap->handler->untagged(imap->handler, response, &mine);
    if (muted || err)
        return err;
    if (!mine && is_fetch)
        imapc_touch(imap, response->number);
    if (mine ? is_asked_too_often(imap, is_fetch)
             : ++imap->unasked > imap->wire.world->untagged_max)
        return imapc_limit_passed(&imap->wire, &imap->call->fault, LIMIT_UNASKED);
    return OK;
}

/* Until every tag is back, or the server waits for more (to_challenge). */
static enum err run_until(struct imapc *imap, bool to_challenge)
{
    struct fault *fault = &imap->call->fault;
    if (imap->unsendable || imap->wire.out.overflowed)
        return imapc_die(imap, ERR_INTERNAL, "a command would have held what none may");
    enum err refused = OK, err = imapc_wire_flush(&imap->wire, fault);
    uint64_t drain_until = UINT64_MAX;
    while (!err && imap->open_count > 0) {
        struct imapc_response response;
        arena_clear(&imap->reply);
        err = imapc_wire_read(&imap->wire, fault, &response);
        if (err)
            break;
        if (response.kind == RESPONSE_CONTINUE) {
            if (!to_challenge)
                return imapc_die(imap, ERR_PROTOCOL, "the mail server waits for what is not due");
            imap->challenge = keep_text(imap, response.rest);
            return OK;
        }
        if (response.kind == RESPONSE_TAGGED) {
            err = take_tagged(imap, &response);
            if (to_challenge && imap->failure)
                break;
            continue;
        }
        enum err told = take_untagged(imap, &response, refused != OK);
        if (told && (imap->wire.dead || err_kills_connection(told)))
            err = told;
        else if (told && !refused) {
            refused = told;
            drain_until = stream_bytes_in(imap->wire.stream) + REFUSED_DRAIN_BYTES;
        }
        if (refused && stream_bytes_in(imap->wire.stream) > drain_until)
            err = ERR_CANCELLED;
    }
    if (err) {
        imap->wire.dead = true;
        return err;
    }
    return refused;
}

enum err imapc_run(struct imapc *imap)
{
    enum err err = run_until(imap, false);
    if (err)
        return err;
    return imap->wire.sink_error ? imap->wire.sink_error : imap->failure;
}

enum err imapc_run_to_challenge(struct imapc *imap, bool *challenged)
{
    imap->challenge = NULL;
    enum err err = run_until(imap, true);
    *challenged = imap->challenge != NULL;
    return err ? err : imap->failure;
}

enum err imapc_simple(struct imapc *imap, struct call *call, struct imapc_handler *handler,
                      const char *name, const char *arguments)
{
    enum err err = imapc_begin(imap, call, handler);
    if (err)
        return err;
    imapc_command(imap, name);
    if (arguments)
        imapc_word(imap, arguments);
    imapc_command_end(imap);
    return imapc_run(imap);
}

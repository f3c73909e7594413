/* proxy_run.c - one call through the wall: the request out, answers in, until its end.
 *
 * The worker is told the deadline and keeps it, because it can say what it was waiting for; this
 * side waits a little longer and then gives the connection up. The berth stays busy unless an end
 * was seen: a worker that crashes over what this connection brought is then known to have been
 * serving it, however late the crash is noticed.
 */
#include "proxy.h"

#include <stdlib.h>
#include <sys/socket.h>

#define GRACE_MS            2000
#define REFUSED_DRAIN_BYTES (1024u * 1024u) /* read away after a sink's refusal */

/* Tells the worker to stop; the descriptor stays until close, for poll(). */
static void hang_up(struct walled *self)
{
    shutdown(self->channel.fd, SHUT_RDWR);
}

enum err proxy_accuse(struct exchange *exchange, const char *what)
{
    crew_accuse(exchange->self->berth, what);
    exchange->self->backend.dead = true;
    return fault_set(&exchange->call->fault, ERR_WORKER,
                     "the process that spoke with the mail server gave an answer that cannot be, "
                     "and was ended");
}

static bool is_cancelled(struct walled *self)
{
    return __atomic_load_n(&self->cancelled, __ATOMIC_ACQUIRE);
}

/* The channel gave no frame: why, for a person. */
static enum err lose(struct exchange *exchange, enum err err)
{
    struct fault *fault = &exchange->call->fault;
    if (is_cancelled(exchange->self) || err == ERR_CANCELLED)
        return fault_set(fault, ERR_CANCELLED, "the work was cancelled");
    if (err == ERR_TIMEOUT) /* an honest one would have said so itself: the host is not to blame */
        return fault_set(fault, ERR_WORKER,
                         "the process that speaks with the mail server did not answer in time");
    if (err == ERR_PROTOCOL)
        return proxy_accuse(exchange, "a frame of no kind or size that exists");
    exchange->self->lost = true;
    return fault_set(fault, ERR_WORKER, "the process that spoke with the mail server ended");
}

static enum err finish(struct exchange *exchange, const struct answer *answer)
{
    struct call *call = exchange->call;
    struct walled *self = exchange->self;
    enum err err = answer->err;
    crew_busy(self->berth, false);
    if (err_kills_connection(err))
        self->backend.dead = true;
    if (exchange->refused)
        return exchange->refused;
    if (!err)
        return proxy_conclude(exchange, answer->number);
    if (call->fault.code == OK)
        call->fault = answer->fault;
    return err;
}

/* After a refusal: only the end is looked at. */
static enum err drain(struct exchange *exchange, const struct frame *frame)
{
    exchange->drained += FRAME_HEADER_BYTES + frame->length;
    bool kills = err_kills_connection(exchange->refused);
    if (!kills && exchange->drained <= REFUSED_DRAIN_BYTES)
        return OK;
    return exchange->bytes && !kills ? ERR_CANCELLED : exchange->refused; /* as backend.h has it */
}

static enum err take_frame(struct exchange *exchange, const struct frame *frame, bool *ended)
{
    struct answer answer;
    if (frame->call != exchange->request.call)
        return proxy_accuse(exchange, "an answer to another call");
    if (exchange->refused && frame->kind != FRAME_END)
        return drain(exchange, frame);
    arena_clear(&exchange->arena);
    if (!take_answer(frame, exchange->request.kind, &exchange->arena, &answer))
        return proxy_accuse(exchange, "an answer that breaks its form");
    *ended = answer.kind == FRAME_END;
    if (*ended)
        return finish(exchange, &answer);
    enum err err = proxy_deliver(exchange, &answer);
    return err || !exchange->refused ? err : drain(exchange, &(struct frame){0});
}

static enum err read_answers(struct exchange *exchange, const struct channel_wait *wait,
                             bool *ended)
{
    struct frame frame;
    enum err err = OK;
    while (!err && !*ended) {
        err = channel_read(&exchange->self->channel, wait, FRAME_FACTS, FRAME_ANSWERS_END, &frame);
        err = err ? lose(exchange, err) : take_frame(exchange, &frame, ended);
    }
    return err;
}

static enum err exchange_frames(struct exchange *exchange)
{
    struct walled *self = exchange->self;
    int64_t deadline_ms = exchange->call->deadline_ms;
    struct channel_wait wait = {.deadline_ms = deadline_ms < DEADLINE_NONE - GRACE_MS
                                                   ? deadline_ms + GRACE_MS
                                                   : DEADLINE_NONE,
                                .cancelled = exchange->cancelled};
    crew_busy(self->berth, true);
    bool ended = false;
    arena_init(&exchange->arena);
    enum err err = channel_flush(&self->channel, &wait);
    err = err ? lose(exchange, err) : read_answers(exchange, &wait, &ended);
    self->backend.dead |= !ended;
    if (self->backend.dead)
        hang_up(self);
    arena_clear(&exchange->arena);
    free(exchange->ranges);
    exchange->ranges = NULL;
    return err;
}

enum err proxy_run(struct exchange *exchange)
{
    struct walled *self = exchange->self;
    struct request *request = &exchange->request;
    struct fault *fault = &exchange->call->fault;
    bool is_open = request->kind == FRAME_OPEN;
    if (is_cancelled(self))
        return fault_set(fault, ERR_CANCELLED, "the work was cancelled");
    if (self->backend.dead)
        return fault_set(fault, ERR_UNREACHABLE, "the connection to the mail server was given up");
    request->call = ++self->last_call;
    request->deadline_ms = exchange->call->deadline_ms;
    enum err err = put_request(&self->channel.out, request);
    if (err) {
        channel_rest(&self->channel, is_open);
        self->backend.dead = true; /* the code says so */
        return fault_set(fault, err, "the request is too large");
    }
    err = exchange_frames(exchange);
    bool at_rest = channel_rest(&self->channel, is_open);
    if (at_rest || self->backend.dead)
        return err;
    fault_clear(fault); /* of what came before, nothing is believed */
    err = proxy_accuse(exchange, "bytes behind the end of a call");
    hang_up(self);
    return err;
}

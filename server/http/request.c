/* request.c - libmicrohttpd's calls for one request, in order: open (the raw target), begin
 * (headers known), upload, hand over, queue, close. All on the HTTP thread.
 *
 * An answer is never queued in the first call unless it is a refusal: libmicrohttpd then closes the
 * connection. An answer that is there when `handle` returns is queued at once; else the connection
 * is suspended, and whoever comes last to `gate` - we with PARKED, the worker with ANSWERED -
 * resumes it.
 */
#include "door.h"

#include "clock.h"

#include <assert.h>
#include <string.h>

static void copy_target(struct exchange *exchange, const char *uri)
{
    exchange->target_length = strlen(uri);
    if (exchange->target_length > HTTP_URI_MAX_BYTES) {
        exchange->path = "/";
        exchange->query = "";
        return;
    }
    char *path = arena_strndup(&exchange->arena, uri, exchange->target_length);
    for (const char *at = path; *at; at++)
        exchange->target_is_bad |= *at <= ' ' || *at > '~' || *at == '#';
    char *mark = strchr(path, '?');
    if (mark)
        *mark = '\0';
    exchange->path = path;
    exchange->query = mark ? mark + 1 : "";
}

void *request_open(void *argument, const char *uri, struct MHD_Connection *connection)
{
    struct peer *peer = peer_of(connection);
    struct exchange *exchange = &peer->exchange;
    *exchange = (struct exchange){.server = argument, .peer = peer, .connection = connection};
    arena_init(&exchange->arena);
    copy_target(exchange, uri);
    peer_enter(peer, PHASE_HEADERS);
    return exchange;
}

static enum MHD_Result queue_answer(struct exchange *exchange)
{
    struct MHD_Response *response = exchange->response;
    exchange->response = NULL;
    exchange->stage = STAGE_QUEUED;
    /* What a client pipelined before it left must not be done. */
    if (atomic_load(&exchange->gate) & GATE_LEFT)
        MHD_add_response_header(response, "Connection", "close");
    peer_enter(exchange->peer, PHASE_SENDING);
    enum MHD_Result result =
        MHD_queue_response(exchange->connection, (unsigned)exchange->status, response);
    MHD_destroy_response(response);
    return result;
}

static bool is_answered(const struct exchange *exchange)
{
    return atomic_load(&exchange->gate) & GATE_ANSWERED;
}

static void refuse(struct exchange *exchange, const struct fault *fault)
{
    const struct http_handler *handler = &exchange->server->handler;
    handler->refuse(handler->app, exchange, fault);
    assert(is_answered(exchange));
}

static enum err admit(struct exchange *exchange, const char *method, const char *version,
                      struct fault *fault)
{
    const struct http_handler *handler = &exchange->server->handler;
    enum err err = admission_check(exchange, method, version, fault);
    if (err)
        return err;
    if (atomic_load(&exchange->server->quiesced))
        return fault_set(fault, ERR_SHUTTING_DOWN, "the server is stopping");
    size_t limit = handler->admit(handler->app, exchange);
    buf_init_secret(&exchange->body, limit); /* sign-ins come in bodies */
    if (exchange->content_length > limit)
        return fault_set(fault, ERR_TOO_LARGE, "the body may have %zu bytes here", limit);
    return OK;
}

static enum MHD_Result begin(struct exchange *exchange, const char *method, const char *version)
{
    struct http_server *server = exchange->server;
    exchange->stage = STAGE_BODY;
    exchange->announced = true;
    exchange->started_us = clock_now_us();
    pthread_mutex_lock(&server->lock);
    server->exchanges_open++;
    pthread_mutex_unlock(&server->lock);

    struct fault fault;
    fault_clear(&fault);
    if (admit(exchange, method, version, &fault) == OK) {
        peer_enter(exchange->peer, PHASE_BODY);
        return MHD_YES;
    }
    exchange->body_unread = true;
    refuse(exchange, &fault);
    return is_answered(exchange) ? queue_answer(exchange) : MHD_NO;
}

static void hand_over(struct exchange *exchange)
{
    const struct http_handler *handler = &exchange->server->handler;
    if (exchange->body.overflowed) {
        struct fault fault;
        fault_clear(&fault);
        fault_set(&fault, ERR_TOO_LARGE, "the body may have %zu bytes here",
                  exchange->body.max_bytes);
        refuse(exchange, &fault);
    } else if (cors_is_preflight(exchange)) {
        cors_answer_preflight(exchange);
    } else {
        handler->handle(handler->app, exchange);
    }
}

static enum MHD_Result complete(struct exchange *exchange)
{
    if (exchange->stage == STAGE_BODY) {
        exchange->stage = STAGE_HANDED;
        peer_enter(exchange->peer, PHASE_HANDED);
        hand_over(exchange);
    }
    if (is_answered(exchange))
        return queue_answer(exchange);
    MHD_suspend_connection(exchange->connection);
    peer_enter(exchange->peer, PHASE_AWAIT);
    if (atomic_fetch_or(&exchange->gate, GATE_PARKED) & GATE_ANSWERED)
        MHD_resume_connection(exchange->connection);
    return MHD_YES;
}

enum MHD_Result request_continue(void *argument, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **request)
{
    struct exchange *exchange = *request;
    (void)argument;
    (void)connection;
    (void)url;
    if (exchange->stage == STAGE_NEW)
        return begin(exchange, method, version);
    if (exchange->stage == STAGE_QUEUED)
        return MHD_YES;
    if (*upload_size == 0)
        return complete(exchange);
    size_t length = *upload_size;
    *upload_size = 0;
    return upload_take(exchange, upload, length);
}

static void announce_done(struct exchange *exchange, enum MHD_RequestTerminationCode reason)
{
    struct http_server *server = exchange->server;
    /* What part of a cut answer went out is known only where our own reader gave it. */
    bool whole = reason == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    bool sent = exchange->method != HTTP_HEAD && (whole || exchange->pipe);
    stream_release(exchange);
    server->handler.done(server->handler.app, exchange, exchange->status,
                         sent ? exchange->body_bytes : 0, clock_now_us() - exchange->started_us);
}

void request_close(void *argument, struct MHD_Connection *connection, void **request,
                   enum MHD_RequestTerminationCode reason)
{
    struct http_server *server = argument;
    struct exchange *exchange = *request;
    (void)connection;
    *request = NULL;
    if (!exchange)
        return;
    peer_enter(exchange->peer, PHASE_IDLE); /* the attendant starts nothing new from here on */
    bool announced = exchange->announced;
    if (announced) {
        pthread_mutex_lock(&server->lock);
        while (exchange->leaving)
            pthread_cond_wait(&server->changed, &server->lock);
        pthread_mutex_unlock(&server->lock);
        announce_done(exchange, reason);
    }
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    exchange->response = NULL;
    exchange->announced = false;
    buf_clear(&exchange->body);
    arena_clear(&exchange->arena);
    if (!announced)
        return;
    pthread_mutex_lock(&server->lock);
    if (--server->exchanges_open == 0)
        pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

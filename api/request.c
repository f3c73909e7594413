/* request.c - owners, steps and replies. The lock settles who comes first: the client that leaves,
 * or the task that ends. */
#include "request.h"
#include "clock.h"
#include "problem.h"
#include "record.h"
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const source_names[SOURCE_COUNT] = {[SOURCE_NONE] = "",
                                                       [SOURCE_LIVE] = "live",
                                                       [SOURCE_MIRROR] = "mirror",
                                                       [SOURCE_STALE] = "stale"};

struct request *request_new(struct api *api, struct exchange *exchange)
{
    struct request *request = xalloc(sizeof *request);
    request->api = api;
    request->exchange = exchange;
    request->owners = 1;
    arena_init(&request->arena);
    pthread_mutex_init(&request->lock, NULL);
    request->task.call.arena = &request->arena;
    request->task.call.deadline_ms = clock_now_ms() + api->config.request_timeout_ms;
    return request;
}

void request_drop(struct request *request)
{
    pthread_mutex_lock(&request->lock);
    int owners = --request->owners;
    pthread_mutex_unlock(&request->lock);
    if (owners)
        return;
    if (request->session)
        session_give(&request->session);
    pthread_mutex_destroy(&request->lock);
    arena_clear(&request->arena);
    free(request);
}

/* stale-if-error: only what the mirror knows, and only because the mail server cannot be asked. */
static bool request_excuses(struct request *request)
{
    const struct fault *fault = &request_call(request)->fault;
    struct fault refused = {.code = OK};
    bool asks = request->task.need == NEED_FOLDER || request->task.need == NEED_FOLDERS;
    bool weather = fault->code == ERR_UNREACHABLE || fault->code == ERR_TIMEOUT ||
                   fault->code == ERR_TLS || fault->code == ERR_PROTOCOL ||
                   fault->code == ERR_WORKER || fault->code == ERR_BUSY;
    if (!asks || !weather || request->freshness.stale_if_error_s < 0 ||
        seat_check(request->seat, &refused) != OK)
        return false;
    request->excused = *fault;
    fault_clear(&request_call(request)->fault);
    return true;
}

static void request_step_run(struct task *task)
{
    struct request *request = (struct request *)((char *)task - offsetof(struct request, task));
    bool takes_fault = request->takes_fault;
    request->on_worker = true;
    request->takes_fault = false;
    if (task->call.fault.code != OK && !takes_fault && !request_excuses(request))
        request_fail(request);
    else
        request->next(request);
}

void request_need(struct request *request, enum task_need need, int64_t folder, request_step *next)
{
    struct task *task = &request->task;
    request->next = next;
    request->excused.code = OK;
    task->folder = folder;
    if (request->on_worker) {
        task->need = need;
        task_next(task, need, request_step_run);
        return;
    }
    task->seat = request->seat;
    task->need = need;
    task->step = request_step_run;
    /* On the HTTP thread: `done` cannot come before this returns, the last step can. */
    pthread_mutex_lock(&request->lock);
    request->active = true;
    request->owners++;
    task_submit(task);
    if (request->left)
        task_cancel(task);
    pthread_mutex_unlock(&request->lock);
}

void request_cancel(struct request *request)
{
    pthread_mutex_lock(&request->lock);
    request->left = true;
    if (request->active)
        task_cancel(&request->task);
    pthread_mutex_unlock(&request->lock);
}

void request_source(struct request *request, enum mail_source source, int64_t synced_ms)
{
    int64_t age_ms = source == SOURCE_LIVE ? 0 : clock_unix_ms() - synced_ms;
    if (source > request->source)
        request->source = source;
    if (age_ms / 1000 > request->age_s)
        request->age_s = age_ms / 1000;
}

void request_set_header(struct request *request, const char *name, const char *value)
{
    exchange_set_header(request->exchange, name, value);
}

/* From here on nobody cancels: the task is about to end. */
static void request_settle(struct request *request, enum err error)
{
    const struct call *call = request_call(request);
    pthread_mutex_lock(&request->lock);
    request->active = false;
    request->error = error;
    request->times = (struct request_times){call->queue_us, call->connect_us, call->upstream_us,
                                            call->mirror_us};
    pthread_mutex_unlock(&request->lock);
}

static void request_let_go(struct request *request)
{
    if (request->on_worker)
        request_drop(request);
}

static void set_common_headers(struct request *request)
{
    const struct call *call = request_call(request);
    char text[200];
    snprintf(text, sizeof text,
             "queue;dur=%.1f, connect;dur=%.1f, upstream;dur=%.1f, mirror;dur=%.1f, total;dur=%.1f",
             (double)call->queue_us / 1e3, (double)call->connect_us / 1e3,
             (double)call->upstream_us / 1e3, (double)call->mirror_us / 1e3,
             (double)(clock_now_us() - exchange_started_us(request->exchange)) / 1e3);
    request_set_header(request, "Server-Timing", text);
    /* No other site embeds what a browser would fetch with a remembered password. Scripts of the
     * configured origins ask by CORS, which this leaves alone. */
    request_set_header(request, "Cross-Origin-Resource-Policy", "same-origin");
    if (request->source == SOURCE_NONE || request->error)
        return;
    record_source(request->source);
    request_set_header(request, "X-Mail-Source", source_names[request->source]);
    snprintf(text, sizeof text, "%lld", (long long)request->age_s);
    request_set_header(request, "Age", text);
}

static void reply_bytes(struct request *request, int status, const char *type, char *data,
                        size_t length)
{
    struct exchange *exchange = request->exchange;
    set_common_headers(request);
    request->exchange = NULL;
    request_settle(request, request->error);
    exchange_reply_bytes(exchange, status, type, data, length);
    request_let_go(request);
}

void request_reply(struct request *request, int status, const char *type, struct buf *body)
{
    size_t length = body->length;
    if (body->overflowed) {
        buf_clear(body);
        fault_set(&request_call(request)->fault, ERR_TOO_LARGE, "the answer is too large");
        request_fail(request);
        return;
    }
    reply_bytes(request, status, type, buf_detach(body), length);
}

void request_reply_json(struct request *request, int status, struct buf *body)
{
    request_reply(request, status, JSON_TYPE, body);
}

void request_reply_text(struct request *request, int status, const char *type, const char *text)
{
    reply_bytes(request, status, type, xstrdup(text), strlen(text));
}

void request_reply_empty(struct request *request, int status)
{
    reply_bytes(request, status, NULL, NULL, 0);
}

static void set_challenge(struct request *request)
{
    request_set_header(request, "WWW-Authenticate",
                       request->api->config.default_host
                           ? "Bearer realm=\"postern\", Basic realm=\"postern\", charset=\"UTF-8\""
                           : "Bearer realm=\"postern\"");
}

void request_fail_with(struct request *request, const struct fault *fault)
{
    struct fault told = *fault, ended = {.code = OK};
    struct buf body;
    char seconds[16];
    if (told.code == OK)
        told.code = ERR_INTERNAL;
    /* Work is cut when its session ends; who asked for it is to sign in again. */
    if (told.code == ERR_CANCELLED && request->seat && seat_check(request->seat, &ended) != OK)
        told = ended;
    /* With Basic the mailbox's password is the credential of this very request. */
    if (told.code == ERR_LOGIN && request->is_basic)
        told.code = ERR_UNAUTHORIZED;
    const struct problem_row *row = problem_row(told.code);
    int retry_after_s = told.retry_after_s > 0 ? told.retry_after_s : row->retry_after_s;
    request->error = told.code;
    if (row->status == 401)
        set_challenge(request);
    if (retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%d", retry_after_s);
        request_set_header(request, "Retry-After", seconds);
    }
    request_set_header(request, "Cache-Control", "no-store");
    buf_init(&body, 64 * 1024);
    problem_put(&body, &told, exchange_request_id(request->exchange));
    request_reply(request, row->status, PROBLEM_TYPE, &body);
}

void request_fail(struct request *request)
{
    request_fail_with(request, &request_call(request)->fault);
}

void request_set_validator(struct request *request, const char *etag, const char *cache_control)
{
    request_set_header(request, "ETag", etag);
    request_set_header(request, "Cache-Control", cache_control);
}

bool request_not_modified(struct request *request, const char *etag, const char *cache_control)
{
    const char *known = exchange_header(request->exchange, "If-None-Match");
    if (!known || !http_etag_matches(known, etag))
        return false;
    request_set_validator(request, etag, cache_control);
    request_reply_empty(request, 304);
    return true;
}

void request_start_stream(struct request *request, int status, const char *type, struct pipe *pipe,
                          int64_t length)
{
    struct exchange *exchange = request->exchange;
    set_common_headers(request);
    request->exchange = NULL;
    exchange_reply_pipe(exchange, status, type, pipe, length);
}

void request_end_stream(struct request *request, struct pipe *pipe, enum err result)
{
    request_settle(request, result);
    pipe_end(pipe, result);
    pipe_drop(&pipe);
    request_let_go(request);
}

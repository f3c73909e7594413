/* api.c - from a complete HTTP request to its handler: route, parameters, Accept, sign-in. */
#include "api.h"
#include "auth.h"
#include "body.h"
#include "problem.h"
#include "record.h"
#include "routes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct api *api_new(const struct api_config *config)
{
    struct api *api = xalloc(sizeof *api);
    assert(config->sessions);
    api->config = *config;
    body_init();
    return api;
}

void api_free(struct api **api)
{
    if (*api)
        explicit_bzero(*api, sizeof **api);
    free(*api);
    *api = NULL;
}

void api_set_server(struct api *api, struct http_server *server)
{
    api->server = server;
}

static struct request *request_of(struct api *api, struct exchange *exchange)
{
    struct request *request = exchange_app_data(exchange);
    if (!request) {
        request = request_new(api, exchange);
        exchange_set_app_data(exchange, request);
    }
    return request;
}

/* A body that nobody wants is refused before it is sent; where there is no route, the answer is to
 * be 404 or 405 rather than that. */
static size_t api_admit(void *app, struct exchange *exchange)
{
    struct arena arena;
    const struct route *route = NULL;
    const char *values[PATH_VALUE_COUNT];
    char allow[ALLOW_BYTES];
    (void)app;
    arena_init(&arena);
    enum route_match match = route_find(exchange_method(exchange), exchange_path(exchange), &arena,
                                        &route, values, allow);
    arena_clear(&arena);
    return match == ROUTE_FOUND ? route->body_max_bytes : BODY_MAX_BYTES;
}

static enum err check_path(struct request *request, enum http_method method, bool *answered)
{
    struct fault *fault = &request_call(request)->fault;
    char allow[ALLOW_BYTES];
    enum route_match match = route_find(method, exchange_path(request->exchange), &request->arena,
                                        &request->route, request->path, allow);
    *answered = false;
    switch (match) {
    case ROUTE_FOUND: return OK;
    case ROUTE_BAD_ESCAPE:
        return fault_set(fault, ERR_INVALID, "the path is not percent-encoded UTF-8");
    case ROUTE_NO_PATH: return fault_set(fault, ERR_NOT_FOUND, "there is no such path");
    case ROUTE_NO_METHOD: break;
    }
    request_set_header(request, "Allow", allow);
    if (method != HTTP_OPTIONS)
        return fault_set(fault, ERR_METHOD, "this path knows %s", allow);
    *answered = true;
    request_reply_empty(request, 204);
    return OK;
}

static enum err check_accept(struct request *request)
{
    const char *accept = exchange_header(request->exchange, "Accept");
    const char *type = request->route->produces;
    if (type && accept && http_accept_quality(accept, type) == 0)
        return fault_set(&request_call(request)->fault, ERR_NOT_ACCEPTABLE, "this is %s only",
                         type);
    return OK;
}

/* The session's first seat when the path names no account. */
static enum err find_seat(struct request *request)
{
    struct fault *fault = &request_call(request)->fault;
    const char *account =
        request->route->access >= ACCESS_ACCOUNT ? request->path[PATH_ACCOUNT] : "me";
    struct fault none = {.code = OK};
    enum err err = session_seat(request->session, account, fault, &request->seat);
    if (err && request->route->access < ACCESS_ACCOUNT) { /* the last one was taken away */
        *fault = none;
        return OK;
    }
    if (err)
        fault_point(fault, "account");
    else
        memccpy(request->account_id, seat_account_id(request->seat), '\0', ACCOUNT_ID_BYTES - 1);
    return err;
}

static void dispatch_verified(struct request *request)
{
    struct fault *fault = &request_call(request)->fault;
    if (request->route->access == ACCESS_MAIL && seat_check(request->seat, fault))
        request_fail(request);
    else
        request->route->handle(request);
}

static enum err check_access(struct request *request)
{
    if (request->route->access == ACCESS_OPEN)
        return OK;
    enum err err = auth_session(request);
    return err ? err : find_seat(request);
}

static void dispatch(struct request *request)
{
    struct exchange *exchange = request->exchange;
    struct fault *fault = &request_call(request)->fault, unverified = {.code = OK};
    bool answered = false;
    enum err err = check_path(request, exchange_method(exchange), &answered);
    if (answered)
        return;
    if (!err)
        err = params_parse(exchange_query(exchange), request->route->params, &request->arena, fault,
                           &request->params);
    if (!err)
        err = check_accept(request);
    if (!err)
        err = check_access(request);
    if (err) {
        request_fail(request);
        return;
    }
    if (request->route->is_content)
        request_call(request)->deadline_ms =
            clock_now_ms() + request->api->config.content_timeout_ms;
    /* A Basic session begins unproven: the mail server is asked before anything is shown. */
    if (request->is_basic && request->seat && seat_check(request->seat, &unverified))
        request_need(request, NEED_CONNECTION, 0, dispatch_verified);
    else
        dispatch_verified(request);
}

static void api_handle(void *app, struct exchange *exchange)
{
    struct request *request = request_of(app, exchange);
    request->is_head = exchange_method(exchange) == HTTP_HEAD;
    freshness_parse(exchange_header(exchange, "Cache-Control"), &request->freshness);
    dispatch(request);
}

static void api_refuse(void *app, struct exchange *exchange, const struct fault *fault)
{
    struct request *request = request_of(app, exchange);
    char allow[ALLOW_BYTES];
    if (fault->code == ERR_METHOD) { /* a method nobody knows, on a path that somebody may */
        route_find(HTTP_OTHER, exchange_path(exchange), &request->arena, &request->route,
                   request->path, allow);
        request_set_header(request, "Allow", allow[0] ? allow : "OPTIONS");
    }
    request_fail_with(request, fault);
}

static void api_left(void *app, struct exchange *exchange)
{
    struct request *request = exchange_app_data(exchange);
    (void)app;
    if (request)
        request_cancel(request);
}

static void api_done(void *app, struct exchange *exchange, int status, uint64_t bytes,
                     int64_t duration_us)
{
    struct request *request = exchange_app_data(exchange);
    (void)app;
    if (!request) {
        record_request(exchange, NULL, status, bytes, duration_us);
        return;
    }
    exchange_set_app_data(exchange, NULL);
    request_cancel(request); /* a download whose reader is gone */
    pthread_mutex_lock(&request->lock);
    record_request(exchange, request, status, bytes, duration_us);
    pthread_mutex_unlock(&request->lock);
    request_drop(request);
}

void api_handler(struct api *api, struct http_handler *out)
{
    *out = (struct http_handler){
        .app = api,
        .admit = api_admit,
        .handle = api_handle,
        .refuse = api_refuse,
        .left = api_left,
        .done = api_done,
    };
}

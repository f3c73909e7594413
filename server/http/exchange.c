/* exchange.c - what the application may ask of a request. */
#include "door.h"

#include "text.h"

#include <string.h>

enum http_method exchange_method(const struct exchange *exchange)
{
    return exchange->method;
}

const char *exchange_method_name(const struct exchange *exchange)
{
    return exchange->method_name;
}

const char *exchange_path(const struct exchange *exchange)
{
    return exchange->path;
}

const char *exchange_query(const struct exchange *exchange)
{
    return exchange->query;
}

struct header_search {
    const char *name, *value;
    struct arena *arena;
};

/* Lines of one name are one list (RFC 9110, 5.3); admission let none through twice that is not. */
static enum MHD_Result join_lines(void *argument, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct header_search *search = argument;
    (void)kind;
    if (value && text_casecmp(name, search->name) == 0)
        search->value =
            search->value ? arena_printf(search->arena, "%s, %s", search->value, value) : value;
    return MHD_YES;
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    struct header_search search = {.name = name, .arena = &exchange->peer->exchange.arena};
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, join_lines, &search);
    return search.value;
}

const char *exchange_body(const struct exchange *exchange, size_t *length)
{
    *length = exchange->body.length;
    return exchange->body.data ? exchange->body.data : "";
}

const char *exchange_remote(const struct exchange *exchange)
{
    return exchange->peer->remote;
}

const char *exchange_request_id(const struct exchange *exchange)
{
    return exchange->request_id;
}

int64_t exchange_started_us(const struct exchange *exchange)
{
    return exchange->started_us;
}

void exchange_set_app_data(struct exchange *exchange, void *data)
{
    exchange->app_data = data;
}

void *exchange_app_data(const struct exchange *exchange)
{
    return exchange->app_data;
}

bool exchange_left(const struct exchange *exchange)
{
    return atomic_load(&exchange->gate) & GATE_LEFT;
}

/* From now on `left` may be told; the caller holds server->lock, which is let go for the call. The
 * exchange stays, for request_close waits until `leaving` is 0. */
void exchange_leave(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    unsigned before = atomic_fetch_or(&exchange->gate, GATE_LEFT);
    if (before & (GATE_ANSWERED | GATE_LEFT) || !server->handler.left)
        return;
    exchange->leaving++;
    pthread_mutex_unlock(&server->lock);
    server->handler.left(server->handler.app, exchange);
    pthread_mutex_lock(&server->lock);
    exchange->leaving--;
    pthread_cond_broadcast(&server->changed);
}

/* stream.c - answers that come through a pipe.
 *
 * The reader runs on the HTTP thread and never waits: on EMPTY the connection is suspended and the
 * pipe's on_ready, or the attendant when the client has left, rings it awake. It rings through a
 * struct wake, because on_ready can be late: even after the exchange is gone.
 */
#include "door.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNKED_BLOCK_BYTES                                                                        \
    16384 /* only HTTP/1.0 readers; chunks go through the connection's pool */

static ssize_t park_reader(struct exchange *exchange)
{
    struct peer *peer = exchange->peer;
    pthread_mutex_lock(&peer->server->lock);
    watcher_arm(peer);
    pthread_mutex_unlock(&peer->server->lock);
    MHD_suspend_connection(exchange->connection);
    wake_wait(exchange->wake);
    return 0;
}

static ssize_t stream_read(void *argument, uint64_t position, char *out, size_t capacity)
{
    struct exchange *exchange = argument;
    (void)position;
    wake_reset(exchange->wake); /* before the look at `gate`: a ring in between is kept */
    if (atomic_load(&exchange->gate) & GATE_LEFT)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t got = pipe_read(exchange->pipe, out, capacity);
    if (got > 0) {
        exchange->body_bytes += (uint64_t)got;
        return got;
    }
    if (got == PIPE_EMPTY)
        return park_reader(exchange);
    /* With a known length libmicrohttpd never asks behind the end: an end here is a short one. */
    bool good = got == PIPE_ENDED && exchange->pipe_length < 0;
    return good ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

void stream_break(struct exchange *exchange)
{
    if (!exchange->pipe)
        return;
    atomic_fetch_or(&exchange->gate, GATE_LEFT);
    pipe_leave(exchange->pipe);
    wake_ring(exchange->wake);
}

void stream_release(struct exchange *exchange)
{
    if (!exchange->pipe)
        return;
    wake_give(exchange->wake);
    exchange->wake = NULL;
    pipe_leave(exchange->pipe);
    pipe_drop(&exchange->pipe);
}

void exchange_reply_pipe(struct exchange *exchange, int status, const char *content_type,
                         struct pipe *pipe, int64_t content_length)
{
    exchange->pipe = pipe;
    exchange->pipe_length = content_length;
    exchange->wake = wake_take(exchange->connection);
    pipe_on_ready(pipe, wake_ring, exchange->wake);
    if (exchange->method == HTTP_HEAD)
        pipe_leave(pipe); /* nobody will read: the writer may stop now */
    struct MHD_Response *response = MHD_create_response_from_callback(
        content_length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)content_length,
        content_length < 0 ? CHUNKED_BLOCK_BYTES : HTTP_BLOCK_BYTES, stream_read, exchange, NULL);
    if (!response)
        abort();
    reply_dress(exchange, response, content_type);
    reply_give(exchange, status, response);
}

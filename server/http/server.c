/* server.c - start, quiesce, drain, cancel, stop, around one libmicrohttpd daemon.
 *
 * The daemon's own timeout ends keep-alive connections and readers that take nothing: it counts
 * from the last byte moved and rests while suspended. Everything finer is the sweeper's.
 */
#include "door.h"

#include "clock.h"
#include "crypto.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_DEFAULT  1000
#define HEADER_BYTES_DEFAULT (16 * 1024)
#define POOL_EXTRA_BYTES     (32 * 1024) /* parsed headers, and the blocks of chunked answers */
#define STOP_ROUND_MS        100

/* libmicrohttpd unescapes before anyone can look; this keeps "%2F" and "%00" as they came. */
static size_t keep_escapes(void *argument, struct MHD_Connection *connection, char *text)
{
    (void)argument;
    (void)connection;
    return strlen(text);
}

static bool daemon_start(struct http_server *server)
{
    const struct http_config *config = &server->config;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, server->listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)config->max_connections, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)config->max_connections_per_address, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT,
         (intptr_t)(2 * (size_t)config->header_bytes_max + POOL_EXTRA_BYTES), NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (config->idle_timeout_ms + 999) / 1000, NULL},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)request_open, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)request_close, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)peer_notify, server},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                         request_continue, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    return server->daemon != NULL;
}

static void server_init(struct http_server *server, const struct http_config *config,
                        const struct http_handler *handler)
{
    server->config = *config;
    server->config.listen = server->config.cors_origins = NULL;
    if (!server->config.max_connections)
        server->config.max_connections = CONNECTIONS_DEFAULT;
    if (!server->config.header_bytes_max)
        server->config.header_bytes_max = HEADER_BYTES_DEFAULT;
    server->handler = *handler;
    if (config->cors_origins && config->cors_origins[0])
        server->cors_origins = xstrdup(config->cors_origins);
    uint64_t prefix;
    crypto_random(&prefix, sizeof prefix);
    snprintf(server->id_prefix, sizeof server->id_prefix, "%016llx", (unsigned long long)prefix);

    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    server->slots_free = UINT32_MAX;
}

static void server_free(struct http_server *server)
{
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server->slots);
    free(server->cors_origins);
    free(server);
}

enum err http_start(const struct http_config *config, const struct http_handler *handler,
                    struct fault *fault, struct http_server **out)
{
    assert(handler->admit && handler->handle && handler->refuse && handler->done);
    struct http_server *server = xalloc(sizeof *server);
    enum err err = listener_open(config->listen, fault, &server->listen_fd, server->address);
    if (err) {
        free(server);
        return err;
    }
    server_init(server, config, handler);

    /* Signals are the main thread's: both threads of ours start with all of them blocked. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = watcher_start(server);
    if (started && !daemon_start(server)) {
        watcher_stop(server);
        started = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started) {
        close(server->listen_fd);
        listener_unlink(server->address);
        server_free(server);
        return fault_set(fault, ERR_INTERNAL, "the HTTP threads do not start: %s", strerror(errno));
    }
    *out = server;
    return OK;
}

const char *http_address(const struct http_server *server)
{
    return server->address;
}

void http_quiesce(struct http_server *server)
{
    if (atomic_exchange(&server->quiesced, true))
        return;
    int fd = MHD_quiesce_daemon(server->daemon);
    if (fd < 0)
        return;
    listener_unlink(server->address);
    close(fd);
}

bool http_drain(struct http_server *server, int64_t deadline_ms)
{
    struct timespec until = {.tv_sec = deadline_ms / 1000,
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    pthread_mutex_lock(&server->lock);
    int waited = 0;
    while (server->exchanges_open && waited != ETIMEDOUT)
        waited = deadline_ms == DEADLINE_NONE
                     ? pthread_cond_wait(&server->changed, &server->lock)
                     : pthread_cond_timedwait(&server->changed, &server->lock, &until);
    bool drained = server->exchanges_open == 0;
    pthread_mutex_unlock(&server->lock);
    return drained;
}

/* Under server->lock, which it may drop: the caller looks the slot up anew afterwards. */
static void cancel_peer(struct peer *peer)
{
    struct exchange *exchange = &peer->exchange;
    switch (peer->phase) {
    case PHASE_AWAIT: exchange_leave(exchange); break;
    case PHASE_SENDING:
        stream_break(exchange);
        shutdown(peer->fd, SHUT_RDWR);
        break;
    case PHASE_HEADERS:
    case PHASE_BODY: shutdown(peer->fd, SHUT_RDWR); break;
    default: break;
    }
}

void http_cancel_all(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    for (uint32_t i = 0; i < server->slots_size; i++)
        if (server->slots[i].peer)
            cancel_peer(server->slots[i].peer);
    pthread_mutex_unlock(&server->lock);
}

/* libmicrohttpd aborts the process when a connection is suspended at the stop, and a worker may
 * still hold the exchange: so an answer that is still owed is waited for, come what may. */
void http_stop(struct http_server **server_at)
{
    struct http_server *server = *server_at;
    if (!server)
        return;
    *server_at = NULL;
    http_quiesce(server);
    while (!http_drain(server, clock_now_ms() + STOP_ROUND_MS))
        http_cancel_all(server);
    MHD_stop_daemon(server->daemon);
    watcher_stop(server);
    server_free(server);
}

void http_stats(struct http_server *server, struct http_stats *out)
{
    pthread_mutex_lock(&server->lock);
    *out =
        (struct http_stats){.connections = server->peers_open, .exchanges = server->exchanges_open};
    pthread_mutex_unlock(&server->lock);
}

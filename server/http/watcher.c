/* watcher.c - the attendant: sees clients leave, drains refused ones, and calls the sweeper.
 *
 * A suspended connection is invisible to libmicrohttpd, so its descriptor is also in an epoll set
 * of ours, for EPOLLRDHUP only: pipelined bytes do not wake us. One shot, and armed again only
 * after it fired, so a connection costs one epoll_ctl in its life.
 */
#include "door.h"

#include "clock.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64

static uint64_t peer_mark(const struct peer *peer)
{
    return (uint64_t)peer->generation << 32 | peer->slot;
}

void watcher_arm(struct peer *peer)
{
    if (peer->armed)
        return;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = peer_mark(peer)};
    int action = peer->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    peer->armed = epoll_ctl(peer->server->epoll_fd, action, peer->fd, &event) == 0;
    peer->watched |= peer->armed;
}

void watcher_forget(struct peer *peer)
{
    /* Not left to close(): a lingering duplicate would keep the old entry alive. */
    if (peer->watched)
        epoll_ctl(peer->server->epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
    peer->watched = peer->armed = false;
}

/* Under the lock. */
static void peer_hung_up(struct peer *peer)
{
    peer->armed = false;
    if (peer->phase == PHASE_AWAIT)
        exchange_leave(&peer->exchange);
    else if (peer->phase == PHASE_SENDING)
        stream_break(&peer->exchange);
}

/* False when it is time to go. */
static bool take_event(struct http_server *server, uint64_t mark)
{
    if (mark == WATCHER_STOP)
        return false;
    if (mark & WATCHER_LINGER) {
        linger_drain(server, (uint32_t)mark);
        return true;
    }
    pthread_mutex_lock(&server->lock);
    struct peer *peer = peer_find(server, (uint32_t)mark, (uint32_t)(mark >> 32));
    if (peer)
        peer_hung_up(peer);
    pthread_mutex_unlock(&server->lock);
    return true;
}

static void *attend(void *argument)
{
    struct http_server *server = argument;
    int period_ms = sweeper_period_ms(&server->config);
    int64_t sweep_ms = clock_now_ms() + period_ms;
    for (;;) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int count = epoll_wait(server->epoll_fd, events, EVENTS_AT_ONCE,
                               clock_left_ms(sweep_ms, period_ms));
        for (int i = 0; i < count; i++)
            if (!take_event(server, events[i].data.u64))
                return NULL;
        if (clock_now_ms() < sweep_ms)
            continue;
        sweeper_sweep(server);
        linger_expire(server);
        sweep_ms = clock_now_ms() + period_ms;
    }
}

bool watcher_start(struct http_server *server)
{
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WATCHER_STOP};
    if (server->epoll_fd >= 0 && server->stop_fd >= 0 &&
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->stop_fd, &event) == 0 &&
        pthread_create(&server->attendant, NULL, attend, server) == 0)
        return true;
    close(server->epoll_fd);
    close(server->stop_fd);
    return false;
}

/* After the daemon: its last connections still come to watcher_forget and linger_take. */
void watcher_stop(struct http_server *server)
{
    uint64_t one = 1;
    (void)!write(server->stop_fd, &one, sizeof one);
    pthread_join(server->attendant, NULL);
    linger_close_all(server);
    close(server->epoll_fd);
    close(server->stop_fd);
}

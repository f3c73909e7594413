/* linger.c - lets a refused client read its refusal.
 *
 * Closing a socket with unread bytes resets it, and the client loses the answer it was about to
 * read. So a duplicate of the descriptor stays open here, read and dropped until the client stops
 * sending, or for a little while.
 */
#include "door.h"

#include "clock.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS         2000
#define DRAIN_BLOCK       16384
#define DRAIN_ROUNDS_MOST 16

/* Under the lock. The slot's `fd` is stored one higher, so that zeroed memory is empty. */
static void drop(struct lingerer *lingerer)
{
    if (lingerer->fd_plus_1)
        close(lingerer->fd_plus_1 - 1);
    lingerer->fd_plus_1 = 0;
}

void linger_take(struct peer *peer)
{
    struct http_server *server = peer->server;
    pthread_mutex_lock(&server->lock);
    uint32_t slot = 0;
    while (slot < HTTP_LINGERERS && server->lingerers[slot].fd_plus_1)
        slot++;
    int fd = slot < HTTP_LINGERERS ? fcntl(peer->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP,
                                    .data.u64 = WATCHER_LINGER | slot};
        server->lingerers[slot] =
            (struct lingerer){.fd_plus_1 = fd + 1, .until_ms = clock_now_ms() + LINGER_MS};
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
            drop(&server->lingerers[slot]);
    }
    pthread_mutex_unlock(&server->lock);
}

void linger_drain(struct http_server *server, uint32_t slot)
{
    char waste[DRAIN_BLOCK];
    pthread_mutex_lock(&server->lock);
    struct lingerer *lingerer = &server->lingerers[slot];
    ssize_t got = lingerer->fd_plus_1 ? 1 : -1;
    for (int round = 0; got > 0 && round < DRAIN_ROUNDS_MOST; round++)
        got = recv(lingerer->fd_plus_1 - 1, waste, sizeof waste, MSG_DONTWAIT);
    if (got == 0)
        drop(lingerer);
    pthread_mutex_unlock(&server->lock);
}

void linger_expire(struct http_server *server)
{
    int64_t now_ms = clock_now_ms();
    pthread_mutex_lock(&server->lock);
    for (uint32_t i = 0; i < HTTP_LINGERERS; i++)
        if (server->lingerers[i].until_ms <= now_ms)
            drop(&server->lingerers[i]);
    pthread_mutex_unlock(&server->lock);
}

void linger_close_all(struct http_server *server)
{
    for (uint32_t i = 0; i < HTTP_LINGERERS; i++)
        drop(&server->lingerers[i]);
}

/* connect.c - see connect.h. One attempt at a time: simpler than racing them, and a dead address
 * costs its share of the time, never all of it. */
#include "connect.h"

#include "clock.h"
#include "wait.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

/* While other addresses wait, one that does not answer gets no more than this. */
#define SHARE_MAX_MS 10000

struct socket_option {
    int level, name, value;
};

/* Keep-alive finds a dead peer behind a NAT in about two minutes. */
static const struct socket_option socket_options[] = {
    {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, 60}, {IPPROTO_TCP, TCP_KEEPINTVL, 15},
    {IPPROTO_TCP, TCP_KEEPCNT, 4},
};

static int open_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return -1;
    for (size_t i = 0; i < sizeof socket_options / sizeof socket_options[0]; i++) {
        const struct socket_option *option = &socket_options[i];
        /* A kernel that lacks one of these still connects. */
        (void)setsockopt(fd, option->level, option->name, &option->value, sizeof option->value);
    }
    return fd;
}

/* 0, or an errno: ETIME when the share ran out, ECANCELED. */
static int finish_connect(const struct wait *wait)
{
    switch (wait_for(wait, POLLOUT)) {
    case WAITED_TIMEOUT: return ETIME;
    case WAITED_CANCELLED: return ECANCELED;
    case WAITED_READY: break;
    }
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(wait->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return errno;
    return error;
}

static int connect_one(const union ip_socket *address, int64_t until_ms,
                       const volatile bool *cancelled, int *fd_out)
{
    struct wait wait = {.cancel_fd = -1, .cancelled = cancelled, .deadline_ms = until_ms};
    wait.fd = open_socket(address->any.sa_family);
    if (wait.fd < 0)
        return errno;
    int error = connect(wait.fd, &address->any, ip_socket_length(address)) == 0 ? 0 : errno;
    if (error == EINPROGRESS || error == EINTR)
        error = finish_connect(&wait);
    if (error) {
        close(wait.fd);
        return error;
    }
    *fd_out = wait.fd;
    return 0;
}

static int64_t share_of(int64_t deadline_ms, unsigned attempts_left)
{
    if (attempts_left <= 1)
        return deadline_ms;
    int64_t now_ms = clock_now_ms(), share_ms = SHARE_MAX_MS;
    if (deadline_ms != DEADLINE_NONE && (deadline_ms - now_ms) / attempts_left < share_ms)
        share_ms = (deadline_ms - now_ms) / attempts_left;
    return now_ms + share_ms;
}

static enum err explain(struct fault *fault, int error)
{
    switch (error) {
    case ECONNREFUSED:
        return fault_set(fault, ERR_UNREACHABLE, "the mail server refused the connection");
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
        return fault_set(fault, ERR_UNREACHABLE, "there is no route to the mail server");
    case ETIMEDOUT:
    case ETIME: return fault_set(fault, ERR_UNREACHABLE, "the mail server does not answer");
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return fault_set(fault, ERR_BUSY, "too many connections are open");
    default: return fault_set(fault, ERR_UNREACHABLE, "the mail server cannot be connected to");
    }
}

enum err connect_any(const struct address_list *list, int64_t deadline_ms,
                     const volatile bool *cancelled, struct fault *fault, int *fd_out,
                     union ip_socket *peer)
{
    int error = ENETUNREACH;
    assert(list->count > 0);
    for (unsigned i = 0; i < list->count; i++) {
        enum waited waited = wait_check(cancelled, deadline_ms);
        if (waited == WAITED_READY) {
            int64_t until_ms = share_of(deadline_ms, list->count - i);
            error = connect_one(&list->addresses[i], until_ms, cancelled, fd_out);
            if (error == 0) {
                *peer = list->addresses[i];
                return OK;
            }
            waited = wait_check(cancelled, deadline_ms);
        }
        if (waited == WAITED_CANCELLED || error == ECANCELED)
            return fault_set(fault, ERR_CANCELLED, "cancelled");
        if (waited == WAITED_TIMEOUT)
            return fault_set(fault, ERR_TIMEOUT, "connecting to the mail server took too long");
    }
    return explain(fault, error);
}

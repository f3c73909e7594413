/* stream.c - a connection to a mail server: opening, moving bytes, and why it ended.
 *
 * Plain bytes are moved here, TLS in tls.c; both wait in stream_await(). The deadline is asked
 * before every step, not only when waiting, so a server that drips for ever gains nothing. A
 * descriptor and an eventfd each.
 */
#include "stream.h"

#include "allow.h"
#include "arena.h"
#include "clock.h"
#include "connect.h"
#include "stream_inner.h"
#include "tls.h"
#include "wait.h"

#include <assert.h>
#include <errno.h>
#include <libetpan/mailstream_types.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- failing ---- */

enum err stream_fail(struct stream *stream, enum err code, const char *format, ...)
{
    if (stream->failure)
        return stream->failure;
    va_list args;
    va_start(args, format);
    vsnprintf(stream->detail, sizeof stream->detail, format, args);
    va_end(args);
    stream->failure = code;
    return code;
}

enum err stream_fail_closed(struct stream *stream)
{
    return stream_fail(stream, ERR_UNREACHABLE, "the mail server closed the connection");
}

enum err stream_fail_errno(struct stream *stream, int error)
{
    switch (error) {
    case ECONNRESET:
    case EPIPE: return stream_fail_closed(stream);
    case ETIMEDOUT:
        return stream_fail(stream, ERR_UNREACHABLE, "the mail server stopped answering");
    default:
        return stream_fail(stream, ERR_UNREACHABLE, "the connection to the mail server is lost");
    }
}

enum err stream_failure(const struct stream *stream, struct fault *fault)
{
    return stream->failure ? fault_set(fault, stream->failure, "%s", stream->detail) : OK;
}

static enum err fail_waited(struct stream *stream, enum waited waited)
{
    if (waited == WAITED_CANCELLED)
        return stream_fail(stream, ERR_CANCELLED, "cancelled");
    if (waited == WAITED_TIMEOUT)
        return stream_fail(stream, ERR_TIMEOUT, "the mail server did not answer in time");
    return OK;
}

static enum waited look_around(const struct stream *stream)
{
    if (atomic_load_explicit(&stream->cancelled, memory_order_acquire))
        return WAITED_CANCELLED;
    return wait_check(stream->opening_cancelled, stream->deadline_ms);
}

bool stream_is_interrupted(const struct stream *stream)
{
    return look_around(stream) != WAITED_READY;
}

enum err stream_check(struct stream *stream)
{
    return stream->failure ? stream->failure : fail_waited(stream, look_around(stream));
}

enum err stream_await(struct stream *stream, short events)
{
    struct wait wait = {
        .fd = stream->fd,
        .cancel_fd = stream->cancel_fd,
        .cancelled = stream->opening_cancelled,
        .deadline_ms = stream->deadline_ms,
    };
    enum err err = stream_check(stream);
    if (err)
        return err;
    if (stream->before_wait)
        stream->before_wait(stream->before_wait_argument);
    return fail_waited(stream, wait_for(&wait, events));
}

/* ---- opening and closing ---- */

static enum err keep_permitted(const struct stream_target *target, struct address_list *list,
                               struct fault *fault)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < list->count; i++)
        if (reach_permits(target->reach, target->host, &list->addresses[i].any, target->port))
            list->addresses[kept++] = list->addresses[i];
    list->count = kept;
    if (kept == 0)
        return fault_set(fault, ERR_HOST_NOT_ALLOWED,
                         "mail host \"%.120s\" has no address that may be connected to",
                         target->host);
    return OK;
}

enum err stream_connect(const struct stream_target *target, int64_t deadline_ms,
                        const volatile bool *cancelled, struct fault *fault, int *fd_out,
                        struct sockaddr_storage *peer)
{
    struct address_list list;
    union ip_socket reached;
    enum err err = reach_check_host(target->reach, target->host, target->port, fault);
    if (err)
        return err;
    err = resolve_host(target->host, target->port, deadline_ms, cancelled, fault, &list);
    if (err)
        return err;
    err = keep_permitted(target, &list, fault);
    if (err)
        return err;
    err = connect_any(&list, deadline_ms, cancelled, fault, fd_out, &reached);
    if (err)
        return err;
    memset(peer, 0, sizeof *peer);
    memcpy(peer, &reached, sizeof reached);
    return OK;
}

/* The socket under a new stream: made here, or by whoever was allowed to. */
static enum err socket_of(const struct stream_target *target, int64_t deadline_ms,
                          const volatile bool *cancelled, struct fault *fault, int *fd_out,
                          char host[ALLOW_HOST_BYTES])
{
    struct sockaddr_storage peer;
    *fd_out = target->connected ? target->fd : -1;
    if (!target->connected) {
        enum err err = stream_connect(target, deadline_ms, cancelled, fault, fd_out, &peer);
        if (err)
            return err;
    }
    if (allow_host_canonical(target->host, host))
        return OK;
    close(*fd_out);
    return fault_set(fault, ERR_INVALID, "the mail host's name is not one");
}

enum err stream_open(const struct stream_target *target, int64_t deadline_ms,
                     const volatile bool *cancelled, struct fault *fault, struct stream **out)
{
    char host[ALLOW_HOST_BYTES];
    int fd = -1;
    enum err err = socket_of(target, deadline_ms, cancelled, fault, &fd, host);
    if (err)
        return err;
    int cancel_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (cancel_fd < 0) {
        close(fd);
        return fault_set(fault, ERR_BUSY, "too many connections are open");
    }
    struct stream *stream = xalloc(sizeof *stream);
    stream->fd = fd;
    stream->cancel_fd = cancel_fd;
    atomic_init(&stream->cancelled, false);
    stream->opening_cancelled = cancelled;
    stream->deadline_ms = deadline_ms;
    stream->budget = UINT64_MAX;
    stream->host = xstrdup(host);
    stream->port = target->port;
    stream->trust = target->trust;
    stream->before_wait = target->before_wait;
    stream->before_wait_argument = target->before_wait_argument;
    if (target->tls && tls_handshake(stream) != OK) {
        err = stream_failure(stream, fault);
        stream_close(&stream);
        return err;
    }
    stream->opening_cancelled = NULL;
    *out = stream;
    return OK;
}

void stream_close(struct stream **stream_at)
{
    struct stream *stream = *stream_at;
    if (!stream)
        return;
    stream_drop_mailstream(stream);
    tls_close(stream);
    close(stream->fd);
    close(stream->cancel_fd);
    free(stream->host);
    free(stream);
    *stream_at = NULL;
}

/* ---- STARTTLS ---- */

/* Nothing may stand behind the server's OK: a TLS server speaks second, so whatever waits was put
 * there in plain text, by somebody who wants it taken for TLS (CVE-2011-0411 and its family). */
static enum err refuse_injection(struct stream *stream)
{
    char byte;
    bool buffered = stream->buffered && stream->buffered->read_buffer_len > 0;
    ssize_t waiting = buffered ? 1 : recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (waiting > 0)
        return stream_fail(stream, ERR_TLS,
                           "plain text stands behind the mail server's consent to STARTTLS");
    if (waiting == 0)
        return stream_fail_closed(stream);
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return stream_fail_errno(stream, errno);
    return OK;
}

enum err stream_start_tls(struct stream *stream, struct fault *fault)
{
    assert(!stream->ssl);
    assert(!stream->buffered || stream->buffered->write_buffer_len == 0);
    enum err err = stream_check(stream);
    if (!err)
        err = refuse_injection(stream);
    if (!err)
        err = tls_handshake(stream);
    return err ? stream_failure(stream, fault) : OK;
}

bool stream_is_tls(const struct stream *stream)
{
    return stream->ssl != NULL;
}

/* ---- limits ---- */

void stream_set_deadline(struct stream *stream, int64_t deadline_ms)
{
    stream->deadline_ms = deadline_ms;
}

void stream_set_budget(struct stream *stream, uint64_t bytes)
{
    stream->budget = bytes;
}

void stream_cancel(struct stream *stream)
{
    const uint64_t one = 1;
    atomic_store_explicit(&stream->cancelled, true, memory_order_release);
    ssize_t written = write(stream->cancel_fd, &one, sizeof one);
    (void)written; /* an eventfd that is full is readable already */
}

void stream_watch(struct stream *stream, const volatile bool *cancelled)
{
    stream->opening_cancelled = cancelled;
}

/* ---- moving bytes ---- */

static ssize_t plain_read(struct stream *stream, void *out, size_t capacity)
{
    for (;;) {
        ssize_t got = recv(stream->fd, out, capacity, MSG_DONTWAIT);
        if (got > 0)
            return got;
        if (got == 0) {
            stream_fail_closed(stream);
            return -1;
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            stream_fail_errno(stream, errno);
            return -1;
        }
        if (stream_await(stream, POLLIN))
            return -1;
    }
}

static ssize_t plain_write(struct stream *stream, const void *data, size_t length)
{
    for (;;) {
        ssize_t sent = send(stream->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0)
            return sent;
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            stream_fail_errno(stream, errno);
            return -1;
        }
        if (stream_await(stream, POLLOUT))
            return -1;
    }
}

ssize_t stream_read(struct stream *stream, void *out, size_t capacity)
{
    assert(capacity > 0);
    if (stream_check(stream))
        return -1;
    if (stream->budget == 0) {
        stream_fail(stream, ERR_TOO_LARGE, "the mail server's answer is larger than allowed");
        return -1;
    }
    if (capacity > stream->budget)
        capacity = (size_t)stream->budget;
    ssize_t got = stream->ssl ? tls_read(stream, out, capacity) : plain_read(stream, out, capacity);
    if (got < 0)
        return -1;
    stream->bytes_in += (uint64_t)got;
    if (stream->budget != UINT64_MAX)
        stream->budget -= (uint64_t)got;
    return got;
}

ssize_t stream_write(struct stream *stream, const void *data, size_t length)
{
    const char *at = data;
    for (size_t left = length; left > 0;) {
        if (stream_check(stream))
            return -1;
        ssize_t sent = stream->ssl ? tls_write(stream, at, left) : plain_write(stream, at, left);
        if (sent < 0)
            return -1;
        at += sent;
        left -= (size_t)sent;
        stream->bytes_out += (uint64_t)sent;
    }
    return stream->failure ? -1 : (ssize_t)length;
}

bool stream_pending(const struct stream *stream)
{
    return stream->ssl && SSL_has_pending(stream->ssl);
}

int stream_fd(const struct stream *stream)
{
    return stream->fd;
}

uint64_t stream_bytes_in(const struct stream *stream)
{
    return stream->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *stream)
{
    return stream->bytes_out;
}

/* peer.h - the other side of a test: a scripted server on loopback, in a thread, and a DNS of our
 * own.
 *
 * The program's getaddrinfo() takes the place of the C library's: names are answered from `dns`, so
 * tests need no network and decide themselves how slow and how strange it is.
 */
#ifndef POSTERN_TEST_PEER_H
#define POSTERN_TEST_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "clock.h"
#include "reach.h"
#include "stream.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Slow machines and sanitizers: late is fine, an hour late is not. */
#define LATE_MS   5000
#define SOON_MS   300
#define PLENTY_MS 20000

/* ---- DNS ---- */

struct dns_row {
    const char *name;
    const char *addresses[4];
};

static const struct dns_row *dns; /* set by the test program; ends with a NULL name */
static atomic_int dns_calls;
static atomic_bool dns_hangs; /* names that begin with "hang" wait while this is set */

static struct addrinfo *dns_entry(const char *address)
{
    struct {
        struct addrinfo info;
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } socket;
    } *entry = calloc(1, sizeof *entry);
    entry->info.ai_addr = &entry->socket.any;
    entry->info.ai_socktype = SOCK_STREAM;
    entry->info.ai_family = strchr(address, ':') ? AF_INET6 : AF_INET;
    entry->socket.any.sa_family = (sa_family_t)entry->info.ai_family;
    void *to = entry->info.ai_family == AF_INET ? (void *)&entry->socket.v4.sin_addr
                                                : (void *)&entry->socket.v6.sin6_addr;
    assert_int_equal(inet_pton(entry->info.ai_family, address, to), 1);
    return &entry->info;
}

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    (void)service;
    (void)hints;
    atomic_fetch_add(&dns_calls, 1);
    while (strncmp(name, "hang", 4) == 0 && atomic_load(&dns_hangs))
        usleep(2000);
    for (const struct dns_row *row = dns; row && row->name; row++) {
        if (strcmp(row->name, name) != 0)
            continue;
        struct addrinfo **tail = out;
        for (size_t i = 0; i < 4 && row->addresses[i]; i++) {
            *tail = dns_entry(row->addresses[i]);
            tail = &(*tail)->ai_next;
        }
        return 0;
    }
    return EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* ---- the server ---- */

struct peer {
    void (*script)(struct peer *peer, int fd);
    const void *detail; /* for the script */
    int listen_fd;
    uint16_t port;
    pthread_t thread;
    atomic_int accepted;
    atomic_long app_bytes; /* that reached the script */
    atomic_bool stopping;
};

static void *peer_main(void *argument)
{
    struct peer *peer = argument;
    while (!atomic_load(&peer->stopping)) {
        struct pollfd polled = {.fd = peer->listen_fd, .events = POLLIN};
        if (poll(&polled, 1, 20) <= 0)
            continue;
        int fd = accept4(peer->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        struct timeval patience = {.tv_sec = PLENTY_MS / 1000};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        atomic_fetch_add(&peer->accepted, 1);
        if (peer->script)
            peer->script(peer, fd);
        close(fd);
    }
    return NULL;
}

static inline int peer_listen(const char *address, uint16_t port, int backlog, uint16_t *port_out)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof at;
    inet_pton(AF_INET, address, &at.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, backlog), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    *port_out = ntohs(at.sin_port);
    return fd;
}

static inline void peer_start(struct peer *peer)
{
    sigset_t pipe, before;
    peer->listen_fd = peer_listen("127.0.0.1", 0, 16, &peer->port);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE); /* in the server's thread only: ours must never raise it */
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_main, peer), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static inline void peer_stop(struct peer *peer)
{
    atomic_store(&peer->stopping, true);
    pthread_join(peer->thread, NULL);
    close(peer->listen_fd);
}

/* Reads until the client is gone. */
static inline void peer_drain(struct peer *peer, int fd)
{
    char bytes[4096];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        atomic_fetch_add(&peer->app_bytes, got);
}

/* Says nothing; waits until the test is over. */
static inline void peer_keep_silent(struct peer *peer, int fd)
{
    (void)fd;
    while (!atomic_load(&peer->stopping))
        usleep(5000);
}

/* ---- the client ---- */

static inline struct reach *reach_of(const char *allowed)
{
    struct fault fault = {0};
    struct reach *reach = NULL;
    assert_int_equal(reach_new(allowed, &fault, &reach), OK);
    return reach;
}

static inline struct stream *open_plain(const struct peer *peer)
{
    struct reach *reach = reach_of("*");
    struct fault fault = {0};
    struct stream *stream = NULL;
    struct stream_target target = {.host = "127.0.0.1", .port = peer->port, .reach = reach};
    enum err err = stream_open(&target, clock_now_ms() + PLENTY_MS, NULL, &fault, &stream);
    if (err)
        fail_msg("open: %s", fault.detail);
    reach_free(&reach);
    return stream;
}

static inline void assert_failed(const struct stream *stream, enum err code, const char *words)
{
    struct fault fault = {0};
    assert_string_equal(err_name(stream_failure(stream, &fault)), err_name(code));
    assert_int_equal(fault.code, code);
    if (!strstr(fault.detail, words))
        fail_msg("\"%s\" does not say \"%s\"", fault.detail, words);
}

/* Waits for the reset and takes the error off the socket: the next send() is then EPIPE, which
 * raises SIGPIPE unless told not to. Before that it would be ECONNRESET, which never does. */
static inline void swallow_reset(const struct stream *stream)
{
    struct pollfd polled = {.fd = stream_fd(stream)};
    int error = 0;
    socklen_t size = sizeof error;
    assert_int_equal(poll(&polled, 1, PLENTY_MS), 1);
    getsockopt(stream_fd(stream), SOL_SOCKET, SO_ERROR, &error, &size);
    assert_int_not_equal(error, 0);
}

static inline void read_whole(struct stream *stream, char *out, size_t length)
{
    for (size_t got = 0; got < length;) {
        ssize_t step = stream_read(stream, out + got, length - got);
        assert_true(step > 0);
        got += (size_t)step;
    }
}

#endif

/* stream_inner.h - what stream.c, tls.c and mailstream.c share of a stream. */
#ifndef POSTERN_STREAM_INNER_H
#define POSTERN_STREAM_INNER_H

#include "stream.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

struct stream {
    int fd;
    int cancel_fd; /* eventfd, readable once cancelled */
    atomic_bool cancelled;
    const volatile bool *opening_cancelled; /* borrowed, only while stream_open runs */
    int64_t deadline_ms;
    void (*before_wait)(void *argument);
    void *before_wait_argument;
    uint64_t budget;
    uint64_t bytes_in, bytes_out; /* of the application, without TLS's own */

    enum err failure; /* the first one; never leaves */
    char detail[256];

    char *host; /* owned; canonical */
    uint16_t port;
    const struct tls_trust *trust; /* borrowed */
    SSL *ssl;                      /* owned; NULL: plain */
    int socket_errno;              /* what the socket last said under OpenSSL */
    bool at_eof;                   /* the socket ended under OpenSSL */

    struct _mailstream *buffered; /* owned; NULL until asked for, or when libetpan closed it */
};

/* Keeps the first cause and returns it. */
enum err stream_fail(struct stream *stream, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum err stream_fail_errno(struct stream *stream, int error);
enum err stream_fail_closed(struct stream *stream);

/* Fails the stream when it was cancelled or its time is over; never waits. */
enum err stream_check(struct stream *stream);
enum err stream_await(struct stream *stream, short events);
/* For the socket under OpenSSL, which loops by itself: time to stop? Does not fail the stream. */
bool stream_is_interrupted(const struct stream *stream);

void stream_drop_mailstream(struct stream *stream);

#endif

/* stream.h - the socket under libetpan: OpenSSL, absolute deadlines, a byte budget, cancel.
 *
 * A stream is used by one thread at a time; stream_cancel alone may come from another. Every
 * failure is sticky: after the first, all reads and writes fail, and stream_failure tells the
 * cause.
 */
#ifndef POSTERN_STREAM_H
#define POSTERN_STREAM_H

#include "err.h"
#include "reach.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct stream;
struct tls_trust; /* whom we believe: the system's store or one CA file; shared by all streams */
struct _mailstream;

/* ca_file NULL: the system store. Min TLS 1.2. */
enum err tls_trust_new(const char *ca_file, struct fault *fault, struct tls_trust **out);
void tls_trust_free(struct tls_trust **trust);

struct stream_target {
    const char *host;
    uint16_t port;
    bool tls;                      /* handshake at once (implicit TLS) */
    const struct reach *reach;     /* borrowed */
    const struct tls_trust *trust; /* borrowed */
    /* Connected already, by stream_connect, perhaps in another process: no name is resolved and
     * `reach` is not asked. Owned by stream_open, whatever comes of it. */
    bool connected;
    int fd;
    /* Called on the stream's own thread before it waits for the socket; may be NULL. */
    void (*before_wait)(void *argument);
    void *before_wait_argument;
};

/* The first half of stream_open: resolves, checks each address, connects. */
enum err stream_connect(const struct stream_target *target, int64_t deadline_ms,
                        const volatile bool *cancelled, struct fault *fault, int *fd_out,
                        struct sockaddr_storage *peer);

/* Resolves, checks each address, connects (next address when one fails), handshakes.
 * ERR_HOST_NOT_ALLOWED, ERR_UNREACHABLE, ERR_TLS (expired, wrong name, unknown CA, too old: said in
 * detail), ERR_TIMEOUT. The deadline covers DNS too. `cancel_fd` of the stream does not exist
 * before open returns; instead *cancelled (may be NULL) is polled at least every 50 ms. */
enum err stream_open(const struct stream_target *target, int64_t deadline_ms,
                     const volatile bool *cancelled, struct fault *fault, struct stream **out);
void stream_close(struct stream **stream); /* never blocks */

/* STARTTLS: ERR_TLS when bytes already wait behind the server's OK (injection). */
enum err stream_start_tls(struct stream *stream, struct fault *fault);
bool stream_is_tls(const struct stream *stream);

void stream_set_deadline(struct stream *stream, int64_t deadline_ms);
/* Most bytes that may be read from now on; passing it is ERR_TOO_LARGE. UINT64_MAX: none. */
void stream_set_budget(struct stream *stream, uint64_t bytes);
/* From now on *cancelled is polled too, at least every 50 ms; NULL: no more. For what comes between
 * open and the moment the owner can be told of the stream: greeting, login. */
void stream_watch(struct stream *stream, const volatile bool *cancelled);
void stream_cancel(struct stream *stream); /* from any thread; a blocked read returns at once */

/* -1 on failure (also at EOF: libetpan loops on 0), else bytes moved, at least 1. */
ssize_t stream_read(struct stream *stream, void *out, size_t capacity);
ssize_t stream_write(struct stream *stream, const void *data, size_t length); /* all or failure */
/* Bytes can be read without waiting for the socket (OpenSSL holds some). */
bool stream_pending(const struct stream *stream);
int stream_fd(const struct stream *stream); /* for poll() only */

/* Copies the sticky cause into fault (fault_set) and returns its code; OK while healthy. */
enum err stream_failure(const struct stream *stream, struct fault *fault);

uint64_t stream_bytes_in(const struct stream *stream);
uint64_t stream_bytes_out(const struct stream *stream);

/* libetpan's buffered stream over this one, made at first call, freed with the stream. Bytes in its
 * read buffer are not seen by stream_pending. */
struct _mailstream *stream_mailstream(struct stream *stream);

#endif

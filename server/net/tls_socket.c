/* tls_socket.c - the socket as OpenSSL sees it.
 *
 * OpenSSL's own socket BIO uses write(), which raises SIGPIPE. And OpenSSL may read on inside one
 * call for as long as a server sends records without data, so the deadline is asked here too.
 */
#include "tls.h"

#include "stream_inner.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method; /* lives as long as the process */

static int pass_on(BIO *bio, struct stream *stream, ssize_t moved, int retry_flag)
{
    if (moved >= 0)
        return (int)moved;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
    else
        stream->socket_errno = errno;
    return -1;
}

static int socket_read(BIO *bio, char *out, int capacity)
{
    struct stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (stream_is_interrupted(stream)) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t moved = recv(stream->fd, out, (size_t)capacity, MSG_DONTWAIT);
    if (moved == 0)
        stream->at_eof = true;
    return pass_on(bio, stream, moved, BIO_FLAGS_READ);
}

static int socket_write(BIO *bio, const char *data, int length)
{
    struct stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t moved = send(stream->fd, data, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    return pass_on(bio, stream, moved, BIO_FLAGS_WRITE);
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return ((const struct stream *)BIO_get_data(bio))->at_eof;
    default: return 0;
    }
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postern stream");
    if (!method || !BIO_meth_set_read(method, socket_read) ||
        !BIO_meth_set_write(method, socket_write) || !BIO_meth_set_ctrl(method, socket_control))
        abort();
}

BIO *tls_socket_new(struct stream *stream)
{
    pthread_once(&once, make_method);
    BIO *bio = BIO_new(method);
    if (!bio)
        abort();
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    return bio;
}

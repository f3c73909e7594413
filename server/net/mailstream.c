/* mailstream.c - our stream as libetpan's low driver, in place of its own sockets and TLS.
 *
 * libetpan's session owns the mailstream it was connected with and closes it in mailimap_free(); a
 * caller may also close the stream first, after taking the mailstream out of the session. Both
 * orders work: whoever comes first frees it. No identifier, logger or idle hooks: those want
 * select().
 *
 * POP3 and SMTP stand on it. IMAP reads the stream itself (imap_wire.c): libetpan's line reader has
 * no cap on a line or a literal, and copies every byte once more.
 */
#include "stream_inner.h"

#include <libetpan/mailstream.h>
#include <stdlib.h>

/* A read and a write buffer of this size each. */
#define BUFFER_BYTES 8192

static ssize_t low_read(mailstream_low *low, void *out, size_t capacity)
{
    return stream_read(low->data, out, capacity);
}

static ssize_t low_write(mailstream_low *low, const void *data, size_t length)
{
    return stream_write(low->data, data, length);
}

static int low_close(mailstream_low *low)
{
    (void)low; /* the descriptor is the stream's: stream_close() */
    return 0;
}

static int low_fd(mailstream_low *low)
{
    return stream_fd(low->data);
}

static void low_free(mailstream_low *low)
{
    struct stream *stream = low->data;
    stream->buffered = NULL;
    free(low);
}

static void low_cancel(mailstream_low *low)
{
    stream_cancel(low->data);
}

static struct mailstream_cancel *low_get_cancel(mailstream_low *low)
{
    (void)low;
    return NULL;
}

static carray *low_certificates(mailstream_low *low)
{
    (void)low; /* verified already, by tls.c */
    return NULL;
}

static int low_no_idle(mailstream_low *low)
{
    (void)low;
    return -1;
}

static mailstream_low_driver driver = {
    .mailstream_read = low_read,
    .mailstream_write = low_write,
    .mailstream_close = low_close,
    .mailstream_get_fd = low_fd,
    .mailstream_free = low_free,
    .mailstream_cancel = low_cancel,
    .mailstream_get_cancel = low_get_cancel,
    .mailstream_get_certificate_chain = low_certificates,
    .mailstream_setup_idle = low_no_idle,
    .mailstream_unsetup_idle = low_no_idle,
    .mailstream_interrupt_idle = low_no_idle,
};

struct _mailstream *stream_mailstream(struct stream *stream)
{
    if (stream->buffered)
        return stream->buffered;
    mailstream_low *low = mailstream_low_new(stream, &driver);
    mailstream *buffered = low ? mailstream_new(low, BUFFER_BYTES) : NULL;
    if (!buffered)
        abort();
    stream->buffered = buffered;
    return buffered;
}

void stream_drop_mailstream(struct stream *stream)
{
    if (stream->buffered)
        mailstream_close(stream->buffered);
    stream->buffered = NULL;
}

/* sink.h - where bytes go, and where they come from: links of a chain, none of which holds it all.
 *
 * write() takes everything or fails; a failure is sticky for the caller, who must stop. It may
 * block (a full pipe) until its call's deadline. Sinks are owned by whoever declared them.
 */
#ifndef POSTERN_SINK_H
#define POSTERN_SINK_H

#include "buf.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct sink {
    enum err (*write)(struct sink *sink, const void *data, size_t length);
    /* Optional: flush held-back bytes; once, after success. */
    enum err (*finish)(struct sink *sink);
    /* Optional: exactly so many bytes will be written, if all goes well; before the first of them.
     * Only a writer that knows says so: what a mail server claimed earlier may be an estimate. */
    void (*expect)(struct sink *sink, uint64_t length);
};

static inline enum err sink_write(struct sink *sink, const void *data, size_t length)
{
    return length ? sink->write(sink, data, length) : OK;
}

static inline void sink_expect(struct sink *sink, uint64_t length)
{
    if (sink->expect)
        sink->expect(sink, length);
}

static inline enum err sink_finish(struct sink *sink)
{
    return sink->finish ? sink->finish(sink) : OK;
}

/* Collects into a buffer; ERR_TOO_LARGE when the buffer's limit is passed. */
struct buf_sink {
    struct sink sink;
    struct buf *buf; /* borrowed */
};
void buf_sink_init(struct buf_sink *self, struct buf *buf);

/* Passes on bytes [first, last] of what flows by, drops the rest. Returns ERR_CANCELLED once the
 * last wanted byte has gone, so that the writer may stop early; `done` then tells that from
 * failure. */
struct range_sink {
    struct sink sink;
    struct sink *next; /* borrowed */
    unsigned long long first, last, position;
    int done;
};
void range_sink_init(struct range_sink *self, struct sink *next, unsigned long long first,
                     unsigned long long last);

#endif

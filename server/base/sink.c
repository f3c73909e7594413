/* sink.c - the two sinks every layer needs: into memory, and a byte range of what flows by. */
#include "sink.h"

static enum err buf_sink_write(struct sink *sink, const void *data, size_t length)
{
    struct buf_sink *self = (struct buf_sink *)sink;
    buf_append(self->buf, data, length);
    return self->buf->overflowed ? ERR_TOO_LARGE : OK;
}

void buf_sink_init(struct buf_sink *self, struct buf *buf)
{
    *self = (struct buf_sink){.sink = {.write = buf_sink_write}, .buf = buf};
}

static enum err range_sink_write(struct sink *sink, const void *data, size_t length)
{
    struct range_sink *self = (struct range_sink *)sink;
    unsigned long long begin = self->position, end = begin + length; /* [begin, end) flows by */
    self->position = end;
    if (end > self->first && begin <= self->last) {
        unsigned long long from = begin > self->first ? begin : self->first;
        unsigned long long to = end - 1 < self->last ? end : self->last + 1;
        enum err err =
            sink_write(self->next, (const char *)data + (from - begin), (size_t)(to - from));
        if (err)
            return err;
    }
    if (end > self->last) {
        self->done = 1;
        return ERR_CANCELLED;
    }
    return OK;
}

static enum err range_sink_finish(struct sink *sink)
{
    return sink_finish(((struct range_sink *)sink)->next);
}

void range_sink_init(struct range_sink *self, struct sink *next, unsigned long long first,
                     unsigned long long last)
{
    *self = (struct range_sink){
        .sink = {.write = range_sink_write, .finish = range_sink_finish},
        .next = next,
        .first = first,
        .last = last,
    };
}

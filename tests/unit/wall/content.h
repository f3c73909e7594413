/* content.h - content as a worker sends it, for tests: FRAME_BYTES of any length. */
#ifndef POSTERN_TEST_CONTENT_H
#define POSTERN_TEST_CONTENT_H

#include "record.h"

static inline void put_bytes(struct buf *out, uint16_t call, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        size_t piece = length < FRAME_STREAM_BYTES ? length : FRAME_STREAM_BYTES;
        put_bytes_header(out, call, piece);
        buf_append(out, at, piece);
        at += piece;
        length -= piece;
    }
}

#endif

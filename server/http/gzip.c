/* gzip.c - one-shot gzip at level 1, which is where JSON stops getting much smaller. */
#include "door.h"

#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW_BITS  (15 + 16) /* 16: a gzip header instead of zlib's */
#define GZIP_MEMORY_LEVEL 8

bool gzip_pack(const char *data, size_t length, char **out, size_t *out_length)
{
    if (length > UINT32_MAX / 2)
        return false;
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length};
    if (deflateInit2(&stream, 1, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong bound = deflateBound(&stream, (uLong)length);
    char *packed = xalloc(bound);
    stream.next_out = (Bytef *)packed;
    stream.avail_out = (uInt)bound;
    bool good = deflate(&stream, Z_FINISH) == Z_STREAM_END && stream.total_out < length;
    size_t size = stream.total_out;
    deflateEnd(&stream);
    if (!good) {
        free(packed);
        return false;
    }
    *out = xrealloc(packed, size);
    *out_length = size;
    return true;
}

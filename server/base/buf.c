/* buf.c - growing bytes, doubling, with a ceiling. */
#include "buf.h"
#include "arena.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max_bytes = max_bytes};
}

void buf_clear(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->max_bytes);
}

void buf_reset(struct buf *buf)
{
    buf->length = 0;
    buf->overflowed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

/* Room for `more` bytes and a NUL; false (and overflowed) when that passes the limit. */
static bool buf_reserve(struct buf *buf, size_t more)
{
    if (buf->overflowed || more > buf->max_bytes - buf->length) {
        buf->overflowed = true;
        return false;
    }
    size_t need = buf->length + more + 1;
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity ? buf->capacity * 2 : 256;
    if (capacity < need)
        capacity = need;
    buf->data = xrealloc(buf->data, capacity);
    buf->capacity = capacity;
    return true;
}

void buf_append(struct buf *buf, const void *data, size_t length)
{
    if (!buf_reserve(buf, length))
        return;
    if (length)
        memcpy(buf->data + buf->length, data, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void buf_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_char(struct buf *buf, char byte)
{
    buf_append(buf, &byte, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length >= 0 && buf_reserve(buf, (size_t)length)) {
        vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
        buf->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

void buf_consume(struct buf *buf, size_t length)
{
    if (length >= buf->length) {
        buf_reset(buf);
        return;
    }
    memmove(buf->data, buf->data + length, buf->length - length + 1);
    buf->length -= length;
}

void buf_wipe(struct buf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->capacity);
    buf_clear(buf);
}

char *buf_detach(struct buf *buf)
{
    char *data = buf->data;
    buf_init(buf, buf->max_bytes);
    return data;
}

static void json_escape(struct buf *buf, unsigned char byte)
{
    switch (byte) {
    case '"': buf_append(buf, "\\\"", 2); break;
    case '\\': buf_append(buf, "\\\\", 2); break;
    case '\n': buf_append(buf, "\\n", 2); break;
    case '\r': buf_append(buf, "\\r", 2); break;
    case '\t': buf_append(buf, "\\t", 2); break;
    default: buf_printf(buf, "\\u%04x", byte);
    }
}

void buf_json_string(struct buf *buf, const char *text, size_t length)
{
    if (!text_is_utf8(text, length)) {
        struct arena arena;
        arena_init(&arena);
        const char *clean = text_clean(&arena, text, length, false);
        buf_json_string(buf, clean, strlen(clean));
        arena_clear(&arena);
        return;
    }
    buf_char(buf, '"');
    size_t start = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f)
            continue;
        buf_append(buf, text + start, i - start);
        json_escape(buf, byte);
        start = i + 1;
    }
    buf_append(buf, text + start, length - start);
    buf_char(buf, '"');
}

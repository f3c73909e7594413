/* buf.c - growing bytes, doubling, with a ceiling. */
#include "buf.h"
#include "arena.h"
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max_bytes = max_bytes};
}

void buf_init_secret(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max_bytes = max_bytes, .is_secret = true};
}

static void let_go(struct buf *buf)
{
    if (buf->is_secret && buf->data)
        explicit_bzero(buf->data, buf->capacity);
    free(buf->data);
}

void buf_clear(struct buf *buf)
{
    let_go(buf);
    *buf = (struct buf){.max_bytes = buf->max_bytes, .is_secret = buf->is_secret};
}

void buf_reset(struct buf *buf)
{
    buf->length = 0;
    buf->overflowed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

static void grow(struct buf *buf, size_t capacity)
{
    if (buf->is_secret) {
        char *data = xalloc(capacity); /* realloc() would leave a copy behind */
        if (buf->data)
            memcpy(data, buf->data, buf->length + 1);
        let_go(buf);
        buf->data = data;
    } else {
        buf->data = xrealloc(buf->data, capacity);
    }
    buf->capacity = capacity;
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
    grow(buf, capacity);
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
    if (!buf_reserve(buf, 1))
        return;
    buf->data[buf->length++] = byte;
    buf->data[buf->length] = '\0';
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

char *buf_detach(struct buf *buf)
{
    char *data = buf->data;
    buf->data = NULL;
    buf_clear(buf);
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

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether one of eight bytes is below `least`, at most 0x80. Exact: a borrow reaches other bytes
 * only from one that is. */
static bool any_below(uint64_t word, uint64_t least)
{
    return (word - EACH_BYTE(least)) & ~word & EACH_BYTE(0x80);
}

/* How many bytes from the start stand in a JSON string as they are. */
static size_t json_plain_run(const char *text, size_t length)
{
    size_t at = 0;
    for (uint64_t word; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        if (any_below(word, 0x20) || any_below(word ^ EACH_BYTE('"'), 1) ||
            any_below(word ^ EACH_BYTE('\\'), 1) || any_below(word ^ EACH_BYTE(0x7f), 1))
            break;
    }
    for (; at < length; at++) {
        unsigned char byte = (unsigned char)text[at];
        if (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f)
            break;
    }
    return at;
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
    for (size_t at = 0; at < length; at++) {
        size_t run = json_plain_run(text + at, length - at);
        buf_append(buf, text + at, run);
        at += run;
        if (at < length)
            json_escape(buf, (unsigned char)text[at]);
    }
    buf_char(buf, '"');
}

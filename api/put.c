/* put.c - a JSON writer without a tree. */
#include "put.h"
#include "clock.h"

#include <string.h>

static void put_comma(struct buf *out)
{
    if (out->length && !strchr("{[:,\n", out->data[out->length - 1]))
        buf_char(out, ',');
}

void put_open(struct buf *out, char bracket)
{
    put_comma(out);
    buf_char(out, bracket);
}

void put_close(struct buf *out, char bracket)
{
    buf_char(out, bracket);
}

void put_key(struct buf *out, const char *key)
{
    put_text(out, key);
    buf_char(out, ':');
}

void put_raw(struct buf *out, const char *json, size_t length)
{
    if (length) {
        put_comma(out);
        buf_append(out, json, length);
    }
}

void put_text(struct buf *out, const char *text)
{
    if (!text) {
        put_null(out);
        return;
    }
    put_comma(out);
    buf_json_string(out, text, strlen(text));
}

void put_int(struct buf *out, int64_t value)
{
    put_comma(out);
    buf_printf(out, "%lld", (long long)value);
}

void put_bool(struct buf *out, bool value)
{
    put_comma(out);
    buf_text(out, value ? "true" : "false");
}

void put_null(struct buf *out)
{
    put_comma(out);
    buf_text(out, "null");
}

void put_time(struct buf *out, int64_t unix_s)
{
    char stamp[CLOCK_TEXT_BYTES];
    clock_format(unix_s, stamp);
    put_text(out, stamp);
}

void put_strings(struct buf *out, const struct string_list *list)
{
    put_open(out, '[');
    for (uint32_t i = 0; i < list->count; i++)
        put_text(out, list->items[i]);
    put_close(out, ']');
}

void put_member_text(struct buf *out, const char *key, const char *text)
{
    put_key(out, key);
    put_text(out, text);
}

void put_member_int(struct buf *out, const char *key, int64_t value)
{
    put_key(out, key);
    put_int(out, value);
}

void put_member_bool(struct buf *out, const char *key, bool value)
{
    put_key(out, key);
    put_bool(out, value);
}

void put_member_null(struct buf *out, const char *key)
{
    put_key(out, key);
    put_null(out);
}

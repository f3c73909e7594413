/* encode.c - percent and base64, as text.h declares them. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

char *text_percent_decode(struct arena *arena, const char *text, size_t length, bool plus_is_blank)
{
    char *out = arena_alloc(arena, length + 1), *put = out;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (c == '\0')
            return NULL;
        *put++ = c;
    }
    return text_is_utf8(out, (size_t)(put - out)) ? out : NULL;
}

char *text_percent_encode(struct arena *arena, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char *out = arena_alloc(arena, strlen(text) * 3 + 1), *put = out;
    for (; *text; text++) {
        if (strchr(plain, *text)) {
            *put++ = *text;
        } else {
            *put++ = '%';
            *put++ = digits[(unsigned char)*text >> 4];
            *put++ = digits[(unsigned char)*text & 15];
        }
    }
    return out;
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Writes without padding and NUL; returns the end. */
static char *encode(const char *alphabet, const uint8_t *in, size_t length, char *out)
{
    while (length) {
        size_t group = length < 3 ? length : 3;
        uint32_t bits = (uint32_t)in[0] << 16;
        bits |= group > 1 ? (uint32_t)in[1] << 8 : 0;
        bits |= group > 2 ? in[2] : 0;
        for (size_t i = 0; i <= group; i++)
            *out++ = alphabet[(bits >> (18 - 6 * i)) & 63];
        in += group;
        length -= group;
    }
    return out;
}

static long decode(const char *alphabet, const char *text, size_t length, void *out,
                   size_t capacity)
{
    uint8_t *put = out;
    size_t written = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < length; i++) {
        const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!at)
            return -1;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            if (written == capacity)
                return -1;
            put[written++] = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    /* A lone sixth of a byte, or leftover bits that are not zero: two spellings of one value. */
    return held >= 6 || bits ? -1 : (long)written;
}

void text_base64url(const void *data, size_t length, char *out)
{
    *encode(url_safe, data, length, out) = '\0';
}

long text_base64url_decode(const char *text, size_t length, void *out, size_t capacity)
{
    return decode(url_safe, text, length, out, capacity);
}

char *text_base64(const void *data, size_t length)
{
    char *out = xalloc((length + 2) / 3 * 4 + 1);
    char *end = encode(standard, data, length, out);
    while ((end - out) % 4)
        *end++ = '=';
    return out;
}

long text_base64_decode(const char *text, size_t length, void *out, size_t capacity)
{
    size_t padding = 0;
    while (padding < 2 && length && text[length - 1] == '=') {
        length--;
        padding++;
    }
    if (padding && (length + padding) % 4)
        return -1;
    return decode(standard, text, length, out, capacity);
}

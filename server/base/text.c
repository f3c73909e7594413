/* text.c - UTF-8 and ASCII. */
#include "text.h"
#include "buf.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Length of the well-formed UTF-8 sequence at text (Unicode 15, table 3-7), or 0. */
static size_t sequence_length(const unsigned char *text, size_t left)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
    switch (first) {
    case 0xe0: low = 0xa0; break;
    case 0xed: high = 0x9f; break;
    case 0xf0: low = 0x90; break;
    case 0xf4: high = 0x8f; break;
    default: break;
    }
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Most text is ASCII, and every byte of a list is looked at: eight at a time. */
static size_t ascii_run(const char *text, size_t length)
{
    size_t at = 0;
    for (uint64_t word; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    while (at < length && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

bool text_is_utf8(const char *text, size_t length)
{
    for (size_t at = ascii_run(text, length); at < length;) {
        size_t step = sequence_length((const unsigned char *)text + at, length - at);
        if (!step)
            return false;
        at += step;
        at += ascii_run(text + at, length - at);
    }
    return true;
}

bool text_is_ascii(const char *text, size_t length)
{
    return ascii_run(text, length) == length;
}

size_t text_cut_bytes(const char *text, size_t length, size_t limit)
{
    if (length <= limit)
        return length;
    while (limit > 0 && ((unsigned char)text[limit] & 0xc0) == 0x80)
        limit--;
    return limit;
}

size_t text_cut_chars(const char *text, size_t length, size_t limit)
{
    size_t at = 0;
    while (at < length && limit--) {
        at++;
        while (at < length && ((unsigned char)text[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

/* C0 (except what the caller keeps), DEL, and C1, whose UTF-8 form is C2 80..9F. */
static bool is_control(const unsigned char *at, size_t step)
{
    return (step == 1 && (at[0] < 0x20 || at[0] == 0x7f)) ||
           (step == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

char *text_clean(struct arena *arena, const char *text, size_t length, bool fold)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    char *out = arena_alloc(arena, length * 3 + 1), *put = out; /* U+FFFD takes three bytes */
    while (at < end) {
        size_t step = sequence_length(at, (size_t)(end - at));
        if (step == 0) {
            memcpy(put, "\xef\xbf\xbd", 3);
            put += 3;
            step = 1;
        } else if (!is_control(at, step) || (!fold && (*at == '\t' || *at == '\n'))) {
            memcpy(put, at, step);
            put += step;
        } else if (fold && (*at == '\t' || *at == '\n' || *at == '\r') && put > out &&
                   put[-1] != ' ') {
            *put++ = ' ';
        }
        at += step;
    }
    *put = '\0';
    return out;
}

int text_casecmp(const char *a, const char *b)
{
    for (;; a++, b++) {
        unsigned char x = (unsigned char)*a, y = (unsigned char)*b;
        x = (unsigned char)(x >= 'A' && x <= 'Z' ? x + 32 : x);
        y = (unsigned char)(y >= 'A' && y <= 'Z' ? y + 32 : y);
        if (x != y || !x)
            return (int)x - (int)y;
    }
}

bool text_case_equal(const char *a, size_t a_length, const char *b)
{
    size_t i = 0;
    for (; i < a_length && b[i]; i++) {
        unsigned char x = (unsigned char)a[i], y = (unsigned char)b[i];
        x = (unsigned char)(x >= 'A' && x <= 'Z' ? x + 32 : x);
        y = (unsigned char)(y >= 'A' && y <= 'Z' ? y + 32 : y);
        if (x != y)
            return false;
    }
    return i == a_length && !b[i];
}

bool text_starts_case(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strnlen(text, length) == length && text_case_equal(text, length, prefix);
}

void text_lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + 32);
}

bool text_to_u64(const char *text, size_t length, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (digit > 9 || digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

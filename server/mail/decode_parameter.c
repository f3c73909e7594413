/* decode_parameter.c - MIME parameters (RFC 2231 and what mailers write instead), and file names
 * fit to save under. */
#include "decode_private.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MOST          1000u
#define VALUE_MOST_BYTES     (64u * 1024u)
#define PIECES_WORK          4096u
#define FILE_NAME_MOST_BYTES 255u

struct piece {
    uint32_t index; /* of a continuation: "filename*1" */
    bool extended;  /* percent-encoded: "filename*1*" */
    const struct raw_parameter *raw;
};

/* Whether `name` is `base`, `base*`, `base*N` or `base*N*`; `plain` when it is the first. */
static bool piece_read(const struct raw_parameter *raw, const char *base, struct piece *out,
                       bool *plain)
{
    size_t length = strlen(base);
    if (!raw->name || !text_starts_case(raw->name, base))
        return false;
    const char *rest = raw->name + length;
    *out = (struct piece){.raw = raw};
    *plain = *rest == '\0';
    if (*plain)
        return true;
    if (*rest++ != '*')
        return false;
    size_t digits = strspn(rest, "0123456789");
    uint64_t index = 0;
    if (digits && !text_to_u64(rest, digits, PIECES_MOST - 1, &index))
        return false;
    out->index = (uint32_t)index;
    out->extended = digits == 0 || rest[digits] == '*';
    return rest[digits] == '\0' || strcmp(rest + digits, "*") == 0;
}

static int hex_value(char byte)
{
    const char *digits = "0123456789abcdef";
    const char *at = byte ? strchr(digits, byte >= 'A' && byte <= 'F' ? byte + 32 : byte) : NULL;
    return at ? (int)(at - digits) : -1;
}

static void percent_append(struct buf *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        int high = text[i] == '%' && i + 2 < length ? hex_value(text[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        buf_char(out, low >= 0 ? (char)(high * 16 + low) : text[i]);
        if (low >= 0)
            i += 2;
    }
}

static int piece_order(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return (x->raw > y->raw) - (x->raw < y->raw);
}

/* Joins the continuations up to the first that is missing; the first one names the charset. */
static char *join_pieces(struct arena *arena, struct decode_budget *budget, struct piece *pieces,
                         uint32_t count)
{
    struct buf joined;
    char charset[64] = "";
    uint32_t wanted = 0;
    buf_init(&joined, VALUE_MOST_BYTES);
    qsort(pieces, count, sizeof *pieces, piece_order);
    for (uint32_t i = 0; i < count && pieces[i].index <= wanted; i++) {
        const char *value = pieces[i].raw->value;
        size_t length = pieces[i].raw->value_length;
        if (pieces[i].index != wanted) /* told twice: the first counts */
            continue;
        if (wanted++ == 0 && pieces[i].extended) {
            const char *quote = memchr(value, '\'', length);
            const char *second =
                quote ? memchr(quote + 1, '\'', length - (size_t)(quote + 1 - value)) : NULL;
            if (second) {
                snprintf(charset, sizeof charset, "%.*s",
                         (int)(quote - value > 63 ? 63 : quote - value), value);
                length -= (size_t)(second + 1 - value);
                value = second + 1;
            }
        }
        if (pieces[i].extended)
            percent_append(&joined, value, length);
        else
            buf_append(&joined, value, length);
    }
    if (joined.overflowed)
        budget->limited |= LIMITED_HEADERS;
    /* Pieces without charset may still hold encoded words: seen in the wild. */
    char *text =
        charset[0] || !joined.data
            ? charset_to_utf8(arena, charset, joined.data ? joined.data : "", joined.length)
            : decode_text(arena, budget, joined.data, joined.length);
    buf_clear(&joined);
    return text_clean(arena, text, strlen(text), true);
}

char *decode_parameter(struct arena *arena, struct decode_budget *budget,
                       const struct raw_parameter *parameters, uint32_t count, const char *name)
{
    struct piece *pieces = NULL;
    const struct raw_parameter *plain_one = NULL;
    uint32_t found = 0;
    for (uint32_t i = 0; i < count && found < PIECES_MOST; i++) {
        struct piece piece;
        bool plain;
        if (!parameters[i].value || !piece_read(&parameters[i], name, &piece, &plain))
            continue;
        if (plain) {
            plain_one = plain_one ? plain_one : &parameters[i];
        } else {
            if (!pieces)
                pieces =
                    arena_array(arena, struct piece, count < PIECES_MOST ? count : PIECES_MOST);
            pieces[found++] = piece;
        }
    }
    if (found &&
        decode_budget_spend(
            budget,
            PIECES_WORK)) { /* RFC 6266 4.3 and RFC 2231: the extended form is the better one */
        char *joined = join_pieces(arena, budget, pieces, found);
        if (*joined || !plain_one)
            return joined;
    }
    return plain_one ? decode_text(arena, budget, plain_one->value, plain_one->value_length) : NULL;
}

/* Characters that turn or hide what a reader sees of a name, or break a line: bidirectional marks
 * and overrides, zero-width ones, line and paragraph separator, the byte order mark. */
static bool is_deceptive(const char *at)
{
    const unsigned char *byte = (const unsigned char *)at;
    if (byte[0] == 0xd8 && byte[1] == 0x9c) /* U+061C */
        return true;
    if (byte[0] == 0xef && byte[1] == 0xbb && byte[2] == 0xbf)
        return true;
    if (byte[0] != 0xe2)
        return false;
    if (byte[1] == 0x80) /* U+200B..200F, U+2028..202E */
        return (byte[2] >= 0x8b && byte[2] <= 0x8f) || (byte[2] >= 0xa8 && byte[2] <= 0xae);
    return byte[1] == 0x81 && byte[2] >= 0xa0 && byte[2] <= 0xaf; /* U+2060..206F */
}

/* Cut to what a file system takes, keeping a short extension. */
static void shorten(char *name)
{
    size_t length = strlen(name);
    if (length <= FILE_NAME_MOST_BYTES)
        return;
    const char *dot = strrchr(name, '.');
    size_t extension = dot ? length - (size_t)(dot - name) : 0;
    if (extension > 16)
        extension = 0;
    size_t keep = text_cut_bytes(name, length, FILE_NAME_MOST_BYTES - extension);
    memmove(name + keep, name + length - extension, extension);
    name[keep + extension] = '\0';
}

char *decode_file_name(struct arena *arena, const char *name)
{
    if (!name)
        return NULL;
    char *clean = text_clean(arena, name, strlen(name), true), *put = clean;
    for (const char *at = clean; *at;) {
        size_t step = text_cut_chars(at, strnlen(at, 4), 1);
        if (*at == '/' || *at == '\\')
            put = clean; /* only what stands behind the last path divider is a name */
        else if (!is_deceptive(at))
            put = (char *)memmove(put, at, step) + step;
        at += step;
    }
    while (put > clean && (put[-1] == ' ' || put[-1] == '.')) /* Windows drops them silently */
        put--;
    *put = '\0';
    if (clean[0] && clean[1] == ':') /* a drive */
        clean += 2;
    clean += strspn(clean, ". "); /* no hidden files, no ".." */
    shorten(clean);
    return *clean ? clean : NULL;
}

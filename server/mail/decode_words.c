/* decode_words.c - encoded words (RFC 2047).
 *
 * Not GMime's: it loses what follows the padding when each of several words is padded, which is
 * what most mailers write. Neighbours in one charset are joined before they are converted, because
 * mailers cut words within a character. */
#include "decode_private.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define CHARSET_MOST_BYTES 64u
#define WORD_WORK          2048u /* a converter is opened for each run of words */

struct word {
    const char *charset;
    size_t charset_length;
    char encoding; /* 'q' or 'b' */
    const char *text;
    size_t length;
    const char *end; /* behind the word */
};

/* The last "?=" of the text, or NULL: no word begins behind it. */
static const char *last_mark(const char *text)
{
    size_t length = strlen(text);
    while (length >= 2) {
        const char *mark = memrchr(text, '?', length - 1);
        if (!mark || mark[1] == '=')
            return mark;
        length = (size_t)(mark - text) + 1;
    }
    return NULL;
}

/* Reads the word that begins at "=?" and ends by `last`. Blanks inside are wrong but seen. */
static bool word_read(const char *at, const char *last, struct word *out)
{
    *out = (struct word){.charset = at + 2};
    out->charset_length = strcspn(out->charset, "? \t=");
    const char *mark = out->charset + out->charset_length;
    if (*mark != '?' || out->charset_length == 0 || out->charset_length >= CHARSET_MOST_BYTES ||
        !mark[1] || mark[2] != '?')
        return false;
    out->encoding = (char)(mark[1] | 0x20);
    out->text = mark + 3;
    if ((out->encoding != 'q' && out->encoding != 'b') || out->text > last)
        return false;
    const char *end = strstr(out->text, "?=");
    out->length = (size_t)(end - out->text);
    out->end = end + 2;
    return true;
}

static int hex_value(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte = (char)(byte | 0x20);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static void word_bytes(const struct word *word, struct buf *out)
{
    if (word->encoding == 'b') {
        struct buf_sink end;
        struct decode_chain *chain = decode_chain_new();
        buf_sink_init(&end, out);
        sink_write(decode_transfer(chain, "base64", &end.sink), word->text, word->length);
        decode_chain_free(&chain);
        return;
    }
    for (size_t i = 0; i < word->length; i++) {
        char byte = word->text[i];
        int high = byte == '=' && i + 2 < word->length ? hex_value(word->text[i + 1]) : -1;
        int low = high >= 0 ? hex_value(word->text[i + 2]) : -1;
        buf_char(out, low >= 0 ? (char)(high * 16 + low) : byte == '_' ? ' ' : byte);
        if (low >= 0)
            i += 2;
    }
}

static bool same_charset(const struct word *a, const struct word *b)
{
    const char *first = charset_find(a->charset, a->charset_length);
    const char *second = charset_find(b->charset, b->charset_length);
    return first == second || (first && second && strcmp(first, second) == 0);
}

static void words_put(struct arena *arena, struct buf *out, const struct word *word,
                      const struct buf *bytes, enum words_form form)
{
    const char *charset = arena_strndup(arena, word->charset, word->charset_length);
    const char *text =
        charset_to_utf8(arena, charset, bytes->data ? bytes->data : "", bytes->length);
    if (form == WORDS_AS_TEXT) {
        buf_text(out, text);
        return;
    }
    const char *clean = text_clean(arena, text, strlen(text), true);
    char *encoded = text_base64(clean, strlen(clean));
    buf_printf(out, "=?UTF-8?B?%s?=", encoded);
    free(encoded);
}

/* One word and its neighbours of the same charset; returns what follows them. */
static const char *words_take(struct arena *arena, struct buf *out, struct word word,
                              const char *last, enum words_form form)
{
    struct buf bytes;
    struct word next = word;
    buf_init(&bytes, BACKEND_HEADER_VALUE_BYTES_MAX * 2);
    do {
        word_bytes(&next, &bytes);
        word.end = next.end;
        const char *after = word.end + strspn(word.end, " \t");
        if (strncmp(after, "=?", 2) != 0 || !word_read(after, last, &next))
            break;
        word.end = after; /* blanks between encoded words are no text (RFC 2047 6.2) */
    } while (same_charset(&word, &next));
    words_put(arena, out, &word, &bytes, form);
    buf_clear(&bytes);
    return word.end;
}

const char *words_decode(struct arena *arena, struct decode_budget *budget, const char *text,
                         enum words_form form)
{
    struct buf out;
    const char *at = strstr(text, "=?"), *last = at ? last_mark(at) : NULL;
    if (!last)
        return text;
    buf_init(&out, BACKEND_HEADER_VALUE_BYTES_MAX * 8);
    while (at && at < last) {
        struct word word;
        bool good = word_read(at, last, &word);
        buf_append(&out, text, (size_t)(at - text) + (good ? 0 : 2));
        if (good && !decode_budget_spend(budget, word.length + WORD_WORK)) {
            text = "";
            break;
        }
        text = good ? words_take(arena, &out, word, last, form) : at + 2;
        at = strstr(text, "=?");
    }
    buf_text(&out, text);
    char *copy = arena_strndup(arena, out.data ? out.data : "", out.length);
    buf_clear(&out);
    return copy;
}

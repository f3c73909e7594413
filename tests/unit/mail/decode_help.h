/* decode_help.h - feeds a chain of decoding sinks whole, byte by byte and in uneven pieces, and
 * insists that the result is the same. */
#ifndef POSTERN_DECODE_HELP_H
#define POSTERN_DECODE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gmime/gmime.h>

#include "arena.h"
#include "clock.h"
#include "decode.h"
#include "text.h"

struct feed {
    const char *encoding; /* NULL: no transfer link */
    const char *charset;
    int with_charset, with_html;
};

static inline uint32_t pseudo_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    return *seed ^= *seed << 5;
}

static inline void feed_once(const struct feed *feed, const char *data, size_t length, size_t step,
                             uint32_t seed, struct buf *out)
{
    struct buf_sink end;
    struct decode_chain *chain = decode_chain_new();
    buf_init(out, 64 << 20);
    buf_sink_init(&end, out);
    struct sink *sink = &end.sink;
    if (feed->with_html)
        sink = decode_html(chain, sink);
    if (feed->with_charset)
        sink = decode_charset(chain, feed->charset, sink);
    if (feed->encoding)
        sink = decode_transfer(chain, feed->encoding, sink);
    while (length) {
        size_t take = step ? step : pseudo_random(&seed) % 97 + 1;
        if (take > length)
            take = length;
        char *exact = malloc(take); /* a read past the piece is seen by the sanitizer */
        memcpy(exact, data, take);
        assert_int_equal(sink_write(sink, exact, take), OK);
        free(exact);
        data += take;
        length -= take;
    }
    assert_int_equal(sink_finish(sink), OK);
    decode_chain_free(&chain);
}

/* The result, to be cleared by the caller. */
static inline void feed_all_ways(const struct feed *feed, const char *data, size_t length,
                                 struct buf *out)
{
    struct buf pieces;
    feed_once(feed, data, length, length ? length : 1, 1, out);
    for (uint32_t way = 0; way < 4; way++) {
        feed_once(feed, data, length, way < 2 ? way + 1 : 0, way * 7919 + 1, &pieces);
        if (pieces.length != out->length)
            print_error("charset %s, encoding %s, html %d, way %u\n",
                        feed->charset ? feed->charset : "none",
                        feed->encoding ? feed->encoding : "none", feed->with_html, way);
        assert_int_equal(pieces.length, out->length);
        if (out->length)
            assert_memory_equal(pieces.data, out->data, out->length);
        buf_clear(&pieces);
    }
}

static inline void assert_fed(const struct feed *feed, const char *data, size_t length,
                              const char *expected, size_t expected_length)
{
    struct buf out;
    feed_all_ways(feed, data, length, &out);
    if (out.length != expected_length ||
        (expected_length && memcmp(out.data, expected, expected_length) != 0))
        print_error("got      \"%.*s\"\nexpected \"%.*s\"\n", (int)out.length,
                    out.data ? out.data : "", (int)expected_length, expected);
    assert_int_equal(out.length, expected_length);
    if (expected_length)
        assert_memory_equal(out.data, expected, expected_length);
    buf_clear(&out);
}

#define assert_feeds(feed, in, expected)                                                           \
    assert_fed((feed), (in), sizeof(in) - 1, (expected), sizeof(expected) - 1)

/* A budget that no test of what is decoded comes near. */
static inline struct decode_budget *plenty(void)
{
    static struct decode_budget budget;
    decode_budget_begin(&budget, NULL, 60000, UINT64_MAX);
    return &budget;
}

static inline void assert_clean(const char *text)
{
    size_t length = strlen(text);
    assert_true(text_is_utf8(text, length));
    for (size_t i = 0; i < length; i++)
        assert_true((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

#endif

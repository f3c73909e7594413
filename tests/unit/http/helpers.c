/* helpers.c - Range, entity tags and Accept, against RFC 9110. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http.h"

static void expect_range(const char *range, enum http_range kind, uint64_t first, uint64_t last)
{
    uint64_t got_first = 0, got_last = 0;
    assert_int_equal(http_range_parse(range, NULL, "\"a\"", 1000, &got_first, &got_last), kind);
    assert_int_equal(got_first, first);
    assert_int_equal(got_last, last);
}

static void one_range_of_bytes_is_understood(void **state)
{
    (void)state;
    expect_range("bytes=0-499", HTTP_RANGE_PART, 0, 499);
    expect_range("bytes=500-", HTTP_RANGE_PART, 500, 999);
    expect_range("bytes=-100", HTTP_RANGE_PART, 900, 999);
    expect_range("bytes=-5000", HTTP_RANGE_PART, 0, 999);
    expect_range("bytes=990-5000", HTTP_RANGE_PART, 990, 999);
    expect_range("BYTES=0-0", HTTP_RANGE_PART, 0, 0);
    expect_range("bytes=1-99999999999999999999999", HTTP_RANGE_PART, 1, 999);
}

static void a_range_past_the_end_cannot_be_satisfied(void **state)
{
    (void)state;
    expect_range("bytes=1000-", HTTP_RANGE_UNSATISFIABLE, 0, 0);
    expect_range("bytes=-0", HTTP_RANGE_UNSATISFIABLE, 0, 0);
    expect_range("bytes=99999999999999999999999-", HTTP_RANGE_UNSATISFIABLE, 0, 0);
    uint64_t first, last;
    assert_int_equal(http_range_parse("bytes=0-", NULL, NULL, 0, &first, &last),
                     HTTP_RANGE_UNSATISFIABLE);
}

static void other_ranges_mean_the_whole(void **state)
{
    static const char *const ranges[] = {
        "",          "bytes",      "bytes=",        "bytes=-",     "bytes=a-b",   "bytes=5-1",
        "lines=0-1", "bytes=0-1,", "bytes=0-1,5-6", "bytes=1 - 2", "bytes=0x1-2", "bytes=--1",
    };
    (void)state;
    expect_range(NULL, HTTP_RANGE_WHOLE, 0, 0);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        expect_range(ranges[i], HTTP_RANGE_WHOLE, 0, 0);
}

static void if_range_needs_the_same_strong_tag(void **state)
{
    uint64_t first, last;
    (void)state;
    assert_int_equal(http_range_parse("bytes=0-1", "\"a\"", "\"a\"", 9, &first, &last),
                     HTTP_RANGE_PART);
    assert_int_equal(http_range_parse("bytes=0-1", "\"b\"", "\"a\"", 9, &first, &last),
                     HTTP_RANGE_WHOLE);
    assert_int_equal(http_range_parse("bytes=0-1", "W/\"a\"", "W/\"a\"", 9, &first, &last),
                     HTTP_RANGE_WHOLE);
    assert_int_equal(
        http_range_parse("bytes=0-1", "Sat, 01 Jan 2028 00:00:00 GMT", "\"a\"", 9, &first, &last),
        HTTP_RANGE_WHOLE);
    assert_int_equal(http_range_parse("bytes=0-1", "\"a\"", NULL, 9, &first, &last),
                     HTTP_RANGE_WHOLE);
}

static void if_none_match_compares_weakly(void **state)
{
    (void)state;
    assert_true(http_etag_matches("\"a\"", "\"a\""));
    assert_true(http_etag_matches("W/\"a\"", "\"a\""));
    assert_true(http_etag_matches("\"x\", W/\"a\"", "W/\"a\""));
    assert_true(http_etag_matches("\"x,y\",\"a\"", "\"a\""));
    assert_true(http_etag_matches("*", "\"a\""));
    assert_false(http_etag_matches("\"b\"", "\"a\""));
    assert_false(http_etag_matches("a", "\"a\""));
    assert_false(http_etag_matches("\"a", "\"a\""));
    assert_false(http_etag_matches("", "\"a\""));
    assert_false(http_etag_matches(NULL, "\"a\""));
    assert_false(http_etag_matches("*", NULL));
}

static void codings_are_weighed(void **state)
{
    (void)state;
    assert_int_equal(http_accept_quality(NULL, "gzip"), 1000);
    assert_int_equal(http_accept_quality("gzip, deflate, br", "gzip"), 1000);
    assert_int_equal(http_accept_quality("gzip;q=0.5", "gzip"), 500);
    assert_int_equal(http_accept_quality("GZIP ; q=0.125", "gzip"), 125);
    assert_int_equal(http_accept_quality("*;q=0.3, br", "gzip"), 300);
    assert_int_equal(http_accept_quality("gzip;q=0, *", "gzip"), 0);
    assert_int_equal(http_accept_quality("br", "gzip"), 0);
    assert_int_equal(http_accept_quality("", "gzip"), 0);
    assert_int_equal(http_accept_quality("gzip;q=7", "gzip"), 0);
    assert_int_equal(http_accept_quality("gzip;q=x", "gzip"), 0);
}

static void the_most_specific_media_type_decides(void **state)
{
    const char *type = "application/json";
    (void)state;
    assert_int_equal(http_accept_quality("*/*", type), 1000);
    assert_int_equal(http_accept_quality("text/html, application/*;q=0.8", type), 800);
    assert_int_equal(http_accept_quality("*/*;q=0.9, application/json;q=0.1", type), 100);
    assert_int_equal(http_accept_quality("application/json;charset=utf-8;q=0.4", type), 400);
    assert_int_equal(http_accept_quality("text/html", type), 0);
    assert_int_equal(http_accept_quality("", type), 1000);
    assert_int_equal(http_accept_quality("application/jsonp", type), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_range_of_bytes_is_understood),
        cmocka_unit_test(a_range_past_the_end_cannot_be_satisfied),
        cmocka_unit_test(other_ranges_mean_the_whole),
        cmocka_unit_test(if_range_needs_the_same_strong_tag),
        cmocka_unit_test(if_none_match_compares_weakly),
        cmocka_unit_test(codings_are_weighed),
        cmocka_unit_test(the_most_specific_media_type_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

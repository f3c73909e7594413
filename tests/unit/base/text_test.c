/* text_test.c - UTF-8, numbers, percent and base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"

static struct arena arena;

#define UTF8(text) text_is_utf8((text), sizeof(text) - 1)

static void only_well_formed_utf_8_is_utf_8(void **state)
{
    (void)state;
    assert_true(UTF8("") && UTF8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0"));
    assert_true(UTF8("\xef\xbf\xbf") && UTF8("\xf4\x8f\xbf\xbf") && UTF8("\xed\x9f\xbf"));
    assert_false(UTF8("\xc0\x80") || UTF8("\xc1\xbf") || UTF8("\xe0\x9f\xbf"));
    assert_false(UTF8("\xed\xa0\x80") || UTF8("\xf0\x8f\xbf\xbf") || UTF8("\xf4\x90\x80\x80"));
    assert_false(UTF8("\x80") || UTF8("\xc3") || UTF8("\xe2\x82") || UTF8("\xf0\x9f\x98"));
    assert_false(UTF8("\xff") || UTF8("\xf5\x80\x80\x80") || UTF8("\xc3\xc3\xa9"));
}

/* ASCII is passed over in pieces: what is wrong must be seen at every place of two and a rest. */
static void a_wrong_byte_is_seen_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t place = 0; place < 19; place++) {
        char text[20];
        memset(text, 'a', sizeof text);
        assert_true(text_is_utf8(text, sizeof text) && text_is_ascii(text, sizeof text));
        memcpy(text + place, "\xc3\xa9", 2);
        assert_true(text_is_utf8(text, sizeof text) && !text_is_ascii(text, sizeof text));
        assert_false(text_is_utf8(text, place + 1) || text_is_ascii(text, place + 1));
        assert_true(text_is_utf8(text, place) && text_is_ascii(text, place));
        text[place] = '\xff';
        assert_false(text_is_utf8(text, sizeof text));
    }
}

static void a_cut_never_splits_a_character(void **state)
{
    (void)state;
    const char *text = "a\xc3\xa9\xe2\x82\xac";
    static const size_t bytes[] = {0, 1, 1, 3, 3, 3, 6, 6}, chars[] = {0, 1, 3, 6, 6};
    for (size_t limit = 0; limit < 8; limit++)
        assert_int_equal(text_cut_bytes(text, 6, limit), bytes[limit]);
    for (size_t limit = 0; limit < 5; limit++)
        assert_int_equal(text_cut_chars(text, 6, limit), chars[limit]);
}

#define assert_clean(in, fold, expected)                                                           \
    assert_string_equal(text_clean(&arena, (in), sizeof(in) - 1, (fold)), (expected))

static void cleaning_leaves_valid_text_without_controls(void **state)
{
    (void)state;
    assert_clean("a\0b\x01\x7f\xc2\x85"
                 "c",
                 false, "abc");
    assert_clean("a\tb\r\nc", false, "a\tb\nc");
    assert_clean("a\tb\r\n c\n\nd", true, "a b  c d");
    assert_clean("\r\na", true, "a");
    assert_clean("\xff\xc3(\xe2\x82", false, "\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd");
    assert_clean("\xc2\xa0", true, "\xc2\xa0");
}

static void case_is_ascii_only(void **state)
{
    (void)state;
    assert_int_equal(text_casecmp("Content-TYPE", "content-type"), 0);
    assert_true(text_casecmp("a", "b") < 0 && text_casecmp("ab", "a") > 0 &&
                text_casecmp("", "a") < 0);
    assert_true(text_casecmp("[", "{") != 0 && text_casecmp("@", "`") != 0);
    assert_true(text_case_equal("INBOXx", 5, "inbox"));
    assert_false(text_case_equal("INBOX", 5, "inboxx") || text_case_equal("INB", 3, "inbox"));
    assert_true(text_starts_case("Bearer x", "bearer "));
    assert_false(text_starts_case("Bear", "bearer"));
}

static bool number_is(const char *text, uint64_t max, uint64_t expected)
{
    uint64_t value = 77;
    return text_to_u64(text, strlen(text), max, &value) && value == expected;
}

static bool number_fails(const char *text, uint64_t max)
{
    uint64_t value = 77;
    return !text_to_u64(text, strlen(text), max, &value) && value == 77;
}

static void numbers_are_whole_and_bounded(void **state)
{
    (void)state;
    assert_true(number_is("0", 0, 0) && number_is("500", 500, 500) && number_is("007", 9, 7));
    assert_true(number_is("18446744073709551615", UINT64_MAX, UINT64_MAX));
    assert_true(number_fails("18446744073709551616", UINT64_MAX));
    assert_true(number_fails("99999999999999999999999", UINT64_MAX));
    assert_true(number_fails("501", 500) && number_fails("9", 5) &&
                number_fails("99999999999999999999999", 5));
    assert_true(number_fails("", 9) && number_fails("-1", 9) && number_fails("+1", 9));
    assert_true(number_fails(" 1", 9) && number_fails("1 ", 9) && number_fails("0x1", 9));
    for (uint64_t max = 0; max < 12; max++) { /* a wrap-around would let one of these in */
        char text[24] = "";
        for (size_t digits = 1; digits < 23; digits++) {
            memset(text, '9', digits);
            assert_true(digits == 1 && max >= 9 ? number_is(text, max, 9)
                                                : number_fails(text, max));
        }
    }
}

static const char *percent(const char *text, bool plus)
{
    return text_percent_decode(&arena, text, strlen(text), plus);
}

static void percent_escapes_are_undone_strictly(void **state)
{
    (void)state;
    assert_string_equal(percent("a%2Fb%c3%A9+c", false), "a/b\xc3\xa9+c");
    assert_string_equal(percent("a+b%2B", true), "a b+");
    assert_string_equal(percent("%41", false), "A");
    assert_null(percent("%", false));
    assert_null(percent("%4", false));
    assert_null(percent("%4g", false));
    assert_null(percent("a%00b", false));
    assert_null(percent("%ff", false));
    assert_null(
        text_percent_decode(&arena, "%41", 2, false)); /* what follows is not ours to read */
}

static void percent_encoding_comes_back(void **state)
{
    (void)state;
    assert_string_equal(text_percent_encode(&arena, "a b/c~\xc3\xa9%"), "a%20b%2Fc~%C3%A9%25");
    char all[256];
    for (int i = 1; i < 128; i++)
        all[i - 1] = (char)i;
    all[127] = '\0';
    assert_string_equal(percent(text_percent_encode(&arena, all), false), all);
}

static void base64_comes_back(void **state)
{
    (void)state;
    uint8_t data[70], back[70];
    char text[TEXT_BASE64URL_BYTES(sizeof data)];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 200);
    for (size_t length = 0; length <= sizeof data; length++) {
        text_base64url(data, length, text);
        assert_true(strlen(text) < TEXT_BASE64URL_BYTES(length));
        assert_null(strpbrk(text, "+/="));
        assert_int_equal(text_base64url_decode(text, strlen(text), back, length), (long)length);
        assert_memory_equal(back, data, length);
        char *padded = text_base64(data, length);
        assert_int_equal(strlen(padded), (length + 2) / 3 * 4);
        assert_int_equal(text_base64_decode(padded, strlen(padded), back, length), (long)length);
        assert_memory_equal(back, data, length);
        if (length)
            assert_int_equal(text_base64_decode(padded, strlen(padded), back, length - 1), -1);
        free(padded);
    }
}

static void one_value_has_one_spelling(void **state)
{
    (void)state;
    uint8_t out[8];
    static const char *const bad[] = {"A", "AB", "QQ=", "AAAAA", "Q Q", "QUI=x", "++"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(text_base64url_decode(bad[i], strlen(bad[i]), out, sizeof out), -1);
    static const char *const bad_padded[] = {
        "QQ=", "QUI==", "=", "==", "QUJD====", "QQ==QQ==", "A==="};
    for (size_t i = 0; i < sizeof bad_padded / sizeof bad_padded[0]; i++)
        assert_int_equal(text_base64_decode(bad_padded[i], strlen(bad_padded[i]), out, sizeof out),
                         -1);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_clear(&arena);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_well_formed_utf_8_is_utf_8),
        TEST(a_wrong_byte_is_seen_wherever_it_stands),
        TEST(a_cut_never_splits_a_character),
        TEST(cleaning_leaves_valid_text_without_controls),
        TEST(case_is_ascii_only),
        TEST(numbers_are_whole_and_bounded),
        TEST(percent_escapes_are_undone_strictly),
        TEST(percent_encoding_comes_back),
        TEST(base64_comes_back),
        TEST(one_value_has_one_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pack.c - values in frames come back as they went, and what is none breaks the reading for good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "promises.h"

static struct buf out;

static struct unpack reading(void)
{
    struct frame frame = frame_at(out.data);
    return unpack_of(&frame);
}

static int start(void **state)
{
    (void)state;
    buf_init(&out, 4096);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    buf_clear(&out);
    return 0;
}

static void a_frame_is_little_endian_and_says_its_length(void **state)
{
    (void)state;
    buf_text(&out, "before");
    size_t began = frame_begin(&out, 0x0102, 0x0304);
    pack_u32(&out, 0x11223344);
    assert_int_equal(frame_size(&out, began), 4);
    frame_end(&out, began);
    assert_memory_equal(out.data, "before\4\0\0\0\2\1\4\3\x44\x33\x22\x11", 18);
}

static void values_come_back_as_they_went(void **state)
{
    (void)state;
    size_t began = frame_begin(&out, 1, 1), length;
    pack_u8(&out, 255);
    pack_u32(&out, UINT32_MAX);
    pack_u64(&out, UINT64_MAX - 1);
    pack_i64(&out, INT64_MIN);
    pack_text(&out, NULL);
    pack_text(&out, "");
    pack_text(&out, "caf\xc3\xa9 \xf0\x9f\x98\x80");
    pack_text(&out, "\xff\x01");
    pack_bytes(&out, "a\0b", 3);
    pack_u8(&out, 1);
    frame_end(&out, began);
    struct unpack from = reading();
    assert_int_equal(unpack_u8(&from, 255), 255);
    assert_int_equal(unpack_u32(&from, UINT32_MAX), UINT32_MAX);
    assert_true(unpack_u64(&from) == UINT64_MAX - 1);
    assert_true(unpack_i64(&from) == INT64_MIN);
    assert_null(unpack_text(&from, 10));
    assert_string_equal(unpack_text(&from, 0), "");
    assert_string_equal(unpack_text(&from, 10), "caf\xc3\xa9 \xf0\x9f\x98\x80");
    assert_string_equal(unpack_remote(&from, 2), "\xff\x01");
    assert_memory_equal(unpack_bytes(&from, 3, &length), "a\0b", 4);
    assert_int_equal(length, 3);
    assert_false(unpack_done(&from)); /* a byte is left */
    assert_true(unpack_bool(&from));
    assert_true(unpack_done(&from));
}

static void put_all(void)
{
    buf_reset(&out);
    size_t began = frame_begin(&out, 1, 1);
    pack_u64(&out, 7);
    pack_text(&out, "text");
    pack_u32(&out, 7);
    frame_end(&out, began);
}

static void a_frame_that_ends_early_is_broken_for_good(void **state)
{
    (void)state;
    put_all();
    struct frame frame = frame_at(out.data);
    for (uint32_t cut = 0; cut <= frame.length; cut++) {
        struct frame part = frame;
        part.length = cut;
        struct unpack from = unpack_of(&part);
        (void)unpack_u64(&from);
        (void)unpack_text(&from, 100);
        uint32_t last = unpack_u32(&from, UINT32_MAX);
        assert_int_equal(unpack_done(&from), cut == frame.length);
        assert_int_equal(last, cut == frame.length ? 7 : 0);
        if (cut < frame.length) {
            assert_true(from.broken);
            assert_null(unpack_text(&from, 100));
            assert_true(unpack_u64(&from) == 0);
        }
    }
}

static bool text_passes(const char *text, size_t length, size_t bytes_max)
{
    buf_reset(&out);
    size_t began = frame_begin(&out, 1, 1);
    pack_bytes(&out, text, length);
    frame_end(&out, began);
    struct unpack from = reading();
    const char *taken = unpack_text(&from, bytes_max);
    assert_true(!taken || strlen(taken) == length);
    return unpack_done(&from);
}

static void a_bad_byte_in_a_text_is_seen_wherever_it_stands(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x01", "\t",   "\n",       "\x1f",     "\x7f",
                                      "\x80", "\xff", "\xc2\x80", "\xc2\x9f", "\xed\xa0\x80"};
    static const char *const good[] = {" ", "~", "\xc2\xa0", "\xe2\x80\xa8", "\xf4\x8f\xbf\xbf"};
    for (size_t at = 0; at < 20; at++) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            char text[32] = "aaaaaaaaaaaaaaaaaaaaaaaaaaa";
            memcpy(text + at, bad[i], strlen(bad[i]));
            assert_false(text_passes(text, 27, 100));
            memcpy(text, "\xc3\xa9", 2); /* and behind something else than ASCII */
            assert_true(at < 2 || !text_passes(text, 27, 100));
        }
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            char text[32] = "aaaaaaaaaaaaaaaaaaaaaaaaaaa";
            memcpy(text + at, good[i], strlen(good[i]));
            assert_true(text_passes(text, 27, 27));
            assert_false(text_passes(text, 27, 26));
            assert_false(text_passes(text, at + strlen(good[i]) - 1, 100) && good[i][1]);
        }
        char text[32] = "aaaaaaaaaaaaaaaaaaaaaaaaaaa";
        text[at] = '\0';
        assert_false(text_passes(text, 27, 100));
    }
}

static void a_text_without_its_nul_is_broken(void **state)
{
    (void)state;
    put_all();
    out.data[FRAME_HEADER_BYTES + 8 + 4 + 4] = '!'; /* where the NUL of "text" stands */
    struct unpack from = reading();
    (void)unpack_u64(&from);
    assert_null(unpack_remote(&from, 100));
    assert_true(from.broken);
}

static void a_number_above_its_bound_is_broken(void **state)
{
    (void)state;
    put_all();
    struct unpack from = reading();
    assert_int_equal(unpack_u32(&from, 6), 0);
    assert_true(from.broken);
    put_all();
    from = reading();
    assert_int_equal(unpack_u8(&from, 7), 7);
    assert_false(unpack_bool(&from) || from.broken);
}

static void half_a_frame_does_not_stay_in_a_full_buffer(void **state)
{
    (void)state;
    struct buf small;
    buf_init(&small, 20);
    size_t began = frame_begin(&small, 1, 1);
    pack_text(&small, "longer than twenty bytes");
    frame_end(&small, began);
    assert_true(small.overflowed && small.length == 0);
    buf_clear(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frame_is_little_endian_and_says_its_length, start, stop),
        cmocka_unit_test_setup_teardown(values_come_back_as_they_went, start, stop),
        cmocka_unit_test_setup_teardown(a_frame_that_ends_early_is_broken_for_good, start, stop),
        cmocka_unit_test_setup_teardown(a_bad_byte_in_a_text_is_seen_wherever_it_stands, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_text_without_its_nul_is_broken, start, stop),
        cmocka_unit_test_setup_teardown(a_number_above_its_bound_is_broken, start, stop),
        cmocka_unit_test_setup_teardown(half_a_frame_does_not_stay_in_a_full_buffer, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

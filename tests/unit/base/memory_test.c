/* memory_test.c - arenas, buffers, sinks, faults, time and metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "buf.h"
#include "clock.h"
#include "err.h"
#include "metric.h"
#include "sink.h"
#include "text.h"

static void an_arena_gives_aligned_zeroed_memory(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    for (size_t size = 0; size < 3000; size += 7) {
        char *memory = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
    }
    char *large = arena_alloc(&arena, 1 << 20);
    memset(large, 1, 1 << 20);
    assert_string_equal(arena_strndup(&arena, "hello", 4), "hell");
    assert_null(arena_strdup(&arena, NULL));
    assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    assert_true(arena.used_bytes > 1 << 20);
    arena_clear(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_string_equal(arena_strdup(&arena, "again"), "again");
    arena_clear(&arena);
}

static void a_buffer_knows_when_it_is_too_big(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    buf_text(&buf, "12345");
    buf_printf(&buf, "%d", 67890);
    assert_string_equal(buf.data, "1234567890");
    assert_false(buf.overflowed);
    buf_char(&buf, 'x');
    assert_true(buf.overflowed);
    buf_text(&buf, "");
    assert_int_equal(buf.length, 10);
    buf_reset(&buf);
    buf_text(&buf, "abc");
    buf_consume(&buf, 1);
    assert_string_equal(buf.data, "bc");
    buf_consume(&buf, 5);
    assert_int_equal(buf.length, 0);
    buf_text(&buf, "kept");
    char *kept = buf_detach(&buf);
    assert_string_equal(kept, "kept");
    assert_null(buf.data);
    free(kept);
    buf_clear(&buf);
}

/* The block of a buffer that has grown is free memory, which nothing but a look from outside may
 * read: tests/e2e/test_secrets.py looks. */
static void a_secret_buffer_keeps_what_it_holds(void **state)
{
    (void)state;
    struct buf buf;
    buf_init_secret(&buf, 100000);
    for (int i = 0; i < 10000; i++)
        buf_printf(&buf, "%04d", i);
    assert_int_equal(buf.length, 40000);
    assert_memory_equal(buf.data + 4 * 7654, "7654", 4);
    assert_string_equal(buf.data + 4 * 9999, "9999");
    buf_clear(&buf);
    assert_null(buf.data);
    assert_true(buf.is_secret);
    buf_text(&buf, "again");
    assert_string_equal(buf.data, "again");
    buf_clear(&buf);
}

static void json_strings_are_escaped_and_valid(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    buf_json_string(&buf, "a\"\\\n\r\t\x01\x7f\0z\xc3\xa9", 12);
    assert_string_equal(buf.data, "\"a\\\"\\\\\\n\\r\\t\\u0001\\u007f\\u0000z\xc3\xa9\"");
    buf_reset(&buf);
    buf_json_string(&buf, "\xff\"", 2);
    assert_string_equal(buf.data, "\"\xef\xbf\xbd\\\"\"");
    buf_reset(&buf);
    buf_json_string(&buf, "", 0);
    assert_string_equal(buf.data, "\"\"");
    buf_clear(&buf);
}

/* Text is looked at in pieces: every ASCII byte, at every place of two of them and a rest. */
static void every_byte_is_escaped_or_not_wherever_it_stands(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    for (int byte = 0; byte < 0x80; byte++) {
        for (size_t place = 0; place < 20; place++) {
            char text[20], escape[8] = {(char)byte}, expected[64];
            memset(text, '~', sizeof text);
            text[place] = (char)byte;
            static const char letters[0x80] = {
                ['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
            if (letters[byte])
                snprintf(escape, sizeof escape, "\\%c", letters[byte]);
            else if (byte < 0x20 || byte == 0x7f)
                snprintf(escape, sizeof escape, "\\u%04x", (unsigned)byte);
            snprintf(expected, sizeof expected, "\"%.*s%s%.*s\"", (int)place,
                     "~~~~~~~~~~~~~~~~~~~~", escape, (int)(19 - place), "~~~~~~~~~~~~~~~~~~~~");
            buf_reset(&buf);
            buf_json_string(&buf, text, sizeof text);
            assert_string_equal(buf.data, expected);
        }
    }
    buf_clear(&buf);
}

/* Every range of "0123456789", in pieces of every size. */
static void a_range_is_exactly_its_bytes(void **state)
{
    (void)state;
    const char *digits = "0123456789";
    for (unsigned first = 0; first < 12; first++) {
        for (unsigned last = first; last < 12; last++) {
            for (size_t step = 1; step <= 10; step++) {
                struct buf buf;
                struct buf_sink end;
                struct range_sink range;
                enum err err = OK;
                buf_init(&buf, 100);
                buf_sink_init(&end, &buf);
                range_sink_init(&range, &end.sink, first, last);
                for (size_t at = 0; at < 10 && !err; at += step)
                    err = sink_write(&range.sink, digits + at, step < 10 - at ? step : 10 - at);
                size_t wanted = first > 9 ? 0 : (last > 9 ? 9 : last) - first + 1;
                assert_int_equal(buf.length, wanted);
                if (wanted)
                    assert_memory_equal(buf.data, digits + first, wanted);
                assert_int_equal(err, last <= 9 ? ERR_CANCELLED : OK);
                assert_int_equal(range.done, last <= 9);
                buf_clear(&buf);
            }
        }
    }
}

static void an_open_range_never_ends_early(void **state)
{
    (void)state;
    struct buf buf;
    struct buf_sink end;
    struct range_sink range;
    buf_init(&buf, 5);
    buf_sink_init(&end, &buf);
    range_sink_init(&range, &end.sink, 2, UINT64_MAX);
    assert_int_equal(sink_write(&range.sink, "abcde", 5), OK);
    assert_string_equal(buf.data, "cde");
    assert_int_equal(sink_finish(&range.sink), OK);
    assert_int_equal(sink_write(&range.sink, "fghij", 5), ERR_TOO_LARGE);
    assert_int_equal(range.done, 0);
    buf_clear(&buf);
}

static void the_first_fault_stands(void **state)
{
    (void)state;
    struct fault fault = {0};
    assert_int_equal(fault_at(&fault, ERR_INVALID, "/limit", "over %d", 500), ERR_INVALID);
    assert_int_equal(fault_set(&fault, ERR_STORE, "later"), ERR_INVALID);
    fault_point(&fault, "/later");
    assert_string_equal(fault.detail, "over 500");
    assert_string_equal(fault.pointer, "/limit");
    fault_clear(&fault);
    assert_int_equal(fault.code, OK);
}

static void a_fault_without_a_place_is_given_one(void **state)
{
    (void)state;
    struct fault fault = {0};
    fault_set(&fault, ERR_UNREACHABLE, "no such host");
    fault_point(&fault, "/host");
    assert_string_equal(fault.pointer, "/host");
    assert_int_equal(fault.code, ERR_UNREACHABLE);
}

static void a_long_fault_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        struct fault fault = {0};
        char text[1000];
        memset(text, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4);
        fault_at(&fault, ERR_INVALID, text, "%s", text);
        fault_reply(&fault, "imap", text, (uint32_t)strlen(text));
        assert_true(text_is_utf8(fault.detail, strlen(fault.detail)));
        assert_true(text_is_utf8(fault.pointer, strlen(fault.pointer)));
        assert_true(text_is_utf8(fault.reply, strlen(fault.reply)));
        assert_true(strlen(fault.detail) > 240 && strlen(fault.reply) > 290 &&
                    strlen(fault.reply) <= 300);
    }
}

static void a_reply_is_one_clean_line(void **state)
{
    (void)state;
    struct fault fault = {0};
    fault_reply(&fault, "imap", "NO\r\nx\0y\xff", 8);
    assert_string_equal(fault.reply, "NO xy\xef\xbf\xbd");
    fault_reply(&fault, "pop3", "second", 6);
    assert_string_equal(fault.protocol, "imap");
}

static void every_error_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < ERR_COUNT; a++) {
        assert_non_null(err_name((enum err)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(err_name((enum err)a), err_name((enum err)b));
    }
    assert_string_equal(err_name((enum err)999), "unknown");
    assert_true(err_kills_connection((enum err)999) && err_kills_connection(ERR_TIMEOUT));
    assert_false(err_kills_connection(OK) || err_kills_connection(ERR_REFUSED) ||
                 err_kills_connection(ERR_GONE));
}

static void stamps_are_rfc_3339(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_BYTES];
    static const struct {
        int64_t unix_s;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},          {-1, "1969-12-31T23:59:59Z"},
        {1772271000, "2026-02-28T09:30:00Z"}, {951782400, "2000-02-29T00:00:00Z"},
        {INT64_MIN, "1000-01-01T00:00:00Z"},  {INT64_MAX, "9999-12-31T23:59:59Z"},
        {4102444800, "2100-01-01T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clock_format(rows[i].unix_s, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void the_time_left_is_what_poll_wants(void **state)
{
    (void)state;
    assert_int_equal(clock_left_ms(DEADLINE_NONE, 500), 500);
    assert_int_equal(clock_left_ms(clock_now_ms() - 5, 500), 0);
    assert_int_equal(clock_left_ms(0, 500), 0);
    assert_int_equal(clock_left_ms(clock_now_ms() + 1000000, 500), 500);
    int left = clock_left_ms(clock_now_ms() + 200, 500);
    assert_true(left > 100 && left <= 200);
}

static void metrics_render_as_prometheus_reads_them(void **state)
{
    (void)state;
    struct buf buf;
    struct metric *calls = metric_get(METRIC_COUNTER, "b_calls_total", "Calls.", "kind=\"x\"");
    struct metric *time = metric_get(METRIC_HISTOGRAM_SECONDS, "a_seconds", "Time.", "");
    struct metric *gauge = metric_get(METRIC_GAUGE, "c_open", "Open.", "");
    assert_ptr_equal(calls, metric_get(METRIC_COUNTER, "b_calls_total", "Calls.", "kind=\"x\""));
    assert_ptr_not_equal(calls,
                         metric_get(METRIC_COUNTER, "b_calls_total", "Calls.", "kind=\"y\""));
    metric_add(calls, 3);
    metric_set(gauge, -2);
    metric_observe_us(time, 500);
    metric_observe_us(time, 700);
    metric_observe_us(time, 60000000);
    assert_int_equal(metric_value(time), 3);
    buf_init(&buf, 1 << 16);
    metric_render(&buf);
    assert_non_null(
        strstr(buf.data, "# HELP a_seconds Time.\n# TYPE a_seconds histogram\n"
                         "a_seconds_bucket{le=\"0.0005\"} 1\na_seconds_bucket{le=\"0.001\"} 2\n"));
    assert_non_null(strstr(buf.data,
                           "a_seconds_bucket{le=\"30\"} 2\na_seconds_bucket{le=\"+Inf\"} 3\n"
                           "a_seconds_sum 60.001200\na_seconds_count 3\n"
                           "# HELP b_calls_total Calls.\n# TYPE b_calls_total counter\n"
                           "b_calls_total{kind=\"x\"} 3\nb_calls_total{kind=\"y\"} 0\n"
                           "# HELP c_open Open.\n# TYPE c_open gauge\nc_open -2\n"));
    buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_gives_aligned_zeroed_memory),
        cmocka_unit_test(a_buffer_knows_when_it_is_too_big),
        cmocka_unit_test(a_secret_buffer_keeps_what_it_holds),
        cmocka_unit_test(json_strings_are_escaped_and_valid),
        cmocka_unit_test(every_byte_is_escaped_or_not_wherever_it_stands),
        cmocka_unit_test(a_range_is_exactly_its_bytes),
        cmocka_unit_test(an_open_range_never_ends_early),
        cmocka_unit_test(the_first_fault_stands),
        cmocka_unit_test(a_fault_without_a_place_is_given_one),
        cmocka_unit_test(a_long_fault_is_cut_between_characters),
        cmocka_unit_test(a_reply_is_one_clean_line),
        cmocka_unit_test(every_error_has_a_name_of_its_own),
        cmocka_unit_test(stamps_are_rfc_3339),
        cmocka_unit_test(the_time_left_is_what_poll_wants),
        cmocka_unit_test(metrics_render_as_prometheus_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

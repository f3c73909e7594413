/* settings_test.c - values of settings: units, bounds, masks, and the table itself. */
#include "settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct number_case {
    enum setting_type type;
    const char *text;
    int64_t wanted; /* -1: refused */
};

static void numbers_are_read_with_their_units(void **state)
{
    static const struct number_case cases[] = {
        {SETTING_DURATION, "30", 30000},
        {SETTING_DURATION, "30s", 30000},
        {SETTING_DURATION, "250ms", 250},
        {SETTING_DURATION, "5m", 300000},
        {SETTING_DURATION, "1h", 3600000},
        {SETTING_DURATION, "2D", 172800000},
        {SETTING_DURATION, "", -1},
        {SETTING_DURATION, "s", -1},
        {SETTING_DURATION, "1.5s", -1},
        {SETTING_DURATION, "1 s", -1},
        {SETTING_DURATION, "9223372036854775807h", -1},
        {SETTING_SIZE, "64K", 65536},
        {SETTING_SIZE, "8m", 8 << 20},
        {SETTING_SIZE, "4G", INT64_C(4) << 30},
        {SETTING_SIZE, "17", 17},
        {SETTING_SIZE, "17B", -1},
        {SETTING_COUNT, "17", 17},
        {SETTING_COUNT, "17K", -1},
        {SETTING_COUNT, "-1", -1},
        {SETTING_COUNT, "0x10", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting row = {.type = cases[i].type,
                              .max = INT64_MAX,
                              .offset = offsetof(struct settings, first_page)};
        struct settings settings = {.first_page = -1};
        struct fault why = {0};
        assert_int_equal(setting_parse(&row, cases[i].text, &settings, &why),
                         cases[i].wanted != -1);
        assert_true(settings.first_page == cases[i].wanted);
        assert_int_equal(why.code != OK, cases[i].wanted == -1);
    }
}

static void a_number_outside_its_bounds_keeps_the_old_value(void **state)
{
    struct setting row = {
        .type = SETTING_COUNT, .min = 2, .max = 5, .offset = offsetof(struct settings, first_page)};
    struct settings settings = {.first_page = 3};
    struct fault low = {0}, high = {0};
    (void)state;
    assert_false(setting_parse(&row, "1", &settings, &low));
    assert_false(setting_parse(&row, "6", &settings, &high));
    assert_int_equal(settings.first_page, 3);
    assert_string_equal(low.detail, "\"1\" is outside 2 to 5");
}

static void a_secret_is_never_shown(void **state)
{
    struct setting row = {.type = SETTING_TEXT,
                          .max = 100,
                          .secret = true,
                          .offset = offsetof(struct settings, ca_file)};
    struct settings settings = {0};
    struct fault why = {0};
    struct buf shown;
    (void)state;
    buf_init(&shown, 1000);
    assert_true(setting_parse(&row, "hunter2", &settings, &why));
    setting_format(&row, &settings, &shown);
    assert_null(strstr(shown.data, "hunter2"));
    assert_true(shown.length > 0);
    setting_clear(&row, &settings);
    assert_null(settings.ca_file);
    buf_clear(&shown);
}

static void every_default_is_within_its_own_bounds_and_reads_back(void **state)
{
    struct settings settings = {0};
    (void)state;
    for (const struct setting *row = settings_table; row->name; row++) {
        struct fault why = {0};
        struct buf shown, again;
        buf_init(&shown, 1000);
        buf_init(&again, 1000);
        if (!row->default_text)
            continue;
        assert_true(setting_parse(row, row->default_text, &settings, &why));
        buf_text(&shown, "");
        setting_format(row, &settings, &shown);
        assert_true(setting_parse(row, shown.data ? shown.data : "", &settings, &why));
        setting_format(row, &settings, &again);
        assert_int_equal(shown.length, again.length);
        if (shown.length)
            assert_memory_equal(shown.data, again.data, shown.length);
        buf_clear(&shown);
        buf_clear(&again);
    }
    settings_clear(&settings);
}

static void every_row_has_what_help_needs_and_a_place_of_its_own(void **state)
{
    (void)state;
    for (const struct setting *row = settings_table; row->name; row++) {
        assert_non_null(row->group);
        assert_non_null(row->help);
        assert_true(row->default_text || (row->default_note && row->default_made));
        assert_ptr_equal(setting_find(row->name, strlen(row->name)), row);
        for (const struct setting *other = row + 1; other->name; other++)
            assert_true(other->offset != row->offset);
    }
}

static void a_default_that_is_made_is_valid(void **state)
{
    struct settings settings = {0};
    (void)state;
    for (const struct setting *row = settings_table; row->name; row++) {
        struct fault why = {0};
        if (row->default_text)
            continue;
        char *made = row->default_made();
        assert_true(setting_parse(row, made, &settings, &why));
        free(made);
    }
    assert_in_range(settings.workers, 1, 64);
    settings_clear(&settings);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static void no_limit_is_silent(void **state)
{
    (void)state;
    for (const struct setting *row = settings_table; row->name; row++) {
        bool limits = ends_with(row->name, "_max") || ends_with(row->name, "_timeout");
        bool ours = strcmp(row->name, "drain_timeout") == 0 || /* of no client's business */
                    strcmp(row->name, "worker_memory_max") == 0;
        if (limits && !ours && !row->limit)
            fail_msg("GET /v1 does not tell %s", row->name);
        for (const struct setting *other = row + 1; row->limit && other->name; other++)
            assert_true(!other->limit || strcmp(other->limit, row->limit) != 0);
    }
}

static void names_may_be_written_with_dashes(void **state)
{
    (void)state;
    assert_non_null(setting_find("data-dir", 8));
    assert_ptr_equal(setting_find("data-dir", 8), setting_find("data_dir", 8));
    assert_null(setting_find("data", 4));
    assert_null(setting_find("data_dirs", 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_with_their_units),
        cmocka_unit_test(a_number_outside_its_bounds_keeps_the_old_value),
        cmocka_unit_test(a_secret_is_never_shown),
        cmocka_unit_test(every_default_is_within_its_own_bounds_and_reads_back),
        cmocka_unit_test(a_default_that_is_made_is_valid),
        cmocka_unit_test(every_row_has_what_help_needs_and_a_place_of_its_own),
        cmocka_unit_test(no_limit_is_silent),
        cmocka_unit_test(names_may_be_written_with_dashes),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}

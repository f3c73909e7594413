/* decode_limits.c - what one message may cost: each limit at its bound and just over it. Time is
 * tested by budgets of none, so that no result depends on how busy the machine is. */
#include "decode_help.h"
#include "imap.h"

static struct arena arena;

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

static struct decode_budget *no_time(void)
{
    static struct decode_budget budget;
    decode_budget_begin(&budget, NULL, 0, UINT64_MAX);
    return &budget;
}

/* `unit` so often that there are `length` bytes of it, the last one cut. */
static char *fill(const char *unit, size_t length)
{
    char *text = arena_alloc(&arena, length + 1);
    size_t step = strlen(unit);
    for (size_t at = 0; at < length; at++)
        text[at] = unit[at % step];
    return text;
}

/* ---- the budget ---- */

static void a_budget_ends_by_memory_just_over_its_bytes(void **state)
{
    (void)state;
    struct decode_budget budget;
    (void)arena_alloc(&arena, 4096); /* was there before, is nobody's */
    decode_budget_begin(&budget, &arena, 1000, 4096);
    budget.held_bytes = 1024;
    (void)arena_alloc(&arena, 3072);
    assert_true(decode_budget_spend(&budget, 1));
    (void)arena_alloc(&arena, 1);
    assert_false(decode_budget_spend(&budget, 1));
    assert_int_equal(budget.limited, LIMITED_MEMORY);
    decode_budget_more(&budget, 1000); /* time, not memory */
    assert_false(decode_budget_left(&budget));
}

static void a_budget_ends_by_time_and_may_be_given_more(void **state)
{
    (void)state;
    struct decode_budget budget;
    decode_budget_begin(&budget, NULL, 0, 1024);
    assert_true(decode_budget_spend(&budget, 100)); /* too little to look at the clock for */
    assert_int_equal(budget.limited, 0);
    assert_false(decode_budget_spend(&budget, SIZE_MAX));
    assert_int_equal(budget.limited, LIMITED_TIME);
    assert_false(decode_budget_spend(&budget, 1));
    decode_budget_more(&budget, 60000);
    assert_true(decode_budget_spend(&budget, SIZE_MAX));
    assert_int_equal(budget.limited, LIMITED_TIME); /* something was left out all the same */
}

static void an_ordinary_mail_costs_no_look_at_the_clock(void **state)
{
    (void)state;
    struct decode_budget budget;
    struct address_list list;
    const char *to = "Ada <ada@example.org>, Bob <bob@example.org>";
    decode_budget_begin(&budget, &arena, 250, 1 << 20);
    (void)decode_text(&arena, &budget, "=?utf-8?q?Caf=C3=A9?=", 21);
    decode_addresses(&arena, &budget, to, strlen(to), &list);
    assert_int_equal(list.count, 2);
    assert_false(budget.started);
}

/* ---- header values ---- */

static void a_value_of_64_kib_is_whole_and_one_byte_more_is_cut(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    const char *text = fill("x", BACKEND_HEADER_VALUE_BYTES_MAX + 1);
    char *got = decode_text(&arena, budget, text, BACKEND_HEADER_VALUE_BYTES_MAX);
    assert_int_equal(strlen(got), BACKEND_HEADER_VALUE_BYTES_MAX);
    assert_int_equal(budget->limited, 0);
    got = decode_text(&arena, budget, text, BACKEND_HEADER_VALUE_BYTES_MAX + 1);
    assert_int_equal(strlen(got), BACKEND_HEADER_VALUE_BYTES_MAX);
    assert_int_equal(budget->limited, LIMITED_HEADERS);
}

static void a_value_that_grows_over_64_kib_is_cut_at_a_character(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    const size_t half = BACKEND_HEADER_VALUE_BYTES_MAX / 2;
    const char *text = fill("\xe9", half + 1); /* each becomes two bytes */
    char *got = decode_text(&arena, budget, text, half);
    assert_int_equal(strlen(got), BACKEND_HEADER_VALUE_BYTES_MAX);
    assert_int_equal(budget->limited, 0);
    got = decode_text(&arena, budget, text, half + 1);
    assert_int_equal(strlen(got), BACKEND_HEADER_VALUE_BYTES_MAX);
    assert_int_equal(budget->limited, LIMITED_HEADERS);
    assert_clean(got);
}

static void words_without_time_are_left_out(void **state)
{
    (void)state;
    struct decode_budget *budget = no_time();
    const char *text = fill("=?iso-2022-jp?q?a?= =?big5?q?b?= ", 60000);
    char *got = decode_text(&arena, budget, text, 60000);
    assert_int_equal(budget->limited, LIMITED_TIME);
    assert_string_equal(got, "");
    assert_string_equal(decode_text(&arena, budget, "short", 5), "");
}

static void words_that_never_end_are_read_once(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    const char *text = fill("=?a?q?x", 60000);
    assert_int_equal(strlen(decode_text(&arena, budget, text, 60000)), 60000);
    assert_int_equal(budget->limited, 0);
}

/* ---- lists ---- */

static void the_5000th_address_is_told_and_the_next_is_not(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    struct address_list list;
    const char *text = fill("a@b.c,", 6 * 5001);
    decode_addresses(&arena, budget, text, 6 * 5000, &list);
    assert_int_equal(list.count, 5000);
    assert_int_equal(budget->limited, 0);
    decode_addresses(&arena, budget, text, 6 * 5001, &list);
    assert_int_equal(list.count, 5000);
    assert_int_equal(budget->limited, LIMITED_ADDRESSES);
}

static void a_hundred_thousand_nested_groups_are_followed_by_nobody(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    struct address_list list;
    decode_addresses(&arena, budget, fill("a:", 200000), 200000, &list);
    assert_int_equal(budget->limited, LIMITED_ADDRESSES);
    assert_true(list.count <= 1);
}

static void a_quote_that_is_never_closed_costs_its_own_address(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    struct address_list list;
    char *text = fill("x", 9000);
    memcpy(text, "a@b.c, \"", 8);
    memcpy(text + 8980, ", last@b.c, z@b.c   ", 20);
    decode_addresses(&arena, budget, text, 9000, &list);
    assert_int_equal(budget->limited, LIMITED_ADDRESSES);
    assert_true(list.count >= 3);
    assert_string_equal(list.items[0].email, "a@b.c");
    assert_string_equal(list.items[list.count - 1].email, "z@b.c");
}

static void semicolons_divide_too(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    struct address_list list;
    const char *text = "a@b.c; \"x; y\" <d@e.f>; Team: g@h.i, j@k.l; m@n.o";
    decode_addresses(&arena, budget, text, strlen(text), &list);
    assert_int_equal(list.count, 5);
    assert_string_equal(list.items[1].name, "x; y");
    assert_string_equal(list.items[3].group, "Team");
    assert_null(list.items[4].group);
    assert_int_equal(budget->limited, 0);
}

static void addresses_without_time_are_left_out(void **state)
{
    (void)state;
    struct decode_budget *budget = no_time();
    struct address_list list;
    decode_addresses(&arena, budget, fill("a@b.c,", 6000), 6000, &list);
    assert_int_equal(budget->limited, LIMITED_TIME);
    assert_true(list.count < 100);
}

static void the_1000th_reference_is_told_and_the_next_is_not(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    struct string_list ids;
    const char *text = fill("<a@b> ", 6 * 1001);
    decode_message_ids(&arena, budget, text, 6 * 1000, &ids);
    assert_int_equal(ids.count, 1000);
    assert_int_equal(budget->limited, 0);
    decode_message_ids(&arena, budget, text, 6 * 1001, &ids);
    assert_int_equal(ids.count, 1000);
    assert_int_equal(budget->limited, LIMITED_HEADERS);
}

static void the_64th_parameter_is_read_and_the_next_is_not(void **state)
{
    (void)state;
    struct imapc_parameters list = {.count = 0};
    for (int i = 0; i < 64; i++)
        imapc_parameters_add(&list, "x", "y", 1);
    assert_false(list.is_cut);
    imapc_parameters_add(&list, "filename", "y", 1);
    assert_true(list.is_cut);
    assert_int_equal(list.count, 64);
}

/* ---- header sections ---- */

struct counted {
    struct header_sink sink;
    uint32_t count;
    size_t last_length;
};

static enum err count(struct header_sink *sink, const char *name, const char *value)
{
    struct counted *self = (struct counted *)sink;
    (void)name;
    self->count++;
    self->last_length = strlen(value);
    return OK;
}

static uint32_t told(struct decode_budget *budget, const char *text, size_t length)
{
    struct counted counted = {.sink = {.header = count}};
    assert_int_equal(decode_headers(budget, text, length, &counted.sink), OK);
    return counted.count;
}

static void the_10000th_header_is_told_and_the_next_is_not(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    const char *text = fill("a: b\n", 5 * 10001);
    assert_int_equal(told(budget, text, 5 * 10000), 10000);
    assert_int_equal(budget->limited, 0);
    assert_int_equal(told(budget, text, 5 * 10001), 10000);
    assert_int_equal(budget->limited, LIMITED_HEADERS);
}

static void a_section_of_1_mib_is_whole_and_one_byte_more_is_cut(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    char *text = fill("y", BACKEND_HEADER_SECTION_BYTES_MAX + 1);
    for (size_t at = 0; at < BACKEND_HEADER_SECTION_BYTES_MAX; at += 4096) {
        memcpy(text + at, "x: ", 3);
        text[at + 4095] = '\n';
    }
    (void)told(budget, text, BACKEND_HEADER_SECTION_BYTES_MAX);
    assert_int_equal(budget->limited, 0);
    (void)told(budget, text, BACKEND_HEADER_SECTION_BYTES_MAX + 1);
    assert_int_equal(budget->limited, LIMITED_HEADERS);
}

static void a_body_behind_a_short_section_limits_nothing(void **state)
{
    (void)state;
    struct decode_budget *budget = plenty();
    char *text = fill("body ", BACKEND_HEADER_SECTION_BYTES_MAX + 100);
    memcpy(text, "a: b\r\n\r\n", 8);
    assert_int_equal(told(budget, text, BACKEND_HEADER_SECTION_BYTES_MAX + 100), 1);
    assert_int_equal(budget->limited, 0);
}

static void headers_without_time_or_memory_are_left_out(void **state)
{
    (void)state;
    struct decode_budget *budget = no_time(), small;
    const char *text = fill("a: b\n", 5 * 1000);
    assert_true(told(budget, text, 5 * 1000) < 1000);
    assert_int_equal(budget->limited, LIMITED_TIME);
    decode_budget_begin(&small, NULL, 60000, 6600); /* 66 for each: name, value, the rest */
    assert_int_equal(told(&small, text, 5 * 100), 100);
    assert_int_equal(small.limited, 0);
    decode_budget_begin(&small, NULL, 60000, 6600);
    assert_int_equal(told(&small, text, 5 * 102), 101); /* seen when it is over */
    assert_int_equal(small.limited, LIMITED_MEMORY);
}

/* ---- charsets ---- */

/* What is declared, what is meant, and what a reader sees. */
static void lying_charsets_are_read_as_well_as_they_can_be(void **state)
{
    (void)state;
    static const struct {
        const char *charset, *raw, *shown;
    } rows[] = {
        {"utf-8", "caf\xe9 \x93x\x94", "caf\xc3\xa9 \xe2\x80\x9cx\xe2\x80\x9d"},
        {"us-ascii", "caf\xe9.", "caf\xc3\xa9."},
        {"us-ascii", "caf\xc3\xa9.", "caf\xc3\xa9."},
        {"iso-8859-1", "\x80 5", "\xe2\x82\xac 5"},
        {"x-unknown", "caf\xe9.", "caf\xc3\xa9."},
        {"", "caf\xc3\xa9.", "caf\xc3\xa9."},
        {"utf-8//TRANSLIT", "caf\xe9.", "caf\xc3\xa9."},
        {"iso-2022-jp//IGNORE", "caf\xe9.", "caf\xc3\xa9."},
        {"../../../tmp/evil", "caf\xe9.", "caf\xc3\xa9."},
        {"UTF-16//", "ab", "ab"},
        {"utf-16\x01", "ab", "ab"},
        {"unicode", "ab", "ab"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *got = decode_preview(&arena, plenty(), "text/plain", rows[i].charset, "8bit",
                                   rows[i].raw, strlen(rows[i].raw));
        if (strcmp(got, rows[i].shown) != 0)
            print_error("%s: %s\n", rows[i].charset, got);
        assert_string_equal(got, rows[i].shown);
    }
}

/* gb2312 that is big5: nobody can know, but it is text, and what is behind it is not lost. */
static void a_wrong_table_gives_text_and_does_not_stop(void **state)
{
    (void)state;
    const char *big5 = "\xa7\x41\xa6\x6e end";
    char *got =
        decode_preview(&arena, plenty(), "text/plain", "gb2312", "8bit", big5, strlen(big5));
    assert_clean(got);
    assert_non_null(strstr(got, "end"));
}

static void a_charset_name_of_10_kb_is_unknown(void **state)
{
    (void)state;
    char *got = decode_preview(&arena, plenty(), "text/plain", fill("utf-16", 10000), "8bit",
                               "caf\xe9.", 5);
    assert_string_equal(got, "caf\xc3\xa9.");
    struct buf word;
    buf_init(&word, 1 << 20);
    buf_printf(&word, "=?%s?q?x?=", fill("utf-16", 10000));
    assert_clean(decode_text(&arena, plenty(), word.data, word.length));
    buf_clear(&word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_ends_by_memory_just_over_its_bytes),
        cmocka_unit_test(a_budget_ends_by_time_and_may_be_given_more),
        cmocka_unit_test(an_ordinary_mail_costs_no_look_at_the_clock),
        cmocka_unit_test(a_value_of_64_kib_is_whole_and_one_byte_more_is_cut),
        cmocka_unit_test(a_value_that_grows_over_64_kib_is_cut_at_a_character),
        cmocka_unit_test(words_without_time_are_left_out),
        cmocka_unit_test(words_that_never_end_are_read_once),
        cmocka_unit_test(the_5000th_address_is_told_and_the_next_is_not),
        cmocka_unit_test(a_hundred_thousand_nested_groups_are_followed_by_nobody),
        cmocka_unit_test(a_quote_that_is_never_closed_costs_its_own_address),
        cmocka_unit_test(semicolons_divide_too),
        cmocka_unit_test(addresses_without_time_are_left_out),
        cmocka_unit_test(the_1000th_reference_is_told_and_the_next_is_not),
        cmocka_unit_test(the_64th_parameter_is_read_and_the_next_is_not),
        cmocka_unit_test(the_10000th_header_is_told_and_the_next_is_not),
        cmocka_unit_test(a_section_of_1_mib_is_whole_and_one_byte_more_is_cut),
        cmocka_unit_test(a_body_behind_a_short_section_limits_nothing),
        cmocka_unit_test(headers_without_time_or_memory_are_left_out),
        cmocka_unit_test(lying_charsets_are_read_as_well_as_they_can_be),
        cmocka_unit_test(a_wrong_table_gives_text_and_does_not_stop),
        cmocka_unit_test(a_charset_name_of_10_kb_is_unknown),
    };
    backend_init();
    return cmocka_run_group_tests(tests, setup, teardown);
}

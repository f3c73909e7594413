/* decode_headers_test.c - header text, addresses, dates, ids, parameters, file names, sections. */
#include "decode_help.h"

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

#define assert_text(in, expected)                                                                  \
    assert_string_equal(decode_text(&arena, plenty(), (in), sizeof(in) - 1), (expected))

static void encoded_words_are_decoded(void **state)
{
    (void)state;
    assert_text("=?utf-8?Q?Caf=C3=A9_au_lait?=", "Caf\xc3\xa9 au lait");
    assert_text("=?UTF-8?B?w6k=?= =?UTF-8?B?w6k=?=", "\xc3\xa9\xc3\xa9");
    assert_text("=?utf-8?Q?=C3?=\r\n =?utf-8?Q?=A9?= x", "\xc3\xa9 x");
    assert_text("=?iso-8859-1?Q?=93x=94?=", "\xe2\x80\x9cx\xe2\x80\x9d");
    assert_text("=?gb2312?B?xOO6w+lG?=", "\xe4\xbd\xa0\xe5\xa5\xbd\xe9\x95\x95");
    assert_text("=?iso-2022-jp?B?GyRCJDMkcxsoQg==?=", "\xe3\x81\x93\xe3\x82\x93");
    assert_text("=?utf-8*en?Q?=C3=A9?=", "\xc3\xa9");
    assert_text("=?windows-1252?q?=80_5?=", "\xe2\x82\xac 5");
}

static void raw_8_bit_is_guessed(void **state)
{
    (void)state;
    assert_text("Caf\xc3\xa9", "Caf\xc3\xa9");
    assert_text("Caf\xe9 \x80", "Caf\xc3\xa9 \xe2\x82\xac");
    assert_text("=?x-nobody?Q?caf=C3=A9?=", "caf\xc3\xa9");
}

static void folding_and_controls_go(void **state)
{
    (void)state;
    assert_text("  a\r\n\tb\0c \x07 d\r\n", "a bc d");
    assert_text("a\nb", "a b");
    assert_text("=?utf-8?Q?a=0D=0ABcc:_x=00y?=", "a Bcc: xy");
}

static void broken_encoded_words_survive(void **state)
{
    (void)state;
    static const char *const broken[] = {"=?",
                                         "=?utf-8",
                                         "=?utf-8?",
                                         "=?utf-8?Q",
                                         "=?utf-8?Q?",
                                         "=?utf-8?Q?=",
                                         "=?utf-8?Q?=C3",
                                         "=?utf-8?Q?=C3?=",
                                         "=?utf-8?X?abc?=",
                                         "=???"
                                         "?=",
                                         "=?utf-8?B?####?=",
                                         "=?utf-8?B?w6k?=",
                                         "=?utf-8?Q?\xff?=",
                                         "=?=?=?=?",
                                         "=?utf-8?"
                                         "?=?=",
                                         "=?a b?Q?c?="};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_clean(decode_text(&arena, plenty(), broken[i], strlen(broken[i])));
}

static void an_encoded_word_bomb_is_bounded(void **state)
{
    (void)state;
    struct buf bomb;
    buf_init(&bomb, 1 << 20);
    while (!bomb.overflowed)
        buf_printf(&bomb, "=?x-%zu?B?////?= =?iso-2022-jp?Q?=1B$B?=\n ", bomb.length);
    int64_t start_ms = clock_now_ms();
    const char *text = decode_text(&arena, plenty(), bomb.data, bomb.length);
    assert_true(strlen(text) <= 256 * 1024);
    assert_clean(text);
    assert_true(clock_now_ms() - start_ms < 1000);
    buf_clear(&bomb);
}

static void dates_in_every_dress_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t unix_s;
    } rows[] = {
        {"Sat, 28 Feb 2026 09:30:00 +0000", 1772271000},
        {"28 Feb 2026 09:30 GMT", 1772271000},
        {"Sat, 28 Feb 26 09:30:00 UT", 1772271000},
        {"Sat, 28 Feb 2026 11:30:00 +0200 (CEST (really))", 1772271000},
        {"Sat,28 Feb 2026 04:30:00 EST", 1772271000},
        {"Sat Feb 28 09:30:00 2026", 1772271000},
        {"Sat Feb 28 10:30:00 CET 2026", 1772271000},
        {"Saturday, 28-Feb-26 09:30:00 GMT", 1772271000},
        {"2026-02-28T09:30:00Z", 1772271000},
        {"2026-02-28T15:00:00.123+05:30", 1772271000},
        {"2026-02-28 09:30:00", 1772271000},
        {" (comment) Sat,\r\n 28 (x\\)y) Feb 2026 09:30:00 Z", 1772271000},
        {"Sat, 28 Feb 2026 09:30:00 +9999", 1772271000},
        {"Sat, 28 Feb 2026 9:30:00 AM", 1772271000},
        {"Sat, 28 February 2026 09.30.00 GMT+0", 1772271000},
        {"Thu, 01 Jan 1970 00:00:00 -0000", 0},
        {"Wed, 31 Dec 1969 23:59:59 +0000", -1},
        {"Tue, 1 Jan 99 00:00:00 +0000", 915148800},
        {"Sat, 1 Jan 100 00:00:00 GMT", 946684800},
        {"Fri, 29 Feb 2000 23:59:60 +0000", 951868800},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t got = -99;
        if (!decode_date(rows[i].text, strlen(rows[i].text), &got) || got != rows[i].unix_s)
            print_error("%s: %lld\n", rows[i].text, (long long)got);
        assert_int_equal(got, rows[i].unix_s);
    }
}

static void absurd_dates_are_none(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       " ",
                                       "yesterday",
                                       "1",
                                       "Feb",
                                       "2026",
                                       "30 Feb 2026 00:00:00 +0000",
                                       "29 Feb 2025 00:00 Z",
                                       "1 Jan 2026 25:00:00 +0000",
                                       "1 Jan 2026 00:61:00 +0000",
                                       "1 Jan 1066 00:00:00 +0000",
                                       "1 Jan 99999 00:00:00 +0000",
                                       "32 Jan 2026 00:00:00 +0000",
                                       "((((((",
                                       "0 Jan 2026 10:00 Z",
                                       "2026-13-01T00:00:00Z",
                                       "99999999999999999999 Jan 2026 10:00"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t got = 0;
        if (decode_date(rows[i], strlen(rows[i]), &got))
            print_error("%s: %lld\n", rows[i], (long long)got);
        assert_false(decode_date(rows[i], strlen(rows[i]), &got));
    }
}

static struct address_list parse(const char *raw, size_t length, uint32_t *limited)
{
    struct address_list list = {0};
    struct decode_budget *budget = plenty();
    decode_addresses(&arena, budget, raw, length, &list);
    *limited = budget->limited;
    return list;
}

static void addresses_are_read(void **state)
{
    (void)state;
    uint32_t limited;
    const char *raw = "\"Lovelace, Ada\" <ada@example.org>, bob@example.com,\r\n"
                      " =?utf-8?Q?J=C3=BCrgen?= (comment (nested)) <j@example.net>,"
                      " Caf\xe9 <c@example.com>, <@relay.example:d@example.com>";
    struct address_list list = parse(raw, strlen(raw), &limited);
    assert_int_equal(limited, 0);
    assert_int_equal(list.count, 5);
    assert_string_equal(list.items[0].name, "Lovelace, Ada");
    assert_string_equal(list.items[0].email, "ada@example.org");
    assert_null(list.items[1].name);
    assert_string_equal(list.items[1].email, "bob@example.com");
    assert_string_equal(list.items[2].name, "J\xc3\xbcrgen");
    assert_string_equal(list.items[3].name, "Caf\xc3\xa9");
    assert_string_equal(list.items[3].email, "c@example.com");
    assert_string_equal(list.items[4].email, "d@example.com");
}

static void groups_keep_their_name(void **state)
{
    (void)state;
    uint32_t limited;
    const char *raw =
        "Team: a@example.com, B <b@example.com>;, undisclosed-recipients:;, c@example.com";
    struct address_list list = parse(raw, strlen(raw), &limited);
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[0].group, "Team");
    assert_string_equal(list.items[1].group, "Team");
    assert_string_equal(list.items[2].group, "undisclosed-recipients");
    assert_null(list.items[2].email);
    assert_null(list.items[3].group);
}

static void encoded_commas_make_no_new_address(void **state)
{
    (void)state;
    uint32_t limited;
    const char *raw = "=?utf-8?Q?x=2C_=3Cevil@example.com=3E=2C?= <good@example.com>";
    struct address_list list = parse(raw, strlen(raw), &limited);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].email, "good@example.com");
}

static void nested_groups_do_not_crash(void **state)
{
    (void)state;
    uint32_t limited;
    static const char *const units[] = {"a:", "\"x\"a:",  "a:;:",    "(",   "<",
                                        "\"", "a@[1:2],", "a:b:c;;", "(a:", "<a:"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct buf bomb;
        buf_init(&bomb, 400000);
        while (!bomb.overflowed)
            buf_text(&bomb, units[i]);
        int64_t start_ms = clock_now_ms();
        struct address_list list = parse(bomb.data, bomb.length, &limited);
        for (uint32_t j = 0; j < list.count; j++)
            if (list.items[j].email)
                assert_clean(list.items[j].email);
        if (strchr(units[i], ':'))
            assert_int_equal(limited, LIMITED_ADDRESSES);
        assert_true(clock_now_ms() - start_ms < 1500);
        buf_clear(&bomb);
    }
}

static void only_5000_addresses_are_told(void **state)
{
    (void)state;
    uint32_t limited;
    struct buf many;
    buf_init(&many, 1 << 20);
    for (int i = 0; i < 6000; i++)
        buf_printf(&many, "\"Name, %d\" <user%d@example.com>,\r\n ", i, i);
    struct address_list list = parse(many.data, many.length, &limited);
    assert_int_equal(list.count, 5000);
    assert_int_equal(limited, LIMITED_ADDRESSES);
    assert_string_equal(list.items[4999].email, "user4999@example.com");
    buf_clear(&many);
}

static void message_ids_lose_their_brackets(void **state)
{
    (void)state;
    struct string_list ids;
    const char *raw = "Your mail of Monday <a@b>\r\n <c\r\n @d> (x) <> <e@f";
    decode_message_ids(&arena, plenty(), raw, strlen(raw), &ids);
    assert_int_equal(ids.count, 3);
    assert_string_equal(ids.items[0], "a@b");
    assert_string_equal(ids.items[1], "c@d");
    assert_string_equal(ids.items[2], "e@f");
    decode_message_ids(&arena, plenty(), " x@y, z ", 8, &ids);
    assert_int_equal(ids.count, 1);
    assert_string_equal(ids.items[0], "x@y");
    decode_message_ids(&arena, plenty(), "", 0, &ids);
    assert_int_equal(ids.count, 0);
}

static void at_most_1000_message_ids_are_told(void **state)
{
    (void)state;
    struct string_list ids;
    struct buf many;
    buf_init(&many, 1 << 20);
    for (int i = 0; i < 5000; i++)
        buf_printf(&many, "<%d@x>", i);
    decode_message_ids(&arena, plenty(), many.data, many.length, &ids);
    assert_int_equal(ids.count, 1000);
    buf_clear(&many);
}

#define PARAMETER(n, v)                                                                            \
    {                                                                                              \
        .name = (n), .value = (v), .value_length = sizeof(v) - 1                                   \
    }
#define assert_parameter(expected, ...)                                                            \
    do {                                                                                           \
        const struct raw_parameter list[] = {__VA_ARGS__};                                         \
        char *got =                                                                                \
            decode_parameter(&arena, plenty(), list, sizeof list / sizeof list[0], "filename");    \
        assert_non_null(got);                                                                      \
        assert_string_equal(got, expected);                                                        \
    } while (0)

static void parameters_are_put_together(void **state)
{
    (void)state;
    assert_parameter("a.txt", PARAMETER("FileName", "a.txt"));
    assert_parameter("\xc3\xa9.txt", PARAMETER("filename*", "utf-8'en'%C3%A9.txt"));
    assert_parameter("\xe2\x82\xac.txt", PARAMETER("filename*", "iso-8859-1''%80.txt"));
    assert_parameter("one two.txt", PARAMETER("filename*1", "two.txt"),
                     PARAMETER("filename*0", "one "));
    assert_parameter("\xc3\xa9 100%.txt", PARAMETER("filename*0*", "utf-8''%C3"),
                     PARAMETER("filename*1*", "%A9%20"), PARAMETER("filename*2", "100%.txt"));
    assert_parameter("\xc3\xa9.pdf", PARAMETER("filename", "=?utf-8?Q?=C3=A9.pdf?="));
    assert_parameter("better", PARAMETER("filename", "worse"),
                     PARAMETER("filename*", "utf-8''better"));
    assert_parameter("first", PARAMETER("filename", "first"), PARAMETER("filename", "second"));
    assert_parameter("ab", PARAMETER("filename*0", "a"), PARAMETER("filename*0", "x"),
                     PARAMETER("filename*1", "b"), PARAMETER("filename*3", "d"));
    assert_parameter("plain", PARAMETER("filename*7", "lost"), PARAMETER("filename", "plain"));
    assert_parameter("%zz%4", PARAMETER("filename*", "utf-8''%zz%4"));
    const struct raw_parameter other[] = {PARAMETER("filenames", "x"),
                                          PARAMETER("filename*99999999999", "y"),
                                          PARAMETER("filename*x", "z"),
                                          {.name = NULL}};
    assert_null(decode_parameter(&arena, plenty(), other, 4, "filename"));
}

static void file_names_are_fit_to_save_under(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a.txt", "a.txt"},
        {"/etc/passwd", "passwd"},
        {"..\\..\\C:\\boot.ini", "boot.ini"},
        {"C:evil.exe", "evil.exe"},
        {"..", NULL},
        {".htaccess", "htaccess"},
        {"a/", NULL},
        {"", NULL},
        {"C:", NULL},
        {"cv\xe2\x80\xae"
         "fdp.exe",
         "cvfdp.exe"},
        {"a\xe2\x80\xa8"
         "b\r\nX: y\x01.txt",
         "ab X: y.txt"},
        {"\xff.txt", "\xef\xbf\xbd.txt"},
        {"x.txt. . ", "x.txt"},
        {"\xc3\xbc\xe2\x80\x8b.pdf", "\xc3\xbc.pdf"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = decode_file_name(&arena, rows[i][0]);
        if (rows[i][1]) {
            assert_non_null(got);
            assert_string_equal(got, rows[i][1]);
        } else {
            assert_null(got);
        }
    }
    assert_null(decode_file_name(&arena, NULL));
}

static void long_file_names_keep_their_extension(void **state)
{
    (void)state;
    char name[1000];
    for (size_t i = 0; i < 900; i += 3)
        memcpy(name + i, "\xe2\x82\xac", 3);
    memcpy(name + 900, ".tar", 5);
    const char *got = decode_file_name(&arena, name);
    assert_true(strlen(got) <= 255 && strlen(got) > 245);
    assert_string_equal(got + strlen(got) - 4, ".tar");
    assert_true(text_is_utf8(got, strlen(got)));
}

struct collected {
    struct header_sink sink;
    uint32_t count, refuse_at;
    char text[4096];
};

static enum err collect(struct header_sink *sink, const char *name, const char *value)
{
    struct collected *self = (struct collected *)sink;
    size_t used = strlen(self->text);
    assert_clean(value);
    if (used < 2000)
        snprintf(self->text + used, sizeof self->text - used, "%.60s=%.100s|", name, value);
    return ++self->count == self->refuse_at ? ERR_CONFLICT : OK;
}

static void a_section_is_split_unfolded_and_decoded(void **state)
{
    (void)state;
    struct collected all = {.sink = {collect}};
    const char *raw = "From x\r\nSubject: =?utf-8?Q?=C3=A9?=\r\n\tmore\nX-Empty:\r\nBad line\r\n: "
                      "none\r\nOld : blanks\n"
                      "\r\nBody: not\r\n";
    assert_int_equal(decode_headers(plenty(), raw, strlen(raw), &all.sink), OK);
    assert_string_equal(all.text, "Subject=\xc3\xa9 more|X-Empty=|Old=blanks|");
}

static void a_sinks_refusal_ends_the_section(void **state)
{
    (void)state;
    struct collected all = {.sink = {collect}, .refuse_at = 2};
    assert_int_equal(decode_headers(plenty(), "a: 1\nb: 2\nc: 3\n", 15, &all.sink), ERR_CONFLICT);
    assert_int_equal(all.count, 2);
}

static void endless_sections_are_cut(void **state)
{
    (void)state;
    struct collected all = {.sink = {collect}};
    struct buf many;
    buf_init(&many, 4 << 20);
    for (int i = 0; i < 20000; i++)
        buf_printf(&many, "X-%d: y\r\n", i);
    assert_int_equal(decode_headers(plenty(), many.data, many.length, &all.sink), OK);
    assert_int_equal(all.count, 10000);
    buf_reset(&many);
    buf_text(&many, "X: ");
    while (many.length < (2 << 20))
        buf_text(&many, "yyyyyyyyyyyyyyyyyy\r\n ");
    all.count = 0;
    buf_text(&many, "\r\nZ: far\r\n");
    assert_int_equal(decode_headers(plenty(), many.data, many.length, &all.sink), OK);
    assert_int_equal(all.count, 1);
    buf_clear(&many);
}

/* Header-shaped noise through everything that reads headers. */
static void noise_survives_everywhere(void **state)
{
    (void)state;
    static const char bits[] = "=?utf-8?QB?= <@>,;:()\"\\ \r\n\t*'%28Feb2026+:-.\xc3\xa9";
    uint32_t seed = 4711;
    int64_t until_ms = clock_now_ms() + 1500;
    for (int round = 0; round < 20000 && clock_now_ms() < until_ms; round++) {
        struct arena mine;
        size_t length = pseudo_random(&seed) % 200;
        char *raw = malloc(length + 1);
        for (size_t i = 0; i < length; i++)
            raw[i] = pseudo_random(&seed) % 8 ? bits[pseudo_random(&seed) % (sizeof bits - 1)]
                                              : (char)pseudo_random(&seed);
        struct address_list list;
        struct string_list ids;
        int64_t when;
        struct collected all = {.sink = {collect}};
        arena_init(&mine);
        raw = realloc(raw, length ? length : 1); /* nothing behind the end may be read */
        assert_clean(decode_text(&mine, plenty(), raw, length));
        decode_addresses(&mine, plenty(), raw, length, &list);
        for (uint32_t i = 0; i < list.count; i++) {
            if (list.items[i].name)
                assert_clean(list.items[i].name);
            if (list.items[i].email)
                assert_clean(list.items[i].email);
        }
        decode_message_ids(&mine, plenty(), raw, length, &ids);
        for (uint32_t i = 0; i < ids.count; i++)
            assert_clean(ids.items[i]);
        if (decode_date(raw, length, &when))
            assert_true(when > -2300000000LL && when < 254000000000LL);
        decode_headers(plenty(), raw, length, &all.sink);
        char *name = arena_strndup(&mine, raw, length);
        const struct raw_parameter parameters[] = {
            {"name*0*", raw, length}, {"name", raw, length}, {name, raw, length}};
        char *value = decode_parameter(&mine, plenty(), parameters, 3, "name");
        assert_clean(value);
        value = decode_file_name(&mine, value);
        if (value) {
            assert_clean(value);
            assert_true(strlen(value) <= 255 && !strpbrk(value, "/\\") && value[0] != '.');
        }
        arena_clear(&mine);
        free(raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(encoded_words_are_decoded),
        TEST(raw_8_bit_is_guessed),
        TEST(folding_and_controls_go),
        TEST(broken_encoded_words_survive),
        TEST(an_encoded_word_bomb_is_bounded),
        TEST(dates_in_every_dress_are_read),
        TEST(absurd_dates_are_none),
        TEST(addresses_are_read),
        TEST(groups_keep_their_name),
        TEST(encoded_commas_make_no_new_address),
        TEST(nested_groups_do_not_crash),
        TEST(only_5000_addresses_are_told),
        TEST(message_ids_lose_their_brackets),
        TEST(at_most_1000_message_ids_are_told),
        TEST(parameters_are_put_together),
        TEST(file_names_are_fit_to_save_under),
        TEST(long_file_names_keep_their_extension),
        TEST(a_section_is_split_unfolded_and_decoded),
        TEST(a_sinks_refusal_ends_the_section),
        TEST(endless_sections_are_cut),
        TEST(noise_survives_everywhere),
    };
    g_mime_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* decode_content.c - transfer encodings and charsets as they flow by. */
#include "decode_help.h"

static const struct feed base64 = {.encoding = "base64"};
static const struct feed quoted = {.encoding = "Quoted-Printable"};

static void base64_is_undone(void **state)
{
    (void)state;
    assert_feeds(&base64, "SGVsbG8gd29ybGQ=\r\n", "Hello world");
    assert_feeds(&base64, "SGVs\r\nbG8g\r\n d29y\tbGQ=", "Hello world");
    assert_feeds(&base64, "", "");
}

static void base64_with_garbage_gives_as_much_as_can_be(void **state)
{
    (void)state;
    assert_feeds(&base64, "SG*Vs\0bG8\xff!", "Hello");
    assert_feeds(&base64, "SGVsbG8", "Hello");
    assert_feeds(&base64, "SGVsbG8hI", "Hello!");
    assert_feeds(&base64, "====", "");
}

static void base64_concatenated_after_padding_goes_on(void **state)
{
    (void)state;
    assert_feeds(&base64, "SGVsbG8=\r\nd29ybGQ=\r\n", "Helloworld");
    assert_feeds(&base64, "QQ==Qg==", "AB");
}

static void a_long_base64_part_is_whole(void **state)
{
    (void)state;
    size_t length = 100000;
    char *data = malloc(length), *encoded;
    uint32_t seed = 5;
    struct buf out;
    for (size_t i = 0; i < length; i++)
        data[i] = (char)pseudo_random(&seed);
    encoded = text_base64(data, length);
    feed_all_ways(&base64, encoded, strlen(encoded), &out);
    assert_int_equal(out.length, length);
    assert_memory_equal(out.data, data, length);
    buf_clear(&out);
    free(encoded);
    free(data);
}

static void quoted_printable_is_undone(void **state)
{
    (void)state;
    assert_feeds(&quoted, "caf=C3=A9 =3d x", "caf\xc3\xa9 = x");
    assert_feeds(&quoted, "soft=\r\nbreak=  \r\ns=\nhere", "softbreakshere");
    assert_feeds(&quoted, "trailing  \t\r\nnext \nlast  ", "trailing\r\nnext\nlast");
    assert_feeds(&quoted, "a \r b\r", "a \r b\r");
}

static void broken_quoted_printable_stays_as_it_is(void **state)
{
    (void)state;
    assert_feeds(&quoted, "=ZZ =4 =4G 1=2", "=ZZ =4 =4G 1=2");
    assert_feeds(&quoted, "a = b", "a = b");
    assert_feeds(&quoted, "end=", "end");
    assert_feeds(&quoted, "==41", "=A");
}

static void a_long_run_of_blanks_is_kept(void **state)
{
    (void)state;
    char blanks[2001];
    struct buf out;
    memset(blanks, ' ', 2000);
    blanks[2000] = 'x';
    feed_all_ways(&quoted, blanks, sizeof blanks, &out);
    assert_int_equal(out.length, 2001);
    buf_clear(&out);
}

static void other_encodings_pass(void **state)
{
    (void)state;
    const struct feed seven = {.encoding = "7bit"}, odd = {.encoding = "x-rot13"};
    assert_feeds(&seven, "SGVs=41\0", "SGVs=41\0");
    assert_feeds(&odd, "SGVs=41", "SGVs=41");
}

#define CHARSET(name) (&(const struct feed){.with_charset = 1, .charset = (name)})

static void utf_8_passes_with_lf_line_ends(void **state)
{
    (void)state;
    assert_feeds(CHARSET("utf-8"), "a\r\nb\rc\n\r\n\xe2\x82\xac\xf0\x9f\x98\x80",
                 "a\nb\nc\n\n\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_feeds(CHARSET("UTF8"),
                 "\xef\xbb\xbf"
                 "bom, and n\0ul",
                 "bom, and nul");
}

static void invalid_utf_8_is_marked(void **state)
{
    (void)state;
    assert_feeds(CHARSET("utf-8"), "\xc3\xa9 \xff \xc3( \xed\xa0\x80 \xe2\x82",
                 "\xc3\xa9 \xef\xbf\xbd \xef\xbf\xbd( \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
                 "\xef\xbf\xbd");
}

static void latin_1_that_says_utf_8_is_guessed(void **state)
{
    (void)state;
    assert_feeds(CHARSET("utf-8"), "caf\xe9 \x80", "caf\xc3\xa9 \xe2\x82\xac");
    assert_feeds(CHARSET("us-ascii"), "caf\xe9", "caf\xc3\xa9");
    assert_feeds(CHARSET(NULL), "\xc3\xa9t\xe9", "\xc3\xa9t\xef\xbf\xbd");
}

static void unknown_charsets_are_guessed(void **state)
{
    (void)state;
    assert_feeds(CHARSET("x-nobody-knows"), "caf\xc3\xa9", "caf\xc3\xa9");
    assert_feeds(CHARSET("INTERNAL"), "abcd", "abcd");
    assert_feeds(CHARSET("utf-8//TRANSLIT/../../x"), "caf\xe9", "caf\xc3\xa9");
    assert_feeds(CHARSET(""), "x\x93y\x94", "x\xe2\x80\x9cy\xe2\x80\x9d");
}

static void small_charsets_are_read_as_their_supersets(void **state)
{
    (void)state;
    assert_feeds(CHARSET("iso-8859-1"), "\x93quoted\x94 \x80",
                 "\xe2\x80\x9cquoted\xe2\x80\x9d \xe2\x82\xac");
    assert_feeds(CHARSET("\"ISO_8859-1\""), "\xe9", "\xc3\xa9");
    assert_feeds(CHARSET("gb2312"),
                 "\xc4\xe3\xba\xc3\xe9"
                 "F",
                 "\xe4\xbd\xa0\xe5\xa5\xbd\xe9\x95\x95");
    assert_feeds(CHARSET("ks_c_5601-1987"), "\xb0\xa1\x81\x41", "\xea\xb0\x80\xea\xb0\x82");
    assert_feeds(CHARSET("shift_jis"), "\x87\x40", "\xe2\x91\xa0");
}

static void stateful_charsets_survive_any_cut(void **state)
{
    (void)state;
    assert_feeds(CHARSET("iso-2022-jp"), "a\x1b$B$3$s\x1b(B b\x1b$B$K\x1b(B",
                 "a\xe3\x81\x93\xe3\x82\x93 b\xe3\x81\xab");
    assert_feeds(CHARSET("iso-2022-kr"),
                 "\x1b$)C\x0e\x30\x21\x0f"
                 "a",
                 "\xea\xb0\x80"
                 "a");
    assert_feeds(CHARSET("utf-16"), "\xff\xfeh\0i\0\r\0\n\0", "hi\n");
    assert_feeds(CHARSET("utf-16be"), "\0h\0i\xd8\x3d\xde\0", "hi\xf0\x9f\x98\x80");
    assert_feeds(CHARSET("utf-7"), "+AOk-t+AOk-", "\xc3\xa9t\xc3\xa9");
    assert_feeds(CHARSET("gb18030"), "\x81\x30\x89\x38", "\xc3\x9f");
}

static void cut_characters_are_marked(void **state)
{
    (void)state;
    assert_feeds(CHARSET("shift_jis"), "a\x82", "a\xef\xbf\xbd");
    assert_feeds(CHARSET("utf-16le"), "h\0\x3d\xd8i\0z", "h\xef\xbf\xbdi\xef\xbf\xbd");
}

static enum err refuse(struct sink *sink, const void *data, size_t length)
{
    (void)sink, (void)data, (void)length;
    return ERR_OVER_QUOTA;
}

static void a_refusal_passes_through_the_whole_chain(void **state)
{
    (void)state;
    struct sink end = {.write = refuse};
    struct decode_chain *chain = decode_chain_new();
    struct sink *sink =
        decode_transfer(chain, "base64", decode_charset(chain, "latin1", decode_html(chain, &end)));
    assert_int_equal(sink_write(sink, "SGVsbG8=", 8), ERR_OVER_QUOTA);
    decode_chain_free(&chain);
    assert_null(chain);
}

/* Every machine, on noise shaped like its input; the same whole and in pieces. */
static void noise_is_decoded_the_same_however_it_is_cut(void **state)
{
    (void)state;
    static const char *const charsets[] = {
        NULL,     "utf-8",     "gb2312", "big5",     "iso-2022-jp",  "iso-2022-kr", "euc-jp",
        "euc-tw", "shift_jis", "euc-kr", "johab",    "utf-16",       "utf-32",      "utf-7",
        "koi8-r", "tcvn",      "viscii", "utf-16le", "windows-1258", "windows-1255"};
    static const char bits[] = "<>&;=\"'-![]/ \r\n#xscripttitlenbsp\x1b$B(J\x0e\x0f+-";
    int64_t until_ms = clock_now_ms() + 1500;
    uint32_t seed = 20261122;
    for (int round = 0; round < 3000 && clock_now_ms() < until_ms; round++) {
        char data[400];
        struct buf out;
        size_t length = pseudo_random(&seed) % sizeof data;
        for (size_t i = 0; i < length; i++)
            data[i] = pseudo_random(&seed) % 3 ? bits[pseudo_random(&seed) % (sizeof bits - 1)]
                                               : (char)pseudo_random(&seed);
        struct feed feed = {
            .with_charset = 1,
            .charset = charsets[(unsigned)round % (sizeof charsets / sizeof charsets[0])],
            .with_html = round % 2,
            .encoding = round % 3 == 0   ? "base64"
                        : round % 3 == 1 ? "quoted-printable"
                                         : NULL,
        };
        feed_all_ways(&feed, data, length, &out);
        assert_true(text_is_utf8(out.data ? out.data : "", out.length));
        assert_null(out.length ? memchr(out.data, 0, out.length) : NULL);
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_undone),
        cmocka_unit_test(base64_with_garbage_gives_as_much_as_can_be),
        cmocka_unit_test(base64_concatenated_after_padding_goes_on),
        cmocka_unit_test(a_long_base64_part_is_whole),
        cmocka_unit_test(quoted_printable_is_undone),
        cmocka_unit_test(broken_quoted_printable_stays_as_it_is),
        cmocka_unit_test(a_long_run_of_blanks_is_kept),
        cmocka_unit_test(other_encodings_pass),
        cmocka_unit_test(utf_8_passes_with_lf_line_ends),
        cmocka_unit_test(invalid_utf_8_is_marked),
        cmocka_unit_test(latin_1_that_says_utf_8_is_guessed),
        cmocka_unit_test(unknown_charsets_are_guessed),
        cmocka_unit_test(small_charsets_are_read_as_their_supersets),
        cmocka_unit_test(stateful_charsets_survive_any_cut),
        cmocka_unit_test(cut_characters_are_marked),
        cmocka_unit_test(a_refusal_passes_through_the_whole_chain),
        cmocka_unit_test(noise_is_decoded_the_same_however_it_is_cut),
    };
    g_mime_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

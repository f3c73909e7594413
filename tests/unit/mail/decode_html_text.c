/* decode_html_text.c - HTML to plain text, and previews. */
#include "decode_help.h"

static const struct feed html = {.with_html = 1};

static void blocks_stand_on_lines_of_their_own(void **state)
{
    (void)state;
    assert_feeds(&html, "<p>One</p><p>Two<br>Three</p><div>Four</div>five",
                 "One\n\nTwo\nThree\n\nFour\nfive");
    assert_feeds(&html, "<ul><li>a<li>b</ul><h1>Head</h1>x", "- a\n- b\n\nHead\n\nx");
    assert_feeds(&html, "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>",
                 "1 2\n3");
}

static void white_space_is_folded_but_in_pre(void **state)
{
    (void)state;
    assert_feeds(&html, "  a \r\n\t b  <b> c</b>&nbsp;\xc2\xa0 d ", "a b c d");
    assert_feeds(&html, "<pre>  a\n    b\r\n</pre>  c  d", "  a\n    b\nc d");
}

static void what_is_no_text_vanishes(void **state)
{
    (void)state;
    assert_feeds(&html, "a<script>if (a<b) { '</scr' } </SCRIPT >b<style>x{}</style>c", "abc");
    assert_feeds(&html, "<title>t</title>a<!-- <p>no</p> -- > -->b<!-->c<!--->d<!doctype html>e",
                 "abcde");
    assert_feeds(&html, "a<![CDATA[ x > ]] > ]]>b<?xml version='1' ?>c<![if !mso]>d<![endif]>e",
                 "abcde");
    assert_feeds(&html, "a<!--x--!>b</3 x>c</>d", "abcd");
    assert_feeds(&html, "<title/>text", "text");
}

static void a_greater_sign_in_an_attribute_ends_nothing(void **state)
{
    (void)state;
    assert_feeds(&html, "<a title=\"x > y\" href='a>b'>link</a> <img alt = \">\">z", "link z");
    assert_feeds(&html, "<a b=c\"d>x", "x");
    assert_feeds(&html, "<a \"x>y", "y");
}

static void entities_become_characters(void **state)
{
    (void)state;
    assert_feeds(&html, "&lt;b&gt; &amp;amp; &eacute;&#233;&#xE9;&#x1F600;&#128;",
                 "<b> &amp; \xc3\xa9\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\xac");
    assert_feeds(&html, "AT&T &unknown; &copy 2026 &#; &#x; &#99999999999; &#xD800;&#0;",
                 "AT&T &unknown; \xc2\xa9 2026 &#; &#x; \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
    assert_feeds(&html, "&abcdefghijklmnopqrstuvwxyzabcdefghijklmnop;",
                 "&abcdefghijklmnopqrstuvwxyzabcdefghijklmnop;");
    assert_feeds(&html, "a &am", "a &am");
    assert_feeds(&html, "a&amp", "a&");
}

static void what_only_looks_like_a_tag_is_text(void **state)
{
    (void)state;
    assert_feeds(&html, "1 < 2 <3 <<b>x</b> <", "1 < 2 <3 <x <");
}

static void unclosed_things_end_with_the_input(void **state)
{
    (void)state;
    assert_feeds(&html, "a<!-- never", "a");
    assert_feeds(&html, "a<script>never", "a");
    assert_feeds(&html, "a<b href=\"never", "a");
    assert_feeds(&html, "a<verylongnamethatnobodyeverheardof>b", "ab");
}

static void preview_is(const char *type, const char *encoding, const char *raw,
                       const char *expected)
{
    struct arena arena;
    arena_init(&arena);
    assert_string_equal(decode_preview(&arena, plenty(), type, "utf-8", encoding, raw, strlen(raw)),
                        expected);
    arena_clear(&arena);
}

static void a_preview_skips_what_others_wrote(void **state)
{
    (void)state;
    preview_is(
        "text/plain", "7bit",
        "Yes.\r\n\r\nOn Mon, 1 Jan 2026, Ada wrote:\r\n> old\r\n> older\r\nNo.\r\n-- \r\nAda",
        "Yes. No.");
    preview_is(
        "text/plain", "7bit",
        "On Mon, 1 Jan 2026 at 09:00, Ada Lovelace\r\n<ada@example.org> wrote:\r\n\r\n> q\r\nHere.",
        "Here.");
    preview_is("text/plain", "7bit", "Shopping list:\r\n milk", "Shopping list: milk");
    preview_is("text/plain", "7bit", "top\n-----Original Message-----\nFrom: x", "top");
}

static void a_preview_drops_a_newsletters_padding(void **state)
{
    (void)state;
    preview_is("text/html", "7bit",
               "<div>Sale!&zwnj;&nbsp;&zwnj;&nbsp;&#847;&shy;&#8199;\xe2\x80\x8b</div><p>Now</p>",
               "Sale! Now");
    preview_is("text/plain", "8bit", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb x",
               "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb x");
}

static void a_preview_has_200_characters(void **state)
{
    (void)state;
    struct arena arena;
    char raw[2000];
    arena_init(&arena);
    for (size_t i = 0; i + 1 < sizeof raw; i += 2)
        memcpy(raw + i, "\xc3\xa9", 2);
    const char *preview =
        decode_preview(&arena, plenty(), "text/plain", "utf-8", "8bit", raw, sizeof raw - 1);
    assert_int_equal(strlen(preview), 400);
    assert_true(text_is_utf8(preview, 400));
    arena_clear(&arena);
}

static void a_preview_of_cut_bytes_ends_cleanly(void **state)
{
    (void)state;
    preview_is("text/plain", "quoted-printable", "caf=C3=A9 caf=C3", "caf\xc3\xa9 caf");
    preview_is("text/plain", "quoted-printable", "abc =", "abc");
    preview_is("text/plain", "base64", "SGVsbG8gd", "Hello");
    preview_is("text/html", "7bit", "Hello <a href=\"http://exa", "Hello");
    preview_is("image/png", "base64", "SGVsbG8g", "");
    preview_is("text/plain", NULL, "", "");
}

static void previews_of_noise_are_clean_and_short(void **state)
{
    (void)state;
    uint32_t seed = 77;
    int64_t until_ms = clock_now_ms() + 500;
    for (int round = 0; round < 2000 && clock_now_ms() < until_ms; round++) {
        struct arena arena;
        char raw[500];
        arena_init(&arena);
        for (size_t i = 0; i < sizeof raw; i++)
            raw[i] = pseudo_random(&seed) % 2 ? ">\n <-:x&"[pseudo_random(&seed) % 8]
                                              : (char)pseudo_random(&seed);
        const char *preview =
            decode_preview(&arena, plenty(), round % 2 ? "text/html" : "text/plain",
                           round % 3 ? "utf-8" : "utf-16", round % 5 ? "8bit" : "quoted-printable",
                           raw, pseudo_random(&seed) % sizeof raw);
        assert_clean(preview);
        assert_true(text_cut_chars(preview, strlen(preview), 200) == strlen(preview));
        arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_stand_on_lines_of_their_own),
        cmocka_unit_test(white_space_is_folded_but_in_pre),
        cmocka_unit_test(what_is_no_text_vanishes),
        cmocka_unit_test(a_greater_sign_in_an_attribute_ends_nothing),
        cmocka_unit_test(entities_become_characters),
        cmocka_unit_test(what_only_looks_like_a_tag_is_text),
        cmocka_unit_test(unclosed_things_end_with_the_input),
        cmocka_unit_test(a_preview_skips_what_others_wrote),
        cmocka_unit_test(a_preview_drops_a_newsletters_padding),
        cmocka_unit_test(a_preview_has_200_characters),
        cmocka_unit_test(a_preview_of_cut_bytes_ends_cleanly),
        cmocka_unit_test(previews_of_noise_are_clean_and_short),
    };
    g_mime_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

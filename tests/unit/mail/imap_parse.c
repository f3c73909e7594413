/* Responses read: tokens, sets, FETCH items, and ENVELOPE and BODYSTRUCTURE through libetpan. */
#include "mail/imap_script.h"
#include "imap.h"

static struct arena arena;

/* libetpan loses a few bytes over damage that no writer of ours can mend (an unparenthesised
 * disposition with NIL parameters); that is its, and is not what these tests look for. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static int set_up(void **state)
{
    (void)state;
    backend_init();
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_clear(&arena);
    return 0;
}

static struct imapc_span span_of(const char *text)
{
    return (struct imapc_span){text, strlen(text)};
}

static struct decode_budget budget;

static struct decode_budget *plenty(void)
{
    decode_budget_begin(&budget, NULL, 60000, UINT64_MAX);
    return &budget;
}

static struct imapc_structure structure_of(struct imapc_span text, uint32_t parts_max)
{
    return (struct imapc_structure){.text = text, .depth_max = 100, .parts_max = parts_max};
}

/* "[1]text/plain[2]image/png:name", by libetpan or "~" and the salvage; "" when neither. */
static const char *structure(const char *text)
{
    struct message message = {0};
    struct imapc_span none = {0};
    struct buf out;
    struct mailimap_response_data *parsed = imapc_etpan_parse(none, span_of(text), 100);
    struct imapc_structure whole = structure_of(span_of(text), BACKEND_PARTS_MAX);
    buf_init(&out, 65536);
    if (parsed)
        imapc_structure_convert(&arena, plenty(), imapc_etpan_body(parsed), BACKEND_PARTS_MAX,
                                &message);
    else if (imapc_structure_salvage(&arena, plenty(), &whole, &message))
        buf_char(&out, '~');
    imapc_etpan_free(parsed);
    for (uint32_t i = 0; i < message.part_count; i++)
        buf_printf(&out, "[%s]%s%s%s", message.parts[i].id, message.parts[i].type,
                   message.parts[i].name ? ":" : "",
                   message.parts[i].name ? message.parts[i].name : "");
    char *copy = arena_strdup(&arena, out.data ? out.data : "");
    buf_clear(&out);
    return copy;
}

static bool envelope(const char *text, struct envelope *out)
{
    struct imapc_span none = {0};
    *out = (struct envelope){0};
    struct mailimap_response_data *parsed = imapc_etpan_parse(span_of(text), none, 100);
    if (!parsed)
        return false;
    imapc_envelope_convert(&arena, plenty(), imapc_etpan_envelope(parsed), out);
    imapc_etpan_free(parsed);
    return true;
}

static struct imapc_fetch fetch(const char *text)
{
    struct imapc_response response = {
        .has_number = true, .number = 7, .word = span_of("FETCH"), .rest = span_of(text)};
    struct imapc_fetch out;
    imapc_fetch_read(&arena, &response, &out);
    return out;
}

static void section_numbers_follow_rfc_3501(void **state)
{
    (void)state;
    assert_string_equal(
        structure("(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"utf-8\") NIL NIL \"7BIT\" 9 1)"),
        "[1]text/plain");
    assert_string_equal(
        structure(
            "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1)((\"TEXT\" \"HTML\" NIL NIL NIL "
            "\"7BIT\" 1 1)(\"IMAGE\" \"PNG\" (\"NAME\" \"a.png\") \"<x@y>\" NIL \"BASE64\" 4) "
            "\"RELATED\") \"ALTERNATIVE\")"),
        "[]multipart/alternative[1]text/plain[2]multipart/related[2.1]text/html"
        "[2.2]image/png:a.png");
    assert_string_equal(
        structure(
            "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1)(\"MESSAGE\" \"RFC822\" NIL NIL NIL "
            "\"7BIT\" 9 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) ((\"TEXT\" \"PLAIN\" NIL NIL "
            "NIL \"7BIT\" 1 1)(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 9 (NIL \"t\" NIL NIL "
            "NIL NIL NIL NIL NIL NIL) (\"TEXT\" \"HTML\" NIL NIL NIL \"7BIT\" 1 1) 3) \"MIXED\") 9)"
            " \"MIXED\")"),
        "[]multipart/mixed[1]text/plain[2]message/rfc822[2.TEXT]multipart/mixed[2.1]text/plain"
        "[2.2]message/rfc822[2.2.1]text/html");
}

static void odd_structures_still_give_a_tree(void **state)
{
    static const struct {
        const char *text, *tree;
    } rows[] = {
        /* no line count */
        {"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 12)", "[1]text/plain"},
        /* a multipart of nothing */
        {"(\"MIXED\" (\"BOUNDARY\" \"x\") NIL NIL)", "[]multipart/mixed"},
        /* Exchange: encoding and disposition unquoted, size -1 */
        {"(\"APPLICATION\" \"PDF\" (\"NAME\" \"a.pdf\") NIL NIL BASE64 -1 NIL (attachment "
         "(\"FILENAME\" \"b.pdf\")) NIL)",
         "[1]application/pdf:b.pdf"},
        /* everything unquoted */
        {"(TEXT PLAIN (CHARSET us-ascii) NIL NIL 7BIT 3 1)", "[1]text/plain"},
        /* an embedded message without envelope, and with NIL for its body */
        {"((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1)(\"MESSAGE\" \"RFC822\" NIL NIL NIL "
         "\"7BIT\" "
         "9 NIL (\"TEXT\" \"HTML\" NIL NIL NIL \"7BIT\" 1 1) 4) \"MIXED\")",
         "~[]multipart/mixed[1]text/plain[2]message/rfc822[2.1]text/html"},
        {"(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 9 NIL NIL 4)", "~[1]message/rfc822"},
        /* a number where a string belongs, a list where none does */
        {"(\"TEXT\" \"PLAIN\" (\"X\" 5 \"NAME\" \"n.txt\") NIL NIL \"7BIT\" 12 1 NIL "
         "(\"attachment\" "
         "NIL) NIL NIL ((((\"deep\")))))",
         "[1]text/plain:n.txt"},
        /* literals in odd places */
        {"(\"APPLICATION\" {4}\r\nZIP2 (\"NAME\" {5}\r\na.zip) NIL NIL \"BASE64\" 4)",
         "[1]application/zip2:a.zip"},
        /* libetpan takes an atom for the subtype */
        {"(\"AUDIO\" NIL NIL NIL NIL NIL 4)", "[1]audio/octet-stream"},
        {"((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1)() \"MIXED\")",
         "~[]multipart/mixed[1]text/plain[2]application/octet-stream"},
        {"(\"AUDIO\" DATA NIL NIL NIL NIL 4)", "[1]audio/data"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *tree = structure(rows[i].text);
        if (*tree == '~' && rows[i].tree[0] != '~')
            tree++; /* by which way does not matter there */
        assert_string_equal(tree, rows[i].tree[0] == '~' && *tree != '~' ? rows[i].tree + 1
                                                                         : rows[i].tree);
    }
}

static void rubbish_gives_no_tree_and_no_crash(void **state)
{
    static const char *const rows[] = {"()",
                                       "NIL",
                                       "(",
                                       "((((",
                                       "(\"a\")",
                                       "\"text\"",
                                       "(NIL)",
                                       "(()())",
                                       "(((((((()",
                                       "(\"\" (\"x\"",
                                       "(\"TEXT\" \"PLAIN\" {99999}\r\nabc)",
                                       "{4294967295}",
                                       "(\"TEXT\" {4294967295}PLAIN NIL NIL NIL \"7BIT\" 1 1)"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        (void)structure(rows[i]);
    assert_string_equal(structure("(\"TEXT"), "");
}

static void deep_nesting_is_cut_not_followed(void **state)
{
    struct message message = {0};
    struct imapc_span none = {0};
    size_t depth = 20000;
    char *text = arena_alloc(&arena, depth * 16 + 100), *put = text;
    (void)state;
    for (size_t i = 0; i < depth; i++)
        *put++ = '(';
    put = stpcpy(put, "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1)");
    for (size_t i = 0; i < depth; i++)
        put = stpcpy(put, " \"MIXED\")");
    assert_null(imapc_etpan_parse(none, span_of(text), 100));
    struct imapc_structure whole = structure_of(span_of(text), BACKEND_PARTS_MAX);
    assert_true(imapc_structure_salvage(&arena, plenty(), &whole, &message));
    assert_true(message.limited & LIMITED_DEPTH);
    assert_int_equal(message.part_count, 100);
}

static void too_many_parts_are_cut(void **state)
{
    struct imapc_span none = {0};
    struct message message = {0};
    struct buf text;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_char(&text, '(');
    for (int i = 0; i < 12000; i++)
        buf_text(&text, "(\"A\" \"B\" NIL NIL NIL \"7BIT\" 1)");
    buf_text(&text, " \"MIXED\")");
    struct mailimap_response_data *parsed =
        imapc_etpan_parse(none, (struct imapc_span){text.data, text.length}, 100);
    assert_non_null(parsed);
    imapc_structure_convert(&arena, plenty(), imapc_etpan_body(parsed), 1000, &message);
    assert_int_equal(message.part_count, 1000);
    assert_true(message.limited & LIMITED_PARTS);
    message = (struct message){0};
    imapc_structure_convert(&arena, plenty(), imapc_etpan_body(parsed), UINT32_MAX, &message);
    imapc_etpan_free(parsed);
    assert_int_equal(message.part_count, BACKEND_PARTS_MAX);
    assert_true(message.limited & LIMITED_PARTS);
    message = (struct message){0};
    struct imapc_structure whole = structure_of((struct imapc_span){text.data, text.length}, 1000);
    assert_true(imapc_structure_salvage(&arena, plenty(), &whole, &message));
    assert_int_equal(message.part_count, 1000);
    assert_true(message.limited & LIMITED_PARTS);
    buf_clear(&text);
}

static void envelopes_are_decoded(void **state)
{
    struct envelope read;
    (void)state;
    assert_true(envelope(
        "(\"Mon, 1 Jun 2026 10:00:00 +0200\" \"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\" "
        "((\"=?iso-8859-1?q?J=F6rg?=\" NIL \"joerg\" \"example.org\")) NIL "
        "((NIL NIL \"re\" \"example.org\")) ((NIL NIL \"Team\" NIL)(\"A\" NIL \"a\" "
        "\"example.com\")"
        "(NIL NIL NIL NIL)(\"B\" NIL \"b\" \"example.com\")) NIL NIL \"<q@x> <r@x>\" \"<id@x>\")",
        &read));
    assert_string_equal(read.subject, "Gr\xc3\xbc\xc3\x9f"
                                      "e");
    assert_string_equal(read.from.items[0].name, "J\xc3\xb6rg");
    assert_string_equal(read.from.items[0].email, "joerg@example.org");
    assert_int_equal(read.to.count, 2);
    assert_string_equal(read.to.items[0].group, "Team");
    assert_null(read.to.items[1].group);
    assert_int_equal(read.in_reply_to.count, 2);
    assert_string_equal(read.message_id, "id@x");
    assert_true(read.has_date);
    assert_int_equal(read.date_s, 1780300800);
}

static void an_envelope_may_be_nearly_empty(void **state)
{
    struct envelope read;
    (void)state;
    assert_true(envelope("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)", &read));
    assert_null(read.subject);
    assert_int_equal(read.from.count, 0);
    assert_true(envelope("(NIL \"\"  NIL NIL NIL ((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL "
                         "NIL NIL)) NIL NIL NIL \"no brackets\")",
                         &read));
    assert_string_equal(read.subject, "");
    assert_int_equal(read.to.count, 1);
    assert_null(read.to.items[0].email);
    assert_false(envelope("(NIL NIL)", &read));
    assert_false(envelope("NIL", &read));
}

static void strings_cannot_reach_behind_their_quotes(void **state)
{
    struct envelope read;
    (void)state;
    assert_true(envelope("(NIL \"a {4294967295}\" NIL NIL NIL NIL NIL NIL NIL NIL)", &read));
    assert_string_equal(read.subject, "a {4294967295}");
    assert_true(envelope("(NIL \"q\\\"uo\\\\te\" NIL NIL NIL NIL NIL NIL NIL NIL)", &read));
    assert_string_equal(read.subject, "q\"uo\\te");
    assert_true(envelope("(NIL {8}\r\na\"\r\n b\\c NIL NIL NIL NIL NIL NIL NIL NIL)", &read));
    assert_string_equal(read.subject, "a\" b\\c");
}

static void small_items_are_read_in_any_order(void **state)
{
    (void)state;
    struct imapc_fetch read =
        fetch("(FLAGS (\\Seen \\Recent $Work $Work NonJunk) UID 12  RFC822.SIZE 5000000000 "
              "INTERNALDATE \" 7-Feb-2026 01:02:03 -0130\" MODSEQ (624140003) X-GM-MSGID "
              "1278455344230334865 "
              "X-GM-LABELS (\"\\\\Inbox\" \"a b\") PREVIEW {3}\r\nabc)");
    assert_false(read.broken);
    assert_int_equal(read.uid, 12);
    assert_int_equal(read.flags, FLAG_SEEN);
    assert_int_equal(read.keywords.count, 2);
    assert_string_equal(read.keywords.items[0], "$Work");
    assert_true(read.size == 5000000000ull);
    assert_true(read.modseq == 624140003);
    assert_int_equal(read.received_s, 1770431523);
    assert_string_equal(read.remote_id, "1278455344230334865");
}

static void a_broken_item_costs_only_what_stands_behind_it(void **state)
{
    (void)state;
    struct imapc_fetch read = fetch("(UID 9 FLAGS (\\Seen) ENVELOPE (\"open ");
    assert_true(read.broken);
    assert_int_equal(read.uid, 9);
    assert_true(read.has_flags);
    assert_null(read.envelope.text);
    assert_true(fetch("(UID 4294967296 FLAGS ())").uid == 0);
    assert_true(fetch("UID 4").broken);
    assert_true(fetch("(UID 4))(").uid == 4);
    assert_true(fetch("(BODY[HEADER.FIELDS (\"X]Y\" Z)] {3}\r\nabc UID 5)").uid == 5);
    assert_true(fetch("(BODY[ UID 5)").broken);
}

static void dates_are_read_or_refused(void **state)
{
    int64_t unix_s = 0;
    (void)state;
    assert_true(imapc_date_parse(span_of("17-Jul-1996 02:44:25 -0700"), &unix_s));
    assert_int_equal(unix_s, 837596665);
    assert_true(imapc_date_parse(span_of("1-Jan-1970 00:00:00 +0000"), &unix_s));
    assert_int_equal(unix_s, 0);
    assert_false(imapc_date_parse(span_of("17-Foo-1996 02:44:25 -0700"), &unix_s));
    assert_false(imapc_date_parse(span_of("17-Jul-19"), &unix_s));
    assert_false(imapc_date_parse(span_of(""), &unix_s));
    assert_false(imapc_date_parse(span_of("1"), &unix_s));
    assert_false(imapc_date_parse(span_of("0-Jul-1996 02:44:25 -0700"), &unix_s));
}

static void sets_are_read_and_written(void **state)
{
    struct imapc_set set = {0};
    struct buf text;
    (void)state;
    assert_true(imapc_set_read(&set, span_of("9,1:3,5,4,4294967295")));
    imapc_set_sort(&set);
    buf_init(&text, 1000);
    imapc_set_print(&text, set.ranges, set.count);
    assert_string_equal(text.data, "1:5,9,4294967295:*");
    assert_true(imapc_set_has(&set, 4));
    assert_false(imapc_set_has(&set, 6));
    assert_false(imapc_set_read(&set, span_of("1:")));
    assert_false(imapc_set_read(&set, span_of("x")));
    assert_false(imapc_set_read(&set, span_of("99999999999")));
    buf_clear(&text);
    imapc_set_clear(&set);
}

static void names_become_paths(void **state)
{
    static const struct {
        const char *remote;
        char delimiter;
        const char *path;
    } rows[] = {
        {"inbox", '/', "INBOX"},
        {"INBOX.Sent", '.', "INBOX/Sent"},
        {"Entw&APw-rfe", '/', "Entw\xc3\xbcrfe"},
        {"R&AOk-sum&AOk-/2026", '/', "R\xc3\xa9sum\xc3\xa9/2026"},
        {"&ZeVnLIqe-", '/', "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"a/b", '.',
         "a\xe2\x88\x95"
         "b"},
        {"a/b", '\0',
         "a\xe2\x88\x95"
         "b"},
        {"Tom &- Co", '/', "Tom & Co"},
        {"Tom & Co", '/', "Tom & Co"}, /* no modified UTF-7 at all */
        {"&AGE-", '/', "&AGE-"},       /* does not encode back: "a" needs no shift */
        {"&&&", '/', "&&&"},
        {"&2D3eCg", '/', "&2D3eCg"},         /* unterminated */
        {"caf\xe9", '/', "caf\xef\xbf\xbd"}, /* raw latin-1 */
        {"caf\xc3\xa9", '/', "caf\xc3\xa9"}, /* raw UTF-8 */
        {"a\x1b[2Jb", '/', "a[2Jb"},
        {"a//b", '/', "a/_/b"},
        {"Mail/", '/', "Mail"},
        {"/", '/', "_/_"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(imapc_name_path(&arena, rows[i].remote, rows[i].delimiter),
                            rows[i].path);
    assert_int_equal(imapc_name_role("gesendete Elemente"), ROLE_SENT);
    assert_int_equal(imapc_name_role("\xd0\x9a\xd0\xbe\xd1\x80\xd0\xb7\xd0\xb8\xd0\xbd\xd0\xb0"),
                     ROLE_TRASH);
    assert_int_equal(imapc_name_role("Sent 2024"), ROLE_NONE);
}

static void only_atoms_are_keywords(void **state)
{
    (void)state;
    assert_true(backend_keyword_is_valid("$Forwarded"));
    assert_true(backend_keyword_is_valid("a"));
    static const char *const bad[] = {"",    "\\Seen", "a b", "a\r\nb", "a)",       "(a",   "a{1}",
                                      "a\"", "a*",     "a%",  "a]",     "\xc3\xa4", "a\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(backend_keyword_is_valid(bad[i]));
}

/* Every prefix and many one-byte changes of real responses, for the sanitizers to judge. */
static void damaged_responses_crash_nothing(void **state)
{
    static const char *const rows[] = {
        "(UID 5 FLAGS (\\Seen) ENVELOPE (\"d\" {3}\r\nabc ((\"n\" NIL \"m\" \"h\")) NIL NIL ((NIL "
        "NIL "
        "\"g\" NIL)) NIL NIL \"<a>\" \"<b>\") BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" (\"CHARSET\" "
        "\"x\") NIL "
        "NIL \"7BIT\" 1 1 NIL (\"inline\" (\"filename\" \"f\")) (\"en\" \"de\") NIL)(\"MESSAGE\" "
        "\"RFC822\" NIL NIL NIL \"7BIT\" 9 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"TEXT\" "
        "\"PLAIN\" NIL NIL NIL \"7BIT\" 1 1) 3) \"MIXED\" (\"BOUNDARY\" \"b\") NIL NIL) "
        "BODY[HEADER.FIELDS (REFERENCES)] {4}\r\n\r\n\r\n)"};
    static const char changes[] = "(){}\" \\\r\n[]~*0N\x80";
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        size_t length = strlen(rows[r]);
        for (size_t at = 0; at < length; at++) {
            for (size_t c = 0; c <= sizeof changes; c++) {
                char *text = strdup(rows[r]);
                if (c == sizeof changes)
                    text[at] = '\0';
                else
                    text[at] = changes[c];
                struct imapc_response response = {
                    .has_number = true,
                    .word = span_of("FETCH"),
                    .rest = {text, c == sizeof changes ? at : length}};
                struct imapc_fetch read;
                imapc_fetch_read(&arena, &response, &read);
                if (__lsan_disable)
                    __lsan_disable();
                struct mailimap_response_data *parsed =
                    imapc_etpan_parse(read.envelope, read.structure, 100);
                if (__lsan_enable)
                    __lsan_enable();
                struct message message = {0};
                if (parsed && imapc_etpan_envelope(parsed))
                    imapc_envelope_convert(&arena, plenty(), imapc_etpan_envelope(parsed),
                                           &message.envelope);
                if (parsed && imapc_etpan_body(parsed))
                    imapc_structure_convert(&arena, plenty(), imapc_etpan_body(parsed),
                                            BACKEND_PARTS_MAX, &message);
                imapc_etpan_free(parsed);
                struct imapc_structure rest = structure_of(read.structure, BACKEND_PARTS_MAX);
                rest.is_cut = at % 2;
                if (read.structure.text)
                    (void)imapc_structure_salvage(&arena, plenty(), &rest, &message);
                free(text);
                arena_clear(&arena);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(section_numbers_follow_rfc_3501, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_structures_still_give_a_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rubbish_gives_no_tree_and_no_crash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deep_nesting_is_cut_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_parts_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(envelopes_are_decoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_envelope_may_be_nearly_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings_cannot_reach_behind_their_quotes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(small_items_are_read_in_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broken_item_costs_only_what_stands_behind_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(dates_are_read_or_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sets_are_read_and_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_become_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_atoms_are_keywords, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_responses_crash_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

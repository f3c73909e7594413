/* What is known to crash, hang or fool readers of IMAP, said by a mail server that means it. */
#include "mail/imap_script.h"

#define SELECTED                                                                                   \
    "C: SELECT \"INBOX\"\nS: * 3 EXISTS|* OK [UIDVALIDITY 77] ok|* OK [UIDNEXT 10] ok\n"           \
    "S: $ OK [READ-WRITE] ok\n"
#define RECORD(seq, uid, flags, size)                                                              \
    "S: * " seq " FETCH (UID " uid " FLAGS (" flags ") RFC822.SIZE " size                          \
    " ENVELOPE (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) BODYSTRUCTURE (\"TEXT\" \"PLAIN\" NIL " \
    "NIL NIL \"7BIT\" 1 1) BODY[HEADER.FIELDS (REFERENCES)] {2}||)\n"
#define TOLD(uid, size) "message " uid " flags=0 size=" size " subject=s [1]text/plain\n"

static struct desk desk;
static struct told told;
static struct folder_known known;

static void begin(const char *text)
{
    desk_open(&desk, text);
    told_init(&told);
    known = (struct folder_known){.remote = "INBOX", .generation = 5, .floor = 1};
}

static void end(void)
{
    desk_close(&desk);
    told_clear(&told);
}

static enum err sync_now(void)
{
    desk.call = desk_call(&desk);
    return backend_sync(desk.backend, &desk.call, &known, 2, &told.sink);
}

static enum err list_now(void)
{
    desk.call = desk_call(&desk);
    return backend_list_folders(desk.backend, &desk.call, false, &told.folders);
}

static enum err read_now(void)
{
    struct part_wish wish = {.remote = "INBOX",
                             .validity = 77,
                             .uid = 4,
                             .part = "1",
                             .encoding = "7bit",
                             .last = UINT64_MAX};
    desk.call = desk_call(&desk);
    return backend_read_part(desk.backend, &desk.call, &wish, &told.bytes);
}

static enum err sign_in(const char *text, enum backend_security security)
{
    desk_prepare(&desk, text);
    return desk_sign_in(&desk, (struct desk_login){security, "user", "pass", NULL});
}

/* Each of these is a NULL dereference or a lost parse in libetpan. */
static void codes_cut_short_are_no_codes(void **state)
{
    static const char *const codes[] = {
        "* OK [PERMANENTFLAGS (",
        "* OK [PERMANENTFLAGS",
        "* OK [BADCHARSET (\"x\")] what",
        "* OK [BADCHARSET (",
        "* OK [CAPABILITY",
        "* OK [UIDVALIDITY",
        "* OK [COPYUID 1 2:* ",
        "* OK [",
        "* OK",
        "* NO",
        "* CAPABILITY",
        "* FLAGS (",
        "* FLAGS",
        "* SEARCH",
        "* ESEARCH (",
        "* LIST",
        "* STATUS",
        "* 0 EXPUNGE",
        "* -1 EXISTS",
        "* ENABLED (",
        "* ANNOTATEMORE INBOX \"/comment\" (\"value.priv\" NIL \"value.shared\" {3}|abc)",
        "* ANNOTATION INBOX (",
        "* \"x {5}\"",
    };
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char text[1500];
        snprintf(text, sizeof text,
                 "%s" SELECTED "C: FETCH 2:* *\nS: %s\n" RECORD("3", "9", "", "7") "S: $ OK\n",
                 SCRIPT_SIGNED_IN(""), codes[i]);
        begin(text);
        enum err err = sync_now();
        if (err)
            print_error("%s: %s\n", codes[i], desk.call.fault.detail);
        assert_int_equal(err, OK);
        assert_told(&told, "folder exists=3 reset\n" TOLD("9", "7"));
        end();
    }
}

static void the_end_comes_at_once_wherever_it_comes(void **state)
{
    static const char *const ends[] = {
        "",
        "R: 1 * 1\n",
        "R: 1 * 1 FETCH (UID 4 ENVELOPE ({100}|abc\n",
        "R: 1 * 1 FETCH (UID 4 ENVELOPE ({100}\n",
        "R: 1 * 1 FETCH (UID 4 BODY[1] {100}|abc\n",
        "R: 1 * 1 FETCH (UID 4 BODY[1] {3}|abc\n",
        "R: 1 * LIST () \"/\" {100}|abc\n",
        "R: 1 + \n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char text[1000];
        int64_t began_ms = clock_now_ms();
        snprintf(text, sizeof text, "%s" SELECTED "C: UID FETCH 4 *\n%sX:\n", SCRIPT_SIGNED_IN(""),
                 ends[i]);
        begin(text);
        assert_int_equal(read_now(), ERR_UNREACHABLE);
        end();
        snprintf(text, sizeof text, "%sC: LIST \"\" \"*\"\n%sX:\n", SCRIPT_SIGNED_IN(""), ends[i]);
        begin(text);
        assert_int_equal(list_now(), ERR_UNREACHABLE);
        end();
        assert_true(clock_now_ms() - began_ms < 4000);
    }
}

static void bye_ends_the_session_at_any_time(void **state)
{
    static const struct {
        const char *text;
        enum backend_security security;
    } rows[] = {
        {"S: * OK hi\nC: CAPABILITY\nS: * BYE no\n", SECURITY_NONE},
        {"S: * OK [CAPABILITY STARTTLS] hi\nC: STARTTLS\nS: * BYE no\n", SECURITY_STARTTLS},
        {"S: * OK [CAPABILITY AUTH=PLAIN] hi\nC: AUTHENTICATE*\nS: * BYE no\n", SECURITY_NONE},
        {"S: * OK [CAPABILITY AUTH=PLAIN] hi\nC: AUTHENTICATE*\nS: + |* BYE no\nc: *\n",
         SECURITY_NONE},
        {SCRIPT_SIGNED_IN(" ID") "C: ID*\nS: * BYE no\n", SECURITY_NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(sign_in(rows[i].text, rows[i].security), ERR_UNREACHABLE);
        assert_string_equal(desk.call.fault.reply, "no");
        desk_close(&desk);
    }
    begin(SCRIPT_SIGNED_IN("") "C: LIST*\nC: LSUB*\nS: * LIST () \"/\" a|* BYE no\n");
    assert_int_equal(list_now(), ERR_UNREACHABLE);
    end();
    begin(SCRIPT_SIGNED_IN("") SELECTED "C: UID FETCH 4 *\nS: * 1 FETCH (UID 4 BODY[1] "
                                        "{3}|abc)|* BYE no\n");
    assert_int_equal(read_now(), ERR_UNREACHABLE);
    end();
}

static void an_answer_that_comes_too_late_ends_the_session(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") "C: LIST*\nC: LSUB*\nS: $1 OK|$ OK|$1 OK again\n");
    assert_int_equal(list_now(), OK);
    assert_int_equal(list_now(), ERR_PROTOCOL);
    end();
    /* the tag of a command that is still to come */
    begin(SCRIPT_SIGNED_IN("") "C: LIST*\nC: LSUB*\nS: $1 OK|$ OK|a4 OK|a5 OK\n");
    assert_int_equal(list_now(), OK);
    desk.call = desk_call(&desk);
    (void)list_now(); /* believed at most once: nothing was said, so nothing is told */
    assert_null(told.log.data);
    end();
}

static void tls_begins_with_nothing_said_before_it(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK [CAPABILITY STARTTLS] hi\nC: STARTTLS\n"
                             "S: * CAPABILITY IMAP4rev1 AUTH=PLAIN|$ OK go|a2 OK [CAPABILITY X]\n",
                             SECURITY_STARTTLS),
                     ERR_TLS);
    desk_close(&desk);
    assert_int_equal(sign_in("S: * OK [CAPABILITY STARTTLS] hi\nC: STARTTLS\nR: 1 $ OK go|*\n",
                             SECURITY_STARTTLS),
                     ERR_TLS);
    desk_close(&desk);
    assert_int_equal(sign_in("S: * PREAUTH [CAPABILITY IMAP4rev1] in already\n", SECURITY_STARTTLS),
                     ERR_PROTOCOL);
    assert_int_equal(desk.script.tag_count, 0);
    desk_close(&desk);
}

static void counts_that_cannot_be_cost_nothing(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") "C: SELECT *\nS: * 4294967295 EXISTS|* 4294967296 EXISTS|"
                               "* 99999999999999999999 EXISTS|* OK [UIDVALIDITY 77] x|"
                               "* OK [UIDNEXT 99999999999] x|* 4294967295 EXPUNGE\nS: $ OK\n"
                               "C: FETCH 4294967293:* *\n" RECORD("3", "9", "", "7") "S: $ OK\n");
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=4294967294 reset\n" TOLD("9", "7"));
    end();
}

static void sizes_beyond_32_bits_are_whole_or_nothing(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED "C: FETCH 2:* *\n" RECORD("1", "1", "", "4294967296")
              RECORD("2", "2", "", "18446744073709551616") RECORD("3", "3", "", "-5") "S: $ OK\n");
    assert_int_equal(sync_now(), OK);
    assert_told(&told,
                "folder exists=3 reset\n" TOLD("1", "4294967296") TOLD("2", "0") TOLD("3", "0"));
    end();
}

static void uids_may_come_in_any_order_and_0_is_none(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED
          "C: FETCH 2:* *\n" RECORD("3", "9", "", "1") RECORD("2", "5", "", "1")
              RECORD("2", "5", "", "2") RECORD("3", "4294967295", "", "1") RECORD("1", "0", "", "1")
                  RECORD("1", "4294967296", "", "1") "S: $ OK\n"
                                                     "C: UID SEARCH *\nS: * SEARCH 5 9\nS: $ OK\n");
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=3 reset\n" TOLD("9", "1") TOLD("5", "1") TOLD("5", "2")
                           TOLD("4294967295", "1"));
    end();
}

static void nul_bytes_end_no_text_early(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: ^@* OK hi\n", SECURITY_NONE), ERR_PROTOCOL);
    desk_close(&desk);
    begin(
        SCRIPT_SIGNED_IN("") "C: LIST*\nC: LSUB*\nS: * LIST () \"/\" \"a^@b\"|"
                             "* LIST () \"/\" {3}|a^@b|* LIST (^@) \"^@\" ok|* ^@LIST () \"/\" x\n"
                             "S: $1 OK^@|$ OK\n");
    enum err err = list_now();
    assert_true(err == OK || err == ERR_PROTOCOL);
    assert_true(!told.log.data || !strstr(told.log.data, "a"));
    end();
    begin(SCRIPT_SIGNED_IN("") SELECTED
          "C: FETCH 2:* *\nS: * 3 FETCH (UID 9 FLAGS (a^@b) RFC822.SIZE 7 ENVELOPE (NIL "
          "\"a^@b\" NIL NIL NIL NIL NIL NIL NIL NIL) BODYSTRUCTURE (\"TEXT\" \"PL^@AIN\" NIL NIL "
          "NIL \"7BIT\" 1 1))\nS: $ OK\n");
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=3 reset\nmessage 9 flags=0 size=7 subject=ab keyword=ab "
                       "[1]text/plain\n");
    end();
}

static void a_record_in_the_answer_to_a_search_is_not_one(void **state)
{
    uint32_t floor = 0;
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED "C: UID SEARCH UID 1:8\n" RECORD(
        "1", "1", "", "1") "S: * 2 FETCH (UID 2 FLAGS ())|* SEARCH\nS: $ OK\n");
    known.validity = 77;
    known.floor = 9;
    assert_int_equal(backend_fetch_older(desk.backend, &desk.call, &known, 5, &told.sink, &floor),
                     OK);
    assert_told(&told, "folder exists=3\n");
    assert_int_equal(floor, 1);
    end();
}

static void what_is_nested_too_deep_costs_one_message(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED
          "C: FETCH 2:* *\nR: 1 * 2 FETCH (UID 5 ENVELOPE (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL "
          "NIL) FLAGS () RFC822.SIZE 7 BODYSTRUCTURE \nR: 20000 (\nS: )\n" RECORD(
              "3", "9", "", "7") "S: $ OK\n"
                                 "C: UID FETCH 5 *\nS: * 2 FETCH (UID 5 FLAGS () RFC822.SIZE 7)\n"
                                 "S: $ OK\n");
    enum err err = sync_now();
    if (err)
        print_error("%s\n", desk.call.fault.detail);
    assert_int_equal(err, OK);
    assert_non_null(strstr(told.log.data, TOLD("9", "7")));
    assert_non_null(strstr(told.log.data, "message 5 "));
    assert_non_null(strstr(told.log.data, "limited="));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_cut_short_are_no_codes),
        cmocka_unit_test(the_end_comes_at_once_wherever_it_comes),
        cmocka_unit_test(bye_ends_the_session_at_any_time),
        cmocka_unit_test(an_answer_that_comes_too_late_ends_the_session),
        cmocka_unit_test(tls_begins_with_nothing_said_before_it),
        cmocka_unit_test(counts_that_cannot_be_cost_nothing),
        cmocka_unit_test(sizes_beyond_32_bits_are_whole_or_nothing),
        cmocka_unit_test(uids_may_come_in_any_order_and_0_is_none),
        cmocka_unit_test(nul_bytes_end_no_text_early),
        cmocka_unit_test(a_record_in_the_answer_to_a_search_is_not_one),
        cmocka_unit_test(what_is_nested_too_deep_costs_one_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

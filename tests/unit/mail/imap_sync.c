/* Sync, content and changes against a scripted server. */
#include "mail/imap_script.h"

#define SELECTED(exists)                                                                           \
    "C: SELECT \"INBOX\"\nS: * FLAGS (\\Seen)|* OK [PERMANENTFLAGS (\\Seen \\*)] ok|* " exists     \
    " EXISTS|* 0 RECENT|* OK [UIDVALIDITY 77] ok|* OK [UIDNEXT 10] ok\nS: $ OK [READ-WRITE] ok\n"
#define RECORD(seq, uid, subject)                                                                  \
    "* " seq " FETCH (UID " uid " FLAGS (\\Seen) INTERNALDATE \"01-Jun-2026 10:00:00 +0000\" "     \
    "RFC822.SIZE 100 ENVELOPE (NIL \"" subject "\" NIL NIL NIL NIL NIL NIL NIL NIL) "              \
    "BODYSTRUCTURE (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1) "                                 \
    "BODY[HEADER.FIELDS (REFERENCES)] {2}||)"
#define TOLD(uid, subject) "message " uid " flags=1 size=100 subject=" subject " [1]text/plain\n"

static struct desk desk;
static struct told told;
static struct folder_known known;

static void begin(const char *text)
{
    desk_open(&desk, text);
    told_init(&told);
    known = (struct folder_known){
        .remote = "INBOX", .generation = 5, .validity = 77, .uid_next = 10, .floor = 1};
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

static void a_new_folder_gives_its_newest_page(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED("3") "C: FETCH 2:* (UID FLAGS*\nS: " RECORD(
        "2", "7", "b") "\nS: " RECORD("3", "9", "c") "\nS: $ OK\n");
    known.validity = 0;
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=3 reset\n" TOLD("7", "b") TOLD("9", "c"));
    assert_string_equal(desk.backend->selected, "INBOX");
    end();
}

static void another_validity_resets(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("")
              SELECTED("1") "C: FETCH 1:* *\nS: " RECORD("1", "1", "x") "\nS: $ OK\n");
    known.validity = 76;
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=1 reset\n" TOLD("1", "x"));
    end();
}

static void a_known_folder_is_compared(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("")
              SELECTED("3") "C: UID FETCH 2:8 (UID FLAGS)\nC: UID FETCH 9:* (UID*\n"
                            "S: * 1 FETCH (UID 4 FLAGS ())\n"
                            "S: * 2 FETCH (FLAGS (\\Flagged $A) UID 8)\nS: $1 OK\n"
                            "S: " RECORD("3", "9", "new") "\nS: $ OK\n");
    known.uid_next = 9;
    known.floor = 2;
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=3\nflags 4=0\nflags 8=2 $A\n" TOLD(
                           "9", "new") "present from 2: 4-4 8-9\n");
    end();
}

static void a_quiet_watched_folder_costs_one_noop(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED("1") "C: UID FETCH 1:9 (UID FLAGS)\n"
                                             "S: * 1 FETCH (UID 4 FLAGS ())\nS: $ OK\n"
                                             "C: NOOP\nS: $ OK\nC: NOOP\nS: $ OK\n");
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=1\nflags 4=0\npresent from 1: 4-4\n");
    assert_int_equal(sync_now(), OK);
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=1\nfolder exists=1\n");
    end();
}

static void what_a_watched_folder_tells_is_asked_for(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN(" ESEARCH") SELECTED(
        "3") "C: UID FETCH 1:9 (UID FLAGS)\n"
             "S: * 1 FETCH (UID 4 FLAGS ())|* 2 FETCH (UID 5 FLAGS ())|* 3 FETCH (UID 6 FLAGS ())\n"
             "S: $ OK\n"
             "C: NOOP\n"
             /* 3 changed, then 1 goes: it is 2 now; one more arrives */
             "S: * 3 FETCH (FLAGS (\\Seen))|* 1 EXPUNGE|* 3 EXISTS\nS: $ OK\n"
             "C: FETCH 2 (UID FLAGS)\nC: UID FETCH 10:* (UID*\nC: UID SEARCH RETURN (ALL) UID 1:*\n"
             "S: * 2 FETCH (UID 6 FLAGS (\\Seen))\nS: $2 OK\n"
             "S: " RECORD("3", "12", "new") "\nS: $1 OK\n"
                                            "S: * ESEARCH (TAG \"$\") UID ALL 5:6,12\nS: $ OK\n"
                                            "C: NOOP\nS: $ OK\n");
    assert_int_equal(sync_now(), OK);
    buf_reset(&told.log);
    assert_int_equal(sync_now(), OK);
    assert_told(&told,
                "folder exists=3\nflags 6=1\n" TOLD("12", "new") "present from 1: 5-6 12-12\n");
    known.uid_next = 13;
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=3\n");
    end();
}

static void the_last_message_answers_n_to_star_and_is_ignored(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN(
        "") "C: SELECT \"INBOX\"\nS: * 1 EXISTS|* OK [UIDVALIDITY 77] ok\nS: $ OK\n"
            "C: UID FETCH 1:9 (UID FLAGS)\nC: UID FETCH 10:* (UID*\n"
            "S: * 1 FETCH (UID 4 FLAGS ())\nS: $1 OK\n"
            "S: " RECORD("1", "4", "old") "\nS: $ OK\n");
    assert_int_equal(sync_now(), OK); /* a server without UIDNEXT has to be asked */
    assert_told(&told, "folder exists=1\nflags 4=0\npresent from 1: 4-4\n");
    end();
}

static void a_refusing_sink_leaves_the_connection_and_voids_the_view(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("")
              SELECTED("2") "C: FETCH 1:* *\nS: " RECORD("1", "1", "a") "\nS: " RECORD(
                  "2", "2",
                  "b") "\nS: $ OK\nC: NOOP\nS: $ OK\n"
                       "C: UID FETCH 1:9 (UID FLAGS)\nS: * 1 FETCH (UID 1 FLAGS ())\nS: $ OK\n");
    known.validity = 0;
    told.refuse = ERR_STORE;
    assert_int_equal(sync_now(), ERR_STORE);
    assert_told(&told, "folder exists=2 reset\n" TOLD("1", "a"));
    told.refuse = OK;
    known.validity = 77;
    assert_int_equal(sync_now(), OK); /* compared in full, not trusted */
    assert_told(&told, "folder exists=2\nflags 1=0\npresent from 1: 1-1\n");
    end();
}

static void unknown_things_cost_nothing(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN(
        "") "C: SELECT \"INBOX\"\n"
            "S: * XYZZY (a \"b\" {3}|abc) [c]|* OK [UNKNOWN-CODE x \"]\" y] text|* 1 EXISTS\n"
            "S: * OK [PERMANENTFLAGS (|* NO [BADCHARSET (\"x\")] y|* OK [|* OK|* FLAGS\n"
            "S: * OK [UIDVALIDITY 77] ok|* OK [HIGHESTMODSEQ 99999999999999999999] x\n"
            "S: * VANISHED (EARLIER) 1:3|* 5 FROBNICATE|* ESEARCH|* SEARCH|* THREAD (1)(2)\n"
            "S: $ OK [READ-ONLY] [x\n"
            "C: FETCH 1:* *\n"
            "S: * 1 FETCH (X-GM-LABELS (\"a\") UID 3 PREVIEW NIL MODSEQ (5) FLAGS (\\Recent) "
            "SAVEDATE \"x\" EMAILID (M1) ANNOTATION (/comment (value.priv \"x\")) RFC822.SIZE 7 "
            "INTERNALDATE \"rubbish\" ENVELOPE (NIL \"ok\" NIL NIL NIL NIL NIL NIL NIL NIL) "
            "BODYSTRUCTURE (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1))\nS: $ OK\n");
    known.validity = 0;
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=1 reset read-only\n"
                       "message 3 flags=0 size=7 subject=ok remote=M1 [1]text/plain\n");
    end();
}

static void an_unreadable_record_costs_one_message(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED(
        "3") "C: FETCH 1:* *\n"
             "S: " RECORD("1", "1",
                          "a") "\n"
                               "S: * 2 FETCH (UID 2 FLAGS () ENVELOPE (broken BODYSTRUCTURE NIL)\n"
                               "S: " RECORD("3", "3",
                                            "c") "\nS: $ OK\n"
                                                 "C: UID FETCH 2 (UID FLAGS INTERNALDATE "
                                                 "RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE*\n"
                                                 "S: * 2 FETCH (UID 2 FLAGS (\\Flagged) "
                                                 "RFC822.SIZE 5 BODY[HEADER.FIELDS (DATE SUBJECT)] "
                                                 "{70}|Subject: saved|From: A "
                                                 "<a@example.org>|References: <x@y>|\t<z@y>||)\n"
                                                 "S: $ OK\n");
    known.validity = 0;
    known.floor = 4;
    assert_int_equal(backend_sync(desk.backend, &desk.call, &known, 9, &told.sink), OK);
    assert_told(
        &told,
        "folder exists=3 reset\n" TOLD("1", "a") TOLD(
            "3",
            "c") "message 2 flags=2 size=5 subject=saved from=A<a@example.org> ref=x@y ref=z@y "
                 "limited=1\n");
    end();
}

static void a_record_without_a_uid_is_found_by_search(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED(
        "2") "C: FETCH 1:* *\n"
             "S: " RECORD(
                 "1", "1",
                 "a") "\nS: * 2 FETCH (ENVELOPE (\"\nS: $ OK\n"
                      "C: UID SEARCH 1:*\nS: * SEARCH 1 2\nS: $ OK\n"
                      "C: UID FETCH 2 (UID FLAGS*\nS: $ NO cannot\n"
                      "C: UID FETCH 2 (UID FLAGS INTERNALDATE RFC822.SIZE)\nS: $ NO cannot\n");
    known.validity = 0;
    assert_int_equal(backend_sync(desk.backend, &desk.call, &known, 9, &told.sink), OK);
    assert_told(&told, "folder exists=2 reset\n" TOLD(
                           "1", "a") "message 2 flags=0 size=0 subject=- limited=1\n");
    end();
}

static void a_refused_fetch_is_asked_again_message_by_message(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED(
        "3") "C: FETCH 2:* *\n"
             "S: " RECORD("3", "9", "c") "\nS: $ NO Some messages could not be fetched\n"
                                         "C: UID SEARCH 2:*\nS: * SEARCH 7 9\nS: $ OK\n"
                                         "C: UID FETCH 7 (UID FLAGS*\n"
                                         "S: * 2 FETCH (UID 7 FLAGS () RFC822.SIZE 1 "
                                         "BODY[HEADER.FIELDS (X)] {2}||)\nS: $ OK\n");
    known.validity = 0;
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=3 reset\n" TOLD(
                           "9", "c") "message 7 flags=0 size=1 subject=- limited=1\n");
    end();
}

static void a_line_over_the_cap_costs_one_message(void **state)
{
    (void)state;
    char *text = malloc(400000), *put = text;
    put = stpcpy(put,
                 SCRIPT_SIGNED_IN("") SELECTED("2") "C: FETCH 1:* *\nS: * 1 FETCH (UID 1 FLAGS () "
                                                    "ENVELOPE (NIL \"long\" NIL NIL NIL (");
    for (int i = 0; i < 4000; i++)
        put = stpcpy(put, "(NIL NIL \"someone\" \"example.org\")");
    put = stpcpy(put, ") NIL NIL NIL NIL) BODY[HEADER.FIELDS (REFERENCES)] {2}||)\nS: ");
    put = stpcpy(
        put, RECORD("2", "2",
                    "b") "\nS: $ OK\nC: UID FETCH 1 (UID FLAGS*\n"
                         "S: * 1 FETCH (UID 1 FLAGS () RFC822.SIZE 9 BODY[HEADER.FIELDS (X)] {20}|"
                         "Subject: still  ||)\nS: $ OK\n");
    begin(text);
    known.validity = 0;
    assert_int_equal(sync_now(), OK);
    assert_told(&told, "folder exists=2 reset\n" TOLD(
                           "2", "b") "message 1 flags=0 size=9 subject=still limited=1\n");
    free(text);
    end();
}

static void endless_chatter_ends_the_session(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN("") SELECTED("1") "C: FETCH 1:* *\nN: 1200 * # FROBNICATE\nS: $ OK\n");
    known.validity = 0;
    assert_int_equal(sync_now(), ERR_PROTOCOL);
    end();
}

static void answers_end_a_session_as_they_should(void **state)
{
    static const struct {
        const char *answer;
        enum err err;
    } rows[] = {
        {"S: $ BAD syntax\n", ERR_PROTOCOL}, {"S: * BYE going down\n", ERR_UNREACHABLE},
        {"X:\n", ERR_UNREACHABLE},           {"S: a999 OK who\n", ERR_PROTOCOL},
        {"S: what is this\n", ERR_PROTOCOL}, {"S: \n", ERR_PROTOCOL},
        {"S: + go on\n", ERR_PROTOCOL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[600];
        snprintf(text, sizeof text, "%sC: SELECT \"INBOX\"\n%s", SCRIPT_SIGNED_IN(""),
                 rows[i].answer);
        begin(text);
        assert_int_equal(sync_now(), rows[i].err);
        assert_true(err_kills_connection(rows[i].err));
        assert_null(strstr(desk.call.fault.detail, "INBOX"));
        desk.call = desk_call(&desk);
        assert_int_not_equal(backend_noop(desk.backend, &desk.call), OK);
        end();
    }
}

static void a_refused_folder_leaves_the_connection(void **state)
{
    (void)state;
    begin(
        SCRIPT_SIGNED_IN("") "C: SELECT \"INBOX\"\nS: $ NO [NONEXISTENT] no such mailbox\n"
                             "C: SELECT \"INBOX\"\nS: $ NO Permission denied\nC: NOOP\nS: $ OK\n");
    assert_int_equal(sync_now(), ERR_NOT_FOUND);
    assert_string_equal(desk.call.fault.reply, "no such mailbox");
    assert_int_equal(sync_now(), ERR_REFUSED);
    desk.call = desk_call(&desk);
    assert_int_equal(backend_noop(desk.backend, &desk.call), OK);
    end();
}

static void backfill_goes_down_to_the_last(void **state)
{
    (void)state;
    uint32_t floor = 0;
    begin(SCRIPT_SIGNED_IN("") SELECTED(
        "5") "C: UID SEARCH UID 1:8\nS: * SEARCH 7 3 4|* SEARCH 2\nS: $ OK\n"
             "C: UID FETCH 4,7 (UID*\nS: " RECORD("3", "4", "d") "\nS: " RECORD(
                 "4", "7", "e") "\nS: $ OK\n"
                                "C: NOOP\nS: $ OK\n"
                                "C: UID FETCH 2:3 (UID*\nS: " RECORD("2", "3", "c") "\nS: $ OK\n");
    known.floor = 9;
    assert_int_equal(backend_fetch_older(desk.backend, &desk.call, &known, 2, &told.sink, &floor),
                     OK);
    assert_int_equal(floor, 4);
    known.floor = floor;
    assert_int_equal(backend_fetch_older(desk.backend, &desk.call, &known, 2, &told.sink, &floor),
                     OK);
    assert_int_equal(floor, 1);
    assert_told(&told, "folder exists=5\n" TOLD("4", "d")
                           TOLD("7", "e") "folder exists=5\n" TOLD("3", "c"));
    end();
}

static void bytes_of_another_message_are_no_answer(void **state)
{
    (void)state;
    struct part_wish wish = {.remote = "INBOX",
                             .validity = 77,
                             .uid = 4,
                             .part = "1",
                             .encoding = "7bit",
                             .mode = READ_DECODED,
                             .last = UINT64_MAX};
    begin(SCRIPT_SIGNED_IN("") SELECTED("1") "C: UID FETCH 4 *\n"
                                             "S: * 1 FETCH (UID 5 BODY[1] {5}|hello)\n");
    assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes), ERR_PROTOCOL);
    end();
}

static void a_message_made_anew_elsewhere_is_gone(void **state)
{
    (void)state;
    struct part_wish wish = {.remote = "INBOX",
                             .validity = 76,
                             .uid = 4,
                             .part = "1",
                             .encoding = "7bit",
                             .mode = READ_DECODED,
                             .last = UINT64_MAX};
    begin(SCRIPT_SIGNED_IN("") SELECTED("1") "C: NOOP\nS: $ OK\nC: UID FETCH 4 *\nS: $ OK\n");
    assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes), ERR_GONE);
    desk.call = desk_call(&desk);
    wish.validity = 77;
    assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes), ERR_GONE);
    end();
}

static struct part_wish wish_for(const char *part, const char *encoding)
{
    return (struct part_wish){.remote = "INBOX",
                              .validity = 77,
                              .uid = 4,
                              .part = part,
                              .encoding = encoding,
                              .mode = READ_DECODED,
                              .last = UINT64_MAX};
}

static void content_comes_in_every_shape(void **state)
{
    static const char *const shapes[] = {
        "S: * 1 FETCH (UID 4 BODY[1] {8}|aGVsbG8=)",
        "S: * 1 FETCH (BODY[1] {8}|aGVsbG8= UID 4)",
        "S: * 1 FETCH (UID 4 BODY[1] \"aGVsbG8=\")",
        "S: * 1 FETCH (UID 4 FLAGS (\\Seen) BODY[1]<0> {8}|aGVsbG8=)",
        "S: * 1 FETCH (FLAGS (\\Seen))|* 2 EXISTS|* 1 FETCH (UID 4 BODY[1]  {8}|aGVsbG8=)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char text[900];
        struct part_wish wish = wish_for("1", "base64");
        snprintf(text, sizeof text, "%s%sC: UID FETCH 4 (UID BODY.PEEK[1])\n%s\nS: $ OK\n",
                 SCRIPT_SIGNED_IN(""), SELECTED("1"), shapes[i]);
        begin(text);
        assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes), OK);
        assert_string_equal(told.content.data, "hello");
        end();
    }
}

static void ranges_of_decoded_content_are_exact(void **state)
{
    (void)state;
    struct part_wish wish = wish_for("1", "base64");
    wish.first = 1;
    wish.last = 3;
    begin(SCRIPT_SIGNED_IN("")
              SELECTED("1") "C: UID FETCH 4 (UID BODY.PEEK[1]<0.1029>)\n"
                            "S: * 1 FETCH (UID 4 BODY[1]<0> {8}|aGVsbG8=)\nS: $ OK\n"
                            "C: NOOP\nS: $ OK\nC: UID FETCH 4 (UID BODY.PEEK[1]<2.3>)\n"
                            "S: * 1 FETCH (UID 4 BODY[1]<2> {3}|llo)\nS: $ OK\n");
    assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes), OK);
    assert_string_equal(told.content.data, "ell");
    buf_reset(&told.content);
    desk.call = desk_call(&desk);
    wish = wish_for("1", "8bit");
    wish.first = 2;
    wish.last = 4;
    assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes), OK);
    assert_string_equal(told.content.data, "llo");
    end();
}

static void a_sink_that_refuses_is_heard(void **state)
{
    (void)state;
    struct part_wish wish = wish_for("1", "7bit");
    begin(SCRIPT_SIGNED_IN("") SELECTED("1") "C: UID FETCH 4 (UID BODY.PEEK[1])\n"
                                             "S: * 1 FETCH (UID 4 BODY[1] {5}|hello)\nS: $ OK\n"
                                             "C: NOOP\nS: $ OK\n");
    told.refuse = ERR_STORE;
    assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes), ERR_STORE);
    desk.call = desk_call(&desk);
    assert_int_equal(backend_noop(desk.backend, &desk.call), OK);
    end();
    begin(SCRIPT_SIGNED_IN("") SELECTED("1") "C: UID FETCH 4 (UID BODY.PEEK[1])\n"
                                             "S: * 1 FETCH (UID 4 BODY[1] {50000000}|hello\n");
    told.refuse = ERR_STORE;
    assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes),
                     ERR_CANCELLED);
    end();
}

static void sections_that_are_none_reach_no_server(void **state)
{
    static const char *const bad[] = {"1] X", "1\r\na9 DELETE x", "HEADER", "1.2 ", "a"};
    (void)state;
    begin(SCRIPT_SIGNED_IN(""));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct part_wish wish = wish_for(bad[i], "7bit");
        desk.call = desk_call(&desk);
        assert_int_equal(backend_read_part(desk.backend, &desk.call, &wish, &told.bytes),
                         ERR_NOT_FOUND);
    }
    end();
}

static void previews_are_asked_for_by_section(void **state)
{
    (void)state;
    static const struct preview_wish wishes[] = {
        {.uid = 1, .part = "1", .type = "text/plain", .encoding = "7bit"},
        {.uid = 2, .part = "1.1", .type = "text/plain", .encoding = "7bit"},
        {.uid = 3, .part = "1", .type = "text/plain", .encoding = "7bit"},
        {.uid = 4},
        {.uid = 5, .part = "1", .type = "text/html", .encoding = "7bit"},
    };
    begin(SCRIPT_SIGNED_IN("") SELECTED(
        "5") "C: UID FETCH 1,3 (UID BODY.PEEK[1]<0.2048>)\n"
             "C: UID FETCH 2 (UID BODY.PEEK[1.1]<0.2048>)\n"
             "C: UID FETCH 5 (UID BODY.PEEK[1]<0.8192>)\n"
             "S: * 1 FETCH (UID 1 BODY[1]<0> {3}|one)|* 3 FETCH (UID 3 BODY[1]<0> NIL)\nS: $2 OK\n"
             "S: * 2 FETCH (UID 2 BODY[1.1]<0> \"two\")\nS: $1 OK\n"
             "S: * 5 FETCH (UID 5 BODY[1]<0> {10}|<b>four</b)\nS: $ NO some\n");
    assert_int_equal(backend_previews(desk.backend, &desk.call, &known, wishes, 5, &told.previews),
                     OK);
    assert_told(&told,
                "preview 4: \npreview 1: one\npreview 3: \npreview 2: two\npreview 5: four\n");
    end();
}

static void flags_are_what_the_server_says_last(void **state)
{
    (void)state;
    static const char *const keywords[] = {"$Done"};
    struct flag_change change = {
        .add = FLAG_SEEN, .remove = FLAG_FLAGGED, .add_keywords = {keywords, 1}};
    begin(SCRIPT_SIGNED_IN("") SELECTED(
        "1") "C: UID STORE 4 +FLAGS (\\Seen $Done)\nC: UID STORE 4 -FLAGS (\\Flagged)\n"
             "C: UID FETCH 4 (UID FLAGS)\n"
             "S: * 1 FETCH (UID 4 FLAGS (\\Flagged \\Seen $Done))\nS: $2 OK\n"
             "S: * 1 FETCH (UID 4 FLAGS (\\Seen $Done))\nS: $1 OK\n"
             "S: * 1 FETCH (UID 4 FLAGS (\\Seen $Done))\nS: $ OK\n");
    assert_int_equal(backend_change_flags(desk.backend, &desk.call, &known, 4, &change, &told.sink),
                     OK);
    assert_told(&told, "flags 4=1 $Done\n");
    end();
}

static void a_change_the_server_does_not_keep_is_refused(void **state)
{
    (void)state;
    struct flag_change change = {.add = FLAG_SEEN};
    static const char *const bad[] = {"a b"};
    begin(SCRIPT_SIGNED_IN("")
              SELECTED("1") "C: UID STORE *\nC: UID FETCH *\n"
                            "S: $1 OK\nS: * 1 FETCH (UID 4 FLAGS ())\nS: $ OK\n"
                            "C: UID FETCH *\nS: * 1 FETCH (UID 4 FLAGS ())\nS: $ OK\n"
                            "C: UID STORE *\nC: UID FETCH *\nS: $1 OK\nS: $ OK\n"
                            "C: UID STORE *\nC: UID FETCH *\n"
                            "S: $1 NO [OVERQUOTA] full\nS: $ OK\n");
    assert_int_equal(backend_change_flags(desk.backend, &desk.call, &known, 4, &change, &told.sink),
                     ERR_REFUSED);
    assert_told(&told, "flags 4=0\n");
    desk.call = desk_call(&desk);
    assert_int_equal(backend_change_flags(desk.backend, &desk.call, &known, 4, &change, &told.sink),
                     ERR_GONE);
    desk.call = desk_call(&desk);
    assert_int_equal(backend_change_flags(desk.backend, &desk.call, &known, 4, &change, &told.sink),
                     ERR_OVER_QUOTA);
    change.add_keywords = (struct string_list){bad, 1};
    desk.call = desk_call(&desk);
    assert_int_equal(backend_change_flags(desk.backend, &desk.call, &known, 4, &change, &told.sink),
                     ERR_INVALID);
    end();
}

static void a_cancelled_call_returns_at_once(void **state)
{
    (void)state;
    begin(SCRIPT_SIGNED_IN(""));
    backend_cancel(desk.backend);
    int64_t began_ms = clock_now_ms();
    assert_int_equal(sync_now(), ERR_CANCELLED);
    assert_true(clock_now_ms() - began_ms < 1000);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_folder_gives_its_newest_page),
        cmocka_unit_test(another_validity_resets),
        cmocka_unit_test(a_known_folder_is_compared),
        cmocka_unit_test(a_quiet_watched_folder_costs_one_noop),
        cmocka_unit_test(what_a_watched_folder_tells_is_asked_for),
        cmocka_unit_test(the_last_message_answers_n_to_star_and_is_ignored),
        cmocka_unit_test(a_refusing_sink_leaves_the_connection_and_voids_the_view),
        cmocka_unit_test(unknown_things_cost_nothing),
        cmocka_unit_test(an_unreadable_record_costs_one_message),
        cmocka_unit_test(a_record_without_a_uid_is_found_by_search),
        cmocka_unit_test(a_refused_fetch_is_asked_again_message_by_message),
        cmocka_unit_test(a_line_over_the_cap_costs_one_message),
        cmocka_unit_test(endless_chatter_ends_the_session),
        cmocka_unit_test(answers_end_a_session_as_they_should),
        cmocka_unit_test(a_refused_folder_leaves_the_connection),
        cmocka_unit_test(backfill_goes_down_to_the_last),
        cmocka_unit_test(bytes_of_another_message_are_no_answer),
        cmocka_unit_test(a_message_made_anew_elsewhere_is_gone),
        cmocka_unit_test(content_comes_in_every_shape),
        cmocka_unit_test(ranges_of_decoded_content_are_exact),
        cmocka_unit_test(a_sink_that_refuses_is_heard),
        cmocka_unit_test(sections_that_are_none_reach_no_server),
        cmocka_unit_test(previews_are_asked_for_by_section),
        cmocka_unit_test(flags_are_what_the_server_says_last),
        cmocka_unit_test(a_change_the_server_does_not_keep_is_refused),
        cmocka_unit_test(a_cancelled_call_returns_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

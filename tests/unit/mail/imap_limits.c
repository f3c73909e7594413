/* What a server may send at most: each limit ends what passes it, and says which it was. */
#include "mail/imap_script.h"

#include "imap.h"

#define PLENTY_MS 20000

static struct desk desk;
static struct told told;
static uint32_t patience_ms = PLENTY_MS;

enum request { OPEN, FOLDERS, SYNC, CONTENT };

struct limit_case {
    enum request request;
    const char *script;
    enum err err;
    const char *detail;
};

#define SELECTED                                                                                   \
    "C: SELECT \"INBOX\"\nS: * 2 EXISTS|* OK [UIDVALIDITY 77] ok|* OK [UIDNEXT 10] ok\n"           \
    "S: $ OK [READ-WRITE] ok\n"
#define LISTS   "C: LIST \"\" \"*\"\nC: LSUB \"\" \"*\"\n"
#define RECORDS SELECTED "C: FETCH 1:* *\n"
#define SECTION SELECTED "C: UID FETCH 4 (UID BODY.PEEK[1])\n"
#define LINE    "the mail server sent a line of more than 64 KiB (mail_line_bytes_max)"
#define LITERAL "the mail server sent a literal of more than 256 KiB (mail_literal_bytes_max)"
#define NUMBERS                                                                                    \
    "the mail server sent a line of numbers of more than 256 KiB (mail_literal_bytes_max)"
#define ANSWER   "the mail server answered with more than 1 MiB (mail_answer_bytes_max)"
#define CONTENTS "the mail server answered with more than 4 MiB (mail_command_bytes_max)"
#define UNASKED                                                                                    \
    "the mail server sent more than 1000 responses that were not asked for (mail_untagged_max)"
#define MANY     "the mail server lists more than 1000 folders (mail_folders_max)"
#define TEN      "aaaaaaaaaa"
#define HUNDRED  TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
#define TOO_LONG                                                                                   \
    "the mail server took more than 400 milliseconds for its answer (mail_command_time_max)"

static enum err run_case(const struct limit_case *row, const char *text)
{
    struct folder_known known = {.remote = "INBOX", .generation = 5, .floor = 1};
    struct part_wish wish = {.remote = "INBOX",
                             .validity = 77,
                             .uid = 4,
                             .part = "1",
                             .encoding = "7bit",
                             .last = UINT64_MAX};
    desk_prepare(&desk, text);
    desk.world.literal_bytes_max = 256 << 10;
    desk.world.answer_bytes_max = 1 << 20;
    desk.world.command_bytes_max = 4 << 20;
    desk.world.command_ms_max = patience_ms;
    told_init(&told);
    enum err err = desk_sign_in(&desk, (struct desk_login){SECURITY_NONE, "user", "pass", NULL});
    if (err || row->request == OPEN)
        return err;
    desk.call = desk_call(&desk);
    desk.call.deadline_ms += PLENTY_MS;
    switch (row->request) {
    case FOLDERS: return backend_list_folders(desk.backend, &desk.call, false, &told.folders);
    case SYNC: return backend_sync(desk.backend, &desk.call, &known, 50, &told.sink);
    case CONTENT: return backend_read_part(desk.backend, &desk.call, &wish, &told.bytes);
    default: return OK;
    }
}

static void judge(const struct limit_case *row)
{
    size_t size = strlen(row->script) + 1000;
    char *text = malloc(size);
    snprintf(text, size, "%s%s", row->request == OPEN ? "" : SCRIPT_SIGNED_IN(""), row->script);
    enum err err = run_case(row, text);
    if (err != row->err || strcmp(desk.call.fault.detail, row->detail) != 0)
        print_error("of: %.100s\n%s: %s\n", row->script, err_name(err), desk.call.fault.detail);
    assert_int_equal(err, row->err);
    assert_string_equal(desk.call.fault.detail, row->detail);
    assert_true(err_kills_connection(err));
    if (desk.backend) {
        desk.call = desk_call(&desk);
        assert_int_not_equal(backend_noop(desk.backend, &desk.call), OK);
    }
    desk_close(&desk);
    told_clear(&told);
    free(text);
}

#define JUDGE_ALL(rows)                                                                            \
    for (size_t i = 0; i < sizeof(rows) / sizeof *(rows); i++)                                     \
    judge(&(rows)[i])

static void a_line_ends_at_its_limit_in_every_phase(void **state)
{
    static const struct limit_case rows[] = {
        {OPEN, "R: 9000 * OK welcome\n", ERR_PROTOCOL, LINE},
        {OPEN, "R: 9000 + welcome\n", ERR_PROTOCOL, LINE},
        {OPEN, "S: * OK hi\nC: CAPABILITY\nR: 9000 * CAPABILITY X\n", ERR_PROTOCOL, LINE},
        {OPEN, "S: * OK [CAPABILITY AUTH=PLAIN] hi\nC: AUTHENTICATE PLAIN\nR: 20000 + more\n",
         ERR_PROTOCOL, LINE},
        {OPEN, "S: * OK [CAPABILITY X] hi\nC: LOGIN*\nR: 9000 a1 OK [CAPABILITY X]\n", ERR_PROTOCOL,
         LINE},
        {FOLDERS, LISTS "R: 9000 * LIST () \"/\" \"abc\n", ERR_PROTOCOL, LINE},
        {FOLDERS, LISTS "R: 9000 * LIST (((((((((((((\n", ERR_PROTOCOL, LINE},
        {SYNC, "C: SELECT *\nR: 9000 * OK [PERMANENTFLAGS (\n", ERR_PROTOCOL, LINE},
        {SYNC, "C: SELECT *\nR: 9000 * FLAGS (\\Seen\n", ERR_PROTOCOL, LINE},
        {SYNC, "C: SELECT *\nR: 20000 garbage\n", ERR_PROTOCOL, LINE},
        {SYNC, "C: SELECT *\nR: 90000 ^@\n", ERR_PROTOCOL, LINE},
    };
    (void)state;
    JUDGE_ALL(rows);
}

static void a_record_without_an_end_is_read_away_only_so_far(void **state)
{
    static const struct limit_case rows[] = {
        {SYNC, RECORDS "R: 30000 * 1 FETCH (UID 4 FLAGS (x\n", ERR_PROTOCOL, LINE},
        {SYNC, RECORDS "S: * 1 FETCH (UID 4 ENVELOPE (\"x\" {200000}\nR: 600 " THOUSAND "\n",
         ERR_PROTOCOL, LINE},
    };
    (void)state;
    JUDGE_ALL(rows);
}

static void numbers_may_fill_a_literal_and_no_more(void **state)
{
    static const struct limit_case rows[] = {
        {SYNC, RECORDS "S: $ NO not now\nC: UID SEARCH *\nR: 1 * SEARCH\nR: 60000  12345\n",
         ERR_PROTOCOL, NUMBERS},
        {SYNC,
         RECORDS "S: $ NO not now\nC: UID SEARCH *\nR: 1 * ESEARCH UID ALL 1\nR: 60000 ,12345\n",
         ERR_PROTOCOL, NUMBERS},
    };
    (void)state;
    JUDGE_ALL(rows);
}

/* A folder of 20,000 scattered messages at a server without ESEARCH. */
static void a_long_search_is_read_whole(void **state)
{
    static const struct limit_case row = {
        SYNC,
        RECORDS "S: $ NO not now\nC: UID SEARCH *\nR: 1 * SEARCH\nR: 20000  4#\nS: \nS: $ OK\n"
                "C: UID FETCH 4*\nS: $ BAD enough\nX:\n",
        OK, NULL};
    (void)state;
    size_t size = strlen(row.script) + 1000;
    char *text = malloc(size);
    snprintf(text, size, "%s%s", SCRIPT_SIGNED_IN(""), row.script);
    assert_int_not_equal(run_case(&row, text), OK);
    assert_null(strstr(desk.call.fault.detail, "_max"));
    desk_close(&desk);
    told_clear(&told);
    free(text);
}

static void a_literal_ends_where_it_is_announced(void **state)
{
    static const struct limit_case rows[] = {
        {OPEN, "S: * OK hi\nC: CAPABILITY\nS: * CAPABILITY {4294967295}\n", ERR_PROTOCOL, LITERAL},
        {FOLDERS, LISTS "S: * LIST () \"/\" {262145}\n", ERR_PROTOCOL, LITERAL},
        {FOLDERS, LISTS "S: * LIST () \"/\" {4294967295}\n", ERR_PROTOCOL, LITERAL},
        {FOLDERS, LISTS "S: * LIST () \"/\" {4294967296+}\n", ERR_PROTOCOL, LITERAL},
        {FOLDERS, LISTS "S: * LIST () \"/\" {18446744073709551615}\n", ERR_PROTOCOL, LITERAL},
        {FOLDERS, LISTS "S: * LIST () \"/\" {18446744073709551616}\n", ERR_PROTOCOL, LITERAL},
        {FOLDERS, LISTS "S: * LIST () \"/\" {9999999999999999999999999}\n", ERR_PROTOCOL, LITERAL},
        {SYNC, RECORDS "S: * 1 FETCH (UID 4 ENVELOPE ({4294967295}\n", ERR_PROTOCOL, LITERAL},
        {SYNC, RECORDS "S: * 1 FETCH (UID 4 ENVELOPE ({18446744073709551615}\n", ERR_PROTOCOL,
         LITERAL},
        {CONTENT, SECTION "S: * 1 FETCH (UID 4 BODY[1] {4194305}\n", ERR_PROTOCOL, CONTENTS},
        {CONTENT, SECTION "S: * 1 FETCH (UID 4 BODY[1] {18446744073709551615}\n", ERR_PROTOCOL,
         CONTENTS},
        /* many small ones are one large one */
        {FOLDERS, LISTS "R: 1 * LIST (\nR: 300 {1000}|" THOUSAND "\n", ERR_PROTOCOL, LITERAL},
    };
    (void)state;
    JUDGE_ALL(rows);
}

static void chatter_nobody_asked_for_ends(void **state)
{
    static const char *const lines[] = {
        "* # EXISTS",
        "* 1 EXPUNGE",
        "* 1 FETCH (FLAGS (\\Seen))",
        "* OK [ALERT] look here",
        "* NO [COPYUID 1 2:4 5:7] x",
        "* CAPABILITY IMAP4rev1 X#",
        "* FLAGS (a b c)",
        "* ENABLED X",
        "* VANISHED 1:4294967295",
        "* NAMESPACE ((\"\" \"/\")) NIL NIL",
        "* ID (\"name\" \"x#\")",
        "* LIST () \"/\" x#",
        "* SEARCH # # #",
        "* FROBNICATE",
        "* ANNOTATEMORE INBOX \"/comment\" (\"value.priv\" NIL)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[200];
        snprintf(text, sizeof text, "C: SELECT *\nN: 1100 %s\n", lines[i]);
        judge(&(struct limit_case){SYNC, text, ERR_PROTOCOL, UNASKED});
    }
}

static void answers_that_were_asked_for_end_too(void **state)
{
    static const struct limit_case rows[] = {
        {SYNC, RECORDS "N: 1200 * 1 FETCH (UID 4 FLAGS ())\n", ERR_PROTOCOL, UNASKED},
        {SYNC, RECORDS "S: $ NO not now\nC: UID SEARCH *\nN: 4000 * SEARCH 1\n", ERR_PROTOCOL,
         UNASKED},
        {OPEN, SCRIPT_SIGNED_IN(" ID") "C: ID *\nN: 4000 * ID (\"name\" \"x\")\n", ERR_PROTOCOL,
         UNASKED},
    };
    (void)state;
    JUDGE_ALL(rows);
}

static void folders_end_at_their_limit(void **state)
{
    static const struct limit_case rows[] = {
        {FOLDERS, LISTS "N: 1100 * LIST () \"/\" folder#\n", ERR_PROTOCOL, MANY},
        {FOLDERS, LISTS "N: 1100 * LIST () \"/\" same\n", ERR_PROTOCOL, MANY},
        {FOLDERS, LISTS "N: 2100 * LSUB () \"/\" folder#\n", ERR_PROTOCOL, MANY},
        {FOLDERS, LISTS "N: 2100 * STATUS folder# (MESSAGES 1)\n", ERR_PROTOCOL, MANY},
    };
    (void)state;
    JUDGE_ALL(rows);
}

static void an_answer_ends_at_its_bytes(void **state)
{
    static const struct limit_case rows[] = {
        {SYNC, RECORDS "N: 990 * 1 FETCH (UID 4 ENVELOPE ({2000}|" THOUSAND THOUSAND "))\n",
         ERR_PROTOCOL, ANSWER},
        {CONTENT, SECTION "S: * 1 FETCH (UID 4 BODY[1] {4194304}\nR: 5000 " THOUSAND "\n",
         ERR_PROTOCOL, CONTENTS},
    };
    (void)state;
    JUDGE_ALL(rows);
}

static void a_trickle_ends_at_its_time(void **state)
{
    static const struct limit_case rows[] = {
        {OPEN, "T: 40 * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\n", ERR_TIMEOUT, TOO_LONG},
        {OPEN, "S: * OK hi\nC: CAPABILITY\nT: 40 * CAPABILITY IMAP4rev1 AUTH=PLAIN\n", ERR_TIMEOUT,
         TOO_LONG},
        {OPEN, "S: * OK [CAPABILITY AUTH=PLAIN] hi\nC: AUTHENTICATE PLAIN\nT: 40 + go on please\n",
         ERR_TIMEOUT, TOO_LONG},
        {FOLDERS, LISTS "T: 40 * LIST () \"/\" INBOX\n", ERR_TIMEOUT, TOO_LONG},
        {FOLDERS, LISTS "S: * LIST () \"/\" INBOX\n", ERR_TIMEOUT, TOO_LONG},
        {CONTENT, SECTION "S: * 1 FETCH (UID 4 BODY[1] {1000}\nT: 40 aaaaaaaaaaaaaaaaaaaaaaaa\n",
         ERR_TIMEOUT, TOO_LONG},
    };
    (void)state;
    patience_ms = 400;
    JUDGE_ALL(rows);
    patience_ms = PLENTY_MS;
}

/* The caller's patience is no setting of this layer; how long it lasted is said all the same. */
static void a_caller_who_gives_up_hears_how_far_it_came(void **state)
{
    (void)state;
    desk_open(&desk, SCRIPT_SIGNED_IN("") "C: NOOP\nT: 20 * 4 EXISTS and so on and on and on\n");
    desk.call = desk_call(&desk);
    desk.call.deadline_ms = clock_now_ms() + 250;
    assert_int_equal(backend_noop(desk.backend, &desk.call), ERR_TIMEOUT);
    assert_non_null(strstr(desk.call.fault.detail, "was not complete after "));
    assert_non_null(strstr(desk.call.fault.detail, " milliseconds"));
    desk_close(&desk);
}

static void a_limit_of_nothing_lets_nothing_in(void **state)
{
    (void)state;
    desk_prepare(&desk, "S: * OK hi\n");
    desk.world.line_bytes_max = 0;
    assert_int_equal(desk_sign_in(&desk, (struct desk_login){SECURITY_NONE, "u", "p", NULL}),
                     ERR_PROTOCOL);
    desk_close(&desk);
    desk_prepare(&desk, "S: * OK hi\n");
    desk.world.answer_bytes_max = 0;
    assert_int_equal(desk_sign_in(&desk, (struct desk_login){SECURITY_NONE, "u", "p", NULL}),
                     ERR_PROTOCOL);
    desk_close(&desk);
    desk_prepare(&desk, "S: * OK hi\n");
    desk.world.command_ms_max = 0;
    assert_int_equal(desk_sign_in(&desk, (struct desk_login){SECURITY_NONE, "u", "p", NULL}),
                     ERR_TIMEOUT);
    desk_close(&desk);
}

static void a_set_says_when_it_is_full(void **state)
{
    struct imapc_set set = {0};
    (void)state;
    for (uint32_t n = 0; n < BACKEND_RANGES_MAX; n++)
        imapc_set_add(&set, 2 * n + 1, 2 * n + 1);
    assert_int_equal(set.count, BACKEND_RANGES_MAX);
    assert_false(set.full);
    imapc_set_add(&set, 4000000, 4000000);
    assert_true(set.full);
    imapc_set_sort(&set);
    assert_true(set.count <= BACKEND_RANGES_MAX && set.capacity <= BACKEND_RANGES_MAX);
    imapc_set_clear(&set);

    /* the same ones over and over need no room */
    for (uint32_t n = 0; n < 3 * BACKEND_RANGES_MAX; n++)
        imapc_set_add(&set, 2 * (n % 1000) + 1, 2 * (n % 1000) + 1);
    assert_false(set.full);
    imapc_set_sort(&set);
    assert_int_equal(set.count, 1000);
    imapc_set_clear(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_ends_at_its_limit_in_every_phase),
        cmocka_unit_test(a_record_without_an_end_is_read_away_only_so_far),
        cmocka_unit_test(numbers_may_fill_a_literal_and_no_more),
        cmocka_unit_test(a_long_search_is_read_whole),
        cmocka_unit_test(a_literal_ends_where_it_is_announced),
        cmocka_unit_test(chatter_nobody_asked_for_ends),
        cmocka_unit_test(answers_that_were_asked_for_end_too),
        cmocka_unit_test(folders_end_at_their_limit),
        cmocka_unit_test(an_answer_ends_at_its_bytes),
        cmocka_unit_test(a_trickle_ends_at_its_time),
        cmocka_unit_test(a_caller_who_gives_up_hears_how_far_it_came),
        cmocka_unit_test(a_limit_of_nothing_lets_nothing_in),
        cmocka_unit_test(a_set_says_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

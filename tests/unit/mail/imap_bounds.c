/* imap_bounds.c - structures and records at the bound of a limit and just over it, whole and cut.
 */
#include "mail/imap_script.h"
#include "imap.h"

static struct arena arena;
static struct decode_budget budget;

static int set_up(void **state)
{
    (void)state;
    backend_init();
    arena_init(&arena);
    decode_budget_begin(&budget, &arena, 60000, UINT64_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_clear(&arena);
    return 0;
}

#define LEAF "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 9 1)"

/* `depth` parts within each other, the innermost one text. */
static struct imapc_span nested(uint32_t depth)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    for (uint32_t i = 1; i < depth; i++)
        buf_char(&text, '(');
    buf_text(&text, LEAF);
    for (uint32_t i = 1; i < depth; i++)
        buf_text(&text, " \"MIXED\")");
    struct imapc_span copy = {arena_strndup(&arena, text.data, text.length), text.length};
    buf_clear(&text);
    return copy;
}

static struct imapc_span beside(uint32_t count)
{
    struct buf text;
    buf_init(&text, 4 << 20);
    buf_char(&text, '(');
    for (uint32_t i = 0; i < count; i++)
        buf_text(&text, LEAF);
    buf_text(&text, " \"ALTERNATIVE\")");
    struct imapc_span copy = {arena_strndup(&arena, text.data, text.length), text.length};
    buf_clear(&text);
    return copy;
}

static struct message salvage(struct imapc_span text, bool is_cut)
{
    struct message message = {0};
    struct imapc_structure structure = {
        .text = text, .is_cut = is_cut, .depth_max = 100, .parts_max = 10000};
    if (!imapc_structure_salvage(&arena, &budget, &structure, &message))
        message.limited |= LIMITED_UNREADABLE;
    return message;
}

static void the_100th_level_is_told_and_the_next_is_not(void **state)
{
    (void)state;
    struct message message = salvage(nested(100), false);
    assert_int_equal(message.part_count, 100);
    assert_int_equal(message.limited, 0);
    message = salvage(nested(101), false);
    assert_int_equal(message.part_count, 100);
    assert_int_equal(message.limited, LIMITED_DEPTH);
}

static void the_10000th_part_is_told_and_the_next_is_not(void **state)
{
    (void)state;
    struct message message = salvage(beside(9999), false);
    assert_int_equal(message.part_count, 10000);
    assert_int_equal(message.limited, 0);
    message = salvage(beside(10000), false);
    assert_int_equal(message.part_count, 10000);
    assert_int_equal(message.limited, LIMITED_PARTS);
    assert_string_equal(message.parts[0].type, "multipart/alternative");
}

static void libetpan_is_given_no_structure_that_would_take_it_long(void **state)
{
    (void)state;
    struct imapc_span none = {0}, parts = beside(10000);
    struct mailimap_response_data *parsed = imapc_etpan_parse(none, parts, 100);
    assert_non_null(parsed);
    imapc_etpan_free(parsed);
    assert_null(imapc_etpan_parse(none, beside(50000), 100));
}

static void a_cut_structure_tells_what_is_whole(void **state)
{
    (void)state;
    static const char text[] =
        "(" LEAF "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 9 (NIL NIL NIL NIL NIL NIL NIL "
        "NIL NIL NIL) (" LEAF "(\"IMAGE\" \"PNG\" NIL NIL NIL \"BASE64\" 7)(\"TEXT\" \"PL";
    struct message message = salvage((struct imapc_span){text, sizeof text - 1}, true);
    assert_int_equal(message.limited, LIMITED_PARTS);
    assert_int_equal(message.part_count, 6);
    assert_string_equal(message.parts[1].id, "1");
    assert_string_equal(message.parts[2].type, "message/rfc822");
    assert_string_equal(message.parts[3].id, "2.TEXT");
    assert_string_equal(message.parts[4].id, "2.1");
    assert_string_equal(message.parts[5].type, "image/png");
}

/* Wherever it is cut, nothing is made up: each part is one that the whole has. */
static void a_structure_cut_anywhere_is_a_beginning_of_the_whole(void **state)
{
    (void)state;
    static const char text[] =
        "((" LEAF "(\"TEXT\" \"HTML\" (\"CHARSET\" \"x)\") NIL NIL \"7BIT\" 9 1) \"ALTERNATIVE\")"
        "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 9 NIL (" LEAF LEAF " \"MIXED\") 3)"
        "() \"MIXED\")";
    struct message whole = salvage((struct imapc_span){text, sizeof text - 1}, false);
    assert_int_equal(whole.limited, 0);
    for (size_t length = 2; length < sizeof text - 1; length++) {
        char *exact = malloc(length); /* a step beyond the end is seen */
        memcpy(exact, text, length);
        struct message part = salvage((struct imapc_span){exact, length}, true);
        assert_true(part.part_count <= whole.part_count);
        for (uint32_t i = 0; i < part.part_count; i++) {
            assert_string_equal(part.parts[i].id, whole.parts[i].id);
            assert_int_equal(part.parts[i].parent, whole.parts[i].parent);
        }
        free(exact);
    }
}

static void a_structure_without_time_is_told_so_far(void **state)
{
    (void)state;
    decode_budget_begin(&budget, &arena, 0, UINT64_MAX);
    struct message message = salvage(beside(5000), false);
    assert_int_equal(message.limited, LIMITED_TIME);
    assert_in_range(message.part_count, 1, 100);
}

static void a_structure_without_memory_is_told_so_far(void **state)
{
    (void)state;
    struct imapc_span text = beside(5000);
    decode_budget_begin(&budget, &arena, 60000, 64 * 1024);
    struct message message = salvage(text, false);
    assert_int_equal(message.limited, LIMITED_MEMORY);
    assert_in_range(message.part_count, 50, 1000);
}

/* ---- whole records ---- */

#define SELECTED                                                                                   \
    "C: SELECT \"INBOX\"\nS: * 2 EXISTS|* OK [UIDVALIDITY 77] ok|* OK [UIDNEXT 10] ok\n"           \
    "S: $ OK [READ-WRITE] ok\n"

#define SECOND                                                                                     \
    "S: * 2 FETCH (UID 2 FLAGS () INTERNALDATE \"01-Jun-2026 10:00:00 +0000\" RFC822.SIZE 100 "    \
    "ENVELOPE (NIL \"b\" NIL NIL NIL NIL NIL NIL NIL NIL) BODYSTRUCTURE " LEAF                     \
    " BODY[HEADER.FIELDS (REFERENCES)] {2}||)\n"
#define SECOND_TOLD "message 2 flags=0 size=100 subject=b [1]text/plain\n"

/* Two messages are in the folder; the script says of the first what it likes. */
static void synchronise(const char *text, uint32_t cpu_ms_max, struct told *told)
{
    struct desk desk;
    struct folder_known known = {.remote = "INBOX", .generation = 5, .uid_next = 10, .floor = 3};
    desk_open(&desk, text);
    told_init(told);
    desk.world.message_cpu_ms_max = cpu_ms_max;
    assert_int_equal(backend_sync(desk.backend, &desk.call, &known, 9, &told->sink), OK);
    desk_close(&desk);
}

static void a_letter_whose_envelope_fills_the_line_keeps_its_structure(void **state)
{
    struct told told;
    (void)state;
    synchronise(SCRIPT_SIGNED_IN("") SELECTED
                "C: FETCH 1:* *\n"
                "R: 1 * 1 FETCH (UID 1 FLAGS () ENVELOPE (NIL NIL NIL NIL NIL (\n"
                "R: 4000 (NIL NIL \"p#\" \"example.org\")\n"
                "S: ) NIL NIL NIL NIL) BODYSTRUCTURE NIL)\n" SECOND "S: $ OK\n"
                "C: UID FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE "
                "BODY.PEEK[HEADER.FIELDS (DATE SUBJECT "
                "FROM SENDER REPLY-TO TO CC BCC MESSAGE-ID IN-REPLY-TO "
                "REFERENCES)] BODYSTRUCTURE)\n"
                "S: * 1 FETCH (UID 1 FLAGS () RFC822.SIZE 5 BODY[HEADER.FIELDS "
                "(DATE SUBJECT)] {17}|"
                "Subject: long|| BODYSTRUCTURE " LEAF ")\n"
                "S: $ OK\n",
                60000, &told);
    assert_told(&told, "folder exists=2 reset\n" SECOND_TOLD
                       "message 1 flags=0 size=5 subject=long [1]text/plain\n");
    told_clear(&told);
}

static void a_mail_that_costs_too_much_costs_no_other(void **state)
{
    struct told told;
    (void)state;
    synchronise(SCRIPT_SIGNED_IN("") SELECTED
                "C: FETCH 1:* *\n"
                "R: 1 * 1 FETCH (UID 1 FLAGS () ENVELOPE (NIL \"cut\" NIL NIL NIL (\n"
                "R: 1000 (NIL NIL \"p#\" \"example.org\")\n"
                "S: ) NIL NIL NIL NIL) BODYSTRUCTURE " LEAF ")\n" SECOND "S: $ OK\n"
                "C: UID FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS*\n"
                "S: * 1 FETCH (UID 1 FLAGS () RFC822.SIZE 5 BODY[HEADER.FIELDS (DATE SUBJECT)] "
                "{16}|Subject: cut||)\n"
                "S: $ OK\n",
                0, &told);
    assert_non_null(strstr(told.log.data, SECOND_TOLD)); /* small mails are not even measured */
    assert_non_null(strstr(told.log.data, "message 1 flags=0 size=5 subject=cut limited="));
    told_clear(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_100th_level_is_told_and_the_next_is_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_10000th_part_is_told_and_the_next_is_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(libetpan_is_given_no_structure_that_would_take_it_long,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cut_structure_tells_what_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_structure_cut_anywhere_is_a_beginning_of_the_whole,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_structure_without_time_is_told_so_far, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_structure_without_memory_is_told_so_far, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_letter_whose_envelope_fills_the_line_keeps_its_structure,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mail_that_costs_too_much_costs_no_other, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* answer_lies.c - answers that no honest worker could have written are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "samples.h"

#define CALL_NUMBER 0xabcd
static struct buf out;

static int start(void **state)
{
    (void)state;
    buf_init(&out, 16u * FRAME_BYTES_MAX);
    arena_init(&sample_arena);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    buf_clear(&out);
    arena_clear(&sample_arena);
    return 0;
}

static bool take(uint16_t asked, struct answer *answer)
{
    struct frame frame = frame_at(out.data);
    assert_int_equal(frame.call, CALL_NUMBER);
    assert_true(frame.length <= FRAME_BYTES_MAX);
    return take_answer(&frame, asked, &sample_arena, answer);
}

static void put_sample(const struct sample *sample)
{
    struct answer answer = answer_of(sample);
    buf_reset(&out);
    put_answer(&out, CALL_NUMBER, &answer);
}

/* ---- which answer belongs to which call ---- */

static void an_answer_to_another_call_is_refused(void **state)
{
    (void)state;
    static const uint32_t calls_of[] = {
        [FRAME_FACTS] = 1u << FRAME_SYNC | 1u << FRAME_FETCH_OLDER,
        [FRAME_MESSAGE] = 1u << FRAME_SYNC | 1u << FRAME_FETCH_OLDER | 1u << FRAME_FETCH_ONE,
        [FRAME_FLAGS] = 1u << FRAME_SYNC | 1u << FRAME_CHANGE_FLAGS,
        [FRAME_RANGES] = 1u << FRAME_SYNC,
        [FRAME_PRESENT] = 1u << FRAME_SYNC,
        [FRAME_REMOVED] = 1u << FRAME_SYNC,
        [FRAME_LISTING] = 1u << FRAME_LIST_FOLDERS,
        [FRAME_PREVIEW] = 1u << FRAME_PREVIEWS,
        [FRAME_HEADER] = 1u << FRAME_READ_HEADERS,
        [FRAME_EXPECT] = 1u << FRAME_READ_PART,
        [FRAME_BYTES] = 1u << FRAME_READ_PART,
        [FRAME_RESOURCE] = 1u << FRAME_QUOTA,
        [FRAME_INFO] = 1u << FRAME_OPEN,
        [FRAME_SELECTED] = UINT32_MAX & ~(1u << FRAME_OPEN),
        [FRAME_END] = UINT32_MAX,
    };
    struct answer taken;
    for (size_t i = 0; i < SAMPLES - 1; i++) {
        put_sample(&samples[i]);
        for (uint16_t asked = FRAME_OPEN; asked < FRAME_CALLS_END; asked++)
            assert_int_equal(take(asked, &taken), calls_of[samples[i].kind] >> asked & 1);
    }
    put_sample(&samples[0]);
    struct frame frame = frame_at(out.data);
    for (uint32_t kind = 0; kind <= UINT16_MAX; kind++) {
        frame.kind = (uint16_t)kind;
        if (kind < FRAME_FACTS || kind >= FRAME_ANSWERS_END)
            assert_false(take_answer(&frame, FRAME_SYNC, &sample_arena, &taken));
    }
}

static void an_answer_cut_or_followed_by_more_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct answer taken;
        put_sample(&samples[i]);
        buf_char(&out, '\0');
        struct frame whole = frame_at(out.data);
        if (whole.kind == FRAME_BYTES)
            continue;
        for (uint32_t length = 0; length < whole.length + 2; length++) {
            struct frame frame = whole;
            frame.length = length;
            assert_int_equal(take_answer(&frame, samples[i].asked, &sample_arena, &taken),
                             length == whole.length);
        }
    }
}

/* ---- one lie each ---- */

struct lie {
    struct sample sample;
    const char *what;
    void (*tell)(struct answer *);
};

static struct part *parts_in(struct answer *answer)
{
    return (struct part *)(uintptr_t)answer->message.parts;
}

static const char *const disordered[] = {"b", "a"}, *const twice[] = {"a", "a"};
static const char *const null_id[] = {"a", NULL}, *const line[] = {"a\nb"};
static const struct address control[] = {{"a\x7f", NULL, NULL}};
static struct uid_range backward[] = {{3, 2}}, touching[] = {{1, 2}, {2, 3}}, zero[] = {{0, 2}};
static char long_preview[BACKEND_PREVIEW_CHARS_MAX * 2 + 1];

#define LIE(name, statement)                                                                       \
    static void name(struct answer *answer)                                                        \
    {                                                                                              \
        statement;                                                                                 \
    }

LIE(facts_modseq_negative, answer->facts.modseq = UINT64_MAX)
LIE(uid_zero, answer->message.uid = 0)
LIE(remote_id_control, answer->message.remote_id = "\x1b[1m")
LIE(modseq_negative, answer->message.modseq = (uint64_t)INT64_MAX + 1)
LIE(size_negative, answer->message.size = (uint64_t)INT64_MAX + 1)
LIE(flag_unknown, answer->message.flags = FLAG_ALL + 1)
LIE(keywords_disordered, answer->message.keywords.items = disordered;
    answer->message.keywords.count = 2)
LIE(keyword_twice, answer->message.keywords.items = twice; answer->message.keywords.count = 2)
LIE(keyword_of_two_lines, answer->message.keywords.items = line; answer->message.keywords.count = 1)
LIE(received_never, answer->message.received_s = INT64_MIN)
LIE(date_never, answer->message.envelope.date_s = INT64_MAX)
LIE(subject_not_utf8, answer->message.envelope.subject = "\xc3")
LIE(subject_of_two_lines, answer->message.envelope.subject = "a\r\nb")
LIE(message_id_control, answer->message.envelope.message_id = "\xc2\x85")
LIE(address_control, answer->message.envelope.bcc.items = control;
    answer->message.envelope.bcc.count = 1)
LIE(id_null, answer->message.envelope.references.items = null_id;
    answer->message.envelope.references.count = 2)
LIE(root_with_parent, parts_in(answer)[0].parent = 0)
LIE(second_root, parts_in(answer)[3].parent = -1)
LIE(parent_itself, parts_in(answer)[3].parent = 3)
LIE(parent_behind, parts_in(answer)[3].parent = 5)
LIE(parent_huge, parts_in(answer)[3].parent = INT32_MAX)
LIE(parent_closed, parts_in(answer)[5].parent = 1)
LIE(section_missing, parts_in(answer)[3].id = NULL)
LIE(section_empty, parts_in(answer)[3].id = "")
LIE(section_command, parts_in(answer)[3].id = "1] RFC822.SIZE")
LIE(section_dots, parts_in(answer)[3].id = "1..2")
LIE(section_ends_in_dot, parts_in(answer)[3].id = "1.")
LIE(section_zero, parts_in(answer)[3].id = "0")
LIE(section_mime, parts_in(answer)[3].id = "1.MIME")
LIE(section_text_inside, parts_in(answer)[3].id = "1.TEXT.2")
LIE(type_missing, parts_in(answer)[3].type = NULL)
LIE(type_upper, parts_in(answer)[3].type = "text/HTML")
LIE(type_without_slash, parts_in(answer)[3].type = "text")
LIE(type_of_two_lines, parts_in(answer)[3].type = "text/a\r\nSet-Cookie: b")
LIE(charset_upper, parts_in(answer)[3].charset = "UTF-8")
LIE(disposition_upper, parts_in(answer)[3].disposition = "Attachment")
LIE(encoding_missing, parts_in(answer)[3].encoding = NULL)
LIE(encoding_upper, parts_in(answer)[3].encoding = "BASE64")
LIE(content_id_control, parts_in(answer)[3].content_id = "\x01")
LIE(name_empty, parts_in(answer)[3].name = "")
LIE(name_path, parts_in(answer)[3].name = "a/b")
LIE(name_path_of_windows, parts_in(answer)[3].name = "a\\b")
LIE(name_hidden, parts_in(answer)[3].name = ".profile")
LIE(name_blank, parts_in(answer)[3].name = " a")
LIE(name_turned, parts_in(answer)[3].name = "a\xe2\x80\xae"
                                            "fdp.exe")
LIE(name_marked, parts_in(answer)[3].name = "a\xd8\x9c")
LIE(name_invisible, parts_in(answer)[3].name = "\xef\xbb\xbf"
                                               "a")
LIE(size_below_unknown, parts_in(answer)[3].size = -2)
LIE(limited_unknown, answer->message.limited = 1u << 7)
LIE(range_backward, answer->ranges = backward; answer->range_count = 1)
LIE(ranges_touching, answer->ranges = touching; answer->range_count = 2)
LIE(range_zero, answer->ranges = zero; answer->range_count = 1)
LIE(remote_empty, answer->listing.remote = "")
LIE(remote_of_two_lines, answer->listing.remote = "a\r\nb")
LIE(path_missing, answer->listing.path = NULL)
LIE(path_empty, answer->listing.path = "")
LIE(path_control, answer->listing.path = "a\tb")
LIE(role_unknown, answer->listing.role = ROLE_COUNT)
LIE(role_of_user, answer->listing.role_source = ROLE_FROM_USER)
LIE(folder_modseq_negative, answer->listing.modseq = UINT64_MAX)
LIE(folder_size_negative, answer->listing.size = -2)
LIE(preview_of_nothing, answer->uid = 0)
LIE(preview_of_two_lines, answer->text = "a\nb")
LIE(header_name_empty, answer->text = "")
LIE(header_name_colon, answer->text = "a:")
LIE(header_name_blank, answer->text = "a b")
LIE(header_name_foreign, answer->text = "\xc3\xa4")
LIE(header_value_missing, answer->value = NULL)
LIE(header_value_of_two_lines, answer->value = "a\nb")
LIE(resource_missing, answer->resource.name = NULL)
LIE(caps_unknown, answer->info.caps = CAP_ID << 1)
LIE(offers_missing, answer->info.capability_text = NULL)
LIE(server_control, answer->info.server_name = "\x1b")
LIE(selected_empty, answer->value = "")
LIE(selected_of_two_lines, answer->value = "a\nb")
LIE(err_of_store, answer->err = ERR_STORE)
LIE(err_of_rights, answer->err = ERR_UNAUTHORIZED)
LIE(err_of_policy, answer->err = ERR_HOST_NOT_ALLOWED)
LIE(err_none_at_all, answer->err = ERR_COUNT)
LIE(fault_of_rights, answer->fault.code = ERR_FORBIDDEN)
LIE(fault_elsewhere, memcpy(answer->fault.pointer, "/token", 7))
LIE(fault_unpointed, answer->fault.pointed = false)
LIE(protocol_unknown, memcpy(answer->fault.protocol, "http", 5))
LIE(floor_none, answer->number = 0)
LIE(floor_huge, answer->number = (uint64_t)UINT32_MAX + 1)

#define TOLD(asked, kind, lie)                                                                     \
    {                                                                                              \
        {asked, kind}, #lie, lie                                                                   \
    }
#define IN_MESSAGE(lie) TOLD(FRAME_SYNC, FRAME_MESSAGE, lie)

static const struct lie lies[] = {
    TOLD(FRAME_SYNC, FRAME_FACTS, facts_modseq_negative),
    IN_MESSAGE(uid_zero),
    IN_MESSAGE(remote_id_control),
    IN_MESSAGE(modseq_negative),
    IN_MESSAGE(size_negative),
    IN_MESSAGE(flag_unknown),
    IN_MESSAGE(keywords_disordered),
    IN_MESSAGE(keyword_twice),
    IN_MESSAGE(keyword_of_two_lines),
    IN_MESSAGE(received_never),
    IN_MESSAGE(date_never),
    IN_MESSAGE(subject_not_utf8),
    IN_MESSAGE(subject_of_two_lines),
    IN_MESSAGE(message_id_control),
    IN_MESSAGE(address_control),
    IN_MESSAGE(id_null),
    IN_MESSAGE(root_with_parent),
    IN_MESSAGE(second_root),
    IN_MESSAGE(parent_itself),
    IN_MESSAGE(parent_behind),
    IN_MESSAGE(parent_huge),
    IN_MESSAGE(parent_closed),
    IN_MESSAGE(section_missing),
    IN_MESSAGE(section_empty),
    IN_MESSAGE(section_command),
    IN_MESSAGE(section_dots),
    IN_MESSAGE(section_ends_in_dot),
    IN_MESSAGE(section_zero),
    IN_MESSAGE(section_mime),
    IN_MESSAGE(section_text_inside),
    IN_MESSAGE(type_missing),
    IN_MESSAGE(type_upper),
    IN_MESSAGE(type_without_slash),
    IN_MESSAGE(type_of_two_lines),
    IN_MESSAGE(charset_upper),
    IN_MESSAGE(disposition_upper),
    IN_MESSAGE(encoding_missing),
    IN_MESSAGE(encoding_upper),
    IN_MESSAGE(content_id_control),
    IN_MESSAGE(name_empty),
    IN_MESSAGE(name_path),
    IN_MESSAGE(name_path_of_windows),
    IN_MESSAGE(name_hidden),
    IN_MESSAGE(name_blank),
    IN_MESSAGE(name_turned),
    IN_MESSAGE(name_marked),
    IN_MESSAGE(name_invisible),
    IN_MESSAGE(size_below_unknown),
    IN_MESSAGE(limited_unknown),
    TOLD(FRAME_CHANGE_FLAGS, FRAME_FLAGS, uid_zero),
    TOLD(FRAME_CHANGE_FLAGS, FRAME_FLAGS, flag_unknown),
    TOLD(FRAME_CHANGE_FLAGS, FRAME_FLAGS, keyword_twice),
    TOLD(FRAME_CHANGE_FLAGS, FRAME_FLAGS, modseq_negative),
    TOLD(FRAME_SYNC, FRAME_RANGES, range_backward),
    TOLD(FRAME_SYNC, FRAME_RANGES, ranges_touching),
    TOLD(FRAME_SYNC, FRAME_RANGES, range_zero),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, remote_empty),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, remote_of_two_lines),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, path_missing),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, path_empty),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, path_control),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, role_unknown),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, role_of_user),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, folder_modseq_negative),
    TOLD(FRAME_LIST_FOLDERS, FRAME_LISTING, folder_size_negative),
    TOLD(FRAME_PREVIEWS, FRAME_PREVIEW, preview_of_nothing),
    TOLD(FRAME_PREVIEWS, FRAME_PREVIEW, preview_of_two_lines),
    TOLD(FRAME_READ_HEADERS, FRAME_HEADER, header_name_empty),
    TOLD(FRAME_READ_HEADERS, FRAME_HEADER, header_name_colon),
    TOLD(FRAME_READ_HEADERS, FRAME_HEADER, header_name_blank),
    TOLD(FRAME_READ_HEADERS, FRAME_HEADER, header_name_foreign),
    TOLD(FRAME_READ_HEADERS, FRAME_HEADER, header_value_missing),
    TOLD(FRAME_READ_HEADERS, FRAME_HEADER, header_value_of_two_lines),
    TOLD(FRAME_QUOTA, FRAME_RESOURCE, resource_missing),
    TOLD(FRAME_OPEN, FRAME_INFO, caps_unknown),
    TOLD(FRAME_OPEN, FRAME_INFO, offers_missing),
    TOLD(FRAME_OPEN, FRAME_INFO, server_control),
    TOLD(FRAME_NOOP, FRAME_SELECTED, selected_empty),
    TOLD(FRAME_NOOP, FRAME_SELECTED, selected_of_two_lines),
    TOLD(FRAME_NOOP, FRAME_END, err_of_store),
    TOLD(FRAME_NOOP, FRAME_END, err_of_rights),
    TOLD(FRAME_NOOP, FRAME_END, err_of_policy),
    TOLD(FRAME_NOOP, FRAME_END, err_none_at_all),
    TOLD(FRAME_NOOP, FRAME_END, fault_of_rights),
    TOLD(FRAME_NOOP, FRAME_END, fault_elsewhere),
    TOLD(FRAME_NOOP, FRAME_END, fault_unpointed),
    TOLD(FRAME_NOOP, FRAME_END, protocol_unknown),
    TOLD(FRAME_FETCH_OLDER, FRAME_END, floor_none),
    TOLD(FRAME_FETCH_OLDER, FRAME_END, floor_huge),
};

static void one_lie_in_an_answer_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct answer answer = answer_of(&lies[i].sample), taken;
        buf_reset(&out);
        put_answer(&out, CALL_NUMBER, &answer);
        assert_true(take(lies[i].sample.asked, &taken));
        lies[i].tell(&answer);
        buf_reset(&out);
        put_answer(&out, CALL_NUMBER, &answer);
        if (take(lies[i].sample.asked, &taken))
            fail_msg("believed: %s", lies[i].what);
    }
}

/* What put_ would cut or leave out, written by hand. */
static void what_an_honest_sender_cuts_is_refused(void **state)
{
    (void)state;
    struct answer taken;
    memset(long_preview, 'a', BACKEND_PREVIEW_CHARS_MAX + 1);
    size_t began = frame_begin(&out, FRAME_PREVIEW, CALL_NUMBER);
    pack_u32(&out, 1);
    pack_text(&out, long_preview);
    frame_end(&out, began);
    assert_false(take(FRAME_PREVIEWS, &taken));
    buf_reset(&out);
    began = frame_begin(&out, FRAME_FLAGS, CALL_NUMBER);
    pack_u32(&out, 1);
    pack_u8(&out, 0);
    pack_u32(&out, 1);
    pack_text(&out, "\\Seen");
    pack_u64(&out, 0);
    frame_end(&out, began);
    assert_false(take(FRAME_SYNC, &taken));
    buf_reset(&out);
    began = frame_begin(&out, FRAME_RANGES, CALL_NUMBER);
    pack_u32(&out, 0);
    frame_end(&out, began);
    assert_false(take(FRAME_SYNC, &taken));
    buf_reset(&out);
    began = frame_begin(&out, FRAME_BYTES, CALL_NUMBER);
    frame_end(&out, began);
    assert_false(take(FRAME_READ_PART, &taken));
    buf_reset(&out);
    began = frame_begin(&out, FRAME_END, CALL_NUMBER); /* OK, and a value nobody asked for */
    pack_u8(&out, OK);
    pack_u64(&out, 1);
    frame_end(&out, began);
    assert_false(take(FRAME_NOOP, &taken));
}

/* ---- any damage ---- */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void what_is_left_of_a_damaged_answer_still_keeps_its_promises(void **state)
{
    (void)state;
    uint32_t random = 20260101, believed = 0, refused = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        put_sample(&samples[i]);
        struct frame frame = frame_at(out.data);
        char *whole = arena_strndup(&sample_arena, frame.payload, frame.length);
        for (int round = 0; round < 3000 && frame.length > 0; round++) {
            struct answer taken;
            struct arena piece;
            memcpy(frame.payload, whole, frame.length);
            for (uint32_t flips = 1 + next_random(&random) % 3; flips > 0; flips--) {
                uint32_t bit = next_random(&random) % (frame.length * 8);
                frame.payload[bit / 8] ^= (char)(1 << bit % 8);
            }
            arena_init(&piece);
            if (take_answer(&frame, samples[i].asked, &piece, &taken)) {
                check_answer(&taken);
                check_rewritten(&frame, &taken);
                believed++;
            } else {
                refused++;
            }
            arena_clear(&piece);
        }
    }
    assert_true(believed > 1000 && refused > 1000); /* both ways were tried */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_to_another_call_is_refused),
        TEST(an_answer_cut_or_followed_by_more_is_refused),
        TEST(one_lie_in_an_answer_is_refused),
        TEST(what_an_honest_sender_cuts_is_refused),
        TEST(what_is_left_of_a_damaged_answer_still_keeps_its_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

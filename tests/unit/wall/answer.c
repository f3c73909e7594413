/* answer.c - answers cross as they are, and are cut to a frame when they are too large. */
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

static void an_answer_of_any_kind_comes_back_as_it_went(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct answer taken;
        put_sample(&samples[i]);
        struct frame frame = frame_at(out.data);
        if (!take(samples[i].asked, &taken))
            fail_msg("refused: sample %zu", i);
        assert_int_equal(taken.kind, samples[i].kind);
        check_answer(&taken);
        check_rewritten(&frame, &taken);
    }
}

static void a_message_arrives(void **state)
{
    (void)state;
    struct message sent = message_of();
    struct answer taken;
    put_message(&out, CALL_NUMBER, &sent);
    assert_true(take(FRAME_FETCH_ONE, &taken));
    const struct message *message = &taken.message;
    assert_int_equal(message->uid, UINT32_MAX);
    assert_string_equal(message->remote_id, sent.remote_id);
    assert_int_equal(message->keywords.count, 4);
    assert_string_equal(message->keywords.items[2], "with blank");
    assert_true(message->received_s == sent.received_s && message->size == INT64_MAX);
    assert_string_equal(message->envelope.subject, sent.envelope.subject);
    assert_true(message->envelope.has_date);
    assert_true(message->envelope.date_s == sent.envelope.date_s);
    assert_int_equal(message->envelope.to.count, 0);
    assert_int_equal(message->envelope.cc.count, 4);
    assert_null(message->envelope.cc.items[1].name);
    assert_string_equal(message->envelope.cc.items[1].group, "empty group");
    assert_string_equal(message->envelope.references.items[2], ids[2]);
    assert_int_equal(message->part_count, 6);
    assert_string_equal(message->parts[3].id, "2.TEXT");
    assert_int_equal(message->parts[4].parent, 3);
    assert_true(message->parts[1].encoded_size == UINT64_MAX && message->parts[4].size > 0);
    assert_string_equal(message->parts[2].name, "a letter.eml");
    assert_true(message->has_attachment);
    assert_int_equal(message->limited, sent.limited);
}

static void an_end_brings_its_fault(void **state)
{
    (void)state;
    struct fault fault = fault_of();
    struct answer taken;
    put_end(&out, CALL_NUMBER, ERR_LOGIN, &fault, 5);
    assert_true(take(FRAME_OPEN, &taken));
    assert_int_equal(taken.err, ERR_LOGIN);
    assert_memory_equal(&taken.fault, &fault, sizeof fault);
    buf_reset(&out); /* a failure whose maker said nothing */
    put_end(&out, CALL_NUMBER, ERR_CANCELLED, &(struct fault){0}, 0);
    assert_true(take(FRAME_NOOP, &taken));
    assert_int_equal(taken.fault.code, ERR_CANCELLED);
    buf_reset(&out); /* an error that was got over */
    put_end(&out, CALL_NUMBER, OK, &fault, UINT32_MAX);
    assert_true(take(FRAME_FETCH_OLDER, &taken));
    assert_int_equal(taken.fault.code, OK);
    assert_true(taken.number == UINT32_MAX);
    buf_reset(&out); /* words of a library, of which nobody promised anything */
    memset(fault.detail, '\x80', sizeof fault.detail - 1);
    fault.detail[3] = '\n';
    fault.retry_after_s = INT32_MAX;
    put_end(&out, CALL_NUMBER, ERR_TLS, &fault, 0);
    assert_true(take(FRAME_OPEN, &taken));
    check_answer(&taken);
    assert_int_equal(taken.fault.retry_after_s, RECORD_RETRY_MAX_S);
}

/* ---- what is too large is cut ---- */

static char *filled(size_t length, const char *with)
{
    char *text = arena_alloc(&sample_arena, length + 1);
    size_t step = strlen(with);
    for (size_t at = 0; at + step <= length; at += step)
        memcpy(text + at, with, step);
    return text;
}

static void a_text_too_long_is_cut_between_characters(void **state)
{
    (void)state;
    struct answer taken;
    struct message message = {.uid = 1, .envelope.subject = filled(300000, "\xe2\x82\xac")};
    put_message(&out, CALL_NUMBER, &message);
    assert_true(take(FRAME_SYNC, &taken));
    assert_int_equal(strlen(taken.message.envelope.subject), 65535); /* 21,845 times three */
    assert_int_equal(taken.message.limited, LIMITED_HEADERS);
    buf_reset(&out);
    put_header(&out, CALL_NUMBER, "Subject", message.envelope.subject);
    assert_true(take(FRAME_READ_HEADERS, &taken));
    assert_int_equal(strlen(taken.value), 65535);
    buf_reset(&out);
    put_preview(&out, CALL_NUMBER, 1, message.envelope.subject);
    assert_true(take(FRAME_PREVIEWS, &taken));
    assert_int_equal(strlen(taken.text), 600);
    buf_reset(&out);
    put_info(&out, CALL_NUMBER,
             &(struct backend_info){.capability_text = message.envelope.subject,
                                    .server_name = message.envelope.subject});
    assert_true(take(FRAME_OPEN, &taken));
    buf_reset(&out);
    put_resource(
        &out, CALL_NUMBER,
        &(struct quota_resource){message.envelope.subject, message.envelope.subject, 0, 0});
    assert_true(take(FRAME_QUOTA, &taken));
    buf_reset(&out); /* another mailbox it must not become */
    put_listing(&out, CALL_NUMBER,
                &(struct folder_listing){.remote = message.envelope.subject, .path = "a"});
    assert_int_equal(out.length, 0);
    put_selected(&out, CALL_NUMBER, message.envelope.subject);
    assert_true(take(FRAME_NOOP, &taken));
    assert_null(taken.value);
}

static void keywords_that_are_none_are_left_out(void **state)
{
    (void)state;
    struct answer taken;
    const char *odd[] = {"", "\\Seen", "fine", filled(256, "x")};
    struct string_list list = {odd, 4};
    put_flags(&out, CALL_NUMBER, 1, 0, &list, 0);
    assert_true(take(FRAME_SYNC, &taken));
    assert_int_equal(taken.message.keywords.count, 1);
    assert_string_equal(taken.message.keywords.items[0], "fine");
}

/* A message in which everything is as long and as many as the mail layer lets through, or more. */
static struct message monster(uint32_t part_count)
{
    struct message message = {.uid = 1, .remote_id = filled(9000, "r")};
    char *name = filled(60000, "n");
    struct address *many = arena_array(&sample_arena, struct address, BACKEND_ADDRESSES_MAX + 5);
    const char **id = arena_array(&sample_arena, const char *, BACKEND_MESSAGE_IDS_MAX + 5);
    struct part *tree = arena_array(&sample_arena, struct part, part_count);
    for (uint32_t i = 0; i < BACKEND_ADDRESSES_MAX + 5; i++)
        many[i] = (struct address){name + (i < 2 ? 0 : 59990), "a@example.org", name + 59900};
    for (uint32_t i = 0; i < BACKEND_MESSAGE_IDS_MAX + 5; i++)
        id[i] = name + 57000;
    for (uint32_t i = 0; i < part_count; i++)
        tree[i] = (struct part){.id = i ? arena_printf(&sample_arena, "%u", i) : "",
                                .type = "text/plain",
                                .content_id = name,
                                .encoding = "7bit",
                                .size = -1,
                                .parent = i ? 0 : -1};
    struct address_list list = {many, BACKEND_ADDRESSES_MAX + 5};
    struct string_list id_list = {id, BACKEND_MESSAGE_IDS_MAX + 5};
    message.envelope = (struct envelope){
        .subject = name,
        .message_id = name,
        .from = list,
        .to = list,
        .cc = list,
        .in_reply_to = id_list,
        .references = id_list,
    };
    message.parts = tree;
    message.part_count = part_count;
    return message;
}

static void a_message_too_large_keeps_the_beginning_of_everything(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 100, 1000, BACKEND_PARTS_MAX + 1};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct answer taken;
        struct message message = monster(counts[i]);
        buf_reset(&out);
        put_message(&out, CALL_NUMBER, &message);
        size_t length = out.length;
        assert_true(take(FRAME_SYNC, &taken));
        check_answer(&taken);
        assert_true(taken.message.envelope.from.count >= 100);
        assert_true(taken.message.limited & LIMITED_ADDRESSES);
        assert_true(taken.message.limited & LIMITED_HEADERS);
        assert_true(taken.message.part_count >= (counts[i] < 100 ? counts[i] : 100));
        if (counts[i] > 1000)
            assert_true(taken.message.limited & LIMITED_PARTS);
        buf_reset(&out); /* what stands in the buffer before changes nothing */
        buf_text(&out, "before");
        put_message(&out, CALL_NUMBER, &message);
        assert_int_equal(out.length, length + 6);
    }
}

static void ten_thousand_parts_of_the_usual_kind_fit(void **state)
{
    (void)state;
    struct answer taken;
    struct message message = monster(BACKEND_PARTS_MAX);
    message.envelope = (struct envelope){.subject = "many parts"};
    for (uint32_t i = 0; i < message.part_count; i++)
        ((struct part *)(uintptr_t)message.parts)[i].content_id = NULL;
    put_message(&out, CALL_NUMBER, &message);
    assert_true(take(FRAME_SYNC, &taken));
    assert_int_equal(taken.message.part_count, BACKEND_PARTS_MAX);
    assert_int_equal(taken.message.limited & LIMITED_PARTS, 0);
}

/* ---- ranges and bytes in pieces ---- */

static void ranges_go_in_pieces_and_end_with_what_they_are(void **state)
{
    (void)state;
    uint32_t count = 2 * RANGES_A_FRAME + 1, taken_count = 0;
    struct uid_range *many = arena_array(&sample_arena, struct uid_range, BACKEND_RANGES_MAX + 1);
    for (uint32_t i = 0; i < count; i++)
        many[i] = (struct uid_range){2 * i + 1, 2 * i + 1};
    assert_int_equal(put_ranges(&out, CALL_NUMBER, FRAME_PRESENT, 1, many, count), OK);
    struct answer answer;
    size_t at = 0;
    do {
        struct frame frame = frame_at(out.data + at);
        assert_true(take_answer(&frame, FRAME_SYNC, &sample_arena, &answer));
        for (uint32_t i = 0; answer.kind == FRAME_RANGES && i < answer.range_count; i++)
            assert_int_equal(answer.ranges[i].first, 2 * taken_count++ + 1);
        at += FRAME_HEADER_BYTES + frame.length;
    } while (answer.kind == FRAME_RANGES);
    assert_int_equal(answer.kind, FRAME_PRESENT);
    assert_int_equal(answer.from, 1);
    assert_int_equal(taken_count, count);
    assert_int_equal(at, out.length);
    assert_int_equal(put_ranges(&out, CALL_NUMBER, FRAME_REMOVED, 0, many, BACKEND_RANGES_MAX + 1),
                     ERR_TOO_LARGE);
    assert_int_equal(out.length, at);
}

static void bytes_of_any_length_go_in_pieces(void **state)
{
    (void)state;
    size_t length = 2 * FRAME_STREAM_BYTES + 3, at = 0, total = 0;
    char *data = filled(length, "0123456");
    put_bytes(&out, CALL_NUMBER, data, 0);
    assert_int_equal(out.length, 0);
    put_bytes(&out, CALL_NUMBER, data, length);
    while (at < out.length) {
        struct frame frame = frame_at(out.data + at);
        struct answer answer;
        assert_true(take_answer(&frame, FRAME_READ_PART, &sample_arena, &answer));
        assert_memory_equal(answer.bytes, data + total, answer.length);
        total += answer.length;
        at += FRAME_HEADER_BYTES + frame.length;
    }
    assert_int_equal(total, length);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_of_any_kind_comes_back_as_it_went),
        TEST(a_message_arrives),
        TEST(an_end_brings_its_fault),
        TEST(a_text_too_long_is_cut_between_characters),
        TEST(keywords_that_are_none_are_left_out),
        TEST(a_message_too_large_keeps_the_beginning_of_everything),
        TEST(ten_thousand_parts_of_the_usual_kind_fit),
        TEST(ranges_go_in_pieces_and_end_with_what_they_are),
        TEST(bytes_of_any_length_go_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* attend_calls.c - what a worker answers, call by call. */
#include "attend_support.h"

static void a_sign_in_tells_what_the_server_is(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_open(&fixture);
    struct answers answers = near_sign_in(&near, "secret");
    assert_int_equal(answers.err, OK);
    assert_int_equal(answers.count[FRAME_INFO], 1);
    assert_string_equal(answers.last[FRAME_INFO].info.capability_text, "MEMORY");
    assert_false(is_eof(near.channel.fd, 50));
    near_close(&near);
    fixture_close(&fixture);
}

static void a_refused_sign_in_is_told_and_ends_the_connection(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_open(&fixture);
    struct answers answers = near_sign_in(&near, "wrong");
    assert_int_equal(answers.err, ERR_LOGIN);
    assert_string_equal(answers.last[FRAME_END].fault.reply, "Authentication failed.");
    assert_true(is_eof(near.channel.fd, LONG_MS));
    assert_true(is_eof(near.server, LONG_MS));
    near_close(&near);
    fixture_close(&fixture);
}

static void a_protocol_that_is_not_offered_is_refused(void **state)
{
    struct fixture fixture;
    struct secret secret;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_open(&fixture);
    struct request request = request_open(&secret, "secret");
    request.target.protocol = PROTOCOL_POP3;
    assert_int_equal(near_call(&near, request).err, ERR_UNSUPPORTED);
    assert_true(is_eof(near.channel.fd, LONG_MS));
    assert_true(is_eof(near.server, LONG_MS));
    near_close(&near);
    fixture_close(&fixture);
}

static void a_user_name_that_cannot_be_sent_leaves_no_socket_behind(void **state)
{
    struct fixture fixture;
    struct secret secret;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_open(&fixture);
    struct request request = request_open(&secret, "secret");
    request.target.username = "a\tb";
    assert_int_equal(near_call(&near, request).err, ERR_INVALID);
    assert_true(is_eof(near.server, LONG_MS));
    near_close(&near);
    fixture_close(&fixture);
}

static void a_sync_comes_record_by_record(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    deliver(&fixture, 500);
    struct near near = near_ready(&fixture);
    struct request request = request_of(FRAME_SYNC);
    request.count = 1000;
    struct answers answers = near_call(&near, request);
    assert_int_equal(answers.err, OK);
    assert_int_equal(answers.count[FRAME_FACTS], 1);
    assert_int_equal(answers.count[FRAME_MESSAGE], 500);
    assert_int_equal(answers.last[FRAME_FACTS].facts.exists, 500);
    assert_true(answers.last[FRAME_FACTS].reset);
    assert_int_equal(answers.last[FRAME_MESSAGE].message.uid, 1);
    assert_string_equal(answers.last[FRAME_MESSAGE].message.envelope.subject, "One");

    assert_true(memory_server_expunge(fixture.server, "INBOX", 7));
    request.known.validity = answers.last[FRAME_FACTS].facts.validity;
    request.known.uid_next = 501;
    request.known.compare = true;
    answers = near_call(&near, request);
    assert_int_equal(answers.err, OK);
    assert_int_equal(answers.count[FRAME_MESSAGE], 0);
    assert_int_equal(answers.count[FRAME_FLAGS], 499);
    assert_int_equal(answers.count[FRAME_PRESENT], 1);
    near_close(&near);
    fixture_close(&fixture);
}

static void the_selected_folder_is_told_when_it_changes(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    memory_server_add_folder(fixture.server, "Sent");
    struct near near = near_ready(&fixture);
    struct request request = request_of(FRAME_SYNC);
    struct answers answers = near_call(&near, request);
    assert_int_equal(answers.count[FRAME_SELECTED], 1);
    assert_string_equal(answers.last[FRAME_SELECTED].value, "INBOX");
    assert_int_equal(near_call(&near, request).count[FRAME_SELECTED], 0);
    assert_int_equal(near_call(&near, request_of(FRAME_NOOP)).count[FRAME_SELECTED], 0);
    request.known.remote = "Sent";
    answers = near_call(&near, request);
    assert_string_equal(answers.last[FRAME_SELECTED].value, "Sent");
    near_close(&near);
    fixture_close(&fixture);
}

static void every_call_is_answered(void **state)
{
    struct fixture fixture;
    struct preview_wish wish = {.uid = 1, .part = "1", .type = "text/plain"};
    (void)state;
    fixture_open(&fixture, 4);
    deliver(&fixture, 5);
    struct near near = near_ready(&fixture);

    assert_int_equal(near_call(&near, request_of(FRAME_NOOP)).err, OK);
    struct answers answers = near_call(&near, request_of(FRAME_LIST_FOLDERS));
    assert_int_equal(answers.count[FRAME_LISTING], 2);
    assert_string_equal(answers.last[FRAME_LISTING].listing.path, "INBOX");

    struct request request = request_of(FRAME_FETCH_OLDER);
    request.known.floor = 5;
    request.count = 2;
    answers = near_call(&near, request);
    assert_int_equal(answers.count[FRAME_MESSAGE], 2);
    assert_int_equal(answers.value, 3); /* the floor */

    answers = near_call(&near, request_of(FRAME_FETCH_ONE));
    assert_int_equal(answers.count[FRAME_MESSAGE], 1);
    request = request_of(FRAME_FETCH_ONE);
    request.uid = 99;
    assert_int_equal(near_call(&near, request).err, ERR_GONE);

    request = request_of(FRAME_PREVIEWS);
    request.wishes = &wish;
    request.wish_count = 1;
    answers = near_call(&near, request);
    assert_string_equal(answers.last[FRAME_PREVIEW].text, "Hello, wall.");

    answers = near_call(&near, request_of(FRAME_READ_PART));
    assert_int_equal(answers.count[FRAME_BYTES], 1);
    assert_int_equal(answers.last[FRAME_BYTES].length, sizeof RAW_MESSAGE - 1);
    request = request_of(FRAME_PART_SIZE);
    request.wish.part = "1";
    request.wish.mode = READ_DECODED;
    assert_int_equal(near_call(&near, request).value, 14);
    answers = near_call(&near, request_of(FRAME_READ_HEADERS));
    assert_int_equal(answers.count[FRAME_HEADER], 3);

    request = request_of(FRAME_CHANGE_FLAGS);
    request.change.add = FLAG_SEEN;
    answers = near_call(&near, request);
    assert_int_equal(answers.last[FRAME_FLAGS].message.flags, FLAG_SEEN);
    answers = near_call(&near, request_of(FRAME_QUOTA));
    assert_int_equal(answers.count[FRAME_RESOURCE], 1);
    near_close(&near);
    fixture_close(&fixture);
}

static void content_arrives_whole_whatever_its_pieces(void **state)
{
    struct fixture fixture;
    struct answer answer;
    size_t at = 0;
    uint64_t expected = 0;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    struct request request = request_of(FRAME_READ_PART);
    request.wish.part = "big";
    near_ask(&near, request);
    while (near_take(&near, FRAME_READ_PART, &answer) && answer.kind != FRAME_END) {
        if (answer.kind == FRAME_EXPECT)
            expected = answer.number;
        assert_true(answer.kind != FRAME_BYTES || answer.length <= FRAME_STREAM_BYTES);
        for (size_t i = 0; answer.kind == FRAME_BYTES && i < answer.length; i++, at++)
            assert_int_equal(answer.bytes[i], big_byte(at));
    }
    assert_int_equal(answer.err, OK);
    assert_int_equal(at, BIG_BYTES);
    assert_int_equal(expected, BIG_BYTES);
    near_close(&near);
    fixture_close(&fixture);
}

static void what_is_known_is_told_before_the_server_is_waited_for(void **state)
{
    struct fixture fixture;
    struct answer answer;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    memory_server_script(fixture.server, &(struct memory_fault){.op = MEMORY_NOOP, .block = true});
    near_ask(&near, request_of(FRAME_LIST_FOLDERS));
    assert_true(near_take(&near, FRAME_LIST_FOLDERS, &answer));
    assert_int_equal(answer.kind, FRAME_LISTING);
    assert_soon(memory_server_stats(fixture.server).blocked == 1);
    memory_server_release(fixture.server);
    assert_int_equal(near_take_all(&near, FRAME_LIST_FOLDERS).err, OK);
    near_close(&near);
    fixture_close(&fixture);
}

static void an_error_that_kills_is_told_and_then_the_channel_is_closed(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_SYNC, .err = ERR_PROTOCOL});
    struct answers answers = near_call(&near, request_of(FRAME_SYNC));
    assert_int_equal(answers.err, ERR_PROTOCOL);
    assert_string_equal(answers.last[FRAME_END].fault.detail, "scripted");
    assert_true(is_eof(near.channel.fd, LONG_MS));
    assert_true(is_eof(near.server, LONG_MS));
    near_close(&near);
    fixture_close(&fixture);
}

static void a_call_ends_at_its_deadline(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    memory_server_script(fixture.server, &(struct memory_fault){.op = MEMORY_SYNC, .block = true});
    struct request request = request_of(FRAME_SYNC);
    request.deadline_ms = clock_now_ms() + 100;
    assert_int_equal(near_call(&near, request).err, ERR_TIMEOUT);
    near_close(&near);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sign_in_tells_what_the_server_is),
        cmocka_unit_test(a_refused_sign_in_is_told_and_ends_the_connection),
        cmocka_unit_test(a_protocol_that_is_not_offered_is_refused),
        cmocka_unit_test(a_user_name_that_cannot_be_sent_leaves_no_socket_behind),
        cmocka_unit_test(a_sync_comes_record_by_record),
        cmocka_unit_test(the_selected_folder_is_told_when_it_changes),
        cmocka_unit_test(every_call_is_answered),
        cmocka_unit_test(content_arrives_whole_whatever_its_pieces),
        cmocka_unit_test(what_is_known_is_told_before_the_server_is_waited_for),
        cmocka_unit_test(an_error_that_kills_is_told_and_then_the_channel_is_closed),
        cmocka_unit_test(a_call_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

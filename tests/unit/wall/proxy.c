/* The near side before an honest worker: what it passes on from a lying mail server, and how calls
 * end. */
#include "proxy_scene.h"

/* ---- what a lying mail server may put into an honest worker's mouth ---- */

static void records_nobody_asked_for_are_dropped(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    message(UID + 1);
    message(UID);
    ok(0);
    assert_int_equal(play(scene, FRAME_FETCH_ONE), OK);
    assert_int_equal(scene->messages, 1);
    assert_int_equal(scene->last_uid, UID);
    assert_int_equal(crew.accused, 0);
    close_scene(scene);
    open_scene(scene);
    facts(VALIDITY, false);
    message(FLOOR);
    message(FLOOR - 1);
    message(UINT32_MAX);
    ok(FLOOR - 1);
    assert_int_equal(play(scene, FRAME_FETCH_OLDER), OK);
    assert_int_equal(scene->messages, 2);
    assert_int_equal(scene->last_uid, FLOOR - 1);
    assert_int_equal(crew.accused, 0);
}

static void more_messages_than_wanted_end_the_connection_only(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    facts(VALIDITY, false);
    for (uint32_t i = 0; i < 2 * COUNT; i++)
        message(20 - i);
    ok(1);
    assert_int_equal(play(scene, FRAME_FETCH_OLDER), ERR_PROTOCOL);
    assert_int_equal(scene->messages, COUNT);
    assert_true(scene->backend->dead);
    assert_int_equal(crew.accused, 0);
}

static void more_bytes_than_wanted_end_the_connection_only(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    put_bytes(&script, CALL, "0123456", 7);
    put_bytes(&script, CALL, "789x", 4);
    ok(0);
    assert_int_equal(play(scene, FRAME_READ_PART), ERR_PROTOCOL);
    assert_int_equal(scene->written, 7);
    assert_int_equal(scene->finished, 0);
    close_scene(scene);
    open_scene(scene);
    put_expect(&script, CALL, 11);
    ok(0);
    assert_int_equal(play(scene, FRAME_READ_PART), ERR_PROTOCOL);
    assert_int_equal(scene->expected, 0);
    assert_int_equal(crew.accused, 0);
}

static void a_length_that_comes_late_is_not_told(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    put_bytes(&script, CALL, "ab", 2);
    put_expect(&script, CALL, 8);
    put_bytes(&script, CALL, "cdefghij", 8);
    ok(0);
    assert_int_equal(play(scene, FRAME_READ_PART), OK);
    assert_int_equal(scene->expected, 0);
    assert_int_equal(scene->written, 10);
    assert_int_equal(scene->finished, 1);
}

/* ---- what is honest ---- */

static void answers_reach_their_sinks(void **state)
{
    struct scene *scene = *state;
    const struct uid_range some[] = {{1, 4}, {6, 6}};
    struct uid_range *many = calloc(20000, sizeof *many);
    for (uint32_t i = 0; i < 20000; i++)
        many[i] = (struct uid_range){1 + 3 * i, 2 + 3 * i};
    open_scene(scene);
    put_selected(&script, CALL, "INBOX");
    facts(VALIDITY, false);
    message(120);
    flags(60);
    put_ranges(&script, CALL, FRAME_REMOVED, 0, some, 2);
    put_ranges(&script, CALL, FRAME_PRESENT, 1, many, 20000);
    put_ranges(&script, CALL, FRAME_PRESENT, 1, NULL, 0);
    ok(0);
    assert_int_equal(play(scene, FRAME_SYNC), OK);
    assert_int_equal(scene->facts + scene->messages + scene->flags, 3);
    assert_int_equal(scene->removes, 1);
    assert_int_equal(scene->presents, 2);
    assert_int_equal(scene->ranges, 20002);
    assert_non_null(scene->backend->selected);
    assert_string_equal(scene->backend->selected, "INBOX");
    assert_false(crew.busy || scene->backend->dead);
    put_selected(&script, CALL + 1, NULL);
    put_end(&script, CALL + 1, OK, NULL, 0);
    assert_int_equal(play(scene, FRAME_NOOP), OK);
    assert_null(scene->backend->selected);
    free(many);
}

static void a_fault_crosses_whole(void **state)
{
    struct scene *scene = *state;
    struct fault fault = {0};
    open_scene(scene);
    fault_reply(&fault, "imap", "No such message", 15);
    fault_set(&fault, ERR_GONE, "the message is not there any more");
    put_end(&script, CALL, ERR_GONE, &fault, 0);
    assert_int_equal(play(scene, FRAME_FETCH_ONE), ERR_GONE);
    assert_memory_equal(&scene->call.fault, &fault, sizeof fault);
    assert_false(scene->backend->dead || crew.busy);
    put_end(&script, CALL + 1, OK, NULL, 0);
    assert_int_equal(play(scene, FRAME_NOOP), OK); /* the connection lives */
    fault_clear(&fault);
    fault_set(&fault, ERR_PROTOCOL, "the mail server sent nonsense");
    put_end(&script, CALL + 2, ERR_PROTOCOL, &fault, 0);
    assert_int_equal(play(scene, FRAME_NOOP), ERR_PROTOCOL);
    assert_true(scene->backend->dead);
    assert_int_equal(crew.accused, 0);
}

static void the_credential_crosses_and_is_wiped(void **state)
{
    struct scene *scene = *state;
    struct channel far;
    struct channel_wait wait = {.deadline_ms = clock_now_ms() + CALL_MS};
    struct frame frame;
    struct request request;
    open_scene(scene);
    channel_init(&far, far_fd);
    far_fd = -1;
    assert_int_equal(channel_read(&far, &wait, FRAME_OPEN, FRAME_CALLS_END, &frame), OK);
    assert_true(take_request(&frame, &scene->arena, &request));
    assert_int_equal(request.kind, FRAME_OPEN);
    assert_string_equal(request.target.username, "user");
    assert_int_equal(request.secret.length, password.length);
    assert_memory_equal(request.secret.data, password.data, password.length);
    channel_clear(&far);
}

/* ---- ends ---- */

static void the_end_of_the_process_is_told_as_such(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    facts(VALIDITY, false);
    message(120);
    script.length -= 5; /* in the middle of a frame */
    write_script(NULL);
    shutdown(far_fd, SHUT_WR);
    buf_reset(&script);
    assert_int_equal(run(scene, FRAME_SYNC), ERR_WORKER);
    assert_int_equal(scene->call.fault.code, ERR_WORKER);
    assert_int_equal(scene->facts, 1);
    assert_int_equal(scene->messages, 0);
    assert_int_equal(crew.accused, 0);
    assert_true(crew.busy); /* still suspected, if it turns out to have crashed */
    close_scene(scene);
    assert_true(left.busy);
}

static void *cancel_later(void *backend)
{
    usleep(50000);
    backend_walled.cancel(backend);
    return NULL;
}

static void a_cancel_from_another_thread_ends_the_call(void **state)
{
    struct scene *scene = *state;
    pthread_t thread;
    char byte[512];
    open_scene(scene);
    pthread_create(&thread, NULL, cancel_later, scene->backend);
    assert_int_equal(run(scene, FRAME_NOOP), ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(run(scene, FRAME_SYNC), ERR_CANCELLED);
    while (recv(far_fd, byte, sizeof byte, 0) > 0)
        ;
    assert_int_equal(recv(far_fd, byte, sizeof byte, 0), 0); /* the worker sees it too */
}

static void the_workers_own_words_win_over_the_deadline(void **state)
{
    struct scene *scene = *state;
    struct fault fault = {0};
    open_scene(scene);
    struct call *call = fresh_call(scene);
    call->deadline_ms = clock_now_ms() - GRACE_MS / 2;
    fault_set(&fault, ERR_TIMEOUT, "the mail server did not finish FETCH in time");
    put_end(&script, CALL, ERR_TIMEOUT, &fault, 0);
    write_script(NULL);
    assert_int_equal(backend_walled.noop(scene->backend, call), ERR_TIMEOUT);
    assert_string_equal(call->fault.detail, fault.detail);
}

static void a_worker_that_hangs_is_left_after_the_grace(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    struct call *call = fresh_call(scene);
    int64_t start_ms = clock_now_ms();
    call->deadline_ms = start_ms + 100;
    assert_int_equal(backend_walled.noop(scene->backend, call), ERR_WORKER);
    assert_in_range(clock_now_ms() - start_ms, 99 + GRACE_MS, 100 + GRACE_MS + LATE_MS);
    assert_true(scene->backend->dead && crew.busy);
}

static void *set_later(void *flag)
{
    usleep(60000);
    __atomic_store_n((volatile bool *)flag, true, __ATOMIC_RELAXED);
    return NULL;
}

static void a_cancelled_open_gives_its_berth_back(void **state)
{
    struct scene *scene = *state;
    volatile bool cancelled = false;
    pthread_t thread;
    pthread_create(&thread, NULL, set_later, (void *)&cancelled);
    assert_int_equal(try_open(scene, &cancelled), ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_null(scene->backend);
    assert_int_equal(departed, 1);
}

static void no_worker_is_no_connection(void **state)
{
    struct scene *scene = *state;
    board_error = ERR_BUSY;
    assert_int_equal(try_open(scene, NULL), ERR_BUSY);
    assert_null(scene->backend);
    assert_int_equal(boarded, 0);
}

/* ---- a sink that refuses ---- */

static void a_refusal_is_passed_on_and_the_rest_read_away(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    scene->refuse = ERR_STORE;
    facts(VALIDITY, false);
    for (uint32_t i = 0; i < 100; i++)
        message(200 - i);
    ok(0);
    assert_int_equal(play(scene, FRAME_SYNC), ERR_STORE);
    assert_int_equal(scene->messages, 1);
    assert_false(scene->backend->dead || crew.busy);
    put_end(&script, CALL + 1, OK, NULL, 0);
    assert_int_equal(play(scene, FRAME_NOOP), OK);
    assert_int_equal(crew.accused, 0);
}

static void a_refusal_of_much_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    char *data = calloc(1, FRAME_STREAM_BYTES);
    const struct part_wish wish = {.remote = "INBOX", .uid = UID, .part = "1", .last = UINT64_MAX};
    pthread_t writer;
    open_scene(scene);
    scene->refuse = ERR_STORE;
    for (uint32_t i = 0; i < 64; i++)
        put_bytes(&script, CALL, data, FRAME_STREAM_BYTES);
    ok(0);
    pthread_create(&writer, NULL, write_script, NULL);
    assert_int_equal(
        backend_walled.read_part(scene->backend, fresh_call(scene), &wish, &scene->bytes),
        ERR_CANCELLED);
    pthread_join(writer, NULL);
    assert_int_equal(scene->written, FRAME_STREAM_BYTES);
    assert_int_equal(scene->finished, 0);
    assert_true(scene->backend->dead);
    assert_int_equal(crew.accused, 0);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_nobody_asked_for_are_dropped),
        TEST(more_messages_than_wanted_end_the_connection_only),
        TEST(more_bytes_than_wanted_end_the_connection_only),
        TEST(a_length_that_comes_late_is_not_told),
        TEST(answers_reach_their_sinks),
        TEST(a_fault_crosses_whole),
        TEST(the_credential_crosses_and_is_wiped),
        TEST(the_end_of_the_process_is_told_as_such),
        TEST(a_cancel_from_another_thread_ends_the_call),
        TEST(the_workers_own_words_win_over_the_deadline),
        TEST(a_worker_that_hangs_is_left_after_the_grace),
        TEST(a_cancelled_open_gives_its_berth_back),
        TEST(no_worker_is_no_connection),
        TEST(a_refusal_is_passed_on_and_the_rest_read_away),
        TEST(a_refusal_of_much_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, listen_here, listen_no_more);
}

/* attend_life.c - a connection's life in a worker: cancels, hang-ups, garbage, crowds. */
#include "attend_support.h"

static void script(struct fixture *fixture, struct memory_fault fault)
{
    memory_server_script(fixture->server, &fault);
}

static struct memory_stats stats(struct fixture *fixture)
{
    return memory_server_stats(fixture->server);
}

static void near_shut(struct near *near)
{
    shutdown(near->channel.fd, SHUT_RDWR);
}

/* ---- cancels ---- */

static void a_shutdown_ends_a_call_that_waits(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    script(&fixture, (struct memory_fault){.op = MEMORY_SYNC, .block = true});
    near_ask(&near, request_of(FRAME_SYNC));
    assert_soon(stats(&fixture).blocked == 1);
    near_shut(&near);
    assert_soon(stats(&fixture).blocked == 0);
    assert_soon(stats(&fixture).open == 0);
    assert_true(is_eof(near.server, LONG_MS));
    near_close(&near);
    fixture_close(&fixture);
}

static void a_shutdown_ends_a_sign_in_that_waits(void **state)
{
    struct fixture fixture;
    struct secret secret;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_open(&fixture);
    script(&fixture, (struct memory_fault){.op = MEMORY_OPEN, .block = true});
    near_ask(&near, request_open(&secret, "secret"));
    assert_soon(stats(&fixture).blocked == 1);
    near_shut(&near);
    assert_true(is_eof(near.server, LONG_MS));
    assert_int_equal(stats(&fixture).opened, 0);
    near_close(&near);
    fixture_close(&fixture);
}

/* With one thread for calls another still hears cancels, and what is queued is cancelled, too. */
static void a_cancel_is_heard_when_all_threads_serve(void **state)
{
    struct fixture fixture;
    struct near near[3];
    (void)state;
    fixture_open(&fixture, 1);
    for (int i = 0; i < 3; i++)
        near[i] = near_ready(&fixture);
    script(&fixture, (struct memory_fault){.op = MEMORY_SYNC, .block = true});
    near_ask(&near[0], request_of(FRAME_SYNC));
    assert_soon(stats(&fixture).blocked == 1);
    near_ask(&near[1], request_of(FRAME_NOOP));
    near_ask(&near[2], request_of(FRAME_NOOP));
    assert_false(is_eof(near[2].channel.fd, 50));
    assert_int_equal(stats(&fixture).calls[MEMORY_NOOP], 0);
    near_shut(&near[1]);
    sleep_ms(50);
    near_shut(&near[0]);
    assert_int_equal(near_take_all(&near[2], FRAME_NOOP).err, OK);
    assert_soon(stats(&fixture).open == 1);
    assert_int_equal(stats(&fixture).calls[MEMORY_NOOP], 1); /* the cancelled one never ran */
    for (int i = 0; i < 3; i++)
        near_close(&near[i]);
    fixture_close(&fixture);
}

/* Ends of calls, cancels and hang-ups at all moments, on some connections at a time. */
static void *annoy(void *argument)
{
    struct fixture *fixture = argument;
    for (int i = 0; i < 60; i++) {
        struct near near = near_ready(fixture);
        near_ask(&near, request_of(FRAME_SYNC));
        usleep((useconds_t)(i * 37 % 4000));
        if (i % 4 == 0)
            near_shut(&near);
        else if (i % 4 == 1)
            shutdown(near.server, SHUT_RDWR);
        else if (i % 4 == 2)
            assert_int_equal(near_take_all(&near, FRAME_SYNC).err, OK);
        near_close(&near);
    }
    return NULL;
}

static void cancels_and_hang_ups_may_come_at_any_moment(void **state)
{
    struct fixture fixture;
    pthread_t threads[6];
    (void)state;
    fixture_open(&fixture, 4);
    deliver(&fixture, 20);
    script(&fixture, (struct memory_fault){.op = MEMORY_SYNC, .times = 1000000, .delay_ms = 1});
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, annoy, &fixture), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_soon(stats(&fixture).open == 0);
    struct near near = near_ready(&fixture);
    assert_int_equal(near_call(&near, request_of(FRAME_SYNC)).err, OK);
    near_close(&near);
    fixture_close(&fixture);
}

static void a_stop_ends_everything(void **state)
{
    struct fixture fixture;
    struct near near[4];
    (void)state;
    fixture_open(&fixture, 2);
    script(&fixture, (struct memory_fault){.op = MEMORY_SYNC, .times = 2, .block = true});
    for (int i = 0; i < 4; i++)
        near[i] = near_ready(&fixture);
    near_ask(&near[0], request_of(FRAME_SYNC));
    near_ask(&near[1], request_of(FRAME_SYNC));
    assert_soon(stats(&fixture).blocked == 2);
    near_ask(&near[2], request_of(FRAME_NOOP)); /* queued */
    fixture_close(&fixture);
    for (int i = 0; i < 4; i++) {
        assert_true(is_eof(near[i].channel.fd, 0));
        assert_true(is_eof(near[i].server, 0));
        near_close(&near[i]);
    }
}

/* ---- a near end that does not read ---- */

static void a_slow_reader_holds_the_call_and_gets_everything(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture), other = near_ready(&fixture);
    struct request request = request_of(FRAME_READ_PART);
    request.wish.part = "big";
    near_ask(&near, request);
    sleep_ms(200);
    assert_int_equal(near_call(&other, request_of(FRAME_NOOP)).err, OK);
    uint64_t bytes = 0;
    struct answer answer;
    while (near_take(&near, FRAME_READ_PART, &answer) && answer.kind != FRAME_END)
        bytes += answer.kind == FRAME_BYTES ? answer.length : 0;
    assert_int_equal(answer.err, OK);
    assert_int_equal(bytes, BIG_BYTES);
    near_close(&near);
    near_close(&other);
    fixture_close(&fixture);
}

static void a_reader_that_never_reads_loses_its_connection_at_the_deadline(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    struct request request = request_of(FRAME_READ_PART);
    request.wish.part = "big";
    request.deadline_ms = clock_now_ms() + 200;
    near_ask(&near, request);
    assert_soon(stats(&fixture).open == 0);
    assert_true(clock_now_ms() >= request.deadline_ms);
    assert_true(near_take_all(&near, FRAME_READ_PART).closed);
    near_close(&near);
    fixture_close(&fixture);
}

static void a_reader_that_leaves_ends_the_call(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    struct request request = request_of(FRAME_READ_PART);
    request.wish.part = "big";
    near_ask(&near, request);
    sleep_ms(50);
    int64_t began_ms = clock_now_ms();
    near_close(&near);
    assert_soon(stats(&fixture).open == 0);
    assert_true(clock_now_ms() - began_ms < LONG_MS / 2);
    fixture_close(&fixture);
}

/* ---- the mail server's hang-up ---- */

static void a_server_that_hangs_up_on_an_idle_connection_closes_its_channel(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture), other = near_ready(&fixture);
    shutdown(near.server, SHUT_RDWR);
    assert_true(is_eof(near.channel.fd, LONG_MS));
    assert_soon(stats(&fixture).open == 1);
    assert_int_equal(near_call(&other, request_of(FRAME_NOOP)).err, OK);
    near_close(&near);
    near_close(&other);
    fixture_close(&fixture);
}

static void a_hang_up_during_a_call_is_looked_at_after_it(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    assert_int_equal(near_call(&near, request_of(FRAME_NOOP)).err, OK);
    script(&fixture, (struct memory_fault){.op = MEMORY_SYNC, .block = true});
    near_ask(&near, request_of(FRAME_SYNC));
    assert_soon(stats(&fixture).blocked == 1);
    shutdown(near.server, SHUT_RDWR);
    assert_false(is_eof(near.channel.fd, 100));
    memory_server_release(fixture.server);
    assert_int_equal(near_take_all(&near, FRAME_SYNC).err, OK);
    assert_true(is_eof(near.channel.fd, LONG_MS));
    near_close(&near);
    fixture_close(&fixture);
}

/* ---- garbage ---- */

static void send_raw(struct near *near, const void *bytes, size_t length)
{
    assert_int_equal(send(near->channel.fd, bytes, length, MSG_NOSIGNAL), length);
}

static void what_no_honest_caller_sends_closes_the_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        bool signed_in;
    } rows[] = {
        {"\0\0\0\0\0\0\0\0", 8, false},                      /* no such kind */
        {"\xff\xff\xff\xff\1\0\1\0", 8, false},              /* too large */
        {"\1\0\0\0\1\0\1\0x", 9, false},                     /* garbled */
        {"\x08\0\0\0\2\0\1\0\0\0\0\0\0\0\0\x7f", 16, false}, /* NOOP before OPEN */
        {"\x08\0\0\0\2\0\1\0\0\0\0\0\0\0\0\x7f"              /* two calls at a time */
         "\x08\0\0\0\2\0\1\0\0\0\0\0\0\0\0\x7f",
         32, true},
        {"\0\0\0\0\x40\0\1\0", 8, true}, /* an answer */
    };
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct near near = rows[i].signed_in ? near_ready(&fixture) : near_open(&fixture);
        send_raw(&near, rows[i].bytes, rows[i].length);
        char answer[4096];
        assert_true(is_eof(near.server, LONG_MS));
        while (recv(near.channel.fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
            continue;
        assert_true(is_eof(near.channel.fd, LONG_MS));
        near_close(&near);
    }
    fixture_close(&fixture);
}

static void nobody_signs_in_twice_on_one_connection(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    assert_true(near_sign_in(&near, "secret").closed);
    assert_int_equal(stats(&fixture).opened, 1);
    near_close(&near);
    fixture_close(&fixture);
}

static void half_a_request_is_not_waited_for_long(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, 4);
    struct near near = near_ready(&fixture);
    send_raw(&near, "\x08\0\0", 3);
    assert_true(is_eof(near.channel.fd, LONG_MS));
    near_close(&near);
    fixture_close(&fixture);
}

/* ---- crowds ---- */

struct caller {
    pthread_t thread;
    struct near near;
    int good;
};

static void *call_often(void *argument)
{
    struct caller *caller = argument;
    for (int i = 0; i < 20; i++) {
        struct answers answers =
            near_call(&caller->near, request_of(i % 2 ? FRAME_SYNC : FRAME_NOOP));
        caller->good += answers.err == OK && answers.count[FRAME_MESSAGE] == (i % 2 ? 3 : 0);
    }
    return NULL;
}

#define CALLERS 24
static void many_connections_share_a_few_threads(void **state)
{
    struct fixture fixture;
    static struct caller callers[CALLERS];
    (void)state;
    fixture_open(&fixture, 3);
    deliver(&fixture, 3);
    for (int i = 0; i < CALLERS; i++)
        callers[i] = (struct caller){.near = near_ready(&fixture)};
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].good, 20);
        near_close(&callers[i].near);
    }
    assert_true(stats(&fixture).most_running <= 3);
    assert_soon(stats(&fixture).open == 0);
    fixture_close(&fixture);
}

#define IDLERS 200
static void idle_connections_cost_no_threads(void **state)
{
    struct fixture fixture;
    static struct near near[IDLERS];
    (void)state;
    sleep_ms(200); /* threads of tests before are ending */
    int before = threads_now();
    fixture_open(&fixture, 16);
    for (int i = 0; i < IDLERS; i++)
        near[i] = near_ready(&fixture);
    assert_true(threads_now() <= before + 4);
    script(&fixture, (struct memory_fault){.op = MEMORY_NOOP, .times = 10, .block = true});
    for (int i = 0; i < 10; i++)
        near_ask(&near[i], request_of(FRAME_NOOP));
    assert_soon(stats(&fixture).blocked == 10);
    assert_true(threads_now() >= before + 11);
    memory_server_release(fixture.server);
    for (int i = 0; i < 10; i++)
        assert_int_equal(near_take_all(&near[i], FRAME_NOOP).err, OK);
    assert_soon(threads_now() <= before + 2); /* the others have ended after their five seconds */
    for (int i = 0; i < IDLERS; i++)
        near_close(&near[i]);
    assert_soon(stats(&fixture).open == 0);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shutdown_ends_a_call_that_waits),
        cmocka_unit_test(a_shutdown_ends_a_sign_in_that_waits),
        cmocka_unit_test(a_cancel_is_heard_when_all_threads_serve),
        cmocka_unit_test(cancels_and_hang_ups_may_come_at_any_moment),
        cmocka_unit_test(a_stop_ends_everything),
        cmocka_unit_test(a_slow_reader_holds_the_call_and_gets_everything),
        cmocka_unit_test(a_reader_that_never_reads_loses_its_connection_at_the_deadline),
        cmocka_unit_test(a_reader_that_leaves_ends_the_call),
        cmocka_unit_test(a_server_that_hangs_up_on_an_idle_connection_closes_its_channel),
        cmocka_unit_test(a_hang_up_during_a_call_is_looked_at_after_it),
        cmocka_unit_test(what_no_honest_caller_sends_closes_the_connection),
        cmocka_unit_test(nobody_signs_in_twice_on_one_connection),
        cmocka_unit_test(half_a_request_is_not_waited_for_long),
        cmocka_unit_test(many_connections_share_a_few_threads),
        cmocka_unit_test(idle_connections_cost_no_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

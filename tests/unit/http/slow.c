/* slow.c - clients that are slow, stall, leave, or are still there at the stop. */
#include "http/door_test.h"

static int64_t ms_until_closed(int fd)
{
    int64_t start_ms = clock_now_ms();
    char block[512];
    while (client_read(fd, block, sizeof block))
        ;
    return clock_now_ms() - start_ms;
}

static void slow_headers_are_ended_at_their_limit(void **state)
{
    (void)state;
    app_start(&quick_config);
    int fd = client_connect();
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    int64_t start_ms = clock_now_ms();
    client_send(fd, "GET / HTTP/1.1\r\nHost: t\r\n");
    while (poll(&wanted, 1, 20) == 0 && clock_now_ms() - start_ms < PATIENCE_MS)
        (void)!send(fd, "X: y\r\n", 6, MSG_NOSIGNAL); /* never silent, never done */
    int64_t lived_ms = clock_now_ms() - start_ms;
    assert_in_range(lived_ms, 150, 2000);
    struct answer answer;
    answer_read(fd, &answer, true);
    assert_int_equal(answer.status, 408);
    assert_true(answer.whole);
    answer_clear(&answer);
    close(fd);
    assert_int_equal(atomic_load(&app.done), 0);
    app_stop();
}

static void a_connection_that_says_nothing_is_ended(void **state)
{
    (void)state;
    app_start(&quick_config);
    int fd = client_connect();
    assert_in_range(ms_until_closed(fd), 100, 2000);
    close(fd);
    app_stop();
}

static void a_slow_body_is_ended_at_its_limit(void **state)
{
    struct answer answer;
    (void)state;
    app_start(&quick_config);
    int fd = client_connect();
    int64_t start_ms = clock_now_ms();
    client_send(fd, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nabc");
    answer_read(fd, &answer, true);
    assert_in_range(clock_now_ms() - start_ms, 150, 2000);
    assert_int_equal(answer.status, 408);
    assert_true(answer.whole);
    assert_true(is_closed(fd));
    answer_clear(&answer);
    close(fd);
    wait_for(&app.done, 1);
    assert_int_equal(atomic_load(&app.last_status), 408);
    assert_int_equal(atomic_load(&app.handled), 0);
    app_stop();
}

/* Waiting for the application is no slowness of the client. */
static void a_slow_answer_is_waited_for(void **state)
{
    struct answer answer;
    (void)state;
    app_start(&quick_config);
    int fd = client_connect();
    client_send(fd, GET("/hang"));
    nap_ms(600);
    assert_int_equal(atomic_load(&app.left), 0);
    answer_hanging(200);
    answer_read(fd, &answer, true);
    assert_int_equal(answer.status, 200);
    answer_clear(&answer);
    nap_ms(300); /* keep-alive is not bound by the header limit either */
    ask(fd, GET("/x"), &answer);
    assert_int_equal(answer.status, 200);
    answer_clear(&answer);
    close(fd);
    app_stop();
}

static void a_client_that_leaves_is_told_once(void **state)
{
    (void)state;
    app_start(&quick_config);
    for (int i = 1; i <= 20; i++) {
        int fd = client_connect();
        if (i % 2) {
            struct answer answer;
            ask(fd, GET("/later"), &answer); /* the connection was watched before */
            answer_clear(&answer);
        }
        client_send(fd, GET("/hang") GET("/pipelined"));
        wait_for(&app.handled, i + (i + 1) / 2);
        nap_ms(3);
        close(fd);
        wait_for(&app.left, i);
    }
    wait_for(&app.workers, 0);
    assert_true(http_drain(app.server, clock_now_ms() + PATIENCE_MS));
    assert_int_equal(atomic_load(&app.left), 20);
    app_stop();
}

static void check_stream(const struct answer *answer, size_t length)
{
    assert_int_equal(answer->body.length, length);
    for (size_t i = 0; i < length; i++)
        if (answer->body.data[i] != stream_byte(i))
            fail_msg("byte %zu differs", i);
}

static void a_stream_arrives_whole(void **state)
{
    static const char *const requests[] = {GET("/stream"), GET("/stream?known"),
                                           GET("/stream?drip"), GET("/stream?known,drip")};
    struct answer answer;
    (void)state;
    app_start(&quick_config);
    int fd = client_connect();
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        ask(fd, requests[i], &answer);
        assert_true(answer.whole);
        check_stream(&answer, STREAM_BYTES);
        answer_clear(&answer);
        wait_for(&app.workers, 0);
        assert_int_equal(atomic_load(&app.stream_result), OK);
    }
    assert_true(http_drain(app.server, clock_now_ms() + PATIENCE_MS));
    assert_int_equal(atomic_load(&app.done_bytes), STREAM_BYTES);
    close(fd);
    app_stop();
}

static void start_on_unix_socket(const struct http_config *like)
{
    static char address[80];
    struct http_config config = *like;
    snprintf(address, sizeof address, "unix:/tmp/postern-slow-%d.sock", (int)getpid());
    config.listen = address;
    app_start(&config);
}

/* A unix socket, because the kernel buffers megabytes for a TCP reader on loopback. */
static void a_slow_reader_slows_the_writer(void **state)
{
    char block[32768];
    size_t total = 0;
    (void)state;
    start_on_unix_socket(&quick_config);
    int fd = client_connect();
    client_send(fd, GET("/stream"));
    for (int i = 0; i < 20; i++) {
        nap_ms(10);
        total += client_read(fd, block, sizeof block);
        long ahead = atomic_load(&app.written) - (long)total;
        assert_in_range(ahead, 0, 768 * 1024);
    }
    while (atomic_load(&app.workers) && client_read(fd, block, sizeof block))
        ;
    wait_for(&app.workers, 0);
    assert_int_equal(atomic_load(&app.stream_result), OK);
    close(fd);
    app_stop();
}

static void a_stalled_reader_is_ended(void **state)
{
    struct http_config config = quick_config;
    config.idle_timeout_ms = 1000;
    (void)state;
    start_on_unix_socket(&config);
    int fd = client_connect();
    client_send(fd, GET("/stream?known"));
    wait_for(&app.done, 1);
    wait_for(&app.workers, 0);
    assert_int_equal(atomic_load(&app.stream_result), ERR_CANCELLED);
    assert_in_range(atomic_load(&app.written), 1, STREAM_BYTES / 2);
    close(fd);
    app_stop();
}

static void a_broken_pipe_shows_as_a_cut_answer(void **state)
{
    static const char *const requests[] = {GET("/stream?break"), GET("/stream?known,break")};
    struct answer answer;
    (void)state;
    app_start(&quick_config);
    for (size_t i = 0; i < 2; i++) {
        int fd = client_connect();
        ask(fd, requests[i], &answer);
        assert_int_equal(answer.status, 200);
        assert_false(answer.whole);
        check_stream(&answer, answer.body.length);
        assert_in_range(answer.body.length, STREAM_BYTES / 2, STREAM_BYTES - 1);
        answer_clear(&answer);
        close(fd);
    }
    app_stop();
}

static void a_client_that_leaves_a_silent_stream_ends_it(void **state)
{
    char block[1024];
    size_t got = 0;
    (void)state;
    app_start(&quick_config);
    int fd = client_connect();
    client_send(fd, GET("/silence"));
    while (got < sizeof block - 1 && !memmem(block, got, "begun", 5))
        got += client_read(fd, block + got, sizeof block - got);
    nap_ms(20);
    close(fd);
    wait_for(&app.done, 1);
    wait_for(&app.workers, 0);
    assert_int_equal(atomic_load(&app.stream_result), ERR_CANCELLED);
    assert_int_equal(atomic_load(&app.left), 0);
    app_stop();
}

static void quiescing_refuses_what_is_new(void **state)
{
    struct answer answer;
    (void)state;
    app_start(&quick_config);
    int busy = client_connect(), idle = client_connect();
    ask(idle, GET("/x"), &answer);
    answer_clear(&answer);
    client_send(busy, GET("/hang"));
    wait_for(&app.handled, 2);
    http_quiesce(app.server);
    ask(idle, GET("/x"), &answer);
    assert_int_equal(answer.status, 503);
    assert_int_equal(atomic_load(&app.refused_code), ERR_SHUTTING_DOWN);
    answer_clear(&answer);
    assert_false(http_drain(app.server, clock_now_ms() + 50));
    answer_hanging(200);
    answer_read(busy, &answer, true);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer_header(&answer, "Connection"), "close");
    answer_clear(&answer);
    assert_true(http_drain(app.server, clock_now_ms() + PATIENCE_MS));
    close(busy);
    close(idle);
    app_stop();
}

static void stopping_cancels_what_hangs(void **state)
{
    struct http_stats stats;
    (void)state;
    app_start(&quick_config);
    int hanging = client_connect(), silent = client_connect(), reading = client_connect();
    client_send(hanging, GET("/hang"));
    client_send(silent, GET("/silence"));
    client_send(reading, GET("/stream"));
    wait_for(&app.handled, 3);
    nap_ms(50);
    http_stats(app.server, &stats);
    assert_int_equal(stats.connections, 3);
    assert_int_equal(stats.exchanges, 3);
    http_quiesce(app.server);
    assert_false(http_drain(app.server, clock_now_ms() + 20));
    http_cancel_all(app.server);
    assert_true(http_drain(app.server, clock_now_ms() + PATIENCE_MS));
    assert_int_equal(atomic_load(&app.left), 1);
    app_stop();
    assert_int_equal(atomic_load(&app.done), 3);
    close(hanging);
    close(silent);
    close(reading);
}

static void one_address_has_so_many_connections(void **state)
{
    struct http_config config = quick_config;
    struct answer answer;
    config.max_connections_per_address = 2;
    (void)state;
    app_start(&config);
    int first = client_connect(), second = client_connect();
    ask(first, GET("/x"), &answer);
    answer_clear(&answer);
    ask(second, GET("/x"), &answer);
    answer_clear(&answer);
    int third = client_connect();
    assert_true(is_closed(third));
    close(first);
    close(second);
    close(third);
    app_stop();
}

static void *hammer(void *argument)
{
    static const char *const requests[] = {GET("/raced"),        GET("/later"), GET("/x"),
                                           GET("/stream?known"), GET("/hang"),  GET("/stream")};
    size_t seed = (size_t)argument;
    for (size_t i = 0; i < 12; i++) {
        int fd = client_connect();
        char block[4096];
        const char *request = requests[(seed + i) % 6];
        client_send(fd, request);
        if (i % 3 != 2 && !strstr(request, "/hang"))
            client_read(fd, block, sizeof block);
        close(fd);
    }
    return NULL;
}

static void clients_that_come_and_go_leave_nothing_behind(void **state)
{
    pthread_t threads[4];
    (void)state;
    app_start(&quick_config);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *)i), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    int64_t deadline_ms = clock_now_ms() + PATIENCE_MS;
    while (!http_drain(app.server, clock_now_ms() + 50) && clock_now_ms() < deadline_ms)
        answer_hanging(200);
    assert_true(http_drain(app.server, clock_now_ms()));
    app_stop();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_headers_are_ended_at_their_limit),
        cmocka_unit_test(a_connection_that_says_nothing_is_ended),
        cmocka_unit_test(a_slow_body_is_ended_at_its_limit),
        cmocka_unit_test(a_slow_answer_is_waited_for),
        cmocka_unit_test(a_client_that_leaves_is_told_once),
        cmocka_unit_test(a_stream_arrives_whole),
        cmocka_unit_test(a_slow_reader_slows_the_writer),
        cmocka_unit_test(a_stalled_reader_is_ended),
        cmocka_unit_test(a_broken_pipe_shows_as_a_cut_answer),
        cmocka_unit_test(a_client_that_leaves_a_silent_stream_ends_it),
        cmocka_unit_test(quiescing_refuses_what_is_new),
        cmocka_unit_test(stopping_cancels_what_hangs),
        cmocka_unit_test(one_address_has_so_many_connections),
        cmocka_unit_test(clients_that_come_and_go_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

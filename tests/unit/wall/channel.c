/* The channel over a socket pair whose other end writes what it likes, when it likes. */
#include "frame.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LATE_MS     2000 /* what a loaded machine may add */
#define PATIENCE_MS 10000

struct pair {
    struct channel near;
    int far;
};

static int pair_start(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    channel_init(&pair->near, fds[0]);
    pair->far = fds[1];
    *state = pair;
    return 0;
}

static int pair_end(void **state)
{
    struct pair *pair = *state;
    channel_clear(&pair->near);
    if (pair->far >= 0)
        close(pair->far);
    free(pair);
    return 0;
}

static struct channel_wait patience(int64_t ms)
{
    return (struct channel_wait){.deadline_ms = clock_now_ms() + ms};
}

/* Header and payload as the wire has them; nothing of pack.c. */
static size_t make_frame(char *out, uint32_t length, uint16_t kind, uint16_t call,
                         const char *payload)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (char)(length >> (8 * i));
    for (unsigned i = 0; i < 2; i++) {
        out[4 + i] = (char)(kind >> (8 * i));
        out[6 + i] = (char)(call >> (8 * i));
    }
    if (payload)
        memcpy(out + FRAME_HEADER_BYTES, payload, length);
    return FRAME_HEADER_BYTES + length;
}

/* What the far end does on a thread of its own. */
struct far_end {
    int fd;
    const char *data;
    size_t length, step; /* bytes at a time */
    useconds_t pause_us; /* between them */
};

static void *write_slowly(void *argument)
{
    const struct far_end *far = argument;
    size_t at = 0;
    while (at < far->length) {
        size_t take = far->length - at < far->step ? far->length - at : far->step;
        ssize_t moved = send(far->fd, far->data + at, take, MSG_NOSIGNAL);
        if (moved > 0)
            at += (size_t)moved;
        else if (errno != EAGAIN)
            break;
        if (moved < 0 || far->pause_us)
            usleep(far->pause_us + 100);
    }
    return NULL;
}

static void says(struct pair *pair, const char *data, size_t length)
{
    assert_int_equal(send(pair->far, data, length, MSG_NOSIGNAL), (ssize_t)length);
}

static enum err read_one(struct pair *pair, int64_t ms, struct frame *out)
{
    struct channel_wait wait = patience(ms);
    return channel_read(&pair->near, &wait, FRAME_FACTS, FRAME_ANSWERS_END, out);
}

static void assert_frame(struct pair *pair, uint16_t kind, uint16_t call, const char *payload)
{
    struct frame frame;
    assert_int_equal(read_one(pair, PATIENCE_MS, &frame), OK);
    assert_int_equal(frame.kind, kind);
    assert_int_equal(frame.call, call);
    assert_int_equal(frame.length, strlen(payload));
    assert_memory_equal(frame.payload, payload, frame.length);
}

/* ---- reading ---- */

static void frames_come_out_as_they_went_in(void **state)
{
    char wire[128];
    size_t length = make_frame(wire, 5, FRAME_BYTES, 7, "hello");
    length += make_frame(wire + length, 0, FRAME_FLAGS, 7, "");
    length += make_frame(wire + length, 3, FRAME_END, 0xabcd, "bye");
    says(*state, wire, length);
    assert_frame(*state, FRAME_BYTES, 7, "hello");
    assert_frame(*state, FRAME_FLAGS, 7, "");
    assert_frame(*state, FRAME_END, 0xabcd, "bye");
    assert_true(channel_rest(&((struct pair *)*state)->near, false));
}

static void bytes_may_arrive_one_by_one(void **state)
{
    struct pair *pair = *state;
    char wire[64];
    pthread_t thread;
    size_t length = make_frame(wire, 5, FRAME_BYTES, 1, "drops");
    length += make_frame(wire + length, 3, FRAME_END, 1, "end");
    struct far_end far = {
        .fd = pair->far, .data = wire, .length = length, .step = 1, .pause_us = 500};
    pthread_create(&thread, NULL, write_slowly, &far);
    assert_frame(pair, FRAME_BYTES, 1, "drops");
    assert_frame(pair, FRAME_END, 1, "end");
    pthread_join(thread, NULL);
}

/* Frames of every size that matters to the buffer, many of them, in one stream. */
static void large_and_small_frames_mix(void **state)
{
    static const uint32_t sizes[] = {
        1, 65527, 65528, 65529, 3, FRAME_BYTES_MAX, 0, 40000, 40000, FRAME_BYTES_MAX - 1, 70000, 9};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    struct pair *pair = *state;
    size_t total = 0;
    pthread_t thread;
    char *payload = malloc(FRAME_BYTES_MAX), *wire = malloc(4 * (size_t)FRAME_BYTES_MAX);
    for (size_t i = 0; i < FRAME_BYTES_MAX; i++)
        payload[i] = (char)(i * 31 + i / 251);
    for (uint16_t i = 0; i < COUNT; i++)
        total += make_frame(wire + total, sizes[i], FRAME_BYTES, i, payload);
    struct far_end far = {.fd = pair->far, .data = wire, .length = total, .step = 100000};
    pthread_create(&thread, NULL, write_slowly, &far);
    for (uint16_t i = 0; i < COUNT; i++) {
        struct frame frame;
        assert_int_equal(read_one(pair, PATIENCE_MS, &frame), OK);
        assert_int_equal(frame.call, i);
        assert_int_equal(frame.length, sizes[i]);
        assert_int_equal(memcmp(frame.payload, payload, frame.length), 0);
        assert_true(pair->near.in_size <= FRAME_HEADER_BYTES + (size_t)FRAME_BYTES_MAX);
    }
    pthread_join(thread, NULL);
    assert_true(channel_rest(&pair->near, false));
    free(payload);
    free(wire);
}

static void a_header_is_judged_before_memory_is_given_to_it(void **state)
{
    struct pair *pair = *state;
    char wire[FRAME_HEADER_BYTES];
    struct frame frame;
    make_frame(wire, FRAME_BYTES_MAX + 1, FRAME_BYTES, 1, NULL);
    says(pair, wire, sizeof wire);
    assert_int_equal(read_one(pair, PATIENCE_MS, &frame), ERR_PROTOCOL);
    assert_true(pair->near.in_size <= 64 * 1024);
}

static void a_kind_of_the_other_direction_is_refused(void **state)
{
    static const uint16_t kinds[] = {0, FRAME_NOOP, FRAME_FACTS - 1, FRAME_ANSWERS_END, 0xffff};
    struct pair *pair = *state;
    struct frame frame;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char wire[FRAME_HEADER_BYTES];
        says(pair, wire, make_frame(wire, 0, kinds[i], 1, ""));
        assert_int_equal(read_one(pair, PATIENCE_MS, &frame), ERR_PROTOCOL);
        channel_rest(&pair->near, false);
    }
}

static void an_end_anywhere_is_the_workers_end(void **state)
{
    (void)state;
    char wire[32];
    size_t length = make_frame(wire, 5, FRAME_BYTES, 1, "hello");
    for (size_t cut = 0; cut < length; cut++) {
        struct pair *pair;
        struct frame frame;
        assert_int_equal(pair_start((void **)&pair), 0);
        if (cut > 0)
            says(pair, wire, cut);
        close(pair->far);
        pair->far = -1;
        assert_int_equal(read_one(pair, PATIENCE_MS, &frame), ERR_WORKER);
        pair_end((void **)&pair);
    }
}

/* ---- waiting ---- */

static void a_silent_end_is_left_at_the_deadline(void **state)
{
    struct frame frame;
    int64_t start_ms = clock_now_ms();
    assert_int_equal(read_one(*state, 120, &frame), ERR_TIMEOUT);
    assert_in_range(clock_now_ms() - start_ms, 119, 120 + LATE_MS);
}

static void an_end_that_never_pauses_is_left_at_the_deadline_too(void **state)
{
    struct pair *pair = *state;
    size_t length = 512 * FRAME_HEADER_BYTES;
    char *wire = malloc(length);
    pthread_t thread;
    struct frame frame;
    enum err err = OK;
    for (size_t i = 0; i < 512; i++)
        make_frame(wire + i * FRAME_HEADER_BYTES, 0, FRAME_BYTES, 1, "");
    struct far_end far = {
        .fd = pair->far, .data = wire, .length = length, .step = 64, .pause_us = 20000};
    pthread_create(&thread, NULL, write_slowly, &far);
    struct channel_wait wait = patience(150);
    while (!err)
        err = channel_read(&pair->near, &wait, FRAME_FACTS, FRAME_ANSWERS_END, &frame);
    assert_int_equal(err, ERR_TIMEOUT);
    shutdown(pair->far, SHUT_RDWR);
    pthread_join(thread, NULL);
    free(wire);
}

static void *set_later(void *flag)
{
    usleep(60000);
    __atomic_store_n((volatile bool *)flag, true, __ATOMIC_RELAXED);
    return NULL;
}

static void a_flag_ends_the_wait_soon(void **state)
{
    struct pair *pair = *state;
    volatile bool cancelled = false;
    struct channel_wait wait = patience(PATIENCE_MS);
    struct frame frame;
    pthread_t thread;
    wait.cancelled = &cancelled;
    int64_t start_ms = clock_now_ms();
    pthread_create(&thread, NULL, set_later, (void *)&cancelled);
    assert_int_equal(channel_read(&pair->near, &wait, FRAME_FACTS, FRAME_ANSWERS_END, &frame),
                     ERR_CANCELLED);
    assert_in_range(clock_now_ms() - start_ms, 50, 110 + LATE_MS);
    pthread_join(thread, NULL);
}

static void *shut_later(void *channel)
{
    usleep(60000);
    shutdown(((struct channel *)channel)->fd, SHUT_RDWR);
    return NULL;
}

static void a_shutdown_from_another_thread_ends_the_wait(void **state)
{
    struct pair *pair = *state;
    struct channel_wait wait = {.deadline_ms = DEADLINE_NONE};
    struct frame frame;
    pthread_t thread;
    pthread_create(&thread, NULL, shut_later, &pair->near);
    assert_int_equal(channel_read(&pair->near, &wait, FRAME_FACTS, FRAME_ANSWERS_END, &frame),
                     ERR_WORKER);
    pthread_join(thread, NULL);
}

/* ---- sending ---- */

struct reader {
    int fd;
    size_t wanted, got;
    char *data;
};

static void *read_slowly(void *argument)
{
    struct reader *reader = argument;
    while (reader->got < reader->wanted) {
        size_t room = reader->wanted - reader->got;
        ssize_t moved =
            recv(reader->fd, reader->data + reader->got, room < 50000 ? room : 50000, MSG_DONTWAIT);
        if (moved > 0)
            reader->got += (size_t)moved;
        else if (moved == 0 || errno != EAGAIN)
            break;
        usleep(200);
    }
    return NULL;
}

static void more_than_the_socket_holds_is_sent_whole(void **state)
{
    struct pair *pair = *state;
    struct channel_wait wait = patience(PATIENCE_MS);
    size_t length = 3 * 1024 * 1024;
    char *data = malloc(length);
    pthread_t thread;
    for (size_t i = 0; i < length; i++)
        data[i] = (char)(i * 7 + i / 255);
    struct reader reader = {.fd = pair->far, .wanted = length, .data = malloc(length)};
    buf_append(&pair->near.out, data, length);
    pthread_create(&thread, NULL, read_slowly, &reader);
    assert_int_equal(channel_flush(&pair->near, &wait), OK);
    pthread_join(thread, NULL);
    assert_int_equal(reader.got, length);
    assert_int_equal(memcmp(reader.data, data, length), 0);
    assert_true(channel_rest(&pair->near, false));
    free(reader.data);
    free(data);
}

static void a_reader_that_stopped_is_left_at_the_deadline(void **state)
{
    struct pair *pair = *state;
    struct channel_wait wait = patience(100);
    for (int i = 0; i < 3 * 1024; i++)
        buf_printf(&pair->near.out, "%1024d", i);
    assert_int_equal(channel_flush(&pair->near, &wait), ERR_TIMEOUT);
    assert_false(channel_rest(&pair->near, false)); /* something was left */
}

static void a_reader_that_left_is_no_signal(void **state)
{
    struct pair *pair = *state;
    struct channel_wait wait = patience(PATIENCE_MS);
    close(pair->far);
    pair->far = -1;
    buf_append(&pair->near.out, "lost", 4);
    assert_int_equal(channel_flush(&pair->near, &wait), ERR_WORKER);
}

/* ---- at rest ---- */

static void stale_bytes_are_noticed_at_rest(void **state)
{
    struct pair *pair = *state;
    char wire[64];
    size_t length = make_frame(wire, 3, FRAME_END, 1, "end");
    wire[length++] = 'x';
    says(pair, wire, length);
    assert_frame(pair, FRAME_END, 1, "end");
    assert_false(channel_rest(&pair->near, false));
    assert_true(channel_rest(&pair->near, false)); /* they are gone now */
}

static void an_idle_channel_holds_no_memory(void **state)
{
    struct pair *pair = *state;
    struct channel_wait wait = patience(PATIENCE_MS);
    char wire[64];
    buf_append(&pair->near.out, "secret", 6);
    assert_int_equal(channel_flush(&pair->near, &wait), OK);
    says(pair, wire, make_frame(wire, 3, FRAME_END, 1, "end"));
    assert_frame(pair, FRAME_END, 1, "end");
    assert_true(channel_rest(&pair->near, true));
    assert_null(pair->near.in);
    assert_null(pair->near.out.data);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_start, pair_end)
    const struct CMUnitTest tests[] = {
        TEST(frames_come_out_as_they_went_in),
        TEST(bytes_may_arrive_one_by_one),
        TEST(large_and_small_frames_mix),
        TEST(a_header_is_judged_before_memory_is_given_to_it),
        TEST(a_kind_of_the_other_direction_is_refused),
        cmocka_unit_test(an_end_anywhere_is_the_workers_end),
        TEST(a_silent_end_is_left_at_the_deadline),
        TEST(an_end_that_never_pauses_is_left_at_the_deadline_too),
        TEST(a_flag_ends_the_wait_soon),
        TEST(a_shutdown_from_another_thread_ends_the_wait),
        TEST(more_than_the_socket_holds_is_sent_whole),
        TEST(a_reader_that_stopped_is_left_at_the_deadline),
        TEST(a_reader_that_left_is_no_signal),
        TEST(stale_bytes_are_noticed_at_rest),
        TEST(an_idle_channel_holds_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

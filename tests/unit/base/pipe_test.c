/* pipe_test.c - the bounded ring between a writing and a reading thread. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "pipe.h"

#define TOTAL_BYTES 300000

struct two_sides {
    struct pipe *pipe;
    sem_t ready;
    size_t step;
    int stall_ms;
    enum err end_with, wrote;
    int woken;
};

static void wake(void *argument)
{
    struct two_sides *sides = argument;
    __atomic_add_fetch(&sides->woken, 1, __ATOMIC_RELAXED);
    sem_post(&sides->ready);
}

static void *write_all(void *argument)
{
    struct two_sides *sides = argument;
    struct pipe *pipe = sides->pipe;
    struct pipe_sink sink;
    char data[5000];
    enum err err = OK;
    pipe_sink_init(&sink, pipe, sides->stall_ms);
    for (size_t at = 0; at < TOTAL_BYTES && !err;) {
        size_t take = sides->step < TOTAL_BYTES - at ? sides->step : TOTAL_BYTES - at;
        for (size_t i = 0; i < take; i++)
            data[i] = (char)((at + i) * 31 >> 3);
        err = sink_write(&sink.sink, data, take);
        at += take;
    }
    sides->wrote = err;
    pipe_end(pipe, err ? err : sides->end_with);
    pipe_drop(&pipe);
    return NULL;
}

static void start(struct two_sides *sides, size_t capacity, pthread_t *thread)
{
    sides->pipe = pipe_new(capacity);
    sem_init(&sides->ready, 0, 0);
    pipe_on_ready(sides->pipe, wake, sides);
    pthread_create(thread, NULL, write_all, sides);
}

static void bytes_arrive_in_order(void **state)
{
    (void)state;
    static const size_t capacities[] = {1, 7, 4096, 65536}, steps[] = {1, 13, 5000};
    for (size_t c = 1; c < 4; c++) {
        for (size_t s = 1; s < 3; s++) {
            struct two_sides sides = {.step = steps[s], .stall_ms = 10000};
            pthread_t thread;
            char out[3000];
            size_t at = 0;
            ssize_t got;
            start(&sides, capacities[c], &thread);
            while ((got = pipe_read(sides.pipe, out, sizeof out)) != PIPE_ENDED) {
                if (got == PIPE_EMPTY) {
                    sem_wait(&sides.ready);
                    continue;
                }
                assert_true(got > 0);
                for (ssize_t i = 0; i < got; i++, at++)
                    if (out[i] != (char)(at * 31 >> 3))
                        fail_msg("byte %zu differs", at);
            }
            assert_int_equal(at, TOTAL_BYTES);
            pthread_join(thread, NULL);
            assert_int_equal(sides.wrote, OK);
            pipe_drop(&sides.pipe);
            assert_null(sides.pipe);
        }
    }
}

static void what_was_written_is_read_before_the_stream_is_broken(void **state)
{
    (void)state;
    struct pipe *pipe = pipe_new(16);
    char out[16];
    assert_int_equal(pipe_write(pipe, "abc", 3, 100), OK);
    pipe_end(pipe, ERR_TIMEOUT);
    assert_int_equal(pipe_read(pipe, out, 16), 3);
    assert_int_equal(pipe_read(pipe, out, 16), PIPE_BROKEN);
    assert_int_equal(pipe_read(pipe, out, 16), PIPE_BROKEN);
    struct pipe *other = pipe;
    pipe_drop(&other);
    pipe_drop(&pipe);
    pipe_drop(&pipe);
}

static void a_stalled_reader_times_the_writer_out(void **state)
{
    (void)state;
    struct pipe *pipe = pipe_new(4);
    struct pipe *other = pipe;
    int64_t start_ms = clock_now_ms();
    assert_int_equal(pipe_write(pipe, "abcdef", 6, 60), ERR_TIMEOUT);
    int64_t took_ms = clock_now_ms() - start_ms;
    assert_true(took_ms >= 55 && took_ms < 2000);
    pipe_end(pipe, ERR_TIMEOUT);
    pipe_drop(&pipe);
    pipe_drop(&other);
}

static void a_reader_that_leaves_ends_a_blocked_write(void **state)
{
    (void)state;
    struct two_sides sides = {.step = 5000, .stall_ms = 20000};
    pthread_t thread;
    char out[10];
    start(&sides, 64, &thread);
    while (pipe_read(sides.pipe, out, sizeof out) == PIPE_EMPTY)
        sem_wait(&sides.ready);
    int64_t start_ms = clock_now_ms();
    pipe_leave(sides.pipe);
    pthread_join(thread, NULL);
    assert_true(clock_now_ms() - start_ms < 5000);
    assert_int_equal(sides.wrote, ERR_CANCELLED);
    pipe_drop(&sides.pipe);
}

static void a_reader_is_woken_once_for_each_empty(void **state)
{
    (void)state;
    struct two_sides sides = {.pipe = pipe_new(64)};
    struct pipe *other = sides.pipe;
    char out[8];
    sem_init(&sides.ready, 0, 0);
    pipe_on_ready(sides.pipe, wake, &sides);
    pipe_write(sides.pipe, "a", 1, 10);
    assert_int_equal(sides.woken, 0);
    assert_int_equal(pipe_read(sides.pipe, out, 8), 1);
    assert_int_equal(pipe_read(sides.pipe, out, 8), PIPE_EMPTY);
    pipe_write(sides.pipe, "b", 1, 10);
    pipe_write(sides.pipe, "c", 1, 10);
    assert_int_equal(sides.woken, 1);
    assert_int_equal(pipe_read(sides.pipe, out, 8), 2);
    assert_int_equal(pipe_read(sides.pipe, out, 8), PIPE_EMPTY);
    pipe_end(sides.pipe, OK);
    assert_int_equal(sides.woken, 2);
    assert_int_equal(pipe_read(sides.pipe, out, 8), PIPE_ENDED);
    pipe_drop(&sides.pipe);
    pipe_drop(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(what_was_written_is_read_before_the_stream_is_broken),
        cmocka_unit_test(a_stalled_reader_times_the_writer_out),
        cmocka_unit_test(a_reader_that_leaves_ends_a_blocked_write),
        cmocka_unit_test(a_reader_is_woken_once_for_each_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

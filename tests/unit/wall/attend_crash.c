/* attend_crash.c - the crash switch does what it is told, where and when it is told. */
#include "attend_support.h"
#include "crash.h"

#ifndef NDEBUG

#include <signal.h>
#include <sys/wait.h>

/* What becomes of a process that passes the point so often. */
static int pass(const char *text, const char *point, const char *host, int times)
{
    pid_t child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        signal(SIGSEGV, SIG_DFL); /* cmocka's would go on with the next test */
        signal(SIGABRT, SIG_DFL);
        if (!crash_set(text))
            _exit(9);
        bool lies = false;
        for (int i = 0; i < times; i++)
            lies |= crash_point(point, host);
        _exit(lies ? 8 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void a_crash_comes_at_its_point_host_and_count_only(void **state)
{
    (void)state;
    assert_int_equal(pass("call:exit", "call", HOST, 1), 3);
    assert_int_equal(pass("call:exit", "open", HOST, 1), 0);
    assert_int_equal(pass("call:exit@" HOST, "call", HOST, 1), 3);
    assert_int_equal(pass("call:exit@" HOST, "call", "other.test", 1), 0);
    assert_int_equal(pass("call:exit@::1*3", "call", "::1", 2), 0);
    assert_int_equal(pass("call:exit@::1*3", "call", "::1", 3), 3);
    assert_int_equal(pass("bytes:kill", "bytes", HOST, 1), 128 + SIGKILL);
    assert_int_equal(pass("bytes:abort", "bytes", HOST, 1), 128 + SIGABRT);
    assert_int_equal(pass("bytes", "bytes", HOST, 1), 128 + SIGSEGV);
    assert_int_equal(pass("end:lie", "end", HOST, 1), 8);
    assert_int_equal(pass("end:open", "end", HOST, 1), 0);
}

static void a_switch_that_cannot_be_read_is_refused(void **state)
{
    (void)state;
    assert_int_equal(pass("nowhere", "open", HOST, 1), 9);
    assert_int_equal(pass("open:dance", "open", HOST, 1), 9);
    assert_int_equal(pass("open:exit*no", "open", HOST, 1), 9);
}

static void a_lie_is_not_taken_for_an_answer(void **state)
{
    struct fixture fixture;
    struct channel_wait wait = wait_long();
    struct answer answer;
    struct frame frame;
    (void)state;
    fixture_open(&fixture, 4);
    deliver(&fixture, 3);
    struct near near = near_ready(&fixture);
    assert_true(crash_set("record:lie"));
    near_ask(&near, request_of(FRAME_SYNC));
    assert_true(near_take(&near, FRAME_SYNC, &answer));
    assert_int_equal(answer.kind, FRAME_FACTS);
    assert_int_equal(channel_read(&near.channel, &wait, FRAME_FACTS, FRAME_ANSWERS_END, &frame),
                     OK);
    assert_int_equal(frame.kind, FRAME_MESSAGE);
    assert_false(take_answer(&frame, FRAME_SYNC, &near.arena, &answer));
    near_close(&near);
    fixture_close(&fixture);
    assert_true(crash_set(NULL));
}

/* A parser that never comes back: its near end has gone, and nobody can end a thread. */
static void a_call_that_does_not_hear_its_cancel_ends_the_process(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct fixture fixture;
        (void)!freopen("/dev/null", "w", stderr);
        signal(SIGABRT, SIG_DFL);
        fixture_open_hung(&fixture, 4, 200);
        struct near near = near_ready(&fixture);
        crash_set("call:hang");
        near_ask(&near, request_of(FRAME_NOOP));
        usleep(100 * 1000); /* it computes */
        near_close(&near);
        sleep(20);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_does_not_hear_its_cancel_ends_the_process),
        cmocka_unit_test(a_crash_comes_at_its_point_host_and_count_only),
        cmocka_unit_test(a_switch_that_cannot_be_read_is_refused),
        cmocka_unit_test(a_lie_is_not_taken_for_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif

/* wait.c - see wait.h. */
#include "wait.h"

#include "clock.h"

#include <limits.h>
#include <poll.h>
#include <stddef.h>

static bool is_set(const volatile bool *flag)
{
    return flag && __atomic_load_n(flag, __ATOMIC_RELAXED);
}

enum waited wait_check(const volatile bool *cancelled, int64_t deadline_ms)
{
    if (is_set(cancelled))
        return WAITED_CANCELLED;
    if (deadline_ms != DEADLINE_NONE && clock_now_ms() >= deadline_ms)
        return WAITED_TIMEOUT;
    return WAITED_READY;
}

enum waited wait_for(const struct wait *wait, short events)
{
    struct pollfd polled[2] = {
        {.fd = wait->fd, .events = events},
        {.fd = wait->cancel_fd, .events = POLLIN}, /* poll() skips a negative fd */
    };
    for (;;) {
        enum waited waited = wait_check(wait->cancelled, wait->deadline_ms);
        if (waited != WAITED_READY)
            return waited;
        int most_ms = wait->cancelled ? WAIT_FLAG_MS : INT_MAX;
        if (poll(polled, 2, clock_left_ms(wait->deadline_ms, most_ms)) <= 0)
            continue; /* time passed, or a signal: both are looked at above */
        if (polled[1].revents)
            return WAITED_CANCELLED;
        if (polled[0].revents)
            return WAITED_READY;
    }
}

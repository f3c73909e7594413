/* wait.h - one file descriptor, until it is ready, the deadline passes or somebody cancels. poll(),
 * so the number of a descriptor does not matter. */
#ifndef POSTERN_WAIT_H
#define POSTERN_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* How late a flag that nobody can be woken by is noticed. */
#define WAIT_FLAG_MS 50

enum waited { WAITED_READY, WAITED_TIMEOUT, WAITED_CANCELLED };

struct wait {
    int fd;
    int cancel_fd;                  /* readable: cancelled; -1: none */
    const volatile bool *cancelled; /* looked at every WAIT_FLAG_MS; may be NULL */
    int64_t deadline_ms;
};

/* `events` as for poll(). READY also on error and hang-up: the next call on fd tells. */
enum waited wait_for(const struct wait *wait, short events);

/* Without waiting: READY means go on. */
enum waited wait_check(const volatile bool *cancelled, int64_t deadline_ms);

#endif

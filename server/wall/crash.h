/* crash.h - a switch that lets a worker fail at a chosen point, so that tests can see what becomes
 * of everybody else. Not there in release builds.
 *
 * POSTERN_CRASH="point[:action][@host][*count]", read when the program starts. Points, each passed
 * with the mail server's name:
 *
 *   open    a sign-in was asked for       call    any other call was asked for
 *   record  its first record was sent     bytes   its first content was sent
 *   end     all but FRAME_END was written
 *
 * Actions: segv (when none is named), abort, kill, exit, hang (30 s of computing), memory (until
 * there is none), exec, open, socket (each logged as "crash.exec", ... with the errno, 0 for
 * success), lie (a malformed record). With a count, it happens only when the point is reached for
 * the count-th time in this process; else each time.
 */
#ifndef POSTERN_CRASH_H
#define POSTERN_CRASH_H

#include <stdbool.h>

#ifndef NDEBUG

bool crash_set(const char *text);                       /* NULL: off; false when malformed */
bool crash_awaits(const char *point, const char *host); /* might crash_point do something? */
bool crash_point(const char *point, const char *host);  /* true: the caller has to lie */

#else

static inline bool crash_awaits(const char *point, const char *host)
{
    (void)point;
    (void)host;
    return false;
}

static inline bool crash_point(const char *point, const char *host)
{
    (void)point;
    (void)host;
    return false;
}

#endif
#endif

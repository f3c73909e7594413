/* attend.h - the far side of the wall: a worker's connections, and the threads that serve their
 * calls.
 *
 * All connections stand in one epoll set. A thread that takes a call from it runs that call itself
 * (no hand-over), after it has made sure that another thread waits in its place. An idle connection
 * costs no thread. The near end's shutdown() is the cancel: from any thread, at any time, it ends
 * the running call and the connection. When the mail server hangs up on an idle connection its
 * channel is closed, so that the near end sees it by poll().
 */
#ifndef POSTERN_ATTEND_H
#define POSTERN_ATTEND_H

#include "backend.h"

struct attendance;

struct attendance_config {
    const struct backend_world *world;    /* borrowed */
    const struct backend_ops *const *ops; /* PROTOCOL_COUNT of them; NULL: not offered */
    uint32_t threads_max;
    int hung_ms; /* a call that goes on so long after its cancel ends the process; 0: never */
};

struct attendance *attendance_new(const struct attendance_config *config);
/* Both descriptors are taken over. The first frame on the channel is FRAME_OPEN. */
void attendance_adopt(struct attendance *attendance, int channel_fd, int socket_fd);
void attendance_touch(struct attendance *attendance); /* does not return when it is dead-locked */
void attendance_stop(
    struct attendance **attendance); /* cancels all, waits for the threads; for tests */

#endif

/* crew.h - which worker a connection is in, and what becomes of it when that worker dies.
 *
 * proxy.c asks for a berth and learns nothing of processes; crew.c, quarantine.c and spawn.c know
 * nothing of calls.
 */
#ifndef POSTERN_CREW_H
#define POSTERN_CREW_H

#include "frame.h"
#include "wall.h"

#include <sys/socket.h>

struct berth; /* one connection's place in one worker */

struct passenger {
    const char *host, *username; /* together they choose the worker, so that TLS can resume */
    const struct sockaddr_storage *peer; /* whom the socket is connected to */
    int socket;                          /* handed over: closed here in any case */
};

/* Finds a worker (waits for one that is being started), hands it the socket, and gives the near end
 * of the connection's channel. ERR_WORKER with retry_after_s while the host's quarantine pauses;
 * ERR_TIMEOUT, ERR_CANCELLED, ERR_BUSY (no descriptors). */
enum err crew_board(struct wall *wall, const struct passenger *passenger,
                    const struct channel_wait *wait, struct fault *fault, struct berth **out,
                    int *channel_fd);
/* A call is under way: whose worker crashes now is suspected. False once the call's FRAME_END was
 * read, and not when a call ended otherwise (time-out, cancel, end of the channel): the worker may
 * still be at it, or dead without that being known yet. Any thread. */
void crew_busy(struct berth *berth, bool busy);
/* The worker wrote what no honest one writes: it is ended, and this host alone is blamed. */
void crew_accuse(struct berth *berth, const char *what);
/* Before the channel is closed. `lost`: it ended by itself; this then finds out whether the worker
 * is dead, so that whoever tries again is not given the same one. */
void crew_leave(struct berth **berth, bool lost);

#endif

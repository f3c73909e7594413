/* attend_hung.h - calls that compute for ever. The near end gives a call up when its time is over;
 * one that does not hear of it is stuck in a parser. A thread cannot be ended from outside, a
 * process can. Whoever calls holds the attendance's lock.
 */
#ifndef POSTERN_ATTEND_HUNG_H
#define POSTERN_ATTEND_HUNG_H

#include "attend_inner.h"
#include "attend_slots.h"

struct hung_watch {
    int patience_ms; /* after a call was given up; 0: no watch */
    int64_t look_ms; /* when to look; 0: nothing was given up */
};

void hung_watch_note(struct hung_watch *watch, struct connection *connection);
/* Ends the process when a call is hung. */
void hung_watch_look(struct hung_watch *watch, const struct attend_slots *slots);
int hung_watch_left_ms(const struct hung_watch *watch); /* for epoll_wait: -1 for ever */

#endif

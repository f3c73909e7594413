/* attend_slots.h - which connection an event is about: a slot and its generation, so that an event
 * that comes late for one connection never reaches the next. Whoever calls holds a lock.
 */
#ifndef POSTERN_ATTEND_SLOTS_H
#define POSTERN_ATTEND_SLOTS_H

#include <stdint.h>

struct connection;

struct attend_slot {
    struct connection *connection; /* borrowed; NULL: free */
    uint32_t generation, next_free;
};

struct attend_slots {
    struct attend_slot *items; /* owned */
    uint32_t count, first_free;
};

/* For epoll_event.data: slot, generation, and which of a connection's two descriptors. */
#define ATTEND_CHANNEL 0u
#define ATTEND_SOCKET  1u
#define ATTEND_WAKE    UINT64_MAX /* no connection's: there are never so many slots */
uint64_t attend_token(uint32_t slot, uint32_t generation, unsigned which);

void attend_slots_init(struct attend_slots *slots);
void attend_slots_clear(struct attend_slots *slots);
void attend_slots_take(struct attend_slots *slots, struct connection *connection);
void attend_slots_give(struct attend_slots *slots, const struct connection *connection);
struct connection *attend_slots_find(const struct attend_slots *slots, uint64_t token);

#endif

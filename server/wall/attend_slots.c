/* attend_slots.c - see attend_slots.h. Slots are used again, last given first. */
#include "attend_slots.h"

#include "attend_inner.h"

#include <assert.h>
#include <stdlib.h>

#define GENERATIONS   0x7fffffffu
#define SLOT_NONE     UINT32_MAX
#define SLOTS_AT_ONCE 64

uint64_t attend_token(uint32_t slot, uint32_t generation, unsigned which)
{
    return (uint64_t)slot << 32 | generation << 1 | which;
}

void attend_slots_init(struct attend_slots *slots)
{
    *slots = (struct attend_slots){.first_free = SLOT_NONE};
}

void attend_slots_clear(struct attend_slots *slots)
{
    free(slots->items);
    attend_slots_init(slots);
}

static void grow(struct attend_slots *slots)
{
    uint32_t count = slots->count + SLOTS_AT_ONCE;
    slots->items = xrealloc(slots->items, count * sizeof *slots->items);
    for (uint32_t i = count; i-- > slots->count;) {
        slots->items[i] = (struct attend_slot){.next_free = slots->first_free};
        slots->first_free = i;
    }
    slots->count = count;
}

void attend_slots_take(struct attend_slots *slots, struct connection *connection)
{
    if (slots->first_free == SLOT_NONE)
        grow(slots);
    connection->slot = slots->first_free;
    struct attend_slot *slot = &slots->items[connection->slot];
    slots->first_free = slot->next_free;
    connection->generation = slot->generation;
    slot->connection = connection;
}

void attend_slots_give(struct attend_slots *slots, const struct connection *connection)
{
    struct attend_slot *slot = &slots->items[connection->slot];
    assert(slot->connection == connection);
    *slot = (struct attend_slot){.generation = (slot->generation + 1) & GENERATIONS,
                                 .next_free = slots->first_free};
    slots->first_free = connection->slot;
}

struct connection *attend_slots_find(const struct attend_slots *slots, uint64_t token)
{
    uint32_t at = (uint32_t)(token >> 32);
    if (at >= slots->count)
        return NULL;
    const struct attend_slot *slot = &slots->items[at];
    return slot->generation == (uint32_t)token >> 1 ? slot->connection : NULL;
}

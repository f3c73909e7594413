/* attend_hung.c - see attend_hung.h. */
#include "attend_hung.h"

#include "log.h"

#include <limits.h>
#include <stdlib.h>

void hung_watch_note(struct hung_watch *watch, struct connection *connection)
{
    if (!watch->patience_ms)
        return;
    connection->hung_ms = clock_now_ms() + watch->patience_ms;
    if (!watch->look_ms)
        watch->look_ms = connection->hung_ms;
}

void hung_watch_look(struct hung_watch *watch, const struct attend_slots *slots)
{
    int64_t now_ms = clock_now_ms(), next_ms = 0;
    if (!watch->look_ms || now_ms < watch->look_ms)
        return;
    for (uint32_t i = 0; i < slots->count; i++) {
        const struct connection *connection = slots->items[i].connection;
        if (!connection || !connection->hung_ms || connection->state != CONNECTION_BUSY)
            continue;
        if (now_ms >= connection->hung_ms) {
            log_event(LOG_ERROR, "wall.hung", LOG_TEXT("host", connection->host), LOG_END);
            abort();
        }
        if (!next_ms || connection->hung_ms < next_ms)
            next_ms = connection->hung_ms;
    }
    watch->look_ms = next_ms;
}

int hung_watch_left_ms(const struct hung_watch *watch)
{
    return watch->look_ms ? clock_left_ms(watch->look_ms, INT_MAX - 1) + 1 : -1;
}

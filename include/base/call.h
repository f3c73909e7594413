/* call.h - what travels with one piece of work through all layers. Used by one thread at a time. */
#ifndef POSTERN_CALL_H
#define POSTERN_CALL_H

#include "arena.h"
#include "clock.h"
#include "err.h"

#include <stdint.h>

struct call {
    struct arena *arena; /* borrowed: lives as long as the request; results are placed here */
    struct fault fault;
    int64_t deadline_ms; /* clock_now_ms; DEADLINE_NONE for none */
    /* Where the time went, for Server-Timing and metrics; each layer adds to its own. */
    int64_t queue_us, connect_us, upstream_us, mirror_us;
};

#endif

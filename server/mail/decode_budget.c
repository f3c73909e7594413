/* decode_budget.c - the clock and the memory of one message's decoding.
 *
 * An ordinary mail is decoded before the clock was looked at once: the thread's CPU clock is a
 * system call. So the time starts at the first look, not at the first byte. */
#include "decode.h"

#include <time.h>

#define WORK_A_LOOK (16u * 1024u) /* bytes, or what costs as much: some 0.1 ms */
#define NS_A_MS     UINT64_C(1000000)

static uint64_t thread_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now))
        return 0;
    return (uint64_t)now.tv_sec * 1000 * NS_A_MS + (uint64_t)now.tv_nsec;
}

void decode_budget_begin(struct decode_budget *budget, const struct arena *arena,
                         uint32_t cpu_ms_max, uint64_t bytes_max)
{
    *budget = (struct decode_budget){.arena = arena,
                                     .arena_bytes = arena ? arena->used_bytes : 0,
                                     .cpu_ns_max = cpu_ms_max * NS_A_MS,
                                     .bytes_max = bytes_max};
}

void decode_budget_more(struct decode_budget *budget, uint32_t cpu_ms)
{
    budget->cpu_ns_max += cpu_ms * NS_A_MS;
    budget->out_of_time = false;
}

bool decode_budget_left(const struct decode_budget *budget)
{
    return !budget->out_of_time && !budget->out_of_memory;
}

bool decode_budget_spend(struct decode_budget *budget, size_t work)
{
    size_t grown = budget->arena ? budget->arena->used_bytes - budget->arena_bytes : 0;
    if (budget->bytes_max < budget->held_bytes || budget->bytes_max - budget->held_bytes < grown) {
        budget->out_of_memory = true;
        budget->limited |= LIMITED_MEMORY;
    }
    budget->work += work < WORK_A_LOOK ? (uint32_t)work : WORK_A_LOOK;
    if (budget->work >= WORK_A_LOOK) {
        uint64_t now_ns = thread_ns();
        budget->work = 0;
        if (!budget->started) {
            budget->started = true;
            budget->started_ns = now_ns;
        }
        if (now_ns - budget->started_ns >= budget->cpu_ns_max) {
            budget->out_of_time = true;
            budget->limited |= LIMITED_TIME;
        }
    }
    return decode_budget_left(budget);
}

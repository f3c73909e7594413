/* clock.c - time, from clock_gettime. */
#include "clock.h"

#include <time.h>

static int64_t clock_read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC);
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

int64_t clock_unix_ms(void)
{
    return clock_read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_unix_s(void)
{
    return clock_unix_ms() / 1000;
}

int clock_left_ms(int64_t deadline_ms, int max_ms)
{
    if (deadline_ms == DEADLINE_NONE)
        return max_ms;
    int64_t left = deadline_ms - clock_now_ms();
    if (left < 0)
        return 0;
    return left > max_ms ? max_ms : (int)left;
}

#define YEAR_1000_S (-30610224000LL) /* strftime would not pad an earlier year */
#define YEAR_9999_S 253402300799LL

void clock_format(int64_t unix_s, char out[CLOCK_TEXT_BYTES])
{
    struct tm parts;
    time_t stamp = unix_s < YEAR_1000_S ? YEAR_1000_S : unix_s > YEAR_9999_S ? YEAR_9999_S : unix_s;
    gmtime_r(&stamp, &parts);
    strftime(out, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* clock.h - time. Deadlines are monotonic milliseconds; stamps are Unix seconds. */
#ifndef POSTERN_CLOCK_H
#define POSTERN_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define DEADLINE_NONE INT64_MAX

int64_t clock_now_ms(void);  /* monotonic */
int64_t clock_now_us(void);  /* monotonic, for Server-Timing and histograms */
int64_t clock_unix_s(void);  /* wall clock */
int64_t clock_unix_ms(void); /* wall clock */

/* Milliseconds left, 0 when past, clamped to max_ms: what poll() wants. */
int clock_left_ms(int64_t deadline_ms, int max_ms);

/* RFC 3339 UTC, "2026-02-28T09:30:00Z"; out holds at least CLOCK_TEXT_BYTES. Years outside
 * 1000..9999 are clamped. */
#define CLOCK_TEXT_BYTES 32
void clock_format(int64_t unix_s, char out[CLOCK_TEXT_BYTES]);

#endif

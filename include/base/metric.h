/* metric.h - counters, gauges and histograms, in Prometheus' sense. Wait-free updates (atomics).
 *
 * A family is a static row; a series is a family with its label values. Series are made once and
 * live for the whole process, so label values must come from closed sets (route, status, command,
 * host class), never from requests.
 */
#ifndef POSTERN_METRIC_H
#define POSTERN_METRIC_H

#include "buf.h"

#include <stdint.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM_SECONDS };

struct metric; /* one series */

/* Finds or makes the series. `name` and `help` must live for ever; `labels` is the inside of the
 * braces, `route="messages.list",status="200"`, or "". Same arguments give the same pointer. */
struct metric *metric_get(enum metric_kind kind, const char *name, const char *help,
                          const char *labels);

void metric_add(struct metric *metric, int64_t delta); /* counter (>= 0) and gauge */
void metric_set(struct metric *metric, int64_t value); /* gauge */
void metric_observe_us(struct metric *metric, int64_t microseconds);
int64_t metric_value(const struct metric *metric); /* histogram: number of observations */

/* Prometheus text format 0.0.4, families sorted by name. */
void metric_render(struct buf *out);

#endif

/* metric.c - a registry of series that only grows; updates are atomic adds.
 *
 * Finding a series takes a lock and a scan: callers on hot paths keep the pointer. */
#include "metric.h"
#include "arena.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const double bounds_s[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                  0.25,   0.5,   1,      2.5,   5,    10,    30};
#define BOUNDS (sizeof bounds_s / sizeof bounds_s[0])

struct metric {
    struct metric *next;
    enum metric_kind kind;
    const char *name, *help;
    char *labels;
    atomic_llong value; /* histogram: number of observations */
    atomic_llong sum_us;
    atomic_llong buckets[BOUNDS];
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *registry;

/* Sorted by name, then labels, so that rendering is a walk. */
static int metric_order(const struct metric *metric, const char *name, const char *labels)
{
    int order = strcmp(metric->name, name);
    return order ? order : strcmp(metric->labels, labels);
}

struct metric *metric_get(enum metric_kind kind, const char *name, const char *help,
                          const char *labels)
{
    pthread_mutex_lock(&registry_lock);
    struct metric **at = &registry;
    while (*at && metric_order(*at, name, labels) < 0)
        at = &(*at)->next;
    struct metric *metric = *at;
    if (!metric || metric_order(metric, name, labels) != 0) {
        metric = xalloc(sizeof *metric);
        metric->kind = kind;
        metric->name = name;
        metric->help = help;
        metric->labels = xstrdup(labels);
        metric->next = *at;
        *at = metric;
    }
    pthread_mutex_unlock(&registry_lock);
    return metric;
}

void metric_add(struct metric *metric, int64_t delta)
{
    atomic_fetch_add_explicit(&metric->value, delta, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe_us(struct metric *metric, int64_t microseconds)
{
    double seconds = (double)microseconds / 1e6;
    for (size_t i = 0; i < BOUNDS; i++) {
        if (seconds <= bounds_s[i]) {
            atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
            break;
        }
    }
    atomic_fetch_add_explicit(&metric->sum_us, microseconds, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->value, 1, memory_order_relaxed);
}

int64_t metric_value(const struct metric *metric)
{
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

static void render_scalar(struct buf *out, const struct metric *metric)
{
    const char *open = metric->labels[0] ? "{" : "", *close = metric->labels[0] ? "}" : "";
    buf_printf(out, "%s%s%s%s %lld\n", metric->name, open, metric->labels, close,
               (long long)metric_value(metric));
}

static void render_histogram(struct buf *out, struct metric *metric)
{
    const char *comma = metric->labels[0] ? "," : "";
    long long below = 0, count = atomic_load(&metric->value);
    for (size_t i = 0; i < BOUNDS; i++) {
        below += atomic_load(&metric->buckets[i]);
        buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", metric->name, metric->labels, comma,
                   bounds_s[i], below);
    }
    if (count < below) /* observed between the two reads */
        count = below;
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", metric->name, metric->labels, comma,
               count);
    const char *open = metric->labels[0] ? "{" : "", *close = metric->labels[0] ? "}" : "";
    buf_printf(out, "%s_sum%s%s%s %.6f\n", metric->name, open, metric->labels, close,
               (double)atomic_load(&metric->sum_us) / 1e6);
    buf_printf(out, "%s_count%s%s%s %lld\n", metric->name, open, metric->labels, close, count);
}

void metric_render(struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const char *family = "";
    pthread_mutex_lock(&registry_lock);
    for (struct metric *metric = registry; metric; metric = metric->next) {
        if (strcmp(family, metric->name) != 0) {
            family = metric->name;
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family, metric->help, family,
                       kinds[metric->kind]);
        }
        if (metric->kind == METRIC_HISTOGRAM_SECONDS)
            render_histogram(out, metric);
        else
            render_scalar(out, metric);
    }
    pthread_mutex_unlock(&registry_lock);
}

/* record.c - the log line and the metrics of a request. Series are few: a route is one of the
 * table, a status one of those seen with it. */
#include "record.h"
#include "log.h"
#include "metric.h"
#include "routes.h"

#include <stdio.h>

#define STATUS_FIRST 100
#define STATUS_COUNT 500
#define CLASS_COUNT  6

/* Found once each; HTTP thread only. The last of the routes is "none". */
static struct metric *durations[ROUTES_MOST][CLASS_COUNT];
static struct metric *totals[ROUTES_MOST][STATUS_COUNT];

static const char *operation_of(const struct request *request)
{
    return request && request->route ? request->route->operation : "none";
}

static void count_request(const struct request *request, int status, int64_t duration_us)
{
    unsigned at = request && request->route ? (unsigned)(request->route - routes) : ROUTES_MOST - 1;
    char labels[128];
    if (status < STATUS_FIRST || status >= STATUS_FIRST + STATUS_COUNT)
        status = 499; /* no answer was given: the client left */
    struct metric **duration = &durations[at][status / 100];
    if (!*duration) {
        snprintf(labels, sizeof labels, "route=\"%s\",class=\"%dxx\"", operation_of(request),
                 status / 100);
        *duration = metric_get(METRIC_HISTOGRAM_SECONDS, "postern_http_request_duration_seconds",
                               "Time from complete headers to the end of the answer.", labels);
    }
    metric_observe_us(*duration, duration_us);
    struct metric **total = &totals[at][status - STATUS_FIRST];
    if (!*total) {
        snprintf(labels, sizeof labels, "route=\"%s\",status=\"%d\"", operation_of(request),
                 status);
        *total =
            metric_get(METRIC_COUNTER, "postern_http_requests_total", "Requests answered.", labels);
    }
    metric_add(*total, 1);
}

void record_request(const struct exchange *exchange, const struct request *request, int status,
                    uint64_t bytes, int64_t duration_us)
{
    struct request_times times = request ? request->times : (struct request_times){0};
    count_request(request, status, duration_us);
    log_event(LOG_INFO, "request", LOG_TEXT("id", exchange_request_id(exchange)),
              LOG_TEXT("method", route_method_name(exchange_method(exchange))),
              LOG_TEXT("route", operation_of(request)), LOG_INT("status", status),
              LOG_INT("duration_us", duration_us), LOG_INT("bytes", bytes),
              LOG_INT("queue_us", times.queue_us), LOG_INT("connect_us", times.connect_us),
              LOG_INT("upstream_us", times.upstream_us), LOG_INT("mirror_us", times.mirror_us),
              LOG_TEXT("account", request ? request->account_id : ""),
              LOG_TEXT("error", request && request->error ? err_name(request->error) : ""),
              LOG_END);
}

void record_source(enum mail_source source)
{
    static const char *const labels[SOURCE_COUNT] = {
        [SOURCE_LIVE] = "source=\"live\"",
        [SOURCE_MIRROR] = "source=\"mirror\"",
        [SOURCE_STALE] = "source=\"stale\"",
    };
    static _Atomic(struct metric *) answers[SOURCE_COUNT]; /* finding one takes a lock */
    if (!labels[source])
        return;
    if (!answers[source])
        answers[source] = metric_get(METRIC_COUNTER, "postern_mirror_answers_total",
                                     "Answers by where their knowledge came from.", labels[source]);
    metric_add(answers[source], 1);
}

static void gauge(const char *name, const char *help, const char *labels, int64_t value)
{
    metric_set(metric_get(METRIC_GAUGE, name, help, labels), value);
}

void record_gauges(struct api *api)
{
    struct sessions_stats sessions = {0};
    struct http_stats http = {0};
    sessions_stats(api->config.sessions, &sessions);
    if (api->server)
        http_stats(api->server, &http);
    gauge("postern_build_info", "Constant 1; the version is a label.",
          "version=\"" POSTERN_VERSION "\"", 1);
    gauge("postern_sessions", "Sessions open.", "", sessions.sessions);
    gauge("postern_seats", "Accounts in open sessions.", "", sessions.seats);
    gauge("postern_worker_threads", "Worker threads.", "state=\"busy\"", sessions.threads_busy);
    gauge("postern_worker_threads", "Worker threads.", "state=\"idle\"",
          (int64_t)sessions.threads - sessions.threads_busy);
    gauge("postern_tasks_queued", "Tasks that wait.", "", sessions.queued);
    gauge("postern_upstream_connections", "Connections to mail servers.", "state=\"idle\"",
          sessions.connections_idle);
    gauge("postern_upstream_connections", "Connections to mail servers.", "state=\"busy\"",
          sessions.connections_busy);
    gauge("postern_http_connections", "HTTP connections open.", "", http.connections);
    gauge("postern_http_exchanges", "HTTP requests under way.", "", http.exchanges);
}

/* health.c - for those who run the service. */
#include "metric.h"
#include "put.h"
#include "record.h"
#include "routes.h"

static void answer_status(struct request *request, int status, const char *text)
{
    struct buf body;
    buf_init(&body, 1024);
    put_open(&body, '{');
    put_member_text(&body, "status", text);
    put_close(&body, '}');
    request_set_header(request, "Cache-Control", "no-store");
    request_reply_json(request, status, &body);
}

void handle_health_live(struct request *request)
{
    answer_status(request, 200, "ok");
}

void handle_health_ready(struct request *request)
{
    bool (*is_ready)(void) = request->api->config.is_ready;
    if (!is_ready || is_ready()) {
        answer_status(request, 200, "ready");
        return;
    }
    fault_set(&request_call(request)->fault, ERR_SHUTTING_DOWN,
              "the service takes no requests now");
    request_fail(request);
}

void handle_metrics_get(struct request *request)
{
    struct buf body;
    record_gauges(request->api);
    buf_init(&body, 64 * 1024 * 1024);
    metric_render(&body);
    request_set_header(request, "Cache-Control", "no-store");
    request_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

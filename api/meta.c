/* meta.c - what the service says of itself. */
#include "limits.h"
#include "openapi.h"
#include "put.h"
#include "render.h"
#include "routes.h"

#include <string.h>

static const struct {
    const char *name, *path;
} link_rows[] = {
    {"sessions", "/v1/sessions"},
    {"currentSession", "/v1/sessions/current"},
    {"accounts", "/v1/accounts"},
    {"openapi", "/openapi.yaml"},
    {"docs", "/docs"},
};

static void put_limits(struct buf *out, const struct api_limit *limits)
{
    for (const struct api_limit *limit = limits; limit && limit->name; limit++)
        put_member_int(out, limit->name, limit->value);
}

void handle_service_get(struct request *request)
{
    struct buf body;
    buf_init(&body, 64 * 1024);
    put_open(&body, '{');
    put_member_text(&body, "name", "postern");
    put_member_text(&body, "version", POSTERN_VERSION);
    put_key(&body, "limits");
    put_open(&body, '{');
    put_limits(&body, fixed_limits);
    put_limits(&body, request->api->config.limits);
    put_close(&body, '}');
    put_key(&body, "links");
    put_open(&body, '{');
    for (size_t i = 0; i < sizeof link_rows / sizeof link_rows[0]; i++)
        put_member_text(&body, link_rows[i].name, link_rows[i].path);
    put_close(&body, '}');
    put_close(&body, '}');
    request_set_header(request, "Cache-Control", "no-cache");
    request_reply_json(request, 200, &body);
}

void handle_openapi_get(struct request *request)
{
    char etag[ETAG_BYTES];
    render_weak_etag(openapi_text(), strlen(openapi_text()), etag);
    if (request_not_modified(request, etag, "no-cache"))
        return;
    request_set_validator(request, etag, "no-cache");
    request_reply_text(request, 200, "application/yaml; charset=utf-8", openapi_text());
}

static const char docs_head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>postern " POSTERN_VERSION
    "</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse;width:100%}td{padding:.3rem .6rem;border-top:"
    "1px solid #ccc;vertical-align:top}code{font-size:.9em;overflow-wrap:anywhere}"
    "td:first-child{font-weight:600}</style></head><body><h1>postern " POSTERN_VERSION "</h1>"
    "<p>One JSON door to every mailbox. The precise form of all this is "
    "<a href=\"/openapi.yaml\">openapi.yaml</a>.</p><table>";

/* The route table is ours: nothing in it needs escaping. */
void handle_docs_get(struct request *request)
{
    struct buf body;
    buf_init(&body, 256 * 1024);
    buf_text(&body, docs_head);
    for (unsigned i = 0; i < routes_count; i++)
        buf_printf(&body,
                   "<tr><td>%s</td><td><code>%s</code><br><small>%s</small></td><td>%s</td>"
                   "<td>%s</td></tr>",
                   route_method_name(routes[i].method), routes[i].template, routes[i].operation,
                   routes[i].summary, routes[i].access == ACCESS_OPEN ? "" : "signed in");
    buf_text(&body, "</table></body></html>\n");
    request_set_header(request, "Content-Security-Policy",
                       "default-src 'none'; style-src 'unsafe-inline'");
    request_set_header(request, "Cache-Control", "no-cache");
    request_reply(request, 200, "text/html; charset=utf-8", &body);
}

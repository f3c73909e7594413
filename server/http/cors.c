/* cors.c - cross-origin answers for the configured origins (the Fetch standard, "HTTP-CORS
 * protocol").
 *
 * No Allow-Credentials: our tokens travel in Authorization, never in cookies, so "*" is harmless.
 */
#include "door.h"

#include "text.h"

#include <string.h>

#define CORS_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
#define CORS_REQUEST_HEADERS                                                                       \
    "Authorization, Content-Type, Accept, Cache-Control, If-Match, If-None-Match, If-Range, "      \
    "Range, Idempotency-Key, Last-Event-ID, Prefer, X-Request-Id"
#define CORS_EXPOSED_HEADERS                                                                       \
    "ETag, Link, Location, X-Request-Id, Age, X-Mail-Source, Server-Timing, Retry-After, "         \
    "Content-Range, Content-Disposition"
#define CORS_MAX_AGE_S "7200" /* the most that browsers honour */

static bool list_allows(const char *list, const char *origin)
{
    for (const char *at = list + strspn(list, " ,"); *at; at += strspn(at, " ,")) {
        size_t length = strcspn(at, " ,");
        if ((length == 1 && *at == '*') || text_case_equal(at, length, origin))
            return true;
        at += length;
    }
    return false;
}

static bool allows_all(const char *list)
{
    return strcmp(list, "*") == 0;
}

bool cors_is_preflight(const struct exchange *exchange)
{
    const char *list = exchange->server->cors_origins;
    const char *origin = list ? exchange_header(exchange, "Origin") : NULL;
    return exchange->method == HTTP_OPTIONS && origin && list_allows(list, origin) &&
           exchange_header(exchange, "Access-Control-Request-Method");
}

void cors_answer_preflight(struct exchange *exchange)
{
    exchange_set_header(exchange, "Access-Control-Allow-Methods", CORS_METHODS);
    exchange_set_header(exchange, "Access-Control-Allow-Headers", CORS_REQUEST_HEADERS);
    exchange_set_header(exchange, "Access-Control-Max-Age", CORS_MAX_AGE_S);
    exchange_reply_bytes(exchange, 204, NULL, NULL, 0);
}

void cors_dress(struct exchange *exchange)
{
    const char *list = exchange->server->cors_origins;
    if (!list)
        return;
    /* Also without an Origin: a cache must not give this answer to another origin. */
    if (!allows_all(list))
        reply_vary(exchange, "Origin");
    const char *origin = exchange_header(exchange, "Origin");
    if (!origin || !list_allows(list, origin))
        return;
    exchange_set_header(exchange, "Access-Control-Allow-Origin", allows_all(list) ? "*" : origin);
    exchange_set_header(exchange, "Access-Control-Expose-Headers", CORS_EXPOSED_HEADERS);
}

/* routes.c - the table, and finding a row by path. */
#include "routes.h"
#include "body.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define ACCOUNT "/v1/accounts/{account}"
#define MESSAGE ACCOUNT "/messages/{message}"

/* clang-format off */
const struct route routes[] = {
    {.method = HTTP_GET, .template = "/v1", .operation = "service.get",
     .summary = "Version, limits and links", .produces = JSON_TYPE, .handle = handle_service_get},
    {.method = HTTP_POST, .template = "/v1/sessions", .operation = "sessions.create",
     .summary = "Sign in to a mailbox", .body_max_bytes = BODY_MAX_BYTES, .produces = JSON_TYPE,
     .handle = handle_sessions_create},
    {.method = HTTP_GET, .template = "/v1/sessions/current", .operation = "sessions.get",
     .summary = "The session and its accounts", .access = ACCESS_SESSION, .produces = JSON_TYPE,
     .handle = handle_sessions_get},
    {.method = HTTP_DELETE, .template = "/v1/sessions/current", .operation = "sessions.delete",
     .summary = "Sign out", .access = ACCESS_SESSION, .handle = handle_sessions_delete},
    {.method = HTTP_GET, .template = "/v1/sessions/current/accounts", .operation = "sessions.accounts.list",
     .summary = "The session's accounts", .access = ACCESS_SESSION, .produces = JSON_TYPE,
     .handle = handle_accounts_list},
    {.method = HTTP_POST, .template = "/v1/sessions/current/accounts", .operation = "sessions.accounts.add",
     .summary = "Add a mailbox to the session", .access = ACCESS_SESSION,
     .body_max_bytes = BODY_MAX_BYTES, .produces = JSON_TYPE, .handle = handle_sessions_accounts_add},
    {.method = HTTP_GET, .template = "/v1/accounts", .operation = "accounts.list",
     .summary = "The accounts that this sign-in may use", .access = ACCESS_SESSION,
     .produces = JSON_TYPE, .handle = handle_accounts_list},
    {.method = HTTP_POST, .template = "/v1/accounts:verify", .operation = "accounts.verify",
     .summary = "Try a sign-in, keep nothing, say what the mail server offers",
     .body_max_bytes = BODY_MAX_BYTES, .produces = JSON_TYPE, .handle = handle_accounts_verify},
    {.method = HTTP_GET, .template = ACCOUNT, .operation = "accounts.get",
     .summary = "One account", .access = ACCESS_ACCOUNT, .produces = JSON_TYPE,
     .handle = handle_accounts_get},
    {.method = HTTP_GET, .template = ACCOUNT "/capabilities", .operation = "accounts.capabilities",
     .summary = "What the account can do, and who does it", .access = ACCESS_MAIL,
     .produces = JSON_TYPE, .handle = handle_capabilities_get},
    {.method = HTTP_GET, .template = ACCOUNT "/quota", .operation = "accounts.quota",
     .summary = "How much room is used", .access = ACCESS_MAIL, .produces = JSON_TYPE,
     .handle = handle_quota_get},
    {.method = HTTP_GET, .template = ACCOUNT "/folders", .operation = "folders.list",
     .summary = "All folders", .access = ACCESS_MAIL, .produces = JSON_TYPE,
     .handle = handle_folders_list},
    {.method = HTTP_GET, .template = ACCOUNT "/folders/{folder}", .operation = "folders.get",
     .summary = "One folder", .access = ACCESS_MAIL, .produces = JSON_TYPE,
     .handle = handle_folders_get},
    {.method = HTTP_GET, .template = ACCOUNT "/messages", .operation = "messages.list",
     .summary = "Messages, newest first", .access = ACCESS_MAIL,
     .params = ACCEPTS(PARAM_FOLDER) | ACCEPTS(PARAM_LIMIT) | ACCEPTS(PARAM_CURSOR) |
               ACCEPTS(PARAM_FIELDS) | ACCEPTS(PARAM_TOTAL) | ACCEPTS(PARAM_SORT),
     .handle = handle_messages_list},
    {.method = HTTP_GET, .template = MESSAGE, .operation = "messages.get",
     .summary = "One message", .access = ACCESS_MAIL,
     .params = ACCEPTS(PARAM_FIELDS) | ACCEPTS(PARAM_MAX_BYTES), .produces = JSON_TYPE,
     .handle = handle_message_get},
    {.method = HTTP_PATCH, .template = MESSAGE, .operation = "messages.update",
     .summary = "Change flags and keywords", .access = ACCESS_MAIL,
     .body_max_bytes = BODY_MAX_BYTES, .produces = JSON_TYPE, .handle = handle_message_update},
    {.method = HTTP_GET, .template = MESSAGE "/text", .operation = "messages.text",
     .summary = "The text a person reads", .access = ACCESS_MAIL,
     .params = ACCEPTS(PARAM_AS) | ACCEPTS(PARAM_MAX_BYTES), .produces = JSON_TYPE,
     .handle = handle_message_text},
    {.method = HTTP_GET, .template = MESSAGE "/headers", .operation = "messages.headers",
     .summary = "All headers in order, decoded", .access = ACCESS_MAIL, .produces = JSON_TYPE,
     .handle = handle_message_headers},
    {.method = HTTP_GET, .template = MESSAGE "/raw", .operation = "messages.raw",
     .summary = "The message as it stands on the mail server", .access = ACCESS_MAIL,
     .produces = "message/rfc822", .is_content = true, .handle = handle_message_raw},
    {.method = HTTP_GET, .template = MESSAGE "/parts/{part}", .operation = "parts.get",
     .summary = "The content of one part", .access = ACCESS_MAIL,
     .params = ACCEPTS(PARAM_ENCODING), .is_content = true, .handle = handle_part_get},
    {.method = HTTP_GET, .template = "/healthz", .operation = "health.live",
     .summary = "The process lives", .produces = JSON_TYPE, .handle = handle_health_live},
    {.method = HTTP_GET, .template = "/readyz", .operation = "health.ready",
     .summary = "The service takes requests", .produces = JSON_TYPE, .handle = handle_health_ready},
    {.method = HTTP_GET, .template = "/metrics", .operation = "metrics.get",
     .summary = "Numbers for Prometheus", .produces = "text/plain", .handle = handle_metrics_get},
    {.method = HTTP_GET, .template = "/openapi.yaml", .operation = "openapi.get",
     .summary = "This interface, described", .produces = "application/yaml",
     .handle = handle_openapi_get},
    {.method = HTTP_GET, .template = "/docs", .operation = "docs.get",
     .summary = "This interface, for people", .produces = "text/html", .handle = handle_docs_get},
};
/* clang-format on */
const unsigned routes_count = sizeof routes / sizeof routes[0];
_Static_assert(sizeof routes / sizeof routes[0] < ROUTES_MOST, "record.c has a row for each route");

static const char *const path_names[PATH_VALUE_COUNT] = {
    [PATH_ACCOUNT] = "{account}",
    [PATH_FOLDER] = "{folder}",
    [PATH_MESSAGE] = "{message}",
    [PATH_PART] = "{part}",
};

static const char *const method_names[] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER",
};

const char *route_method_name(enum http_method method)
{
    return method_names[method];
}

struct segment {
    const char *text;
    size_t length;
};

static int path_value_of(const struct segment *name)
{
    for (int i = 0; i < PATH_VALUE_COUNT; i++)
        if (strlen(path_names[i]) == name->length &&
            memcmp(path_names[i], name->text, name->length) == 0)
            return i;
    return -1;
}

/* Fills raw[] with the segments that stand where the template has names. */
static bool template_matches(const char *template, const char *path,
                             struct segment raw[PATH_VALUE_COUNT])
{
    memset(raw, 0, sizeof(struct segment) * PATH_VALUE_COUNT);
    while (*template == '/' && *path == '/') {
        struct segment wanted = {template + 1, strcspn(template + 1, "/")};
        struct segment given = {path + 1, strcspn(path + 1, "/")};
        int value = path_value_of(&wanted);
        if (value >= 0 ? given.length == 0
                       : wanted.length != given.length ||
                             memcmp(wanted.text, given.text, given.length) != 0)
            return false;
        if (value >= 0)
            raw[value] = given;
        template = wanted.text + wanted.length;
        path = given.text + given.length;
    }
    return !*template && !*path;
}

static bool values_decode(const struct segment raw[PATH_VALUE_COUNT], struct arena *arena,
                          const char *values[PATH_VALUE_COUNT])
{
    for (int i = 0; i < PATH_VALUE_COUNT; i++) {
        values[i] = NULL;
        if (raw[i].text &&
            !(values[i] = text_percent_decode(arena, raw[i].text, raw[i].length, false)))
            return false;
    }
    return true;
}

static void allow_add(char allow[ALLOW_BYTES], enum http_method method)
{
    size_t length = strlen(allow);
    snprintf(allow + length, ALLOW_BYTES - length, "%s%s", length ? ", " : "",
             method == HTTP_GET ? "GET, HEAD" : route_method_name(method));
}

enum route_match route_find(enum http_method method, const char *path, struct arena *arena,
                            const struct route **out, const char *values[PATH_VALUE_COUNT],
                            char allow[ALLOW_BYTES])
{
    struct segment raw[PATH_VALUE_COUNT];
    allow[0] = '\0';
    for (unsigned i = 0; i < routes_count; i++) {
        if (!template_matches(routes[i].template, path, raw))
            continue;
        if (routes[i].method == (method == HTTP_HEAD ? HTTP_GET : method)) {
            *out = &routes[i];
            return values_decode(raw, arena, values) ? ROUTE_FOUND : ROUTE_BAD_ESCAPE;
        }
        allow_add(allow, routes[i].method);
    }
    if (!allow[0])
        return ROUTE_NO_PATH;
    allow_add(allow, HTTP_OPTIONS);
    return ROUTE_NO_METHOD;
}

void api_print_routes(FILE *out)
{
    for (unsigned i = 0; i < routes_count; i++)
        fprintf(out, "%s %s %s\n", route_method_name(routes[i].method), routes[i].template,
                routes[i].operation);
}

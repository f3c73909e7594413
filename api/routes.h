/* routes.h - what can be asked: the table that the surface, /docs and the drift check read. */
#ifndef POSTERN_API_ROUTES_H
#define POSTERN_API_ROUTES_H

#include "request.h"

enum access {
    ACCESS_OPEN,    /* anybody */
    ACCESS_SESSION, /* somebody signed in */
    ACCESS_ACCOUNT, /* ... whose session has {account} */
    ACCESS_MAIL     /* ... and may see its mail, see seat_check */
};

struct route {
    enum http_method method; /* GET serves HEAD too */
    const char *template;    /* "/v1/accounts/{account}" */
    const char *operation;   /* OpenAPI's operationId; the name in logs and metrics */
    const char *summary;
    enum access access;
    uint32_t params; /* ACCEPTS(...) */
    size_t body_max_bytes;
    const char *produces; /* for Accept; NULL: the handler looks itself */
    bool is_content;      /* bulk lane, content_timeout_ms */
    request_step *handle;
};

#define ROUTES_MOST 64 /* more than the table has */
extern const struct route routes[];
extern const unsigned routes_count;

enum route_match { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD, ROUTE_BAD_ESCAPE };
/* path is raw: split at '/' first, decoded after. values: decoded, in the arena. ROUTE_NO_METHOD:
 * `allow` tells what the path knows. */
#define ALLOW_BYTES 64
enum route_match route_find(enum http_method method, const char *path, struct arena *arena,
                            const struct route **out, const char *values[PATH_VALUE_COUNT],
                            char allow[ALLOW_BYTES]);
const char *route_method_name(enum http_method method);

/* ---- the handlers, one file a resource ---- */
request_step handle_service_get, handle_docs_get, handle_openapi_get;     /* meta.c */
request_step handle_health_live, handle_health_ready, handle_metrics_get; /* health.c */
request_step handle_sessions_create, handle_sessions_accounts_add,
    handle_accounts_verify;                                                   /* signin.c */
request_step handle_sessions_get, handle_sessions_delete;                     /* sessions.c */
request_step handle_accounts_list, handle_accounts_get;                       /* accounts.c */
request_step handle_capabilities_get, handle_quota_get;                       /* capabilities.c */
request_step handle_folders_list, handle_folders_get;                         /* folders.c */
request_step handle_messages_list;                                            /* messages_list.c */
request_step handle_message_get, handle_message_text, handle_message_headers; /* message_*.c */
request_step handle_message_update;                                           /* message_patch.c */
request_step handle_message_raw, handle_part_get;                             /* content.c */

#endif

/* api.h - the REST surface: routes, decoding, encoding, status; no mail logic. */
#ifndef POSTERN_API_H
#define POSTERN_API_H

#include "http.h"
#include "session.h"

#include <stdio.h>

struct api;

struct api_limit { /* shown by GET /v1: no limit is silent */
    const char *name;
    int64_t value;
};

struct api_config {
    struct sessions *sessions; /* borrowed */
    struct crypto_key cursor_key;
    /* Where HTTP Basic signs in: NULL host when the operator named none. IMAP wins over POP3. */
    const char *default_host;
    uint16_t default_port;
    enum backend_protocol default_protocol;
    enum backend_security default_security;
    const struct api_limit *limits; /* ends with a NULL name; borrowed */
    int request_timeout_ms, content_timeout_ms, stall_timeout_ms;
    bool (*is_ready)(void); /* /readyz */
};

struct api *api_new(const struct api_config *config);
void api_free(struct api **api);
/* The callbacks to start the http layer with. */
void api_handler(struct api *api, struct http_handler *out);
/* Once the listener stands: /metrics shows its gauges. */
void api_set_server(struct api *api, struct http_server *server);

/* The list JSON of a message, for store_options.render. */
void api_render_message(const char *id, const struct message *message, struct buf *out);

/* Every route as a line `METHOD /template operationId`, for the drift check. */
void api_print_routes(FILE *out);

#endif

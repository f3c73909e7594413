/* http.h - the HTTP door: one epoll thread of libmicrohttpd that never blocks.
 *
 * The application gives five callbacks. A request becomes a `struct exchange`; `handle` must lead
 * to exactly one exchange_reply_*(), at once or later, from any thread. Until then the connection
 * is suspended and costs nothing. Everything that can be wrong with a request as HTTP (smuggling,
 * limits, slow senders) is refused here, through `refuse`, so that every error is a problem
 * document.
 *
 * Paths and queries are raw: nothing is unescaped ("%2F" stays "%2F").
 */
#ifndef POSTERN_HTTP_H
#define POSTERN_HTTP_H

#include "arena.h"
#include "err.h"
#include "pipe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_URI_MAX_BYTES 8192
#define HTTP_HEADERS_MAX   100 /* lines */

struct exchange;
struct http_server;

struct http_handler {
    void *app; /* passed back to each of these */
    /* HTTP thread, headers known, body not yet read. Says how many body bytes are welcome; a larger
     * Content-Length gets ERR_TOO_LARGE before 100 Continue. */
    size_t (*admit)(void *app, struct exchange *exchange);
    /* HTTP thread, request complete. Must not block. */
    void (*handle)(void *app, struct exchange *exchange);
    /* HTTP thread: not acceptable as HTTP. Must answer at once by exchange_reply_bytes. */
    void (*refuse)(void *app, struct exchange *exchange, const struct fault *fault);
    /* The client has gone while its answer was still awaited: cancel the work. Any thread, at most
     * once; a reply must still be given (it goes nowhere). Optional. */
    void (*left)(void *app, struct exchange *exchange);
    /* HTTP thread, last touch: the answer is sent or lost. `status` is 0 when none was given.
     * bytes: of the body as sent. */
    void (*done)(void *app, struct exchange *exchange, int status, uint64_t bytes,
                 int64_t duration_us);
};

struct http_config {
    const char *listen; /* "127.0.0.1:8025", "[::1]:8025", "unix:/path", "*:8025"; port 0: any */
    uint32_t max_connections;
    uint32_t max_connections_per_address; /* 0: no limit */
    uint32_t header_bytes_max;            /* request line and headers */
    int header_timeout_ms;                /* from accept (or the last answer) to complete headers */
    int body_timeout_ms;                  /* from headers to complete body */
    int idle_timeout_ms;                  /* keep-alive, and a reader that takes nothing */
    const char *cors_origins;             /* comma list, "*", or NULL/"" for off */
};

/* Starts listening; fault has the reason (address in use ...). Call before other threads exist:
 * SIGPIPE must be ignored already. */
enum err http_start(const struct http_config *config, const struct http_handler *handler,
                    struct fault *fault, struct http_server **out);
/* The address it listens on, "127.0.0.1:8025" (the real port) or "unix:/path". */
const char *http_address(const struct http_server *server);
/* No new connections; requests on old ones get 503 through `refuse` with ERR_SHUTTING_DOWN. */
void http_quiesce(struct http_server *server);
/* Waits until no exchange is open, at most until the deadline. True when all are done. */
bool http_drain(struct http_server *server, int64_t deadline_ms);
/* Calls `left` for every open exchange (drain again after that), so that stop cannot hang. */
void http_cancel_all(struct http_server *server);
/* Every exchange must be over, see http_drain. */
void http_stop(struct http_server **server);

struct http_stats {
    uint32_t connections, exchanges;
};
void http_stats(struct http_server *server, struct http_stats *out);

/* ---- the request: all strings live as long as the exchange ---- */
enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};
enum http_method exchange_method(const struct exchange *exchange);
const char *exchange_method_name(const struct exchange *exchange);
const char *exchange_path(const struct exchange *exchange);  /* raw, begins with '/', no query */
const char *exchange_query(const struct exchange *exchange); /* raw, "" when none */
const char *exchange_header(const struct exchange *exchange,
                            const char *name); /* NULL when absent */
const char *exchange_body(const struct exchange *exchange, size_t *length);
const char *
exchange_remote(const struct exchange *exchange); /* peer address without port, or "unix" */
/* The client's X-Request-Id when well formed (1-64 of [A-Za-z0-9._-]), else a fresh one; it is sent
 * with every answer by this layer. */
const char *exchange_request_id(const struct exchange *exchange);
int64_t exchange_started_us(const struct exchange *exchange); /* clock_now_us at complete headers */
void exchange_set_app_data(struct exchange *exchange, void *data);
void *exchange_app_data(const struct exchange *exchange);
bool exchange_left(const struct exchange *exchange); /* the client is gone */

/* ---- the answer: headers first, then one reply ---- */
/* Values are cut at CR, LF and NUL (and asserted in debug builds): nothing can add a header. */
void exchange_set_header(struct exchange *exchange, const char *name, const char *value);
/* Takes data (malloc'd, NULL when empty). JSON (content type beginning "application/json",
 * "application/problem+json", "application/x-ndjson", "text/") over 1 KiB is gzipped here, on the
 * caller's thread, when the client takes it (its ETag is weak then); Vary says so, behind what the
 * application varies on. */
void exchange_reply_bytes(struct exchange *exchange, int status, const char *content_type,
                          char *data, size_t length);
/* Answers with a pipe whose other end a worker fills. content_length -1: chunked. Takes the
 * reader's reference. When the pipe breaks the connection is closed without a clean end. */
void exchange_reply_pipe(struct exchange *exchange, int status, const char *content_type,
                         struct pipe *pipe, int64_t content_length);

/* ---- pure helpers, RFC 9110 ---- */
enum http_range { HTTP_RANGE_WHOLE, HTTP_RANGE_PART, HTTP_RANGE_UNSATISFIABLE };
/* One range of bytes; several, other units or nonsense mean WHOLE. `if_range` (may be NULL) must be
 * a strong match of etag. */
enum http_range http_range_parse(const char *range, const char *if_range, const char *etag,
                                 uint64_t total, uint64_t *first, uint64_t *last);
/* Weak comparison against a list or "*". */
bool http_etag_matches(const char *list, const char *etag);
/* Quality of a content coding or media type in an Accept-like header; 0 when refused. NULL: 1000.
 */
int http_accept_quality(const char *header, const char *token);

#endif

/* reply.c - the answer's headers, and answers whose bytes are all there.
 *
 * Everything dear (gzip, header copies) is done on the answering thread; the HTTP thread only
 * queues.
 */
#include "door.h"

#include "text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define GZIP_LEAST_BYTES 1024

static const char *const gzip_types[] = {"application/json", "application/problem+json",
                                         "application/x-ndjson", "text/"};

/* Nothing may add a header: cut at a line end, tabs to blanks (libmicrohttpd refuses them). */
static char *clean_value(struct arena *arena, const char *value)
{
    size_t length = strcspn(value, "\r\n");
    assert(value[length] == '\0');
    char *copy = arena_strndup(arena, value, length);
    for (char *at = copy; *at; at++)
        if (*at == '\t')
            *at = ' ';
    return copy;
}

static struct header_line *find_header(const struct exchange *exchange, const char *name)
{
    for (struct header_line *line = exchange->headers; line; line = line->next)
        if (text_casecmp(line->name, name) == 0)
            return line;
    return NULL;
}

void exchange_set_header(struct exchange *exchange, const char *name, const char *value)
{
    struct header_line *line = find_header(exchange, name);
    if (!line) {
        line = arena_new(&exchange->arena, struct header_line);
        line->name = arena_strdup(&exchange->arena, name);
        line->next = exchange->headers;
        exchange->headers = line;
    }
    line->value = clean_value(&exchange->arena, value);
}

void reply_vary(struct exchange *exchange, const char *request_header)
{
    const struct header_line *line = find_header(exchange, "Vary");
    exchange_set_header(exchange, "Vary",
                        line ? arena_printf(&exchange->arena, "%s, %s", line->value, request_header)
                             : request_header);
}

/* What an answer says when the application does not say otherwise. */
static const struct {
    const char *name, *value;
} usual_headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"},
};

void reply_dress(struct exchange *exchange, struct MHD_Response *response, const char *content_type)
{
    cors_dress(exchange);
    MHD_add_response_header(response, "X-Request-Id", exchange->request_id);
    if (content_type)
        MHD_add_response_header(response, "Content-Type", content_type);
    for (size_t i = 0; i < sizeof usual_headers / sizeof usual_headers[0]; i++)
        if (!find_header(exchange, usual_headers[i].name))
            MHD_add_response_header(response, usual_headers[i].name, usual_headers[i].value);
    for (const struct header_line *line = exchange->headers; line; line = line->next)
        MHD_add_response_header(response, line->name, line->value);
    if (exchange->body.overflowed || atomic_load(&exchange->server->quiesced))
        MHD_add_response_header(response, "Connection", "close");
}

/* The last touch: once ANSWERED is there the HTTP thread may finish and reuse the exchange, unless
 * it is PARKED, and then only after the resume. */
void reply_give(struct exchange *exchange, int status, struct MHD_Response *response)
{
    struct MHD_Connection *connection = exchange->connection;
    exchange->status = status;
    exchange->response = response;
    unsigned before = atomic_fetch_or(&exchange->gate, GATE_ANSWERED);
    assert(!(before & GATE_ANSWERED));
    if (before & GATE_PARKED)
        MHD_resume_connection(connection);
}

static bool is_compressible(const char *content_type)
{
    for (size_t i = 0; content_type && i < sizeof gzip_types / sizeof gzip_types[0]; i++)
        if (text_starts_case(content_type, gzip_types[i]))
            return true;
    return false;
}

static bool client_wants_gzip(const struct exchange *exchange)
{
    const char *accept = exchange_header(exchange, "Accept-Encoding");
    int quality = accept ? http_accept_quality(accept, "gzip") : 0;
    return quality > 0 && quality >= http_accept_quality(accept, "identity");
}

/* A strong tag promises the same bytes, and these are not. */
static void weaken_etag(struct exchange *exchange)
{
    struct header_line *etag = find_header(exchange, "ETag");
    if (etag && etag->value[0] == '"')
        etag->value = arena_printf(&exchange->arena, "W/%s", etag->value);
}

static bool compress(struct exchange *exchange, char **data, size_t *length)
{
    char *packed;
    size_t packed_length;
    if (find_header(exchange, "Content-Encoding") || find_header(exchange, "Content-Range") ||
        !client_wants_gzip(exchange) || !gzip_pack(*data, *length, &packed, &packed_length))
        return false;
    free(*data);
    *data = packed;
    *length = packed_length;
    weaken_etag(exchange);
    return true;
}

void exchange_reply_bytes(struct exchange *exchange, int status, const char *content_type,
                          char *data, size_t length)
{
    bool may_vary = length > GZIP_LEAST_BYTES && is_compressible(content_type);
    bool packed = may_vary && compress(exchange, &data, &length);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, data ? data : (void *)(uintptr_t) "",
                                        data ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response)
        abort();
    if (may_vary)
        reply_vary(exchange, "Accept-Encoding");
    reply_dress(exchange, response, content_type);
    if (packed)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    exchange->body_bytes = length;
    reply_give(exchange, status, response);
}

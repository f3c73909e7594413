/* admission.c - is this request one that every hop in front of us understands the same way?
 *
 * libmicrohttpd is generous: it takes the first of two Content-Lengths, Transfer-Encoding beside
 * Content-Length, "Content-Length :", two Hosts, any method. Each is how a request is smuggled past
 * a proxy (RFC 9112, 6.3 and 11.2), so each ends the request and the connection.
 */
#include "door.h"

#include "text.h"

#include <stdio.h>
#include <string.h>

enum single {
    SINGLE_CONTENT_LENGTH,
    SINGLE_TRANSFER_ENCODING,
    SINGLE_HOST,
    SINGLE_EXPECT,
    SINGLE_AUTHORIZATION,
    SINGLE_CONTENT_TYPE,
    SINGLE_RANGE,
    SINGLE_IF_RANGE,
    SINGLE_REQUEST_ID,
    SINGLE_IDEMPOTENCY_KEY,
    SINGLE_COUNT
};

/* Headers that mean something only when there is one of them. */
static const char *const single_names[SINGLE_COUNT] = {
    [SINGLE_CONTENT_LENGTH] = "Content-Length",
    [SINGLE_TRANSFER_ENCODING] = "Transfer-Encoding",
    [SINGLE_HOST] = "Host",
    [SINGLE_EXPECT] = "Expect",
    [SINGLE_AUTHORIZATION] = "Authorization",
    [SINGLE_CONTENT_TYPE] = "Content-Type",
    [SINGLE_RANGE] = "Range",
    [SINGLE_IF_RANGE] = "If-Range",
    [SINGLE_REQUEST_ID] = "X-Request-Id",
    [SINGLE_IDEMPOTENCY_KEY] = "Idempotency-Key",
};

struct census {
    unsigned lines;
    const char *value[SINGLE_COUNT]; /* NULL: absent */
    const char *twice;               /* name of one that came twice */
    bool bad_name, bad_value;
};

#define TOKEN_BYTES "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define HOST_BYTES                                                                                 \
    "-._~!$&'()*+,;=%:[]0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define ID_BYTES "-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static bool made_of(const char *text, const char *bytes)
{
    return *text && text[strspn(text, bytes)] == '\0';
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return true;
    return false;
}

static enum MHD_Result count_line(void *argument, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct census *census = argument;
    (void)kind;
    census->lines++;
    census->bad_name |= !made_of(name, TOKEN_BYTES);
    census->bad_value |= !value || has_control(value);
    for (size_t i = 0; i < SINGLE_COUNT; i++) {
        if (text_casecmp(name, single_names[i]) != 0)
            continue;
        if (census->value[i])
            census->twice = single_names[i];
        census->value[i] = value ? value : "";
    }
    return census->lines > HTTP_HEADERS_MAX ? MHD_NO : MHD_YES;
}

static enum err check_target(const struct exchange *exchange, struct fault *fault)
{
    if (exchange->target_length > HTTP_URI_MAX_BYTES)
        return fault_set(fault, ERR_URI_TOO_LONG, "the request target is over %d bytes",
                         HTTP_URI_MAX_BYTES);
    if (exchange->path[0] != '/')
        return fault_set(fault, ERR_INVALID, "the request target must begin with \"/\"");
    if (exchange->target_is_bad)
        return fault_set(fault, ERR_INVALID,
                         "the request target holds a byte that must be percent-encoded");
    return OK;
}

static enum err check_method(struct exchange *exchange, const char *method, struct fault *fault)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
        [HTTP_OPTIONS] = "OPTIONS",
    };
    exchange->method = HTTP_OTHER;
    exchange->method_name = method;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(method, names[i]) == 0)
            exchange->method = (enum http_method)i;
    if (exchange->method == HTTP_OTHER)
        return fault_set(fault, ERR_METHOD, "this method is not known here");
    return OK;
}

static enum err check_lines(struct exchange *exchange, const struct census *census,
                            struct fault *fault)
{
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (census->lines > HTTP_HEADERS_MAX)
        return fault_set(fault, ERR_HEADERS_TOO_LARGE, "more than %d header lines",
                         HTTP_HEADERS_MAX);
    if (size && size->header_size > exchange->server->config.header_bytes_max)
        return fault_set(fault, ERR_HEADERS_TOO_LARGE, "the headers are over %u bytes",
                         (unsigned)exchange->server->config.header_bytes_max);
    if (census->bad_name)
        return fault_set(fault, ERR_INVALID, "a header name holds a byte that is not allowed");
    if (census->bad_value)
        return fault_set(fault, ERR_INVALID, "a header value holds a control character");
    if (census->twice)
        return fault_set(fault, ERR_INVALID, "%s stands there twice", census->twice);
    return OK;
}

static enum err check_host(const struct exchange *exchange, const struct census *census,
                           struct fault *fault)
{
    const char *host = census->value[SINGLE_HOST];
    if (!host && exchange->is_http_1_1)
        return fault_set(fault, ERR_INVALID, "Host is missing");
    if (host && *host && !made_of(host, HOST_BYTES))
        return fault_set(fault, ERR_INVALID, "Host is not a host name");
    return OK;
}

static enum err check_framing(struct exchange *exchange, const struct census *census,
                              struct fault *fault)
{
    const char *length = census->value[SINGLE_CONTENT_LENGTH];
    const char *coding = census->value[SINGLE_TRANSFER_ENCODING];
    if (coding && length)
        return fault_set(fault, ERR_INVALID, "Content-Length and Transfer-Encoding together");
    if (coding && (!exchange->is_http_1_1 || text_casecmp(coding, "chunked") != 0))
        return fault_set(fault, ERR_INVALID, "the only transfer coding here is chunked");
    if (length && !text_to_u64(length, strlen(length), INT64_MAX, &exchange->content_length))
        return fault_set(fault, ERR_INVALID, "Content-Length is not a number");
    exchange->is_chunked = coding != NULL;
    bool reads_only = exchange->method == HTTP_GET || exchange->method == HTTP_HEAD;
    if (reads_only && (exchange->is_chunked || exchange->content_length))
        return fault_set(fault, ERR_INVALID, "%s takes no body", exchange->method_name);
    return OK;
}

static void choose_request_id(struct exchange *exchange, const char *offered)
{
    struct http_server *server = exchange->server;
    if (offered && strlen(offered) < HTTP_REQUEST_ID_BYTES && made_of(offered, ID_BYTES))
        snprintf(exchange->request_id, sizeof exchange->request_id, "%s", offered);
    else
        snprintf(exchange->request_id, sizeof exchange->request_id, "%s-%llx", server->id_prefix,
                 (unsigned long long)server->id_next++);
}

enum err admission_check(struct exchange *exchange, const char *method, const char *version,
                         struct fault *fault)
{
    struct census census = {0};
    exchange->is_http_1_1 = strcmp(version, "HTTP/1.0") != 0;
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, count_line, &census);
    choose_request_id(exchange, census.value[SINGLE_REQUEST_ID]);

    enum err err = check_method(exchange, method, fault);
    if (!err)
        err = check_target(exchange, fault);
    if (!err)
        err = check_lines(exchange, &census, fault);
    if (!err)
        err = check_host(exchange, &census, fault);
    if (!err)
        err = check_framing(exchange, &census, fault);
    if (err)
        return err;
    const char *expect = census.value[SINGLE_EXPECT];
    if (expect && text_casecmp(expect, "100-continue") != 0)
        return fault_set(fault, ERR_EXPECTATION, "the only expectation met here is 100-continue");
    return OK;
}

/* auth.c - RFC 6750 and RFC 7617. The decoded password stands in memory that is wiped. */
#include "auth.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands behind `scheme` and blanks; NULL when it is another scheme. */
static const char *scheme_value(const char *header, const char *scheme)
{
    size_t length = strlen(scheme);
    if (!text_starts_case(header, scheme) || header[length] != ' ')
        return NULL;
    return header + length + strspn(header + length, " ");
}

static enum err basic_open(struct request *request, char *pair, size_t length)
{
    const struct api_config *config = &request->api->config;
    struct fault *fault = &request_call(request)->fault;
    char *colon = memchr(pair, ':', length);
    if (!colon || memchr(pair, '\0', length) || !text_is_utf8(pair, length))
        return fault_set(fault, ERR_UNAUTHORIZED,
                         "Basic credentials are base64 of user name, colon and password, in UTF-8");
    *colon = '\0';
    struct credentials credentials = {
        .protocol = config->default_protocol,
        .security = config->default_security,
        .host = config->default_host,
        .port = config->default_port,
        .username = pair,
        .remote_address = exchange_remote(request->exchange),
    };
    secret_set(&credentials.password, colon + 1, length - (size_t)(colon + 1 - pair));
    enum err err = session_open_basic(config->sessions, &credentials, fault, &request->session);
    secret_wipe(&credentials.password);
    if (err == ERR_INVALID) { /* an empty password, say: it is the sign-in that is wrong */
        err = fault->code = ERR_UNAUTHORIZED;
        snprintf(fault->pointer, sizeof fault->pointer, "Authorization");
    }
    return err;
}

static enum err auth_basic(struct request *request, const char *value)
{
    struct fault *fault = &request_call(request)->fault;
    size_t length = strlen(value);
    if (!request->api->config.default_host)
        return fault_set(fault, ERR_UNAUTHORIZED,
                         "HTTP Basic is not offered here: no default mail server is set");
    if (length > BASIC_BYTES_MOST)
        return fault_set(fault, ERR_UNAUTHORIZED, "the Basic credentials are too long");
    char *pair = xalloc(length + 1);
    long decoded = text_base64_decode(value, length, pair, length);
    enum err err = decoded < 0
                       ? fault_set(fault, ERR_UNAUTHORIZED, "the Basic credentials are not base64")
                       : basic_open(request, pair, (size_t)decoded);
    explicit_bzero(pair, length + 1);
    free(pair);
    request->is_basic = true;
    return err;
}

enum err auth_session(struct request *request)
{
    struct fault *fault = &request_call(request)->fault;
    const char *header = exchange_header(request->exchange, "Authorization");
    if (!header)
        return fault_set(fault, ERR_UNAUTHORIZED, "there is no Authorization header");
    const char *token = scheme_value(header, "Bearer");
    if (token)
        return session_find(request->api->config.sessions, token, fault, &request->session);
    const char *basic = scheme_value(header, "Basic");
    if (basic)
        return auth_basic(request, basic);
    return fault_set(fault, ERR_UNAUTHORIZED, "the Authorization scheme is not one offered here");
}

/* problem.c - the table. */
#include "problem.h"
#include "put.h"

#include <stdio.h>

#define PROBLEM_BASE "https://postern.dev/problems/"

/* clang-format off */
static const struct problem_row problem_rows[ERR_COUNT] = {
    [OK]                    = {500, "internal-error", "Something is wrong in the service", false, 0},
    [ERR_INVALID]           = {400, "invalid-request", "The request cannot be understood", false, 0},
    [ERR_INVALID_CURSOR]    = {400, "invalid-cursor", "The cursor does not belong to this list", false, 0},
    [ERR_UNAUTHORIZED]      = {401, "unauthorized", "Signing in is needed", false, 0},
    [ERR_FORBIDDEN]         = {403, "forbidden", "The sign-in does not allow this", false, 0},
    [ERR_HOST_NOT_ALLOWED]  = {403, "host-not-allowed", "The mail host is not allowed here", false, 0},
    [ERR_NOT_FOUND]         = {404, "not-found", "There is no such thing", false, 0},
    [ERR_METHOD]            = {405, "method-not-allowed", "The method is not allowed here", false, 0},
    [ERR_NOT_ACCEPTABLE]    = {406, "not-acceptable", "No form of this is acceptable to the client", false, 0},
    [ERR_REQUEST_TIMEOUT]   = {408, "request-timeout", "The request came too slowly", true, 0},
    [ERR_CONFLICT]          = {409, "conflict", "The request conflicts with the state of the thing", false, 0},
    [ERR_ALREADY_EXISTS]    = {409, "already-exists", "It exists already", false, 0},
    [ERR_LENGTH_REQUIRED]   = {411, "length-required", "The body needs a length", false, 0},
    [ERR_GONE]              = {410, "gone", "It existed once and never comes back", false, 0},
    [ERR_PRECONDITION]      = {412, "precondition-failed", "The thing has changed meanwhile", false, 0},
    [ERR_TOO_LARGE]         = {413, "too-large", "That is over a limit", false, 0},
    [ERR_URI_TOO_LONG]      = {414, "uri-too-long", "The address is too long", false, 0},
    [ERR_MEDIA_TYPE]        = {415, "unsupported-media-type", "The body is of a type not understood here", false, 0},
    [ERR_RANGE]             = {416, "range-not-satisfiable", "The range lies outside the content", false, 0},
    [ERR_EXPECTATION]       = {417, "expectation-failed", "The expectation cannot be met", false, 0},
    [ERR_HEADERS_TOO_LARGE] = {431, "request-header-fields-too-large", "The headers are too large", false, 0},
    [ERR_UNSUPPORTED]       = {422, "unsupported", "The mail server or the service cannot do that", false, 0},
    [ERR_THROTTLED]         = {429, "throttled", "Too many tries", true, 30},
    [ERR_LOGIN]             = {424, "upstream-login-failed", "The mail server refused the credentials", false, 0},
    [ERR_LOCKED]            = {423, "maildrop-locked", "Another client holds the maildrop", true, 10},
    [ERR_UNREACHABLE]       = {502, "upstream-unreachable", "The mail server cannot be reached", true, 0},
    [ERR_TLS]               = {502, "upstream-tls", "No trusted connection to the mail server", false, 0},
    [ERR_PROTOCOL]          = {502, "upstream-protocol", "The mail server sent what cannot be understood", true, 0},
    [ERR_WORKER]            = {502, "upstream-protocol", "The mail server sent what cannot be understood", true, 0},
    [ERR_REFUSED]           = {502, "upstream-refused", "The mail server refused to do that", false, 0},
    [ERR_TIMEOUT]           = {504, "upstream-timeout", "The mail server did not answer in time", true, 0},
    [ERR_OVER_QUOTA]        = {507, "over-quota", "There is no room left", false, 0},
    [ERR_NOT_CACHED]        = {504, "not-cached", "Nothing is remembered that could answer this", false, 0},
    [ERR_BUSY]              = {503, "busy", "Too much is waiting already", true, 1},
    [ERR_SHUTTING_DOWN]     = {503, "shutting-down", "The service is stopping", true, 5},
    [ERR_CANCELLED]         = {503, "cancelled", "The work was cancelled", true, 0},
    [ERR_STORE]             = {500, "store-failed", "The service's own storage failed", true, 0},
    [ERR_INTERNAL]          = {500, "internal-error", "Something is wrong in the service", false, 0},
};
/* clang-format on */

const struct problem_row *problem_row(enum err err)
{
    return &problem_rows[(unsigned)err < ERR_COUNT ? err : ERR_INTERNAL];
}

void problem_put(struct buf *out, const struct fault *fault, const char *request_id)
{
    const struct problem_row *row = problem_row(fault->code);
    char type[96];
    snprintf(type, sizeof type, PROBLEM_BASE "%s", row->code);
    put_open(out, '{');
    put_member_text(out, "type", type);
    put_member_text(out, "title", row->title);
    put_member_int(out, "status", row->status);
    put_member_text(out, "detail", fault->detail);
    put_member_text(out, "code", row->code);
    put_member_bool(out, "retryable", row->retryable);
    if (request_id)
        put_member_text(out, "requestId", request_id);
    if (fault->reply[0]) {
        put_key(out, "upstream");
        put_open(out, '{');
        put_member_text(out, "protocol", fault->protocol);
        put_member_text(out, "reply", fault->reply);
        put_close(out, '}');
    }
    if (fault->pointed) {
        put_key(out, "errors");
        put_open(out, '[');
        put_open(out, '{');
        put_member_text(out, "pointer", fault->pointer);
        put_member_text(out, "detail", fault->detail);
        put_close(out, '}');
        put_close(out, ']');
    }
    put_close(out, '}');
}

/* err.c - names of errors, and the one way to write a fault. */
#include "err.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
    const char *name;
    bool kills_connection;
};

static const struct err_row err_rows[ERR_COUNT] = {
    [OK] = {"ok", false},
    [ERR_INVALID] = {"invalid", false},
    [ERR_INVALID_CURSOR] = {"invalid-cursor", false},
    [ERR_UNAUTHORIZED] = {"unauthorized", false},
    [ERR_FORBIDDEN] = {"forbidden", false},
    [ERR_HOST_NOT_ALLOWED] = {"host-not-allowed", true},
    [ERR_NOT_FOUND] = {"not-found", false},
    [ERR_METHOD] = {"method", false},
    [ERR_NOT_ACCEPTABLE] = {"not-acceptable", false},
    [ERR_REQUEST_TIMEOUT] = {"request-timeout", false},
    [ERR_CONFLICT] = {"conflict", false},
    [ERR_ALREADY_EXISTS] = {"already-exists", false},
    [ERR_LENGTH_REQUIRED] = {"length-required", false},
    [ERR_GONE] = {"gone", false},
    [ERR_PRECONDITION] = {"precondition", false},
    [ERR_TOO_LARGE] = {"too-large", true},
    [ERR_URI_TOO_LONG] = {"uri-too-long", false},
    [ERR_MEDIA_TYPE] = {"media-type", false},
    [ERR_RANGE] = {"range", false},
    [ERR_EXPECTATION] = {"expectation", false},
    [ERR_HEADERS_TOO_LARGE] = {"headers-too-large", false},
    [ERR_UNSUPPORTED] = {"unsupported", false},
    [ERR_THROTTLED] = {"throttled", false},
    [ERR_LOGIN] = {"login", true},
    [ERR_LOCKED] = {"locked", true},
    [ERR_UNREACHABLE] = {"unreachable", true},
    [ERR_TLS] = {"tls", true},
    [ERR_PROTOCOL] = {"protocol", true},
    [ERR_REFUSED] = {"refused", false},
    [ERR_TIMEOUT] = {"timeout", true},
    [ERR_WORKER] = {"worker", true},
    [ERR_OVER_QUOTA] = {"over-quota", false},
    [ERR_NOT_CACHED] = {"not-cached", false},
    [ERR_BUSY] = {"busy", false},
    [ERR_SHUTTING_DOWN] = {"shutting-down", false},
    [ERR_CANCELLED] = {"cancelled", true},
    [ERR_STORE] = {"store", false},
    [ERR_INTERNAL] = {"internal", true},
};

const char *err_name(enum err err)
{
    return (unsigned)err < ERR_COUNT ? err_rows[err].name : "unknown";
}

bool err_kills_connection(enum err err)
{
    return (unsigned)err >= ERR_COUNT || err_rows[err].kills_connection;
}

__attribute__((format(printf, 4, 0))) static void fault_vset(struct fault *fault, enum err code,
                                                             const char *pointer,
                                                             const char *format, va_list args)
{
    if (fault->code != OK)
        return;
    fault->code = code;
    fault->pointed = pointer != NULL;
    int length = snprintf(fault->pointer, sizeof fault->pointer, "%s", pointer ? pointer : "");
    if (length >= (int)sizeof fault->pointer) /* do not leave half a code point at a cut */
        fault->pointer[text_cut_bytes(fault->pointer, sizeof fault->pointer - 1,
                                      sizeof fault->pointer - 4)] = '\0';
    length = vsnprintf(fault->detail, sizeof fault->detail, format, args);
    if (length >= (int)sizeof fault->detail)
        fault->detail[text_cut_bytes(fault->detail, sizeof fault->detail - 1,
                                     sizeof fault->detail - 4)] = '\0';
}

enum err fault_set(struct fault *fault, enum err code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault_vset(fault, code, NULL, format, args);
    va_end(args);
    return fault->code;
}

enum err fault_at(struct fault *fault, enum err code, const char *pointer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault_vset(fault, code, pointer, format, args);
    va_end(args);
    return fault->code;
}

void fault_point(struct fault *fault, const char *pointer)
{
    if (!fault->pointed)
        snprintf(fault->pointer, sizeof fault->pointer, "%s", pointer);
    fault->pointed = true;
}

void fault_reply(struct fault *fault, const char *protocol, const char *text, uint32_t length)
{
    struct arena arena;
    if (fault->reply[0])
        return;
    arena_init(&arena);
    const char *clean = text_clean(&arena, text, length < 4096 ? length : 4096, true);
    size_t keep = text_cut_bytes(clean, strlen(clean), 300);
    memcpy(fault->reply, clean, keep);
    fault->reply[keep] = '\0';
    snprintf(fault->protocol, sizeof fault->protocol, "%s", protocol);
    arena_clear(&arena);
}

void fault_clear(struct fault *fault)
{
    memset(fault, 0, sizeof *fault);
}

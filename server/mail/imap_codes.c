/* imap_codes.c - what a refusal means: response codes (RFC 5530 and friends) and, where servers
 * say it only in prose, their words. */
#include "imap.h"
#include "text.h"

#include <string.h>

struct code_row {
    const char *code;
    enum err err;
    int retry_after_s;
};

static const struct code_row code_rows[] = {
    {"AUTHENTICATIONFAILED", ERR_LOGIN, 0},
    {"AUTHORIZATIONFAILED", ERR_LOGIN, 0},
    {"EXPIRED", ERR_LOGIN, 0},
    {"PRIVACYREQUIRED", ERR_TLS, 0},
    {"UNAVAILABLE", ERR_REFUSED, 30},
    {"SERVERBUG", ERR_REFUSED, 0},
    {"CONTACTADMIN", ERR_REFUSED, 0},
    {"CLIENTBUG", ERR_REFUSED, 0},
    {"INUSE", ERR_BUSY, 5},
    {"LIMIT", ERR_BUSY, 30},
    {"THROTTLED", ERR_BUSY, 30},
    {"OVERQUOTA", ERR_OVER_QUOTA, 0},
    {"NONEXISTENT", ERR_NOT_FOUND, 0},
    {"TRYCREATE", ERR_NOT_FOUND, 0},
    {"ALREADYEXISTS", ERR_ALREADY_EXISTS, 0},
    {"EXPUNGEISSUED", ERR_GONE, 0},
    {"NOPERM", ERR_REFUSED, 0},
    {"CANNOT", ERR_REFUSED, 0},
    {"READ-ONLY", ERR_REFUSED, 0},
    {"CORRUPTION", ERR_REFUSED, 0},
    {"UNKNOWN-CTE", ERR_REFUSED, 0},
};

/* Lower-case pieces of prose. */
static const struct code_row phrase_rows[] = {
    {"too many", ERR_BUSY, 30},
    {"maximum number of connections", ERR_BUSY, 30},
    {"connection limit", ERR_BUSY, 30},
    {"rate limit", ERR_BUSY, 60},
    {"over quota", ERR_OVER_QUOTA, 0},
    {"quota exceeded", ERR_OVER_QUOTA, 0},
    {"temporarily unavailable", ERR_REFUSED, 30},
    {"temporary authentication failure", ERR_REFUSED, 30},
    {"internal error", ERR_REFUSED, 0},
    {"mailbox doesn't exist", ERR_NOT_FOUND, 0},
    {"mailbox does not exist", ERR_NOT_FOUND, 0},
    {"no such mailbox", ERR_NOT_FOUND, 0},
    {"unknown mailbox", ERR_NOT_FOUND, 0},
};

#define ROWS(table) (sizeof(table) / sizeof *(table))

bool imapc_code_find(struct imapc_span text, struct imapc_span *name, struct imapc_span *arguments)
{
    while (text.length > 0 && *text.text == ' ') {
        text.text++;
        text.length--;
    }
    if (text.length == 0 || text.text[0] != '[')
        return false;
    const char *from = text.text + 1, *end = text.text + text.length, *at = from;
    while (at < end && *at != ']' && *at != ' ')
        at++;
    *name = (struct imapc_span){from, (size_t)(at - from)};
    while (at < end && *at == ' ')
        at++;
    from = at;
    for (bool quoted = false; at < end && (quoted || *at != ']'); at++)
        if (*at == '"')
            quoted = !quoted;
    *arguments = (struct imapc_span){from, (size_t)(at - from)};
    return at < end && name->length > 0;
}

struct imapc_span imapc_code_skip(struct imapc_span text)
{
    struct imapc_span name, arguments;
    const char *end = text.text + text.length, *at = text.text;
    if (imapc_code_find(text, &name, &arguments))
        at = arguments.text + arguments.length + 1;
    while (at < end && *at == ' ')
        at++;
    return (struct imapc_span){at, (size_t)(end - at)};
}

static bool holds_phrase(struct imapc_span text, const char *phrase)
{
    size_t length = strlen(phrase);
    for (size_t at = 0; at + length <= text.length; at++)
        if (text_case_equal(text.text + at, length, phrase))
            return true;
    return false;
}

enum err imapc_code_error(struct imapc_span text, enum err fallback, int *retry_after_s)
{
    struct imapc_span name, arguments;
    if (imapc_code_find(text, &name, &arguments)) {
        for (size_t i = 0; i < ROWS(code_rows); i++) {
            if (imapc_span_is(name, code_rows[i].code)) {
                *retry_after_s = code_rows[i].retry_after_s;
                return code_rows[i].err;
            }
        }
    }
    for (size_t i = 0; i < ROWS(phrase_rows); i++) {
        if (holds_phrase(text, phrase_rows[i].code)) {
            *retry_after_s = phrase_rows[i].retry_after_s;
            return phrase_rows[i].err;
        }
    }
    return fallback;
}

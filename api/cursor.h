/* cursor.h - a place in a list as an opaque text that only we can make. Pure. */
#ifndef POSTERN_API_CURSOR_H
#define POSTERN_API_CURSOR_H

#include "api.h"
#include "text.h"

#define CURSOR_BINDING_BYTES 8
#define CURSOR_RAW_BYTES     (1 + 8 + 8 + 4 + CURSOR_BINDING_BYTES + 16)
#define CURSOR_BYTES         TEXT_BASE64URL_BYTES(CURSOR_RAW_BYTES)

struct cursor {
    struct list_place place;
    uint8_t binding[CURSOR_BINDING_BYTES]; /* which list it belongs to */
};

/* What a list is, in few bytes: its folders, in any order without doubles, and its sort. */
void cursor_bind(const char *list, uint8_t out[CURSOR_BINDING_BYTES]);
void cursor_seal(const struct crypto_key *key, const char *account_id, const struct cursor *cursor,
                 char out[CURSOR_BYTES]);
/* ERR_INVALID_CURSOR at "cursor": altered, another account's, another key's. */
enum err cursor_open(const struct crypto_key *key, const char *account_id, const char *text,
                     struct fault *fault, struct cursor *out);

#endif

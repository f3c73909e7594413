/* body.h - a JSON request body, decoded by table; nothing of it lingers in memory. */
#ifndef POSTERN_API_BODY_H
#define POSTERN_API_BODY_H

#include "arena.h"
#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define BODY_MAX_BYTES (64u * 1024u)
#define KEYWORDS_MOST  64 /* of one change */

enum member_kind { MEMBER_TEXT, MEMBER_INT, MEMBER_BOOL, MEMBER_OBJECT };

struct member {
    const char *name; /* NULL ends the table */
    enum member_kind kind;
    bool required;
    size_t least, most; /* text: bytes; int: the value */
};

/* Once, before jansson is first used and before threads: its memory is wiped when freed. */
void body_init(void);

/* An object that has members of the table only, each of its kind and within its bounds, without CR,
 * LF or NUL in any text. ERR_MEDIA_TYPE, ERR_INVALID with a pointer. *out: json_decref it. */
enum err body_parse(const char *content_type, const char *data, size_t length,
                    const struct member *members, struct fault *fault, json_t **out);
/* NULL, 0 or `otherwise` when the member is absent. */
const char *body_text(const json_t *body, const char *name);
long long body_int(const json_t *body, const char *name, long long otherwise);
/* "/name", with RFC 6901's escapes. */
const char *body_pointer(struct arena *arena, const char *parent, const char *name);

#endif

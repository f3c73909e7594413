/* params.h - query parameters: one table of what each may be; a route says which it accepts. */
#ifndef POSTERN_API_PARAMS_H
#define POSTERN_API_PARAMS_H

#include "arena.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum param {
    PARAM_FOLDER,
    PARAM_LIMIT,
    PARAM_CURSOR,
    PARAM_FIELDS,
    PARAM_TOTAL,
    PARAM_SORT,
    PARAM_AS,
    PARAM_MAX_BYTES,
    PARAM_ENCODING,
    PARAM_COUNT
};
#define ACCEPTS(param) (1u << (param))

enum { TOTAL_NONE, TOTAL_EXACT };
enum { AS_PLAIN, AS_HTML };
enum { ENCODING_DECODED, ENCODING_RAW };

#define PARAM_BYTES_MOST   4096 /* of one value */
#define LIMIT_MOST         500
#define TEXT_BYTES_DEFAULT (256u * 1024u)
#define TEXT_BYTES_MOST    (4u * 1024u * 1024u)

struct params {
    const char *text[PARAM_COUNT]; /* decoded (`folder` is left raw); NULL when left out */
    uint64_t number[PARAM_COUNT];  /* of a number its value or default, of a choice its index */
};

/* ERR_INVALID at the parameter's name: unknown, repeated, malformed, out of range. */
enum err params_parse(const char *query, uint32_t accepted, struct arena *arena,
                      struct fault *fault, struct params *out);

#endif

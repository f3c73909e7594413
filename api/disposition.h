/* disposition.h - headers that describe what came in a mail, so that nothing in it can bite. Pure.
 */
#ifndef POSTERN_API_DISPOSITION_H
#define POSTERN_API_DISPOSITION_H

#include "arena.h"

/* RFC 6266: `attachment; filename="..."; filename*=UTF-8''...`. Path parts, controls, disguises and
 * names of devices do not survive. name NULL or "": no file name. Inline only what a browser cannot
 * run, judged by the content type that is served. */
const char *disposition_value(struct arena *arena, const char *content_type, const char *name);
/* type/subtype of RFC 9110 tokens, else application/octet-stream; text gets its charset, no other
 * parameter passes. */
const char *content_type_value(struct arena *arena, const char *type, const char *charset);

#endif

/* etag.c - entity tags against If-Match and If-None-Match lists (RFC 9110, 8.8.3 and 13.1). */
#include "http.h"

#include <string.h>

struct tag {
    const char *opaque; /* with its quotes */
    size_t length;
};

/* Reads one tag at *at and moves behind it; false at the end and at anything malformed. */
static bool take_tag(const char **at, struct tag *tag)
{
    const char *here = *at + strspn(*at, " \t,");
    if (strncmp(here, "W/", 2) == 0)
        here += 2;
    if (*here != '"')
        return false;
    const char *end = strchr(here + 1, '"');
    if (!end)
        return false;
    tag->opaque = here;
    tag->length = (size_t)(end + 1 - here);
    *at = end + 1;
    return true;
}

bool http_etag_matches(const char *list, const char *etag)
{
    if (!list || !etag)
        return false;
    if (strcmp(list, "*") == 0)
        return true;
    struct tag own, other;
    const char *at = etag;
    if (!take_tag(&at, &own))
        return false;
    at = list;
    while (take_tag(&at, &other)) {
        if (own.length == other.length && memcmp(own.opaque, other.opaque, own.length) == 0)
            return true;
    }
    return false;
}

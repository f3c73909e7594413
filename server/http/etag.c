/* etag.c - entity tags against If-Match and If-None-Match lists (RFC 9110, 8.8.3 and 13.1). */
#include "http.h"

#include <string.h>

struct tag {
    const char *opaque; /* with its quotes */
    size_t length;
    bool weak;
};

/* Reads one tag at *at and moves behind it; false at the end and at anything malformed. */
static bool take_tag(const char **at, struct tag *tag)
{
    const char *here = *at + strspn(*at, " \t,");
    tag->weak = strncmp(here, "W/", 2) == 0;
    if (tag->weak)
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

static bool list_holds(const char *list, const char *etag, bool strong)
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
        bool same = own.length == other.length && memcmp(own.opaque, other.opaque, own.length) == 0;
        if (same && !(strong && (own.weak || other.weak)))
            return true;
    }
    return false;
}

bool http_etag_matches(const char *list, const char *etag)
{
    return list_holds(list, etag, false);
}

bool http_etag_matches_strong(const char *list, const char *etag)
{
    return list_holds(list, etag, true);
}

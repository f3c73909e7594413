/* negotiate.h - what a client will take: how old, and of which type. Pure. */
#ifndef POSTERN_API_NEGOTIATE_H
#define POSTERN_API_NEGOTIATE_H

#include <stdbool.h>
#include <stdint.h>

/* Of Cache-Control (RFC 9111 5.2.1, RFC 5861 4); what cannot be read is as if not said. */
struct freshness {
    int64_t max_stale_s;      /* -1: not said; INT64_MAX: any age */
    int64_t stale_if_error_s; /* likewise */
    bool only_if_cached;
};
void freshness_parse(const char *cache_control, struct freshness *out);
/* May knowledge of that moment (wall clock, 0: never) be shown without asking the mail server? */
bool freshness_allows(const struct freshness *freshness, int64_t synced_ms, int64_t now_ms);

/* True when NDJSON is liked better than JSON. */
bool accept_prefers_ndjson(const char *accept);

#endif

/* negotiate.c - reading Cache-Control and Accept. */
#include "negotiate.h"
#include "http.h"
#include "text.h"

#include <string.h>

#define SECONDS_MOST ((uint64_t)INT32_MAX)

/* `name` or `name=N` (N may be quoted) at text; false when it is another directive. */
static bool directive_is(const char *text, size_t length, const char *name, int64_t *seconds)
{
    size_t name_length = strlen(name);
    uint64_t value;
    if (text_case_equal(text, length, name)) {
        *seconds = INT64_MAX;
        return true;
    }
    if (length <= name_length || text[name_length] != '=' ||
        !text_case_equal(text, name_length, name))
        return false;
    text += name_length + 1;
    length -= name_length + 1;
    if (length >= 2 && text[0] == '"' && text[length - 1] == '"') {
        text++;
        length -= 2;
    }
    if (text_to_u64(text, length, SECONDS_MOST, &value))
        *seconds = (int64_t)value;
    return true;
}

void freshness_parse(const char *cache_control, struct freshness *out)
{
    *out = (struct freshness){.max_stale_s = -1, .stale_if_error_s = -1};
    for (const char *at = cache_control; at && *at;) {
        at += strspn(at, " \t,");
        size_t length = strcspn(at, ",");
        size_t trimmed = length;
        while (trimmed && (at[trimmed - 1] == ' ' || at[trimmed - 1] == '\t'))
            trimmed--;
        int64_t ignored = -1;
        if (directive_is(at, trimmed, "only-if-cached", &ignored))
            out->only_if_cached = true;
        else if (!directive_is(at, trimmed, "max-stale", &out->max_stale_s))
            directive_is(at, trimmed, "stale-if-error", &out->stale_if_error_s);
        at += length;
    }
}

bool freshness_allows(const struct freshness *freshness, int64_t synced_ms, int64_t now_ms)
{
    int64_t age_s = now_ms > synced_ms ? (now_ms - synced_ms) / 1000 : 0;
    if (synced_ms <= 0)
        return false;
    if (freshness->max_stale_s >= 0)
        return age_s <= freshness->max_stale_s;
    return freshness->only_if_cached;
}

bool accept_prefers_ndjson(const char *accept)
{
    return accept && http_accept_quality(accept, "application/x-ndjson") >
                         http_accept_quality(accept, "application/json");
}

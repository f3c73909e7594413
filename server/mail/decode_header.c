/* decode_header.c - a header section as a list of names and decoded values. */
#include "decode_private.h"
#include "text.h"

#include <string.h>

/* The end of the line that begins at `at`: behind its LF (or CR, where a mailer wrote only that).
 */
static const char *line_end(const char *at, const char *end)
{
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    return feed ? feed + 1 : end;
}

/* RFC 5322 3.6.8: printable ASCII but the colon. Blanks before the colon are obsolete, not wrong.
 */
static size_t name_length(const char *at, size_t length, size_t *colon)
{
    size_t name = 0;
    while (name < length && at[name] > ' ' && at[name] < 0x7f && at[name] != ':')
        name++;
    *colon = name;
    while (*colon < length && (at[*colon] == ' ' || at[*colon] == '\t'))
        (*colon)++;
    bool good =
        name > 0 && name <= BACKEND_HEADER_NAME_BYTES_MAX && *colon < length && at[*colon] == ':';
    return good ? name : 0;
}

#define TOLD_BYTES 64u /* what the receiver needs for one, beside its text */

static enum err tell(struct decode_budget *budget, struct header_sink *sink, const char *field,
                     size_t length, uint32_t *told)
{
    struct arena arena;
    size_t colon;
    size_t name = name_length(field, length, &colon);
    if (name == 0)
        return OK;
    if (++*told > BACKEND_HEADERS_MAX) {
        budget->limited |= LIMITED_HEADERS;
        return OK;
    }
    if (!decode_budget_spend(budget, name + TOLD_BYTES))
        return OK;
    arena_init(&arena);
    const char *value = decode_text(&arena, budget, field + colon + 1, length - colon - 1);
    enum err err = sink->header(sink, arena_strndup(&arena, field, name), value);
    budget->held_bytes += name + strlen(value) + TOLD_BYTES;
    arena_clear(&arena);
    return err;
}

enum err decode_headers(struct decode_budget *budget, const char *raw, size_t length,
                        struct header_sink *sink)
{
    bool is_cut = length > BACKEND_HEADER_SECTION_BYTES_MAX;
    const char *end = raw + (is_cut ? BACKEND_HEADER_SECTION_BYTES_MAX : length), *at = raw;
    uint32_t told = 0;
    while (at < end && told <= BACKEND_HEADERS_MAX && decode_budget_left(budget)) {
        const char *next = line_end(at, end);
        if (*at == '\n' || (*at == '\r' && at + 1 < end && at[1] == '\n'))
            return OK;
        while (next < end && (*next == ' ' || *next == '\t'))
            next = line_end(next, end);
        enum err err = tell(budget, sink, at, (size_t)(next - at), &told);
        if (err)
            return err;
        at = next;
    }
    if (is_cut)
        budget->limited |= LIMITED_HEADERS;
    return OK;
}

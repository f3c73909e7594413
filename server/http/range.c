/* range.c - Range and If-Range (RFC 9110, 14.2 and 13.1.5), for one range of bytes.
 *
 * Whatever is not exactly one understandable range is answered whole: that is always allowed, and
 * several ranges at once are mostly asked for by those who want to exhaust a server.
 */
#include "http.h"

#include "text.h"

#include <string.h>

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* Saturates instead of overflowing: a position past the end is past the end, however far. */
static bool take_number(const char **at, uint64_t *out)
{
    const char *digit = *at;
    uint64_t value = 0;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        uint64_t add = (uint64_t)(*digit - '0');
        value = value > (UINT64_MAX - add) / 10 ? UINT64_MAX : value * 10 + add;
    }
    bool some = digit != *at;
    *at = digit;
    *out = value;
    return some;
}

static enum http_range suffix_range(uint64_t count, uint64_t total, uint64_t *first, uint64_t *last)
{
    if (count == 0 || total == 0)
        return HTTP_RANGE_UNSATISFIABLE;
    *first = count >= total ? 0 : total - count;
    *last = total - 1;
    return HTTP_RANGE_PART;
}

enum http_range http_range_parse(const char *range, const char *if_range, const char *etag,
                                 uint64_t total, uint64_t *first, uint64_t *last)
{
    if (!range || !text_starts_case(range, "bytes="))
        return HTTP_RANGE_WHOLE;
    /* A date or a weak tag cannot prove that the bytes are the same. */
    if (if_range && (!etag || if_range[0] != '"' || strcmp(if_range, etag) != 0))
        return HTTP_RANGE_WHOLE;

    const char *at = skip_blanks(range + strlen("bytes="));
    uint64_t from = 0, to = 0;
    bool has_from = take_number(&at, &from);
    if (*at++ != '-')
        return HTTP_RANGE_WHOLE;
    bool has_to = take_number(&at, &to);
    if (*skip_blanks(at) != '\0' || (!has_from && !has_to))
        return HTTP_RANGE_WHOLE;
    if (!has_from)
        return suffix_range(to, total, first, last);
    if (has_to && to < from)
        return HTTP_RANGE_WHOLE;
    if (from >= total)
        return HTTP_RANGE_UNSATISFIABLE;
    *first = from;
    *last = has_to && to < total ? to : total - 1;
    return HTTP_RANGE_PART;
}

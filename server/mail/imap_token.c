/* imap_token.c - reads a response token by token, and sets of numbers.
 *
 * The buffer holds the response with its literals in place: "{5}" CRLF and five bytes. Depth is
 * counted, never recursed into.
 */
#include "imap.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct imapc_scan imapc_scan_of(struct imapc_span span, uint32_t depth_max)
{
    return (struct imapc_scan){
        .at = span.text,
        .end = span.text ? span.text + span.length : NULL,
        .depth_max = depth_max,
    };
}

static bool scan_break(struct imapc_scan *scan)
{
    scan->broken = true;
    return false;
}

static bool scan_quoted(struct imapc_scan *scan, struct imapc_token *out)
{
    const char *at = scan->at + 1;
    out->kind = TOKEN_STRING;
    out->span.text = at;
    for (; at < scan->end && *at != '"'; at++) {
        if (*at == '\\') {
            out->escaped = true;
            if (++at == scan->end)
                break;
        }
    }
    if (at >= scan->end)
        return scan_break(scan);
    out->span.length = (size_t)(at - out->span.text);
    scan->at = at + 1;
    return true;
}

/* At "{": the literal behind it; false when it is none. */
static bool scan_literal(struct imapc_scan *scan, struct imapc_token *out)
{
    const char *digits = scan->at + 1, *at = digits;
    while (at < scan->end && *at >= '0' && *at <= '9')
        at++;
    uint64_t size = 0;
    if (!text_to_u64(digits, (size_t)(at - digits), UINT32_MAX, &size))
        return false;
    if (at < scan->end && *at == '+')
        at++;
    if (at == scan->end || *at++ != '}')
        return false;
    if (at < scan->end && *at == '\r')
        at++;
    if (at == scan->end || *at++ != '\n' || (uint64_t)(scan->end - at) < size)
        return false;
    out->kind = TOKEN_STRING;
    out->span = (struct imapc_span){at, (size_t)size};
    scan->at = at + size;
    return true;
}

static bool ends_atom(char byte)
{
    return byte == ' ' || byte == '(' || byte == ')' || byte == '\r' || byte == '\n' ||
           byte == '\t';
}

static bool scan_atom(struct imapc_scan *scan, struct imapc_token *out)
{
    out->kind = TOKEN_ATOM;
    out->span.text = scan->at;
    while (scan->at < scan->end && !ends_atom(*scan->at))
        scan->at++;
    out->span.length = (size_t)(scan->at - out->span.text);
    if (imapc_span_is(out->span, "NIL"))
        out->kind = TOKEN_NIL;
    return true;
}

bool imapc_scan_next(struct imapc_scan *scan, struct imapc_token *out)
{
    *out = (struct imapc_token){.kind = TOKEN_END};
    if (scan->broken)
        return false;
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r' || *scan->at == '\n'))
        scan->at++;
    if (scan->at >= scan->end)
        return false;
    switch (*scan->at) {
    case '(':
        if (++scan->depth > scan->depth_max)
            return scan_break(scan);
        out->kind = TOKEN_OPEN;
        scan->at++;
        return true;
    case ')':
        if (scan->depth-- == 0)
            return scan_break(scan);
        out->kind = TOKEN_CLOSE;
        scan->at++;
        return true;
    case '"': return scan_quoted(scan, out);
    case '{': return scan_literal(scan, out) || scan_break(scan);
    case '~':
        if (scan->at + 1 < scan->end && scan->at[1] == '{') {
            scan->at++;
            return scan_literal(scan, out) || scan_break(scan);
        }
        return scan_atom(scan, out);
    default: return scan_atom(scan, out);
    }
}

bool imapc_scan_value(struct imapc_scan *scan, struct imapc_span *out)
{
    struct imapc_token token;
    uint32_t depth = scan->depth;
    while (scan->at < scan->end && *scan->at == ' ')
        scan->at++;
    const char *from = scan->at;
    if (!imapc_scan_next(scan, &token) || token.kind == TOKEN_CLOSE)
        return scan_break(scan);
    while (scan->depth > depth)
        if (!imapc_scan_next(scan, &token))
            return scan_break(scan);
    *out = (struct imapc_span){from, (size_t)(scan->at - from)};
    return true;
}

/* Behind "[": past the matching "]", quoted strings and literals aside. */
static bool scan_brackets(struct imapc_scan *scan)
{
    struct imapc_token skipped;
    while (scan->at < scan->end && *scan->at != ']') {
        if (*scan->at == '"') {
            if (!scan_quoted(scan, &skipped))
                return false;
        } else if (*scan->at == '{') {
            if (!scan_literal(scan, &skipped))
                return scan_break(scan);
        } else {
            scan->at++;
        }
    }
    if (scan->at >= scan->end)
        return scan_break(scan);
    scan->at++;
    return true;
}

bool imapc_scan_name(struct imapc_scan *scan, struct imapc_span *out)
{
    if (scan->broken)
        return false;
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\r' || *scan->at == '\n'))
        scan->at++;
    const char *from = scan->at;
    while (scan->at < scan->end && !ends_atom(*scan->at)) {
        if (*scan->at == '[') {
            if (!scan_brackets(scan))
                return false;
        } else {
            scan->at++;
        }
    }
    *out = (struct imapc_span){from, (size_t)(scan->at - from)};
    return out->length > 0;
}

bool imapc_span_is(struct imapc_span span, const char *word)
{
    return text_case_equal(span.text, span.length, word);
}

bool imapc_span_begins(struct imapc_span span, const char *prefix)
{
    size_t length = strlen(prefix);
    return span.length >= length && text_case_equal(span.text, length, prefix);
}

bool imapc_span_number(struct imapc_span span, uint64_t max, uint64_t *out)
{
    return text_to_u64(span.text, span.length, max, out);
}

char *imapc_token_copy(struct arena *arena, const struct imapc_token *token, size_t *length)
{
    if (token->kind != TOKEN_STRING && token->kind != TOKEN_ATOM) {
        *length = 0;
        return NULL;
    }
    char *out = arena_strndup(arena, token->span.text, token->span.length);
    *length = token->span.length;
    if (!token->escaped)
        return out;
    char *put = out;
    for (size_t i = 0; i < token->span.length; i++) {
        if (token->span.text[i] == '\\' && i + 1 < token->span.length)
            i++;
        *put++ = token->span.text[i];
    }
    *put = '\0';
    *length = (size_t)(put - out);
    return out;
}

/* ---- sets ---- */

/* Sorting may show that the same ones were added over and over; it is worth its time only while it
 * makes much room. */
static bool make_room(struct imapc_set *set)
{
    imapc_set_sort(set);
    return set->count <= BACKEND_RANGES_MAX - BACKEND_RANGES_MAX / 8;
}

void imapc_set_add(struct imapc_set *set, uint32_t first, uint32_t last)
{
    if (first > last) {
        uint32_t swap = first;
        first = last;
        last = swap;
    }
    if (set->count == 0) {
        set->sorted = true;
    } else {
        struct uid_range *newest = &set->ranges[set->count - 1];
        if (set->sorted && first > newest->last && first - newest->last == 1) {
            newest->last = last;
            return;
        }
        if (first <= newest->last)
            set->sorted = false;
    }
    if (set->count == BACKEND_RANGES_MAX && !set->full)
        set->full = !make_room(set);
    if (set->full)
        return;
    if (set->count > 0 && set->sorted && first <= set->ranges[set->count - 1].last)
        set->sorted = false; /* sorting made another range the last */
    if (set->count == set->capacity) {
        set->capacity = set->capacity ? set->capacity * 2 : 64;
        if (set->capacity > BACKEND_RANGES_MAX)
            set->capacity = BACKEND_RANGES_MAX;
        set->ranges = xrealloc(set->ranges, set->capacity * sizeof *set->ranges);
    }
    set->ranges[set->count++] = (struct uid_range){first, last};
}

static int compare_ranges(const void *a, const void *b)
{
    const struct uid_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

void imapc_set_sort(struct imapc_set *set)
{
    if (set->count == 0 || set->sorted)
        return;
    qsort(set->ranges, set->count, sizeof *set->ranges, compare_ranges);
    uint32_t kept = 0;
    for (uint32_t i = 1; i < set->count; i++) {
        struct uid_range *last = &set->ranges[kept], next = set->ranges[i];
        if (last->last == UINT32_MAX || next.first <= last->last + 1) {
            if (next.last > last->last)
                last->last = next.last;
        } else {
            set->ranges[++kept] = next;
        }
    }
    set->count = kept + 1;
    set->sorted = true;
}

void imapc_set_clear(struct imapc_set *set)
{
    free(set->ranges);
    *set = (struct imapc_set){0};
}

bool imapc_set_has(const struct imapc_set *set, uint32_t number)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->ranges[low].first <= number;
}

void imapc_set_print(struct buf *out, const struct uid_range *ranges, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out, i ? ",%u" : "%u", ranges[i].first);
        if (ranges[i].last == UINT32_MAX)
            buf_text(out, ":*");
        else if (ranges[i].last != ranges[i].first)
            buf_printf(out, ":%u", ranges[i].last);
    }
}

bool imapc_set_read(struct imapc_set *set, struct imapc_span text)
{
    const char *at = text.text, *end = at + text.length;
    while (at < end) {
        uint64_t numbers[2] = {0, 0};
        int count = 0;
        for (;;) {
            const char *from = at;
            while (at < end && *at >= '0' && *at <= '9')
                at++;
            if (!text_to_u64(from, (size_t)(at - from), UINT32_MAX, &numbers[count++]))
                return false;
            if (count == 2 || at == end || *at != ':')
                break;
            at++;
        }
        imapc_set_add(set, (uint32_t)numbers[0], (uint32_t)numbers[count - 1]);
        if (at < end && *at++ != ',')
            return false;
    }
    return true;
}

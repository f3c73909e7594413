/* imap_fetch.c - a FETCH response read flat: its small items here, the nested ones as spans.
 *
 * Items nobody knows (MODSEQ, X-GM-LABELS, PREVIEW, ...) are stepped over. A value that cannot be
 * read costs the items behind it and sets `broken`.
 */
#include "imap.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct flag_row {
    const char *name;
    uint32_t flag;
};

static const struct flag_row flag_rows[] = {
    {"\\Seen", FLAG_SEEN},   {"\\Flagged", FLAG_FLAGGED}, {"\\Answered", FLAG_ANSWERED},
    {"\\Draft", FLAG_DRAFT}, {"\\Deleted", FLAG_DELETED},
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_flag(struct arena *arena, struct imapc_span word, uint32_t *flags,
                     const char **keywords, uint32_t *count)
{
    for (size_t i = 0; i < sizeof flag_rows / sizeof *flag_rows; i++) {
        if (imapc_span_is(word, flag_rows[i].name)) {
            *flags |= flag_rows[i].flag;
            return;
        }
    }
    if (word.length == 0 || word.text[0] == '\\' || *count == BACKEND_KEYWORDS_MAX)
        return; /* \Recent and unknown system flags */
    const char *clean = text_clean(arena, word.text, word.length, true);
    if (!*clean)
        return;
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp(keywords[i], clean) == 0)
            return;
    keywords[(*count)++] = clean;
}

static void read_flags(struct arena *arena, struct imapc_span list, struct imapc_fetch *out)
{
    const char *keywords[BACKEND_KEYWORDS_MAX];
    uint32_t count = 0;
    struct imapc_scan scan = imapc_scan_of(list, 2);
    struct imapc_token token;
    out->has_flags = true;
    while (imapc_scan_next(&scan, &token))
        if (token.kind == TOKEN_ATOM || token.kind == TOKEN_STRING)
            add_flag(arena, token.span, &out->flags, keywords, &count);
    if (count == 0)
        return;
    qsort(keywords, count, sizeof *keywords, compare_texts);
    const char **kept = arena_array(arena, const char *, count);
    memcpy(kept, keywords, count * sizeof *keywords);
    out->keywords = (struct string_list){.items = kept, .count = count};
}

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned of_era = (unsigned)(year - era * 400);
    unsigned of_year = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool digits(const char *text, size_t length, unsigned *out)
{
    uint64_t value = 0;
    if (length == 2 && text[0] == ' ') { /* a one-digit day */
        text++;
        length--;
    }
    bool good = text_to_u64(text, length, 9999, &value);
    *out = (unsigned)value;
    return good;
}

/* "17-Jul-1996 02:44:25 -0700", the day padded with a blank or not at all. */
bool imapc_date_parse(struct imapc_span span, int64_t *unix_s)
{
    static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    unsigned day, month = 0, year, hour, minute, second, zone_hour = 0, zone_minute = 0;
    const char *at = span.text;
    size_t length = span.length;
    if (length > 1 && at[1] == '-' ? !digits(at, 1, &day) : length < 2 || !digits(at, 2, &day))
        return false;
    size_t skip = at[1] == '-' ? 1 : 2;
    at += skip;
    length -= skip;
    if (length < 18 || at[0] != '-' || at[4] != '-' || at[9] != ' ' || at[12] != ':' ||
        at[15] != ':')
        return false;
    for (unsigned i = 0; i < 12; i++)
        if (text_case_equal(at + 1, 3,
                            (char[]){months[i * 3], months[i * 3 + 1], months[i * 3 + 2], '\0'}))
            month = i + 1;
    if (!month || !digits(at + 5, 4, &year) || !digits(at + 10, 2, &hour) ||
        !digits(at + 13, 2, &minute) || !digits(at + 16, 2, &second) || day < 1 || day > 31)
        return false;
    *unix_s = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    if (length >= 24 && (at[19] == '+' || at[19] == '-') && digits(at + 20, 2, &zone_hour) &&
        digits(at + 22, 2, &zone_minute)) {
        int64_t offset_s = zone_hour * 3600 + zone_minute * 60;
        *unix_s += at[19] == '-' ? offset_s : -offset_s;
    }
    return true;
}

static bool first_token(struct imapc_span value, struct imapc_token *out)
{
    struct imapc_scan scan = imapc_scan_of(value, 2);
    if (!imapc_scan_next(&scan, out))
        return false;
    return out->kind != TOKEN_OPEN || imapc_scan_next(&scan, out); /* EMAILID (x), MODSEQ (1) */
}

static void read_section(struct imapc_span name, const struct imapc_token *content,
                         struct imapc_fetch *out)
{
    const char *open = memchr(name.text, '[', name.length);
    const char *close = memrchr(name.text, ']', name.length);
    if (!open || !close || close < open)
        return;
    out->has_section = true;
    out->section = (struct imapc_span){open + 1, (size_t)(close - open - 1)};
    out->content = *content;
}

static void read_item(struct arena *arena, struct imapc_span name, struct imapc_span value,
                      struct imapc_fetch *out)
{
    struct imapc_token token;
    uint64_t number = 0;
    if (!first_token(value, &token))
        return;
    if (imapc_span_is(name, "UID") && imapc_span_number(token.span, UINT32_MAX, &number)) {
        out->uid = (uint32_t)number;
    } else if (imapc_span_is(name, "FLAGS")) {
        read_flags(arena, value, out);
    } else if (imapc_span_is(name, "INTERNALDATE")) {
        out->has_date = imapc_date_parse(token.span, &out->received_s);
    } else if (imapc_span_is(name, "RFC822.SIZE")) {
        out->has_size = imapc_span_number(token.span, INT64_MAX, &out->size);
    } else if (imapc_span_is(name, "ENVELOPE")) {
        out->envelope = value;
    } else if (imapc_span_is(name, "BODYSTRUCTURE") || imapc_span_is(name, "BODY")) {
        out->structure = value;
    } else if (imapc_span_is(name, "MODSEQ")) {
        (void)imapc_span_number(token.span, INT64_MAX, &out->modseq);
    } else if (imapc_span_is(name, "EMAILID") || imapc_span_is(name, "X-GM-MSGID")) {
        if (token.span.length > 0 && token.span.length <= 255)
            out->remote_id = text_clean(arena, token.span.text, token.span.length, true);
    } else if (imapc_span_begins(name, "BINARY.SIZE[")) {
        out->has_binary_size = imapc_span_number(token.span, INT64_MAX, &out->binary_size);
    } else if (imapc_span_begins(name, "BODY[") || imapc_span_begins(name, "BINARY[")) {
        read_section(name, &token, out);
    }
}

/* A structure of which the response has only the beginning: a mail of very many parts. */
static void take_beginning(const struct imapc_response *response, struct imapc_span name,
                           const char *from, struct imapc_fetch *out)
{
    const char *end = response->rest.text + response->rest.length;
    while (from < end && *from == ' ')
        from++;
    if (!response->cut || from == end || *from != '(' || !imapc_span_is(name, "BODYSTRUCTURE"))
        return;
    out->structure = (struct imapc_span){from, (size_t)(end - from)};
    out->structure_cut = true;
}

void imapc_fetch_read(struct arena *arena, const struct imapc_response *response,
                      struct imapc_fetch *out)
{
    *out = (struct imapc_fetch){
        .sequence = response->number, .broken = response->cut, .cut = response->cut};
    struct imapc_scan scan = imapc_scan_of(response->rest, UINT32_MAX);
    struct imapc_token open;
    if (!imapc_scan_next(&scan, &open) || open.kind != TOKEN_OPEN) {
        out->broken = true;
        return;
    }
    struct imapc_span name, value;
    while (imapc_scan_name(&scan, &name)) {
        const char *from = scan.at;
        if (!imapc_scan_value(&scan, &value)) {
            take_beginning(response, name, from, out);
            break;
        }
        read_item(arena, name, value, out);
    }
    if (scan.broken || scan.at >= scan.end || *scan.at != ')')
        out->broken = true;
}

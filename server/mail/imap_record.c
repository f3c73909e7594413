/* imap_record.c - FETCH responses to messages, one bad item costing one message.
 *
 * What libetpan refuses is read another way: the structure by imap_salvage.c, the envelope by
 * asking for the header fields themselves. A message of which even that says nothing is still
 * told, with its uid and LIMITED_UNREADABLE.
 */
#include "imap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MEND_MAX 1000u /* unreadable records asked for again in one call */

#define MEND_ITEMS                                                                                 \
    "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE SUBJECT FROM SENDER "       \
    "REPLY-TO TO CC BCC MESSAGE-ID IN-REPLY-TO REFERENCES)])"

/* ---- header fields, for references and for records that are mended ---- */

/* Where what is read goes, and what it may cost. */
struct reading {
    struct arena *arena;
    struct decode_budget *budget;
    struct message *out;
};

static void take_subject(struct reading *reading, struct imapc_span value, void *member)
{
    *(const char **)member = decode_text(reading->arena, reading->budget, value.text, value.length);
}

static void take_date(struct reading *reading, struct imapc_span value, void *member)
{
    struct envelope *envelope = &reading->out->envelope;
    (void)member;
    envelope->has_date = decode_date(value.text, value.length, &envelope->date_s);
}

static void take_addresses(struct reading *reading, struct imapc_span value, void *member)
{
    decode_addresses(reading->arena, reading->budget, value.text, value.length, member);
}

static void take_ids(struct reading *reading, struct imapc_span value, void *member)
{
    decode_message_ids(reading->arena, reading->budget, value.text, value.length, member);
}

static void take_message_id(struct reading *reading, struct imapc_span value, void *member)
{
    struct string_list ids = {0};
    take_ids(reading, value, &ids);
    *(const char **)member = ids.count ? ids.items[0] : NULL;
}

struct field_row {
    const char *name;
    void (*take)(struct reading *, struct imapc_span value, void *member);
    size_t offset; /* of the member of struct envelope */
};

static const struct field_row field_rows[] = {
    {"Subject", take_subject, offsetof(struct envelope, subject)},
    {"Date", take_date, offsetof(struct envelope, date_s)},
    {"From", take_addresses, offsetof(struct envelope, from)},
    {"Sender", take_addresses, offsetof(struct envelope, sender)},
    {"Reply-To", take_addresses, offsetof(struct envelope, reply_to)},
    {"To", take_addresses, offsetof(struct envelope, to)},
    {"Cc", take_addresses, offsetof(struct envelope, cc)},
    {"Bcc", take_addresses, offsetof(struct envelope, bcc)},
    {"Message-ID", take_message_id, offsetof(struct envelope, message_id)},
    {"In-Reply-To", take_ids, offsetof(struct envelope, in_reply_to)},
    {"References", take_ids, offsetof(struct envelope, references)},
};
#define FIELDS_COUNT (sizeof field_rows / sizeof *field_rows)

/* The first header of a section, from *at: its value with the folding kept, *at behind it. */
static struct imapc_span next_value(const char **at, const char *end, const struct field_row **row)
{
    const char *from = *at, *line_end = memchr(from, '\n', (size_t)(end - from));
    line_end = line_end ? line_end + 1 : end;
    const char *colon = memchr(from, ':', (size_t)(line_end - from));
    while (line_end < end && (*line_end == ' ' || *line_end == '\t')) {
        const char *next = memchr(line_end, '\n', (size_t)(end - line_end));
        line_end = next ? next + 1 : end;
    }
    *at = line_end;
    *row = NULL;
    for (size_t i = 0; colon && i < FIELDS_COUNT && !*row; i++)
        if (imapc_span_is((struct imapc_span){from, (size_t)(colon - from)}, field_rows[i].name))
            *row = &field_rows[i];
    return *row ? (struct imapc_span){colon + 1, (size_t)(line_end - colon - 1)}
                : (struct imapc_span){0};
}

/* Of each field the first one. */
static void read_header_fields(struct reading *reading, struct imapc_span section)
{
    uint32_t seen = 0;
    size_t length = section.length;
    if (length > BACKEND_HEADER_SECTION_BYTES_MAX) {
        length = BACKEND_HEADER_SECTION_BYTES_MAX;
        reading->budget->limited |= LIMITED_HEADERS;
    }
    const char *at = section.text, *end = at + length;
    while (at < end && decode_budget_spend(reading->budget, 1)) {
        const struct field_row *row;
        struct imapc_span value = next_value(&at, end, &row);
        uint32_t bit = row ? UINT32_C(1) << (row - field_rows) : 0;
        if (!row || (seen & bit))
            continue;
        seen |= bit;
        row->take(reading, value, (char *)&reading->out->envelope + row->offset);
    }
}

/* ---- one record ---- */

static void take_plain_items(const struct imapc_fetch *fetch, struct message *out)
{
    out->uid = fetch->uid;
    out->remote_id = fetch->remote_id;
    out->modseq = fetch->modseq;
    out->flags = fetch->flags;
    out->keywords = fetch->keywords;
    out->received_s = fetch->received_s;
    out->size = fetch->size;
}

struct nested { /* what libetpan made of it; NULL where it refused */
    struct mailimap_response_data *both, *envelope, *structure;
};

/* ENVELOPE and BODYSTRUCTURE in one go; when libetpan will not, each alone. */
static struct nested parse_nested(const struct imapc_fetch *fetch, struct decode_budget *budget,
                                  uint32_t depth_max)
{
    struct imapc_span none = {0};
    struct imapc_span structure = fetch->structure_cut ? none : fetch->structure;
    struct nested parsed = {0};
    size_t bytes = fetch->envelope.length + structure.length;
    budget->held_bytes += 3 * bytes; /* as they came, rewritten, parsed */
    if (decode_budget_spend(budget, bytes))
        parsed.both = imapc_etpan_parse(fetch->envelope, structure, depth_max);
    if (!parsed.both && decode_budget_spend(budget, bytes))
        parsed.envelope = imapc_etpan_parse(fetch->envelope, none, depth_max);
    if (!parsed.both && structure.text && decode_budget_spend(budget, bytes))
        parsed.structure = imapc_etpan_parse(none, structure, depth_max);
    return parsed;
}

/* False when the envelope is lost. Half of the time is the structure's, so that a letter to very
 * many is still seen to have an attachment. */
static bool take_nested_items(struct reading *reading, const struct imapc_fetch *fetch,
                              const struct backend_world *world)
{
    struct decode_budget *budget = reading->budget;
    struct message *out = reading->out;
    struct nested parsed = parse_nested(fetch, budget, world->nesting_max);
    struct mailimap_response_data *of_envelope = parsed.both ? parsed.both : parsed.envelope;
    struct mailimap_response_data *of_body = parsed.both ? parsed.both : parsed.structure;
    struct mailimap_envelope *envelope = of_envelope ? imapc_etpan_envelope(of_envelope) : NULL;
    struct mailimap_body *body = of_body ? imapc_etpan_body(of_body) : NULL;
    struct imapc_structure structure = {.text = fetch->structure,
                                        .is_cut = fetch->structure_cut,
                                        .depth_max = world->nesting_max,
                                        .parts_max = world->parts_max};
    if (envelope)
        imapc_envelope_convert(reading->arena, budget, envelope, &out->envelope);
    decode_budget_more(budget, world->message_cpu_ms_max / 2);
    if (body)
        imapc_structure_convert(reading->arena, budget, body, world->parts_max, out);
    else if (!fetch->structure.text ||
             !imapc_structure_salvage(reading->arena, budget, &structure, out))
        out->limited |= LIMITED_UNREADABLE;
    imapc_etpan_free(parsed.both);
    imapc_etpan_free(parsed.envelope);
    imapc_etpan_free(parsed.structure);
    return envelope != NULL;
}

static enum err tell(struct imapc_records *records, const struct message *message)
{
    imapc_set_add(&records->told, message->uid, message->uid);
    return records->sink->message(records->sink, message);
}

static struct imapc_span section_of(struct arena *arena, const struct imapc_fetch *fetch)
{
    struct imapc_span section = {0};
    if (fetch->has_section)
        section.text = imapc_token_copy(arena, &fetch->content, &section.length);
    return section;
}

static enum err take_record(struct imapc_records *records, const struct imapc_fetch *fetch)
{
    const struct backend_world *world = records->imap->wire.world;
    struct message message = {0};
    struct decode_budget budget;
    struct reading reading = {.arena = &records->arena, .budget = &budget, .out = &message};
    bool cut = fetch->broken && !fetch->structure.text;
    uint32_t half_ms = world->message_cpu_ms_max / 2;
    decode_budget_begin(&budget, &records->arena, half_ms, world->message_bytes_max);
    if (cut || !fetch->envelope.text || !take_nested_items(&reading, fetch, world)) {
        if (records->broken.count < MEND_MAX)
            imapc_set_add(&records->broken, fetch->uid, fetch->uid);
        return OK;
    }
    take_plain_items(fetch, &message);
    struct imapc_span section = section_of(&records->arena, fetch);
    if (section.text)
        read_header_fields(&reading, section); /* References, and nothing else was asked for */
    else if (fetch->structure_cut)
        budget.limited |= LIMITED_HEADERS;
    message.limited |= budget.limited;
    return tell(records, &message);
}

static enum err take_mended(struct imapc_records *records, const struct imapc_fetch *fetch)
{
    const struct backend_world *world = records->imap->wire.world;
    struct message message = {.limited = LIMITED_UNREADABLE};
    struct decode_budget budget;
    struct reading reading = {.arena = &records->arena, .budget = &budget, .out = &message};
    decode_budget_begin(&budget, &records->arena, world->message_cpu_ms_max,
                        world->message_bytes_max);
    take_plain_items(fetch, &message);
    struct imapc_span section = section_of(&records->arena, fetch);
    if (section.text)
        read_header_fields(&reading, section);
    message.limited |= budget.limited;
    return tell(records, &message);
}

/* "SEARCH 1 4 7" and "ESEARCH (TAG "a1") UID ALL 1,4:7". */
static void take_search(struct imapc_set *found, struct imapc_span rest)
{
    struct imapc_scan scan = imapc_scan_of(rest, 4);
    struct imapc_token token;
    while (imapc_scan_next(&scan, &token))
        if (token.kind == TOKEN_ATOM && scan.depth == 0)
            (void)imapc_set_read(found, token.span);
}

static void take_esearch(struct imapc_set *found, struct imapc_span rest)
{
    struct imapc_scan scan = imapc_scan_of(rest, 4);
    struct imapc_token token;
    while (imapc_scan_next(&scan, &token))
        if (imapc_span_is(token.span, "ALL") && imapc_scan_next(&scan, &token))
            (void)imapc_set_read(found, token.span);
}

static enum err take_fetch(struct imapc_records *records, const struct imapc_response *response,
                           bool *mine)
{
    struct imapc_fetch fetch;
    arena_clear(&records->arena);
    imapc_fetch_read(&records->arena, response, &fetch);
    if (fetch.uid == 0) { /* unsolicited, or broken before its uid */
        records->lost |= fetch.broken || fetch.envelope.text;
        return OK;
    }
    *mine = true;
    if (fetch.uid < records->uid_min)
        return OK;
    imapc_set_add(&records->exist, fetch.uid, fetch.uid);
    if (records->mending)
        return take_mended(records, &fetch);
    if (fetch.envelope.text && fetch.uid < records->record_min)
        return OK;
    if (fetch.envelope.text || fetch.structure.text || fetch.has_date || fetch.broken)
        return take_record(records, &fetch);
    if (!fetch.has_flags || !records->flags_wanted) {
        *mine = false;
        return OK;
    }
    return records->sink->flags(records->sink, fetch.uid, fetch.flags, &fetch.keywords,
                                fetch.modseq);
}

static enum err records_untagged(struct imapc_handler *handler,
                                 const struct imapc_response *response, bool *mine)
{
    struct imapc_records *records = (struct imapc_records *)handler;
    enum err err = OK;
    if (response->has_number && imapc_span_is(response->word, "FETCH")) {
        err = records->sink ? take_fetch(records, response, mine) : OK;
    } else if (imapc_span_is(response->word, "SEARCH")) {
        take_search(&records->found, response->rest);
        *mine = true;
    } else if (imapc_span_is(response->word, "ESEARCH")) {
        take_esearch(&records->found, response->rest);
        *mine = true;
    }
    if (!err && (records->told.full || records->exist.full || records->found.full))
        err = imapc_limit_passed(&records->imap->wire, &records->imap->call->fault, LIMIT_RANGES);
    return err;
}

void imapc_records_init(struct imapc_records *records, struct imapc *imap, struct change_sink *sink,
                        uint32_t uid_min)
{
    *records = (struct imapc_records){
        .handler = {.untagged = records_untagged},
        .imap = imap,
        .sink = sink,
        .uid_min = uid_min,
        .ask_index = UINT32_MAX,
    };
    arena_init(&records->arena);
}

void imapc_records_clear(struct imapc_records *records)
{
    arena_clear(&records->arena);
    imapc_set_clear(&records->told);
    imapc_set_clear(&records->exist);
    imapc_set_clear(&records->broken);
    imapc_set_clear(&records->found);
    free(records->ask_key);
}

void imapc_records_ask(struct imapc_records *records, const char *command, const char *set)
{
    struct imapc *imap = records->imap;
    bool by_uid = strcmp(command, "UID FETCH") == 0;
    records->ask_index = imap->sent_count;
    free(records->ask_key);
    records->ask_key = xstrdup(arena_printf(&imap->scratch, by_uid ? "UID %s" : "%s", set));
    imapc_command_tolerant(imap, command);
    imapc_word(imap, set);
    imapc_word(imap, imap->record_items);
    imapc_command_end(imap);
}

/* Finds out which of the messages asked for were not told. */
static enum err find_untold(struct imapc_records *records, struct call *call)
{
    struct imapc *imap = records->imap;
    imapc_set_clear(&records->found);
    enum err err = imapc_simple(imap, call, &records->handler, "UID SEARCH", records->ask_key);
    if (err)
        return err;
    imapc_set_sort(&records->found);
    imapc_set_sort(&records->told);
    uint32_t untold = 0;
    uint64_t from = records->uid_min > records->record_min ? records->uid_min : records->record_min;
    for (uint32_t i = 0; i < records->found.count; i++) {
        struct uid_range range = records->found.ranges[i];
        uint64_t uid = range.first > from ? range.first : from;
        for (; uid <= range.last && untold < MEND_MAX; uid++)
            if (!imapc_set_has(&records->told, (uint32_t)uid)) {
                imapc_set_add(&records->broken, (uint32_t)uid, (uint32_t)uid);
                untold++;
            }
    }
    return OK;
}

static char *set_text(struct imapc *imap, const struct uid_range *ranges, uint32_t count)
{
    struct buf text;
    buf_init(&text, 1024 * 1024);
    imapc_set_print(&text, ranges, count);
    char *copy = arena_strndup(&imap->scratch, text.data, text.length);
    buf_clear(&text);
    return copy;
}

/* The uids of `broken` that were not told yet, at most `max`. */
static uint32_t list_untold(struct imapc_records *records, uint32_t *out, uint32_t max)
{
    uint32_t count = 0;
    imapc_set_sort(&records->told);
    for (uint32_t i = 0; i < records->broken.count; i++) {
        struct uid_range range = records->broken.ranges[i];
        for (uint64_t uid = range.first; uid <= range.last && count < max; uid++)
            if (!imapc_set_has(&records->told, (uint32_t)uid))
                out[count++] = (uint32_t)uid;
    }
    return count;
}

/* One by one, with nothing in it that has to be parsed from the mail. */
static enum err mend_singly(struct imapc_records *records, struct call *call)
{
    struct imapc *imap = records->imap;
    uint32_t uids[IMAPC_PIPELINE_MAX / 2], count;
    while ((count = list_untold(records, uids, IMAPC_PIPELINE_MAX / 2)) > 0) {
        enum err err = imapc_begin(imap, call, &records->handler);
        for (uint32_t i = 0; i < count && !err; i++) {
            imapc_command_tolerant(imap, "UID FETCH");
            imapc_word(imap, arena_printf(&imap->scratch, "%u", uids[i]));
            imapc_word(imap, "(UID FLAGS INTERNALDATE RFC822.SIZE)");
            imapc_command_end(imap);
        }
        if (!err)
            err = imapc_run(imap);
        imapc_set_sort(&records->told);
        for (uint32_t i = 0; i < count && !err; i++) {
            struct message bare = {.uid = uids[i], .limited = LIMITED_UNREADABLE};
            if (imapc_set_has(&records->told, uids[i]))
                continue;
            imapc_set_sort(&records->exist);
            imapc_set_sort(&records->found);
            if (imapc_set_has(&records->exist, uids[i]) || imapc_set_has(&records->found, uids[i]))
                err = tell(records, &bare);
            else
                imapc_set_add(&records->told, uids[i], uids[i]); /* gone meanwhile */
        }
        if (err)
            return err;
    }
    return OK;
}

static enum err mend(struct imapc_records *records, struct call *call)
{
    struct imapc *imap = records->imap;
    imapc_set_sort(&records->broken);
    if (records->broken.count == 0)
        return OK;
    records->mending = true;
    enum err err = imapc_begin(imap, call, &records->handler);
    if (err)
        return err;
    imapc_command_tolerant(imap, "UID FETCH");
    imapc_word(imap, set_text(imap, records->broken.ranges, records->broken.count));
    imapc_word(imap, MEND_ITEMS);
    imapc_command_end(imap);
    err = imapc_run(imap);
    if (!err)
        err = mend_singly(records, call);
    records->mending = false;
    return err;
}

enum err imapc_records_run(struct imapc_records *records, struct call *call)
{
    struct imapc *imap = records->imap;
    enum err err = imapc_run(imap);
    if (err)
        return err;
    bool refused =
        records->ask_index != UINT32_MAX && imapc_status_of(imap, records->ask_index) == STATUS_NO;
    struct imapc_set found = records->found; /* the caller's own search */
    records->found = (struct imapc_set){0};
    if (refused || (records->lost && records->ask_key))
        err = find_untold(records, call);
    if (!err)
        err = mend(records, call);
    imapc_set_clear(&records->found);
    records->found = found;
    return err;
}

enum err imapc_records_fetch(struct imapc_records *records, struct call *call,
                             const struct uid_range *uids, uint32_t count)
{
    struct imapc *imap = records->imap;
    enum err err = imapc_begin(imap, call, &records->handler);
    if (err)
        return err;
    imapc_records_ask(records, "UID FETCH", set_text(imap, uids, count));
    return imapc_records_run(records, call);
}

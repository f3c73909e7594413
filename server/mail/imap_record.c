/* imap_record.c - FETCH responses to messages, one bad item costing one message.
 *
 * What libetpan refuses is read another way: the structure by imap_salvage.c, the envelope by
 * asking for the header fields themselves. So is an envelope that fills the line a server may
 * send, a letter to thousands: its structure is then asked for once more, on a line of its own. A
 * message of which even that says nothing is still told, with its uid and LIMITED_UNREADABLE.
 */
#include "imap_fields.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MEND_MAX 1000u /* unreadable records asked for again in one call */

#define MEND_ITEMS                                                                                 \
    "UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE SUBJECT FROM SENDER "        \
    "REPLY-TO TO CC BCC MESSAGE-ID IN-REPLY-TO REFERENCES)]"

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
    if (fetch->envelope.text && structure.text && decode_budget_spend(budget, bytes))
        parsed.both = imapc_etpan_parse(fetch->envelope, structure, depth_max);
    if (!parsed.both && fetch->envelope.text && decode_budget_spend(budget, bytes))
        parsed.envelope = imapc_etpan_parse(fetch->envelope, none, depth_max);
    if (!parsed.both && structure.text && decode_budget_spend(budget, bytes))
        parsed.structure = imapc_etpan_parse(none, structure, depth_max);
    return parsed;
}

static void take_structure(struct imapc_reading *reading, const struct imapc_fetch *fetch,
                           const struct backend_world *world, struct mailimap_response_data *parsed)
{
    struct mailimap_body *body = parsed ? imapc_etpan_body(parsed) : NULL;
    struct message *out = reading->out;
    struct imapc_structure structure = {.text = fetch->structure,
                                        .is_cut = fetch->structure_cut,
                                        .depth_max = world->nesting_max,
                                        .parts_max = world->parts_max};
    if (body)
        imapc_structure_convert(reading->arena, reading->budget, body, world->parts_max, out);
    else if (!fetch->structure.text ||
             !imapc_structure_salvage(reading->arena, reading->budget, &structure, out))
        out->limited |= LIMITED_UNREADABLE;
}

/* False when the envelope is lost. Half of the time is the structure's, so that a letter to very
 * many is still seen to have an attachment. */
static bool take_nested_items(struct imapc_reading *reading, const struct imapc_fetch *fetch,
                              const struct backend_world *world)
{
    struct decode_budget *budget = reading->budget;
    struct nested parsed = parse_nested(fetch, budget, world->nesting_max);
    struct mailimap_response_data *of_envelope = parsed.both ? parsed.both : parsed.envelope;
    struct mailimap_envelope *envelope = of_envelope ? imapc_etpan_envelope(of_envelope) : NULL;
    if (envelope)
        imapc_envelope_convert(reading->arena, budget, envelope, &reading->out->envelope);
    decode_budget_more(budget, world->message_cpu_ms_max / 2);
    take_structure(reading, fetch, world, parsed.both ? parsed.both : parsed.structure);
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

static enum err take_later(struct imapc_records *records, const struct imapc_fetch *fetch)
{
    if (records->broken.count >= MEND_MAX)
        return OK;
    imapc_set_add(&records->broken, fetch->uid, fetch->uid);
    if (fetch->cut)
        imapc_set_add(&records->cut, fetch->uid, fetch->uid);
    return OK;
}

static enum err take_record(struct imapc_records *records, const struct imapc_fetch *fetch)
{
    const struct backend_world *world = records->imap->wire.world;
    struct message message = {0};
    struct decode_budget budget;
    struct imapc_reading reading = {.arena = &records->arena, .budget = &budget, .out = &message};
    uint32_t half_ms = world->message_cpu_ms_max / 2;
    if (!fetch->envelope.text || (fetch->broken && !fetch->structure.text))
        return take_later(records, fetch);
    decode_budget_begin(&budget, &records->arena, half_ms, world->message_bytes_max);
    if (!take_nested_items(&reading, fetch, world))
        return take_later(records, fetch);
    take_plain_items(fetch, &message);
    struct imapc_span section = section_of(&records->arena, fetch);
    if (section.text)
        imapc_fields_read(&reading, section); /* References, and nothing else was asked for */
    else if (fetch->structure_cut)
        budget.limited |= LIMITED_HEADERS;
    message.limited |= budget.limited;
    return tell(records, &message);
}

static enum err take_mended(struct imapc_records *records, const struct imapc_fetch *fetch)
{
    const struct backend_world *world = records->imap->wire.world;
    struct message message = {0};
    struct decode_budget budget;
    struct imapc_reading reading = {.arena = &records->arena, .budget = &budget, .out = &message};
    uint32_t half_ms = world->message_cpu_ms_max / 2;
    decode_budget_begin(&budget, &records->arena, half_ms, world->message_bytes_max);
    take_plain_items(fetch, &message);
    struct imapc_span section = section_of(&records->arena, fetch);
    if (section.text)
        imapc_fields_read(&reading, section);
    decode_budget_more(&budget, half_ms);
    struct nested parsed = parse_nested(fetch, &budget, world->nesting_max);
    take_structure(&reading, fetch, world, parsed.both ? parsed.both : parsed.structure);
    imapc_etpan_free(parsed.both);
    imapc_etpan_free(parsed.envelope);
    imapc_etpan_free(parsed.structure);
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
        if (imapc_span_is(token.span, "ALL") && imapc_scan_next(&scan, &token) &&
            token.kind == TOKEN_ATOM)
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
    imapc_set_clear(&records->cut);
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

/* One command for those of `broken` of which `cut` is true, if there are any. */
static void ask_again(struct imapc_records *records, bool cut)
{
    struct imapc *imap = records->imap;
    struct imapc_set uids = {0};
    for (uint32_t i = 0; i < records->broken.count; i++) {
        struct uid_range range = records->broken.ranges[i];
        for (uint64_t uid = range.first; uid <= range.last; uid++)
            if (imapc_set_has(&records->cut, (uint32_t)uid) == cut)
                imapc_set_add(&uids, (uint32_t)uid, (uint32_t)uid);
    }
    if (uids.count > 0) {
        imapc_command_tolerant(imap, "UID FETCH");
        imapc_word(imap, set_text(imap, uids.ranges, uids.count));
        imapc_word(imap, cut ? "(" MEND_ITEMS " BODYSTRUCTURE)" : "(" MEND_ITEMS ")");
        imapc_command_end(imap);
    }
    imapc_set_clear(&uids);
}

static enum err mend(struct imapc_records *records, struct call *call)
{
    struct imapc *imap = records->imap;
    imapc_set_sort(&records->broken);
    imapc_set_sort(&records->cut);
    if (records->broken.count == 0)
        return OK;
    records->mending = true;
    enum err err = imapc_begin(imap, call, &records->handler);
    if (err)
        return err;
    ask_again(records, false);
    ask_again(records, true);
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

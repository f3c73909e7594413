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

struct field_row {
    const char *name;
    size_t offset; /* of the address list in struct envelope */
};

#define FIELD(name, member)                                                                        \
    {                                                                                              \
        name, offsetof(struct envelope, member)                                                    \
    }
static const struct field_row address_rows[] = {
    FIELD("From", from), FIELD("Sender", sender), FIELD("Reply-To", reply_to),
    FIELD("To", to),     FIELD("Cc", cc),         FIELD("Bcc", bcc),
};

/* The raw value of a header field in a header section, folding kept; the first one. */
static struct imapc_span find_field(const char *raw, size_t length, const char *name)
{
    const char *at = raw, *end = raw + length;
    size_t name_length = strlen(name);
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end ? line_end + 1 : end;
        bool found = (size_t)(line_end - at) > name_length &&
                     imapc_span_is((struct imapc_span){at, name_length}, name) &&
                     at[name_length] == ':';
        while (line_end < end && (*line_end == ' ' || *line_end == '\t')) {
            const char *next = memchr(line_end, '\n', (size_t)(end - line_end));
            line_end = next ? next + 1 : end;
        }
        if (found) {
            const char *value = at + name_length + 1;
            return (struct imapc_span){value, (size_t)(line_end - value)};
        }
        at = line_end;
    }
    return (struct imapc_span){0};
}

static void take_ids(struct arena *arena, const char *raw, size_t length, const char *name,
                     struct string_list *out)
{
    struct imapc_span value = find_field(raw, length, name);
    if (value.text)
        decode_message_ids(arena, value.text, value.length, out);
}

static void read_header_fields(struct arena *arena, const char *raw, size_t length,
                               struct message *out)
{
    struct envelope *envelope = &out->envelope;
    struct string_list ids = {0};
    struct imapc_span value = find_field(raw, length, "Subject");
    if (value.text)
        envelope->subject = decode_text(arena, value.text, value.length);
    value = find_field(raw, length, "Date");
    if (value.text)
        envelope->has_date = decode_date(value.text, value.length, &envelope->date_s);
    for (size_t i = 0; i < sizeof address_rows / sizeof *address_rows; i++) {
        struct address_list *list =
            (struct address_list *)(void *)((char *)envelope + address_rows[i].offset);
        value = find_field(raw, length, address_rows[i].name);
        if (value.text)
            decode_addresses(arena, value.text, value.length, list, &out->limited);
    }
    take_ids(arena, raw, length, "Message-ID", &ids);
    envelope->message_id = ids.count ? ids.items[0] : NULL;
    take_ids(arena, raw, length, "In-Reply-To", &envelope->in_reply_to);
    take_ids(arena, raw, length, "References", &envelope->references);
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

/* ENVELOPE and BODYSTRUCTURE in one go; when libetpan will not, each alone. False when the
 * envelope is lost. */
static bool take_nested_items(struct imapc_records *records, const struct imapc_fetch *fetch,
                              struct message *out)
{
    struct imapc_span none = {0};
    const struct backend_world *world = records->imap->wire.world;
    uint32_t depth_max = world->nesting_max, parts_max = world->parts_max;
    struct mailimap_response_data *both =
        imapc_etpan_parse(fetch->envelope, fetch->structure, depth_max);
    struct mailimap_response_data *envelope =
        both || !fetch->envelope.text ? NULL : imapc_etpan_parse(fetch->envelope, none, depth_max);
    struct mailimap_response_data *structure =
        both || !fetch->structure.text ? NULL
                                       : imapc_etpan_parse(none, fetch->structure, depth_max);
    struct mailimap_envelope *read = both       ? imapc_etpan_envelope(both)
                                     : envelope ? imapc_etpan_envelope(envelope)
                                                : NULL;
    struct mailimap_body *body = both        ? imapc_etpan_body(both)
                                 : structure ? imapc_etpan_body(structure)
                                             : NULL;
    if (read)
        imapc_envelope_convert(&records->arena, read, &out->envelope, &out->limited);
    if (body)
        imapc_structure_convert(&records->arena, body, parts_max, out);
    else if (!fetch->structure.text ||
             !imapc_structure_salvage(&records->arena, fetch->structure, parts_max, out))
        out->limited |= LIMITED_UNREADABLE;
    imapc_etpan_free(both);
    imapc_etpan_free(envelope);
    imapc_etpan_free(structure);
    return read != NULL;
}

static enum err tell(struct imapc_records *records, const struct message *message)
{
    imapc_set_add(&records->told, message->uid, message->uid);
    return records->sink->message(records->sink, message);
}

static enum err take_record(struct imapc_records *records, const struct imapc_fetch *fetch)
{
    struct message message = {0};
    size_t length;
    bool cut = fetch->broken && !fetch->structure.text;
    if (cut || !fetch->envelope.text || !take_nested_items(records, fetch, &message)) {
        if (records->broken.count < MEND_MAX)
            imapc_set_add(&records->broken, fetch->uid, fetch->uid);
        return OK;
    }
    take_plain_items(fetch, &message);
    if (fetch->has_section) {
        char *raw = imapc_token_copy(&records->arena, &fetch->content, &length);
        if (raw)
            take_ids(&records->arena, raw, length, "References", &message.envelope.references);
    }
    return tell(records, &message);
}

static enum err take_mended(struct imapc_records *records, const struct imapc_fetch *fetch)
{
    struct message message = {.limited = LIMITED_UNREADABLE};
    size_t length;
    take_plain_items(fetch, &message);
    char *raw =
        fetch->has_section ? imapc_token_copy(&records->arena, &fetch->content, &length) : NULL;
    if (raw)
        read_header_fields(&records->arena, raw, length, &message);
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
    if (response->has_number && imapc_span_is(response->word, "FETCH"))
        return take_fetch(records, response, mine);
    if (imapc_span_is(response->word, "SEARCH")) {
        take_search(&records->found, response->rest);
        *mine = true;
    } else if (imapc_span_is(response->word, "ESEARCH")) {
        take_esearch(&records->found, response->rest);
        *mine = true;
    }
    return OK;
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
    if (records->told.full || records->exist.full || records->found.full)
        return imapc_die(imap, ERR_TOO_LARGE, "the mail server tells of too many messages");
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

/* imap_sync.c - making the mirror match, at the least cost the server allows.
 *
 * Two ways. A view that was reported in full and watched since (NOOP tells what changed: EXISTS,
 * EXPUNGE, FETCH) needs one round trip, and a second only when something happened. Any other view
 * is compared: flags of all mirrored uids, which also says which exist, and records of the new
 * ones. CONDSTORE's CHANGEDSINCE belongs into ask_compared, QRESYNC into imapc_select and the
 * choice in imapc_sync; what is told to the sink stays the same.
 */
#include "imap.h"

#include <string.h>

/* A folder that was deleted and made anew stays the old one for a connection that has it selected;
 * no server has to tell. So a view is not kept for ever. */
#define VIEW_MOST_MS (10 * 60 * 1000)

static bool is_known(const struct imapc *imap, const struct folder_known *known)
{
    return known->validity != 0 && known->validity == imap->facts.validity;
}

/* A folder nothing is known of: its newest page, by sequence number. */
static enum err sync_first_page(struct imapc *imap, struct call *call, uint32_t first_page,
                                struct imapc_records *records)
{
    uint32_t exists = imap->facts.exists;
    if (exists == 0 || first_page == 0)
        return OK;
    enum err err = imapc_begin(imap, call, &records->handler);
    if (err)
        return err;
    uint32_t from = exists > first_page ? exists - first_page + 1 : 1;
    imapc_records_ask(records, "FETCH", arena_printf(&imap->scratch, "%u:*", from));
    return imapc_records_run(records, call);
}

static void ask_new(struct imapc *imap, const struct folder_known *known,
                    struct imapc_records *records)
{
    records->record_min = known->uid_next ? known->uid_next : 1;
    imapc_records_ask(records, "UID FETCH",
                      arena_printf(&imap->scratch, "%u:*", records->record_min));
}

/* The uids that records told of and SEARCH or FETCH saw, from the floor up. */
static enum err tell_present(struct imapc_records *records, struct imapc_set *set, uint32_t floor)
{
    imapc_set_sort(set);
    uint32_t skip = 0;
    while (skip < set->count && set->ranges[skip].last < floor)
        skip++;
    if (skip < set->count && set->ranges[skip].first < floor)
        set->ranges[skip].first = floor;
    return records->sink->present(records->sink, floor, set->ranges ? set->ranges + skip : NULL,
                                  set->count - skip);
}

/* Everything mirrored against everything there. */
static void ask_compared(struct imapc *imap, const struct folder_known *known,
                         struct imapc_records *records)
{
    if (known->uid_next > known->floor) {
        records->flags_wanted = true;
        imapc_command(imap, "UID FETCH");
        imapc_word(imap, arena_printf(&imap->scratch, "%u:%u", known->floor, known->uid_next - 1));
        imapc_word(imap, "(UID FLAGS)");
        imapc_command_end(imap);
    }
    if (imap->facts.uid_next == 0 || imap->facts.uid_next > known->uid_next)
        ask_new(imap, known, records);
}

static enum err sync_compared(struct imapc *imap, struct call *call,
                              const struct folder_known *known, struct imapc_records *records)
{
    if (imap->facts.exists > 0) {
        enum err err = imapc_begin(imap, call, &records->handler);
        if (err)
            return err;
        records->uid_min = known->floor;
        ask_compared(imap, known, records);
        if (imap->sent_count > 0)
            err = imapc_records_run(records, call);
        if (err)
            return err;
    }
    return tell_present(records, &records->exist, known->floor);
}

/* Sequence numbers first: no EXPUNGE may come while a plain FETCH runs (RFC 3501 7.4.1), and it is
 * the first command of the exchange. */
static void ask_touched(struct imapc *imap, const struct imapc_pending *pending,
                        const struct folder_known *known)
{
    struct imapc_set set = {0};
    struct buf text;
    if (pending->flags_all && known->uid_next <= known->floor)
        return;
    buf_init(&text, 64 * 1024);
    imapc_command(imap, pending->flags_all ? "UID FETCH" : "FETCH");
    if (pending->flags_all) {
        buf_printf(&text, "%u:%u", known->floor, known->uid_next - 1);
    } else {
        for (uint32_t i = 0; i < pending->touched_count; i++)
            imapc_set_add(&set, pending->touched[i], pending->touched[i]);
        imapc_set_sort(&set);
        imapc_set_print(&text, set.ranges, set.count);
    }
    imapc_word(imap, text.data);
    imapc_word(imap, "(UID FLAGS)");
    imapc_command_end(imap);
    buf_clear(&text);
    imapc_set_clear(&set);
}

static void ask_present(struct imapc *imap, const struct folder_known *known)
{
    imapc_command(imap, "UID SEARCH");
    imapc_word(imap, arena_printf(&imap->scratch, "%sUID %u:*",
                                  imap->caps & CAP_ESEARCH ? "RETURN (ALL) " : "", known->floor));
    imapc_command_end(imap);
}

/* What others reported since: whether it still exists, and its flags. */
static void ask_doubtful(struct imapc *imap, const struct folder_known *known)
{
    struct imapc_set set = {0};
    struct buf text;
    for (uint32_t i = 0; i < known->doubtful_count; i++)
        imapc_set_add(&set, known->doubtful[i], known->doubtful[i]);
    imapc_set_sort(&set);
    buf_init(&text, 64 * 1024);
    imapc_set_print(&text, set.ranges, set.count);
    imapc_command_tolerant(imap, "UID FETCH"); /* a NO: some are gone */
    imapc_word(imap, text.data);
    imapc_word(imap, "(UID FLAGS)");
    imapc_command_end(imap);
    buf_clear(&text);
    imapc_set_clear(&set);
}

static enum err tell_doubtful(struct imapc_records *records, const struct folder_known *known)
{
    struct change_sink *sink = records->sink;
    enum err err = OK;
    imapc_set_sort(&records->exist);
    for (uint32_t i = 0; i < known->doubtful_count && !err; i++) {
        struct uid_range one = {known->doubtful[i], known->doubtful[i]};
        if (!imapc_set_has(&records->exist, one.first))
            err = sink->removed(sink, &one, 1);
    }
    return err;
}

/* Only what the server told of since the last sync, and what is in doubt. */
static enum err sync_news(struct imapc *imap, struct call *call, const struct folder_known *known,
                          struct imapc_records *records)
{
    struct imapc_pending news = imap->pending;
    bool touched = news.flags_all || news.touched_count > 0;
    if (!news.grown && !news.expunged && !touched && known->doubtful_count == 0)
        return OK;
    enum err err = imapc_begin(imap, call, &records->handler);
    if (err)
        return err;
    imap->pending = (struct imapc_pending){0}; /* what comes from now on is for the next sync */
    records->uid_min = known->floor;
    records->flags_wanted = true;
    if (touched)
        ask_touched(imap, &news, known);
    if (known->doubtful_count > 0)
        ask_doubtful(imap, known);
    if (news.grown)
        ask_new(imap, known, records);
    if (news.expunged)
        ask_present(imap, known);
    if (imap->sent_count == 0)
        return OK;
    err = imapc_records_run(records, call);
    if (!err)
        err = tell_doubtful(records, known);
    if (err || !news.expunged)
        return err;
    return tell_present(records, &records->found, known->floor);
}

static enum err sync_view(struct imapc *imap, struct call *call, const struct folder_known *known,
                          uint32_t first_page, struct change_sink *sink, bool watched)
{
    struct imapc_records records;
    bool reset = !is_known(imap, known);
    bool first = reset;
    enum err err = sink->folder(sink, &imap->facts, reset);
    if (err)
        return err;
    imapc_records_init(&records, imap, sink, 1);
    if (first) {
        imap->pending = (struct imapc_pending){0};
        err = sync_first_page(imap, call, first_page, &records);
    } else if (watched) {
        err = sync_news(imap, call, known, &records);
    } else {
        imap->pending = (struct imapc_pending){0};
        err = sync_compared(imap, call, known, &records);
    }
    imapc_records_clear(&records);
    return err;
}

enum err imapc_sync(struct backend *backend, struct call *call, const struct folder_known *known,
                    uint32_t first_page, struct change_sink *sink)
{
    struct imapc *imap = (struct imapc *)backend;
    uint32_t selects = imap->selects;
    if (clock_now_ms() - imap->selected_ms >= VIEW_MOST_MS)
        imapc_forget_selected(imap);
    enum err err = imapc_select(imap, call, known->remote, 0);
    if (!err && selects == imap->selects) /* it was selected before: ask for news */
        err = imapc_simple(imap, call, NULL, "NOOP", NULL);
    if (err)
        return err;
    bool watched = imap->reported == known->generation && known->generation != 0 && !known->compare;
    imap->reported = 0; /* until this one has gone through */
    err = sync_view(imap, call, known, first_page, sink, watched);
    if (!err && known->generation)
        imap->reported = known->generation;
    return err;
}

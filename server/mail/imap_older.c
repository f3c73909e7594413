/* imap_older.c - backfill: what lies below the floor, newest first, in batches by uid; and single
 * records.
 *
 * The uids below the floor are asked for once a view: nothing can ever be added there, and what
 * goes away is merely not answered.
 */
#include "imap.h"

#include <string.h>

static enum err find_older(struct imapc *imap, struct call *call, uint32_t floor)
{
    struct imapc_records records;
    imapc_records_init(&records, imap, NULL, 1); /* only the search is listened to */
    enum err err = imapc_begin(imap, call, &records.handler);
    if (!err) {
        imapc_command(imap, "UID SEARCH");
        imapc_word(imap, arena_printf(&imap->scratch, "%sUID 1:%u",
                                      imap->caps & CAP_ESEARCH ? "RETURN (ALL) " : "", floor - 1));
        imapc_command_end(imap);
        err = imapc_run(imap);
    }
    if (!err) {
        imapc_set_clear(&imap->older);
        imap->older = records.found;
        records.found = (struct imapc_set){0};
        imapc_set_sort(&imap->older);
        imap->older_floor = floor;
    }
    imapc_records_clear(&records);
    return err;
}

/* The newest `count` uids below `floor`, ascending; returns the lowest of them, 0: none. */
static uint32_t choose_batch(const struct imapc_set *older, uint32_t floor, uint32_t count,
                             struct imapc_set *batch)
{
    uint32_t lowest = 0;
    for (uint32_t i = older->count; i-- > 0 && count > 0;) {
        struct uid_range range = older->ranges[i];
        if (range.first >= floor)
            continue;
        if (range.last >= floor)
            range.last = floor - 1;
        if (range.last - range.first >= count)
            range.first = range.last - count + 1;
        count -= range.last - range.first + 1;
        lowest = range.first;
        imapc_set_add(batch, range.first, range.last);
    }
    imapc_set_sort(batch);
    return lowest;
}

static bool is_lowest(const struct imapc_set *older, uint32_t uid)
{
    return older->count == 0 || older->ranges[0].first >= uid;
}

enum err imapc_fetch_older(struct backend *backend, struct call *call,
                           const struct folder_known *known, uint32_t count,
                           struct change_sink *sink, uint32_t *floor)
{
    struct imapc *imap = (struct imapc *)backend;
    struct imapc_records records;
    struct imapc_set batch = {0};
    enum err err = imapc_select(imap, call, known->remote, known->validity);
    if (!err)
        err = imapc_renew_view(imap, call);
    if (err)
        return err;
    err = sink->folder(sink, &imap->facts, false);
    if (err)
        return err;
    *floor = 1;
    if (known->floor <= 1)
        return OK;
    if (imap->older_floor < known->floor)
        err = find_older(imap, call, known->floor);
    if (err)
        return err;
    uint32_t lowest = choose_batch(&imap->older, known->floor, count, &batch);
    if (lowest > 0) {
        imapc_records_init(&records, imap, sink, 1);
        err = imapc_records_fetch(&records, call, batch.ranges, batch.count);
        imapc_records_clear(&records);
        *floor = is_lowest(&imap->older, lowest) ? 1 : lowest;
    }
    imapc_set_clear(&batch);
    return err;
}

enum err imapc_fetch_one(struct backend *backend, struct call *call,
                         const struct folder_known *known, uint32_t uid, struct change_sink *sink)
{
    struct imapc *imap = (struct imapc *)backend;
    struct imapc_records records;
    struct uid_range range = {uid, uid};
    enum err err = imapc_select(imap, call, known->remote, known->validity);
    if (!err)
        err = imapc_renew_view(imap, call);
    if (err)
        return err;
    imapc_records_init(&records, imap, sink, uid);
    err = imapc_records_fetch(&records, call, &range, 1);
    imapc_set_sort(&records.told);
    if (!err && !imapc_set_has(&records.told, uid))
        err = fault_set(&call->fault, ERR_GONE, "the message is not there any more");
    imapc_records_clear(&records);
    return err;
}

/* sync.c - makes the mirror of a folder, or of the list of folders, what the server says it is. */
#include "internal.h"

#include "log.h"

#include <string.h>

#define DOUBTFUL_MOST 500 /* more: everything is compared */

/* ---- one folder ---- */

struct folder_sync {
    struct change_sink sink;
    struct mirror_sync *into;
    struct folder_row row; /* as it was */
    struct folder_facts facts;
    uint32_t told, lowest, highest; /* messages told, and the ends of their uids */
    bool fresh;                     /* nothing was known, or what was is void */
    bool told_something;
};

static enum err on_folder(struct change_sink *sink, const struct folder_facts *facts, bool reset)
{
    struct folder_sync *self = (struct folder_sync *)sink;
    self->facts = *facts;
    self->fresh = reset || self->row.validity == 0;
    self->told_something |= self->fresh;
    return self->fresh ? mirror_sync_reset(self->into, facts->validity) : OK;
}

static enum err on_message(struct change_sink *sink, const struct message *message)
{
    struct folder_sync *self = (struct folder_sync *)sink;
    self->told_something = true;
    if (self->told++ == 0 || message->uid < self->lowest)
        self->lowest = message->uid;
    if (message->uid > self->highest)
        self->highest = message->uid;
    return mirror_sync_message(self->into, message);
}

static enum err on_flags(struct change_sink *sink, uint32_t uid, uint32_t flags,
                         const struct string_list *keywords, uint64_t modseq)
{
    struct folder_sync *self = (struct folder_sync *)sink;
    self->told_something = true;
    return mirror_sync_flags(self->into, uid, flags, keywords, modseq);
}

static enum err on_present(struct change_sink *sink, uint32_t from, const struct uid_range *ranges,
                           uint32_t count)
{
    struct folder_sync *self = (struct folder_sync *)sink;
    self->told_something = true;
    return mirror_sync_present(self->into, from, ranges, count);
}

static enum err on_removed(struct change_sink *sink, const struct uid_range *ranges, uint32_t count)
{
    struct folder_sync *self = (struct folder_sync *)sink;
    self->told_something = true;
    return mirror_sync_removed(self->into, ranges, count);
}

static const struct change_sink folder_sink_ops = {
    .folder = on_folder,
    .message = on_message,
    .flags = on_flags,
    .present = on_present,
    .removed = on_removed,
};

void folder_known_of(const struct folder_row *row, struct folder_known *out)
{
    *out = (struct folder_known){
        .remote = row->listing.remote,
        .generation = row->generation,
        .validity = row->validity,
        .uid_next = row->uid_next,
        .floor = row->floor,
        .count = row->mirrored,
        .modseq = row->modseq,
    };
}

/* What the mirror may now claim. A new folder's floor is the lowest uid told, or 1 when that was
 * all there is. */
static struct mirror_sync_state state_after(const struct folder_sync *self)
{
    const struct folder_facts *facts = &self->facts;
    uint32_t floor = self->row.floor;
    uint32_t uid_next = facts->uid_next; /* as SELECT said it; some servers never say */
    if (!self->fresh && uid_next < self->row.uid_next)
        uid_next = self->row.uid_next;
    if (self->told && uid_next <= self->highest)
        uid_next = self->highest < UINT32_MAX ? self->highest + 1 : UINT32_MAX;
    if (self->fresh)
        floor = self->told >= facts->exists ? 1 : self->told ? self->lowest : uid_next;
    return (struct mirror_sync_state){
        .validity = facts->validity,
        .uid_next = uid_next,
        .exists = facts->exists,
        .modseq = facts->modseq,
        .floor = floor,
        .synced = true,
    };
}

/* What others told the mirror since this connection looked last must be asked for: it may have come
 * and gone unseen by this connection, which then has no news of it. */
static enum err find_doubtful(struct task *task, const struct folder_row *row,
                              struct folder_known *known)
{
    const struct connection *connection = task->connection;
    uint32_t *uids;
    bool all;
    known->compare = connection->synced_folder != row->number;
    if (known->compare || connection->synced_change == row->change)
        return OK;
    enum err err = mirror_touched(seat_mirror(task->seat), &task->call, row->number,
                                  connection->synced_change, connection->synced_floor,
                                  DOUBTFUL_MOST, &uids, &known->doubtful_count, &all);
    known->doubtful = uids;
    known->compare = !all;
    return err;
}

static enum err remember_sync(struct task *task, const struct folder_sync *self, bool changed)
{
    struct connection *connection = task->connection;
    struct folder_row now = self->row;
    enum err err = OK;
    if (changed)
        err = mirror_folder(seat_mirror(task->seat), &task->call, self->row.number, &now);
    if (err)
        return err;
    connection->synced_folder = now.number;
    connection->synced_change = now.change;
    connection->synced_floor = now.floor;
    return OK;
}

static enum err sync_into(struct task *task, struct folder_sync *self, uint32_t first_page)
{
    struct call *call = &task->call;
    struct folder_known known;
    bool changed;
    folder_known_of(&self->row, &known);
    enum err err = find_doubtful(task, &self->row, &known);
    task->connection->synced_folder = 0;
    if (err)
        return err;
    err = mirror_sync_begin(seat_mirror(task->seat), call, self->row.number, &self->into);
    if (err)
        return err;
    err = backend_sync(task->backend, call, &known, first_page, &self->sink);
    if (err) {
        mirror_sync_abort(&self->into);
        return err;
    }
    struct mirror_sync_state state = state_after(self);
    err = mirror_sync_commit(&self->into, &state, &changed);
    return err ? err : remember_sync(task, self, changed);
}

static enum err row_of_messages(struct task *task, int64_t folder, struct folder_row *row)
{
    struct call *call = &task->call;
    enum err err = mirror_folder(seat_mirror(task->seat), call, folder, row);
    if (err)
        return err;
    if (!row->listing.selectable)
        return fault_set(&call->fault, ERR_UNSUPPORTED, "this folder holds folders, not messages");
    return OK;
}

enum err sync_folder(struct task *task, int64_t folder, uint32_t first_page)
{
    struct account *account = task->seat->account;
    struct folder_sync sync = {.sink = folder_sink_ops};
    if (first_page < seat_sessions(task->seat)->config.first_page)
        first_page = seat_sessions(task->seat)->config.first_page;
    enum err err = account_enter(account, folder, &task->call);
    if (err)
        return err;
    err = row_of_messages(task, folder, &sync.row);
    if (!err)
        err = sync_into(task, &sync, first_page);
    account_leave(account, folder, sync.told_something);
    task->connection->folder = folder;
    if (!err && state_after(&sync).floor > 1)
        backfill_start(task->seat, folder);
    return err;
}

/* ---- the list of folders ---- */

struct folder_gather {
    struct folder_sink sink;
    struct arena *arena;
    struct folder_listing *items;
    uint32_t count, capacity;
};

static enum err on_listing(struct folder_sink *sink, const struct folder_listing *listing)
{
    struct folder_gather *self = (struct folder_gather *)sink;
    if (self->count == self->capacity) {
        uint32_t capacity = self->capacity ? self->capacity * 2 : 32;
        struct folder_listing *items = arena_array(self->arena, struct folder_listing, capacity);
        if (self->count)
            memcpy(items, self->items, self->count * sizeof *items);
        self->items = items;
        self->capacity = capacity;
    }
    struct folder_listing *item = &self->items[self->count++];
    *item = *listing;
    item->remote = arena_strdup(self->arena, listing->remote);
    item->path = arena_strdup(self->arena, listing->path);
    return OK;
}

/* A connection that has a folder selected may never hear that it was deleted and made anew; the
 * listing tells. */
static enum err drop_void_views(struct task *task)
{
    struct account *account = task->seat->account;
    struct folder_row *rows;
    uint32_t count;
    enum err err = mirror_folders(account->mirror, &task->call, &rows, &count, NULL);
    for (uint32_t i = 0; !err && i < count; i++) {
        const struct folder_listing *listing = &rows[i].listing;
        if (listing->has_status && listing->uid_validity && rows[i].validity &&
            listing->uid_validity != rows[i].validity)
            pool_forget_folder(account, seat_sessions(task->seat), rows[i].number);
    }
    return err;
}

enum err sync_folders(struct task *task)
{
    struct account *account = task->seat->account;
    struct call *call = &task->call;
    struct folder_gather gather = {.sink = {.folder = on_listing}, .arena = call->arena};
    enum err err = backend_list_folders(task->backend, call, true, &gather.sink);
    if (err)
        return err;
    err = account_enter(account, 0, call);
    if (err)
        return err;
    err = mirror_put_folders(seat_mirror(task->seat), call, gather.items, gather.count);
    account_leave(account, 0, true);
    return err ? err : drop_void_views(task);
}

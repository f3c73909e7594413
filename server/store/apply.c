/* apply.c - what a sync gathered, written in one transaction; and its end.
 *
 * Rows are written before the folder's state says that they are believed. So the same reports may
 * come again after an interruption: what is there already is compared, and only what differs is
 * written and journaled.
 */
#include "sync.h"
#include "clock.h"

#include <assert.h>
#include <string.h>

struct apply {
    struct mirror_sync *sync;
    struct writing writing;
    struct folder_row row;    /* as the transaction found it */
    int64_t mirrored, unread; /* what is added to its counters */
};

/* Counters cover what the committed state covers: uids from the floor up. */
static void count(struct apply *apply, uint32_t uid, int mirrored, int unread)
{
    if (uid < apply->row.floor)
        return;
    apply->mirrored += mirrored;
    apply->unread += unread;
}

static int is_unread(uint32_t flags)
{
    return !(flags & FLAG_SEEN);
}

static enum err journal(struct apply *apply, enum journal_kind kind, uint32_t uid, const void *id,
                        uint32_t fields)
{
    return journal_add(&apply->writing, &(struct journal_entry){.kind = kind,
                                                                .folder = apply->sync->folder,
                                                                .uid = uid,
                                                                .fields = fields,
                                                                .id = id,
                                                                .id_bytes = ID_RAW_BYTES});
}

static enum err body_write(struct apply *apply, int64_t key, const struct pending *message)
{
    return handle_do(apply->writing.db, &apply->sync->call->fault, SQL_BODY_ADD,
                     VALUES(V_INT(key), V_INT(STORE_RENDER_VERSION), V_TEXT(message->json),
                            V_BLOB(message->facts, message->facts_bytes)));
}

static struct value date_value(const struct pending *message)
{
    return message->has_date ? V_INT(message->date_s) : V_TEXT(NULL);
}

/* What is stored now. `id` is copied: the journal wants it after the statement is done. */
struct stored {
    bool found;
    uint32_t flags;
    bool keywords_same, facts_same;
    uint8_t id[ID_RAW_BYTES];
};

static enum err stored_read(struct apply *apply, int64_t key, const struct pending *now,
                            struct stored *out)
{
    struct fault *fault = &apply->sync->call->fault;
    *out = (struct stored){0};
    sqlite3_stmt *s = handle_query(apply->writing.db, fault, SQL_MESSAGE_STATE, VALUES(V_INT(key)));
    if (!s)
        return fault->code;
    enum err err = handle_step(apply->writing.db, fault, s, &out->found);
    if (!err && out->found) {
        const char *keywords = (const char *)sqlite3_column_text(s, 1);
        const void *id = sqlite3_column_blob(s, 2);
        out->flags = (uint32_t)sqlite3_column_int(s, 0);
        out->keywords_same = keywords && strcmp(keywords, now->keywords) == 0;
        if (id && sqlite3_column_bytes(s, 2) == ID_RAW_BYTES)
            memcpy(out->id, id, ID_RAW_BYTES);
        const void *facts = now->facts ? sqlite3_column_blob(s, 3) : NULL;
        out->facts_same = facts && (size_t)sqlite3_column_bytes(s, 3) == now->facts_bytes &&
                          memcmp(facts, now->facts, now->facts_bytes) == 0;
    }
    handle_done(s);
    return err;
}

static enum err record_write(struct apply *apply, int64_t key, const struct pending *now)
{
    struct handle *db = apply->writing.db;
    struct fault *fault = &apply->sync->call->fault;
    enum err err =
        handle_do(db, fault, SQL_MESSAGE_SET,
                  VALUES(V_INT(key), V_INT(now->received_s), date_value(now), V_INT(now->size)));
    if (!err)
        err = handle_do(db, fault, SQL_DROP_PART_SIZES, VALUES(V_INT(key), V_INT(key)));
    return err ? err : body_write(apply, key, now);
}

/* A report about a message that may be there: flags alone, or (facts) all of it. */
static enum err update(struct apply *apply, int64_t key, const struct pending *now)
{
    struct stored stored;
    enum err err = stored_read(apply, key, now, &stored);
    if (err || !stored.found)
        return err;
    bool record = now->facts && !stored.facts_same;
    uint32_t fields = (stored.flags ^ now->flags) | (stored.keywords_same ? 0 : JOURNAL_KEYWORDS) |
                      (record ? JOURNAL_RECORD : 0);
    if (!fields)
        return OK;
    if (record)
        err = record_write(apply, key, now);
    if (!err)
        err = journal(apply, JOURNAL_UPDATED, now->uid, stored.id, fields);
    if (!err)
        err = handle_do(apply->writing.db, &apply->sync->call->fault, SQL_MESSAGE_FLAGS,
                        VALUES(V_INT(key), V_INT(now->flags), V_TEXT(now->keywords),
                               V_INT(now->modseq), V_INT(apply->writing.change)));
    count(apply, now->uid, 0, is_unread(now->flags) - is_unread(stored.flags));
    return err;
}

static enum err apply_message(struct apply *apply, const struct pending *now)
{
    struct writing *writing = &apply->writing;
    int64_t key = message_key(apply->sync->folder, now->uid);
    enum err err = handle_do(writing->db, &apply->sync->call->fault, SQL_MESSAGE_ADD,
                             VALUES(V_INT(key), V_INT(apply->sync->folder), V_INT(now->received_s),
                                    date_value(now), V_INT(now->size), V_INT(now->flags),
                                    V_INT(now->modseq), V_INT(writing->change + 1),
                                    V_TEXT(now->keywords), V_BLOB(now->id, ID_RAW_BYTES)));
    if (err)
        return err;
    if (sqlite3_changes(writing->db->sqlite) == 0)
        return update(apply, key, now);
    err = body_write(apply, key, now);
    count(apply, now->uid, 1, is_unread(now->flags));
    return err ? err : journal(apply, JOURNAL_CREATED, now->uid, now->id, 0);
}

/* How many messages there are in the range, and how many of them unread. */
static enum err range_count(struct writing *writing, int64_t folder, uint32_t first, uint32_t last,
                            int64_t *all, int64_t *unread)
{
    struct fault *fault = &writing->call->fault;
    bool found = false;
    *all = *unread = 0;
    if (first > last)
        return OK;
    sqlite3_stmt *s =
        handle_query(writing->db, fault, SQL_COUNT_RANGE,
                     VALUES(V_INT(message_key(folder, first)), V_INT(message_key(folder, last))));
    if (!s)
        return fault->code;
    enum err err = handle_step(writing->db, fault, s, &found);
    if (found) {
        *all = sqlite3_column_int64(s, 0);
        *unread = sqlite3_column_int64(s, 1);
    }
    handle_done(s);
    return err;
}

static enum err range_drop(struct writing *writing, int64_t folder, uint32_t first, uint32_t last)
{
    static const enum sql drops[] = {SQL_DROP_MESSAGES, SQL_DROP_BODIES, SQL_DROP_PART_SIZES,
                                     SQL_DROP_ALIASES};
    int64_t low = message_key(folder, first), high = message_key(folder, last);
    struct fault *fault = &writing->call->fault;
    enum err err = handle_do(writing->db, fault, SQL_JOURNAL_RANGE,
                             VALUES(V_INT(low), V_INT(high), V_INT(writing->change),
                                    V_INT(writing->at_s), V_INT(JOURNAL_DELETED)));
    if (err)
        return err;
    writing->change += (uint64_t)sqlite3_changes64(writing->db->sqlite);
    for (size_t i = 0; !err && i < sizeof drops / sizeof *drops; i++)
        err = handle_do(writing->db, fault, drops[i], VALUES(V_INT(low), V_INT(high)));
    return err;
}

enum err folder_empty(struct writing *writing, int64_t folder)
{
    return range_drop(writing, folder, 0, UINT32_MAX);
}

static enum err apply_removed(struct apply *apply, uint32_t first, uint32_t last)
{
    int64_t folder = apply->sync->folder, all, all_unread, below, below_unread;
    uint32_t floor = apply->row.floor;
    enum err err = range_count(&apply->writing, folder, first, last, &all, &all_unread);
    if (err || all == 0)
        return err;
    uint32_t below_last = floor > last ? last : floor ? floor - 1 : 0;
    err = range_count(&apply->writing, folder, first, below_last, &below, &below_unread);
    if (err)
        return err;
    apply->mirrored -= all - below;
    apply->unread -= all_unread - below_unread;
    return range_drop(&apply->writing, folder, first, last);
}

static enum err apply_pending(struct apply *apply)
{
    enum err err = OK;
    for (const struct pending *now = apply->sync->first; now && !err; now = now->next)
        switch (now->kind) {
        case PENDING_MESSAGE: err = apply_message(apply, now); break;
        case PENDING_FLAGS:
            err = update(apply, message_key(apply->sync->folder, now->uid), now);
            break;
        case PENDING_REMOVED: err = apply_removed(apply, now->uid, now->last); break;
        }
    return err;
}

/* What an interrupted sync left in the range that this one covered, and this one did not see. */
static enum err drop_leftovers(struct apply *apply, const struct mirror_sync_state *state)
{
    const struct leftovers *leftovers = &apply->sync->leftovers;
    enum err err = OK;
    for (uint32_t i = 0; !err && i < leftovers->count; i++) {
        uint32_t uid = leftovers->items[i].uid;
        if (!leftovers->items[i].seen && uid >= state->floor && uid < state->uid_next)
            err = apply_removed(apply, uid, uid);
    }
    return err;
}

/* Messages between the old floor and the new one come to be listed, or cease to be. */
static enum err move_floor(struct apply *apply, uint32_t floor)
{
    uint32_t was = apply->row.floor;
    int64_t all, unread;
    if (floor == was)
        return OK;
    uint32_t low = floor < was ? floor : was, high = (floor < was ? was : floor) - 1;
    int sign = floor < was ? 1 : -1;
    enum err err = range_count(&apply->writing, apply->sync->folder, low, high, &all, &unread);
    if (err)
        return err;
    apply->mirrored += sign * all;
    apply->unread += sign * unread;
    return OK;
}

/* What is listed, or its total, is another now, though no message changed. */
static enum err journal_folder(struct apply *apply)
{
    return journal_add(&apply->writing, &(struct journal_entry){.kind = JOURNAL_FOLDER_UPDATED,
                                                                .folder = apply->sync->folder,
                                                                .fields = JOURNAL_STATUS,
                                                                .id = apply->row.id,
                                                                .id_bytes = strlen(apply->row.id)});
}

static enum err apply_state(struct apply *apply, const struct mirror_sync_state *state)
{
    const struct folder_row *row = &apply->row;
    struct writing *writing = &apply->writing;
    struct fault *fault = &writing->call->fault;
    bool shows = state->validity != row->validity || state->exists != row->exists ||
                 state->floor != row->floor;
    enum err err = drop_leftovers(apply, state);
    if (!err)
        err = move_floor(apply, state->floor);
    if (!err && shows)
        err = journal_folder(apply);
    if (!err && state->synced)
        err = handle_do(writing->db, fault, SQL_FOLDER_SYNCED,
                        VALUES(V_INT(row->number), V_INT(clock_unix_ms())));
    if (err || (!shows && state->uid_next == row->uid_next && state->modseq == row->modseq))
        return err;
    return handle_do(writing->db, fault, SQL_FOLDER_COMMIT,
                     VALUES(V_INT(row->number), V_INT(state->validity), V_INT(state->uid_next),
                            V_INT(state->exists), V_INT(state->modseq), V_INT(state->floor)));
}

static enum err apply_begin(struct mirror_sync *sync, struct apply *out)
{
    struct call *call = sync->call;
    *out = (struct apply){.sync = sync};
    enum err err = writing_begin(sync->mirror, call, &out->writing);
    if (err)
        return err;
    err = folder_load(out->writing.db, call, SQL_FOLDER, VALUES(V_INT(sync->folder)), &out->row,
                      NULL);
    if (err == ERR_NOT_FOUND || (!err && out->row.generation != sync->generation))
        err = fault_set(&call->fault, ERR_NOT_FOUND, "the folder is gone");
    if (err)
        writing_abort(&out->writing);
    return err;
}

/* The mail server's reports end here, also when they were void. */
static void pending_clear(struct mirror_sync *sync)
{
    arena_clear(&sync->arena);
    sync->first = NULL;
    sync->last = &sync->first;
    sync->run = NULL;
    sync->pending_messages = 0;
}

static enum err check_state(const struct mirror_sync *sync, const struct mirror_sync_state *state)
{
    if (state->validity == 0 || (sync->row_validity != 0 && state->validity != sync->row_validity))
        return fault_set(&sync->call->fault, ERR_INTERNAL, "a sync ended in validity %u, not %u",
                         state->validity, sync->row_validity);
    return OK;
}

enum err sync_apply(struct mirror_sync *sync, const struct mirror_sync_state *state)
{
    struct apply apply;
    if (!sync->first && !state) {
        pending_clear(sync); /* what was compared and found equal took room too */
        return OK;
    }
    enum err err = state ? check_state(sync, state) : OK;
    if (!err)
        err = apply_begin(sync, &apply);
    if (err)
        return err;
    struct writing *writing = &apply.writing;
    err = apply_pending(&apply);
    if (!err && state) {
        struct mirror_sync_state believed = *state;
        if (believed.floor == 0) /* none was learned: nothing is known to be whole */
            believed.floor = FLOOR_NONE;
        err = apply_state(&apply, &believed);
    }
    bool differs = writing->change != writing->change_begun;
    if (!err && differs)
        err = handle_do(writing->db, &sync->call->fault, SQL_FOLDER_COUNT,
                        VALUES(V_INT(sync->folder), V_INT(apply.mirrored), V_INT(apply.unread),
                               V_INT(writing->change)));
    err = writing_end(writing, err);
    sync->changed = sync->changed || (!err && differs);
    pending_clear(sync);
    return err;
}

enum err mirror_sync_reset(struct mirror_sync *sync, uint32_t validity)
{
    struct apply apply;
    uint64_t generation = generation_new();
    assert(!sync->held);
    if (sync->failed)
        return sync->failed;
    if (validity == 0)
        return sync->failed = fault_set(&sync->call->fault, ERR_PROTOCOL,
                                        "the mail server gave no UIDVALIDITY");
    pending_clear(sync);
    enum err err = apply_begin(sync, &apply);
    if (err)
        return sync->failed = err;
    err = folder_empty(&apply.writing, sync->folder);
    /* At once, not at the end: an id of the old validity must never meet a new message. */
    if (!err)
        err = journal_folder(&apply);
    if (!err)
        err = handle_do(apply.writing.db, &sync->call->fault, SQL_FOLDER_FORGET,
                        VALUES(V_INT(sync->folder), V_INT(generation), V_INT(validity),
                               V_INT(apply.writing.change)));
    err = writing_end(&apply.writing, err);
    if (err)
        return sync->failed = err;
    free(sync->flags.items);
    free(sync->leftovers.items);
    sync->flags = (struct flags_known){0};
    sync->leftovers = (struct leftovers){.loaded = true};
    sync->generation = generation;
    sync->validity = 0;
    sync->row_validity = validity;
    sync->floor = FLOOR_NONE;
    sync->uid_next = 0;
    sync->changed = true;
    return OK;
}

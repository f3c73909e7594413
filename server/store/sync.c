/* sync.c - what a sync reports, gathered. Applying it is in apply.c. */
#include "sync.h"
#include "pack.h"

#include <assert.h>
#include <string.h>

static enum err sync_begin(struct mirror *mirror, struct call *call, int64_t folder, bool held,
                           struct mirror_sync **out)
{
    struct folder_row row;
    struct folder_inner inner;
    struct reading reading;
    *out = NULL;
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    err = folder_load(reading.db, call, SQL_FOLDER, VALUES(V_INT(folder)), &row, &inner);
    reading_end(&reading);
    if (err)
        return err == ERR_NOT_FOUND ? fault_set(&call->fault, err, "the folder is gone") : err;
    struct mirror_sync *sync = xalloc(sizeof *sync);
    *sync = (struct mirror_sync){
        .mirror = mirror,
        .call = call,
        .folder = folder,
        .generation = row.generation,
        .tag = inner.tag,
        .validity = row.validity,
        .row_validity = inner.row_validity,
        .floor = row.floor,
        .uid_next = row.uid_next,
        .exists = row.exists,
        .modseq = row.modseq,
        .synced_ms = row.synced_ms,
        .held = held,
    };
    sync->last = &sync->first;
    *out = sync;
    return OK;
}

enum err mirror_sync_begin(struct mirror *mirror, struct call *call, int64_t folder,
                           struct mirror_sync **out)
{
    return sync_begin(mirror, call, folder, false, out);
}

enum err mirror_sync_begin_held(struct mirror *mirror, struct call *call, int64_t folder,
                                struct mirror_sync **out)
{
    return sync_begin(mirror, call, folder, true, out);
}

/* Newest first is how backfill tells its messages, and the slowest order to insert them in: a
 * message below all of those just before it goes in front of them. */
static void pending_add(struct mirror_sync *sync, const struct pending *what)
{
    struct pending *pending = arena_new(&sync->arena, struct pending);
    *pending = *what;
    if (what->kind != PENDING_MESSAGE)
        sync->run = NULL;
    else if (!sync->run)
        sync->run = sync->last;
    if (sync->run && *sync->run && what->uid < (*sync->run)->uid) {
        pending->next = *sync->run;
        *sync->run = pending;
        return;
    }
    *sync->last = pending;
    sync->last = &pending->next;
}

static enum err apply_if_full(struct mirror_sync *sync)
{
    if (sync->held || sync->failed)
        return sync->failed;
    if (sync->pending_messages < SYNC_MESSAGES_MAX && sync->arena.used_bytes < SYNC_BYTES_MAX)
        return sync->failed;
    return sync->failed = sync_apply(sync, NULL);
}

static char *keywords_text(struct mirror_sync *sync, const struct string_list *keywords)
{
    struct buf json;
    buf_init(&json, SIZE_MAX / 4);
    pack_keywords(keywords ? keywords : &(const struct string_list){0}, &json);
    char *text = arena_strndup(&sync->arena, json.data, json.length);
    buf_clear(&json);
    return text;
}

static void render(struct mirror_sync *sync, const struct message *message, struct pending *pending)
{
    char id[MESSAGE_ID_BYTES];
    struct buf made;
    id_seal(
        &sync->mirror->id_key,
        &(struct id_place){.tag = sync->tag, .validity = sync->row_validity, .uid = message->uid},
        pending->id);
    id_text(pending->id, id);
    buf_init(&made, SIZE_MAX / 4);
    sync->mirror->store->render(id, message, &made);
    pending->json = arena_strndup(&sync->arena, made.data ? made.data : "", made.length);
    buf_reset(&made);
    pack_message(message, &made);
    pending->facts = memcpy(arena_alloc(&sync->arena, made.length), made.data, made.length);
    pending->facts_bytes = made.length;
    buf_clear(&made);
}

enum err mirror_sync_message(struct mirror_sync *sync, const struct message *message)
{
    if (sync->failed || message->uid == 0)
        return sync->failed;
    if (sync->row_validity == 0)
        return sync->failed = fault_set(&sync->call->fault, ERR_INTERNAL,
                                        "messages came before the folder's validity");
    sync->failed = leftovers_need(sync);
    if (sync->failed)
        return sync->failed;
    struct pending pending = {
        .kind = PENDING_MESSAGE,
        .uid = message->uid,
        .flags = message->flags & FLAG_ALL,
        .modseq = message->modseq,
        .keywords = keywords_text(sync, &message->keywords),
        .received_s = message->received_s,
        .has_date = message->envelope.has_date,
        .date_s = message->envelope.date_s,
        .size = message->size,
    };
    render(sync, message, &pending);
    pending_add(sync, &pending);
    sync->pending_messages++;
    struct leftover *leftover = leftovers_find(&sync->leftovers, message->uid);
    if (leftover)
        leftover->seen = true;
    struct flags_entry *entry = flags_known_find(&sync->flags, message->uid);
    if (entry)
        *entry = (struct flags_entry){.uid = message->uid,
                                      .flags = pending.flags,
                                      .keywords_hash = keywords_hash(pending.keywords)};
    sync->flags.outdated = true;
    return apply_if_full(sync);
}

/* True when the mirror has just that already, or no such message. */
static bool flags_are_old(struct mirror_sync *sync, uint32_t uid, uint32_t flags,
                          const char *keywords)
{
    if (!sync->flags.loaded)
        return false;
    struct flags_entry *entry = flags_known_find(&sync->flags, uid);
    if (!entry)
        return !sync->flags.outdated;
    uint64_t hash = keywords_hash(keywords);
    if (entry->flags == flags && entry->keywords_hash == hash)
        return true;
    entry->flags = flags;
    entry->keywords_hash = hash;
    return false;
}

enum err mirror_sync_flags(struct mirror_sync *sync, uint32_t uid, uint32_t flags,
                           const struct string_list *keywords, uint64_t modseq)
{
    assert(!sync->held);
    if (sync->failed)
        return sync->failed;
    if (++sync->flags_reports > SYNC_FLAGS_FEW && !sync->flags.loaded) {
        sync->failed = sync_apply(sync, NULL);
        if (!sync->failed)
            sync->failed = flags_known_load(sync);
        if (sync->failed)
            return sync->failed;
    }
    bool none = !keywords || keywords->count == 0;
    const char *text = none ? "[]" : keywords_text(sync, keywords);
    if (!flags_are_old(sync, uid, flags & FLAG_ALL, text))
        pending_add(sync, &(struct pending){.kind = PENDING_FLAGS,
                                            .uid = uid,
                                            .flags = flags & FLAG_ALL,
                                            .modseq = modseq,
                                            .keywords = text});
    return apply_if_full(sync);
}

static enum err remove_range(struct mirror_sync *sync, uint32_t first, uint32_t last)
{
    pending_add(sync, &(struct pending){.kind = PENDING_REMOVED, .uid = first, .last = last});
    return apply_if_full(sync);
}

enum err mirror_sync_removed(struct mirror_sync *sync, const struct uid_range *ranges,
                             uint32_t count)
{
    assert(!sync->held);
    enum err err = sync->failed;
    for (uint32_t i = 0; !err && i < count; i++)
        if (ranges[i].first <= ranges[i].last)
            err = remove_range(sync, ranges[i].first, ranges[i].last);
    return err;
}

/* Runs of mirrored uids that no range holds, into `runs`. Between a run's ends no mirrored message
 * lives, so that a run is removed as one range. */
static enum err find_missing(struct mirror_sync *sync, struct reading *reading, uint32_t from,
                             const struct uid_range *ranges, uint32_t count, struct buf *runs)
{
    struct fault *fault = &sync->call->fault;
    struct uid_range run = {0};
    bool found, running = false;
    sqlite3_stmt *statement = handle_query(reading->db, fault, SQL_KEYS,
                                           VALUES(V_INT(message_key(sync->folder, from)),
                                                  V_INT(message_key(sync->folder, UINT32_MAX))));
    if (!statement)
        return fault->code;
    enum err err;
    for (uint32_t at = 0; !(err = handle_step(reading->db, fault, statement, &found)) && found;) {
        uint32_t uid = (uint32_t)sqlite3_column_int64(statement, 0);
        while (at < count && ranges[at].last < uid)
            at++;
        bool exists = at < count && ranges[at].first <= uid;
        if (exists && running)
            buf_append(runs, &run, sizeof run);
        run = (struct uid_range){.first = running ? run.first : uid, .last = uid};
        running = !exists;
    }
    handle_done(statement);
    if (!err && running)
        buf_append(runs, &run, sizeof run);
    return err;
}

enum err mirror_sync_present(struct mirror_sync *sync, uint32_t from,
                             const struct uid_range *ranges, uint32_t count)
{
    struct reading reading;
    struct buf runs;
    assert(!sync->held);
    if (!sync->failed)
        sync->failed = sync_apply(sync, NULL);
    if (!sync->failed)
        sync->failed = reading_begin(sync->mirror, sync->call, &reading);
    if (sync->failed)
        return sync->failed;
    buf_init(&runs, SIZE_MAX / 4);
    enum err err = find_missing(sync, &reading, from, ranges, count, &runs);
    reading_end(&reading);
    for (size_t at = 0; !err && at < runs.length; at += sizeof(struct uid_range)) {
        struct uid_range run;
        memcpy(&run, runs.data + at, sizeof run);
        err = remove_range(sync, run.first, run.last);
    }
    buf_clear(&runs);
    return sync->failed = err;
}

/* The usual look at a folder finds nothing. When it was is then known without a write to the disk,
 * but for one now and then. */
static bool is_as_it_was(const struct mirror_sync *sync, const struct mirror_sync_state *state)
{
    return !sync->first && !sync->changed && state->validity == sync->validity &&
           sync->validity != 0 && state->uid_next == sync->uid_next &&
           state->exists == sync->exists && state->modseq == sync->modseq &&
           state->floor == sync->floor &&
           clock_unix_ms() - sync->synced_ms < SYNCED_WRITTEN_EVERY_MS;
}

enum err mirror_sync_commit(struct mirror_sync **sync, const struct mirror_sync_state *state,
                            bool *changed)
{
    enum err err = (*sync)->failed;
    bool found_nothing = !err && is_as_it_was(*sync, state);
    if (!err && !found_nothing)
        err = leftovers_need(*sync);
    if (!err && !found_nothing)
        err = sync_apply(*sync, state);
    if (!err && state->synced)
        looked_note((*sync)->mirror, (*sync)->folder, (*sync)->generation);
    if (changed)
        *changed = !err && (*sync)->changed;
    mirror_sync_abort(sync);
    return err;
}

void mirror_sync_abort(struct mirror_sync **sync)
{
    if (!*sync)
        return;
    arena_clear(&(*sync)->arena);
    free((*sync)->flags.items);
    free((*sync)->leftovers.items);
    free(*sync);
    *sync = NULL;
}

/* tidy.c - housekeeping over all mirrors: idle handles, old journals, unused files, and messages
 * that another version of the program rendered. Each in small pieces, every few seconds. */
#include "inside.h"
#include "clock.h"
#include "log.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define SWEEP_EVERY_MS (60 * 60 * 1000)
#define PRUNE_EVERY_MS (10 * 60 * 1000)
#define RENDER_ROWS    500
#define DAY_S          (24 * 60 * 60)

/* ---- rendering anew ---- */
static enum err render_row(struct writing *writing, int64_t key)
{
    struct call *call = writing->call;
    struct message_row row;
    bool found = false;
    sqlite3_stmt *s = handle_query(writing->db, &call->fault, SQL_MESSAGE_ROW, VALUES(V_INT(key)));
    enum err err = s ? handle_step(writing->db, &call->fault, s, &found) : call->fault.code;
    if (!err && found)
        err = row_read(writing->mirror, writing->db, call, s, &row); /* which renders it */
    if (!err && found) {
        const char *json = arena_strndup(call->arena, row.json, row.json_length);
        handle_done(s);
        return handle_do(writing->db, &call->fault, SQL_RENDER_SET,
                         VALUES(V_INT(key), V_INT(STORE_RENDER_VERSION), V_TEXT(json)));
    }
    handle_done(s);
    return err;
}

static enum err rendered_read(struct writing *writing, int64_t *version, int64_t *at)
{
    bool found = false;
    sqlite3_stmt *s = handle_query(writing->db, &writing->call->fault, SQL_RENDERED, NULL);
    if (!s)
        return writing->call->fault.code;
    enum err err = handle_step(writing->db, &writing->call->fault, s, &found);
    *version = found ? sqlite3_column_int64(s, 0) : 0;
    *at = found ? sqlite3_column_int64(s, 1) : 0;
    handle_done(s);
    return err;
}

/* Up to `rows` of those behind the last one that was done; *left: there may be more. */
static enum err render_some(struct writing *writing, uint32_t rows, bool *left)
{
    struct call *call = writing->call;
    int64_t version = 0, at = 0, *keys = arena_array(call->arena, int64_t, rows);
    uint32_t count = 0;
    bool found = true;
    *left = false;
    enum err err = rendered_read(writing, &version, &at);
    if (err || version == STORE_RENDER_VERSION)
        return err;
    sqlite3_stmt *s = handle_query(writing->db, &call->fault, SQL_STALE,
                                   VALUES(V_INT(at), V_INT(STORE_RENDER_VERSION), V_INT(rows)));
    if (!s)
        return call->fault.code;
    while (!(err = handle_step(writing->db, &call->fault, s, &found)) && found && count < rows)
        keys[count++] = sqlite3_column_int64(s, 0);
    handle_done(s);
    for (uint32_t i = 0; !err && i < count; i++)
        err = render_row(writing, keys[i]);
    if (err)
        return err;
    *left = count == rows;
    return handle_do(
        writing->db, &call->fault, SQL_SET_RENDERED,
        VALUES(V_INT(*left ? version : STORE_RENDER_VERSION), V_INT(*left ? keys[count - 1] : 0)));
}

enum err rows_render(struct mirror *mirror, struct call *call, uint32_t rows)
{
    struct writing writing;
    bool left = true;
    enum err err = writing_begin(mirror, call, &writing);
    if (err)
        return err;
    err = render_some(&writing, rows, &left);
    if (!err)
        mirror->render_stale = left;
    return writing_end(&writing, err);
}

static enum err prune(struct mirror *mirror, struct call *call)
{
    struct writing writing;
    int64_t pruned = 0;
    enum err err = writing_begin(mirror, call, &writing);
    if (err)
        return err;
    err = journal_prune(&writing, writing.at_s - JOURNAL_DAYS * (int64_t)DAY_S, JOURNAL_ROWS,
                        &pruned);
    /* Come back at once while there is much to do. */
    mirror->prune_due_ms = clock_now_ms() + (pruned >= JOURNAL_PRUNE_ROWS ? 0 : PRUNE_EVERY_MS);
    return writing_end(&writing, err);
}

/* ---- one mirror; only what is open is looked after, or nothing would ever be closed. True when
 * handles were. ---- */
static bool look_after(struct mirror *mirror, int64_t idle_ms)
{
    struct arena arena;
    struct call call = {.arena = &arena, .deadline_ms = DEADLINE_NONE};
    arena_init(&arena);
    bool closed = mirror_close_idle(mirror, clock_now_ms() - idle_ms);
    pthread_mutex_lock(&mirror->write_lock);
    bool is_open = mirror->writer;
    bool render_due = is_open && mirror->render_stale;
    bool prune_due = is_open && mirror->prune_due_ms <= clock_now_ms();
    int64_t used_ms = is_open ? mirror->writer->used_ms : 0;
    pthread_mutex_unlock(&mirror->write_lock);
    enum err err = render_due ? rows_render(mirror, &call, RENDER_ROWS) : OK;
    if (!err && prune_due)
        err = prune(mirror, &call);
    pthread_mutex_lock(&mirror->write_lock);
    if (mirror->writer && (render_due || prune_due))
        mirror->writer->used_ms = used_ms; /* our own use must not keep it open */
    pthread_mutex_unlock(&mirror->write_lock);
    if (err)
        log_event(LOG_WARN, "mirror-tidy", LOG_TEXT("detail", call.fault.detail), LOG_END);
    arena_clear(&arena);
    return closed;
}

static bool is_idle(struct mirror *mirror)
{
    pthread_mutex_lock(&mirror->write_lock);
    pthread_mutex_lock(&mirror->pool_lock);
    bool idle = !mirror->writer && mirror->reader_count == 0;
    pthread_mutex_unlock(&mirror->pool_lock);
    pthread_mutex_unlock(&mirror->write_lock);
    return idle;
}

/* In memory there is no file to come back to: such a mirror goes only for not being used. */
static bool may_forget(struct mirror *mirror, uint32_t unused_days)
{
    if (mirror->refs > 0)
        return false;
    if (mirror->path || !mirror->ready)
        return is_idle(mirror);
    return unused_days > 0 &&
           clock_now_ms() - mirror->given_ms > (int64_t)unused_days * DAY_S * 1000;
}

static struct mirror **borrow_all(struct store *store, size_t *count)
{
    struct mirror *mirror, *next;
    pthread_mutex_lock(&store->lock);
    struct mirror **all = xalloc(HASH_COUNT(store->mirrors) * sizeof *all);
    *count = 0;
    HASH_ITER (hh, store->mirrors, mirror, next) {
        mirror->refs++;
        all[(*count)++] = mirror;
    }
    pthread_mutex_unlock(&store->lock);
    return all;
}

static void forget_unused(struct store *store, uint32_t unused_days)
{
    struct mirror *mirror, *next;
    HASH_ITER (hh, store->mirrors, mirror, next) {
        if (!may_forget(mirror, unused_days))
            continue;
        if (mirror->path && mirror->ready)
            files_touch(mirror->path);
        HASH_DEL(store->mirrors, mirror);
        mirror_free(&mirror);
    }
}

static bool is_known(void *argument, const char *name)
{
    struct store *store = argument;
    struct mirror *mirror;
    HASH_FIND(hh, store->mirrors, name, strcspn(name, "."), mirror);
    return mirror;
}

void store_tidy(struct store *store, int64_t idle_ms, uint32_t unused_days)
{
    size_t count;
    bool closed = false;
    struct mirror **all = borrow_all(store, &count);
    for (size_t i = 0; i < count; i++)
        closed |= look_after(all[i], idle_ms);
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < count; i++)
        all[i]->refs--;
    forget_unused(store, unused_days);
    int64_t now_ms = clock_now_ms();
    if (!store->memory && unused_days > 0 && now_ms >= store->sweep_due_ms) {
        store->sweep_due_ms = now_ms + SWEEP_EVERY_MS;
        /* Under the lock: none of these files can be opened meanwhile. */
        files_sweep(store->mirrors_dir, clock_unix_s() - (int64_t)unused_days * DAY_S, is_known,
                    store);
    }
    pthread_mutex_unlock(&store->lock);
    free(all);
    /* What handles held lies between what lives on: glibc keeps it unless asked. */
    if (closed)
        malloc_trim(0);
}

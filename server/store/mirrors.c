/* mirrors.c - the table of open mirrors, opening their files, and lending their handles.
 *
 * On disk there is one writer and up to READERS_MAX readers, opened when first needed and closed by
 * store_tidy; whoever needs a reader while all are lent waits for one. In memory there is one
 * handle for all, lent to one at a time.
 */
#include "inside.h"
#include "clock.h"
#include "log.h"
#include "schema.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- one mirror ---- */
struct mirror *mirror_new(struct store *store, const char *account_id)
{
    struct mirror *mirror = xalloc(sizeof *mirror);
    mirror->store = store;
    snprintf(mirror->account_id, sizeof mirror->account_id, "%s", account_id);
    if (!store->memory) {
        size_t size = strlen(store->mirrors_dir) + sizeof mirror->account_id + 8;
        mirror->path = xalloc(size);
        snprintf(mirror->path, size, "%s/%s.db", store->mirrors_dir, account_id);
    }
    id_key(&store->key, account_id, &mirror->id_key);
    pthread_rwlock_init(&mirror->gate, NULL);
    pthread_mutex_init(&mirror->write_lock, NULL);
    pthread_mutex_init(&mirror->pool_lock, NULL);
    pthread_cond_init(&mirror->reader_back, NULL);
    return mirror;
}

static bool readers_close(struct mirror *mirror, int64_t before_ms)
{
    bool closed = false;
    pthread_mutex_lock(&mirror->pool_lock);
    for (struct handle **at = &mirror->readers; *at;) {
        struct handle *reader = *at;
        if (reader->used_ms >= before_ms) {
            at = &reader->next;
            continue;
        }
        *at = reader->next;
        mirror->reader_count--;
        handle_close(&reader);
        closed = true;
    }
    pthread_mutex_unlock(&mirror->pool_lock);
    return closed;
}

void mirror_free(struct mirror **mirror)
{
    struct mirror *gone = *mirror;
    assert(gone->refs == 0);
    readers_close(gone, INT64_MAX);
    looked_forget(gone);
    handle_close(&gone->writer);
    pthread_rwlock_destroy(&gone->gate);
    pthread_mutex_destroy(&gone->write_lock);
    pthread_mutex_destroy(&gone->pool_lock);
    pthread_cond_destroy(&gone->reader_back);
    free(gone->path);
    free(gone);
    *mirror = NULL;
}

bool mirror_close_idle(struct mirror *mirror, int64_t before_ms)
{
    if (!mirror->path)
        return false;
    bool closed = readers_close(mirror, before_ms);
    if (pthread_mutex_trylock(&mirror->write_lock) != 0)
        return closed;
    if (mirror->writer && mirror->writer->used_ms < before_ms) {
        handle_close(&mirror->writer);
        closed = true;
    }
    pthread_mutex_unlock(&mirror->write_lock);
    return closed;
}

/* ---- opening; the gate is held for writing, so no handle is out ---- */
static enum err file_make(const char *path, struct fault *fault)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        const char *why = strerror(errno);
        log_event(LOG_ERROR, "mirror-file", LOG_TEXT("path", path), LOG_TEXT("detail", why),
                  LOG_END);
        return fault_set(fault, ERR_STORE, "the mirror's file: %s", why);
    }
    close(fd);
    return OK;
}

static enum err open_once(struct mirror *mirror, struct fault *fault, enum schema_state *state,
                          int *version)
{
    enum err err = mirror->path ? file_make(mirror->path, fault) : OK;
    if (err)
        return err;
    err = handle_open(mirror->path, HANDLE_WRITES, &mirror->damaged, fault, &mirror->writer);
    if (!err)
        err = schema_prepare(mirror->writer, fault, &mirror->id_key, state, version);
    if (err && atomic_load(&mirror->damaged)) {
        fault_clear(fault);
        *state = SCHEMA_DAMAGED;
        err = OK;
    }
    if (err || *state != SCHEMA_READY)
        handle_close(&mirror->writer);
    else if (mirror->path)
        files_touch(mirror->path);
    return err;
}

static enum err put_aside(struct mirror *mirror, struct fault *fault, enum schema_state state,
                          int version)
{
    char why[48];
    readers_close(mirror, INT64_MAX);
    handle_close(&mirror->writer);
    if (state == SCHEMA_NEWER)
        snprintf(why, sizeof why, "newer-%d", version);
    else
        snprintf(why, sizeof why, "damaged-%lld", (long long)clock_unix_s());
    enum err err = mirror->path ? files_set_aside(mirror->path, why, fault) : OK;
    if (!err)
        atomic_store(&mirror->damaged, false);
    return err;
}

static enum err open_locked(struct mirror *mirror, struct fault *fault)
{
    enum schema_state state = SCHEMA_DAMAGED;
    int version = 0;
    enum err err = OK;
    if (mirror->ready && !atomic_load(&mirror->damaged))
        return OK;
    mirror->ready = false;
    if (atomic_load(&mirror->damaged))
        err = put_aside(mirror, fault, SCHEMA_DAMAGED, 0);
    if (!err)
        err = open_once(mirror, fault, &state, &version);
    if (!err && state != SCHEMA_READY) {
        err = put_aside(mirror, fault, state, version);
        if (!err)
            err = open_once(mirror, fault, &state, &version);
    }
    if (!err && state != SCHEMA_READY)
        err = fault_set(fault, ERR_STORE, "a new mirror cannot be begun");
    if (!err) {
        mirror->ready = true;
        mirror->render_stale = true; /* until rows_render finds otherwise */
        mirror->writer->used_ms = clock_now_ms();
    }
    return err;
}

enum err mirror_enter(struct mirror *mirror, struct fault *fault)
{
    for (;;) {
        pthread_rwlock_rdlock(&mirror->gate);
        if (mirror->ready && !atomic_load(&mirror->damaged))
            return OK;
        pthread_rwlock_unlock(&mirror->gate);
        pthread_rwlock_wrlock(&mirror->gate);
        pthread_mutex_lock(&mirror->write_lock); /* store_tidy looks without the gate */
        enum err err = open_locked(mirror, fault);
        pthread_mutex_unlock(&mirror->write_lock);
        pthread_rwlock_unlock(&mirror->gate);
        if (err)
            return err;
    }
}

/* ---- the table ---- */
/* It becomes a file name. */
static bool account_id_is_valid(const char *id)
{
    size_t length = strnlen(id, ACCOUNT_ID_BYTES);
    return length > 2 && length < ACCOUNT_ID_BYTES && strncmp(id, "a_", 2) == 0 &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == length;
}

enum err mirror_take(struct store *store, const char *account_id, struct fault *fault,
                     struct mirror **out)
{
    struct mirror *mirror;
    *out = NULL;
    if (!account_id_is_valid(account_id))
        return fault_set(fault, ERR_NOT_FOUND, "no such account");
    pthread_mutex_lock(&store->lock);
    HASH_FIND_STR(store->mirrors, account_id, mirror);
    if (!mirror) {
        mirror = mirror_new(store, account_id);
        HASH_ADD_STR(store->mirrors, account_id, mirror);
    }
    mirror->refs++;
    pthread_mutex_unlock(&store->lock);
    *out = mirror;
    return OK;
}

void mirror_give(struct mirror **mirror)
{
    struct mirror *given = *mirror;
    *mirror = NULL;
    if (!given)
        return;
    struct store *store = given->store;
    pthread_mutex_lock(&store->lock);
    assert(given->refs > 0);
    given->refs--;
    given->given_ms = clock_now_ms();
    pthread_mutex_unlock(&store->lock);
}

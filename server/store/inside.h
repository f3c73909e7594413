/* inside.h - what the store's files share: the open store, an open mirror, and how its database is
 * leased for one reading or one writing.
 *
 * Locks, in the order in which they are taken: store->lock (the table of mirrors), mirror->gate
 * (held for reading while any handle is out, for writing while files are put aside),
 * mirror->write_lock (the one writer), mirror->pool_lock (the readers' free list).
 */
#ifndef POSTERN_INSIDE_H
#define POSTERN_INSIDE_H

#include "handle.h"
#include "ids.h"
#include "mirror.h"

#include <pthread.h>
#include <stdlib.h>

#define uthash_fatal(message) abort()
#include <uthash.h>

#define READERS_MAX 4
#define PATH_BYTES  4096
#define FLOOR_NONE  UINT32_MAX /* of a folder of which nothing is mirrored for good */

struct store {
    char *data_dir, *mirrors_dir;
    int lock_fd;
    struct crypto_key key;
    store_render *render;
    bool memory;
    pthread_mutex_t lock;
    struct mirror *mirrors; /* by account id */
    int64_t sweep_due_ms;   /* store_tidy's thread only */
};

struct mirror {
    struct store *store; /* borrowed: outlives its mirrors */
    char account_id[ACCOUNT_ID_BYTES];
    char *path; /* NULL: in memory */
    struct crypto_key id_key;
    uint32_t refs;    /* store->lock */
    int64_t given_ms; /* store->lock: when the last was given back */
    pthread_rwlock_t gate;
    atomic_bool damaged;
    bool ready; /* gate: the file is there, and of our version */
    pthread_mutex_t write_lock;
    struct handle *writer; /* NULL while closed; in memory the only handle */
    bool render_stale;     /* write_lock: some rows were rendered by another version */
    int64_t prune_due_ms;  /* write_lock */
    pthread_mutex_t pool_lock;
    pthread_cond_t reader_back;
    struct handle *readers; /* idle ones */
    unsigned reader_count;  /* open ones, lent or idle */
    struct looked *looked;  /* pool_lock: see looked.c */
    UT_hash_handle hh;
};

/* ---- files ---- */
/* Renames a mirror's files to <path>.<why>, drops the oldest so put aside, says so in the log. */
enum err files_set_aside(const char *path, const char *why, struct fault *fault);
void files_remove(const char *path);
/* Removes mirrors unused since `before_s`, except those that `open` knows. */
void files_sweep(const char *directory, int64_t before_s, bool (*open)(void *, const char *name),
                 void *argument);
void files_touch(const char *path);

/* ---- one reading, one writing ---- */
struct reading {
    struct mirror *mirror;
    struct call *call;
    struct handle *db;
    int64_t began_us;
};
/* A snapshot until reading_end. A sink that is called within must not call the mirror. */
enum err reading_begin(struct mirror *mirror, struct call *call, struct reading *out);
void reading_end(struct reading *reading);

struct writing {
    struct mirror *mirror;
    struct call *call;
    struct handle *db;
    uint64_t change, change_begun; /* the newest journal sequence */
    int64_t at_s, began_us;
};
enum err writing_begin(struct mirror *mirror, struct call *call, struct writing *out);
/* Both end it; commit rolls back when it fails. */
enum err writing_commit(struct writing *writing);
void writing_abort(struct writing *writing);
static inline enum err writing_end(struct writing *writing, enum err err)
{
    if (!err)
        return writing_commit(writing);
    writing_abort(writing);
    return err;
}

/* Takes the gate for reading, over a file that is opened and checked, begun anew if it must be. */
enum err mirror_enter(struct mirror *mirror, struct fault *fault);
/* Closes handles that were last used before `before_ms`; true when there were any. */
bool mirror_close_idle(struct mirror *mirror, int64_t before_ms);
struct mirror *mirror_new(struct store *store, const char *account_id);
void mirror_free(struct mirror **mirror);

/* ---- journal ---- */
enum journal_kind { /* stored */
                    JOURNAL_CREATED = 1,
                    JOURNAL_UPDATED = 2,
                    JOURNAL_DELETED = 3,
                    JOURNAL_MOVED = 4,
                    JOURNAL_FOLDER_CREATED = 5,
                    JOURNAL_FOLDER_UPDATED = 6,
                    JOURNAL_FOLDER_DELETED = 7,
};
enum journal_field { /* stored; the lowest bits are enum message_flag: which flags changed */
                     JOURNAL_KEYWORDS = 1 << 8,
                     JOURNAL_PREVIEW = 1 << 9,
                     JOURNAL_RECORD = 1 << 10,
                     JOURNAL_LISTING = 1 << 11,
                     JOURNAL_STATUS = 1 << 12,
};
struct journal_entry {
    enum journal_kind kind;
    int64_t folder;
    uint32_t uid, fields;
    const void *id; /* a message's raw id, or a folder's text */
    size_t id_bytes;
};
#define JOURNAL_DAYS       30
#define JOURNAL_ROWS       1000000
#define JOURNAL_PRUNE_ROWS 10000 /* at most, in one go */
/* writing->change becomes the entry's sequence. */
enum err journal_add(struct writing *writing, const struct journal_entry *entry);
enum err journal_prune(struct writing *writing, int64_t before_s, int64_t rows_max,
                       int64_t *pruned);

/* ---- folders ---- */
struct folder_inner { /* what folder_row does not show */
    uint64_t tag;
    uint32_t row_validity; /* of the rows that are there; validity is 0 until a sync committed */
};
enum err folder_load(struct handle *db, struct call *call, enum sql which,
                     const struct value *values, struct folder_row *out,
                     struct folder_inner *inner); /* ERR_NOT_FOUND without a word */
enum err folders_load(struct handle *db, struct call *call, struct folder_row **out,
                      uint32_t *count); /* sorted as mirror_folders says */
uint64_t generation_new(void);
/* Deletes all the folder's messages, journaled; the counters are the caller's. */
enum err folder_empty(struct writing *writing, int64_t folder);

static inline int64_t message_key(int64_t folder, uint32_t uid)
{
    return folder << 32 | (int64_t)uid;
}

/* ---- looked.c: when each folder was last found as it is ---- */
void looked_note(struct mirror *mirror, int64_t folder, uint64_t generation);
void looked_show(struct mirror *mirror, struct folder_row *row); /* its synced_ms, if later */
void looked_forget(struct mirror *mirror);

/* ---- rows ---- */
/* Reads ROW_COLUMNS. Texts point into the statement, or into call->arena. */
enum err row_read(struct mirror *mirror, struct handle *db, struct call *call,
                  sqlite3_stmt *statement, struct message_row *out);
/* The stored record; a record that cannot be read marks the mirror damaged. */
enum err facts_load(struct handle *db, struct call *call, int64_t key, struct message *out,
                    bool *lacks_preview);
/* Renders up to `rows` messages that another version rendered. */
enum err rows_render(struct mirror *mirror, struct call *call, uint32_t rows);

#endif

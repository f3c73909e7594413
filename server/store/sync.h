/* sync.h - one sync of one folder while it goes on: what was reported and is not written yet.
 *
 * Reports gather in memory, so that nobody holds the database while a mail server is waited for.
 * A report is packed and rendered when it comes, outside any transaction.
 */
#ifndef POSTERN_SYNC_H
#define POSTERN_SYNC_H

#include "inside.h"

#define SYNC_MESSAGES_MAX 256u
#define SYNC_BYTES_MAX    (1024u * 1024u)
#define SYNC_FLAGS_FEW    64u /* from then on flags are compared in memory */

struct pending {
    enum { PENDING_MESSAGE, PENDING_FLAGS, PENDING_REMOVED } kind;
    uint32_t uid, last; /* last: of removed ones */
    uint32_t flags;
    uint64_t modseq;
    const char *keywords; /* JSON */
    /* of messages */
    int64_t received_s;
    bool has_date;
    int64_t date_s;
    uint64_t size;
    const char *json;
    const void *facts;
    size_t facts_bytes;
    uint8_t id[ID_RAW_BYTES];
    struct pending *next;
};

/* Flags as they are in the mirror, sorted by uid. */
struct flags_known {
    struct flags_entry {
        uint32_t uid, flags;
        uint64_t keywords_hash;
    } * items; /* owned */
    uint32_t count;
    bool loaded;
    bool outdated; /* messages came since: an absent uid may be there */
};

/* Rows outside what the folder's committed state covers: single fetches, and what a sync that never
 * committed left. One whose place this sync covers, without reporting it, is gone. */
struct leftovers {
    struct leftover {
        uint32_t uid;
        bool seen;
    } * items; /* owned */
    uint32_t count;
    bool loaded; /* they are read when first asked for: most syncs find nothing new */
};

#define SYNCED_WRITTEN_EVERY_MS 60000

struct mirror_sync {
    struct mirror *mirror; /* borrowed */
    struct call *call;     /* borrowed */
    int64_t folder;
    uint64_t generation; /* another one now: the folder was forgotten under us */
    uint64_t tag;
    uint32_t validity, row_validity, floor, uid_next; /* as committed; see folder_inner */
    uint32_t exists;
    uint64_t modseq;
    int64_t synced_ms;  /* as written, not as looked.c knows it */
    struct arena arena; /* of pending ones */
    struct pending *first, **last;
    struct pending **run; /* to the lowest of the messages at the end, or NULL */
    uint32_t pending_messages;
    uint32_t flags_reports;
    struct flags_known flags;
    struct leftovers leftovers;
    bool held; /* nothing is written before the commit */
    bool changed;
    enum err failed; /* sticky */
};

uint64_t keywords_hash(const char *json);
enum err flags_known_load(struct mirror_sync *sync);
struct flags_entry *flags_known_find(struct flags_known *known, uint32_t uid);
enum err leftovers_need(struct mirror_sync *sync); /* before the next two, and before a commit */
struct leftover *leftovers_find(struct leftovers *leftovers, uint32_t uid);

/* Writes what is pending; with `state` also that, as the sync's end. */
enum err sync_apply(struct mirror_sync *sync, const struct mirror_sync_state *state);

#endif

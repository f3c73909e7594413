/* mirror.h - what is known of one account: folders, messages, structure, a journal of changes.
 *
 * Readers run beside one writer (WAL). All functions are thread-safe; each is one transaction
 * unless it says otherwise. Results are placed in call->arena; callback rows live during the
 * callback. ERR_STORE: the database failed, nothing was changed; a damaged file is set aside at the
 * next take. Time spent is added to call->mirror_us.
 */
#ifndef POSTERN_MIRROR_H
#define POSTERN_MIRROR_H

#include "store.h"

#define STORE_RENDER_VERSION 1

/* ---- folders ---- */
struct folder_row {
    int64_t number; /* internal, never reused */
    char id[FOLDER_ID_BYTES];
    char parent_id[FOLDER_ID_BYTES]; /* "" at the top level or when the parent is not listed */
    struct folder_listing listing;   /* as last listed; counts as last known */
    /* what is mirrored */
    uint64_t generation; /* new whenever the folder's messages were forgotten; never 0 */
    uint32_t validity, uid_next, exists, floor;
    uint64_t modseq;
    bool complete;             /* floor reached the oldest message */
    uint32_t mirrored, unread; /* counters over mirrored messages */
    uint64_t change;           /* journal sequence of the last change in the folder: its state */
    int64_t synced_ms;         /* wall clock of the last completed sync, 0: never */
};

/* The whole listing replaces the known one: new folders appear, missing ones go (with their
 * messages, journaled). A folder keeps its id while its remote name stays. */
enum err mirror_put_folders(struct mirror *mirror, struct call *call,
                            const struct folder_listing *listings, uint32_t count);
/* Sorted: inbox, then roles in their order, then by path. *listed_ms: when (wall clock), 0: never.
 */
enum err mirror_folders(struct mirror *mirror, struct call *call, struct folder_row **out,
                        uint32_t *count, int64_t *listed_ms);
/* By id ("f_..."), role name, or "path:Some/Path" (decoded). ERR_NOT_FOUND. */
enum err mirror_find_folder(struct mirror *mirror, struct call *call, const char *key,
                            struct folder_row *out);
enum err mirror_folder(struct mirror *mirror, struct call *call, int64_t number,
                       struct folder_row *out); /* afresh; ERR_NOT_FOUND when it is gone */

/* ---- writing what a sync found ----
 * Changes are gathered and applied in transactions of bounded size; the folder's own state is
 * written by mirror_sync_commit only, so that an interrupted sync is done again, never believed.
 * Everything given is copied. One sync a folder at a time (the caller's lock). */
struct mirror_sync;

struct mirror_sync_state {
    uint32_t validity, uid_next, exists;
    uint64_t modseq;
    uint32_t floor;
    bool synced; /* a full sync: synced_ms becomes now */
};

enum err mirror_sync_begin(struct mirror *mirror, struct call *call, int64_t folder,
                           struct mirror_sync **out);
/* The same, but nothing touches the database before the commit, whatever is given: for a batch that
 * is gathered without the caller's lock, and messages only. */
enum err mirror_sync_begin_held(struct mirror *mirror, struct call *call, int64_t folder,
                                struct mirror_sync **out);
/* Forget the folder's messages (new validity): journaled as deleted, generation changes. */
enum err mirror_sync_reset(struct mirror_sync *sync, uint32_t validity);
enum err mirror_sync_message(struct mirror_sync *sync,
                             const struct message *message); /* or replaces */
enum err mirror_sync_flags(struct mirror_sync *sync, uint32_t uid, uint32_t flags,
                           const struct string_list *keywords, uint64_t modseq);
enum err mirror_sync_present(struct mirror_sync *sync, uint32_t from,
                             const struct uid_range *ranges, uint32_t count);
enum err mirror_sync_removed(struct mirror_sync *sync, const struct uid_range *ranges,
                             uint32_t count);
/* Applies the rest and the state; frees. *changed: anything differs from before. */
enum err mirror_sync_commit(struct mirror_sync **sync, const struct mirror_sync_state *state,
                            bool *changed);
void mirror_sync_abort(struct mirror_sync **sync);

/* Messages of the folder from uid `from` up that became known, or were told other flags, after the
 * journal's `since`: ascending, at most `most`; *all is false when there are more, or the journal
 * does not reach back so far. */
enum err mirror_touched(struct mirror *mirror, struct call *call, int64_t folder, uint64_t since,
                        uint32_t from, uint32_t most, uint32_t **uids, uint32_t *count, bool *all);

/* ---- reading messages ---- */
struct message_row {
    char id[MESSAGE_ID_BYTES];
    int64_t folder;
    uint32_t uid;
    uint32_t flags;
    const char *keywords_json; /* an array, ready: ["$Forwarded"] */
    const char *json;          /* what store_render made */
    size_t json_length;
    const char *preview; /* NULL: not known yet */
    int64_t received_s;
    uint64_t size;
    uint64_t change; /* journal sequence of its last change: its version */
};

/* A place in the order (received_s, folder, uid), newest first. */
struct list_place {
    int64_t received_s;
    int64_t folder;
    uint32_t uid;
};

struct list_query {
    const int64_t *folders; /* numbers */
    uint32_t folder_count;
    const struct list_place *after; /* NULL: from the top; else strictly behind it */
    uint32_t limit;
};

/* Rows in order; `row` may stop the walk by returning non-OK, which is passed on. */
struct row_sink {
    enum err (*row)(struct row_sink *, const struct message_row *);
};
enum err mirror_list(struct mirror *mirror, struct call *call, const struct list_query *query,
                     struct row_sink *sink);

/* Where a message id leads. ERR_NOT_FOUND: not an id of this account. ERR_GONE: it existed, and the
 * folder's validity or the message is gone. OK with found = false: the folder is known, but this
 * uid is not mirrored (yet): fetch it (folder, uid, validity are set). */
struct message_place {
    bool found;
    int64_t folder;
    uint32_t validity, uid;
};
enum err mirror_find_message(struct mirror *mirror, struct call *call, const char *id,
                             struct message_place *out);
/* The row, and with `full` the whole record decoded. ERR_GONE when it is not there. */
enum err mirror_message(struct mirror *mirror, struct call *call, int64_t folder, uint32_t uid,
                        struct message_row *row, struct message *full);

/* Which of the listed messages lack a preview, with their text leaf: for backend_previews. The
 * structure is struct preview_source: part NULL when the message has no text. */
struct preview_source {
    uint32_t uid;
    const char *part, *type, *charset, *encoding;
};
enum err mirror_missing_previews(struct mirror *mirror, struct call *call, int64_t folder,
                                 const uint32_t *uids, uint32_t count, struct preview_source **out,
                                 uint32_t *out_count);
enum err mirror_put_previews(struct mirror *mirror, struct call *call, int64_t folder,
                             const uint32_t *uids, const char *const *previews, uint32_t count);
enum err mirror_put_part_size(struct mirror *mirror, struct call *call, int64_t folder,
                              uint32_t uid, const char *part, uint64_t size);

/* ---- the whole account ---- */
struct mirror_totals {
    uint32_t folders;
    uint64_t messages;
    bool complete;   /* every folder that was ever opened is */
    uint64_t change; /* the newest journal sequence */
};
enum err mirror_totals(struct mirror *mirror, struct call *call, struct mirror_totals *out);

#endif

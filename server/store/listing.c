/* listing.c - a mail server's list of folders becomes the mirror's.
 *
 * The listing is compared with what is known, by remote name, and only what differs is written and
 * journaled: most listings are the same as the one before.
 */
#include "inside.h"
#include "clock.h"

#include <stdio.h>
#include <string.h>

struct known {
    struct folder_row row;
    const struct folder_listing *now; /* NULL: not listed any more */
    bool is_new;
    UT_hash_handle hh; /* by row.listing.remote */
};

struct by_path {
    const char *path;
    const char *id;
    UT_hash_handle hh;
};

struct listing {
    struct writing *writing;
    struct call *call;
    struct known *known;
    struct by_path *paths;
};

static struct known *known_add(struct listing *listing, const struct folder_row *row)
{
    struct known *known = arena_new(listing->call->arena, struct known);
    known->row = *row;
    HASH_ADD_KEYPTR(hh, listing->known, known->row.listing.remote,
                    strlen(known->row.listing.remote), known);
    return known;
}

static enum err known_load(struct listing *listing)
{
    struct folder_row *rows;
    uint32_t count;
    enum err err = folders_load(listing->writing->db, listing->call, &rows, &count);
    for (uint32_t i = 0; !err && i < count; i++)
        known_add(listing, &rows[i]);
    return err;
}

uint64_t generation_new(void)
{
    uint64_t generation;
    crypto_random(&generation, sizeof generation);
    return (generation >> 2) | 1;
}

/* Another folder may hold the id, or the tag that message ids carry: it kept them when it was
 * renamed. Counting up is deterministic as long as it does. */
static enum err folder_add(struct listing *listing, const struct folder_listing *now,
                           struct known **out)
{
    struct writing *writing = listing->writing;
    struct fault *fault = &listing->call->fault;
    char id[FOLDER_ID_BYTES];
    uint64_t tag;
    int64_t taken = 1;
    for (uint32_t attempt = 0; taken; attempt++) {
        id_folder(&writing->mirror->id_key, now->remote, attempt, id, &tag);
        enum err err = handle_number(writing->db, fault, SQL_FOLDER_TAKEN,
                                     VALUES(V_TEXT(id), V_INT(tag)), 0, &taken);
        if (err)
            return err;
    }
    enum err err = handle_do(writing->db, fault, SQL_FOLDER_ADD,
                             VALUES(V_TEXT(id), V_INT(tag), V_TEXT(now->remote), V_TEXT(now->path),
                                    V_INT(generation_new())));
    if (err)
        return err;
    struct folder_row row = {
        .number = sqlite3_last_insert_rowid(writing->db->sqlite),
        .listing = {.remote = now->remote, .path = "", .size = -1},
    };
    snprintf(row.id, sizeof row.id, "%s", id);
    *out = known_add(listing, &row);
    (*out)->is_new = true;
    return journal_add(writing, &(struct journal_entry){.kind = JOURNAL_FOLDER_CREATED,
                                                        .folder = row.number,
                                                        .id = row.id,
                                                        .id_bytes = strlen(row.id)});
}

static enum err folder_drop(struct listing *listing, const struct folder_row *row)
{
    struct writing *writing = listing->writing;
    enum err err = folder_empty(writing, row->number);
    if (!err)
        err = handle_do(writing->db, &listing->call->fault, SQL_FOLDER_DROP,
                        VALUES(V_INT(row->number)));
    if (err)
        return err;
    return journal_add(writing, &(struct journal_entry){.kind = JOURNAL_FOLDER_DELETED,
                                                        .folder = row->number,
                                                        .id = row->id,
                                                        .id_bytes = strlen(row->id)});
}

/* The id of the folder whose path is all of this one's but the last level. */
static const char *parent_id(struct listing *listing, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct by_path *parent = NULL;
    if (slash)
        HASH_FIND(hh, listing->paths, path, (size_t)(slash - path), parent);
    return parent ? parent->id : "";
}

static uint32_t listing_differs(const struct folder_row *row, const struct folder_listing *now,
                                const char *parent)
{
    const struct folder_listing *was = &row->listing;
    uint32_t fields = 0;
    if (strcmp(was->path, now->path) != 0 || strcmp(row->parent_id, parent) != 0 ||
        was->role != now->role || was->role_source != now->role_source ||
        was->subscribed != now->subscribed || was->selectable != now->selectable)
        fields |= JOURNAL_LISTING;
    if (now->has_status &&
        (!was->has_status || was->messages != now->messages || was->unseen != now->unseen ||
         was->uid_next != now->uid_next || was->uid_validity != now->uid_validity ||
         was->modseq != now->modseq || was->size != now->size))
        fields |= JOURNAL_STATUS;
    return fields;
}

static enum err folder_update(struct listing *listing, const struct known *known)
{
    const struct folder_row *row = &known->row;
    const struct folder_listing *now = known->now;
    struct writing *writing = listing->writing;
    const char *parent = parent_id(listing, now->path);
    uint32_t fields = listing_differs(row, now, parent);
    if (!fields)
        return OK;
    /* Counts stay as last known when this listing brought none. */
    const struct folder_listing *status = now->has_status ? now : &row->listing;
    enum err err =
        handle_do(writing->db, &listing->call->fault, SQL_FOLDER_SET,
                  VALUES(V_INT(row->number), V_TEXT(now->path), V_TEXT(parent), V_INT(now->role),
                         V_INT(now->role_source), V_INT(now->subscribed), V_INT(now->selectable),
                         V_INT(status->has_status), V_INT(status->messages), V_INT(status->unseen),
                         V_INT(status->uid_next), V_INT(status->uid_validity),
                         V_INT(status->modseq), V_INT(status->size)));
    if (err || known->is_new)
        return err;
    return journal_add(writing, &(struct journal_entry){.kind = JOURNAL_FOLDER_UPDATED,
                                                        .folder = row->number,
                                                        .fields = fields,
                                                        .id = row->id,
                                                        .id_bytes = strlen(row->id)});
}

/* Every listed name once: a second one with the same remote name is left out. */
static enum err match(struct listing *listing, const struct folder_listing *listings,
                      uint32_t count, struct known **matched)
{
    for (uint32_t i = 0; i < count; i++) {
        struct known *known;
        HASH_FIND_STR(listing->known, listings[i].remote, known);
        if (known && known->now)
            continue;
        enum err err = known ? OK : folder_add(listing, &listings[i], &known);
        if (err)
            return err;
        known->now = &listings[i];
        matched[i] = known;
    }
    return OK;
}

static enum err drop_missing(struct listing *listing)
{
    struct known *known, *next;
    HASH_ITER (hh, listing->known, known, next) {
        enum err err = known->now ? OK : folder_drop(listing, &known->row);
        if (err)
            return err;
    }
    return OK;
}

static void paths_index(struct listing *listing, struct known *const *matched, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct by_path *entry;
        if (!matched[i])
            continue;
        HASH_FIND_STR(listing->paths, matched[i]->now->path, entry);
        if (entry)
            continue;
        entry = arena_new(listing->call->arena, struct by_path);
        entry->path = matched[i]->now->path;
        entry->id = matched[i]->row.id;
        HASH_ADD_KEYPTR(hh, listing->paths, entry->path, strlen(entry->path), entry);
    }
}

static enum err replace(struct listing *listing, const struct folder_listing *listings,
                        uint32_t count)
{
    struct known **matched = arena_array(listing->call->arena, struct known *, count);
    enum err err = known_load(listing);
    if (!err)
        err = match(listing, listings, count, matched);
    if (!err)
        err = drop_missing(listing);
    if (!err)
        paths_index(listing, matched, count);
    for (uint32_t i = 0; !err && i < count; i++)
        err = matched[i] ? folder_update(listing, matched[i]) : OK;
    if (!err)
        err = handle_do(listing->writing->db, &listing->call->fault, SQL_SET_LISTED,
                        VALUES(V_INT(clock_unix_ms())));
    HASH_CLEAR(hh, listing->known);
    HASH_CLEAR(hh, listing->paths);
    return err;
}

enum err mirror_put_folders(struct mirror *mirror, struct call *call,
                            const struct folder_listing *listings, uint32_t count)
{
    struct writing writing;
    struct listing listing = {.writing = &writing, .call = call};
    enum err err = writing_begin(mirror, call, &writing);
    if (err)
        return err;
    return writing_end(&writing, replace(&listing, listings, count));
}

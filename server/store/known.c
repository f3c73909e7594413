/* known.c - what a sync compares with, loaded whole because it is small: 16 bytes a message for
 * flags, when many are reported; and the few uids outside the committed range. */
#include "sync.h"

#include <string.h>

uint64_t keywords_hash(const char *json)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *json; json++)
        hash = (hash ^ (uint8_t)*json) * 0x100000001b3u;
    return hash;
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct flags_entry *flags_known_find(struct flags_known *known, uint32_t uid)
{
    _Static_assert(offsetof(struct flags_entry, uid) == 0, "compared by its uid");
    return known->count ? bsearch(&uid, known->items, known->count, sizeof *known->items, by_uid)
                        : NULL;
}

struct leftover *leftovers_find(struct leftovers *leftovers, uint32_t uid)
{
    _Static_assert(offsetof(struct leftover, uid) == 0, "compared by its uid");
    return leftovers->count
               ? bsearch(&uid, leftovers->items, leftovers->count, sizeof *leftovers->items, by_uid)
               : NULL;
}

static enum err flags_read(struct mirror_sync *sync, struct reading *reading, struct buf *out)
{
    struct fault *fault = &sync->call->fault;
    bool found;
    sqlite3_stmt *statement = handle_query(
        reading->db, fault, SQL_FLAGS,
        VALUES(V_INT(message_key(sync->folder, 0)), V_INT(message_key(sync->folder, UINT32_MAX))));
    if (!statement)
        return fault->code;
    enum err err;
    while (!(err = handle_step(reading->db, fault, statement, &found)) && found) {
        const char *keywords = (const char *)sqlite3_column_text(statement, 2);
        struct flags_entry entry = {
            .uid = (uint32_t)sqlite3_column_int64(statement, 0),
            .flags = (uint32_t)sqlite3_column_int(statement, 1),
            .keywords_hash = keywords_hash(keywords ? keywords : ""),
        };
        buf_append(out, &entry, sizeof entry);
    }
    handle_done(statement);
    return err;
}

enum err flags_known_load(struct mirror_sync *sync)
{
    struct reading reading;
    struct buf entries;
    enum err err = reading_begin(sync->mirror, sync->call, &reading);
    if (err)
        return err;
    buf_init(&entries, SIZE_MAX / 4);
    err = flags_read(sync, &reading, &entries);
    reading_end(&reading);
    sync->flags.loaded = true;
    sync->flags.count = (uint32_t)(entries.length / sizeof(struct flags_entry));
    sync->flags.items = (struct flags_entry *)(void *)buf_detach(&entries);
    return err;
}

static enum err uids_read(struct mirror_sync *sync, struct reading *reading, uint32_t first,
                          uint32_t last, struct buf *out)
{
    struct fault *fault = &sync->call->fault;
    bool found;
    if (first > last)
        return OK;
    sqlite3_stmt *statement = handle_query(
        reading->db, fault, SQL_KEYS,
        VALUES(V_INT(message_key(sync->folder, first)), V_INT(message_key(sync->folder, last))));
    if (!statement)
        return fault->code;
    enum err err;
    while (!(err = handle_step(reading->db, fault, statement, &found)) && found) {
        struct leftover leftover = {.uid = (uint32_t)sqlite3_column_int64(statement, 0)};
        buf_append(out, &leftover, sizeof leftover);
    }
    handle_done(statement);
    return err;
}

enum err leftovers_need(struct mirror_sync *sync)
{
    struct reading reading;
    struct buf uids;
    uint32_t above = sync->uid_next > sync->floor ? sync->uid_next : sync->floor;
    if (sync->leftovers.loaded)
        return OK;
    enum err err = reading_begin(sync->mirror, sync->call, &reading);
    if (err)
        return err;
    buf_init(&uids, SIZE_MAX / 4);
    err = uids_read(sync, &reading, 0, sync->floor ? sync->floor - 1 : 0, &uids);
    if (!err)
        err = uids_read(sync, &reading, above, UINT32_MAX, &uids);
    reading_end(&reading);
    sync->leftovers.count = (uint32_t)(uids.length / sizeof(struct leftover));
    sync->leftovers.items = (struct leftover *)(void *)buf_detach(&uids);
    sync->leftovers.loaded = !err;
    return err;
}

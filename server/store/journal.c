/* journal.c - what changed, in order: every row of it is one step of the account's state. */
#include "inside.h"

enum err journal_add(struct writing *writing, const struct journal_entry *entry)
{
    return handle_do(writing->db, &writing->call->fault, SQL_JOURNAL_ADD,
                     VALUES(V_INT(++writing->change), V_INT(writing->at_s), V_INT(entry->kind),
                            V_INT(entry->folder), V_INT(entry->uid),
                            V_BLOB(entry->id, entry->id_bytes), V_INT(entry->fields)));
}

enum err journal_prune(struct writing *writing, int64_t before_s, int64_t rows_max, int64_t *pruned)
{
    struct fault *fault = &writing->call->fault;
    int64_t cut;
    *pruned = 0;
    enum err err =
        handle_number(writing->db, fault, SQL_JOURNAL_CUT,
                      VALUES(V_INT(before_s), V_INT(rows_max), V_INT(JOURNAL_PRUNE_ROWS)), 0, &cut);
    if (err || cut <= 0)
        return err;
    err = handle_do(writing->db, fault, SQL_JOURNAL_PRUNE,
                    VALUES(V_INT(cut), V_INT(JOURNAL_PRUNE_ROWS)));
    *pruned = sqlite3_changes64(writing->db->sqlite);
    if (err || *pruned == 0)
        return err;
    return handle_do(writing->db, fault, SQL_JOURNAL_FLOOR, VALUES(V_INT(cut)));
}

static enum err touched_read(struct reading *reading, const struct value *values, uint32_t most,
                             uint32_t *uids, uint32_t *count)
{
    struct fault *fault = &reading->call->fault;
    bool found = true;
    sqlite3_stmt *s = handle_query(reading->db, fault, SQL_JOURNAL_TOUCHED, values);
    if (!s)
        return fault->code;
    enum err err = handle_step(reading->db, fault, s, &found);
    while (!err && found && *count <= most) {
        uids[(*count)++] = (uint32_t)sqlite3_column_int64(s, 0);
        err = handle_step(reading->db, fault, s, &found);
    }
    handle_done(s);
    return err;
}

enum err mirror_touched(struct mirror *mirror, struct call *call, int64_t folder, uint64_t since,
                        uint32_t from, uint32_t most, uint32_t **uids, uint32_t *count, bool *all)
{
    struct reading reading;
    int64_t reach = 0;
    *count = 0;
    *all = false;
    *uids = arena_array(call->arena, uint32_t, (size_t)most + 1);
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    err = handle_number(reading.db, &call->fault, SQL_JOURNAL_REACH, NULL, 0, &reach);
    if (!err && since >= (uint64_t)reach) {
        err = touched_read(&reading,
                           VALUES(V_INT(since), V_INT(folder), V_INT(from), V_INT(JOURNAL_PREVIEW),
                                  V_INT((int64_t)most + 1)),
                           most, *uids, count);
        *all = !err && *count <= most;
    }
    reading_end(&reading);
    return err;
}

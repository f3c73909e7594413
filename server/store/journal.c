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

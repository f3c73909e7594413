/* rows.c - one stored message as callers see it: its list row, its whole record, its previews. */
#include "inside.h"
#include "pack.h"

#include <string.h>

static const char *text_or(sqlite3_stmt *statement, int column, const char *absent)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text ? text : absent;
}

/* A record that does not read is a broken file: nothing else writes records. */
static enum err record_fault(struct handle *db, struct call *call)
{
    atomic_store(db->damaged, true);
    return fault_set(&call->fault, ERR_STORE, "the mirror holds a record that cannot be read");
}

enum err facts_load(struct handle *db, struct call *call, int64_t key, struct message *out,
                    bool *lacks_preview)
{
    bool found = false, good = false;
    sqlite3_stmt *statement = handle_query(db, &call->fault, SQL_FACTS, VALUES(V_INT(key)));
    if (!statement)
        return call->fault.code;
    enum err err = handle_step(db, &call->fault, statement, &found);
    if (found) {
        const void *blob = sqlite3_column_blob(statement, 0);
        good = unpack_message(call->arena, blob, (size_t)sqlite3_column_bytes(statement, 0), out);
        *lacks_preview = sqlite3_column_int(statement, 1);
    }
    handle_done(statement);
    if (err || !found)
        return err ? err : ERR_GONE;
    return good ? OK : record_fault(db, call);
}

/* The row was rendered by another version of the program: rendered anew here, and for good by
 * store_tidy. */
static enum err render_again(struct mirror *mirror, struct handle *db, struct call *call,
                             int64_t key, struct message_row *row)
{
    struct message message = {.uid = row->uid, .flags = row->flags};
    struct buf json;
    bool ignored;
    enum err err = facts_load(db, call, key, &message, &ignored);
    if (err)
        return err;
    buf_init(&json, SIZE_MAX / 4);
    mirror->store->render(row->id, &message, &json);
    row->json = arena_strndup(call->arena, json.data ? json.data : "", json.length);
    row->json_length = json.length;
    buf_clear(&json);
    return OK;
}

enum err row_read(struct mirror *mirror, struct handle *db, struct call *call,
                  sqlite3_stmt *statement, struct message_row *out)
{
    int64_t key = sqlite3_column_int64(statement, 0);
    const void *id = sqlite3_column_blob(statement, 1);
    if (!id || sqlite3_column_bytes(statement, 1) != ID_RAW_BYTES)
        return record_fault(db, call);
    *out = (struct message_row){
        .folder = key >> 32,
        .uid = (uint32_t)key,
        .flags = (uint32_t)sqlite3_column_int(statement, 2),
        .keywords_json = text_or(statement, 3, "[]"),
        .received_s = sqlite3_column_int64(statement, 4),
        .size = (uint64_t)sqlite3_column_int64(statement, 5),
        .change = (uint64_t)sqlite3_column_int64(statement, 6),
        .preview = text_or(statement, 7, NULL),
    };
    id_text(id, out->id);
    if (sqlite3_column_int(statement, 8) != STORE_RENDER_VERSION)
        return render_again(mirror, db, call, key, out);
    out->json = text_or(statement, 9, "");
    out->json_length = (size_t)sqlite3_column_bytes(statement, 9);
    return OK;
}

static void row_keep(struct call *call, struct message_row *row)
{
    row->keywords_json = arena_strdup(call->arena, row->keywords_json);
    row->preview = arena_strdup(call->arena, row->preview);
    row->json = arena_strndup(call->arena, row->json, row->json_length);
}

/* Sizes that were learned after the structure was. */
static enum err sizes_merge(struct reading *reading, int64_t key, struct message *full)
{
    struct call *call = reading->call;
    struct part *parts = arena_array(call->arena, struct part, full->part_count);
    bool found;
    if (full->part_count == 0)
        return OK;
    memcpy(parts, full->parts, full->part_count * sizeof *parts);
    full->parts = parts;
    sqlite3_stmt *statement =
        handle_query(reading->db, &call->fault, SQL_PART_SIZES, VALUES(V_INT(key)));
    if (!statement)
        return call->fault.code;
    enum err err;
    while (!(err = handle_step(reading->db, &call->fault, statement, &found)) && found) {
        int32_t at = parts_find(parts, full->part_count, text_or(statement, 0, ""));
        if (at >= 0)
            parts[at].size = sqlite3_column_int64(statement, 1);
    }
    handle_done(statement);
    return err;
}

static enum err message_load(struct reading *reading, int64_t key, struct message_row *row,
                             struct message *full)
{
    struct call *call = reading->call;
    bool found = false, ignored;
    uint64_t modseq = 0;
    sqlite3_stmt *statement =
        handle_query(reading->db, &call->fault, SQL_MESSAGE_ROW, VALUES(V_INT(key)));
    if (!statement)
        return call->fault.code;
    enum err err = handle_step(reading->db, &call->fault, statement, &found);
    if (found)
        err = row_read(reading->mirror, reading->db, call, statement, row);
    if (found && !err) {
        row_keep(call, row);
        modseq = (uint64_t)sqlite3_column_int64(statement, 10);
    }
    handle_done(statement);
    if (err || !found)
        return err ? err : ERR_GONE;
    if (!full)
        return OK;
    *full = (struct message){.uid = row->uid, .flags = row->flags, .modseq = modseq};
    err = facts_load(reading->db, call, key, full, &ignored);
    if (!err && !unpack_keywords(call->arena, row->keywords_json, &full->keywords))
        err = record_fault(reading->db, call);
    return err ? err : sizes_merge(reading, key, full);
}

enum err mirror_message(struct mirror *mirror, struct call *call, int64_t folder, uint32_t uid,
                        struct message_row *row, struct message *full)
{
    struct reading reading;
    struct message_row unasked;
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    err = message_load(&reading, message_key(folder, uid), row ? row : &unasked, full);
    reading_end(&reading);
    return err == ERR_GONE ? fault_set(&call->fault, err, "the message is gone") : err;
}

/* previews.c - what is learned of a message after its record: previews, and exact part sizes. */
#include "inside.h"

#include <string.h>

static void source_fill(const struct message *message, struct preview_source *out)
{
    static const char *const types[] = {"text/plain", "text/html"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        int32_t at = parts_find_text(message->parts, message->part_count, types[i]);
        if (at < 0)
            continue;
        const struct part *part = &message->parts[at];
        out->part = part->id;
        out->type = part->type;
        out->charset = part->charset;
        out->encoding = part->encoding;
        return;
    }
}

enum err mirror_missing_previews(struct mirror *mirror, struct call *call, int64_t folder,
                                 const uint32_t *uids, uint32_t count, struct preview_source **out,
                                 uint32_t *out_count)
{
    struct reading reading;
    *out_count = 0;
    *out = arena_array(call->arena, struct preview_source, count);
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    for (uint32_t i = 0; !err && i < count; i++) {
        struct message message = {.uid = uids[i]};
        bool lacks = false;
        err = facts_load(reading.db, call, message_key(folder, uids[i]), &message, &lacks);
        if (!err && lacks) {
            struct preview_source *source = &(*out)[(*out_count)++];
            source->uid = uids[i];
            source_fill(&message, source);
        }
        if (err == ERR_GONE)
            err = OK;
    }
    reading_end(&reading);
    return err;
}

static enum err preview_put(struct writing *writing, int64_t key, const char *preview)
{
    struct handle *db = writing->db;
    struct fault *fault = &writing->call->fault;
    uint8_t id[ID_RAW_BYTES] = {0};
    bool found = false;
    enum err err = handle_do(db, fault, SQL_PREVIEW_SET, VALUES(V_INT(key), V_TEXT(preview)));
    if (err || sqlite3_changes(db->sqlite) == 0)
        return err;
    sqlite3_stmt *s = handle_query(db, fault, SQL_MESSAGE_STATE, VALUES(V_INT(key)));
    err = s ? handle_step(db, fault, s, &found) : fault->code;
    if (found && sqlite3_column_bytes(s, 2) == ID_RAW_BYTES)
        memcpy(id, sqlite3_column_blob(s, 2), ID_RAW_BYTES);
    handle_done(s);
    if (!err)
        err = journal_add(writing, &(struct journal_entry){.kind = JOURNAL_UPDATED,
                                                           .folder = key >> 32,
                                                           .uid = (uint32_t)key,
                                                           .fields = JOURNAL_PREVIEW,
                                                           .id = id,
                                                           .id_bytes = sizeof id});
    if (err)
        return err;
    return handle_do(db, fault, SQL_MESSAGE_TOUCH, VALUES(V_INT(key), V_INT(writing->change)));
}

enum err mirror_put_previews(struct mirror *mirror, struct call *call, int64_t folder,
                             const uint32_t *uids, const char *const *previews, uint32_t count)
{
    struct writing writing;
    enum err err = writing_begin(mirror, call, &writing);
    if (err)
        return err;
    for (uint32_t i = 0; !err && i < count; i++)
        if (previews[i])
            err = preview_put(&writing, message_key(folder, uids[i]), previews[i]);
    if (!err && writing.change != writing.change_begun)
        err = handle_do(writing.db, &call->fault, SQL_FOLDER_COUNT,
                        VALUES(V_INT(folder), V_INT(0), V_INT(0), V_INT(writing.change)));
    return writing_end(&writing, err);
}

enum err mirror_put_part_size(struct mirror *mirror, struct call *call, int64_t folder,
                              uint32_t uid, const char *part, uint64_t size)
{
    struct writing writing;
    if (size > INT64_MAX)
        return fault_set(&call->fault, ERR_INVALID, "no part is that large");
    enum err err = writing_begin(mirror, call, &writing);
    if (err)
        return err;
    err = handle_do(writing.db, &call->fault, SQL_PART_SIZE_SET,
                    VALUES(V_INT(message_key(folder, uid)), V_TEXT(part), V_INT(size)));
    return writing_end(&writing, err);
}

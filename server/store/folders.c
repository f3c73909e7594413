/* folders.c - the folders of an account: read, found, sorted. What a listing changes is in
 * listing.c. */
#include "inside.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

static const char *column_text(struct call *call, sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return arena_strdup(call->arena, text ? text : "");
}

static void column_copy(sqlite3_stmt *statement, int column, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    snprintf(out, size, "%s", text ? text : "");
}

static void folder_read(struct call *call, sqlite3_stmt *s, struct folder_row *out,
                        struct folder_inner *inner)
{
    /* clang-format off */
    *out = (struct folder_row){
        .number = sqlite3_column_int64(s, 0),
        .listing = {
            .remote = column_text(call, s, 3),
            .path = column_text(call, s, 4),
            .role = (enum folder_role)sqlite3_column_int(s, 5),
            .role_source = (enum role_source)sqlite3_column_int(s, 6),
            .subscribed = sqlite3_column_int(s, 7),
            .selectable = sqlite3_column_int(s, 8),
            .has_status = sqlite3_column_int(s, 9),
            .messages = (uint32_t)sqlite3_column_int64(s, 10),
            .unseen = (uint32_t)sqlite3_column_int64(s, 11),
            .uid_next = (uint32_t)sqlite3_column_int64(s, 12),
            .uid_validity = (uint32_t)sqlite3_column_int64(s, 13),
            .modseq = (uint64_t)sqlite3_column_int64(s, 14),
            .size = sqlite3_column_int64(s, 15),
        },
        .generation = (uint64_t)sqlite3_column_int64(s, 16),
        .validity = (uint32_t)sqlite3_column_int64(s, 17),
        .uid_next = (uint32_t)sqlite3_column_int64(s, 18),
        .exists = (uint32_t)sqlite3_column_int64(s, 19),
        .floor = (uint32_t)sqlite3_column_int64(s, 20),
        .modseq = (uint64_t)sqlite3_column_int64(s, 21),
        .mirrored = (uint32_t)sqlite3_column_int64(s, 22),
        .unread = (uint32_t)sqlite3_column_int64(s, 23),
        .change = (uint64_t)sqlite3_column_int64(s, 24),
        .synced_ms = sqlite3_column_int64(s, 25),
    };
    /* clang-format on */
    column_copy(s, 1, out->id, sizeof out->id);
    column_copy(s, 2, out->parent_id, sizeof out->parent_id);
    if (out->listing.role >= ROLE_COUNT)
        out->listing.role = ROLE_NONE;
    out->complete = out->validity != 0 && out->floor <= 1;
    if (inner)
        *inner = (struct folder_inner){
            .tag = (uint64_t)sqlite3_column_int64(s, 26),
            .row_validity = (uint32_t)sqlite3_column_int64(s, 27),
        };
}

enum err folder_load(struct handle *db, struct call *call, enum sql which,
                     const struct value *values, struct folder_row *out, struct folder_inner *inner)
{
    bool found = false;
    sqlite3_stmt *statement = handle_query(db, &call->fault, which, values);
    if (!statement)
        return call->fault.code;
    enum err err = handle_step(db, &call->fault, statement, &found);
    if (found)
        folder_read(call, statement, out, inner);
    handle_done(statement);
    return err ? err : found ? OK : ERR_NOT_FOUND;
}

/* Inbox, then roles in their order, then those without one, by path; remote names are unique. */
static int by_place(const void *a, const void *b)
{
    const struct folder_listing *x = &((const struct folder_row *)a)->listing;
    const struct folder_listing *y = &((const struct folder_row *)b)->listing;
    unsigned x_role = x->role ? x->role : ROLE_COUNT, y_role = y->role ? y->role : ROLE_COUNT;
    if (x_role != y_role)
        return x_role < y_role ? -1 : 1;
    int order = text_casecmp(x->path, y->path);
    if (order == 0)
        order = strcmp(x->path, y->path);
    return order ? order : strcmp(x->remote, y->remote);
}

enum err folders_load(struct handle *db, struct call *call, struct folder_row **out,
                      uint32_t *count)
{
    struct buf rows; /* an arena would keep each smaller array */
    bool found = true;
    buf_init(&rows, SIZE_MAX / 4);
    sqlite3_stmt *statement = handle_query(db, &call->fault, SQL_FOLDERS, NULL);
    if (!statement)
        return call->fault.code;
    enum err err;
    while (!(err = handle_step(db, &call->fault, statement, &found)) && found) {
        struct folder_row row;
        folder_read(call, statement, &row, NULL);
        buf_append(&rows, &row, sizeof row);
    }
    handle_done(statement);
    *count = (uint32_t)(rows.length / sizeof **out);
    *out = arena_array(call->arena, struct folder_row, *count);
    if (rows.length)
        memcpy(*out, rows.data, rows.length);
    buf_clear(&rows);
    qsort(*out, *count, sizeof **out, by_place);
    return err;
}

enum err mirror_folders(struct mirror *mirror, struct call *call, struct folder_row **out,
                        uint32_t *count, int64_t *listed_ms)
{
    struct reading reading;
    int64_t listed = 0;
    *out = NULL;
    *count = 0;
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    err = handle_number(reading.db, &call->fault, SQL_LISTED, NULL, 0, &listed);
    if (!err)
        err = folders_load(reading.db, call, out, count);
    reading_end(&reading);
    for (uint32_t i = 0; !err && i < *count; i++)
        looked_show(mirror, &(*out)[i]);
    if (listed_ms)
        *listed_ms = listed;
    return err;
}

static enum err find_by_key(struct reading *reading, const char *key, struct folder_row *out)
{
    static const char by_path[] = "path:";
    enum folder_role role = folder_role_parse(key);
    enum sql which = SQL_FOLDER_BY_ID;
    struct value value = V_TEXT(key);
    if (strncmp(key, by_path, strlen(by_path)) == 0) {
        const char *path = key + strlen(by_path);
        which = text_casecmp(path, "INBOX") == 0 ? SQL_FOLDER_INBOX : SQL_FOLDER_BY_PATH;
        value = which == SQL_FOLDER_INBOX ? (struct value){.kind = VALUE_END} : V_TEXT(path);
    } else if (role != ROLE_NONE) {
        which = SQL_FOLDER_BY_ROLE;
        value = V_INT(role);
    }
    return folder_load(reading->db, reading->call, which, VALUES(value), out, NULL);
}

enum err mirror_find_folder(struct mirror *mirror, struct call *call, const char *key,
                            struct folder_row *out)
{
    struct reading reading;
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    err = find_by_key(&reading, key, out);
    reading_end(&reading);
    if (!err)
        looked_show(mirror, out);
    return err == ERR_NOT_FOUND ? fault_set(&call->fault, err, "no folder \"%.100s\"", key) : err;
}

enum err mirror_folder(struct mirror *mirror, struct call *call, int64_t number,
                       struct folder_row *out)
{
    struct reading reading;
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    err = folder_load(reading.db, call, SQL_FOLDER, VALUES(V_INT(number)), out, NULL);
    reading_end(&reading);
    if (!err)
        looked_show(mirror, out);
    return err == ERR_NOT_FOUND ? fault_set(&call->fault, err, "the folder is gone") : err;
}

enum err mirror_totals(struct mirror *mirror, struct call *call, struct mirror_totals *out)
{
    struct reading reading;
    bool found = false;
    *out = (struct mirror_totals){0};
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    sqlite3_stmt *s = handle_query(reading.db, &call->fault, SQL_TOTALS, NULL);
    err = s ? handle_step(reading.db, &call->fault, s, &found) : call->fault.code;
    if (found)
        *out = (struct mirror_totals){
            .folders = (uint32_t)sqlite3_column_int64(s, 0),
            .messages = (uint64_t)sqlite3_column_int64(s, 1),
            .complete = sqlite3_column_int(s, 2),
            .change = (uint64_t)sqlite3_column_int64(s, 3),
        };
    handle_done(s);
    reading_end(&reading);
    return err;
}

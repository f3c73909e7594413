/* handle.c - see handle.h. */
#include "handle.h"
#include "arena.h"

#include <stdlib.h>
#include <unistd.h>

#define BUSY_MS                                                                                    \
    10000 /* only a checkpoint or a recovery can hold us up: one process, one writer               \
           */

enum err handle_fault(struct handle *handle, struct fault *fault, int code)
{
    int primary = code & 0xff;
    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB)
        atomic_store(handle->damaged, true);
    if (primary == SQLITE_FULL)
        return fault_set(fault, ERR_OVER_QUOTA, "the service has no room left for the mirror");
    const char *text = handle->sqlite ? sqlite3_errmsg(handle->sqlite) : sqlite3_errstr(code);
    return fault_set(fault, ERR_STORE, "the mirror's database: %s", text);
}

enum err handle_script(struct handle *handle, struct fault *fault, const char *text)
{
    int code = sqlite3_exec(handle->sqlite, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : handle_fault(handle, fault, code);
}

/* Small caches: the file stays in the kernel's. No mmap, because a file that is cut short while it
 * is mapped would end the process. */
static const char *const settings[] = {
    [HANDLE_WRITES] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                      "PRAGMA max_page_count=1048576;" /* of 4 KiB: MIRROR_MOST_BYTES */
                      "PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;"
                      "PRAGMA journal_size_limit=4194304; PRAGMA cell_size_check=ON;",
    [HANDLE_READS] = "PRAGMA query_only=ON; PRAGMA cache_size=-512; PRAGMA temp_store=MEMORY;"
                     "PRAGMA cell_size_check=ON;",
};

enum err handle_open(const char *path, enum handle_use use, atomic_bool *damaged,
                     struct fault *fault, struct handle **out)
{
    struct handle *handle = xalloc(sizeof *handle);
    handle->damaged = damaged;
    int code = sqlite3_open_v2(path ? path : ":memory:", &handle->sqlite,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    enum err err = OK;
    if (code != SQLITE_OK) {
        /* Somebody took the file away under us: what it held is lost, begin anew. */
        if (path && access(path, F_OK) != 0)
            atomic_store(damaged, true);
        err = handle_fault(handle, fault, code);
    } else {
        sqlite3_extended_result_codes(handle->sqlite, 1);
        sqlite3_busy_timeout(handle->sqlite, BUSY_MS);
        sqlite3_db_config(handle->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(handle->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        err = handle_script(handle, fault, settings[use]);
    }
    if (err)
        handle_close(&handle);
    *out = handle;
    return err;
}

void handle_close(struct handle **handle)
{
    if (!*handle)
        return;
    for (unsigned i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize((*handle)->prepared[i]);
    sqlite3_close((*handle)->sqlite);
    free(*handle);
    *handle = NULL;
}

static int bind_one(sqlite3_stmt *statement, int at, const struct value *value)
{
    switch (value->kind) {
    case VALUE_TEXT: return sqlite3_bind_text(statement, at, value->data, -1, SQLITE_STATIC);
    case VALUE_BLOB:
        return sqlite3_bind_blob64(statement, at, value->data, (sqlite3_uint64)value->number,
                                   SQLITE_STATIC);
    case VALUE_INT:
    case VALUE_END: break;
    }
    return sqlite3_bind_int64(statement, at, value->number);
}

sqlite3_stmt *handle_query(struct handle *handle, struct fault *fault, enum sql which,
                           const struct value *values)
{
    sqlite3_stmt **statement = &handle->prepared[which];
    int code = SQLITE_OK;
    if (!*statement)
        code = sqlite3_prepare_v3(handle->sqlite, sql_texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                  statement, NULL);
    /* Our own statements fit our own schema: one that does not compile met another. */
    if (code == SQLITE_ERROR)
        atomic_store(handle->damaged, true);
    for (int i = 0; code == SQLITE_OK && values && values[i].kind != VALUE_END; i++)
        code = bind_one(*statement, i + 1, &values[i]);
    if (code == SQLITE_OK)
        return *statement;
    handle_fault(handle, fault, code);
    return NULL;
}

enum err handle_step(struct handle *handle, struct fault *fault, sqlite3_stmt *statement, bool *row)
{
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? OK : handle_fault(handle, fault, code);
}

void handle_done(sqlite3_stmt *statement)
{
    if (!statement)
        return;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

enum err handle_number(struct handle *handle, struct fault *fault, enum sql which,
                       const struct value *values, int64_t absent, int64_t *out)
{
    bool row = false;
    *out = absent;
    sqlite3_stmt *statement = handle_query(handle, fault, which, values);
    if (!statement)
        return fault->code;
    enum err err = handle_step(handle, fault, statement, &row);
    if (row)
        *out = sqlite3_column_int64(statement, 0);
    handle_done(statement);
    return err;
}

enum err handle_do(struct handle *handle, struct fault *fault, enum sql which,
                   const struct value *values)
{
    bool row;
    sqlite3_stmt *statement = handle_query(handle, fault, which, values);
    if (!statement)
        return fault->code;
    enum err err = handle_step(handle, fault, statement, &row);
    handle_done(statement);
    return err;
}

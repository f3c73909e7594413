/* schema.c - migrations as a table of SQL: step n brings a file of version n to n + 1.
 *
 * A message is split in two. `message` is small: what changes, what lists are ordered by, and the
 * id, so that comparing or changing 100,000 flags touches megabytes, not hundreds of them. `body`
 * holds what is written once. Their key is folder number << 32 | uid.
 *
 * Two beginnings keep a mirror that was begun anew apart from the one before it: folder numbers
 * start at a random one, so that a number remembered from before finds nothing rather than another
 * folder; and the journal starts at the clock, so that its numbers never repeat.
 */
#include "schema.h"
#include "clock.h"
#include "mirror.h"

#include <stdio.h>
#include <string.h>

#define APPLICATION_ID     0x706f7374 /* "post" */
#define NUMBER_RANDOM_MASK 0x3fffff00 /* leaves 2^30 folders before a key would not fit */
#define CHANGES_A_SECOND   1024       /* 2^53 is reached in the year 280,000 */

static const char *const steps[] = {
    [0] = "CREATE TABLE account("
          " one INTEGER PRIMARY KEY CHECK(one = 1), key_check BLOB NOT NULL,"
          " change INTEGER NOT NULL, journal_floor INTEGER NOT NULL,"
          " listed_ms INTEGER NOT NULL DEFAULT 0,"
          " render INTEGER NOT NULL, render_at INTEGER NOT NULL DEFAULT 0);"
          "CREATE TABLE folder("
          " number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
          " tag INTEGER NOT NULL UNIQUE, remote TEXT NOT NULL UNIQUE, path TEXT NOT NULL,"
          " parent_id TEXT NOT NULL DEFAULT '', role INTEGER NOT NULL DEFAULT 0,"
          " role_source INTEGER NOT NULL DEFAULT 0, subscribed INTEGER NOT NULL DEFAULT 0,"
          " selectable INTEGER NOT NULL DEFAULT 0, has_status INTEGER NOT NULL DEFAULT 0,"
          " messages INTEGER NOT NULL DEFAULT 0, unseen INTEGER NOT NULL DEFAULT 0,"
          " status_uid_next INTEGER NOT NULL DEFAULT 0,"
          " status_validity INTEGER NOT NULL DEFAULT 0,"
          " status_modseq INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT -1,"
          " generation INTEGER NOT NULL, validity INTEGER NOT NULL DEFAULT 0,"
          " row_validity INTEGER NOT NULL DEFAULT 0, uid_next INTEGER NOT NULL DEFAULT 0,"
          " known_exists INTEGER NOT NULL DEFAULT 0, floor INTEGER NOT NULL DEFAULT 4294967295,"
          " modseq INTEGER NOT NULL DEFAULT 0, mirrored INTEGER NOT NULL DEFAULT 0,"
          " unread INTEGER NOT NULL DEFAULT 0, change INTEGER NOT NULL DEFAULT 0,"
          " synced_ms INTEGER NOT NULL DEFAULT 0);"
          "CREATE INDEX folder_path ON folder(path);"
          "CREATE INDEX folder_role ON folder(role, role_source, path);"
          "CREATE TABLE message("
          " key INTEGER PRIMARY KEY, folder INTEGER NOT NULL, uid INTEGER NOT NULL,"
          " received_s INTEGER NOT NULL, date_s INTEGER, size INTEGER NOT NULL, flags INTEGER NOT "
          "NULL,"
          " modseq INTEGER NOT NULL, change INTEGER NOT NULL, keywords TEXT NOT NULL,"
          " id BLOB NOT NULL);"
          "CREATE INDEX message_newest ON message(folder, received_s, uid);"
          "CREATE TABLE body("
          " key INTEGER PRIMARY KEY, render INTEGER NOT NULL, preview TEXT,"
          " json TEXT NOT NULL, facts BLOB NOT NULL);"
          "CREATE TABLE part_size("
          " key INTEGER NOT NULL, part TEXT NOT NULL, size INTEGER NOT NULL,"
          " PRIMARY KEY(key, part)) WITHOUT ROWID;"
          /* Messages that kept their id when they moved: their id does not lead to their place. */
          "CREATE TABLE alias(id BLOB PRIMARY KEY, key INTEGER NOT NULL) WITHOUT ROWID;"
          "CREATE INDEX alias_key ON alias(key);"
          "CREATE TABLE journal("
          " seq INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, kind INTEGER NOT NULL,"
          " folder INTEGER NOT NULL, uid INTEGER NOT NULL, id BLOB NOT NULL,"
          " fields INTEGER NOT NULL);",
};
#define SCHEMA_VERSION ((int)(sizeof steps / sizeof *steps))

static enum err pragma_read(struct handle *handle, struct fault *fault, const char *text, int *out)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(handle->sqlite, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    *out = code == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? OK : handle_fault(handle, fault, code);
}

static void key_check(const struct crypto_key *key, uint8_t out[CRYPTO_HASH_BYTES])
{
    static const char words[] = "the key this mirror's ids were made with";
    crypto_hmac(key, words, sizeof words - 1, out);
}

/* A statement that is run once in a file's life, with its values. */
static enum err run_once(struct handle *handle, struct fault *fault, const char *text,
                         const void *blob, int blob_bytes, int64_t number, int64_t other)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(handle->sqlite, text, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_blob(statement, 1, blob, blob_bytes, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, number);
        sqlite3_bind_int64(statement, 3, other);
        code = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? OK : handle_fault(handle, fault, code);
}

static enum err fill(struct handle *handle, struct fault *fault, const struct crypto_key *key)
{
    uint8_t check[CRYPTO_HASH_BYTES];
    uint32_t number;
    key_check(key, check);
    crypto_random(&number, sizeof number);
    enum err err =
        run_once(handle, fault,
                 "INSERT INTO account(one, key_check, change, journal_floor, render) "
                 "VALUES(1, ?1, ?2, ?2, ?3)",
                 check, sizeof check, clock_unix_s() * CHANGES_A_SECOND, STORE_RENDER_VERSION);
    if (err)
        return err;
    return run_once(handle, fault,
                    "INSERT INTO sqlite_sequence(name, seq) SELECT 'folder', ?2 WHERE ?1 OR 1", "",
                    0, number & NUMBER_RANDOM_MASK, 0);
}

static enum err migrate(struct handle *handle, struct fault *fault, const struct crypto_key *key,
                        int from)
{
    enum err err = handle_script(handle, fault, "BEGIN IMMEDIATE");
    for (int i = from; !err && i < SCHEMA_VERSION; i++)
        err = handle_script(handle, fault, steps[i]);
    if (!err && from == 0)
        err = fill(handle, fault, key);
    char marks[96];
    snprintf(marks, sizeof marks, "PRAGMA user_version=%d; PRAGMA application_id=%d; COMMIT",
             SCHEMA_VERSION, APPLICATION_ID);
    if (!err)
        err = handle_script(handle, fault, marks);
    if (err && handle->sqlite && !sqlite3_get_autocommit(handle->sqlite))
        sqlite3_exec(handle->sqlite, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

/* Ids in a file that was made under another key would lead nowhere. */
static enum err compare_key(struct handle *handle, struct fault *fault,
                            const struct crypto_key *key, bool *same)
{
    sqlite3_stmt *statement = NULL;
    uint8_t check[CRYPTO_HASH_BYTES];
    key_check(key, check);
    *same = false;
    int code =
        sqlite3_prepare_v2(handle->sqlite, "SELECT key_check FROM account", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *same = sqlite3_column_bytes(statement, 0) == sizeof check &&
                memcmp(sqlite3_column_blob(statement, 0), check, sizeof check) == 0;
    sqlite3_finalize(statement);
    /* No such table, or no row: not a mirror, whatever its numbers say. */
    return code == SQLITE_ROW || code == SQLITE_DONE || code == SQLITE_ERROR
               ? OK
               : handle_fault(handle, fault, code);
}

enum err schema_prepare(struct handle *handle, struct fault *fault, const struct crypto_key *key,
                        enum schema_state *state, int *version)
{
    int application = 0, tables = 0;
    bool same = true;
    *state = SCHEMA_DAMAGED;
    enum err err = pragma_read(handle, fault, "PRAGMA user_version", version);
    if (!err)
        err = pragma_read(handle, fault, "PRAGMA application_id", &application);
    if (!err)
        err = pragma_read(handle, fault, "SELECT count(*) FROM sqlite_master", &tables);
    if (err)
        return err;
    bool empty = *version == 0 && application == 0 && tables == 0;
    if (!empty && application != APPLICATION_ID)
        return OK;
    if (*version > SCHEMA_VERSION) {
        *state = SCHEMA_NEWER;
        return OK;
    }
    if (!empty && *version < 1)
        return OK;
    if (*version < SCHEMA_VERSION)
        err = migrate(handle, fault, key, *version);
    if (!err)
        err = compare_key(handle, fault, key, &same);
    if (!err && same)
        *state = SCHEMA_READY;
    return err;
}

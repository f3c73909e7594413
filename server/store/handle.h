/* handle.h - one SQLite connection with its prepared statements, and SQL without ladders.
 *
 * A handle is used by one thread at a time (SQLite runs without its own mutexes). Statements are
 * prepared when first used and kept. What damages the file is noticed here, whichever statement
 * meets it, and marked for whoever opens the file next.
 */
#ifndef POSTERN_HANDLE_H
#define POSTERN_HANDLE_H

#include "err.h"
#include "sql.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handle {
    sqlite3 *sqlite;
    sqlite3_stmt *prepared[SQL_COUNT];
    atomic_bool *damaged; /* borrowed: set when SQLite says the file is none, or broken */
    int64_t used_ms;      /* monotonic, when last given back */
    struct handle *next;
};

struct value {
    enum { VALUE_END, VALUE_INT, VALUE_TEXT, VALUE_BLOB } kind;
    int64_t number; /* of a blob: its bytes */
    const void *data;
};

/* clang-format off */
#define V_INT(x)     ((struct value){.kind = VALUE_INT, .number = (int64_t)(x)})
#define V_TEXT(x)    ((struct value){.kind = VALUE_TEXT, .data = (x)}) /* NULL is SQL's NULL */
#define V_BLOB(x, n) ((struct value){.kind = VALUE_BLOB, .data = (x), .number = (int64_t)(n)})
#define VALUES(...)  ((const struct value[]){__VA_ARGS__, {.kind = VALUE_END}})
/* clang-format on */

enum handle_use { HANDLE_WRITES, HANDLE_READS };

/* path NULL: a database in memory, which dies with the handle. ERR_STORE. */
enum err handle_open(const char *path, enum handle_use use, atomic_bool *damaged,
                     struct fault *fault, struct handle **out);
void handle_close(struct handle **handle);

/* Runs a statement that gives no rows. values may be NULL; texts are used until it returns. */
enum err handle_do(struct handle *handle, struct fault *fault, enum sql which,
                   const struct value *values);
/* A bound statement for handle_step; texts must live until handle_done. NULL: fault is set. */
sqlite3_stmt *handle_query(struct handle *handle, struct fault *fault, enum sql which,
                           const struct value *values);
enum err handle_step(struct handle *handle, struct fault *fault, sqlite3_stmt *statement,
                     bool *row);
void handle_done(sqlite3_stmt *statement); /* NULL is fine */
/* The first column of the only row, `absent` when there is none. */
enum err handle_number(struct handle *handle, struct fault *fault, enum sql which,
                       const struct value *values, int64_t absent, int64_t *out);
/* Statements that need not be kept: schema, pragmas. */
enum err handle_script(struct handle *handle, struct fault *fault, const char *text);
/* What SQLite said last as our fault; marks damage. */
enum err handle_fault(struct handle *handle, struct fault *fault, int code);

#endif

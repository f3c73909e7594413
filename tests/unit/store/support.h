/* support.h - a store in a directory of its own for each test, and mail to put in it. */
#ifndef STORE_SUPPORT_H
#define STORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "inside.h"
#include "clock.h"
#include "log.h"
#include "pack.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct desk {
    char directory[64];
    bool memory;
    struct store *store;
    struct mirror *mirror;
    char account[ACCOUNT_ID_BYTES];
    struct arena arena;
    struct call call;
    int64_t inbox, archive; /* folder numbers */
};

static const bool on_disk = false, in_memory = true;

/* What the api layer would make: enough to see which message, and that the id is the row's. */
static inline void desk_render(const char *id, const struct message *message, struct buf *out)
{
    buf_printf(out, "\"id\":\"%s\",\"subject\":", id);
    const char *subject = message->envelope.subject ? message->envelope.subject : "";
    buf_json_string(out, subject, strlen(subject));
}

static inline void desk_open_store(struct desk *desk)
{
    struct fault fault = {0};
    struct store_options options = {
        .data_dir = desk->directory, .memory = desk->memory, .render = desk_render};
    if (store_open(&options, &fault, &desk->store) != OK)
        fail_msg("%s", fault.detail);
}

static inline void desk_take(struct desk *desk)
{
    struct fault fault = {0};
    if (mirror_take(desk->store, desk->account, &fault, &desk->mirror) != OK)
        fail_msg("%s", fault.detail);
}

#define must(expression)                                                                           \
    do {                                                                                           \
        fault_clear(&desk->call.fault);                                                            \
        enum err must_err_ = (expression);                                                         \
        if (must_err_)                                                                             \
            fail_msg("%s: %s: %s", #expression, err_name(must_err_), desk->call.fault.detail);     \
    } while (0)
#define must_fail(expression, expected)                                                            \
    do {                                                                                           \
        fault_clear(&desk->call.fault);                                                            \
        assert_int_equal(expression, expected);                                                    \
        assert_int_equal(desk->call.fault.code, expected);                                         \
    } while (0)

static inline int64_t desk_folder(struct desk *desk, const char *key)
{
    struct folder_row row;
    must(mirror_find_folder(desk->mirror, &desk->call, key, &row));
    return row.number;
}

static inline struct folder_row desk_row(struct desk *desk, int64_t folder)
{
    struct folder_row row;
    must(mirror_folder(desk->mirror, &desk->call, folder, &row));
    return row;
}

static const struct folder_listing desk_listing[] = {
    {.remote = "INBOX", .path = "INBOX", .role = ROLE_INBOX, .selectable = true, .size = -1},
    {.remote = "Archive", .path = "Archive", .role = ROLE_ARCHIVE, .selectable = true, .size = -1},
};

static inline void desk_list_folders(struct desk *desk)
{
    must(mirror_put_folders(desk->mirror, &desk->call, desk_listing, 2));
    desk->inbox = desk_folder(desk, "inbox");
    desk->archive = desk_folder(desk, "archive");
}

static inline int desk_setup(void **state)
{
    struct desk *desk = xalloc(sizeof *desk);
    desk->memory = *state && *(const bool *)*state;
    log_set_level(LOG_ERROR);
    snprintf(desk->directory, sizeof desk->directory, "/tmp/postern-store-XXXXXX");
    assert_non_null(mkdtemp(desk->directory));
    arena_init(&desk->arena);
    desk->call = (struct call){.arena = &desk->arena, .deadline_ms = DEADLINE_NONE};
    desk_open_store(desk);
    store_account_id(desk->store, "imap", "mail.example.com", 993, "ada@example.com",
                     desk->account);
    desk_take(desk);
    desk_list_folders(desk);
    *state = desk;
    return 0;
}

static inline void desk_close(struct desk *desk)
{
    mirror_give(&desk->mirror);
    store_close(&desk->store);
}

/* As after a restart of the process. */
static inline void desk_reopen(struct desk *desk)
{
    desk_close(desk);
    desk_open_store(desk);
    desk_take(desk);
}

static inline void directory_remove(const char *path)
{
    DIR *listing = opendir(path);
    struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        char each[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (snprintf(each, sizeof each, "%s/%s", path, entry->d_name) >= (int)sizeof each)
            continue;
        if (unlink(each) != 0)
            directory_remove(each);
    }
    if (listing)
        closedir(listing);
    rmdir(path);
}

static inline int desk_teardown(void **state)
{
    struct desk *desk = *state;
    desk_close(desk);
    arena_clear(&desk->arena);
    directory_remove(desk->directory);
    free(desk);
    return 0;
}

#define ON_DISK(test)                                                                              \
    {                                                                                              \
#test, test, desk_setup, desk_teardown, (void *)(uintptr_t)&on_disk                        \
    }
#define IN_MEMORY(test)                                                                            \
    {                                                                                              \
#test " (memory)", test, desk_setup, desk_teardown, (void *)(uintptr_t)&in_memory          \
    }
#define BOTH(test) ON_DISK(test), IN_MEMORY(test)

/* ---- mail ---- */
static const struct part desk_parts[] = {
    {.id = "", .type = "multipart/mixed", .size = -1, .parent = -1},
    {.id = "1",
     .type = "text/plain",
     .charset = "utf-8",
     .encoding = "7bit",
     .encoded_size = 120,
     .size = 120,
     .parent = 0},
    {.id = "2",
     .type = "application/pdf",
     .name = "report.pdf",
     .disposition = "attachment",
     .encoding = "base64",
     .encoded_size = 136800,
     .size = -1,
     .parent = 0},
};
static const struct address desk_from[] = {{.name = "Ada", .email = "ada@example.com"}};

static inline struct message desk_message(uint32_t uid, int64_t received_s, uint32_t flags,
                                          const char *subject)
{
    return (struct message){
        .uid = uid,
        .flags = flags,
        .received_s = received_s,
        .size = 1000 + uid,
        .envelope = {.subject = subject,
                     .from = {.items = desk_from, .count = 1},
                     .has_date = true,
                     .date_s = received_s - 5,
                     .message_id = "one@example.com"},
        .parts = desk_parts,
        .part_count = 3,
        .has_attachment = true,
    };
}

static inline struct mirror_sync *desk_begin(struct desk *desk, int64_t folder)
{
    struct mirror_sync *sync;
    must(mirror_sync_begin(desk->mirror, &desk->call, folder, &sync));
    return sync;
}

static inline bool desk_commit(struct desk *desk, struct mirror_sync **sync, uint32_t validity,
                               uint32_t uid_next, uint32_t floor)
{
    bool changed = false;
    must(mirror_sync_commit(sync,
                            &(struct mirror_sync_state){.validity = validity,
                                                        .uid_next = uid_next,
                                                        .exists = uid_next - 1,
                                                        .floor = floor,
                                                        .synced = true},
                            &changed));
    return changed;
}

/* Messages 1..count, received a second apart from 1000 on, the even ones seen. */
static inline void desk_fill(struct desk *desk, int64_t folder, uint32_t count)
{
    struct mirror_sync *sync = desk_begin(desk, folder);
    must(mirror_sync_reset(sync, 7));
    for (uint32_t uid = 1; uid <= count; uid++) {
        char subject[32];
        snprintf(subject, sizeof subject, "message %u", uid);
        struct message message = desk_message(uid, 1000 + uid, uid % 2 ? 0 : FLAG_SEEN, subject);
        must(mirror_sync_message(sync, &message));
    }
    desk_commit(desk, &sync, 7, count + 1, 1);
}

static inline struct message_row desk_get(struct desk *desk, int64_t folder, uint32_t uid)
{
    struct message_row row;
    must(mirror_message(desk->mirror, &desk->call, folder, uid, &row, NULL));
    return row;
}

static inline bool desk_has(struct desk *desk, int64_t folder, uint32_t uid)
{
    struct message_row row;
    fault_clear(&desk->call.fault);
    enum err err = mirror_message(desk->mirror, &desk->call, folder, uid, &row, NULL);
    assert_true(err == OK || err == ERR_GONE);
    return err == OK;
}

/* ---- lists ---- */
struct rows {
    struct row_sink sink;
    struct list_place places[2048];
    uint32_t count, stop_at; /* stop_at: 0 for never */
};

static inline enum err rows_take(struct row_sink *sink, const struct message_row *row)
{
    struct rows *rows = (struct rows *)sink;
    char expected[64];
    snprintf(expected, sizeof expected, "\"id\":\"%s\"", row->id);
    assert_int_equal(strncmp(row->json, expected, strlen(expected)), 0);
    assert_int_equal(strlen(row->json), row->json_length);
    assert_true(rows->count < 2048);
    rows->places[rows->count++] =
        (struct list_place){.received_s = row->received_s, .folder = row->folder, .uid = row->uid};
    return rows->count == rows->stop_at ? ERR_CANCELLED : OK;
}

static inline void desk_page(struct desk *desk, const int64_t *folders, uint32_t folder_count,
                             const struct list_place *after, uint32_t limit, struct rows *rows)
{
    struct list_query query = {
        .folders = folders, .folder_count = folder_count, .after = after, .limit = limit};
    rows->sink.row = rows_take;
    must(mirror_list(desk->mirror, &desk->call, &query, &rows->sink));
}

/* ---- beneath ---- */
/* One number out of the mirror's database, by the test's own statement. */
static inline int64_t desk_sql(struct desk *desk, const char *text)
{
    struct writing writing;
    sqlite3_stmt *statement = NULL;
    must(writing_begin(desk->mirror, &desk->call, &writing));
    assert_int_equal(sqlite3_prepare_v2(writing.db->sqlite, text, -1, &statement, NULL), SQLITE_OK);
    int code = sqlite3_step(statement);
    assert_true(code == SQLITE_ROW || code == SQLITE_DONE);
    int64_t number = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    must(writing_commit(&writing));
    return number;
}

static inline uint64_t desk_change(struct desk *desk)
{
    struct mirror_totals totals;
    must(mirror_totals(desk->mirror, &desk->call, &totals));
    return totals.change;
}

/* How many names in the mirrors' directory hold `part`. */
static inline unsigned desk_files(struct desk *desk, const char *part)
{
    char path[128];
    unsigned count = 0;
    struct dirent *entry;
    snprintf(path, sizeof path, "%s/mirrors", desk->directory);
    DIR *listing = opendir(path);
    while (listing && (entry = readdir(listing)))
        count += strstr(entry->d_name, part) != NULL;
    if (listing)
        closedir(listing);
    return count;
}

static inline void desk_path(struct desk *desk, char out[160])
{
    snprintf(out, 160, "%s/mirrors/%s.db", desk->directory, desk->account);
}

#define RUN_TESTS(tests) cmocka_run_group_tests(tests, NULL, NULL)

#endif

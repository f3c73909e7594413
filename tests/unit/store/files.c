/* files.c - mirror files that are damaged, newer, taken away, idle, unused or old. */
#include "support.h"

#define DAY_S (24 * 60 * 60)

static void overwrite(struct desk *desk, const char *suffix, long offset, size_t length)
{
    char path[160], whole[192];
    desk_path(desk, path);
    snprintf(whole, sizeof whole, "%s%s", path, suffix);
    int fd = open(whole, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(pwrite(fd, "\xa5", 1, offset + (long)i), 1);
    close(fd);
}

static bool is_new(struct desk *desk)
{
    struct mirror_totals totals;
    must(mirror_totals(desk->mirror, &desk->call, &totals));
    return totals.folders == 0;
}

static void a_file_that_is_no_database_is_set_aside(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 3);
    desk_close(desk);
    overwrite(desk, "", 0, 4096);
    desk_open_store(desk);
    desk_take(desk);
    assert_true(is_new(desk));
    assert_int_equal(desk_files(desk, ".damaged-"), 1);
    desk_list_folders(desk);
    desk_fill(desk, desk->inbox, 3);
    desk_reopen(desk);
    assert_false(is_new(desk));
    assert_int_equal(desk_files(desk, ".damaged-"), 1);
}

static void another_programs_database_is_set_aside(void **state)
{
    struct desk *desk = *state;
    desk_sql(desk, "PRAGMA application_id=5");
    desk_reopen(desk);
    assert_true(is_new(desk));
    assert_int_equal(desk_files(desk, ".damaged-"), 1);
}

static void a_newer_file_is_kept_whole_under_its_version(void **state)
{
    struct desk *desk = *state;
    char path[160], newer[192];
    desk_fill(desk, desk->inbox, 3);
    desk_sql(desk, "PRAGMA user_version=9");
    desk_reopen(desk);
    assert_true(is_new(desk));
    desk_path(desk, path);
    snprintf(newer, sizeof newer, "%s.newer-9", path);
    sqlite3 *sqlite;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(newer, &sqlite, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_prepare_v2(sqlite, "SELECT count(*) FROM message", -1, &statement, NULL);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 3);
    sqlite3_finalize(statement);
    sqlite3_close(sqlite);
}

static void a_mirror_made_under_another_key_is_set_aside(void **state)
{
    struct desk *desk = *state;
    char path[128];
    desk_fill(desk, desk->inbox, 3);
    desk_close(desk);
    snprintf(path, sizeof path, "%s/key", desk->directory);
    assert_int_equal(unlink(path), 0);
    desk_open_store(desk);
    desk_take(desk);
    assert_true(is_new(desk));
    assert_int_equal(desk_files(desk, ".damaged-"), 1);
}

static void damage_met_on_the_way_is_one_failed_call_and_then_a_new_mirror(void **state)
{
    struct desk *desk = *state;
    struct rows rows = {.sink.row = rows_take};
    char path[160];
    struct stat facts;
    desk_fill(desk, desk->inbox, 500);
    desk_reopen(desk);
    desk_path(desk, path);
    assert_int_equal(stat(path, &facts), 0);
    /* All but the first pages: it opens, and breaks when it is read. */
    overwrite(desk, "", 16 * 4096, (size_t)facts.st_size - 16 * 4096);
    struct list_query query = {.folders = &desk->inbox, .folder_count = 1, .limit = 500};
    must_fail(mirror_list(desk->mirror, &desk->call, &query, &rows.sink), ERR_STORE);
    assert_true(desk->mirror->damaged);
    assert_int_equal(desk_files(desk, ".damaged-"), 0);
    /* Whoever held it goes on, and what he remembers of it finds nothing rather than another. */
    assert_true(is_new(desk));
    assert_int_equal(desk_files(desk, ".damaged-"), 1);
    int64_t before = desk->inbox;
    desk_list_folders(desk);
    assert_int_not_equal(desk->inbox, before);
    must_fail(mirror_folder(desk->mirror, &desk->call, before, &(struct folder_row){0}),
              ERR_NOT_FOUND);
}

static void a_full_disk_is_no_room_and_no_damage(void **state)
{
    struct desk *desk = *state;
    struct mirror_totals totals;
    must(mirror_totals(desk->mirror, &desk->call, &totals));
    sqlite3 *sqlite = desk->mirror->writer->sqlite;
    assert_int_equal(sqlite3_exec(sqlite, "PRAGMA max_page_count=1", NULL, NULL, NULL), SQLITE_OK);
    struct writing writing;
    must(writing_begin(desk->mirror, &desk->call, &writing));
    int code = sqlite3_exec(sqlite, "CREATE TABLE filler AS SELECT zeroblob(1000000) AS z", NULL,
                            NULL, NULL);
    assert_int_equal(code & 0xff, SQLITE_FULL);
    must_fail(handle_fault(writing.db, &desk->call.fault, code), ERR_OVER_QUOTA);
    writing_abort(&writing);
    assert_false(desk->mirror->damaged);
}

static void a_mirror_that_nobody_read_or_wrote_leaves_no_file(void **state)
{
    struct desk *desk = *state;
    struct mirror *mirror;
    unsigned files = desk_files(desk, ".db");
    for (int i = 0; i < 3; i++) {
        char id[ACCOUNT_ID_BYTES];
        snprintf(id, sizeof id, "a_guess%d", i);
        must(mirror_take(desk->store, id, &desk->call.fault, &mirror));
        mirror_give(&mirror);
    }
    assert_int_equal(desk_files(desk, ".db"), files);
    assert_int_equal(HASH_COUNT(desk->store->mirrors), 4);
    store_tidy(desk->store, 60 * 1000, 0);
    assert_int_equal(HASH_COUNT(desk->store->mirrors), 1);
    assert_int_equal(desk_files(desk, ".db"), files);
}

static void a_record_that_does_not_read_counts_as_damage(void **state)
{
    struct desk *desk = *state;
    struct message full;
    desk_fill(desk, desk->inbox, 3);
    desk_sql(desk, "UPDATE body SET facts = x'0102'");
    must_fail(mirror_message(desk->mirror, &desk->call, desk->inbox, 2, NULL, &full), ERR_STORE);
    assert_true(is_new(desk));
    assert_int_equal(desk_files(desk, ".damaged-"), 1);
}

static void files_taken_away_under_us_are_begun_anew(void **state)
{
    struct desk *desk = *state;
    char path[160];
    desk_fill(desk, desk->inbox, 3);
    store_tidy(desk->store, -1, 0);
    desk_path(desk, path);
    files_remove(path);
    struct mirror_totals totals;
    enum err err = mirror_totals(desk->mirror, &desk->call, &totals);
    assert_true(err == ERR_STORE);
    assert_true(is_new(desk));
}

static void the_sequence_never_falls_when_a_mirror_is_begun_anew(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 100);
    uint64_t change = desk_change(desk);
    struct timespec second = {.tv_sec = 1, .tv_nsec = 100000000};
    nanosleep(&second, NULL);
    desk_sql(desk, "PRAGMA application_id=5");
    desk_reopen(desk);
    assert_true(is_new(desk));
    assert_true(desk_change(desk) > change);
}

static void old_files_set_aside_are_bounded_in_number(void **state)
{
    struct desk *desk = *state;
    for (int i = 0; i < 6; i++) {
        desk_sql(desk, i % 2 ? "PRAGMA application_id=5" : "PRAGMA user_version=9");
        desk_reopen(desk);
        assert_true(is_new(desk));
    }
    assert_int_equal(desk_files(desk, ".damaged-") + desk_files(desk, ".newer-"), 3);
}

static unsigned open_files(void)
{
    unsigned count = 0;
    DIR *listing = opendir("/proc/self/fd");
    while (listing && readdir(listing))
        count++;
    closedir(listing);
    return count;
}

static void tidy_closes_idle_handles_and_all_reopens(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 30);
    unsigned before = open_files();
    store_tidy(desk->store, 60000, 0);
    assert_non_null(desk->mirror->writer);
    store_tidy(desk->store, -1, 0);
    assert_null(desk->mirror->writer);
    assert_int_equal(desk->mirror->reader_count, 0);
    assert_true(open_files() < before);
    assert_int_equal(desk_files(desk, "-wal"), 0);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 30);
    assert_int_equal(desk->mirror->reader_count, 1);
    assert_null(desk->mirror->writer);
    desk_fill(desk, desk->inbox, 31);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 31);
}

static void tidy_keeps_what_lives_in_memory(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 30);
    mirror_give(&desk->mirror);
    store_tidy(desk->store, -1, 1);
    desk_take(desk);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 30);
}

static void a_mirror_given_back_leaves_the_table_and_comes_back(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 30);
    mirror_give(&desk->mirror);
    store_tidy(desk->store, 60000, 0);
    assert_int_equal(HASH_COUNT(desk->store->mirrors), 1);
    store_tidy(desk->store, -1, 0);
    assert_int_equal(HASH_COUNT(desk->store->mirrors), 0);
    desk_take(desk);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 30);
}

static void age(struct desk *desk, const char *name, int days)
{
    char path[192];
    struct timespec times[2] = {{.tv_sec = clock_unix_s() - days * (int64_t)DAY_S},
                                {.tv_sec = clock_unix_s() - days * (int64_t)DAY_S}};
    snprintf(path, sizeof path, "%s/mirrors/%s", desk->directory, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    futimens(fd, times);
    close(fd);
}

static void mirrors_unused_for_long_are_removed_and_no_others(void **state)
{
    struct desk *desk = *state;
    char own[64];
    snprintf(own, sizeof own, "%s.db", desk->account);
    age(desk, "a_old.db", 31);
    age(desk, "a_old.db.damaged-5", 31);
    age(desk, "a_older.db", 40);
    age(desk, "a_older.db-wal", 2);
    age(desk, "a_young.db", 29);
    age(desk, "notes.txt", 90);
    store_tidy(desk->store, 60000, 0);
    assert_int_equal(desk_files(desk, "a_old"), 4);
    age(desk, own, 90);
    store_tidy(desk->store, 60000, 30);
    assert_int_equal(desk_files(desk, "a_old.db"), 0);
    assert_int_equal(desk_files(desk, "a_older.db"), 2);
    assert_int_equal(desk_files(desk, "a_young.db"), 1);
    assert_int_equal(desk_files(desk, "notes.txt"), 1);
    assert_true(desk_files(desk, own) >= 1);
}

static void the_journal_is_pruned_by_age_and_by_number(void **state)
{
    struct desk *desk = *state;
    struct writing writing;
    int64_t pruned;
    desk_fill(desk, desk->inbox, 400);
    int64_t rows = desk_sql(desk, "SELECT count(*) FROM journal");
    int64_t floor = desk_sql(desk, "SELECT journal_floor FROM account");
    char text[160];
    snprintf(text, sizeof text,
             "UPDATE journal SET at_s = at_s - 31 * 86400 WHERE seq <= "
             "(SELECT min(seq) FROM journal) + 99");
    desk_sql(desk, text);
    store_tidy(desk->store, 60000, 0);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM journal"), rows - 100);
    assert_true(desk_sql(desk, "SELECT journal_floor FROM account") > floor);
    assert_int_equal(desk_sql(desk, "SELECT (SELECT min(seq) FROM journal) = "
                                    "(SELECT journal_floor FROM account) + 1"),
                     1);
    must(writing_begin(desk->mirror, &desk->call, &writing));
    must(journal_prune(&writing, 0, 50, &pruned));
    must(writing_commit(&writing));
    assert_int_equal(pruned, rows - 150);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM journal"), 50);
    uint64_t change = desk_change(desk);
    must(writing_begin(desk->mirror, &desk->call, &writing));
    must(journal_prune(&writing, writing.at_s + 10, 50, &pruned));
    must(writing_commit(&writing));
    assert_int_equal(pruned, 50);
    assert_true(desk_change(desk) == change);
    desk_fill(desk, desk->inbox, 1);
    assert_true(desk_change(desk) > change);
}

static void what_another_version_rendered_is_rendered_anew(void **state)
{
    struct desk *desk = *state;
    struct rows rows = {0};
    desk_fill(desk, desk->inbox, 1200);
    desk_sql(desk, "UPDATE body SET render = 0, json = 'old'");
    desk_sql(desk, "UPDATE account SET render = 0");
    desk_reopen(desk);
    if (desk->memory) {
        desk_list_folders(desk);
        desk_fill(desk, desk->inbox, 1200);
        desk_sql(desk, "UPDATE body SET render = 0, json = 'old'");
        desk_sql(desk, "UPDATE account SET render = 0");
        desk->mirror->render_stale = true;
    }
    desk_page(desk, &desk->inbox, 1, NULL, 50, &rows);
    assert_non_null(strstr(desk_get(desk, desk->inbox, 5).json, "\"message 5\""));
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM body WHERE render = 0"), 1200);
    for (int i = 0; i < 4; i++)
        store_tidy(desk->store, 60000, 0);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM body WHERE render <> 1"), 0);
    assert_int_equal(desk_sql(desk, "SELECT render FROM account"), 1);
    assert_false(desk->mirror->render_stale);
    rows.count = 0;
    desk_page(desk, &desk->inbox, 1, NULL, 50, &rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(a_file_that_is_no_database_is_set_aside),
        ON_DISK(another_programs_database_is_set_aside),
        ON_DISK(a_newer_file_is_kept_whole_under_its_version),
        ON_DISK(a_mirror_made_under_another_key_is_set_aside),
        ON_DISK(damage_met_on_the_way_is_one_failed_call_and_then_a_new_mirror),
        BOTH(a_full_disk_is_no_room_and_no_damage),
        BOTH(a_mirror_that_nobody_read_or_wrote_leaves_no_file),
        ON_DISK(a_record_that_does_not_read_counts_as_damage),
        ON_DISK(files_taken_away_under_us_are_begun_anew),
        ON_DISK(the_sequence_never_falls_when_a_mirror_is_begun_anew),
        ON_DISK(old_files_set_aside_are_bounded_in_number),
        ON_DISK(tidy_closes_idle_handles_and_all_reopens),
        IN_MEMORY(tidy_keeps_what_lives_in_memory),
        ON_DISK(a_mirror_given_back_leaves_the_table_and_comes_back),
        ON_DISK(mirrors_unused_for_long_are_removed_and_no_others),
        BOTH(the_journal_is_pruned_by_age_and_by_number),
        BOTH(what_another_version_rendered_is_rendered_anew),
    };
    return RUN_TESTS(tests);
}

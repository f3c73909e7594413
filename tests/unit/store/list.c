/* list.c - pages: their order, their ends, and that none of them is sorted. */
#include "support.h"

static void add(struct desk *desk, struct mirror_sync *sync, uint32_t uid, int64_t received_s)
{
    struct message message = desk_message(uid, received_s, 0, "listed");
    must(mirror_sync_message(sync, &message));
}

static uint32_t seed_next(uint32_t *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

static int newest_first(const void *a, const void *b)
{
    const struct list_place *x = a, *y = b;
    if (x->received_s != y->received_s)
        return x->received_s < y->received_s ? 1 : -1;
    if (x->folder != y->folder)
        return x->folder < y->folder ? 1 : -1;
    return (x->uid < y->uid) - (x->uid > y->uid);
}

/* `count` messages in each folder, with few different times; what a list must give, sorted. */
static uint32_t fill_folders(struct desk *desk, const int64_t *folders, uint32_t folder_count,
                             uint32_t count, uint32_t times, struct list_place *expected)
{
    uint32_t seed = 7, total = 0;
    for (uint32_t i = 0; i < folder_count; i++) {
        struct mirror_sync *sync = desk_begin(desk, folders[i]);
        must(mirror_sync_reset(sync, 7));
        for (uint32_t uid = 1; uid <= count; uid++) {
            int64_t received_s = (int64_t)(seed_next(&seed) % times) - times / 2;
            add(desk, sync, uid, received_s);
            expected[total++] =
                (struct list_place){.received_s = received_s, .folder = folders[i], .uid = uid};
        }
        desk_commit(desk, &sync, 7, count + 1, 1);
    }
    qsort(expected, total, sizeof *expected, newest_first);
    return total;
}

/* Page by page, `limit` at a time, every message comes once and in order. */
static void pages_give(struct desk *desk, const int64_t *folders, uint32_t folder_count,
                       uint32_t limit, const struct list_place *expected, uint32_t total)
{
    struct rows rows = {0};
    uint32_t before;
    do {
        before = rows.count;
        desk_page(desk, folders, folder_count, before ? &rows.places[before - 1] : NULL, limit,
                  &rows);
        assert_true(rows.count - before <= limit);
    } while (rows.count > before);
    assert_int_equal(rows.count, total);
    for (uint32_t i = 0; i < total; i++)
        assert_int_equal(newest_first(&rows.places[i], &expected[i]), 0);
}

static void pages_of_equal_times_miss_and_repeat_nothing(void **state)
{
    struct desk *desk = *state;
    static struct list_place expected[500];
    const uint32_t times[] = {1, 3, 100}, limits[] = {1, 7, 50, 500};
    for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
        uint32_t total = fill_folders(desk, &desk->inbox, 1, 300, times[t], expected);
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
            pages_give(desk, &desk->inbox, 1, limits[i], expected, total);
    }
}

static void several_folders_are_merged_in_one_order(void **state)
{
    struct desk *desk = *state;
    static struct list_place expected[2000];
    struct folder_listing listings[8];
    char names[8][16];
    int64_t folders[8];
    for (int i = 0; i < 8; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        listings[i] = (struct folder_listing){.remote = names[i], .path = names[i]};
    }
    must(mirror_put_folders(desk->mirror, &desk->call, listings, 8));
    for (int i = 0; i < 8; i++) {
        char key[24];
        snprintf(key, sizeof key, "path:%s", names[(i * 3) % 8]);
        folders[i] = desk_folder(desk, key);
    }
    const uint32_t times[] = {2, 50, 100000}, limits[] = {3, 50, 1000};
    for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
        uint32_t total = fill_folders(desk, folders, 8, 40, times[t], expected);
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
            pages_give(desk, folders, 8, limits[i], expected, total);
    }
}

static void a_folder_named_twice_or_unknown_changes_nothing(void **state)
{
    struct desk *desk = *state;
    static struct list_place expected[100];
    uint32_t total = fill_folders(desk, &desk->inbox, 1, 30, 5, expected);
    const int64_t folders[] = {desk->inbox, 12, desk->inbox, desk->archive, desk->inbox};
    pages_give(desk, folders, 5, 10, expected, total);
    pages_give(desk, (const int64_t[]){12}, 1, 10, expected, 0);
}

static void a_page_keeps_its_place_when_mail_comes_and_goes(void **state)
{
    struct desk *desk = *state;
    struct rows rows = {0};
    desk_fill(desk, desk->inbox, 20);
    desk_page(desk, &desk->inbox, 1, NULL, 5, &rows);
    struct list_place place = rows.places[4];
    assert_int_equal(place.uid, 16);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    add(desk, sync, 21, 9999);
    must(mirror_sync_removed(sync, (const struct uid_range[]){{16, 16}, {18, 18}}, 2));
    desk_commit(desk, &sync, 7, 22, 1);
    rows.count = 0;
    desk_page(desk, &desk->inbox, 1, &place, 5, &rows);
    assert_int_equal(rows.count, 5);
    assert_int_equal(rows.places[0].uid, 15);
    assert_int_equal(rows.places[4].uid, 11);
}

static void a_sink_may_stop_the_walk(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 20);
    desk_fill(desk, desk->archive, 20);
    const int64_t both[] = {desk->inbox, desk->archive};
    for (uint32_t folders = 1; folders <= 2; folders++) {
        struct rows rows = {.sink.row = rows_take, .stop_at = 3};
        struct list_query query = {.folders = both, .folder_count = folders, .limit = 10};
        assert_int_equal(mirror_list(desk->mirror, &desk->call, &query, &rows.sink), ERR_CANCELLED);
        assert_int_equal(rows.count, 3);
    }
    desk_fill(desk, desk->archive, 2);
}

static void an_empty_question_has_an_empty_answer(void **state)
{
    struct desk *desk = *state;
    struct rows rows = {0};
    desk_fill(desk, desk->inbox, 3);
    desk_page(desk, &desk->inbox, 0, NULL, 5, &rows);
    desk_page(desk, &desk->inbox, 1, NULL, 0, &rows);
    desk_page(desk, &desk->archive, 1, NULL, 5, &rows);
    assert_int_equal(rows.count, 0);
}

/* SQLite's own word on how it will run a statement. */
static void explain(struct desk *desk, enum sql which, struct buf *out)
{
    struct writing writing;
    sqlite3_stmt *statement;
    char *text = arena_printf(&desk->arena, "EXPLAIN QUERY PLAN %s", sql_texts[which]);
    must(writing_begin(desk->mirror, &desk->call, &writing));
    assert_int_equal(sqlite3_prepare_v2(writing.db->sqlite, text, -1, &statement, NULL), SQLITE_OK);
    buf_reset(out);
    while (sqlite3_step(statement) == SQLITE_ROW)
        buf_printf(out, "%s\n", (const char *)sqlite3_column_text(statement, 3));
    sqlite3_finalize(statement);
    must(writing_commit(&writing));
}

static void pages_are_walks_of_the_index(void **state)
{
    struct desk *desk = *state;
    const enum sql lists[] = {SQL_LIST, SQL_WALK};
    struct buf plan;
    buf_init(&plan, 65536);
    for (size_t i = 0; i < 2; i++) {
        explain(desk, lists[i], &plan);
        assert_null(strstr(plan.data, "TEMP B-TREE"));
        assert_null(strstr(plan.data, "SCAN"));
        /* The place is part of the search, so that page 1,000 costs what page 1 does. */
        assert_non_null(
            strstr(plan.data, "INDEX message_newest (folder=? AND (received_s,uid)<(?,?))"));
    }
    explain(desk, SQL_WALK, &plan);
    assert_non_null(strstr(plan.data, "COVERING INDEX"));
    buf_clear(&plan);
}

/* Nothing that a request runs may read a table from end to end. */
static void no_statement_scans_messages(void **state)
{
    struct desk *desk = *state;
    struct buf plan;
    buf_init(&plan, 65536);
    for (enum sql which = SQL_CHANGE; which < SQL_COUNT; which++) {
        explain(desk, which, &plan);
        for (char *line = plan.data; line; line = strchr(line, '\n')) {
            line += *line == '\n';
            bool scans = strncmp(line, "SCAN message", 12) == 0 ||
                         strncmp(line, "SCAN m", 6) == 0 || strncmp(line, "SCAN body", 9) == 0 ||
                         strncmp(line, "SCAN b", 6) == 0;
            if (scans)
                fail_msg("%s: %s", sql_texts[which], plan.data);
        }
    }
    buf_clear(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(pages_of_equal_times_miss_and_repeat_nothing),
        BOTH(several_folders_are_merged_in_one_order),
        BOTH(a_folder_named_twice_or_unknown_changes_nothing),
        BOTH(a_page_keeps_its_place_when_mail_comes_and_goes),
        BOTH(a_sink_may_stop_the_walk),
        BOTH(an_empty_question_has_an_empty_answer),
        ON_DISK(pages_are_walks_of_the_index),
        ON_DISK(no_statement_scans_messages),
    };
    return RUN_TESTS(tests);
}

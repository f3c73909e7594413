/* sync.c - what a sync writes, what it leaves alone, and what an interrupted one leaves behind. */
#include "support.h"
#include "sync.h"

static void add(struct desk *desk, struct mirror_sync *sync, uint32_t uid, uint32_t flags)
{
    struct message message = desk_message(uid, 1000 + uid, flags, "added");
    must(mirror_sync_message(sync, &message));
}

static unsigned journaled(struct desk *desk, uint64_t since, int kind)
{
    char text[128];
    snprintf(text, sizeof text, "SELECT count(*) FROM journal WHERE seq > %llu AND kind = %d",
             (unsigned long long)since, kind);
    return (unsigned)desk_sql(desk, text);
}

static void a_synced_message_reads_back_whole(void **state)
{
    struct desk *desk = *state;
    static const char *const keywords[] = {"$Forwarded", "blue"};
    struct message message = desk_message(5, 1234, FLAG_SEEN | FLAG_FLAGGED, "gr\xc3\xbc\xc3\x9f");
    struct message_row row;
    struct message full;
    message.keywords = (struct string_list){.items = keywords, .count = 2};
    message.modseq = 77;
    message.remote_id = "M1";
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_reset(sync, 7));
    must(mirror_sync_message(sync, &message));
    assert_true(desk_commit(desk, &sync, 7, 6, 1));
    must(mirror_message(desk->mirror, &desk->call, desk->inbox, 5, &row, &full));
    assert_int_equal(row.uid, 5);
    assert_int_equal(row.folder, desk->inbox);
    assert_int_equal(row.flags, FLAG_SEEN | FLAG_FLAGGED);
    assert_string_equal(row.keywords_json, "[\"$Forwarded\",\"blue\"]");
    assert_int_equal(row.received_s, 1234);
    assert_int_equal(row.size, 1005);
    assert_null(row.preview);
    assert_int_equal(full.uid, 5);
    assert_int_equal(full.flags, row.flags);
    assert_int_equal(full.modseq, 77);
    assert_int_equal(full.keywords.count, 2);
    assert_string_equal(full.keywords.items[1], "blue");
    assert_string_equal(full.remote_id, "M1");
    assert_string_equal(full.envelope.subject, "gr\xc3\xbc\xc3\x9f");
    assert_string_equal(full.envelope.from.items[0].email, "ada@example.com");
    assert_int_equal(full.part_count, 3);
    assert_string_equal(full.parts[2].name, "report.pdf");
    assert_true(row.change <= desk_change(desk) && row.change > 0);
}

static void a_committed_sync_states_what_it_was_told(void **state)
{
    struct desk *desk = *state;
    struct folder_row before = desk_row(desk, desk->inbox);
    assert_int_equal(before.validity, 0);
    assert_int_equal(before.synced_ms, 0);
    assert_false(before.complete);
    assert_true(before.generation != 0);
    desk_fill(desk, desk->inbox, 5);
    struct folder_row row = desk_row(desk, desk->inbox);
    assert_int_equal(row.validity, 7);
    assert_int_equal(row.uid_next, 6);
    assert_int_equal(row.exists, 5);
    assert_int_equal(row.floor, 1);
    assert_true(row.complete);
    assert_int_equal(row.mirrored, 5);
    assert_int_equal(row.unread, 3);
    assert_true(row.synced_ms > 0);
    assert_true(row.change > before.change && row.generation != before.generation);
}

static void the_same_messages_again_write_and_journal_nothing(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 20);
    uint64_t change = desk_change(desk);
    uint64_t row_change = desk_get(desk, desk->inbox, 3).change;
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    for (int twice = 0; twice < 2; twice++)
        for (uint32_t uid = 1; uid <= 20; uid++) {
            char subject[32];
            snprintf(subject, sizeof subject, "message %u", uid);
            struct message message =
                desk_message(uid, 1000 + uid, uid % 2 ? 0 : FLAG_SEEN, subject);
            must(mirror_sync_message(sync, &message));
        }
    assert_false(desk_commit(desk, &sync, 7, 21, 1));
    assert_true(desk_change(desk) == change);
    assert_true(desk_get(desk, desk->inbox, 3).change == row_change);
}

static void a_message_that_differs_is_replaced_and_journaled_as_updated(void **state)
{
    struct desk *desk = *state;
    struct message_row row;
    struct message full;
    desk_fill(desk, desk->inbox, 3);
    must(mirror_put_previews(desk->mirror, &desk->call, desk->inbox, (uint32_t[]){2},
                             (const char *[]){"old"}, 1));
    must(mirror_put_part_size(desk->mirror, &desk->call, desk->inbox, 2, "2", 99));
    uint64_t change = desk_change(desk);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    struct message message = desk_message(2, 4000, FLAG_SEEN, "readable now");
    must(mirror_sync_message(sync, &message));
    assert_true(desk_commit(desk, &sync, 7, 4, 1));
    assert_int_equal(journaled(desk, change, JOURNAL_CREATED), 0);
    assert_int_equal(journaled(desk, change, JOURNAL_UPDATED), 1);
    must(mirror_message(desk->mirror, &desk->call, desk->inbox, 2, &row, &full));
    assert_non_null(strstr(row.json, "readable now"));
    assert_int_equal(row.received_s, 4000);
    assert_null(row.preview);
    assert_int_equal(full.parts[2].size, -1);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 3);
}

static void unchanged_flags_write_nothing(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 200);
    uint64_t change = desk_change(desk);
    const uint32_t counts[] = {10, SYNC_FLAGS_FEW, SYNC_FLAGS_FEW + 1, 200};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct mirror_sync *sync = desk_begin(desk, desk->inbox);
        for (uint32_t uid = 1; uid <= counts[i]; uid++)
            must(mirror_sync_flags(sync, uid, uid % 2 ? 0 : FLAG_SEEN, NULL, 5));
        assert_false(desk_commit(desk, &sync, 7, 201, 1));
    }
    assert_true(desk_change(desk) == change);
}

/* The few go one by one through SQL, the many are compared in memory: both must agree. */
static void changed_flags_are_found(struct desk *desk, uint32_t reports)
{
    static const char *const keywords[] = {"red"};
    const struct string_list red = {.items = keywords, .count = 1};
    desk_fill(desk, desk->inbox, 200);
    uint64_t change = desk_change(desk);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    for (uint32_t uid = 1; uid <= reports; uid++) {
        uint32_t flags = uid % 2 ? 0 : FLAG_SEEN;
        must(mirror_sync_flags(sync, uid,
                               uid == 5   ? FLAG_SEEN
                               : uid == 6 ? 0
                                          : flags,
                               uid == 9 ? &red : NULL, 5));
    }
    must(mirror_sync_flags(sync, 5000, FLAG_SEEN, NULL, 5));
    /* And back, and forth again, within one sync. */
    must(mirror_sync_flags(sync, 7, FLAG_SEEN, NULL, 5));
    must(mirror_sync_flags(sync, 7, 0, NULL, 5));
    assert_true(desk_commit(desk, &sync, 7, 201, 1));
    assert_int_equal(journaled(desk, change, JOURNAL_UPDATED), 5);
    assert_int_equal(desk_get(desk, desk->inbox, 5).flags, FLAG_SEEN);
    assert_int_equal(desk_get(desk, desk->inbox, 6).flags, 0);
    assert_int_equal(desk_get(desk, desk->inbox, 7).flags, 0);
    assert_string_equal(desk_get(desk, desk->inbox, 9).keywords_json, "[\"red\"]");
    assert_int_equal(desk_row(desk, desk->inbox).unread, 100);
    assert_true(desk_get(desk, desk->inbox, 5).change > change);
    assert_true(desk_get(desk, desk->inbox, 4).change <= change);
}

static void few_changed_flags_are_found(void **state)
{
    changed_flags_are_found(*state, 10);
}

static void a_flood_of_flags_finds_the_changed_ones(void **state)
{
    changed_flags_are_found(*state, 200);
}

static void flags_of_a_message_that_came_in_the_same_sync_are_not_lost(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 100);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    for (uint32_t uid = 1; uid <= 100; uid++)
        must(mirror_sync_flags(sync, uid, uid % 2 ? 0 : FLAG_SEEN, NULL, 0));
    add(desk, sync, 101, 0);
    must(mirror_sync_flags(sync, 101, FLAG_FLAGGED, NULL, 0));
    add(desk, sync, 3, FLAG_SEEN);
    must(mirror_sync_flags(sync, 3, FLAG_ANSWERED, NULL, 0));
    desk_commit(desk, &sync, 7, 102, 1);
    assert_int_equal(desk_get(desk, desk->inbox, 101).flags, FLAG_FLAGGED);
    assert_int_equal(desk_get(desk, desk->inbox, 3).flags, FLAG_ANSWERED);
}

static void what_is_not_present_is_removed(void **state)
{
    struct desk *desk = *state;
    const struct uid_range ranges[] = {{1, 3}, {6, 6}, {9, 12}, {40, UINT32_MAX}};
    desk_fill(desk, desk->inbox, 20);
    uint64_t change = desk_change(desk);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_present(sync, 3, ranges, 4));
    assert_true(desk_commit(desk, &sync, 7, 21, 1));
    static const bool expected[21] = {[1] = true, [2] = true,  [3] = true,  [6] = true,
                                      [9] = true, [10] = true, [11] = true, [12] = true};
    for (uint32_t uid = 1; uid <= 20; uid++)
        assert_int_equal(desk_has(desk, desk->inbox, uid), expected[uid]);
    assert_int_equal(journaled(desk, change, JOURNAL_DELETED), 12);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 8);
    assert_int_equal(desk_row(desk, desk->inbox).unread, 4);
    sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_present(sync, 1, NULL, 0));
    desk_commit(desk, &sync, 7, 21, 1);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 0);
}

static void removed_ranges_may_be_as_wide_as_a_server_likes(void **state)
{
    struct desk *desk = *state;
    const struct uid_range ranges[] = {{5, 6}, {8, UINT32_MAX}};
    desk_fill(desk, desk->inbox, 20);
    desk_fill(desk, desk->archive, 20);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_removed(sync, ranges, 2));
    must(mirror_sync_removed(sync, &(struct uid_range){9, 2}, 1));
    desk_commit(desk, &sync, 7, 21, 1);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 5);
    assert_true(desk_has(desk, desk->inbox, 7));
    assert_int_equal(desk_row(desk, desk->archive).mirrored, 20);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM body"), 25);
}

static void a_reset_forgets_at_once_and_journals_it(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 10);
    struct folder_row before = desk_row(desk, desk->inbox);
    uint64_t change = desk_change(desk);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_reset(sync, 8));
    mirror_sync_abort(&sync);
    struct folder_row after = desk_row(desk, desk->inbox);
    assert_int_equal(after.validity, 0);
    assert_int_equal(after.mirrored, 0);
    assert_int_equal(after.unread, 0);
    assert_int_equal(after.synced_ms, 0);
    assert_false(after.complete);
    assert_true(after.generation != before.generation);
    assert_int_equal(journaled(desk, change, JOURNAL_DELETED), 10);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM body"), 0);
}

static void an_aborted_sync_is_not_believed_and_the_next_one_heals_it(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 10);
    struct folder_row before = desk_row(desk, desk->inbox);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    for (uint32_t uid = 11; uid <= 10 + 2 * SYNC_MESSAGES_MAX; uid++)
        add(desk, sync, uid, 0);
    mirror_sync_abort(&sync);
    struct folder_row after = desk_row(desk, desk->inbox);
    assert_int_equal(after.uid_next, before.uid_next);
    assert_true(desk_has(desk, desk->inbox, 11));
    uint64_t change = desk_change(desk);
    /* Now 12 is expunged, 11 is told again and 13 to the end never: only that survives. */
    sync = desk_begin(desk, desk->inbox);
    add(desk, sync, 11, 0);
    desk_commit(desk, &sync, 7, 600, 1);
    assert_true(desk_has(desk, desk->inbox, 11));
    assert_false(desk_has(desk, desk->inbox, 12));
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 11);
    assert_int_equal(journaled(desk, change, JOURNAL_CREATED), 0);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM message"), 11);
}

static void a_commit_that_covers_nothing_leaves_the_leftovers_alone(void **state)
{
    struct desk *desk = *state;
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_reset(sync, 7));
    add(desk, sync, 100, 0);
    desk_commit(desk, &sync, 7, 101, 100);
    /* One message fetched singly, far below the floor. */
    sync = desk_begin(desk, desk->inbox);
    add(desk, sync, 50, 0);
    desk_commit(desk, &sync, 7, 101, 100);
    sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_flags(sync, 50, FLAG_SEEN, NULL, 0));
    desk_commit(desk, &sync, 7, 101, 100);
    assert_int_equal(desk_get(desk, desk->inbox, 50).flags, FLAG_SEEN);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 1);
    assert_int_equal(desk_row(desk, desk->inbox).unread, 1);
    /* And new ones, of a sync that was cut, while only flags of others are told. */
    sync = desk_begin(desk, desk->inbox);
    for (uint32_t uid = 101; uid <= 100 + SYNC_MESSAGES_MAX; uid++)
        add(desk, sync, uid, 0);
    mirror_sync_abort(&sync);
    sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_flags(sync, 100, FLAG_SEEN, NULL, 0));
    desk_commit(desk, &sync, 7, 101, 100);
    assert_true(desk_has(desk, desk->inbox, 101));
    assert_true(desk_has(desk, desk->inbox, 100 + SYNC_MESSAGES_MAX));
}

static void below_the_floor_nothing_is_listed_or_counted_until_it_falls(void **state)
{
    struct desk *desk = *state;
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_reset(sync, 7));
    for (uint32_t uid = 900; uid < 1000; uid++)
        add(desk, sync, uid, 0);
    desk_commit(desk, &sync, 7, 1000, 900);
    uint64_t change = desk_row(desk, desk->inbox).change;
    /* A backfill that is cut after its first transaction. */
    sync = desk_begin(desk, desk->inbox);
    for (uint32_t uid = 899; uid > 899 - SYNC_MESSAGES_MAX; uid--)
        add(desk, sync, uid, 0);
    mirror_sync_abort(&sync);
    assert_true(desk_has(desk, desk->inbox, 899));
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 100);
    struct rows rows = {0};
    desk_page(desk, &desk->inbox, 1, NULL, 500, &rows);
    assert_int_equal(rows.count, 100);
    /* The next one goes less deep, and does not find 898 any more. */
    sync = desk_begin(desk, desk->inbox);
    add(desk, sync, 899, FLAG_SEEN);
    for (uint32_t uid = 897; uid >= 850; uid--)
        add(desk, sync, uid, 0);
    assert_true(desk_commit(desk, &sync, 7, 1000, 850));
    assert_false(desk_has(desk, desk->inbox, 898));
    assert_true(desk_has(desk, desk->inbox, 849));
    struct folder_row row = desk_row(desk, desk->inbox);
    assert_int_equal(row.mirrored, 149);
    assert_int_equal(row.unread, 148);
    assert_true(row.change > change);
    rows.count = 0;
    desk_page(desk, &desk->inbox, 1, NULL, 500, &rows);
    assert_int_equal(rows.count, 149);
}

static void a_held_sync_writes_nothing_before_its_commit(void **state)
{
    struct desk *desk = *state;
    desk_fill(desk, desk->inbox, 1);
    uint64_t change = desk_change(desk);
    struct mirror_sync *sync;
    must(mirror_sync_begin_held(desk->mirror, &desk->call, desk->inbox, &sync));
    for (uint32_t uid = 2; uid <= 600; uid++)
        add(desk, sync, uid, 0);
    assert_true(desk_change(desk) == change);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM message"), 1);
    desk_commit(desk, &sync, 7, 601, 1);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 600);
    must(mirror_sync_begin_held(desk->mirror, &desk->call, desk->inbox, &sync));
    add(desk, sync, 700, 0);
    mirror_sync_abort(&sync);
    assert_false(desk_has(desk, desk->inbox, 700));
}

static void a_folder_that_goes_meanwhile_ends_the_sync(void **state)
{
    struct desk *desk = *state;
    bool changed = true;
    desk_fill(desk, desk->archive, 3);
    struct mirror_sync *sync = desk_begin(desk, desk->archive);
    add(desk, sync, 4, 0);
    must(mirror_put_folders(desk->mirror, &desk->call, desk_listing, 1));
    must(mirror_put_folders(desk->mirror, &desk->call, desk_listing, 2));
    must_fail(mirror_sync_commit(&sync,
                                 &(struct mirror_sync_state){
                                     .validity = 7, .uid_next = 5, .exists = 4, .floor = 1},
                                 &changed),
              ERR_NOT_FOUND);
    assert_null(sync);
    assert_false(changed);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM message"), 0);
    must_fail(mirror_sync_begin(desk->mirror, &desk->call, desk->archive, &sync), ERR_NOT_FOUND);
    assert_null(sync);
}

static void messages_before_a_validity_are_refused(void **state)
{
    struct desk *desk = *state;
    struct message message = desk_message(1, 1, 0, "x");
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must_fail(mirror_sync_message(sync, &message), ERR_INTERNAL);
    /* And stays failed, whatever comes. */
    assert_int_equal(mirror_sync_flags(sync, 1, 0, NULL, 0), ERR_INTERNAL);
    struct mirror_sync_state end = {.validity = 7, .uid_next = 2, .floor = 1};
    assert_int_equal(mirror_sync_commit(&sync, &end, NULL), ERR_INTERNAL);
    assert_int_equal(desk_row(desk, desk->inbox).validity, 0);
    sync = desk_begin(desk, desk->inbox);
    must_fail(mirror_sync_reset(sync, 0), ERR_PROTOCOL);
    mirror_sync_abort(&sync);
}

static void time_in_the_mirror_is_told(void **state)
{
    struct desk *desk = *state;
    desk->call.mirror_us = 0;
    desk_fill(desk, desk->inbox, 500);
    assert_true(desk->call.mirror_us > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_synced_message_reads_back_whole),
        BOTH(a_committed_sync_states_what_it_was_told),
        BOTH(the_same_messages_again_write_and_journal_nothing),
        BOTH(a_message_that_differs_is_replaced_and_journaled_as_updated),
        BOTH(unchanged_flags_write_nothing),
        BOTH(few_changed_flags_are_found),
        BOTH(a_flood_of_flags_finds_the_changed_ones),
        BOTH(flags_of_a_message_that_came_in_the_same_sync_are_not_lost),
        BOTH(what_is_not_present_is_removed),
        BOTH(removed_ranges_may_be_as_wide_as_a_server_likes),
        BOTH(a_reset_forgets_at_once_and_journals_it),
        BOTH(an_aborted_sync_is_not_believed_and_the_next_one_heals_it),
        BOTH(a_commit_that_covers_nothing_leaves_the_leftovers_alone),
        BOTH(below_the_floor_nothing_is_listed_or_counted_until_it_falls),
        BOTH(a_held_sync_writes_nothing_before_its_commit),
        BOTH(a_folder_that_goes_meanwhile_ends_the_sync),
        BOTH(messages_before_a_validity_are_refused),
        BOTH(time_in_the_mirror_is_told),
    };
    return RUN_TESTS(tests);
}

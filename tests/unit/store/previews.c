/* previews.c - what is learned of a message after its record: its preview, its parts' sizes. */
#include "support.h"

static void previews_are_asked_for_once(void **state)
{
    struct desk *desk = *state;
    const uint32_t uids[] = {1, 2, 3, 77};
    struct preview_source *sources;
    uint32_t count;
    desk_fill(desk, desk->inbox, 3);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    struct message textless = desk_message(4, 1004, 0, "no text");
    textless.parts = NULL;
    textless.part_count = 0;
    must(mirror_sync_message(sync, &textless));
    desk_commit(desk, &sync, 7, 5, 1);
    must(
        mirror_missing_previews(desk->mirror, &desk->call, desk->inbox, uids, 4, &sources, &count));
    assert_int_equal(count, 3);
    assert_int_equal(sources[0].uid, 1);
    assert_string_equal(sources[0].part, "1");
    assert_string_equal(sources[0].type, "text/plain");
    assert_string_equal(sources[0].charset, "utf-8");
    assert_string_equal(sources[0].encoding, "7bit");
    uint64_t change = desk_row(desk, desk->inbox).change;
    must(mirror_put_previews(desk->mirror, &desk->call, desk->inbox, uids,
                             (const char *const[]){"hello", "", NULL, "nobody"}, 4));
    assert_string_equal(desk_get(desk, desk->inbox, 1).preview, "hello");
    assert_string_equal(desk_get(desk, desk->inbox, 2).preview, "");
    assert_true(desk_row(desk, desk->inbox).change == change + 2);
    assert_true(desk_get(desk, desk->inbox, 1).change > change);
    must(
        mirror_missing_previews(desk->mirror, &desk->call, desk->inbox, uids, 4, &sources, &count));
    assert_int_equal(count, 1);
    assert_int_equal(sources[0].uid, 3);
    must(mirror_missing_previews(desk->mirror, &desk->call, desk->inbox, (uint32_t[]){4}, 1,
                                 &sources, &count));
    assert_int_equal(count, 1);
    assert_null(sources[0].part);
    change = desk_change(desk);
    must(mirror_put_previews(desk->mirror, &desk->call, desk->inbox, uids,
                             (const char *const[]){"hello"}, 1));
    assert_true(desk_change(desk) == change);
}

static void a_part_s_size_is_learned_and_goes_with_its_message(void **state)
{
    struct desk *desk = *state;
    struct message full;
    desk_fill(desk, desk->inbox, 2);
    must(mirror_put_part_size(desk->mirror, &desk->call, desk->inbox, 1, "2", 100000));
    must(mirror_put_part_size(desk->mirror, &desk->call, desk->inbox, 1, "9.9", 1));
    must(mirror_put_part_size(desk->mirror, &desk->call, desk->inbox, 66, "2", 5));
    must(mirror_message(desk->mirror, &desk->call, desk->inbox, 1, NULL, &full));
    assert_int_equal(full.parts[2].size, 100000);
    assert_int_equal(full.parts[1].size, 120);
    must(mirror_message(desk->mirror, &desk->call, desk->inbox, 2, NULL, &full));
    assert_int_equal(full.parts[2].size, -1);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM part_size"), 2);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_removed(sync, &(struct uid_range){1, 1}, 1));
    desk_commit(desk, &sync, 7, 3, 1);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM part_size"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(previews_are_asked_for_once),
        BOTH(a_part_s_size_is_learned_and_goes_with_its_message),
    };
    return RUN_TESTS(tests);
}

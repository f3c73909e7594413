/* folders.c - the list of folders: what a listing makes of it, and how a folder is found. */
#include "support.h"

static void put(struct desk *desk, const struct folder_listing *listings, uint32_t count)
{
    must(mirror_put_folders(desk->mirror, &desk->call, listings, count));
}

static void folders_stand_inbox_first_then_roles_then_by_path(void **state)
{
    struct desk *desk = *state;
    const struct folder_listing listings[] = {
        {.remote = "zebra", .path = "zebra"},
        {.remote = "Alpha", .path = "Alpha"},
        {.remote = "T", .path = "Trash", .role = ROLE_TRASH},
        {.remote = "INBOX", .path = "INBOX", .role = ROLE_INBOX},
        {.remote = "S", .path = "Sent", .role = ROLE_SENT},
        {.remote = "beta", .path = "beta"},
    };
    static const char *const expected[] = {"INBOX", "Sent", "Trash", "Alpha", "beta", "zebra"};
    struct folder_row *rows;
    uint32_t count;
    int64_t listed_ms, before_ms = clock_unix_ms();
    put(desk, listings, 6);
    must(mirror_folders(desk->mirror, &desk->call, &rows, &count, &listed_ms));
    assert_int_equal(count, 6);
    for (uint32_t i = 0; i < count; i++)
        assert_string_equal(rows[i].listing.path, expected[i]);
    assert_true(listed_ms >= before_ms && listed_ms <= clock_unix_ms());
}

static void a_new_mirror_was_never_listed(void **state)
{
    struct desk *desk = *state;
    struct folder_row *rows;
    uint32_t count;
    int64_t listed_ms = -1;
    mirror_give(&desk->mirror);
    store_account_id(desk->store, "imap", "h", 1, "new", desk->account);
    desk_take(desk);
    must(mirror_folders(desk->mirror, &desk->call, &rows, &count, &listed_ms));
    assert_int_equal(count, 0);
    assert_int_equal(listed_ms, 0);
}

static void parents_are_found_by_path(void **state)
{
    struct desk *desk = *state;
    const struct folder_listing listings[] = {
        {.remote = "Work.Old.2019", .path = "Work/Old/2019"},
        {.remote = "Work.Old", .path = "Work/Old"},
        {.remote = "Work", .path = "Work"},
        {.remote = "Lone.Child", .path = "Lone/Child"},
    };
    put(desk, listings, 4);
    struct folder_row work = desk_row(desk, desk_folder(desk, "path:Work"));
    struct folder_row old = desk_row(desk, desk_folder(desk, "path:Work/Old"));
    struct folder_row year = desk_row(desk, desk_folder(desk, "path:Work/Old/2019"));
    assert_string_equal(work.parent_id, "");
    assert_string_equal(old.parent_id, work.id);
    assert_string_equal(year.parent_id, old.id);
    assert_string_equal(desk_row(desk, desk_folder(desk, "path:Lone/Child")).parent_id, "");
}

static void a_folder_is_found_by_id_role_and_path(void **state)
{
    struct desk *desk = *state;
    struct folder_row row, by_id;
    must(mirror_find_folder(desk->mirror, &desk->call, "inbox", &row));
    assert_string_equal(row.listing.remote, "INBOX");
    must(mirror_find_folder(desk->mirror, &desk->call, row.id, &by_id));
    assert_int_equal(by_id.number, row.number);
    assert_int_equal(desk_folder(desk, "path:InBox"), row.number);
    assert_int_equal(desk_folder(desk, "path:Archive"), desk->archive);
    static const char *const unknown[] = {
        "",      "sent",         "path:archive", "path:", "path", "f_", "f_AAAAAAAAAAAAAAAA",
        "INBOX", "path:Archive/"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        must_fail(mirror_find_folder(desk->mirror, &desk->call, unknown[i], &row), ERR_NOT_FOUND);
    must_fail(mirror_folder(desk->mirror, &desk->call, 1, &row), ERR_NOT_FOUND);
}

static void the_server_s_word_on_a_role_goes_before_a_guess(void **state)
{
    struct desk *desk = *state;
    const struct folder_listing listings[] = {
        {.remote = "a", .path = "a", .role = ROLE_SENT, .role_source = ROLE_FROM_NAME},
        {.remote = "z", .path = "z", .role = ROLE_SENT, .role_source = ROLE_FROM_SERVER},
    };
    put(desk, listings, 2);
    assert_int_equal(desk_folder(desk, "sent"), desk_folder(desk, "path:z"));
}

static void the_same_listing_again_changes_nothing(void **state)
{
    struct desk *desk = *state;
    uint64_t change = desk_change(desk);
    put(desk, desk_listing, 2);
    assert_true(desk_change(desk) == change);
}

static void counts_stay_as_last_known_when_a_listing_has_none(void **state)
{
    struct desk *desk = *state;
    struct folder_listing listing = desk_listing[0];
    listing.has_status = true;
    listing.messages = 12;
    listing.unseen = 3;
    listing.uid_next = 90;
    listing.uid_validity = 7;
    listing.modseq = UINT64_C(0x7fffffffffffffff);
    listing.size = 4096;
    uint64_t change = desk_change(desk);
    put(desk, &listing, 1);
    assert_true(desk_change(desk) > change);
    put(desk, &desk_listing[0], 1);
    struct folder_listing now = desk_row(desk, desk->inbox).listing;
    assert_true(now.has_status);
    assert_int_equal(now.messages, 12);
    assert_int_equal(now.unseen, 3);
    assert_int_equal(now.uid_next, 90);
    assert_int_equal(now.uid_validity, 7);
    assert_true(now.modseq == listing.modseq);
    assert_int_equal(now.size, 4096);
}

static void a_folder_that_is_not_listed_goes_with_its_messages(void **state)
{
    struct desk *desk = *state;
    struct folder_row row;
    struct message_row message;
    desk_fill(desk, desk->archive, 5);
    desk_fill(desk, desk->inbox, 2);
    uint64_t change = desk_change(desk);
    char text[128];
    put(desk, desk_listing, 1);
    must_fail(mirror_folder(desk->mirror, &desk->call, desk->archive, &row), ERR_NOT_FOUND);
    must_fail(mirror_message(desk->mirror, &desk->call, desk->archive, 1, &message, NULL),
              ERR_GONE);
    assert_true(desk_has(desk, desk->inbox, 1));
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM body"), 2);
    /* Five messages and the folder. */
    assert_int_equal(desk_change(desk), change + 6);
    snprintf(text, sizeof text, "SELECT count(*) FROM journal WHERE kind = 3 AND seq > %llu",
             (unsigned long long)change);
    assert_int_equal(desk_sql(desk, text), 5);
}

static void a_folder_that_comes_back_has_its_id_and_another_number(void **state)
{
    struct desk *desk = *state;
    struct folder_row before = desk_row(desk, desk->archive);
    put(desk, desk_listing, 1);
    put(desk, desk_listing, 2);
    struct folder_row after = desk_row(desk, desk_folder(desk, "archive"));
    assert_string_equal(after.id, before.id);
    assert_int_not_equal(after.number, before.number);
    assert_true(after.generation != before.generation && after.generation != 0);
}

static void a_name_listed_twice_is_one_folder(void **state)
{
    struct desk *desk = *state;
    const struct folder_listing listings[] = {desk_listing[0], desk_listing[0], desk_listing[1]};
    struct folder_row *rows;
    uint32_t count;
    put(desk, listings, 3);
    must(mirror_folders(desk->mirror, &desk->call, &rows, &count, NULL));
    assert_int_equal(count, 2);
}

static void a_listing_of_thousands_is_quick(void **state)
{
    struct desk *desk = *state;
    enum { MANY = 3000 };
    struct folder_listing *listings = xalloc(MANY * sizeof *listings);
    for (int i = 0; i < MANY; i++) {
        const char *name = arena_printf(&desk->arena, "level/%d/deep", i);
        listings[i] = (struct folder_listing){.remote = name, .path = name};
    }
    int64_t began_ms = clock_now_ms();
    put(desk, listings, MANY);
    uint64_t change = desk_change(desk);
    put(desk, listings, MANY);
    assert_true(desk_change(desk) == change);
    assert_true(clock_now_ms() - began_ms < 10000);
    put(desk, desk_listing, 2);
    struct mirror_totals totals;
    must(mirror_totals(desk->mirror, &desk->call, &totals));
    assert_int_equal(totals.folders, 2);
    free(listings);
}

static void totals_count_folders_and_messages(void **state)
{
    struct desk *desk = *state;
    struct mirror_totals totals;
    must(mirror_totals(desk->mirror, &desk->call, &totals));
    assert_true(totals.complete);
    desk_fill(desk, desk->inbox, 4);
    desk_fill(desk, desk->archive, 3);
    must(mirror_totals(desk->mirror, &desk->call, &totals));
    assert_int_equal(totals.folders, 2);
    assert_int_equal(totals.messages, 7);
    assert_true(totals.complete);
    struct mirror_sync *sync = desk_begin(desk, desk->archive);
    must(mirror_sync_reset(sync, 9));
    desk_commit(desk, &sync, 9, 50, 50);
    must(mirror_totals(desk->mirror, &desk->call, &totals));
    assert_false(totals.complete);
    assert_int_equal(totals.messages, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(folders_stand_inbox_first_then_roles_then_by_path),
        BOTH(a_new_mirror_was_never_listed),
        BOTH(parents_are_found_by_path),
        BOTH(a_folder_is_found_by_id_role_and_path),
        BOTH(the_server_s_word_on_a_role_goes_before_a_guess),
        BOTH(the_same_listing_again_changes_nothing),
        BOTH(counts_stay_as_last_known_when_a_listing_has_none),
        BOTH(a_folder_that_is_not_listed_goes_with_its_messages),
        BOTH(a_folder_that_comes_back_has_its_id_and_another_number),
        BOTH(a_name_listed_twice_is_one_folder),
        BOTH(a_listing_of_thousands_is_quick),
        BOTH(totals_count_folders_and_messages),
    };
    return RUN_TESTS(tests);
}

/* ids.c - message and folder ids, and where they lead. */
#include "support.h"

static void find(struct desk *desk, const char *id, enum err expected, struct message_place *out)
{
    if (expected == OK)
        must(mirror_find_message(desk->mirror, &desk->call, id, out));
    else
        must_fail(mirror_find_message(desk->mirror, &desk->call, id, out), expected);
}

static void an_id_leads_to_its_message(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    desk_fill(desk, desk->inbox, 10);
    struct message_row row = desk_get(desk, desk->inbox, 4);
    assert_int_equal(strlen(row.id), 24);
    assert_int_equal(strncmp(row.id, "m_", 2), 0);
    find(desk, row.id, OK, &place);
    assert_true(place.found);
    assert_int_equal(place.folder, desk->inbox);
    assert_int_equal(place.uid, 4);
    assert_int_equal(place.validity, 7);
}

static void two_stores_with_one_key_make_the_same_ids(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    char path[160], inbox_id[FOLDER_ID_BYTES];
    desk_fill(desk, desk->inbox, 3);
    struct message_row row = desk_get(desk, desk->inbox, 2);
    snprintf(inbox_id, sizeof inbox_id, "%s", desk_row(desk, desk->inbox).id);
    desk_close(desk);
    desk_path(desk, path);
    unlink(path);
    desk_open_store(desk);
    desk_take(desk);
    desk_list_folders(desk);
    assert_string_equal(desk_row(desk, desk->inbox).id, inbox_id);
    /* The mirror was lost, and holds nothing yet: the id still tells where to look. */
    find(desk, row.id, OK, &place);
    assert_false(place.found);
    assert_int_equal(place.folder, desk->inbox);
    assert_int_equal(place.uid, 2);
    assert_int_equal(place.validity, 7);
    desk_fill(desk, desk->inbox, 3);
    assert_string_equal(desk_get(desk, desk->inbox, 2).id, row.id);
}

static void before_the_folders_are_listed_an_id_is_unknown_not_gone(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    desk_fill(desk, desk->inbox, 3);
    struct message_row row = desk_get(desk, desk->inbox, 2);
    desk_sql(desk, "DELETE FROM folder");
    find(desk, row.id, ERR_GONE, &place);
    desk_sql(desk, "UPDATE account SET listed_ms = 0");
    find(desk, row.id, ERR_NOT_FOUND, &place);
}

static void an_id_of_another_account_is_not_found(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    desk_fill(desk, desk->inbox, 200);
    mirror_give(&desk->mirror);
    char first[ACCOUNT_ID_BYTES], ids[200][MESSAGE_ID_BYTES];
    memcpy(first, desk->account, sizeof first);
    desk_take(desk);
    for (uint32_t uid = 1; uid <= 200; uid++)
        memcpy(ids[uid - 1], desk_get(desk, desk->inbox, uid).id, MESSAGE_ID_BYTES);
    mirror_give(&desk->mirror);
    store_account_id(desk->store, "imap", "mail.example.com", 993, "bob@example.com",
                     desk->account);
    desk_take(desk);
    desk_list_folders(desk);
    desk_fill(desk, desk->inbox, 200);
    for (uint32_t i = 0; i < 200; i++)
        find(desk, ids[i], ERR_NOT_FOUND, &place);
}

static void an_altered_id_is_not_found(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    static const char *const wrong[] = {"",
                                        "m_",
                                        "x",
                                        "m_AAAAAAAAAAAAAAAAAAAAAA",
                                        "m_AAAAAAAAAAAAAAAAAAAAA",
                                        "m_AAAAAAAAAAAAAAAAAAAAAAA",
                                        "f_AAAAAAAAAAAAAAAAAAAAAA",
                                        "m_!!!!!!!!!!!!!!!!!!!!!!",
                                        "m_AAAAAAAAAAAAAAAAAAAAAB",
                                        "m_0123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        find(desk, wrong[i], ERR_NOT_FOUND, &place);
    desk_fill(desk, desk->inbox, 1);
    char id[MESSAGE_ID_BYTES];
    memcpy(id, desk_get(desk, desk->inbox, 1).id, sizeof id);
    for (size_t at = 2; id[at]; at++) {
        char kept = id[at];
        id[at] = kept == 'A' ? 'Q' : 'A';
        find(desk, id, ERR_NOT_FOUND, &place);
        id[at] = kept;
    }
    find(desk, id, OK, &place);
}

static void an_expunged_message_is_gone(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    desk_fill(desk, desk->inbox, 5);
    struct message_row row = desk_get(desk, desk->inbox, 3);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_removed(sync, &(struct uid_range){3, 3}, 1));
    desk_commit(desk, &sync, 7, 6, 1);
    find(desk, row.id, ERR_GONE, &place);
}

static void an_id_of_an_older_validity_is_gone_and_never_another_message(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    desk_fill(desk, desk->inbox, 5);
    struct message_row row = desk_get(desk, desk->inbox, 3);
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_reset(sync, 8));
    find(desk, row.id, ERR_GONE, &place);
    struct message message = desk_message(3, 5000, 0, "another");
    must(mirror_sync_message(sync, &message));
    /* Interrupted here, with the new message already there or not. */
    desk_commit(desk, &sync, 8, 4, 1);
    find(desk, row.id, ERR_GONE, &place);
    assert_string_not_equal(desk_get(desk, desk->inbox, 3).id, row.id);
}

static void below_the_floor_and_above_the_top_are_not_gone_but_not_here(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    uint8_t raw[ID_RAW_BYTES];
    struct folder_row folder;
    struct folder_inner inner;
    struct reading reading;
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    must(mirror_sync_reset(sync, 7));
    struct message message = desk_message(60, 1, 0, "x");
    must(mirror_sync_message(sync, &message));
    desk_commit(desk, &sync, 7, 80, 50);
    must(reading_begin(desk->mirror, &desk->call, &reading));
    must(folder_load(reading.db, &desk->call, SQL_FOLDER, VALUES(V_INT(desk->inbox)), &folder,
                     &inner));
    reading_end(&reading);
    const struct {
        uint32_t uid;
        enum err expected;
        bool found;
    } cases[] = {{49, OK, false},       {50, ERR_GONE, false}, {60, OK, true},
                 {79, ERR_GONE, false}, {80, OK, false},       {UINT32_MAX, OK, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[MESSAGE_ID_BYTES];
        id_seal(&desk->mirror->id_key,
                &(struct id_place){.tag = inner.tag, .validity = 7, .uid = cases[i].uid}, raw);
        id_text(raw, id);
        find(desk, id, cases[i].expected, &place);
        if (cases[i].expected == OK)
            assert_int_equal(place.found, cases[i].found);
    }
}

static void a_message_that_kept_its_id_is_found_where_it_is(void **state)
{
    struct desk *desk = *state;
    struct message_place place;
    char text[256], hex[ID_RAW_BYTES * 2 + 1];
    uint8_t raw[ID_RAW_BYTES];
    desk_fill(desk, desk->inbox, 3);
    desk_fill(desk, desk->archive, 3);
    struct message_row row = desk_get(desk, desk->inbox, 2);
    assert_true(id_parse(row.id, raw));
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(hex + 2 * i, 3, "%02x", raw[i]);
    snprintf(text, sizeof text, "INSERT INTO alias(id, key) VALUES(x'%s', %lld)", hex,
             (long long)message_key(desk->archive, 3));
    desk_sql(desk, text);
    find(desk, row.id, OK, &place);
    assert_int_equal(place.folder, desk->archive);
    assert_int_equal(place.uid, 3);
    struct mirror_sync *sync = desk_begin(desk, desk->archive);
    must(mirror_sync_removed(sync, &(struct uid_range){3, 3}, 1));
    desk_commit(desk, &sync, 7, 4, 1);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM alias"), 0);
}

static void a_folder_id_that_is_taken_is_counted_past(void **state)
{
    struct desk *desk = *state;
    char first[FOLDER_ID_BYTES], second[FOLDER_ID_BYTES], text[256];
    uint64_t first_tag, second_tag;
    id_folder(&desk->mirror->id_key, "New", 0, first, &first_tag);
    id_folder(&desk->mirror->id_key, "New", 1, second, &second_tag);
    assert_string_not_equal(first, second);
    assert_true(first_tag != second_tag && first_tag >> 40 == 0);
    /* Archive kept it when it was renamed from New. */
    snprintf(text, sizeof text, "UPDATE folder SET id = '%s', tag = %llu WHERE number = %lld",
             first, (unsigned long long)first_tag, (long long)desk->archive);
    desk_sql(desk, text);
    struct folder_listing listings[3] = {
        desk_listing[0], desk_listing[1], {.remote = "New", .path = "New", .selectable = true}};
    must(mirror_put_folders(desk->mirror, &desk->call, listings, 3));
    assert_string_equal(desk_row(desk, desk_folder(desk, "path:New")).id, second);
    assert_string_equal(desk_row(desk, desk->archive).id, first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(an_id_leads_to_its_message),
        ON_DISK(two_stores_with_one_key_make_the_same_ids),
        BOTH(before_the_folders_are_listed_an_id_is_unknown_not_gone),
        BOTH(an_id_of_another_account_is_not_found),
        BOTH(an_altered_id_is_not_found),
        BOTH(an_expunged_message_is_gone),
        BOTH(an_id_of_an_older_validity_is_gone_and_never_another_message),
        BOTH(below_the_floor_and_above_the_top_are_not_gone_but_not_here),
        BOTH(a_message_that_kept_its_id_is_found_where_it_is),
        BOTH(a_folder_id_that_is_taken_is_counted_past),
    };
    return RUN_TESTS(tests);
}

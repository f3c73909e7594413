/* The near side before a worker that was taken over: it writes what no honest one would. */
#include "proxy_scene.h"

/* One piece: FRAME_RANGES alone. */
static void piece(uint32_t first, uint32_t count)
{
    size_t began = frame_begin(&script, FRAME_RANGES, CALL);
    pack_u32(&script, count);
    for (uint32_t i = 0; i < count; i++) {
        pack_u32(&script, first + 2 * i);
        pack_u32(&script, first + 2 * i);
    }
    frame_end(&script, began);
}

/* ---- what no honest worker writes ---- */

static void of_another_call(void)
{
    put_end(&script, CALL + 1, OK, NULL, 0);
}

static void garbled_end(void)
{
    size_t began = frame_begin(&script, FRAME_END, CALL);
    pack_u8(&script, 250);
    frame_end(&script, began);
}

static void oversized_header(void)
{
    pack_u32(&script, FRAME_BYTES_MAX + 1);
    pack_u32(&script, FRAME_BYTES | CALL << 16);
}

static void message_for_noop(void)
{
    message(UID);
    ok(0);
}

static void more_behind_the_end(void)
{
    ok(0);
    put_end(&script, CALL + 1, OK, NULL, 0); /* as if it knew the next */
}

static void message_before_facts(void)
{
    message(UID);
    facts(VALIDITY, false);
    ok(0);
}

static void facts_twice(void)
{
    facts(VALIDITY, false);
    facts(VALIDITY, false);
    ok(0);
}

static void nothing(void)
{
    ok(0);
}

static void reset_of_the_same(void)
{
    facts(VALIDITY, true);
    ok(0);
}

static void no_reset_of_another(void)
{
    facts(VALIDITY + 1, false);
    ok(0);
}

static void pieces_that_overlap(void)
{
    facts(VALIDITY, false);
    piece(1, 10);
    piece(19, 1);
    put_ranges(&script, CALL, FRAME_PRESENT, 1, NULL, 0);
    ok(0);
}

static void pieces_of_nothing(void)
{
    facts(VALIDITY, false);
    piece(1, 10);
    ok(0);
}

static void pieces_without_end(void)
{
    facts(VALIDITY, false);
    for (uint32_t i = 0; i * RANGES_A_FRAME <= BACKEND_RANGES_MAX; i++)
        piece(1 + i * 2 * RANGES_A_FRAME, RANGES_A_FRAME);
    put_ranges(&script, CALL, FRAME_PRESENT, 1, NULL, 0);
    ok(0);
}

static void floor_that_stays(void)
{
    facts(VALIDITY, false);
    ok(FLOOR);
}

static void only_another_message(void)
{
    message(UID + 1);
    ok(0);
}

static void flags_of_another(void)
{
    flags(UID + 1);
    ok(0);
}

static void flags_twice(void)
{
    flags(UID);
    flags(UID);
    ok(0);
}

static void preview_of_another(void)
{
    put_preview(&script, CALL, 5, "text");
    ok(0);
}

static void three_previews_for_two(void)
{
    for (int i = 0; i < 3; i++)
        put_preview(&script, CALL, 3, "text");
    ok(0);
}

static void two_lengths(void)
{
    put_expect(&script, CALL, 3);
    put_expect(&script, CALL, 4);
    put_bytes(&script, CALL, "1234", 4);
    ok(0);
}

static void headers_without_end(void)
{
    for (int i = 0; i <= BACKEND_HEADERS_MAX; i++)
        put_header(&script, CALL, "X", "");
    ok(0);
}

static void headers_that_fill_memory(void)
{
    char *value = malloc(60001);
    memset(value, 'x', 60000);
    value[60000] = '\0';
    for (int i = 0; i < 300; i++)
        put_header(&script, CALL, "X", value);
    ok(0);
    free(value);
}

static void folders_without_end(void)
{
    const struct folder_listing listing = {.remote = "a", .path = "a", .size = -1};
    for (uint32_t i = 0; i <= FOLDERS; i++)
        put_listing(&script, CALL, &listing);
    ok(0);
}

static void resources_without_end(void)
{
    const struct quota_resource resource = {.root = "", .name = "STORAGE"};
    for (int i = 0; i < 101; i++)
        put_resource(&script, CALL, &resource);
    ok(0);
}

static const struct lie {
    uint16_t kind;
    void (*write)(void);
    const char *what; /* begins the accusation */
} lies[] = {
    {FRAME_NOOP, of_another_call, "an answer to another call"},
    {FRAME_NOOP, garbled_end, "an answer that breaks its form"},
    {FRAME_NOOP, oversized_header, "a frame of no kind or size"},
    {FRAME_NOOP, message_for_noop, "an answer that breaks its form"},
    {FRAME_NOOP, more_behind_the_end, "bytes behind the end"},
    {FRAME_SYNC, message_before_facts, "records before the folder's facts"},
    {FRAME_SYNC, facts_twice, "a folder's facts twice"},
    {FRAME_SYNC, nothing, "no facts of the folder"},
    {FRAME_SYNC, reset_of_the_same, "a reset"},
    {FRAME_SYNC, no_reset_of_another, "a reset"},
    {FRAME_SYNC, pieces_that_overlap, "ranges that do not ascend"},
    {FRAME_SYNC, pieces_of_nothing, "ranges of nothing"},
    {FRAME_SYNC, pieces_without_end, "too many ranges"},
    {FRAME_FETCH_OLDER, reset_of_the_same, "a reset"},
    {FRAME_FETCH_OLDER, message_before_facts, "records before the folder's facts"},
    {FRAME_FETCH_OLDER, floor_that_stays, "a floor that did not sink"},
    {FRAME_FETCH_ONE, nothing, "not what was asked for"},
    {FRAME_FETCH_ONE, only_another_message, "not what was asked for"},
    {FRAME_CHANGE_FLAGS, nothing, "not what was asked for"},
    {FRAME_CHANGE_FLAGS, flags_of_another, "flags that were not changed"},
    {FRAME_CHANGE_FLAGS, flags_twice, "flags that were not changed"},
    {FRAME_PREVIEWS, preview_of_another, "a preview nobody wished for"},
    {FRAME_PREVIEWS, three_previews_for_two, "a preview nobody wished for"},
    {FRAME_READ_PART, two_lengths, "a length twice"},
    {FRAME_READ_HEADERS, headers_without_end, "too many header fields"},
    {FRAME_READ_HEADERS, headers_that_fill_memory, "too many header fields"},
    {FRAME_LIST_FOLDERS, folders_without_end, "too many folders"},
    {FRAME_QUOTA, resources_without_end, "too many resources"},
};

static void a_lie_is_accused_once_and_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        open_scene(scene);
        lies[i].write();
        enum err err = play(scene, lies[i].kind);
        if (err != ERR_WORKER || strncmp(crew.what, lies[i].what, strlen(lies[i].what)) != 0)
            print_error("lie %zu: %s, \"%s\" for \"%s\"\n", i, err_name(err), crew.what,
                        lies[i].what);
        assert_int_equal(err, ERR_WORKER);
        assert_int_equal(scene->call.fault.code, ERR_WORKER);
        assert_int_equal(strncmp(crew.what, lies[i].what, strlen(lies[i].what)), 0);
        assert_int_equal(crew.accused, 1);
        assert_true(scene->backend->dead);
        assert_true(err_kills_connection(run(scene, FRAME_NOOP))); /* and nothing waits */
        assert_int_equal(crew.accused, 1);
        close_scene(scene);
    }
}

static void an_open_that_lies_is_accused_and_leaves_nothing(void **state)
{
    struct scene *scene = *state;
    const struct backend_info info = {.caps = CAP_FLAGS, .capability_text = "IMAP4rev1"};
    for (int lie = 0; lie < 3; lie++) {
        for (int i = 0; i < 2 && lie == 1; i++)
            put_info(&script, 1, &info);
        if (lie == 2)
            put_selected(&script, 1, "INBOX");
        put_end(&script, 1, OK, NULL, 0);
        assert_int_equal(try_open(scene, NULL), ERR_WORKER);
        assert_null(scene->backend);
        assert_int_equal(left.accused, 1);
        close_scene(scene);
    }
    assert_int_equal(boarded, departed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lie_is_accused_once_and_ends_the_connection),
        TEST(an_open_that_lies_is_accused_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, listen_here, listen_no_more);
}

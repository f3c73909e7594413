/* request.c - calls cross as they are, and a worker takes none that could trip it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "promises.h"

static struct buf out;
static struct arena arena;

static int start(void **state)
{
    (void)state;
    buf_init(&out, 2 * FRAME_BYTES_MAX);
    arena_init(&arena);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    buf_clear(&out);
    arena_clear(&arena);
    return 0;
}

/* One call of each kind with every argument that is not what a zeroed one would be. */
static struct secret token = {.data = (char *)(uintptr_t) "p\xff\"\\ w", .length = 6};
static const uint32_t uids[] = {1, 2, UINT32_MAX};
static const struct preview_wish wishes[] = {
    {5, "1.2", "text/html", "utf-8", "base64"}, {6, NULL, NULL, NULL, NULL}, {5, "", "", "", ""}};
static const char *const added[] = {"$Forwarded", "a"}, *const removed[] = {"Junk"};

static struct request request_of(uint16_t kind)
{
    struct request request = {
        .kind = kind,
        .call = 0xfedc,
        .deadline_ms = INT64_MAX,
        .target = {.protocol = PROTOCOL_POP3,
                   .security = SECURITY_NONE,
                   .host = "mail.example.org",
                   .port = 65535,
                   .username = "j\xf6rg \"x\" \xc2\x80",
                   .access_token = &token},
        .known = {.remote = "Entw&APw-rfe \x01\xff",
                  .generation = UINT64_MAX,
                  .validity = 3,
                  .uid_next = UINT32_MAX,
                  .floor = 7,
                  .count = 8,
                  .doubtful = uids,
                  .doubtful_count = 3,
                  .compare = true,
                  .modseq = 9},
        .uid = UINT32_MAX,
        .count = 10,
        .with_status = true,
        .wish = {.remote = "INBOX",
                 .validity = 1,
                 .uid = 2,
                 .part = "4.TEXT",
                 .encoding = "base64",
                 .charset = "x-\xc3\xa4",
                 .encoded_size = UINT64_MAX,
                 .mode = READ_HTML_TEXT,
                 .first = 5,
                 .last = UINT64_MAX},
        .wishes = wishes,
        .wish_count = 3,
        .change = {.add = FLAG_SEEN | FLAG_DRAFT,
                   .remove = FLAG_DELETED,
                   .add_keywords = {added, 2},
                   .remove_keywords = {removed, 1}},
    };
    return request;
}

static bool put_and_take(const struct request *request, struct request *taken)
{
    buf_reset(&out);
    assert_int_equal(put_request(&out, request), OK);
    struct frame frame = frame_at(out.data);
    assert_int_equal(frame.length + FRAME_HEADER_BYTES, out.length);
    return take_request(&frame, &arena, taken);
}

static void a_call_of_any_kind_comes_back_as_it_went(void **state)
{
    (void)state;
    for (uint16_t kind = FRAME_OPEN; kind < FRAME_CALLS_END; kind++) {
        struct request request = request_of(kind), taken;
        assert_true(put_and_take(&request, &taken));
        assert_int_equal(taken.kind, kind);
        assert_int_equal(taken.call, 0xfedc);
        assert_true(taken.deadline_ms == INT64_MAX);
        char *first = buf_detach(&out);
        size_t length = FRAME_HEADER_BYTES + frame_at(first).length;
        buf_init(&out, 2 * FRAME_BYTES_MAX);
        assert_int_equal(put_request(&out, &taken), OK); /* what was taken says the same */
        assert_int_equal(out.length, length);
        assert_memory_equal(out.data, first, length);
        free(first);
    }
}

static void arguments_arrive(void **state)
{
    (void)state;
    struct request request = request_of(FRAME_OPEN), taken;
    assert_true(put_and_take(&request, &taken));
    assert_string_equal(taken.target.username, request.target.username);
    assert_string_equal(taken.target.host, "mail.example.org");
    assert_int_equal(taken.target.port, 65535);
    assert_int_equal(taken.target.security, SECURITY_NONE);
    assert_null(taken.target.password);
    assert_ptr_equal(taken.target.access_token, &taken.secret);
    assert_int_equal(taken.secret.length, 6);
    assert_memory_equal(taken.secret.data, token.data, 7);
    assert_false(taken.target.connected);
    request = request_of(FRAME_SYNC);
    assert_true(put_and_take(&request, &taken));
    assert_string_equal(taken.known.remote, request.known.remote);
    assert_memory_equal(taken.known.doubtful, uids, sizeof uids);
    assert_true(taken.known.compare && taken.known.generation == UINT64_MAX);
    assert_int_equal(taken.count, 10);
    request = request_of(FRAME_PREVIEWS);
    assert_true(put_and_take(&request, &taken));
    assert_int_equal(taken.wish_count, 3);
    assert_string_equal(taken.wishes[0].type, "text/html");
    assert_null(taken.wishes[1].part);
    assert_string_equal(taken.wishes[2].part, "");
    request = request_of(FRAME_CHANGE_FLAGS);
    assert_true(put_and_take(&request, &taken));
    assert_int_equal(taken.change.remove, FLAG_DELETED);
    assert_string_equal(taken.change.add_keywords.items[0], "$Forwarded");
    assert_string_equal(taken.change.remove_keywords.items[0], "Junk");
    request = request_of(FRAME_READ_PART);
    assert_true(put_and_take(&request, &taken));
    assert_true(taken.wish.last == UINT64_MAX && taken.wish.mode == READ_HTML_TEXT);
    assert_string_equal(taken.wish.part, "4.TEXT");
}

struct refusal {
    uint16_t kind;
    const char *what;
    void (*spoil)(struct request *);
};

#define SPOILS(name, statement)                                                                    \
    static void name(struct request *request)                                                      \
    {                                                                                              \
        statement;                                                                                 \
    }

static struct secret two_lines = {.data = (char *)(uintptr_t) "a\0b", .length = 3}, none;
static const char *const star[] = {"a*"};
static const uint32_t unsorted[] = {2, 1};

SPOILS(no_port, request->target.port = 0)
SPOILS(no_host, request->target.host = "")
SPOILS(host_with_control, request->target.host = "a\x01")
SPOILS(username_of_two_lines, request->target.username = "a\nb")
SPOILS(no_username, request->target.username = NULL)
SPOILS(secret_with_nul, request->target.access_token = &two_lines)
SPOILS(no_secret, request->target.access_token = &none)
SPOILS(unknown_protocol, request->target.protocol = PROTOCOL_COUNT)
SPOILS(unknown_security, request->target.security = SECURITY_COUNT)
SPOILS(no_folder, request->known.remote = NULL)
SPOILS(no_generation, request->known.generation = 0)
SPOILS(no_floor, request->known.floor = 0)
SPOILS(no_count, request->count = 0)
SPOILS(no_uid, request->uid = 0)
SPOILS(doubts_in_disorder, (request->known.doubtful = unsorted, request->known.doubtful_count = 2))
SPOILS(no_part, request->wish.part = NULL)
SPOILS(no_wished_uid, request->wish.uid = 0)
SPOILS(last_before_first, request->wish.last = 4)
SPOILS(whole_message_decoded, request->wish.part = "")
SPOILS(unknown_mode, request->wish.mode = READ_HTML_TEXT + 1)
SPOILS(both_ways, request->change.remove = FLAG_SEEN)
SPOILS(unknown_flag, request->change.add = FLAG_ALL + 1)
SPOILS(no_atom, request->change.add_keywords.items = (const char *const *)star;
       request->change.add_keywords.count = 1)

#define ROW(kind, name)                                                                            \
    {                                                                                              \
        kind, #name, name                                                                          \
    }

static const struct refusal refusals[] = {
    ROW(FRAME_OPEN, no_port),
    ROW(FRAME_OPEN, no_host),
    ROW(FRAME_OPEN, host_with_control),
    ROW(FRAME_OPEN, username_of_two_lines),
    ROW(FRAME_OPEN, no_username),
    ROW(FRAME_OPEN, secret_with_nul),
    ROW(FRAME_OPEN, no_secret),
    ROW(FRAME_OPEN, unknown_protocol),
    ROW(FRAME_OPEN, unknown_security),
    ROW(FRAME_SYNC, no_folder),
    ROW(FRAME_SYNC, no_generation),
    ROW(FRAME_SYNC, doubts_in_disorder),
    ROW(FRAME_FETCH_OLDER, no_generation),
    ROW(FRAME_FETCH_OLDER, no_floor),
    ROW(FRAME_FETCH_OLDER, no_count),
    ROW(FRAME_FETCH_ONE, no_uid),
    ROW(FRAME_READ_PART, no_part),
    ROW(FRAME_READ_PART, no_wished_uid),
    ROW(FRAME_READ_PART, last_before_first),
    ROW(FRAME_READ_PART, whole_message_decoded),
    ROW(FRAME_READ_PART, unknown_mode),
    ROW(FRAME_CHANGE_FLAGS, no_uid),
    ROW(FRAME_CHANGE_FLAGS, both_ways),
    ROW(FRAME_CHANGE_FLAGS, unknown_flag),
    ROW(FRAME_CHANGE_FLAGS, no_atom),
};

static void what_would_trip_a_worker_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct request request = request_of(refusals[i].kind), taken;
        assert_true(put_and_take(&request, &taken));
        refusals[i].spoil(&request);
        if (put_and_take(&request, &taken))
            fail_msg("taken: %s", refusals[i].what);
    }
}

static void another_version_and_what_is_no_call_are_refused(void **state)
{
    (void)state;
    struct request request = request_of(FRAME_OPEN), taken;
    assert_true(put_and_take(&request, &taken));
    out.data[FRAME_HEADER_BYTES + 8]++; /* behind the deadline */
    struct frame frame = frame_at(out.data);
    assert_false(take_request(&frame, &arena, &taken));
    request = request_of(FRAME_NOOP);
    assert_true(put_and_take(&request, &taken));
    static const uint16_t kinds[] = {0, FRAME_CALLS_END, FRAME_FACTS, FRAME_END, UINT16_MAX};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        frame = frame_at(out.data);
        frame.kind = kinds[i];
        assert_false(take_request(&frame, &arena, &taken));
    }
}

static void a_call_cut_or_followed_by_more_is_refused(void **state)
{
    (void)state;
    for (uint16_t kind = FRAME_OPEN; kind < FRAME_CALLS_END; kind++) {
        struct request request = request_of(kind), taken;
        assert_true(put_and_take(&request, &taken));
        buf_char(&out, '\0');
        struct frame whole = frame_at(out.data);
        for (uint32_t length = 0; length < whole.length + 2; length++) {
            struct frame frame = whole;
            frame.length = length;
            assert_int_equal(take_request(&frame, &arena, &taken), length == whole.length);
        }
    }
}

static void a_call_too_large_leaves_nothing_behind(void **state)
{
    (void)state;
    uint32_t *many = arena_array(&arena, uint32_t, FRAME_BYTES_MAX);
    struct preview_wish *more = arena_array(&arena, struct preview_wish, FRAME_BYTES_MAX / 16);
    char *name = arena_alloc(&arena, RECORD_NAME_BYTES + 2);
    memset(name, 'x', RECORD_NAME_BYTES + 1);
    buf_text(&out, "earlier");
    struct request request = request_of(FRAME_SYNC);
    request.known.doubtful = many;
    request.known.doubtful_count = FRAME_BYTES_MAX;
    assert_int_equal(put_request(&out, &request), ERR_TOO_LARGE);
    request = request_of(FRAME_PREVIEWS);
    request.wishes = more;
    request.wish_count = FRAME_BYTES_MAX / 16;
    assert_int_equal(put_request(&out, &request), ERR_TOO_LARGE);
    request = request_of(FRAME_FETCH_ONE);
    request.known.remote = name;
    assert_int_equal(put_request(&out, &request), ERR_TOO_LARGE);
    assert_int_equal(out.length, 7);
    name[RECORD_NAME_BYTES] = '\0';
    assert_int_equal(put_request(&out, &request), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_of_any_kind_comes_back_as_it_went, start, stop),
        cmocka_unit_test_setup_teardown(arguments_arrive, start, stop),
        cmocka_unit_test_setup_teardown(what_would_trip_a_worker_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(another_version_and_what_is_no_call_are_refused, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_call_cut_or_followed_by_more_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_call_too_large_leaves_nothing_behind, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

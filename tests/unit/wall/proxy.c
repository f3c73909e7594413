/* The near side of the wall against a worker that was taken over: it writes what no honest one
 * would, or what an honest one passes on from a lying mail server. The crew is played here. */
#include "crew.h"
#include "reach.h"
#include "record.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CALL_MS  10000
#define GRACE_MS 2000
#define LATE_MS  2000
#define VALIDITY 7u
#define FLOOR    50u
#define UID      9u
#define COUNT    2u /* messages asked for */
#define FOLDERS  3u

/* ---- the crew ---- */

struct berth {
    uint32_t accused;
    char what[128];
    bool busy;
};

static struct berth crew, left; /* `left`: as the last one was when it was left */
static uint32_t boarded, departed;
static enum err board_error;
static int listener = -1, far_fd = -1;
static struct buf script; /* what the worker writes */

enum err crew_board(struct wall *wall, const struct passenger *passenger,
                    const struct channel_wait *wait, struct fault *fault, struct berth **out,
                    int *channel_fd)
{
    int fds[2], accepted = accept(listener, NULL, NULL);
    (void)wall, (void)wait;
    assert_true(accepted >= 0);
    close(accepted);
    close(passenger->socket);
    assert_string_equal(passenger->host, "127.0.0.1");
    assert_string_equal(passenger->username, "user");
    assert_int_equal(passenger->peer->ss_family, AF_INET);
    if (board_error)
        return fault_set(fault, board_error, "no worker");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    *channel_fd = fds[0];
    far_fd = fds[1];
    crew = (struct berth){0};
    *out = &crew;
    boarded++;
    if (script.length)
        assert_int_equal(send(far_fd, script.data, script.length, MSG_NOSIGNAL),
                         (ssize_t)script.length);
    buf_reset(&script);
    return OK;
}

void crew_busy(struct berth *berth, bool busy)
{
    berth->busy = busy;
}

void crew_accuse(struct berth *berth, const char *what)
{
    berth->accused++;
    snprintf(berth->what, sizeof berth->what, "%s", what);
}

void crew_leave(struct berth **berth)
{
    left = **berth;
    *berth = NULL;
    departed++;
}

/* ---- the scene ---- */

struct scene {
    struct backend *backend;
    struct arena arena;
    struct call call;
    /* what the sinks were told */
    struct change_sink changes;
    struct folder_sink folders;
    struct preview_sink previews;
    struct header_sink headers;
    struct sink bytes;
    uint32_t facts, messages, flags, presents, removes, ranges, listings, texts, header_count;
    uint32_t finished, last_uid;
    uint64_t expected, written;
    enum err refuse;
};

static struct backend_world world = {.folders_max = FOLDERS};
static struct secret password = {.data = (char[]){"open sesame"}, .length = 11};
static struct backend_target target = {
    .world = &world, .host = "127.0.0.1", .username = "user", .password = &password};

#define SCENE(member) ((struct scene *)(void *)((char *)sink - offsetof(struct scene, member)))

static enum err told_folder(struct change_sink *sink, const struct folder_facts *facts, bool reset)
{
    (void)facts, (void)reset;
    SCENE(changes)->facts++;
    return OK;
}

static enum err told_message(struct change_sink *sink, const struct message *message)
{
    SCENE(changes)->messages++;
    SCENE(changes)->last_uid = message->uid;
    return SCENE(changes)->refuse;
}

static enum err told_flags(struct change_sink *sink, uint32_t uid, uint32_t flags,
                           const struct string_list *keywords, uint64_t modseq)
{
    (void)flags, (void)keywords, (void)modseq;
    SCENE(changes)->flags++;
    SCENE(changes)->last_uid = uid;
    return OK;
}

static enum err told_present(struct change_sink *sink, uint32_t from,
                             const struct uid_range *ranges, uint32_t count)
{
    (void)from, (void)ranges;
    SCENE(changes)->presents++;
    SCENE(changes)->ranges += count;
    return OK;
}

static enum err told_removed(struct change_sink *sink, const struct uid_range *ranges,
                             uint32_t count)
{
    (void)ranges;
    SCENE(changes)->removes++;
    SCENE(changes)->ranges += count;
    return OK;
}

static enum err told_listing(struct folder_sink *sink, const struct folder_listing *listing)
{
    (void)listing;
    SCENE(folders)->listings++;
    return OK;
}

static enum err told_preview(struct preview_sink *sink, uint32_t uid, const char *text)
{
    (void)uid, (void)text;
    SCENE(previews)->texts++;
    return OK;
}

static enum err told_header(struct header_sink *sink, const char *name, const char *value)
{
    (void)name, (void)value;
    SCENE(headers)->header_count++;
    return OK;
}

static enum err told_bytes(struct sink *sink, const void *data, size_t length)
{
    (void)data;
    SCENE(bytes)->written += length;
    return SCENE(bytes)->refuse;
}

static void told_expected(struct sink *sink, uint64_t length)
{
    SCENE(bytes)->expected = length;
}

static enum err told_finished(struct sink *sink)
{
    SCENE(bytes)->finished++;
    return OK;
}

static struct call *fresh_call(struct scene *scene)
{
    arena_clear(&scene->arena);
    scene->call = (struct call){.arena = &scene->arena, .deadline_ms = clock_now_ms() + CALL_MS};
    return &scene->call;
}

static void put_good_open(void)
{
    struct backend_info info = {.caps = CAP_FLAGS, .capability_text = "IMAP4rev1"};
    put_info(&script, 1, &info);
    put_end(&script, 1, OK, NULL, 0);
}

static enum err try_open(struct scene *scene, const volatile bool *cancelled)
{
    return backend_walled.open(&target, fresh_call(scene), cancelled, &scene->backend);
}

static void open_scene(struct scene *scene)
{
    put_good_open();
    assert_int_equal(try_open(scene, NULL), OK);
}

static void close_scene(struct scene *scene)
{
    if (scene->backend)
        backend_walled.close(scene->backend);
    scene->backend = NULL;
    if (far_fd >= 0)
        close(far_fd);
    far_fd = -1;
}

static int scene_start(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    arena_init(&scene->arena);
    scene->changes =
        (struct change_sink){told_folder, told_message, told_flags, told_present, told_removed};
    scene->folders.folder = told_listing;
    scene->previews.preview = told_preview;
    scene->headers.header = told_header;
    scene->bytes =
        (struct sink){.write = told_bytes, .finish = told_finished, .expect = told_expected};
    boarded = departed = 0;
    board_error = OK;
    buf_init(&script, 32u << 20);
    *state = scene;
    return 0;
}

static int scene_end(void **state)
{
    struct scene *scene = *state;
    close_scene(scene);
    assert_int_equal(boarded, departed);
    arena_clear(&scene->arena);
    buf_clear(&script);
    free(scene);
    return 0;
}

/* ---- the worker ---- */

static void *write_script(void *argument)
{
    (void)argument;
    for (size_t at = 0; at < script.length;) {
        ssize_t moved = send(far_fd, script.data + at, script.length - at, MSG_NOSIGNAL);
        if (moved > 0)
            at += (size_t)moved;
        else if (errno != EAGAIN)
            break;
        else
            usleep(500);
    }
    return NULL;
}

static const struct preview_wish wishes[] = {{.uid = 3}, {.uid = 4}};

static enum err run(struct scene *scene, uint16_t kind)
{
    const struct backend_ops *ops = &backend_walled;
    struct call *call = fresh_call(scene);
    const struct folder_known known = {
        .remote = "INBOX", .generation = 1, .validity = VALIDITY, .uid_next = 100, .floor = FLOOR};
    const struct part_wish wish = {
        .remote = "INBOX", .uid = UID, .part = "1", .first = 10, .last = 19};
    const struct flag_change change = {.add = FLAG_SEEN};
    struct quota_resource *resources;
    uint32_t count;
    uint64_t size;
    switch (kind) {
    case FRAME_LIST_FOLDERS: return ops->list_folders(scene->backend, call, false, &scene->folders);
    case FRAME_SYNC: return ops->sync(scene->backend, call, &known, COUNT, &scene->changes);
    case FRAME_FETCH_OLDER:
        return ops->fetch_older(scene->backend, call, &known, COUNT, &scene->changes, &count);
    case FRAME_FETCH_ONE: return ops->fetch_one(scene->backend, call, &known, UID, &scene->changes);
    case FRAME_PREVIEWS:
        return ops->previews(scene->backend, call, &known, wishes, 2, &scene->previews);
    case FRAME_READ_PART: return ops->read_part(scene->backend, call, &wish, &scene->bytes);
    case FRAME_PART_SIZE: return ops->part_size(scene->backend, call, &wish, &size);
    case FRAME_READ_HEADERS: return ops->read_headers(scene->backend, call, &wish, &scene->headers);
    case FRAME_CHANGE_FLAGS:
        return ops->change_flags(scene->backend, call, &known, UID, &change, &scene->changes);
    case FRAME_QUOTA: return ops->quota(scene->backend, call, &resources, &count);
    default: return ops->noop(scene->backend, call);
    }
}

/* The call, answered with the script. */
static enum err play(struct scene *scene, uint16_t kind)
{
    pthread_t writer;
    pthread_create(&writer, NULL, write_script, NULL);
    enum err err = run(scene, kind);
    pthread_join(writer, NULL);
    buf_reset(&script);
    return err;
}

#define CALL 2u /* the first after open */

static void facts(uint32_t validity, bool reset)
{
    struct folder_facts now = {.validity = validity, .uid_next = 100, .exists = 60};
    put_facts(&script, CALL, &now, reset);
}

static void message(uint32_t uid)
{
    struct message told = {.uid = uid, .limited = LIMITED_UNREADABLE};
    put_message(&script, CALL, &told);
}

static void flags(uint32_t uid)
{
    put_flags(&script, CALL, uid, FLAG_SEEN, &(struct string_list){0}, 0);
}

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

static void ok(uint64_t value)
{
    put_end(&script, CALL, OK, NULL, value);
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
    for (uint32_t i = 0; i * RANGES_A_FRAME <= RANGES_MAX; i++)
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

/* ---- what a lying mail server may put into an honest worker's mouth ---- */

static void records_nobody_asked_for_are_dropped(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    message(UID + 1);
    message(UID);
    ok(0);
    assert_int_equal(play(scene, FRAME_FETCH_ONE), OK);
    assert_int_equal(scene->messages, 1);
    assert_int_equal(scene->last_uid, UID);
    assert_int_equal(crew.accused, 0);
    close_scene(scene);
    open_scene(scene);
    facts(VALIDITY, false);
    message(FLOOR);
    message(FLOOR - 1);
    message(UINT32_MAX);
    ok(FLOOR - 1);
    assert_int_equal(play(scene, FRAME_FETCH_OLDER), OK);
    assert_int_equal(scene->messages, 2);
    assert_int_equal(scene->last_uid, FLOOR - 1);
    assert_int_equal(crew.accused, 0);
}

static void more_messages_than_wanted_end_the_connection_only(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    facts(VALIDITY, false);
    for (uint32_t i = 0; i < 2 * COUNT; i++)
        message(20 - i);
    ok(1);
    assert_int_equal(play(scene, FRAME_FETCH_OLDER), ERR_PROTOCOL);
    assert_int_equal(scene->messages, COUNT);
    assert_true(scene->backend->dead);
    assert_int_equal(crew.accused, 0);
}

static void more_bytes_than_wanted_end_the_connection_only(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    put_bytes(&script, CALL, "0123456", 7);
    put_bytes(&script, CALL, "789x", 4);
    ok(0);
    assert_int_equal(play(scene, FRAME_READ_PART), ERR_PROTOCOL);
    assert_int_equal(scene->written, 7);
    assert_int_equal(scene->finished, 0);
    close_scene(scene);
    open_scene(scene);
    put_expect(&script, CALL, 11);
    ok(0);
    assert_int_equal(play(scene, FRAME_READ_PART), ERR_PROTOCOL);
    assert_int_equal(scene->expected, 0);
    assert_int_equal(crew.accused, 0);
}

static void a_length_that_comes_late_is_not_told(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    put_bytes(&script, CALL, "ab", 2);
    put_expect(&script, CALL, 8);
    put_bytes(&script, CALL, "cdefghij", 8);
    ok(0);
    assert_int_equal(play(scene, FRAME_READ_PART), OK);
    assert_int_equal(scene->expected, 0);
    assert_int_equal(scene->written, 10);
    assert_int_equal(scene->finished, 1);
}

/* ---- what is honest ---- */

static void answers_reach_their_sinks(void **state)
{
    struct scene *scene = *state;
    const struct uid_range some[] = {{1, 4}, {6, 6}};
    struct uid_range *many = calloc(20000, sizeof *many);
    for (uint32_t i = 0; i < 20000; i++)
        many[i] = (struct uid_range){1 + 3 * i, 2 + 3 * i};
    open_scene(scene);
    put_selected(&script, CALL, "INBOX");
    facts(VALIDITY, false);
    message(120);
    flags(60);
    put_ranges(&script, CALL, FRAME_REMOVED, 0, some, 2);
    put_ranges(&script, CALL, FRAME_PRESENT, 1, many, 20000);
    put_ranges(&script, CALL, FRAME_PRESENT, 1, NULL, 0);
    ok(0);
    assert_int_equal(play(scene, FRAME_SYNC), OK);
    assert_int_equal(scene->facts + scene->messages + scene->flags, 3);
    assert_int_equal(scene->removes, 1);
    assert_int_equal(scene->presents, 2);
    assert_int_equal(scene->ranges, 20002);
    assert_string_equal(scene->backend->selected, "INBOX");
    assert_false(crew.busy || scene->backend->dead);
    put_selected(&script, CALL + 1, NULL);
    put_end(&script, CALL + 1, OK, NULL, 0);
    assert_int_equal(play(scene, FRAME_NOOP), OK);
    assert_null(scene->backend->selected);
    free(many);
}

static void a_fault_crosses_whole(void **state)
{
    struct scene *scene = *state;
    struct fault fault = {0};
    open_scene(scene);
    fault_reply(&fault, "imap", "No such message", 15);
    fault_set(&fault, ERR_GONE, "the message is not there any more");
    put_end(&script, CALL, ERR_GONE, &fault, 0);
    assert_int_equal(play(scene, FRAME_FETCH_ONE), ERR_GONE);
    assert_memory_equal(&scene->call.fault, &fault, sizeof fault);
    assert_false(scene->backend->dead || crew.busy);
    put_end(&script, CALL + 1, OK, NULL, 0);
    assert_int_equal(play(scene, FRAME_NOOP), OK); /* the connection lives */
    fault_clear(&fault);
    fault_set(&fault, ERR_PROTOCOL, "the mail server sent nonsense");
    put_end(&script, CALL + 2, ERR_PROTOCOL, &fault, 0);
    assert_int_equal(play(scene, FRAME_NOOP), ERR_PROTOCOL);
    assert_true(scene->backend->dead);
    assert_int_equal(crew.accused, 0);
}

static void the_credential_crosses_and_is_wiped(void **state)
{
    struct scene *scene = *state;
    struct channel far;
    struct channel_wait wait = {.deadline_ms = clock_now_ms() + CALL_MS};
    struct frame frame;
    struct request request;
    open_scene(scene);
    channel_init(&far, far_fd);
    far_fd = -1;
    assert_int_equal(channel_read(&far, &wait, FRAME_OPEN, FRAME_CALLS_END, &frame), OK);
    assert_true(take_request(&frame, &scene->arena, &request));
    assert_int_equal(request.kind, FRAME_OPEN);
    assert_string_equal(request.target.username, "user");
    assert_int_equal(request.secret.length, password.length);
    assert_memory_equal(request.secret.data, password.data, password.length);
    channel_clear(&far);
}

/* ---- ends ---- */

static void the_end_of_the_process_is_told_as_such(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    facts(VALIDITY, false);
    message(120);
    script.length -= 5; /* in the middle of a frame */
    write_script(NULL);
    shutdown(far_fd, SHUT_WR);
    buf_reset(&script);
    assert_int_equal(run(scene, FRAME_SYNC), ERR_WORKER);
    assert_int_equal(scene->call.fault.code, ERR_WORKER);
    assert_int_equal(scene->facts, 1);
    assert_int_equal(scene->messages, 0);
    assert_int_equal(crew.accused, 0);
    assert_true(crew.busy); /* still suspected, if it turns out to have crashed */
    close_scene(scene);
    assert_true(left.busy);
}

static void *cancel_later(void *backend)
{
    usleep(50000);
    backend_walled.cancel(backend);
    return NULL;
}

static void a_cancel_from_another_thread_ends_the_call(void **state)
{
    struct scene *scene = *state;
    pthread_t thread;
    char byte[512];
    open_scene(scene);
    pthread_create(&thread, NULL, cancel_later, scene->backend);
    assert_int_equal(run(scene, FRAME_NOOP), ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(run(scene, FRAME_SYNC), ERR_CANCELLED);
    while (recv(far_fd, byte, sizeof byte, 0) > 0)
        ;
    assert_int_equal(recv(far_fd, byte, sizeof byte, 0), 0); /* the worker sees it too */
}

static void the_workers_own_words_win_over_the_deadline(void **state)
{
    struct scene *scene = *state;
    struct fault fault = {0};
    open_scene(scene);
    struct call *call = fresh_call(scene);
    call->deadline_ms = clock_now_ms() - GRACE_MS / 2;
    fault_set(&fault, ERR_TIMEOUT, "the mail server did not finish FETCH in time");
    put_end(&script, CALL, ERR_TIMEOUT, &fault, 0);
    write_script(NULL);
    assert_int_equal(backend_walled.noop(scene->backend, call), ERR_TIMEOUT);
    assert_string_equal(call->fault.detail, fault.detail);
}

static void a_worker_that_hangs_is_left_after_the_grace(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    struct call *call = fresh_call(scene);
    int64_t start_ms = clock_now_ms();
    call->deadline_ms = start_ms + 100;
    assert_int_equal(backend_walled.noop(scene->backend, call), ERR_TIMEOUT);
    assert_in_range(clock_now_ms() - start_ms, 99 + GRACE_MS, 100 + GRACE_MS + LATE_MS);
    assert_true(scene->backend->dead && crew.busy);
}

static void *set_later(void *flag)
{
    usleep(60000);
    __atomic_store_n((volatile bool *)flag, true, __ATOMIC_RELAXED);
    return NULL;
}

static void a_cancelled_open_gives_its_berth_back(void **state)
{
    struct scene *scene = *state;
    volatile bool cancelled = false;
    pthread_t thread;
    pthread_create(&thread, NULL, set_later, (void *)&cancelled);
    assert_int_equal(try_open(scene, &cancelled), ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_null(scene->backend);
    assert_int_equal(departed, 1);
}

static void no_worker_is_no_connection(void **state)
{
    struct scene *scene = *state;
    board_error = ERR_BUSY;
    assert_int_equal(try_open(scene, NULL), ERR_BUSY);
    assert_null(scene->backend);
    assert_int_equal(boarded, 0);
}

/* ---- a sink that refuses ---- */

static void a_refusal_is_passed_on_and_the_rest_read_away(void **state)
{
    struct scene *scene = *state;
    open_scene(scene);
    scene->refuse = ERR_STORE;
    facts(VALIDITY, false);
    for (uint32_t i = 0; i < 100; i++)
        message(200 - i);
    ok(0);
    assert_int_equal(play(scene, FRAME_SYNC), ERR_STORE);
    assert_int_equal(scene->messages, 1);
    assert_false(scene->backend->dead || crew.busy);
    put_end(&script, CALL + 1, OK, NULL, 0);
    assert_int_equal(play(scene, FRAME_NOOP), OK);
    assert_int_equal(crew.accused, 0);
}

static void a_refusal_of_much_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    char *data = calloc(1, FRAME_STREAM_BYTES);
    const struct part_wish wish = {.remote = "INBOX", .uid = UID, .part = "1", .last = UINT64_MAX};
    pthread_t writer;
    open_scene(scene);
    scene->refuse = ERR_STORE;
    for (uint32_t i = 0; i < 64; i++)
        put_bytes(&script, CALL, data, FRAME_STREAM_BYTES);
    ok(0);
    pthread_create(&writer, NULL, write_script, NULL);
    assert_int_equal(
        backend_walled.read_part(scene->backend, fresh_call(scene), &wish, &scene->bytes),
        ERR_CANCELLED);
    pthread_join(writer, NULL);
    assert_int_equal(scene->written, FRAME_STREAM_BYTES);
    assert_int_equal(scene->finished, 0);
    assert_true(scene->backend->dead);
    assert_int_equal(crew.accused, 0);
    free(data);
}

static int listen_here(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    struct fault fault = {0};
    struct reach *reach;
    (void)state;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &size) != 0 ||
        reach_new("*", &fault, &reach) != OK)
        return -1;
    target.port = ntohs(at.sin_port);
    world.reach = reach;
    return 0;
}

static int listen_no_more(void **state)
{
    struct reach *reach = (struct reach *)(uintptr_t)world.reach;
    (void)state;
    reach_free(&reach);
    return close(listener);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_start, scene_end)
    const struct CMUnitTest tests[] = {
        TEST(a_lie_is_accused_once_and_ends_the_connection),
        TEST(an_open_that_lies_is_accused_and_leaves_nothing),
        TEST(records_nobody_asked_for_are_dropped),
        TEST(more_messages_than_wanted_end_the_connection_only),
        TEST(more_bytes_than_wanted_end_the_connection_only),
        TEST(a_length_that_comes_late_is_not_told),
        TEST(answers_reach_their_sinks),
        TEST(a_fault_crosses_whole),
        TEST(the_credential_crosses_and_is_wiped),
        TEST(the_end_of_the_process_is_told_as_such),
        TEST(a_cancel_from_another_thread_ends_the_call),
        TEST(the_workers_own_words_win_over_the_deadline),
        TEST(a_worker_that_hangs_is_left_after_the_grace),
        TEST(a_cancelled_open_gives_its_berth_back),
        TEST(no_worker_is_no_connection),
        TEST(a_refusal_is_passed_on_and_the_rest_read_away),
        TEST(a_refusal_of_much_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, listen_here, listen_no_more);
}

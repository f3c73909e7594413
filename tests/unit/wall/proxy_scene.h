/* proxy_scene.h - a near side of the wall, and the worker and the crew played by the test. The
 * worker writes a script, whatever it is asked. */
#ifndef POSTERN_TESTS_PROXY_SCENE_H
#define POSTERN_TESTS_PROXY_SCENE_H

#include "crew.h"
#include "reach.h"
#include "content.h"

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

void crew_leave(struct berth **berth, bool lost)
{
    (void)lost;
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

static void ok(uint64_t value)
{
    put_end(&script, CALL, OK, NULL, value);
}

/* ---- where connections go ---- */

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_start, scene_end)

#endif

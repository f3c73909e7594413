/* attend_support.h - an attendance over the in-memory mail server, and a near end that speaks
 * record.h by hand.
 *
 * Each connection has a socket that stands for the mail server's: what the backend holds is one end
 * of a pair, a test holds the other.
 */
#ifndef POSTERN_ATTEND_SUPPORT_H
#define POSTERN_ATTEND_SUPPORT_H

#include "attend.h"
#include "memory_backend.h"
#include "record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST       "mail.example.test"
#define LONG_MS    10000
#define PLACES_MAX 512
#define BIG_BYTES  3000000u

/* ---- the mail server: the memory backend, and a socket as a real backend has ---- */

struct place {
    struct backend *backend; /* NULL: free */
    int socket;
    void (*before_wait)(void *argument);
    void *before_wait_argument;
};

static struct place places[PLACES_MAX];
static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;
static struct backend_ops socket_ops; /* memory_backend with some of its own, see fixture_open */

static inline struct place place_of(struct backend *backend)
{
    struct place found = {.socket = -1};
    pthread_mutex_lock(&places_lock);
    for (int i = 0; i < PLACES_MAX; i++)
        if (places[i].backend == backend)
            found = places[i];
    pthread_mutex_unlock(&places_lock);
    return found;
}

static inline enum err socket_open(const struct backend_target *target, struct call *call,
                                   const volatile bool *cancelled, struct backend **out)
{
    assert_true(target->connected);
    enum err err = memory_backend.open(target, call, cancelled, out);
    if (err) {
        close(target->socket);
        return err;
    }
    (*out)->ops = &socket_ops;
    struct place place = {*out, target->socket, target->before_wait, target->before_wait_argument};
    pthread_mutex_lock(&places_lock);
    for (int i = 0; i < PLACES_MAX && place.backend; i++)
        if (!places[i].backend) {
            places[i] = place;
            place.backend = NULL;
        }
    pthread_mutex_unlock(&places_lock);
    assert_null(place.backend);
    return OK;
}

static inline void socket_close(struct backend *backend)
{
    int fd = place_of(backend).socket;
    pthread_mutex_lock(&places_lock);
    for (int i = 0; i < PLACES_MAX; i++)
        if (places[i].backend == backend)
            places[i].backend = NULL;
    pthread_mutex_unlock(&places_lock);
    memory_backend.close(backend);
    close(fd);
}

static inline int socket_fd(struct backend *backend)
{
    return place_of(backend).socket;
}

static inline char big_byte(size_t at)
{
    return (char)(at * 2654435761u >> 13);
}

/* Part "big": BIG_BYTES, in pieces of all sizes. */
static inline enum err socket_read_part(struct backend *backend, struct call *call,
                                        const struct part_wish *wish, struct sink *sink)
{
    static const size_t sizes[] = {1, 100, 4096, 20000, 70000, 16384, 300000};
    if (strcmp(wish->part, "big") != 0)
        return memory_backend.read_part(backend, call, wish, sink);
    char *all = malloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        all[i] = big_byte(i);
    enum err err = OK;
    sink_expect(sink, BIG_BYTES);
    for (size_t at = 0, turn = 0; at < BIG_BYTES && !err; turn++) {
        size_t piece = sizes[turn % 7] < BIG_BYTES - at ? sizes[turn % 7] : BIG_BYTES - at;
        err = sink_write(sink, all + at, piece);
        at += piece;
    }
    free(all);
    return err;
}

/* Tells its first folder, then waits for the mail server as long as a NOOP does. */
static inline enum err socket_list_folders(struct backend *backend, struct call *call,
                                           bool with_status, struct folder_sink *sink)
{
    struct folder_listing first = {.remote = "first", .path = "first", .size = -1};
    struct place place = place_of(backend);
    enum err err = sink->folder(sink, &first);
    if (!err) {
        place.before_wait(place.before_wait_argument);
        err = memory_backend.noop(backend, call);
    }
    return err ? err : memory_backend.list_folders(backend, call, with_status, sink);
}

/* ---- the worker ---- */

struct fixture {
    struct backend_world world;
    const struct backend_ops *ops[PROTOCOL_COUNT];
    struct attendance *attendance;
    struct memory_server *server;
};

static inline void fixture_open_hung(struct fixture *fixture, uint32_t threads_max, int hung_ms)
{
    *fixture = (struct fixture){.ops = {[PROTOCOL_IMAP] = &socket_ops}};
    socket_ops = memory_backend;
    socket_ops.open = socket_open;
    socket_ops.close = socket_close;
    socket_ops.fd = socket_fd;
    socket_ops.read_part = socket_read_part;
    socket_ops.list_folders = socket_list_folders;
    fixture->server = memory_server_new(HOST);
    struct attendance_config config = {.world = &fixture->world,
                                       .ops = fixture->ops,
                                       .threads_max = threads_max,
                                       .hung_ms = hung_ms};
    fixture->attendance = attendance_new(&config);
}

static inline void fixture_open(struct fixture *fixture, uint32_t threads_max)
{
    fixture_open_hung(fixture, threads_max, 0);
}

static inline void fixture_close(struct fixture *fixture)
{
    attendance_stop(&fixture->attendance);
    assert_null(fixture->attendance);
    assert_int_equal(memory_server_stats(fixture->server).open, 0);
    memory_server_free(&fixture->server);
}

static inline void sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

#define assert_soon(condition)                                                                     \
    do {                                                                                           \
        int64_t until_ms_ = clock_now_ms() + LONG_MS;                                              \
        while (!(condition) && clock_now_ms() < until_ms_)                                         \
            sleep_ms(5);                                                                           \
        assert_true(condition);                                                                    \
    } while (0)

static inline int threads_now(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* ---- the near end ---- */

struct near {
    struct channel channel;
    int server; /* the mail server's own end */
    uint16_t call;
    struct arena arena; /* of the last answers */
};

static inline struct near near_open(struct fixture *fixture)
{
    int channel[2], socket[2];
    struct near near = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, channel),
                     0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket), 0);
    channel_init(&near.channel, channel[0]);
    near.server = socket[0];
    arena_init(&near.arena);
    attendance_adopt(fixture->attendance, channel[1], socket[1]);
    return near;
}

static inline void near_close(struct near *near)
{
    channel_clear(&near->channel);
    if (near->server >= 0)
        close(near->server);
    arena_clear(&near->arena);
}

static inline struct channel_wait wait_long(void)
{
    return (struct channel_wait){.deadline_ms = clock_now_ms() + LONG_MS};
}

static inline void near_ask(struct near *near, struct request request)
{
    struct channel_wait wait = wait_long();
    request.call = ++near->call;
    if (request.deadline_ms == 0)
        request.deadline_ms = clock_now_ms() + LONG_MS;
    assert_int_equal(put_request(&near->channel.out, &request), OK);
    assert_int_equal(channel_flush(&near->channel, &wait), OK);
}

/* One frame; false when the far end closed the channel. */
static inline bool near_take(struct near *near, uint16_t asked, struct answer *out)
{
    struct channel_wait wait = wait_long();
    struct frame frame;
    enum err err = channel_read(&near->channel, &wait, FRAME_FACTS, FRAME_ANSWERS_END, &frame);
    if (err == ERR_WORKER)
        return false;
    assert_int_equal(err, OK);
    assert_int_equal(frame.call, near->call);
    assert_true(take_answer(&frame, asked, &near->arena, out));
    return true;
}

#define COUNTS FRAME_ANSWERS_END
struct answers {
    unsigned count[COUNTS]; /* by kind */
    struct answer last[COUNTS];
    enum err err;
    uint64_t value;
    bool closed; /* instead of an end */
};

static inline struct answers near_take_all(struct near *near, uint16_t asked)
{
    struct answers all = {0};
    struct answer answer;
    while (near_take(near, asked, &answer)) {
        all.count[answer.kind]++;
        all.last[answer.kind] = answer;
        if (answer.kind == FRAME_END) {
            all.err = answer.err;
            all.value = answer.number;
            return all;
        }
    }
    all.closed = true;
    return all;
}

static inline struct answers near_call(struct near *near, struct request request)
{
    near_ask(near, request);
    return near_take_all(near, request.kind);
}

static inline bool is_eof(int fd, int within_ms)
{
    char byte;
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, within_ms) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static inline struct request request_open(struct secret *secret, const char *password)
{
    *secret = (struct secret){.data = (char *)(uintptr_t)password, .length = strlen(password)};
    return (struct request){
        .kind = FRAME_OPEN,
        .target = {.protocol = PROTOCOL_IMAP,
                   .security = SECURITY_TLS,
                   .host = HOST,
                   .port = 993,
                   .username = "user",
                   .password = secret},
    };
}

static inline struct answers near_sign_in(struct near *near, const char *password)
{
    struct secret secret;
    return near_call(near, request_open(&secret, password));
}

static inline struct near near_ready(struct fixture *fixture)
{
    struct near near = near_open(fixture);
    struct answers answers = near_sign_in(&near, "secret");
    assert_int_equal(answers.err, OK);
    assert_int_equal(answers.count[FRAME_INFO], 1);
    return near;
}

static inline struct request request_of(uint16_t kind)
{
    return (struct request){
        .kind = kind,
        .known = {.remote = "INBOX", .generation = 1, .floor = 1},
        .uid = 1,
        .count = 10,
        .wish = {.remote = "INBOX", .uid = 1, .part = "", .mode = READ_RAW, .last = UINT64_MAX},
    };
}

#define RAW_MESSAGE                                                                                \
    "From: a@example.test\r\nSubject: One\r\nContent-Type: text/plain\r\n\r\nHello, wall.\r\n"

static inline void deliver(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++)
        memory_server_deliver(fixture->server, "INBOX", RAW_MESSAGE, sizeof RAW_MESSAGE - 1);
}

#endif

/* walled_fixture.c - the suite over the backend in memory, seen through the wall: the real near
 * side, the real far side, and between them the crew that a process would have, played here. An
 * honest worker is never accused. */
#include "attend.h"
#include "contract.h"
#include "crew.h"
#include "memory_backend.h"
#include "reach.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "127.0.0.1"

static struct memory_server *server;
static struct attendance *attendance;
static struct reach *reach;
static int listener; /* what the near side connects to; nobody speaks there */
static struct backend_world world = {.folders_max = 1000};
static struct secret password = {.data = (char[]){"secret"}, .length = 6};

static void die(const char *what)
{
    fprintf(stderr, "walled_fixture: %s\n", what);
    abort();
}

/* ---- the crew ---- */

struct berth {
    bool busy;
};

enum err crew_board(struct wall *wall, const struct passenger *passenger,
                    const struct channel_wait *wait, struct fault *fault, struct berth **out,
                    int *channel_fd)
{
    int fds[2], accepted = accept(listener, NULL, NULL);
    (void)wall, (void)wait, (void)fault;
    if (accepted < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        die("no connection");
    close(accepted);
    attendance_adopt(attendance, fds[1], passenger->socket);
    *channel_fd = fds[0];
    *out = xalloc(sizeof **out);
    return OK;
}

void crew_busy(struct berth *berth, bool busy)
{
    if (berth->busy == busy)
        die("two calls at a time");
    berth->busy = busy;
}

void crew_accuse(struct berth *berth, const char *what)
{
    (void)berth;
    die(what);
}

void crew_leave(struct berth **berth, bool lost)
{
    (void)lost;
    free(*berth);
    *berth = NULL;
}

/* ---- the far side ---- */

static enum err far_open(const struct backend_target *target, struct call *call,
                         const volatile bool *cancelled, struct backend **out)
{
    if (!target->connected)
        die("a worker that would have to connect");
    close(target->socket);
    return memory_backend.open(target, call, cancelled, out);
}

static void start(void)
{
    static struct backend_ops far;
    static const struct backend_ops *const offered[PROTOCOL_COUNT] = {[PROTOCOL_IMAP] = &far};
    const struct attendance_config config = {.world = &world, .ops = offered, .threads_max = 4};
    struct fault fault = {0};
    far = memory_backend;
    far.open = far_open;
    server = memory_server_new(HOST);
    if (reach_new("*", &fault, &reach))
        die(fault.detail);
    world.reach = reach;
    attendance = attendance_new(&config);
}

static uint16_t start_listener(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &size) != 0)
        die("no listener");
    return ntohs(at.sin_port);
}

static void stop(void)
{
    attendance_stop(&attendance);
    memory_server_free(&server);
    reach_free(&reach);
    close(listener);
}

/* ---- the other way to the mailbox ---- */

static void make_folder(const char *path)
{
    memory_server_add_folder(server, path);
}

static uint32_t deliver(const char *path, const char *raw)
{
    return memory_server_deliver(server, path, raw, strlen(raw));
}

static void flag(const char *path, uint32_t uid, uint32_t flags, const char *keyword)
{
    memory_server_flag(server, path, uid, flags, keyword);
}

static void expunge(const char *path, uint32_t uid)
{
    memory_server_expunge(server, path, uid);
}

static void change_validity(const char *path)
{
    memory_server_change_validity(server, path);
}

static void block_next(void)
{
    memory_server_script(server, &(struct memory_fault){.op = MEMORY_ANY, .block = true});
}

static struct backend_target silent(void)
{
    memory_server_script(server, &(struct memory_fault){.op = MEMORY_OPEN, .block = true});
    return fixture_start()->target;
}

const struct fixture *fixture_start(void)
{
    static struct fixture fixture = {
        .ops = &backend_walled,
        .target = {.world = &world, .host = HOST, .username = "user", .password = &password},
        .make_folder = make_folder,
        .deliver = deliver,
        .flag = flag,
        .expunge = expunge,
        .change_validity = change_validity,
        .block_next = block_next,
        .silent = silent,
        .stop = stop,
    };
    if (!server) {
        start();
        fixture.target.port = start_listener();
    }
    return &fixture;
}

/* memory_fixture.c - the suite over the backend in memory. */
#include "contract.h"
#include "memory_backend.h"

#include <string.h>

static struct memory_server *server;
static struct secret password = {.data = (char[]){"secret"}, .length = 6};

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

static void stop(void)
{
    memory_server_free(&server);
}

const struct fixture *fixture_start(void)
{
    static struct fixture fixture = {
        .ops = &memory_backend,
        .target = {.host = "memory.test", .port = 143, .username = "user", .password = &password},
        .make_folder = make_folder,
        .deliver = deliver,
        .flag = flag,
        .expunge = expunge,
        .change_validity = change_validity,
        .block_next = block_next,
        .silent = silent,
        .stop = stop,
    };
    if (!server)
        server = memory_server_new("memory.test");
    return &fixture;
}

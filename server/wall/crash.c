/* crash.c - see crash.h. */
#include "crash.h"

#ifndef NDEBUG

#include "arena.h"
#include "clock.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANG_MS     30000
#define PIECE_BYTES (64u * 1024u * 1024u)
#define PIECES_MAX  (64u * 1024u) /* 4 TiB: nobody has so much, limited or not */

struct crash_action {
    const char *name;
    void (*act)(void); /* NULL: a lie, which the caller tells */
};

static void crash_segv(void)
{
    volatile char *nowhere = (volatile char *)(uintptr_t)64; /* no system call may be needed */
    *nowhere = 1;
}

static void crash_abort(void)
{
    abort();
}

static void crash_kill(void)
{
    kill(getpid(), SIGKILL);
    abort(); /* not even that is allowed */
}

static void crash_exit(void)
{
    _exit(3);
}

static void crash_hang(void)
{
    int64_t until_ms = clock_now_ms() + HANG_MS;
    while (clock_now_ms() < until_ms)
        continue;
}

/* Zeroed pages are not touched: it is the address space that runs out, not the machine. */
static void crash_memory(void)
{
    static void *volatile piece;
    for (unsigned i = 0; i < PIECES_MAX; i++)
        piece = xalloc(PIECE_BYTES);
    (void)piece;
    abort();
}

static void report(const char *event, bool failed)
{
    log_event(LOG_WARN, event, LOG_INT("errno", failed ? errno : 0), LOG_END);
}

static void crash_exec(void)
{
    char program[] = "/bin/true";
    char *const arguments[] = {program, NULL}, *const environment[] = {NULL};
    execve(program, arguments, environment);
    report("crash.exec", true);
}

static void crash_open(void)
{
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    report("crash.open", fd < 0);
    if (fd >= 0)
        close(fd);
}

static void crash_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    report("crash.socket", fd < 0);
    if (fd >= 0)
        close(fd);
}

static const struct crash_action crash_actions[] = {
    {"segv", crash_segv}, {"abort", crash_abort}, {"kill", crash_kill},
    {"exit", crash_exit}, {"hang", crash_hang},   {"memory", crash_memory},
    {"exec", crash_exec}, {"open", crash_open},   {"socket", crash_socket},
    {"lie", NULL},
};

static const char *const crash_points[] = {"open", "call", "record", "bytes", "end"};

/* Written before there are threads. */
static struct {
    const char *point; /* NULL: off */
    const struct crash_action *action;
    char host[256]; /* "": any */
    unsigned long count;
    atomic_ulong passed;
} crash;

/* Cuts the text at the last `sign`; what stood behind it, or NULL. */
static char *cut(char *text, char sign)
{
    char *at = strrchr(text, sign);
    if (at)
        *at++ = '\0';
    return at;
}

static bool crash_read(char *text)
{
    const char *count = cut(text, '*'), *host = cut(text, '@'), *action = cut(text, ':');
    crash.action = NULL;
    for (size_t i = 0; i < sizeof crash_actions / sizeof *crash_actions; i++)
        if (strcmp(crash_actions[i].name, action ? action : "segv") == 0)
            crash.action = &crash_actions[i];
    for (size_t i = 0; i < sizeof crash_points / sizeof *crash_points; i++)
        if (strcmp(crash_points[i], text) == 0)
            crash.point = crash_points[i];
    crash.count = count ? strtoul(count, NULL, 10) : 0;
    size_t length = host ? strlen(host) : 0;
    if (length >= sizeof crash.host || !crash.action || (count && crash.count == 0))
        crash.point = NULL;
    else
        memcpy(crash.host, host ? host : "", length + 1);
    return crash.point != NULL;
}

bool crash_set(const char *text)
{
    crash.point = NULL;
    atomic_store(&crash.passed, 0);
    if (!text)
        return true;
    char *copy = xstrdup(text);
    bool good = crash_read(copy);
    free(copy);
    return good;
}

__attribute__((constructor)) static void crash_start(void)
{
    const char *text = getenv("POSTERN_CRASH");
    if (text && *text && !crash_set(text))
        log_event(LOG_WARN, "crash.unknown", LOG_TEXT("text", text), LOG_END);
}

bool crash_awaits(const char *point, const char *host)
{
    return crash.point && strcmp(crash.point, point) == 0 &&
           (!*crash.host || (host && strcmp(crash.host, host) == 0));
}

bool crash_point(const char *point, const char *host)
{
    if (!crash_awaits(point, host))
        return false;
    unsigned long passed = atomic_fetch_add(&crash.passed, 1) + 1;
    if (crash.count && passed != crash.count)
        return false;
    log_event(LOG_WARN, "crash", LOG_TEXT("point", point), LOG_TEXT("action", crash.action->name),
              LOG_END);
    if (!crash.action->act)
        return true;
    crash.action->act();
    return false;
}

#else

/* ISO C wants something in a file. */
extern int crash_is_not_built_in;

#endif

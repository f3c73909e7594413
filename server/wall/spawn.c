/* spawn.c - exec of the same program with nothing but a control socket, and an environment that
 * only says where the main process, too, finds its libraries and CAs. */
#include "spawn.h"
#include "arena.h"
#include "buf.h"
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Above what the worker's own descriptors are numbered: none is overwritten in its making. */
#define FD_LEAST 10

static const char *const kept_variables[] = {
    "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
#ifndef NDEBUG
    "UBSAN_OPTIONS",   "TSAN_OPTIONS",  "POSTERN_CRASH",
#endif
};
#define KEPT (sizeof kept_variables / sizeof kept_variables[0])

static char *variable(const char *name, const char *value, const char *behind)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_printf(&text, "%s=%s%s", name, value, behind);
    return buf_detach(&text);
}

static char **environment_new(void)
{
    char **environment = xalloc((KEPT + 2) * sizeof *environment);
    size_t count = 0;
    for (size_t i = 0; i < KEPT; i++) {
        const char *value = getenv(kept_variables[i]);
        if (value)
            environment[count++] = variable(kept_variables[i], value, "");
    }
#ifndef NDEBUG
    /* Looking for leaks wants ptrace, which a worker has forsworn. */
    const char *options = getenv("ASAN_OPTIONS");
    environment[count++] = variable("ASAN_OPTIONS", options ? options : "",
                                    options && *options ? ":detect_leaks=0" : "detect_leaks=0");
#endif
    return environment;
}

static void environment_free(char **environment)
{
    for (char **at = environment; *at; at++)
        free(*at);
    free(environment);
}

enum err spawn_program_open(const char *path, struct fault *fault, int *out)
{
    const char *program = path ? path : "/proc/self/exe";
    int fd = open(program, O_PATH | O_CLOEXEC);
    *out = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_LEAST);
    int code = errno;
    if (fd >= 0)
        close(fd);
    if (*out < 0)
        return fault_set(fault, ERR_INTERNAL, "%s: %s", program, strerror(code));
    return OK;
}

/* Handled as at a program's start, but for those that a terminal sends to the whole group: the main
 * process alone decides when it is over. */
static void prepare_signals(posix_spawnattr_t *attributes)
{
    sigset_t all, blocked;
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setsigmask(attributes, &blocked);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

static int execute(int program_fd, int control, pid_t *pid)
{
    char path[40];
    char *arguments[] = {"postern", WALL_WORKER_WORD, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char **environment = environment_new();
    snprintf(path, sizeof path, "/proc/self/fd/%d", program_fd);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, control, CONTROL_FD);
    prepare_signals(&attributes);
    int code = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    environment_free(environment);
    return code;
}

static int move_up(int fd)
{
    int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_LEAST);
    int code = errno;
    if (fd >= 0)
        close(fd);
    errno = code;
    return moved;
}

enum err spawn_worker(int program_fd, struct fault *fault, struct spawned *out)
{
    int pair[2], code = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return fault_set(fault, ERR_BUSY, "socketpair: %s", strerror(errno));
    out->control = pair[0];
    out->pidfd = -1;
    fcntl(out->control, F_SETFL, O_NONBLOCK); /* this end only: a worker waits */
    int far = move_up(pair[1]);
    if (far < 0) {
        code = errno;
    } else {
        code = execute(program_fd, far, &out->pid);
        close(far);
    }
    if (!code) {
        out->pidfd = pidfd_open(out->pid, 0);
        code = out->pidfd < 0 ? errno : 0;
        if (code) {
            kill(out->pid, SIGKILL);
            waitpid(out->pid, NULL, 0);
        }
    }
    if (!code)
        return OK;
    close(out->control);
    return fault_set(fault, ERR_INTERNAL, "a worker cannot be started: %s", strerror(code));
}

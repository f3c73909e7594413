/* confine.c - the order in which a worker closes itself in, and the limits that need no filter. */
#include "confine.h"

#include "backend.h"
#include "confine_inside.h"

#include <malloc.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Each arena reserves address space, 64 MiB at a time, which RLIMIT_AS counts; and a worker has
 * about one core to itself, so that more arenas would only spread its holes. */
#define ARENAS_MAX 2
/* What is larger is mapped and given back whole: a large literal leaves no hole. Fixed, because
 * glibc would raise it to 32 MiB at the first large free(). */
#define MAPPED_FROM_BYTES  (256 * 1024)
#define TRIMMED_FROM_BYTES (1024 * 1024)

void confine_descriptors(int kept)
{
    for (int fd = STDERR_FILENO + 1; fd < kept; fd++)
        close(fd);
    closefrom(kept > STDERR_FILENO ? kept + 1 : STDERR_FILENO + 1);
}

void confine_preload(void)
{
    tzset(); /* gmtime_r() reads /etc/localtime at its first call, whatever it is asked */
    backend_preload();
    confine_sanitized_prepare();
}

static bool limit(__rlimit_resource_t resource, uint64_t most)
{
    struct rlimit both = {.rlim_cur = most, .rlim_max = most};
    struct rlimit now;
    if (getrlimit(resource, &now) == 0 && now.rlim_max < most)
        both.rlim_cur = both.rlim_max = now.rlim_max;
    return setrlimit(resource, &both) == 0;
}

/* The log may be a file that this process appends to. */
static bool holds_file(void)
{
    struct stat what;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &what) == 0 && S_ISREG(what.st_mode))
            return true;
    return false;
}

static void tame_heap(void)
{
    mallopt(M_ARENA_MAX, ARENAS_MAX);
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
    mallopt(M_TRIM_THRESHOLD, TRIMMED_FROM_BYTES);
}

uint32_t confine(uint64_t memory_max)
{
    uint32_t done = 0;
    tame_heap();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        done |= CONFINED_NO_NEW_PRIVILEGES;
#ifdef NDEBUG
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* also: another process of this user cannot trace it */
#endif
    if (limit(RLIMIT_CORE, 0))
        done |= CONFINED_NO_CORE;
    if (!holds_file())
        limit(RLIMIT_FSIZE, 0);
    if (!confine_sanitized && limit(RLIMIT_AS, memory_max))
        done |= CONFINED_MEMORY;
    if (confine_files())
        done |= CONFINED_FILES;
    if (confine_syscalls())
        done |= CONFINED_SYSCALLS;
    return done;
}

const char *confinement_name(uint32_t one)
{
    static const struct {
        enum confinement bit;
        const char *name;
    } names[] = {
        {CONFINED_NO_NEW_PRIVILEGES, "no_new_privs"},
        {CONFINED_NO_CORE, "RLIMIT_CORE"},
        {CONFINED_MEMORY, "RLIMIT_AS"},
        {CONFINED_SYSCALLS, "seccomp"},
        {CONFINED_FILES, "Landlock"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (one == (uint32_t)names[i].bit)
            return names[i].name;
    return NULL;
}

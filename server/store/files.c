/* files.c - the files of mirrors that are closed: put aside, removed, swept.
 *
 * Nothing here opens a database file: closing any descriptor of one would drop the locks that
 * SQLite holds on it in this process.
 */
#include "inside.h"
#include "clock.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASIDE_KEPT 3 /* of one account */
#define ASIDE_SEEN 64

static const char *const companions[] = {"", "-wal", "-shm"};
#define COMPANIONS (sizeof companions / sizeof *companions)

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

void files_touch(const char *path)
{
    utimensat(AT_FDCWD, path, NULL, 0);
}

void files_remove(const char *path)
{
    char each[PATH_MAX];
    for (size_t i = 0; i < COMPANIONS; i++) {
        if (snprintf(each, sizeof each, "%s%s", path, companions[i]) < (int)sizeof each)
            unlink(each);
    }
}

struct aside {
    char name[NAME_MAX + 1];
    struct timespec changed;
};

/* A main file that was put aside from the mirror called `name` ("" for any). */
static bool is_aside(const char *entry, const char *name)
{
    const char *rest = strstr(entry, ".db.");
    if (!rest || ends_with(entry, "-wal") || ends_with(entry, "-shm"))
        return false;
    rest += strlen(".db.");
    return strncmp(entry, name, strlen(name)) == 0 &&
           (strncmp(rest, "damaged-", 8) == 0 || strncmp(rest, "newer-", 6) == 0);
}

static int newest_first(const void *a, const void *b)
{
    const struct timespec *x = &((const struct aside *)a)->changed;
    const struct timespec *y = &((const struct aside *)b)->changed;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

static void drop_old_asides(const char *path)
{
    char directory[PATH_MAX], each[PATH_MAX + NAME_MAX + 2];
    snprintf(directory, sizeof directory, "%.*s", (int)(name_of(path) - path), path);
    DIR *listing = opendir(directory);
    if (!listing)
        return;
    struct aside *found = xalloc(ASIDE_SEEN * sizeof *found);
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir(listing)) && count < ASIDE_SEEN) {
        struct stat facts;
        if (!is_aside(entry->d_name, name_of(path)) ||
            fstatat(dirfd(listing), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        snprintf(found[count].name, sizeof found[count].name, "%s", entry->d_name);
        found[count++].changed = facts.st_mtim;
    }
    closedir(listing);
    qsort(found, count, sizeof *found, newest_first);
    for (size_t i = ASIDE_KEPT; i < count; i++) {
        snprintf(each, sizeof each, "%s%s", directory, found[i].name);
        files_remove(each);
    }
    free(found);
}

enum err files_set_aside(const char *path, const char *why, struct fault *fault)
{
    char aside[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
    snprintf(aside, sizeof aside, "%s.%s", path, why);
    for (int i = 2; access(aside, F_OK) == 0; i++)
        snprintf(aside, sizeof aside, "%s.%s.%d", path, why, i);
    for (size_t i = 0; i < COMPANIONS; i++) {
        snprintf(from, sizeof from, "%s%s", path, companions[i]);
        snprintf(to, sizeof to, "%.*s%s", PATH_MAX - 8, aside, companions[i]);
        if (rename(from, to) != 0 && errno != ENOENT)
            return fault_set(fault, ERR_STORE, "%s cannot be put aside: %s", name_of(from),
                             strerror(errno));
    }
    files_touch(aside);
    log_event(LOG_WARN, "mirror-set-aside", LOG_TEXT("file", name_of(path)),
              LOG_TEXT("now", name_of(aside)), LOG_END);
    drop_old_asides(path);
    return OK;
}

/* The later of the main file's and its WAL's: a WAL may hold all that was written for days. */
static int64_t used_s(int directory, const char *name)
{
    char wal[NAME_MAX + 8];
    struct stat facts;
    int64_t latest = fstatat(directory, name, &facts, 0) == 0 ? facts.st_mtime : INT64_MAX;
    snprintf(wal, sizeof wal, "%s-wal", name);
    if (fstatat(directory, wal, &facts, 0) == 0 && facts.st_mtime > latest)
        latest = facts.st_mtime;
    return latest;
}

void files_sweep(const char *directory, int64_t before_s, bool (*open)(void *, const char *name),
                 void *argument)
{
    DIR *listing = opendir(directory);
    if (!listing)
        return;
    struct dirent *entry;
    while ((entry = readdir(listing))) {
        const char *name = entry->d_name;
        char path[PATH_MAX];
        bool is_mirror = ends_with(name, ".db") && !open(argument, name);
        if ((!is_mirror && !is_aside(name, "")) || used_s(dirfd(listing), name) >= before_s)
            continue;
        if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
            continue;
        files_remove(path);
        log_event(LOG_INFO, "mirror-removed", LOG_TEXT("file", name), LOG_END);
    }
    closedir(listing);
}

/* spawn.h - another process of this very program. */
#ifndef POSTERN_SPAWN_H
#define POSTERN_SPAWN_H

#include "err.h"

#include <sys/types.h>

struct spawned {
    pid_t pid;
    int pidfd, control; /* owned */
};

/* Kept open, so that workers are of the program that runs, not of the one that replaced its file
 * meanwhile. NULL: this one. */
enum err spawn_program_open(const char *path, struct fault *fault, int *out);
/* The worker dies with the thread that calls this. */
enum err spawn_worker(int program_fd, struct fault *fault, struct spawned *out);

#endif

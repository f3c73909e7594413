/* confine.h - a worker closes itself in: no file, no new socket, no other program, bounded memory.
 *
 * Called once, by the only thread, when everything that has to be opened is open (CAs, charsets).
 */
#ifndef POSTERN_CONFINE_H
#define POSTERN_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

/* What was achieved. */
enum confinement {
    CONFINED_NO_NEW_PRIVILEGES = 1 << 0,
    CONFINED_NO_CORE = 1 << 1,
    CONFINED_MEMORY = 1 << 2,   /* RLIMIT_AS */
    CONFINED_SYSCALLS = 1 << 3, /* seccomp */
    CONFINED_FILES = 1 << 4,    /* Landlock */
    CONFINED_ALL = 0x1f,
};

/* Closes every descriptor but 0 to 2 and `kept`; for the very beginning. */
void confine_descriptors(int kept);
/* What will be needed and cannot be opened later: charset converters. */
void confine_preload(void);
/* Returns what was achieved. */
uint32_t confine(uint64_t memory_max);
/* "seccomp", for the log; NULL for more than one bit. */
const char *confinement_name(uint32_t one);

#endif

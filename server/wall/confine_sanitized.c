/* confine_sanitized.c - what a sanitizer's runtime needs of the sandbox, all in one place.
 *
 * Tests run in the same sandbox as the real thing, with these holes and no others: terabytes of
 * address space are reserved for shadow memory, so there is no RLIMIT_AS; every thread has a
 * signal stack; the memory map and the program's debug information are read when something is
 * reported, so the runtime is made to read both before. A leak check stops the process by ptrace,
 * which is deadly here: leaks are what `workers = 0` is for.
 */
#include "confine_inside.h"

#include <stddef.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ ||                                 \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)

#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

const bool confine_sanitized = true;
const char *const confine_sanitized_call[] = {"sigaltstack", "sched_getaffinity", NULL};

static bool confined;

/* Asked by the runtime when the process ends. */
int __lsan_is_turned_off(void)
{
    return confined;
}

void confine_sanitized_prepare(void)
{
    char line[256];
    confined = true;
    __sanitizer_sandbox_on_notify(NULL);
    __sanitizer_symbolize_pc(__builtin_return_address(0), "%f", line, sizeof line);
}

#else

const bool confine_sanitized = false;
const char *const confine_sanitized_call[] = {NULL};

void confine_sanitized_prepare(void)
{
}

#endif

/* confine_child.h - children of a test program that close themselves in and try things. */
#ifndef POSTERN_TEST_CONFINE_CHILD_H
#define POSTERN_TEST_CONFINE_CHILD_H

#include "net/certs.h"

#include "confine.h"
#include "confine_inside.h"

#include <sys/types.h>
#include <sys/wait.h>

#define MEMORY_MAX (UINT64_C(512) * 1024 * 1024)

/* What became of a child that ran `body`: its exit code, or minus the signal. */
static inline int child_run(int (*body)(const void *argument), const void *argument)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(body(argument));
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline uint32_t close_in(void)
{
    confine_preload();
    return confine(MEMORY_MAX);
}

#endif

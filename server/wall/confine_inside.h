/* confine_inside.h - the pieces of confine.c: each closes one thing and says whether it is closed.
 */
#ifndef POSTERN_CONFINE_INSIDE_H
#define POSTERN_CONFINE_INSIDE_H

#include <stdbool.h>

bool confine_files(void);    /* Landlock; needs no_new_privs */
bool confine_syscalls(void); /* seccomp; the last, because it takes away what the others use */

/* confine_sanitized.c */
extern const bool confine_sanitized;               /* built with a sanitizer */
extern const char *const confine_sanitized_call[]; /* what its runtime calls besides; NULL ends */
void confine_sanitized_prepare(void);

#endif

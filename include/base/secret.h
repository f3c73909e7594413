/* secret.h - bytes that must not linger: own allocation, wiped before it is given back, never in an
 * arena, a log or a fault. */
#ifndef POSTERN_SECRET_H
#define POSTERN_SECRET_H

#include <stddef.h>

struct secret {
    char *data; /* owned, NUL-terminated behind length; NULL when empty */
    size_t length;
};

void secret_set(struct secret *secret, const char *data, size_t length); /* wipes the old value */
void secret_copy(struct secret *to, const struct secret *from);
void secret_wipe(struct secret *secret);

#endif

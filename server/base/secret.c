/* secret.c - credentials in memory of their own. */
#include "secret.h"
#include "arena.h"

#include <stdlib.h>
#include <string.h>

void secret_wipe(struct secret *secret)
{
    if (secret->data) {
        explicit_bzero(secret->data, secret->length);
        free(secret->data);
    }
    *secret = (struct secret){0};
}

void secret_set(struct secret *secret, const char *data, size_t length)
{
    secret_wipe(secret);
    secret->data = xalloc(length + 1);
    if (length)
        memcpy(secret->data, data, length);
    secret->length = length;
}

void secret_copy(struct secret *to, const struct secret *from)
{
    if (from->data)
        secret_set(to, from->data, from->length);
    else
        secret_wipe(to);
}

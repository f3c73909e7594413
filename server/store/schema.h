/* schema.h - the tables of a mirror file, and how an older file becomes one of today. */
#ifndef POSTERN_SCHEMA_H
#define POSTERN_SCHEMA_H

#include "crypto.h"
#include "handle.h"

enum schema_state {
    SCHEMA_READY,
    SCHEMA_NEWER,   /* made by a later program: not ours to touch */
    SCHEMA_DAMAGED, /* no database, another program's, or made under another key */
};

/* Brings the file to the newest version; a new file is filled. `key` is the account's. On
 * SCHEMA_NEWER *version says which. An error is anything else that keeps it from being used. */
enum err schema_prepare(struct handle *handle, struct fault *fault, const struct crypto_key *key,
                        enum schema_state *state, int *version);

#endif

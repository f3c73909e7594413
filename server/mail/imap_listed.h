/* imap_listed.h - a folder while LIST is being put together (imap_folders.c, imap_roles.c). */
#ifndef POSTERN_IMAP_LISTED_H
#define POSTERN_IMAP_LISTED_H

#include "imap.h"

struct listed {
    struct folder_listing listing; /* path NULL: a double, not told */
    char delimiter;
    uint32_t order;
};

/* Roles by name, where the server gave none; `prefix` is that of the personal namespace or NULL. */
void imapc_assign_roles(struct arena *arena, const char *prefix, struct listed *items,
                        uint32_t count);
/* Different names may look the same once they are cleaned. Sorts `items` by path. */
void imapc_part_equal_paths(struct arena *arena, struct listed **items, uint32_t count);

#endif

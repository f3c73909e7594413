/* imap_roles.c - what can be said of folders only once all are listed: roles by name, and paths
 * that would be the same. */
#include "imap_listed.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* The path below the personal namespace; NULL outside it. */
static const char *personal_path(struct arena *arena, const char *prefix, const struct listed *item)
{
    size_t length = prefix ? strlen(prefix) : 0;
    if (length > 0 && strncmp(item->listing.remote, prefix, length) == 0)
        return imapc_name_path(arena, item->listing.remote + length, item->delimiter);
    if (text_starts_case(item->listing.path, "INBOX/"))
        return item->listing.path + 6; /* Courier's way without NAMESPACE */
    return length == 0 ? item->listing.path : NULL;
}

/* A role the server gave stands; two folders never share one. */
void imapc_assign_roles(struct arena *arena, const char *prefix, struct listed *items,
                        uint32_t count)
{
    bool taken[ROLE_COUNT] = {false};
    for (uint32_t i = 0; i < count; i++) {
        struct folder_listing *folder = &items[i].listing;
        if (!folder->path || folder->role == ROLE_NONE)
            continue;
        if (taken[folder->role] || !folder->selectable)
            folder->role = ROLE_NONE;
        else
            taken[folder->role] = true;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct folder_listing *folder = &items[i].listing;
        if (!folder->path || folder->role != ROLE_NONE || !folder->selectable)
            continue;
        const char *path = personal_path(arena, prefix, &items[i]);
        enum folder_role role = path ? imapc_name_role(path) : ROLE_NONE;
        if (role == ROLE_NONE || taken[role])
            continue;
        folder->role = role;
        folder->role_source = ROLE_FROM_NAME;
        taken[role] = true;
    }
}

static int compare_paths(const void *a, const void *b)
{
    const struct listed *x = *(struct listed *const *)a, *y = *(struct listed *const *)b;
    int order =
        strcmp(x->listing.path ? x->listing.path : "", y->listing.path ? y->listing.path : "");
    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

void imapc_part_equal_paths(struct arena *arena, struct listed **items, uint32_t count)
{
    if (count == 0)
        return;
    qsort(items, count, sizeof *items, compare_paths);
    const char *last = NULL;
    uint32_t twins = 1;
    for (uint32_t i = 0; i < count; i++) {
        struct folder_listing *folder = &items[i]->listing;
        if (!folder->path)
            continue;
        if (last && strcmp(last, folder->path) == 0) {
            folder->path = arena_printf(arena, "%s (%u)", last, ++twins);
        } else {
            last = folder->path;
            twins = 1;
        }
    }
}

/* messages_list.h - what the steps of a list share: where it begins (messages_list.c) and how it is
 * filled and written (messages_page.c). */
#ifndef POSTERN_API_MESSAGES_LIST_H
#define POSTERN_API_MESSAGES_LIST_H

#include "cursor.h"
#include "fields.h"
#include "flow.h"

#define LIST_FOLDERS_MOST 2000

struct list {
    struct fields fields;
    bool is_ndjson;
    bool is_everywhere; /* folder=* */
    const char **keys;  /* else ids, roles, paths: decoded */
    uint32_t key_count;
    const char *whole; /* all of `folder`, where it may be one path with commas */
    bool asked_folders;

    struct folder_row *folders; /* in the order of their numbers */
    uint32_t folder_count, fresh_count;

    bool has_cursor;
    struct cursor cursor;
    uint8_t binding[CURSOR_BINDING_BYTES];

    /* the page */
    struct message_row *rows; /* limit + 1 */
    uint32_t row_count, limit;
    uint32_t older_rounds, preview_at; /* folders whose previews were asked for */
    bool asked_previews, lacks_previews;
};

/* Every folder is as fresh as it has to be: fill the page and answer. */
void list_fill(struct request *request);

#endif

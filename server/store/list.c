/* list.c - pages in the order (received_s, folder, uid), newest first, by keyset.
 *
 * One folder is a walk of its index from the place on. Several are merged: each folder's walk gives
 * up once it is behind the page's worst candidate, so that nothing is ever sorted but the page.
 * Messages below a folder's floor (fetched singly, or left by a backfill that was interrupted) are
 * not listed: what stands between them is not known.
 */
#include "inside.h"

#include <string.h>

struct candidate {
    int64_t received_s, key;
};

static bool newer(const struct candidate *a, const struct candidate *b)
{
    return a->received_s != b->received_s ? a->received_s > b->received_s : a->key > b->key;
}

/* The page so far: a heap with its oldest candidate on top. */
struct page {
    struct candidate *items;
    uint32_t count, limit;
};

static void page_sink(struct page *page, uint32_t at)
{
    for (;;) {
        uint32_t oldest = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < page->count; child++)
            if (newer(&page->items[oldest], &page->items[child]))
                oldest = child;
        if (oldest == at)
            return;
        struct candidate swapped = page->items[at];
        page->items[at] = page->items[oldest];
        page->items[oldest] = swapped;
        at = oldest;
    }
}

/* False: it, and so everything behind it, is older than all of a full page. */
static bool page_offer(struct page *page, const struct candidate *candidate)
{
    if (page->count == page->limit) {
        if (!newer(candidate, &page->items[0]))
            return false;
        page->items[0] = *candidate;
        page_sink(page, 0);
        return true;
    }
    uint32_t at = page->count++;
    for (; at > 0 && newer(&page->items[(at - 1) / 2], candidate); at = (at - 1) / 2)
        page->items[at] = page->items[(at - 1) / 2];
    page->items[at] = *candidate;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    return newer(a, b) ? -1 : newer(b, a) ? 1 : 0;
}

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

struct list {
    struct reading *reading;
    const struct list_query *query;
    struct list_place after;
    struct row_sink *sink;
};

/* The statement `which`, bound to one folder from the list's place on; NULL *out: no such folder.
 */
static enum err walk_begin(struct list *list, enum sql which, int64_t folder, sqlite3_stmt **out)
{
    struct fault *fault = &list->reading->call->fault;
    const struct list_place *after = &list->after;
    int64_t floor;
    /* At the place's very second, what lies behind it: of an earlier folder all, of a later one
       nothing. */
    int64_t uid = folder == after->folder ? after->uid : folder < after->folder ? INT64_MAX : 0;
    *out = NULL;
    enum err err = handle_number(list->reading->db, fault, SQL_FOLDER_FLOOR, VALUES(V_INT(folder)),
                                 -1, &floor);
    if (err || floor < 0)
        return err;
    *out = handle_query(list->reading->db, fault, which,
                        VALUES(V_INT(folder), V_INT(after->received_s), V_INT(uid), V_INT(floor),
                               V_INT(list->query->limit)));
    return *out ? OK : fault->code;
}

static enum err row_tell(struct list *list, sqlite3_stmt *statement)
{
    struct message_row row;
    struct reading *reading = list->reading;
    enum err err = row_read(reading->mirror, reading->db, reading->call, statement, &row);
    return err ? err : list->sink->row(list->sink, &row);
}

static enum err list_one(struct list *list)
{
    sqlite3_stmt *statement;
    bool found = true;
    enum err err = walk_begin(list, SQL_LIST, list->query->folders[0], &statement);
    while (statement && !err) {
        err = handle_step(list->reading->db, &list->reading->call->fault, statement, &found);
        if (err || !found)
            break;
        err = row_tell(list, statement);
    }
    handle_done(statement);
    return err;
}

static enum err gather(struct list *list, int64_t folder, struct page *page)
{
    sqlite3_stmt *statement;
    bool found = true, wanted = true;
    enum err err = walk_begin(list, SQL_WALK, folder, &statement);
    while (statement && !err && wanted) {
        err = handle_step(list->reading->db, &list->reading->call->fault, statement, &found);
        if (err || !found)
            break;
        const struct candidate candidate = {
            .received_s = sqlite3_column_int64(statement, 0),
            .key = message_key(folder, (uint32_t)sqlite3_column_int64(statement, 1)),
        };
        wanted = page_offer(page, &candidate);
    }
    handle_done(statement);
    return err;
}

static enum err tell(struct list *list, int64_t key)
{
    struct reading *reading = list->reading;
    bool found = false;
    sqlite3_stmt *statement =
        handle_query(reading->db, &reading->call->fault, SQL_MESSAGE_ROW, VALUES(V_INT(key)));
    if (!statement)
        return reading->call->fault.code;
    enum err err = handle_step(reading->db, &reading->call->fault, statement, &found);
    if (!err && found)
        err = row_tell(list, statement);
    handle_done(statement);
    return err;
}

static enum err list_many(struct list *list)
{
    const struct list_query *query = list->query;
    struct page page = {
        .items = arena_array(list->reading->call->arena, struct candidate, query->limit),
        .limit = query->limit,
    };
    int64_t *folders = arena_array(list->reading->call->arena, int64_t, query->folder_count);
    enum err err = OK;
    memcpy(folders, query->folders, query->folder_count * sizeof *folders);
    qsort(folders, query->folder_count, sizeof *folders, by_number);
    for (uint32_t i = 0; !err && i < query->folder_count; i++)
        /* One that is named twice gives its messages once. */
        if (i == 0 || folders[i] != folders[i - 1])
            err = gather(list, folders[i], &page);
    qsort(page.items, page.count, sizeof *page.items, newest_first);
    for (uint32_t i = 0; !err && i < page.count; i++)
        err = tell(list, page.items[i].key);
    return err;
}

enum err mirror_list(struct mirror *mirror, struct call *call, const struct list_query *query,
                     struct row_sink *sink)
{
    static const struct list_place top = {.received_s = INT64_MAX, .folder = INT64_MAX};
    struct reading reading;
    struct list list = {
        .reading = &reading,
        .query = query,
        .after = query->after ? *query->after : top,
        .sink = sink,
    };
    if (query->folder_count == 0 || query->limit == 0)
        return OK;
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    err = query->folder_count == 1 ? list_one(&list) : list_many(&list);
    reading_end(&reading);
    return err;
}

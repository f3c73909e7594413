/* messages_page.c - filling a page from the mirror and writing it.
 *
 * A page that reaches behind what is mirrored asks for older messages a few times; a client that
 * goes on paging gets the rest as it comes. */
#include "messages_list.h"
#include "operations.h"
#include "put.h"
#include "render.h"
#include "text.h"

#include <string.h>

#define OLDER_ROUNDS_MOST 3
#define OLDER_LEAST       200
#define PAGE_MOST_BYTES   (256u * 1024u * 1024u)

static struct mirror *mirror_of(struct request *request)
{
    return seat_mirror(request->seat);
}

/* The page's rows outlive the walk. */
struct collector {
    struct row_sink sink;
    struct arena *arena;
    struct message_row *rows;
    uint32_t count, most;
};

static enum err collect(struct row_sink *sink, const struct message_row *row)
{
    struct collector *self = (struct collector *)sink;
    if (self->count == self->most)
        return OK;
    struct message_row *kept = &self->rows[self->count++];
    *kept = *row;
    kept->json = arena_strndup(self->arena, row->json, row->json_length);
    kept->keywords_json = arena_strdup(self->arena, row->keywords_json);
    kept->preview = arena_strdup(self->arena, row->preview);
    return OK;
}

static enum err page_read(struct request *request, const int64_t *folders, uint32_t folder_count,
                          const struct list_place *after, struct message_row *rows, uint32_t most,
                          uint32_t *count)
{
    struct collector collector = {
        .sink = {.row = collect}, .arena = &request->arena, .rows = rows, .most = most};
    struct list_query query = {
        .folders = folders, .folder_count = folder_count, .after = after, .limit = most};
    *count = 0;
    if (!folder_count)
        return OK;
    enum err err = mirror_list(mirror_of(request), request_call(request), &query, &collector.sink);
    *count = collector.count;
    return err;
}

static const struct list_place *page_start(const struct list *list)
{
    return list->has_cursor ? &list->cursor.place : NULL;
}

static struct list_place place_of(const struct message_row *row)
{
    return (struct list_place){row->received_s, row->folder, row->uid};
}

/* Does the page end behind the oldest mirrored message of this incomplete folder? */
static enum err page_outruns(struct request *request, const struct list *list,
                             const struct folder_row *folder, bool *outruns)
{
    struct message_row beyond;
    uint32_t count;
    *outruns = list->row_count < list->limit;
    if (*outruns || list->folder_count == 1)
        return OK;
    const struct message_row *last = &list->rows[list->limit - 1];
    struct list_place after = place_of(last);
    enum err err = page_read(request, &folder->number, 1, &after, &beyond, 1, &count);
    *outruns = !err && count == 0 && last->folder != folder->number;
    return err;
}

/* The first folder of which older messages are needed; folder_count when none is. */
static enum err find_short_folder(struct request *request, const struct list *list, uint32_t *out)
{
    for (*out = 0; *out < list->folder_count; (*out)++) {
        bool outruns = false;
        if (list->folders[*out].complete)
            continue;
        enum err err = page_outruns(request, list, &list->folders[*out], &outruns);
        if (err || outruns)
            return err;
    }
    return OK;
}

static bool is_complete(const struct list *list)
{
    for (uint32_t i = 0; i < list->folder_count; i++)
        if (!list->folders[i].complete)
            return false;
    return true;
}

/* ---- the answer ---- */

static void page_etag(struct request *request, const struct list *list, char etag[ETAG_BYTES])
{
    struct buf facts;
    buf_init(&facts, 8 * 1024 * 1024);
    buf_printf(&facts, "%s/%d|%d|%s|", POSTERN_VERSION, STORE_RENDER_VERSION, list->is_ndjson,
               exchange_query(request->exchange));
    for (uint32_t i = 0; i < list->folder_count; i++) {
        const struct folder_row *row = &list->folders[i];
        buf_printf(&facts, "%s.%llu.%llu.%u.%u.%u.%u.%u.%d,", row->id,
                   (unsigned long long)row->generation, (unsigned long long)row->change,
                   row->validity, row->uid_next, row->exists, row->mirrored, row->unread,
                   row->complete);
    }
    render_weak_etag(facts.data, facts.length, etag);
    buf_clear(&facts);
}

static const char *next_cursor(struct request *request, const struct list *list)
{
    struct cursor cursor = {
        .place = {.received_s = INT64_MAX, .folder = INT64_MAX, .uid = UINT32_MAX}};
    char *text = arena_alloc(&request->arena, CURSOR_BYTES);
    if (list->row_count <= list->limit && is_complete(list))
        return NULL;
    uint32_t shown = list->row_count < list->limit ? list->row_count : list->limit;
    if (shown)
        cursor.place = place_of(&list->rows[shown - 1]);
    else if (list->has_cursor)
        cursor.place = list->cursor.place;
    memcpy(cursor.binding, list->binding, sizeof cursor.binding);
    cursor_seal(&request->api->config.cursor_key, request->account_id, &cursor, text);
    return text;
}

/* '>' would end the link. */
static void put_link_piece(struct buf *out, const char *piece, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (piece[i] == '>')
            buf_text(out, "%3E");
        else
            buf_char(out, piece[i]);
    }
    buf_char(out, '&');
}

/* The same query with another cursor. The path is the client's own, and so is the query: both came
 * through the parser, so no byte of them can end the header. */
static void set_next_link(struct request *request, const char *cursor)
{
    struct buf link;
    buf_init(&link, 16 * 1024);
    buf_printf(&link, "<%s?", exchange_path(request->exchange));
    for (const char *at = exchange_query(request->exchange); *at;) {
        size_t length = strcspn(at, "&");
        if (length && strncmp(at, "cursor=", 7) != 0)
            put_link_piece(&link, at, length);
        at += length + (at[length] == '&');
    }
    buf_printf(&link, "cursor=%s>; rel=\"next\"", cursor);
    request_set_header(request, "Link", link.data);
    buf_clear(&link);
}

static const char *folder_id_of(const struct list *list, int64_t number)
{
    for (uint32_t i = 0; i < list->folder_count; i++)
        if (list->folders[i].number == number)
            return list->folders[i].id;
    return "";
}

static void put_rows(struct buf *out, const struct list *list)
{
    const char *folder_id = "";
    int64_t folder = 0;
    for (uint32_t i = 0; i < list->row_count && i < list->limit; i++) {
        const struct message_row *row = &list->rows[i];
        if (row->folder != folder) {
            folder = row->folder;
            folder_id = folder_id_of(list, folder);
        }
        put_open(out, '{');
        render_row(out, row, folder_id, list->fields.mask);
        put_close(out, '}');
        if (list->is_ndjson)
            buf_char(out, '\n');
    }
}

static void put_total(struct buf *out, const struct request *request, const struct list *list)
{
    int64_t total = 0;
    put_key(out, "total");
    for (uint32_t i = 0; i < list->folder_count; i++)
        total += list->folders[i].complete ? list->folders[i].mirrored : list->folders[i].exists;
    if (request->params.number[PARAM_TOTAL] == TOTAL_EXACT)
        put_int(out, total);
    else
        put_null(out);
}

static void list_answer(struct request *request)
{
    struct list *list = request->state;
    const char *cursor = next_cursor(request, list);
    struct buf body;
    buf_init(&body, PAGE_MOST_BYTES);
    if (cursor)
        set_next_link(request, cursor);
    request_set_header(request, "Cache-Control", CACHE_REVALIDATE);
    if (!list->lacks_previews) { /* else a later answer tells more under the same name */
        char etag[ETAG_BYTES];
        page_etag(request, list, etag);
        request_set_header(request, "ETag", etag);
    }
    if (list->is_ndjson) {
        put_rows(&body, list);
        request_reply(request, 200, NDJSON_TYPE, &body);
        return;
    }
    put_open(&body, '{');
    put_key(&body, "items");
    put_open(&body, '[');
    put_rows(&body, list);
    put_close(&body, ']');
    put_member_text(&body, "nextCursor", cursor);
    put_member_bool(&body, "complete", is_complete(list));
    put_total(&body, request, list);
    put_close(&body, '}');
    request_reply_json(request, 200, &body);
}

/* ---- previews: asked for once a folder, and never worth failing for ---- */

static void page_fill(struct request *request);
static void list_previews(struct request *request);

static uint32_t missing_previews(const struct list *list, int64_t folder, uint32_t *uids)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->row_count && i < list->limit; i++)
        if (list->rows[i].folder == folder && !list->rows[i].preview)
            uids[count++] = list->rows[i].uid;
    return count;
}

static void previews_fetch(struct request *request)
{
    struct list *list = request->state;
    struct call *call = request_call(request);
    const struct folder_row *folder = &list->folders[list->preview_at];
    uint32_t *uids = arena_array(&request->arena, uint32_t, list->limit);
    uint32_t count = missing_previews(list, folder->number, uids);
    if (!call->fault.code && count)
        operation_previews(&request->task, folder, uids, count);
    if (call->fault.code == ERR_CANCELLED) {
        request_fail(request);
        return;
    }
    fault_clear(&call->fault);
    list->preview_at++;
    list->asked_previews = true;
    list_previews(request);
}

/* Previews are part of a folder's state: what they are told with must be read after they were
 * written, the state before the page. */
static void page_again(struct request *request)
{
    struct list *list = request->state;
    for (uint32_t i = 0; i < list->folder_count; i++) {
        struct folder_row *folder = &list->folders[i];
        if (mirror_folder(mirror_of(request), request_call(request), folder->number, folder)) {
            request_fail(request);
            return;
        }
    }
    list->asked_previews = false;
    page_fill(request);
}

static void list_previews(struct request *request)
{
    struct list *list = request->state;
    uint32_t *uids = arena_array(&request->arena, uint32_t, list->limit);
    bool wanted = fields_want(&list->fields, FIELD_PREVIEW);
    bool may_ask = !request->freshness.only_if_cached && request->source != SOURCE_STALE;
    for (; wanted && may_ask && list->preview_at < list->folder_count; list->preview_at++) {
        const struct folder_row *folder = &list->folders[list->preview_at];
        if (!missing_previews(list, folder->number, uids))
            continue;
        request->takes_fault = true;
        request_need(request, NEED_CONNECTION, folder->number, previews_fetch);
        return;
    }
    if (list->asked_previews) {
        page_again(request);
        return;
    }
    for (uint32_t i = 0; wanted && i < list->row_count && i < list->limit; i++)
        list->lacks_previews |= !list->rows[i].preview;
    list_answer(request);
}

/* ---- the page ---- */

static void older_fetch(struct request *request)
{
    struct list *list = request->state;
    struct folder_row *folder = NULL;
    for (uint32_t i = 0; i < list->folder_count; i++)
        if (list->folders[i].number == request->task.folder)
            folder = &list->folders[i];
    uint32_t count = list->limit > OLDER_LEAST ? list->limit : OLDER_LEAST;
    if (operation_fetch_older(&request->task, folder, count) ||
        mirror_folder(mirror_of(request), request_call(request), folder->number, folder))
        request_fail(request);
    else
        page_fill(request);
}

static void page_fill(struct request *request)
{
    struct list *list = request->state;
    struct arena *arena = &request->arena;
    uint32_t short_folder;
    int64_t *numbers = arena_array(arena, int64_t, list->folder_count + 1);
    for (uint32_t i = 0; i < list->folder_count; i++)
        numbers[i] = list->folders[i].number;
    enum err err = page_read(request, numbers, list->folder_count, page_start(list), list->rows,
                             list->limit + 1, &list->row_count);
    if (!err)
        err = find_short_folder(request, list, &short_folder);
    if (err) {
        request_fail(request);
        return;
    }
    bool may_ask = !request->freshness.only_if_cached && request->source != SOURCE_STALE &&
                   list->older_rounds < OLDER_ROUNDS_MOST;
    if (short_folder < list->folder_count && may_ask) {
        list->older_rounds++;
        request_need(request, NEED_CONNECTION, list->folders[short_folder].number, older_fetch);
    } else {
        list_previews(request);
    }
}

void list_fill(struct request *request)
{
    struct list *list = request->state;
    char etag[ETAG_BYTES];
    if (list->folder_count == 0)
        request_source(request, SOURCE_LIVE, 0);
    page_etag(request, list, etag);
    request_set_header(request, "Vary", "Accept"); /* 304 too */
    if (!request_not_modified(request, etag, CACHE_REVALIDATE))
        page_fill(request);
}

/* folders.c - the folders of an account, counted by whoever counted last. */
#include "flow.h"
#include "put.h"
#include "render.h"
#include "routes.h"

#include <string.h>

static const char *const role_source_names[] = {
    [ROLE_FROM_SERVER] = "server", [ROLE_FROM_NAME] = "name", [ROLE_FROM_USER] = "user"};

/* After a sync the mirror knows better than a list from before it, if it knows all. */
static bool mirror_counts(const struct folder_row *row, int64_t listed_ms)
{
    return row->synced_ms > 0 &&
           (!row->listing.has_status || (row->complete && row->synced_ms > listed_ms));
}

static void put_counts(struct buf *out, const struct folder_row *row, int64_t listed_ms)
{
    if (mirror_counts(row, listed_ms)) {
        put_member_int(out, "total", row->complete ? row->mirrored : row->exists);
        put_member_int(out, "unread", row->unread);
    } else if (row->listing.has_status) {
        put_member_int(out, "total", row->listing.messages);
        put_member_int(out, "unread", row->listing.unseen);
    } else {
        put_member_null(out, "total");
        put_member_null(out, "unread");
    }
    put_key(out, "size");
    if (row->listing.size >= 0)
        put_int(out, row->listing.size);
    else
        put_null(out);
}

static void put_folder(struct buf *out, const struct folder_row *row, int64_t listed_ms)
{
    const struct folder_listing *listing = &row->listing;
    const char *slash = strrchr(listing->path, '/');
    put_open(out, '{');
    put_member_text(out, "id", row->id);
    put_member_text(out, "path", listing->path);
    put_member_text(out, "name", slash ? slash + 1 : listing->path);
    put_member_text(out, "parentId", row->parent_id[0] ? row->parent_id : NULL);
    put_member_text(out, "role", folder_role_name(listing->role));
    put_member_text(out, "roleSource",
                    listing->role == ROLE_NONE ? NULL : role_source_names[listing->role_source]);
    put_counts(out, row, listed_ms);
    put_member_bool(out, "subscribed", listing->subscribed);
    put_member_bool(out, "selectable", listing->selectable);
    put_member_text(out, "storage", "server");
    put_key(out, "sync");
    put_open(out, '{');
    put_member_bool(out, "complete", row->complete);
    put_member_int(out, "messages", row->mirrored);
    put_close(out, '}');
    put_close(out, '}');
}

static bool folders_read(struct request *request, struct folder_row **rows, uint32_t *count,
                         int64_t *listed_ms)
{
    struct call *call = request_call(request);
    if (mirror_folders(seat_mirror(request->seat), call, rows, count, listed_ms)) {
        request_fail(request);
        return false;
    }
    if (request->excused.code && *listed_ms == 0) {
        request_fail_with(request, &request->excused);
        return false;
    }
    if (request->source == SOURCE_NONE)
        request_source(request, request->excused.code ? SOURCE_STALE : SOURCE_LIVE, *listed_ms);
    return true;
}

static void answer(struct request *request, struct buf *body)
{
    char etag[ETAG_BYTES];
    render_weak_etag(body->data, body->length, etag);
    if (request_not_modified(request, etag, CACHE_REVALIDATE)) {
        buf_clear(body);
        return;
    }
    request_set_validator(request, etag, CACHE_REVALIDATE);
    request_reply_json(request, 200, body);
}

static void list_answer(struct request *request)
{
    struct folder_row *rows;
    uint32_t count;
    int64_t listed_ms;
    struct buf body;
    if (!folders_read(request, &rows, &count, &listed_ms))
        return;
    buf_init(&body, 128 * 1024 * 1024);
    put_open(&body, '{');
    put_key(&body, "items");
    put_open(&body, '[');
    for (uint32_t i = 0; i < count; i++)
        put_folder(&body, &rows[i], listed_ms);
    put_close(&body, ']');
    put_member_null(&body, "nextCursor");
    put_close(&body, '}');
    answer(request, &body);
}

static void folder_answer(struct request *request)
{
    struct folder_row *rows, row;
    uint32_t count;
    int64_t listed_ms;
    struct buf body;
    if (!folders_read(request, &rows, &count, &listed_ms))
        return;
    if (mirror_find_folder(seat_mirror(request->seat), request_call(request),
                           request->path[PATH_FOLDER], &row)) {
        fault_point(&request_call(request)->fault, "folder");
        request_fail(request);
        return;
    }
    buf_init(&body, 1024 * 1024);
    put_folder(&body, &row, listed_ms);
    answer(request, &body);
}

void handle_folders_list(struct request *request)
{
    flow_folders(request, list_answer);
}

void handle_folders_get(struct request *request)
{
    flow_folders(request, folder_answer);
}

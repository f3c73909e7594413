/* flow.c - freshness and finding. See architecture.md, "Freshen". */
#include "flow.h"
#include "clock.h"
#include "operations.h"
#include "put.h"

#include <string.h>

static struct mirror *mirror_of(struct request *request)
{
    return seat_mirror(request->seat);
}

static bool allows(const struct request *request, int64_t synced_ms)
{
    return freshness_allows(&request->freshness, synced_ms, clock_unix_ms());
}

bool flow_may_ask(struct request *request)
{
    if (!request->freshness.only_if_cached)
        return true;
    fault_set(&request_call(request)->fault, ERR_NOT_CACHED,
              "that is not remembered, or not as fresh as asked for");
    request_fail(request);
    return false;
}

/* What stale-if-error forgave stands only when something is known, and not from too long ago. */
static bool excuse_holds(struct request *request, int64_t synced_ms)
{
    int64_t most_s = request->freshness.stale_if_error_s;
    if (request->excused.code == OK) {
        request_source(request, SOURCE_LIVE, 0);
        return true;
    }
    if (synced_ms > 0 && (clock_unix_ms() - synced_ms) / 1000 <= most_s) {
        request_source(request, SOURCE_STALE, synced_ms);
        return true;
    }
    request_fail_with(request, &request->excused);
    return false;
}

void flow_folders(struct request *request, request_step *next)
{
    struct folder_row *rows;
    uint32_t count;
    int64_t listed_ms;
    if (mirror_folders(mirror_of(request), request_call(request), &rows, &count, &listed_ms)) {
        request_fail(request);
    } else if (allows(request, listed_ms)) {
        request_source(request, SOURCE_MIRROR, listed_ms);
        next(request);
    } else if (flow_may_ask(request)) {
        request_need(request, NEED_FOLDERS, 0, next);
    }
}

bool flow_folder_is_fresh(struct request *request, const struct folder_row *row)
{
    if (!allows(request, row->synced_ms))
        return false;
    request_source(request, SOURCE_MIRROR, row->synced_ms);
    return true;
}

bool flow_folder_reload(struct request *request, int64_t number, struct folder_row *row)
{
    if (mirror_folder(mirror_of(request), request_call(request), number, row)) {
        request_fail(request);
        return false;
    }
    return excuse_holds(request, row->synced_ms);
}

void flow_remembered(struct request *request)
{
    if (request->source == SOURCE_NONE && request->folder.synced_ms > 0)
        request_source(request, SOURCE_MIRROR, request->folder.synced_ms);
}

/* A message that is below the folder's floor: described by the mail server, not by the mirror. */
static void message_fetched(struct request *request)
{
    struct call *call = request_call(request);
    struct message *message = &request->message;
    struct buf text;
    if (operation_fetch_message(&request->task, &request->folder, request->place.uid, message)) {
        request_fail(request);
        return;
    }
    struct message_row *row = &request->row;
    *row = (struct message_row){.folder = request->folder.number,
                                .uid = message->uid,
                                .flags = message->flags,
                                .received_s = message->received_s,
                                .size = message->size};
    memccpy(row->id, request->path[PATH_MESSAGE], '\0', sizeof row->id - 1);
    buf_init(&text, 4 * 1024 * 1024);
    api_render_message(row->id, message, &text);
    row->json = arena_strndup(call->arena, text.data, text.length);
    row->json_length = text.length;
    buf_reset(&text);
    put_strings(&text, &message->keywords);
    row->keywords_json = arena_strdup(call->arena, text.data);
    buf_clear(&text);
    request_source(request, SOURCE_LIVE, 0);
    request->found(request);
}

static void message_find(struct request *request);

static void message_folder_fresh(struct request *request)
{
    struct folder_row row;
    if (flow_folder_reload(request, request->place.folder, &row))
        message_find(request); /* the validity may be another one now */
}

static void message_load(struct request *request)
{
    struct call *call = request_call(request);
    bool full = request->wants & FLOW_FULL;
    if (mirror_message(mirror_of(request), call, request->place.folder, request->place.uid,
                       &request->row, full ? &request->message : NULL))
        request_fail(request);
    else
        request->found(request);
}

/* The folder is known: is more to be asked before the message can be shown? */
static void message_settle(struct request *request)
{
    bool asked = request->asked_folder;
    bool fresh = asked || (request->place.found && !(request->wants & FLOW_FRESH));
    if (!fresh && request->place.found)
        fresh = flow_folder_is_fresh(request, &request->folder);
    if (fresh && request->place.found) {
        message_load(request);
    } else if (flow_may_ask(request)) {
        request->asked_folder = true;
        request_need(request, asked ? NEED_CONNECTION : NEED_FOLDER, request->place.folder,
                     asked ? message_fetched : message_folder_fresh);
    }
}

/* An id of a folder that this mirror has not heard of yet: true when the folders are to be listed
 * first. Once they were, an unknown id stays unknown and costs the mail server nothing. */
static bool never_listed(struct request *request)
{
    struct folder_row *rows;
    uint32_t count;
    int64_t listed_ms = 0;
    struct call *call = request_call(request);
    struct fault kept = call->fault;
    fault_clear(&call->fault);
    enum err err = mirror_folders(mirror_of(request), call, &rows, &count, &listed_ms);
    call->fault = kept;
    return !err && listed_ms == 0;
}

static void message_find(struct request *request)
{
    struct call *call = request_call(request);
    enum err err =
        mirror_find_message(mirror_of(request), call, request->path[PATH_MESSAGE], &request->place);
    if (!err)
        err = mirror_folder(mirror_of(request), call, request->place.folder, &request->folder);
    if (err == ERR_NOT_FOUND && !request->asked_folders && never_listed(request)) {
        request->asked_folders = true;
        if (request->freshness.only_if_cached) {
            request_fail(request);
            return;
        }
        fault_clear(&call->fault);
        request_need(request, NEED_FOLDERS, 0, message_find);
    } else if (err) {
        fault_point(&call->fault, "message");
        request_fail(request);
    } else {
        message_settle(request);
    }
}

void flow_message(struct request *request, unsigned wants, request_step *next)
{
    request->wants = wants;
    request->found = next;
    message_find(request);
}

static void message_changed(struct request *request)
{
    struct call *call = request_call(request);
    if (mirror_find_message(mirror_of(request), call, request->path[PATH_MESSAGE], &request->place))
        request_fail(request);
    else if (request->place.found)
        message_load(request);
    else
        message_fetched(request); /* on the connection that made the change */
}

void flow_message_reload(struct request *request, request_step *next)
{
    request->wants = 0;
    request->found = next;
    message_changed(request);
}

bool flow_lacks_preview(const struct request *request)
{
    return !request->row.preview && request->place.found;
}

bool flow_read_preview(struct request *request, bool goes_on)
{
    struct call *call = request_call(request);
    struct message_row row;
    if (!call->fault.code && request->task.backend && flow_lacks_preview(request) &&
        operation_previews(&request->task, &request->folder, &request->place.uid, 1) == OK &&
        mirror_message(mirror_of(request), call, request->place.folder, request->place.uid, &row,
                       NULL) == OK)
        request->row.preview = row.preview;
    if (call->fault.code == ERR_CANCELLED || (goes_on && err_kills_connection(call->fault.code))) {
        request_fail(request);
        return false;
    }
    fault_clear(&call->fault);
    return true;
}

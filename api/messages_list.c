/* messages_list.c - which folders a list is of, and making each fresh enough. */
#include "messages_list.h"
#include "operations.h"
#include "routes.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static struct mirror *mirror_of(struct request *request)
{
    return seat_mirror(request->seat);
}

/* Splits at commas that stand as such, so that a path may hold one as %2C. Form encoders write
 * every comma as %2C: when none stands as such, those split (see keys_reread for what is then
 * meant). */
static enum err keys_parse(struct request *request, struct list *list)
{
    struct fault *fault = &request_call(request)->fault;
    struct arena *arena = &request->arena;
    const char *text = request->params.text[PARAM_FOLDER];
    if (!text)
        text = "inbox";
    bool is_raw = strchr(text, ',') != NULL;
    if (!is_raw)
        text = text_percent_decode(arena, text, strlen(text), true);
    list->whole = is_raw || strncmp(text, "path:", 5) != 0 || !strchr(text, ',') ? NULL : text;
    list->keys = arena_array(arena, const char *, strlen(text) / 2 + 1);
    for (const char *at = text; at;) {
        size_t length = strcspn(at, ",");
        const char *key = is_raw ? text_percent_decode(arena, at, length, true)
                                 : arena_strndup(arena, at, length);
        if (!key || !*key)
            return fault_at(fault, ERR_INVALID, "folder",
                            "folder is ids, roles, path:... with commas between, or *");
        if (list->key_count == LIST_FOLDERS_MOST)
            return fault_at(fault, ERR_INVALID, "folder", "at most %d folders", LIST_FOLDERS_MOST);
        list->keys[list->key_count++] = key;
        at = at[length] ? at + length + 1 : NULL;
    }
    list->is_everywhere = list->key_count == 1 && strcmp(list->keys[0], "*") == 0;
    return OK;
}

static enum err list_parse(struct request *request, struct list *list)
{
    struct fault *fault = &request_call(request)->fault;
    const struct params *params = &request->params;
    const char *accept = exchange_header(request->exchange, "Accept");
    if (accept && !http_accept_quality(accept, JSON_TYPE) &&
        !http_accept_quality(accept, NDJSON_TYPE))
        return fault_set(fault, ERR_NOT_ACCEPTABLE, "this is " JSON_TYPE " or " NDJSON_TYPE);
    list->is_ndjson = accept_prefers_ndjson(accept);
    list->limit = (uint32_t)params->number[PARAM_LIMIT];
    list->rows = arena_array(&request->arena, struct message_row, list->limit + 1);
    enum err err =
        fields_parse(params->text[PARAM_FIELDS], true, &request->arena, fault, &list->fields);
    if (!err)
        err = keys_parse(request, list);
    if (!err && params->text[PARAM_CURSOR]) {
        list->has_cursor = true;
        err = cursor_open(&request->api->config.cursor_key, request->account_id,
                          params->text[PARAM_CURSOR], fault, &list->cursor);
    }
    return err;
}

static int by_number(const void *a, const void *b)
{
    const struct folder_row *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static enum err folders_everywhere(struct request *request, struct list *list)
{
    struct folder_row *rows;
    uint32_t count;
    int64_t listed_ms;
    struct call *call = request_call(request);
    enum err err = mirror_folders(mirror_of(request), call, &rows, &count, &listed_ms);
    if (err)
        return err;
    list->folders = rows;
    list->folder_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].listing.selectable)
            rows[list->folder_count++] = rows[i];
    if (list->folder_count > LIST_FOLDERS_MOST)
        return fault_at(&call->fault, ERR_TOO_LARGE, "folder", "at most %d folders in one list",
                        LIST_FOLDERS_MOST);
    return OK;
}

static bool has_folder(const struct list *list, int64_t number)
{
    for (uint32_t i = 0; i < list->folder_count; i++)
        if (list->folders[i].number == number)
            return true;
    return false;
}

/* One path that holds commas, or several keys? The folder that is there decides. */
static void keys_reread(struct request *request, struct list *list)
{
    struct fault *fault = &request_call(request)->fault;
    struct folder_row row;
    if (!list->whole)
        return;
    if (!mirror_find_folder(mirror_of(request), request_call(request), list->whole, &row)) {
        list->keys[0] = list->whole;
        list->key_count = 1;
    }
    fault_clear(fault);
}

static enum err folders_named(struct request *request, struct list *list)
{
    keys_reread(request, list);
    list->folders = arena_array(&request->arena, struct folder_row, list->key_count);
    list->folder_count = 0;
    for (uint32_t i = 0; i < list->key_count; i++) {
        struct folder_row *row = &list->folders[list->folder_count];
        enum err err =
            mirror_find_folder(mirror_of(request), request_call(request), list->keys[i], row);
        if (err) {
            fault_point(&request_call(request)->fault, "folder");
            return err;
        }
        /* One that cannot be opened holds no messages; nothing is wrong with asking. */
        if (row->listing.selectable && !has_folder(list, row->number))
            list->folder_count++;
    }
    return OK;
}

/* A cursor is good for the same folders in any order, however they were named. */
static enum err check_binding(struct request *request, struct list *list)
{
    struct buf names;
    buf_init(&names, 4 * 1024 * 1024);
    buf_text(&names, "-receivedAt ");
    if (list->is_everywhere)
        buf_char(&names, '*');
    for (uint32_t i = 0; !list->is_everywhere && i < list->folder_count; i++)
        buf_printf(&names, "%s,", list->folders[i].id);
    cursor_bind(names.data, list->binding);
    buf_clear(&names);
    if (list->has_cursor && memcmp(list->binding, list->cursor.binding, sizeof list->binding) != 0)
        return fault_at(&request_call(request)->fault, ERR_INVALID_CURSOR, "cursor",
                        "the cursor was given for a list of other folders");
    return OK;
}

/* With CONDSTORE a list of folders taken in this very request tells which of them did not change.
 */
static bool listing_proves(const struct list *list, const struct folder_row *row)
{
    const struct folder_listing *listing = &row->listing;
    return list->asked_folders && row->synced_ms > 0 && listing->has_status &&
           listing->modseq != 0 && listing->modseq == row->modseq &&
           listing->uid_validity == row->validity && listing->uid_next == row->uid_next &&
           listing->messages == row->exists;
}

static void freshen_next(struct request *request);

static void folder_freshened(struct request *request)
{
    struct list *list = request->state;
    struct folder_row *row = &list->folders[list->fresh_count];
    if (flow_folder_reload(request, row->number, row)) {
        list->fresh_count++;
        freshen_next(request);
    }
}

static void freshen_next(struct request *request)
{
    struct list *list = request->state;
    for (; list->fresh_count < list->folder_count; list->fresh_count++) {
        const struct folder_row *row = &list->folders[list->fresh_count];
        if (listing_proves(list, row)) {
            request_source(request, SOURCE_LIVE, 0);
        } else if (!flow_folder_is_fresh(request, row)) {
            if (flow_may_ask(request))
                request_need(request, NEED_FOLDER, row->number, folder_freshened);
            return;
        }
    }
    list_fill(request);
}

static void resolve(struct request *request);

static void resolve_again(struct request *request)
{
    struct list *list = request->state;
    list->asked_folders = request->excused.code == OK && request->on_worker;
    resolve(request);
}

static void resolve(struct request *request)
{
    struct list *list = request->state;
    struct fault *fault = &request_call(request)->fault;
    enum err err =
        list->is_everywhere ? folders_everywhere(request, list) : folders_named(request, list);
    if (err == ERR_NOT_FOUND && !request->asked_folders) {
        request->asked_folders = true;
        fault_clear(fault);
        flow_folders(request, resolve_again);
        return;
    }
    if (!err) {
        qsort(list->folders, list->folder_count, sizeof *list->folders, by_number);
        err = check_binding(request, list);
    }
    if (err)
        request_fail(request);
    else
        freshen_next(request);
}

void handle_messages_list(struct request *request)
{
    struct list *list = arena_new(&request->arena, struct list);
    request->state = list;
    if (list_parse(request, list)) {
        request_fail(request);
    } else if (list->is_everywhere) {
        request->asked_folders = true;
        flow_folders(request, resolve_again);
    } else {
        resolve(request);
    }
}

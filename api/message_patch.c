/* message_patch.c - flags and keywords: decided here, done on the mail server, told as it now is.
 */
#include "body.h"
#include "fields.h"
#include "flow.h"
#include "operations.h"
#include "put.h"
#include "render.h"
#include "routes.h"

static const struct member patch_members[] = {
    {"seen", MEMBER_BOOL, false, 0, 0},       {"flagged", MEMBER_BOOL, false, 0, 0},
    {"answered", MEMBER_BOOL, false, 0, 0},   {"draft", MEMBER_BOOL, false, 0, 0},
    {"keywords", MEMBER_OBJECT, false, 0, 0}, {"folderId", MEMBER_TEXT, false, 1, 1024},
    {NULL, MEMBER_BOOL, false, 0, 0},
};

static enum err keywords_read(const json_t *keywords, struct request *request,
                              struct flag_change *out)
{
    struct fault *fault = &request_call(request)->fault;
    struct arena *arena = &request->arena;
    const char **add = arena_array(arena, const char *, KEYWORDS_MOST);
    const char **remove = arena_array(arena, const char *, KEYWORDS_MOST);
    const char *name;
    json_t *value;
    out->add_keywords.items = add;
    out->remove_keywords.items = remove;
    json_object_foreach((json_t *)(uintptr_t)keywords, name, value)
    {
        const char *pointer = body_pointer(arena, "/keywords", name);
        if (!json_is_boolean(value))
            return fault_at(fault, ERR_INVALID, pointer, "a keyword is true or false");
        if (!backend_keyword_is_valid(name))
            return fault_at(fault, ERR_INVALID, pointer, "that is no keyword a mail server takes");
        if (out->add_keywords.count + out->remove_keywords.count == KEYWORDS_MOST)
            return fault_at(fault, ERR_INVALID, "/keywords", "at most %d keywords", KEYWORDS_MOST);
        if (json_is_true(value))
            add[out->add_keywords.count++] = arena_strdup(arena, name);
        else
            remove[out->remove_keywords.count++] = arena_strdup(arena, name);
    }
    return OK;
}

static enum err change_read(const json_t *body, struct request *request, struct flag_change *out)
{
    struct fault *fault = &request_call(request)->fault;
    if (json_object_get(body, "folderId"))
        return fault_at(fault, ERR_UNSUPPORTED, "/folderId",
                        "moving a message is not offered by this version");
    for (size_t i = 0; i < FLAG_FIELDS; i++) {
        const json_t *value = json_object_get(body, field_name(flag_fields[i].field));
        if (value)
            *(json_is_true(value) ? &out->add : &out->remove) |= flag_fields[i].flag;
    }
    const json_t *keywords = json_object_get(body, "keywords");
    return keywords ? keywords_read(keywords, request, out) : OK;
}

static enum err change_parse(struct request *request, struct flag_change *out)
{
    json_t *body = NULL;
    size_t length;
    const char *data = exchange_body(request->exchange, &length);
    enum err err = body_parse(exchange_header(request->exchange, "Content-Type"), data, length,
                              patch_members, &request_call(request)->fault, &body);
    if (!err)
        err = change_read(body, request, out);
    if (!err && json_object_size(body) == 0)
        err =
            fault_at(&request_call(request)->fault, ERR_INVALID, "", "there is nothing to change");
    json_decref(body);
    return err;
}

static void message_answer(struct request *request)
{
    struct buf body;
    char etag[ETAG_BYTES];
    if (request->on_worker && !flow_read_preview(request, false))
        return;
    buf_init(&body, 16 * 1024 * 1024);
    put_open(&body, '{');
    render_row(&body, &request->row, request->folder.id, FIELDS_LIST);
    put_close(&body, '}');
    render_message_etag(&request->row, request->folder.id, etag);
    request_set_header(request, "Cache-Control", CACHE_REVALIDATE);
    if (request->row.preview) /* else GET tells more under the same name */
        request_set_header(request, "ETag", etag);
    request_source(request, SOURCE_LIVE, 0);
    request_reply_json(request, 200, &body);
}

static bool changes_anything(const struct flag_change *change)
{
    return change->add || change->remove || change->add_keywords.count ||
           change->remove_keywords.count;
}

static void change_apply(struct request *request)
{
    const struct flag_change *change = request->state;
    if (operation_change_flags(&request->task, &request->folder, request->place.uid, change))
        request_fail(request);
    else
        flow_message_reload(request, message_answer);
}

static void message_found(struct request *request)
{
    const char *wanted = exchange_header(request->exchange, "If-Match");
    char etag[ETAG_BYTES];
    render_message_etag(&request->row, request->folder.id, etag);
    if (wanted && !http_etag_matches(wanted, etag)) {
        fault_at(&request_call(request)->fault, ERR_PRECONDITION, "If-Match",
                 "the message is not as If-Match says");
        request_fail(request);
    } else if (changes_anything(request->state)) {
        request_need(request, NEED_CONNECTION, request->folder.number, change_apply);
    } else if (flow_lacks_preview(request)) {
        request->takes_fault = true;
        request_need(request, NEED_CONNECTION, request->folder.number, message_answer);
    } else {
        message_answer(request);
    }
}

void handle_message_update(struct request *request)
{
    struct flag_change *change = arena_new(&request->arena, struct flag_change);
    request->state = change;
    freshness_parse(NULL, &request->freshness); /* a change is never decided on old knowledge */
    if (change_parse(request, change)) {
        request_fail(request);
        return;
    }
    bool compares = exchange_header(request->exchange, "If-Match") != NULL;
    flow_message(request, compares || !changes_anything(change) ? FLOW_FRESH : 0, message_found);
}

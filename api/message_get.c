/* message_get.c - one message: from the mirror what it knows, from the mail server the rest. */
#include "fields.h"
#include "flow.h"
#include "message_text.h"
#include "operations.h"
#include "put.h"
#include "render.h"
#include "routes.h"

#include <string.h>

#define MESSAGE_MOST_BYTES (128u * 1024u * 1024u)

static const struct part *text_part(const struct request *request, const char *type)
{
    const struct message *message = &request->message;
    int32_t index = parts_find_text(message->parts, message->part_count, type);
    return index < 0 ? NULL : &message->parts[index];
}

static bool wants_headers(const struct fields *fields)
{
    return fields_want(fields, FIELD_HEADERS) || fields->header_count;
}

static bool wants_text(const struct request *request, const struct fields *fields)
{
    return (fields_want(fields, FIELD_TEXT) && text_part(request, "text/plain")) ||
           (fields_want(fields, FIELD_HTML) && text_part(request, "text/html"));
}

/* More than a preview is to come from the mail server. */
static bool must_ask(const struct request *request)
{
    const struct fields *fields = request->state;
    return wants_headers(fields) || wants_text(request, fields);
}

static enum err put_text_member(struct buf *out, struct request *request, enum field field,
                                const char *type)
{
    const struct fields *fields = request->state;
    const struct part *part = text_part(request, type);
    enum err err = OK;
    if (!fields_want(fields, field))
        return OK;
    put_key(out, field_name(field));
    if (!part) {
        put_null(out);
        return OK;
    }
    err = text_put_open(out, request, part, READ_TEXT);
    if (!err)
        put_close(out, '}');
    return err;
}

static void put_header_members(struct buf *out, struct request *request,
                               const struct header_line_list *list)
{
    const struct fields *fields = request->state;
    if (fields_want(fields, FIELD_HEADERS)) {
        put_key(out, field_name(FIELD_HEADERS));
        headers_put(out, list);
    }
    for (uint32_t i = 0; i < fields->header_count; i++) {
        put_key(out, arena_printf(&request->arena, "header.%s", fields->headers[i]));
        headers_put_values(out, list, fields->headers[i]);
    }
}

static enum err put_message(struct buf *out, struct request *request)
{
    const struct fields *fields = request->state;
    struct header_line_list list = {.first = NULL};
    enum err err = wants_headers(fields) ? headers_read(request, &list) : OK;
    if (err)
        return err;
    put_open(out, '{');
    render_row(out, &request->row, request->folder.id, fields->mask);
    if (fields_want(fields, FIELD_LIMITED)) {
        put_key(out, field_name(FIELD_LIMITED));
        render_limited(out, request->message.limited | list.limited);
    }
    if (fields_want(fields, FIELD_PARTS)) {
        put_key(out, field_name(FIELD_PARTS));
        render_parts(out, &request->message);
    }
    if (fields_want(fields, FIELD_ATTACHMENTS)) {
        put_key(out, field_name(FIELD_ATTACHMENTS));
        render_attachments(out, &request->message);
    }
    put_header_members(out, request, &list);
    err = put_text_member(out, request, FIELD_TEXT, "text/plain");
    if (!err)
        err = put_text_member(out, request, FIELD_HTML, "text/html");
    put_close(out, '}');
    return err;
}

static void message_answer(struct request *request)
{
    const struct fields *fields = request->state;
    struct buf body;
    char etag[ETAG_BYTES];
    bool shows_preview = fields_want(fields, FIELD_PREVIEW);
    if (shows_preview && request->on_worker && !flow_read_preview(request, must_ask(request)))
        return;
    buf_init(&body, MESSAGE_MOST_BYTES);
    if (put_message(&body, request)) {
        buf_clear(&body);
        request_fail(request);
        return;
    }
    request_set_header(request, "Cache-Control", CACHE_REVALIDATE);
    if (!shows_preview || request->row.preview) { /* else a later answer tells more */
        render_message_etag(&request->row, request->folder.id, etag);
        request_set_header(request, "ETag", etag);
    }
    request_reply_json(request, 200, &body);
}

static void message_found(struct request *request)
{
    const struct fields *fields = request->state;
    char etag[ETAG_BYTES];
    render_message_etag(&request->row, request->folder.id, etag);
    if (request_not_modified(request, etag, CACHE_REVALIDATE))
        return;
    bool may_ask = !request->freshness.only_if_cached && request->source != SOURCE_STALE;
    bool for_preview = may_ask && fields_want(fields, FIELD_PREVIEW) && flow_lacks_preview(request);
    if (!must_ask(request) && !for_preview) {
        message_answer(request);
    } else if (flow_may_ask(request)) {
        request->takes_fault = !must_ask(request);
        request_need(request, NEED_CONNECTION, request->folder.number, message_answer);
    }
}

void handle_message_get(struct request *request)
{
    struct fields *fields = arena_new(&request->arena, struct fields);
    request->state = fields;
    if (fields_parse(request->params.text[PARAM_FIELDS], false, &request->arena,
                     &request_call(request)->fault, fields)) {
        request_fail(request);
        return;
    }
    bool full = fields->mask & ~FIELDS_LIST;
    flow_message(request, FLOW_FRESH | (full ? FLOW_FULL : 0), message_found);
}

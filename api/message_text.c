/* message_text.c - what a person reads of a message. */
#include "message_text.h"
#include "flow.h"
#include "operations.h"
#include "put.h"
#include "render.h"
#include "routes.h"
#include "text.h"

#include <string.h>

enum err text_put_open(struct buf *out, struct request *request, const struct part *part,
                       enum read_mode mode)
{
    uint64_t most = request->params.number[PARAM_MAX_BYTES];
    struct buf_sink sink;
    struct buf text;
    buf_init(&text, most + 1);
    buf_sink_init(&sink, &text);
    /* One byte more than may be shown tells whether there is more. */
    enum err err = operation_read_part(&request->task, &request->folder, request->place.uid, part,
                                       mode, 0, most, &sink.sink);
    if (!err) {
        bool truncated = text.length > most;
        size_t length = truncated ? text_cut_bytes(text.data, text.length, most) : text.length;
        put_open(out, '{');
        put_key(out, "value");
        buf_json_string(out, text.data ? text.data : "", length);
        put_member_bool(out, "truncated", truncated);
        put_member_text(out, "charset", part->charset);
    }
    buf_clear(&text);
    return err;
}

/* ---- /text ---- */

struct text_wish {
    const struct part *part; /* NULL: the message has no text */
    enum read_mode mode;
    const char *converted_from; /* NULL: shown as it is */
};

static void text_answer_with(struct request *request, struct buf *body)
{
    const struct text_wish *wish = request->state;
    put_member_text(body, "as", request->params.number[PARAM_AS] == AS_HTML ? "html" : "plain");
    put_member_text(body, "partId", wish->part ? wish->part->id : NULL);
    put_member_text(body, "convertedFrom", wish->converted_from);
    put_close(body, '}');
    request_set_header(request, "Cache-Control", CACHE_REVALIDATE);
    request_reply_json(request, 200, body);
}

static void text_answer(struct request *request)
{
    const struct text_wish *wish = request->state;
    struct buf body;
    buf_init(&body, 8 * (size_t)TEXT_BYTES_MOST);
    if (text_put_open(&body, request, wish->part, wish->mode)) {
        buf_clear(&body);
        request_fail(request);
        return;
    }
    request_source(request, SOURCE_LIVE, 0);
    text_answer_with(request, &body);
}

static const struct part *part_at(const struct message *message, int32_t index)
{
    return index < 0 ? NULL : &message->parts[index];
}

static void wish_choose(const struct message *message, bool as_html, struct text_wish *out)
{
    const struct part *html =
        part_at(message, parts_find_text(message->parts, message->part_count, "text/html"));
    const struct part *plain =
        part_at(message, parts_find_text(message->parts, message->part_count, "text/plain"));
    *out = (struct text_wish){.part = as_html ? html : plain, .mode = READ_TEXT};
    if (!as_html && !plain && html)
        *out = (struct text_wish){html, READ_HTML_TEXT, "text/html"};
}

static void text_found(struct request *request)
{
    bool as_html = request->params.number[PARAM_AS] == AS_HTML;
    struct text_wish *wish = arena_new(&request->arena, struct text_wish);
    struct buf body;
    request->state = wish;
    wish_choose(&request->message, as_html, wish);
    if (wish->part) {
        if (flow_may_ask(request))
            request_need(request, NEED_CONNECTION, request->folder.number, text_answer);
        return;
    }
    if (as_html) {
        fault_at(&request_call(request)->fault, ERR_NOT_FOUND, "as",
                 "the message has no HTML text");
        request_fail(request);
        return;
    }
    buf_init(&body, 4096);
    put_open(&body, '{');
    put_member_text(&body, "value", "");
    put_member_bool(&body, "truncated", false);
    put_member_null(&body, "charset");
    flow_remembered(request);
    text_answer_with(request, &body);
}

void handle_message_text(struct request *request)
{
    flow_message(request, FLOW_FULL, text_found);
}

/* ---- /headers ---- */

struct header_collector {
    struct header_sink sink;
    struct arena *arena;
    struct header_line_list *list;
};

static enum err header_collect(struct header_sink *sink, const char *name, const char *value)
{
    struct header_collector *self = (struct header_collector *)sink;
    struct header_line_item *item = arena_new(self->arena, struct header_line_item);
    item->name = arena_strdup(self->arena, name);
    item->value = arena_strdup(self->arena, value);
    *self->list->end = item;
    self->list->end = &item->next;
    return OK;
}

enum err headers_read(struct request *request, struct header_line_list *out)
{
    struct header_collector collector = {
        .sink = {.header = header_collect}, .arena = &request->arena, .list = out};
    *out = (struct header_line_list){.end = &out->first};
    enum err err = operation_read_headers(&request->task, &request->folder, request->place.uid,
                                          &collector.sink);
    out->limited = collector.sink.limited;
    return err;
}

void headers_put(struct buf *out, const struct header_line_list *list)
{
    put_open(out, '[');
    for (const struct header_line_item *item = list->first; item; item = item->next) {
        put_open(out, '{');
        put_member_text(out, "name", item->name);
        put_member_text(out, "value", item->value);
        put_close(out, '}');
    }
    put_close(out, ']');
}

void headers_put_values(struct buf *out, const struct header_line_list *list, const char *name)
{
    put_open(out, '[');
    for (const struct header_line_item *item = list->first; item; item = item->next)
        if (text_casecmp(item->name, name) == 0)
            put_text(out, item->value);
    put_close(out, ']');
}

static void headers_answer(struct request *request)
{
    struct header_line_list list;
    struct buf body;
    if (headers_read(request, &list)) {
        request_fail(request);
        return;
    }
    buf_init(&body, 64 * 1024 * 1024);
    put_open(&body, '{');
    put_key(&body, "items");
    headers_put(&body, &list);
    put_key(&body, "limited");
    render_limited(&body, list.limited);
    put_member_null(&body, "nextCursor");
    put_close(&body, '}');
    request_source(request, SOURCE_LIVE, 0);
    request_set_header(request, "Cache-Control", CACHE_REVALIDATE);
    request_reply_json(request, 200, &body);
}

static void headers_found(struct request *request)
{
    if (flow_may_ask(request))
        request_need(request, NEED_CONNECTION, request->folder.number, headers_answer);
}

void handle_message_headers(struct request *request)
{
    flow_message(request, 0, headers_found);
}

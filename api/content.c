/* content.c - bytes of a message or a part, streamed: whole, or one range.
 *
 * The answer begins with the first bytes that the mail server gave, so whatever fails before is a
 * problem document. What fails later breaks the stream: a length that was promised is kept or the
 * connection to the client is closed. */
#include "clock.h"
#include "disposition.h"
#include "flow.h"
#include "operations.h"
#include "routes.h"

#include <stdio.h>
#include <string.h>

#define UNKNOWN         (-1)
#define HELD_MOST_BYTES PIPE_DEFAULT_BYTES /* goes into the pipe without waiting */

struct download {
    struct sink sink;
    struct request *request;
    const struct part *part; /* NULL: the whole message */
    enum read_mode mode;
    int64_t total; /* of the whole content, UNKNOWN until asked */
    const char *etag, *type, *file_name;
    bool is_estimate; /* total is what the mail server said beforehand, not the bytes' own length */

    int status;
    uint64_t first, last; /* last UINT64_MAX: to the end */
    int64_t expected;     /* bytes to come */
    int64_t asked_us;     /* when the mail server was asked for them */
    uint64_t sent;
    struct buf held;   /* of an unknown size: held back, for a small one is then known */
    struct pipe *pipe; /* once begun */
};

static void set_headers(const struct download *download)
{
    struct request *request = download->request;
    request_set_validator(request, download->etag, CACHE_IMMUTABLE);
    request_set_header(request, "Accept-Ranges", "bytes");
    request_set_header(request, "Content-Disposition",
                       disposition_value(&request->arena, download->type, download->file_name));
    request_set_header(request, "Content-Security-Policy", "sandbox; default-src 'none'");
    if (download->status == 206 && download->total != UNKNOWN)
        request_set_header(request, "Content-Range",
                           arena_printf(&request->arena, "bytes %llu-%llu/%lld",
                                        (unsigned long long)download->first,
                                        (unsigned long long)download->last,
                                        (long long)download->total));
    else if (download->status == 206)
        request_set_header(request, "Content-Range",
                           arena_printf(&request->arena, "bytes %llu-%llu/*",
                                        (unsigned long long)download->first,
                                        (unsigned long long)download->last));
}

static void begin(struct download *download)
{
    struct call *call = request_call(download->request);
    int64_t counted_us = call->upstream_us;
    set_headers(download);
    download->pipe = pipe_new(PIPE_DEFAULT_BYTES);
    /* The read is counted when it ends; Server-Timing tells how long its first bytes took. */
    call->upstream_us += clock_now_us() - download->asked_us;
    request_start_stream(download->request, download->status, download->type, download->pipe,
                         download->expected);
    call->upstream_us = counted_us;
}

static enum err pass_on(struct download *download, const void *data, size_t length)
{
    return pipe_write(download->pipe, data, length,
                      download->request->api->config.stall_timeout_ms);
}

static enum err begin_with_held(struct download *download)
{
    begin(download);
    enum err err = pass_on(download, download->held.data, download->held.length);
    buf_clear(&download->held);
    return err;
}

/* Now the true length is known; RFC822.SIZE and the octets of BODYSTRUCTURE are an estimate with
 * some servers (Exchange). */
static void download_expect(struct sink *sink, uint64_t length)
{
    struct download *download = (struct download *)sink;
    bool is_short = download->expected != UNKNOWN && length < (uint64_t)download->expected;
    if (download->pipe || !download->is_estimate)
        return;
    if (download->status == 200) {
        download->expected = (int64_t)length;
    } else if (is_short && length > 0) {
        download->expected = (int64_t)length;
        download->last = download->first + length - 1;
        download->total = UNKNOWN;
    }
}

static enum err download_write(struct sink *sink, const void *data, size_t length)
{
    struct download *download = (struct download *)sink;
    enum err err = OK;
    if (download->expected != UNKNOWN && length > (uint64_t)download->expected - download->sent)
        return fault_set(&request_call(download->request)->fault, ERR_PROTOCOL,
                         "the mail server sent more than it said there was");
    download->sent += length;
    if (!download->pipe && download->expected == UNKNOWN && download->sent <= HELD_MOST_BYTES) {
        buf_append(&download->held, data, length);
        return OK;
    }
    if (!download->pipe)
        err = begin_with_held(download);
    return err ? err : pass_on(download, data, length);
}

static enum err download_read(struct download *download)
{
    struct request *request = download->request;
    if (!download->part)
        return operation_read_raw(&request->task, &request->folder, request->place.uid,
                                  (uint64_t)download->total, download->first, download->last,
                                  &download->sink);
    return operation_read_part(&request->task, &request->folder, request->place.uid, download->part,
                               download->mode, download->first, download->last, &download->sink);
}

/* The end of a whole decoded read is the one moment its size is known for nothing. */
static void remember_size(struct download *download)
{
    struct request *request = download->request;
    struct call *call = request_call(request);
    if (download->total == UNKNOWN && download->mode == READ_DECODED && download->part &&
        mirror_put_part_size(seat_mirror(request->seat), call, request->folder.number,
                             request->place.uid, download->part->id, download->sent))
        fault_clear(&call->fault); /* only a convenience */
}

static void content_stream(struct request *request)
{
    struct download *download = request->state;
    request_source(request, SOURCE_LIVE, 0);
    download->asked_us = clock_now_us();
    enum err err = download_read(download);
    if (!err && download->expected != UNKNOWN && download->sent != (uint64_t)download->expected)
        err = fault_set(&request_call(request)->fault, ERR_PROTOCOL,
                        "the mail server sent less than it said there was");
    if (err && !download->pipe) {
        buf_clear(&download->held);
        request_fail(request);
        return;
    }
    if (!err)
        remember_size(download);
    if (!download->pipe) {
        download->expected = (int64_t)download->sent;
        err = begin_with_held(download);
    }
    request_end_stream(request, download->pipe, err);
}

/* Promises the length without sending: the reader of a HEAD is never asked. */
static void answer_head(struct download *download)
{
    struct pipe *pipe = pipe_new(1);
    struct request *request = download->request;
    flow_remembered(request);
    set_headers(download);
    request_start_stream(request, 200, download->type, pipe, download->total);
    request_end_stream(request, pipe, OK);
}

static void answer_unsatisfiable(struct download *download)
{
    struct request *request = download->request;
    request_set_header(request, "Content-Range",
                       arena_printf(&request->arena, "bytes */%lld", (long long)download->total));
    fault_at(&request_call(request)->fault, ERR_RANGE, "Range", "there are %lld bytes",
             (long long)download->total);
    request_fail(request);
}

/* The size is known, or not needed. */
static void content_send(struct request *request)
{
    struct download *download = request->state;
    const char *range = exchange_header(request->exchange, "Range");
    enum http_range kind = HTTP_RANGE_WHOLE;
    if (request->is_head) {
        answer_head(download);
        return;
    }
    if (range && download->total != UNKNOWN)
        kind =
            http_range_parse(range, exchange_header(request->exchange, "If-Range"), download->etag,
                             (uint64_t)download->total, &download->first, &download->last);
    if (kind == HTTP_RANGE_UNSATISFIABLE) {
        answer_unsatisfiable(download);
        return;
    }
    download->status = kind == HTTP_RANGE_PART ? 206 : 200;
    download->expected =
        kind == HTTP_RANGE_PART ? (int64_t)(download->last - download->first + 1) : download->total;
    if (kind == HTTP_RANGE_WHOLE) {
        if (download->is_estimate)
            download->expected = UNKNOWN; /* download_expect learns it */
        download->first = 0;
        download->last = UINT64_MAX;
    }
    if (request->on_worker && request->task.backend)
        content_stream(request);
    else
        request_need(request, NEED_CONNECTION, request->folder.number, content_stream);
}

static void size_learn(struct request *request)
{
    struct download *download = request->state;
    uint64_t size;
    if (operation_part_size(&request->task, &request->folder, request->place.uid, download->part,
                            &size)) {
        request_fail(request);
        return;
    }
    download->total = (int64_t)size;
    request_source(request, SOURCE_LIVE, 0);
    content_send(request);
}

static void content_begin(struct request *request, struct download *download)
{
    request->state = download;
    download->sink.write = download_write;
    download->sink.expect = download_expect;
    buf_init(&download->held, HELD_MOST_BYTES);
    download->request = request;
    download->status = 200;
    request->task.lane = LANE_BULK;
    if (request_not_modified(request, download->etag, CACHE_IMMUTABLE))
        return;
    if (!flow_may_ask(request))
        return;
    bool needs_size = request->is_head || exchange_header(request->exchange, "Range");
    if (download->total == UNKNOWN && needs_size)
        request_need(request, NEED_CONNECTION, request->folder.number, size_learn);
    else
        content_send(request);
}

static void raw_found(struct request *request)
{
    struct download *download = arena_new(&request->arena, struct download);
    *download = (struct download){
        .mode = READ_RAW,
        .total = (int64_t)request->row.size,
        .is_estimate = true,
        .etag = arena_printf(&request->arena, "\"%s.raw\"", request->row.id),
        .type = "message/rfc822",
        .file_name = arena_printf(&request->arena, "%s.eml", request->row.id),
    };
    content_begin(request, download);
}

static bool is_identity(const struct part *part)
{
    return strcmp(part->encoding, "7bit") == 0 || strcmp(part->encoding, "8bit") == 0 ||
           strcmp(part->encoding, "binary") == 0;
}

static const struct part *part_find(struct request *request)
{
    const struct message *message = &request->message;
    int32_t index = parts_find(message->parts, message->part_count, request->path[PATH_PART]);
    const struct part *part = index < 0 ? NULL : &message->parts[index];
    if (part && strncmp(part->type, "multipart/", 10) != 0)
        return part;
    fault_at(&request_call(request)->fault, ERR_NOT_FOUND, "part", "the message has no such part");
    return NULL;
}

static void part_found(struct request *request)
{
    struct download *download = arena_new(&request->arena, struct download);
    struct arena *arena = &request->arena;
    bool raw = request->params.number[PARAM_ENCODING] == ENCODING_RAW;
    const char *accept = exchange_header(request->exchange, "Accept");
    const struct part *part = part_find(request);
    const char *type = part ? content_type_value(arena, part->type, part->charset) : NULL;
    const char *bare = part ? content_type_value(arena, part->type, NULL) : NULL;
    if (part && accept && !http_accept_quality(accept, bare) &&
        !http_accept_quality(accept, "application/octet-stream"))
        fault_set(&request_call(request)->fault, ERR_NOT_ACCEPTABLE, "this part is %s only", bare);
    if (request_call(request)->fault.code) {
        request_fail(request);
        return;
    }
    *download = (struct download){
        .part = part,
        .mode = raw ? READ_RAW : READ_DECODED,
        .total = raw || is_identity(part) ? (int64_t)part->encoded_size : part->size,
        .is_estimate = raw || is_identity(part),
        .etag = arena_printf(arena, "\"%s.%s%s\"", request->row.id, part->id, raw ? ".raw" : ""),
        .type = raw && !is_identity(part) ? "application/octet-stream" : type,
        .file_name = part->name,
    };
    content_begin(request, download);
}

void handle_message_raw(struct request *request)
{
    flow_message(request, 0, raw_found);
}

void handle_part_get(struct request *request)
{
    flow_message(request, FLOW_FULL, part_found);
}

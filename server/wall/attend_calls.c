/* attend_calls.c - one request, from its frame to FRAME_END, run on the real backend.
 *
 * A credential is in the request's frame and nowhere else: the frame is wiped when sign-in is over.
 * An error that kills the connection is told first, then the connection is closed from this side.
 */
#include "attend_inner.h"

#include "crash.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

#define REQUEST_MS 3000 /* a frame that has begun must be there whole */
#define PARTING_MS 2000 /* for FRAME_END, when the deadline has passed already */

/* ---- the calls ---- */

static enum err open_backend(struct serving *serving, uint64_t *value)
{
    struct connection *connection = serving->connection;
    struct backend_target *target = &serving->request.target;
    const struct backend_ops *ops = serving->config->ops[target->protocol];
    struct backend *backend = NULL;
    struct backend_info info;
    (void)value;
    if (!ops)
        return fault_set(&serving->call.fault, ERR_UNSUPPORTED, "%s is not offered",
                         backend_protocol_name(target->protocol));
    target->world = serving->config->world;
    target->connected = true;
    target->socket = connection->socket_fd;
    target->before_wait = connection_before_wait;
    target->before_wait_argument = connection;
    connection->socket_fd = -1; /* theirs, whatever comes of it */
    enum err err = backend_open(ops, target, &serving->call, &connection->cancelled, &backend);
    if (err)
        return err;
    connection_set_backend(connection, backend);
    backend_info_get(backend, &serving->arena, &info);
    put_info(serving_out(serving), serving->request.call, &info);
    return serving_pour(serving);
}

static enum err noop(struct serving *serving, uint64_t *value)
{
    (void)value;
    return backend_noop(serving->connection->backend, &serving->call);
}

static enum err list_folders(struct serving *serving, uint64_t *value)
{
    (void)value;
    return backend_list_folders(serving->connection->backend, &serving->call,
                                serving->request.with_status, &serving->folders.sink);
}

static enum err sync_folder(struct serving *serving, uint64_t *value)
{
    const struct request *request = &serving->request;
    (void)value;
    return backend_sync(serving->connection->backend, &serving->call, &request->known,
                        request->count, &serving->changes.sink);
}

static enum err fetch_older(struct serving *serving, uint64_t *value)
{
    const struct request *request = &serving->request;
    uint32_t floor = request->known.floor;
    enum err err =
        backend_fetch_older(serving->connection->backend, &serving->call, &request->known,
                            request->count, &serving->changes.sink, &floor);
    *value = floor;
    return err;
}

static enum err fetch_one(struct serving *serving, uint64_t *value)
{
    const struct request *request = &serving->request;
    (void)value;
    return backend_fetch_one(serving->connection->backend, &serving->call, &request->known,
                             request->uid, &serving->changes.sink);
}

static enum err previews(struct serving *serving, uint64_t *value)
{
    const struct request *request = &serving->request;
    (void)value;
    return backend_previews(serving->connection->backend, &serving->call, &request->known,
                            request->wishes, request->wish_count, &serving->previews.sink);
}

static enum err read_part(struct serving *serving, uint64_t *value)
{
    (void)value;
    return backend_read_part(serving->connection->backend, &serving->call, &serving->request.wish,
                             &serving->content.sink);
}

static enum err part_size(struct serving *serving, uint64_t *value)
{
    return backend_part_size(serving->connection->backend, &serving->call, &serving->request.wish,
                             value);
}

static enum err read_headers(struct serving *serving, uint64_t *value)
{
    enum err err = backend_read_headers(serving->connection->backend, &serving->call,
                                        &serving->request.wish, &serving->headers.sink);
    *value = serving->headers.sink.limited;
    return err;
}

static enum err change_flags(struct serving *serving, uint64_t *value)
{
    const struct request *request = &serving->request;
    (void)value;
    return backend_change_flags(serving->connection->backend, &serving->call, &request->known,
                                request->uid, &request->change, &serving->changes.sink);
}

static enum err quota(struct serving *serving, uint64_t *value)
{
    struct quota_resource *resources;
    uint32_t count;
    enum err err = backend_quota(serving->connection->backend, &serving->call, &resources, &count);
    (void)value;
    for (uint32_t i = 0; i < count && !err; i++) {
        put_resource(serving_out(serving), serving->request.call, &resources[i]);
        err = serving_pour(serving);
    }
    return err;
}

/* `value` is what FRAME_END carries. */
static enum err (*const call_rows[FRAME_CALLS_END])(struct serving *serving, uint64_t *value) = {
    [FRAME_OPEN] = open_backend,         [FRAME_NOOP] = noop,
    [FRAME_LIST_FOLDERS] = list_folders, [FRAME_SYNC] = sync_folder,
    [FRAME_FETCH_OLDER] = fetch_older,   [FRAME_FETCH_ONE] = fetch_one,
    [FRAME_PREVIEWS] = previews,         [FRAME_READ_PART] = read_part,
    [FRAME_PART_SIZE] = part_size,       [FRAME_READ_HEADERS] = read_headers,
    [FRAME_CHANGE_FLAGS] = change_flags, [FRAME_QUOTA] = quota,
};

/* ---- around each ---- */

static bool read_request(struct serving *serving)
{
    struct connection *connection = serving->connection;
    struct channel_wait wait = {.deadline_ms = clock_now_ms() + REQUEST_MS,
                                .cancelled = &connection->cancelled};
    struct frame frame;
    enum err err = channel_read(&connection->channel, &wait, FRAME_OPEN, FRAME_CALLS_END, &frame);
    if (err == ERR_WORKER || err == ERR_CANCELLED)
        return false; /* it left: nothing to speak of */
    bool good = !err && take_request(&frame, &serving->arena, &serving->request) &&
                (serving->request.kind == FRAME_OPEN) == (connection->host == NULL);
    if (!good)
        log_event(LOG_WARN, "wall.request", LOG_TEXT("host", connection->host),
                  LOG_TEXT("error", err ? err_name(err) : "garbled"), LOG_END);
    return good;
}

static bool same_text(const char *left, const char *right)
{
    return left && right ? strcmp(left, right) == 0 : left == right;
}

static void tell_selected(struct serving *serving)
{
    struct connection *connection = serving->connection;
    const char *selected = connection->backend ? connection->backend->selected : NULL;
    if (same_text(connection->told_selected, selected))
        return;
    put_selected(serving_out(serving), serving->request.call, selected);
    free(connection->told_selected);
    connection->told_selected = selected ? xstrdup(selected) : NULL;
}

static void finish(struct serving *serving, enum err err, uint64_t value)
{
    struct connection *connection = serving->connection;
    int64_t parting_ms = clock_now_ms() + PARTING_MS;
    tell_selected(serving);
    if (crash_point("end", connection->host))
        serving_lie(serving);
    put_end(serving_out(serving), serving->request.call, err, &serving->call.fault, value);
    if (serving->wait.deadline_ms < parting_ms)
        serving->wait.deadline_ms = parting_ms;
    serving_flush(serving);
}

/* True when the connection lives on. */
static bool run(struct serving *serving)
{
    struct connection *connection = serving->connection;
    const struct request *request = &serving->request;
    uint64_t value = 0;
    serving->call.deadline_ms = serving->wait.deadline_ms = request->deadline_ms;
    if (request->kind == FRAME_OPEN)
        connection->host = xstrdup(request->target.host);
    if (crash_point(request->kind == FRAME_OPEN ? "open" : "call", connection->host))
        serving_lie(serving);
    connection->serving = serving;
    enum err err = call_rows[request->kind](serving, &value);
    if (!serving->failure && !connection_is_cancelled(connection))
        finish(serving, err, value);
    connection->serving = NULL;
    return !serving->failure && connection->backend && !connection->backend->dead;
}

bool connection_serve(struct connection *connection, const struct attendance_config *config)
{
    struct serving serving = {.connection = connection, .config = config};
    arena_init(&serving.arena);
    serving.cpu_began_us = thread_cpu_us();
    serving.call.arena = &serving.arena;
    serving.wait.cancelled = &connection->cancelled;
    serving_init_sinks(&serving);
    bool lives = read_request(&serving) && run(&serving);
    bool signing_in = !connection->backend || serving.request.kind == FRAME_OPEN;
    if (!channel_rest(&connection->channel, signing_in))
        lives = false;
    arena_clear(&serving.arena);
    return lives;
}

/* proxy.c - backend_walled: the near side of a connection that lives in a worker.
 *
 * Only opening does more than pass a call on: the name is resolved, the address judged and the
 * socket connected here, where the policy is; the worker gets the socket and the credential.
 */
#include "proxy.h"

#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FOLDERS_MAX 100000u /* where the world says nothing */

static struct exchange exchange_of(struct backend *backend, struct call *call, uint16_t kind)
{
    return (struct exchange){
        .self = (struct walled *)backend, .call = call, .request = {.kind = kind}};
}

/* ---- opening and closing ---- */

static void walled_close(struct backend *backend)
{
    struct walled *self = (struct walled *)backend;
    crew_leave(&self->berth, self->lost);
    channel_clear(&self->channel);
    free(self->selected);
    free(self->capability_text);
    free(self->server_name);
    free(self);
}

static enum err board(const struct backend_target *target, const struct channel_wait *wait,
                      struct fault *fault, struct berth **berth, int *channel_fd)
{
    struct sockaddr_storage peer;
    struct passenger passenger = {
        .host = target->host, .username = target->username, .peer = &peer, .socket = -1};
    const struct stream_target where = {
        .host = target->host, .port = target->port, .reach = target->world->reach};
    enum err err =
        stream_connect(&where, wait->deadline_ms, wait->cancelled, fault, &passenger.socket, &peer);
    return err ? err : crew_board(target->world->wall, &passenger, wait, fault, berth, channel_fd);
}

static enum err walled_open(const struct backend_target *target, struct call *call,
                            const volatile bool *cancelled, struct backend **out)
{
    const struct channel_wait wait = {.deadline_ms = call->deadline_ms, .cancelled = cancelled};
    struct berth *berth = NULL;
    int channel_fd = -1;
    enum err err = board(target, &wait, &call->fault, &berth, &channel_fd);
    if (err)
        return err;
    struct walled *self = xalloc(sizeof *self);
    self->backend = (struct backend){.ops = &backend_walled, .protocol = target->protocol};
    self->berth = berth;
    self->folders_max = target->world->folders_max ? target->world->folders_max : FOLDERS_MAX;
    channel_init(&self->channel, channel_fd);
    struct exchange exchange = exchange_of(&self->backend, call, FRAME_OPEN);
    exchange.request.target = *target;
    exchange.cancelled = cancelled;
    err = proxy_run(&exchange);
    if (err)
        walled_close(&self->backend);
    else
        *out = &self->backend;
    return err;
}

static void walled_cancel(struct backend *backend)
{
    struct walled *self = (struct walled *)backend;
    __atomic_store_n(&self->cancelled, true, __ATOMIC_RELEASE);
    shutdown(self->channel.fd, SHUT_RDWR); /* both ends see it at once */
}

static void walled_info(struct backend *backend, struct arena *arena, struct backend_info *out)
{
    const struct walled *self = (const struct walled *)backend;
    *out = (struct backend_info){.caps = self->caps,
                                 .capability_text = arena_strdup(arena, self->capability_text),
                                 .server_name = arena_strdup(arena, self->server_name)};
}

static int walled_fd(struct backend *backend)
{
    return ((const struct walled *)backend)->channel.fd;
}

/* ---- calls ---- */

static enum err walled_noop(struct backend *backend, struct call *call)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_NOOP);
    return proxy_run(&exchange);
}

static enum err walled_list_folders(struct backend *backend, struct call *call, bool with_status,
                                    struct folder_sink *sink)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_LIST_FOLDERS);
    exchange.request.with_status = with_status;
    exchange.folders = sink;
    return proxy_run(&exchange);
}

static enum err walled_sync(struct backend *backend, struct call *call,
                            const struct folder_known *known, uint32_t first_page,
                            struct change_sink *sink)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_SYNC);
    exchange.request.known = *known;
    exchange.request.count = first_page;
    exchange.changes = sink;
    return proxy_run(&exchange);
}

static enum err walled_fetch_older(struct backend *backend, struct call *call,
                                   const struct folder_known *known, uint32_t count,
                                   struct change_sink *sink, uint32_t *floor)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_FETCH_OLDER);
    exchange.request.known = *known;
    exchange.request.count = count;
    exchange.changes = sink;
    enum err err = proxy_run(&exchange);
    if (!err)
        *floor = (uint32_t)exchange.value; /* below known->floor, or 1 */
    return err;
}

static enum err walled_fetch_one(struct backend *backend, struct call *call,
                                 const struct folder_known *known, uint32_t uid,
                                 struct change_sink *sink)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_FETCH_ONE);
    exchange.request.known = *known;
    exchange.request.uid = uid;
    exchange.changes = sink;
    return proxy_run(&exchange);
}

static enum err walled_previews(struct backend *backend, struct call *call,
                                const struct folder_known *known, const struct preview_wish *wishes,
                                uint32_t count, struct preview_sink *sink)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_PREVIEWS);
    exchange.request.known = *known;
    exchange.request.wishes = wishes;
    exchange.request.wish_count = count;
    exchange.previews = sink;
    return proxy_run(&exchange);
}

static enum err walled_read_part(struct backend *backend, struct call *call,
                                 const struct part_wish *wish, struct sink *sink)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_READ_PART);
    exchange.request.wish = *wish;
    exchange.bytes = sink;
    return proxy_run(&exchange);
}

static enum err walled_part_size(struct backend *backend, struct call *call,
                                 const struct part_wish *wish, uint64_t *out)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_PART_SIZE);
    exchange.request.wish = *wish;
    enum err err = proxy_run(&exchange);
    if (!err)
        *out = exchange.value;
    return err;
}

static enum err walled_read_headers(struct backend *backend, struct call *call,
                                    const struct part_wish *wish, struct header_sink *sink)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_READ_HEADERS);
    exchange.request.wish = *wish;
    exchange.headers = sink;
    enum err err = proxy_run(&exchange);
    sink->limited = err ? 0 : (uint32_t)exchange.value;
    return err;
}

static enum err walled_change_flags(struct backend *backend, struct call *call,
                                    const struct folder_known *known, uint32_t uid,
                                    const struct flag_change *change, struct change_sink *sink)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_CHANGE_FLAGS);
    exchange.request.known = *known;
    exchange.request.uid = uid;
    exchange.request.change = *change;
    exchange.changes = sink;
    return proxy_run(&exchange);
}

static enum err walled_quota(struct backend *backend, struct call *call,
                             struct quota_resource **out, uint32_t *count)
{
    struct exchange exchange = exchange_of(backend, call, FRAME_QUOTA);
    enum err err = proxy_run(&exchange);
    if (err)
        return err;
    *out = exchange.resources;
    *count = exchange.told;
    return OK;
}

const struct backend_ops backend_walled = {
    .name = "walled",
    .open = walled_open,
    .close = walled_close,
    .cancel = walled_cancel,
    .info = walled_info,
    .fd = walled_fd,
    .noop = walled_noop,
    .list_folders = walled_list_folders,
    .sync = walled_sync,
    .fetch_older = walled_fetch_older,
    .fetch_one = walled_fetch_one,
    .previews = walled_previews,
    .read_part = walled_read_part,
    .part_size = walled_part_size,
    .read_headers = walled_read_headers,
    .change_flags = walled_change_flags,
    .quota = walled_quota,
};

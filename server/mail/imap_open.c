/* imap_open.c - the IMAP backend as a table, and the life of one connection. */
#include "imap.h"

#include <libetpan/libetpan.h>
#include <gmime/gmime.h>
#include <stdlib.h>
#include <string.h>

static void imapc_free(struct imapc *imap)
{
    imapc_forget_selected(imap);
    imapc_wire_clear(&imap->wire);
    arena_clear(&imap->arena);
    arena_clear(&imap->scratch);
    arena_clear(&imap->reply);
    arena_clear(&imap->offers);
    free(imap);
}

static enum err imapc_open(const struct backend_target *target, struct call *call,
                           const volatile bool *cancelled, struct backend **out)
{
    struct stream *stream = NULL;
    struct stream_target where = {
        .host = target->host,
        .port = target->port,
        .tls = target->security == SECURITY_TLS,
        .reach = target->world->reach,
        .trust = target->world->trust,
        .connected = target->connected,
        .fd = target->socket,
        .before_wait = target->before_wait,
        .before_wait_argument = target->before_wait_argument,
    };
    enum err err = stream_open(&where, call->deadline_ms, cancelled, &call->fault, &stream);
    if (err)
        return err;
    struct imapc *imap = xalloc(sizeof *imap);
    imap->backend = (struct backend){.ops = &backend_imap, .protocol = PROTOCOL_IMAP};
    arena_init(&imap->arena);
    arena_init(&imap->scratch);
    arena_init(&imap->reply);
    arena_init(&imap->offers);
    imapc_wire_init(&imap->wire, stream, target->world);
    stream_watch(stream, cancelled);
    err = imapc_login(imap, target, call);
    if (err) {
        imapc_free(imap);
        return err;
    }
    stream_watch(stream, NULL);
    *out = &imap->backend;
    return OK;
}

static void imapc_close(struct backend *backend)
{
    struct imapc *imap = (struct imapc *)backend;
    static const char goodbye[] = "a0 LOGOUT\r\n";
    if (!imap->wire.dead) { /* said, not waited for */
        stream_set_deadline(imap->wire.stream, clock_now_ms() + 50);
        (void)stream_write(imap->wire.stream, goodbye, sizeof goodbye - 1);
    }
    imapc_free(imap);
}

static void imapc_cancel(struct backend *backend)
{
    stream_cancel(((struct imapc *)backend)->wire.stream);
}

static void imapc_info(struct backend *backend, struct arena *arena, struct backend_info *out)
{
    const struct imapc *imap = (const struct imapc *)backend;
    *out = (struct backend_info){
        .caps = imap->caps,
        .capability_text = arena_strdup(arena, imap->capability_text ? imap->capability_text : ""),
        .server_name = arena_strdup(arena, imap->server_name),
    };
}

static int imapc_fd(struct backend *backend)
{
    return stream_fd(((struct imapc *)backend)->wire.stream);
}

static enum err imapc_noop(struct backend *backend, struct call *call)
{
    return imapc_simple((struct imapc *)backend, call, NULL, "NOOP", NULL);
}

const struct backend_ops backend_imap = {
    .name = "imap",
    .open = imapc_open,
    .close = imapc_close,
    .cancel = imapc_cancel,
    .info = imapc_info,
    .fd = imapc_fd,
    .noop = imapc_noop,
    .list_folders = imapc_list_folders,
    .sync = imapc_sync,
    .fetch_older = imapc_fetch_older,
    .fetch_one = imapc_fetch_one,
    .previews = imapc_previews,
    .read_part = imapc_read_part,
    .part_size = imapc_part_size,
    .read_headers = imapc_read_headers,
    .change_flags = imapc_change_flags,
    .quota = imapc_quota,
};

const struct backend_ops *const backend_direct[PROTOCOL_COUNT] = {
    [PROTOCOL_IMAP] = &backend_imap,
};

void backend_init(void)
{
    g_mime_init();
    mailstream_debug = 0;
    imapc_etpan_init();
}

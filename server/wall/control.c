/* control.c - the few messages of control.h, packed and sent. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4096

struct limit_field {
    size_t offset, size;
};

#define LIMIT(member)                                                                              \
    {                                                                                              \
        offsetof(struct backend_world, member), sizeof(((struct backend_world *)0)->member)        \
    }
static const struct limit_field limit_fields[] = {
    LIMIT(line_bytes_max),     LIMIT(literal_bytes_max), LIMIT(nesting_max),
    LIMIT(untagged_max),       LIMIT(folders_max),       LIMIT(command_bytes_max),
    LIMIT(answer_bytes_max),   LIMIT(command_ms_max),    LIMIT(parts_max),
    LIMIT(message_cpu_ms_max), LIMIT(message_bytes_max),
};
#define LIMIT_FIELDS (sizeof limit_fields / sizeof limit_fields[0])

static void pack_limits(struct buf *out, const struct backend_world *world)
{
    for (size_t i = 0; i < LIMIT_FIELDS; i++) {
        const char *at = (const char *)world + limit_fields[i].offset;
        uint32_t narrow;
        uint64_t value;
        if (limit_fields[i].size == sizeof value) {
            memcpy(&value, at, sizeof value);
        } else {
            memcpy(&narrow, at, sizeof narrow);
            value = narrow;
        }
        pack_u64(out, value);
    }
}

static void unpack_limits(struct unpack *from, struct backend_world *world)
{
    for (size_t i = 0; i < LIMIT_FIELDS; i++) {
        char *at = (char *)world + limit_fields[i].offset;
        uint64_t value = unpack_u64(from);
        uint32_t narrow = (uint32_t)value;
        if (limit_fields[i].size == sizeof value)
            memcpy(at, &value, sizeof value);
        else
            memcpy(at, &narrow, sizeof narrow);
    }
}

/* ---- sending ---- */
static int send_message(int socket, struct buf *message, const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec piece = {.iov_base = message->data, .iov_len = message->length};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    ssize_t sent;
    if (fd_count) {
        header.msg_control = control.space;
        header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *ancillary = CMSG_FIRSTHDR(&header);
        ancillary->cmsg_level = SOL_SOCKET;
        ancillary->cmsg_type = SCM_RIGHTS;
        ancillary->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(ancillary), fds, fd_count * sizeof(int));
    }
    do /* a worker may send(), and nothing that carries descriptors */
        sent = fd_count ? sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL)
                        : send(socket, message->data, message->length, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    int code = sent < 0 ? errno : 0;
    buf_clear(message);
    return code;
}

int control_send_start(int socket, const struct control_start *start)
{
    struct buf message;
    buf_init(&message, CONTROL_BYTES_MAX);
    pack_u8(&message, CONTROL_START);
    pack_u32(&message, FRAME_VERSION);
    pack_limits(&message, &start->limits);
    pack_text(&message, start->ca_file);
    pack_u8(&message, (uint8_t)start->sandbox);
    pack_u64(&message, start->memory_max);
    pack_u32(&message, start->threads_max);
    pack_u8(&message, (uint8_t)start->log_level);
    return send_message(socket, &message, NULL, 0);
}

int control_send_ready(int socket, uint32_t confinement)
{
    struct buf message;
    buf_init(&message, CONTROL_BYTES_MAX);
    pack_u8(&message, CONTROL_READY);
    pack_u32(&message, confinement);
    return send_message(socket, &message, NULL, 0);
}

int control_send_failed(int socket, const char *detail)
{
    char text[CONTROL_TEXT_MAX + 1] = "";
    struct buf message;
    snprintf(text, sizeof text, "%s", detail);
    buf_init(&message, CONTROL_BYTES_MAX);
    pack_u8(&message, CONTROL_FAILED);
    pack_text(&message, text);
    return send_message(socket, &message, NULL, 0);
}

int control_send_sign(int socket, enum control_kind kind)
{
    struct buf message;
    buf_init(&message, CONTROL_BYTES_MAX);
    pack_u8(&message, (uint8_t)kind);
    return send_message(socket, &message, NULL, 0);
}

int control_send_board(int socket, int channel_fd, int mail_fd)
{
    const int fds[] = {channel_fd, mail_fd};
    struct buf message;
    buf_init(&message, CONTROL_BYTES_MAX);
    pack_u8(&message, CONTROL_BOARD);
    return send_message(socket, &message, fds, 2);
}

/* ---- receiving ---- */
static void take_start(struct unpack *from, struct control_start *start)
{
    from->broken |= unpack_u32(from, UINT32_MAX) != FRAME_VERSION;
    unpack_limits(from, &start->limits);
    start->ca_file = unpack_remote(from, PATH_BYTES_MAX);
    start->sandbox = unpack_u8(from, SANDBOX_REQUIRED);
    start->memory_max = unpack_u64(from);
    start->threads_max = unpack_u32(from, UINT32_MAX);
    start->log_level = unpack_u8(from, LOG_LEVELS - 1);
}

static void take_failed(struct unpack *from, char text[CONTROL_TEXT_MAX + 1])
{
    const char *detail = unpack_text(from, CONTROL_TEXT_MAX);
    if (detail)
        memcpy(text, detail, strlen(detail) + 1);
}

static enum err take_message(struct control_message *out, size_t length, size_t fd_count)
{
    struct unpack from = {.at = out->bytes, .end = out->bytes + length};
    out->kind = unpack_u8(&from, CONTROL_KINDS_END - 1);
    switch (out->kind) {
    case CONTROL_START: take_start(&from, &out->start); break;
    case CONTROL_READY: out->confinement = unpack_u32(&from, UINT32_MAX); break;
    case CONTROL_FAILED: take_failed(&from, out->text); break;
    case CONTROL_BOARD:
    case CONTROL_PING:
    case CONTROL_PONG: break;
    default: return ERR_PROTOCOL;
    }
    size_t fds_wanted = out->kind == CONTROL_BOARD ? 2 : 0;
    if (!unpack_done(&from) || fds_wanted != fd_count)
        return fds_wanted ? ERR_BUSY : ERR_PROTOCOL;
    return OK;
}

/* All that came along, also more or fewer than wanted. */
static size_t take_fds(struct msghdr *header, int *fds, size_t capacity)
{
    size_t count = 0;
    for (struct cmsghdr *ancillary = CMSG_FIRSTHDR(header); ancillary;
         ancillary = CMSG_NXTHDR(header, ancillary)) {
        if (ancillary->cmsg_level != SOL_SOCKET || ancillary->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (ancillary->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here && count < capacity; i++)
            memcpy(&fds[count++], CMSG_DATA(ancillary) + i * sizeof(int), sizeof(int));
    }
    return count;
}

enum err control_receive(int socket, struct control_message *out)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = out->bytes, .iov_len = sizeof out->bytes};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = control.space,
                            .msg_controllen = sizeof control.space};
    int fds[2];
    ssize_t got;
    do
        got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return ERR_BUSY;
    if (got <= 0)
        return ERR_WORKER;
    size_t fd_count = take_fds(&header, fds, 2);
    bool cut = header.msg_flags & MSG_TRUNC;
    enum err err = cut ? ERR_PROTOCOL : take_message(out, (size_t)got, fd_count);
    if (err) {
        for (size_t i = 0; i < fd_count; i++)
            close(fds[i]);
    } else if (fd_count == 2) {
        out->channel_fd = fds[0];
        out->mail_fd = fds[1];
    }
    return err;
}

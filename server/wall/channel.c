/* channel.c - whole frames in, whole frames out, on one non-blocking stream socket.
 *
 * What arrives is read in large pieces and handed out where it lies. The buffer grows only for a
 * single frame that is larger, and only as far as that frame; a header is judged before a byte is
 * reserved for it. An idle connection holds no buffer at all: see channel_rest.
 */
#include "frame.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES   (64u * 1024u)
#define CANCEL_MS    50                    /* how late the flag is noticed */
#define OUT_BYTES    (16u * 1024u * 1024u) /* the ranges of a million uids, and more */
#define IN_BYTES_MAX (FRAME_HEADER_BYTES + (size_t)FRAME_BYTES_MAX)

void channel_init(struct channel *channel, int fd)
{
    assert(fd >= 0);
    *channel = (struct channel){.fd = fd};
    buf_init_secret(&channel->out, OUT_BYTES);
}

void channel_clear(struct channel *channel)
{
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    free(channel->in);
    channel->in = NULL;
    channel->in_start = channel->in_end = channel->in_size = 0;
    buf_clear(&channel->out);
}

bool channel_rest(struct channel *channel, bool wipe)
{
    bool at_rest = channel->in_start == channel->in_end && channel->out.length == 0;
    if (wipe && channel->in)
        explicit_bzero(channel->in, channel->in_size);
    free(channel->in);
    channel->in = NULL;
    channel->in_start = channel->in_end = channel->in_size = 0;
    buf_clear(&channel->out);
    return at_rest;
}

/* ---- waiting ---- */

static enum err wait_check(const struct channel_wait *wait)
{
    if (wait->cancelled && __atomic_load_n(wait->cancelled, __ATOMIC_RELAXED))
        return ERR_CANCELLED;
    if (wait->deadline_ms != DEADLINE_NONE && clock_now_ms() >= wait->deadline_ms)
        return ERR_TIMEOUT;
    return OK;
}

/* OK also on error and hang-up: the next call on the socket tells. */
static enum err wait_for(int fd, short events, const struct channel_wait *wait)
{
    for (;;) {
        struct pollfd polled = {.fd = fd, .events = events};
        enum err err = wait_check(wait);
        if (err)
            return err;
        int most_ms = wait->cancelled ? CANCEL_MS : INT_MAX;
        if (poll(&polled, 1, clock_left_ms(wait->deadline_ms, most_ms)) > 0)
            return OK;
    }
}

static bool must_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* ---- sending ---- */

enum err channel_flush(struct channel *channel, const struct channel_wait *wait)
{
    size_t sent = 0;
    enum err err = OK;
    assert(!channel->out.overflowed);
    while (!err && sent < channel->out.length) {
        ssize_t moved = send(channel->fd, channel->out.data + sent, channel->out.length - sent,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (moved > 0)
            sent += (size_t)moved;
        else if (moved < 0 && must_wait())
            err = wait_for(channel->fd, POLLOUT, wait);
        else if (moved == 0 || errno != EINTR)
            err = ERR_WORKER;
    }
    buf_consume(&channel->out, sent);
    return err;
}

/* ---- reading ---- */

static uint32_t little_endian(const char *at, unsigned bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint32_t)(unsigned char)at[i] << (8 * i);
    return value;
}

/* Room for a run of `need` bytes from in_start, and as many more as the buffer has. */
static void make_room(struct channel *channel, size_t need)
{
    size_t held = channel->in_end - channel->in_start;
    assert(need <= IN_BYTES_MAX && held < need);
    if (held == 0)
        channel->in_start = channel->in_end = 0;
    if (channel->in_size - channel->in_start < need && channel->in_start > 0) {
        memmove(channel->in, channel->in + channel->in_start, held);
        channel->in_start = 0;
        channel->in_end = held;
    }
    if (channel->in_size < need) {
        channel->in_size = need > READ_BYTES ? need : READ_BYTES;
        channel->in = xrealloc(channel->in, channel->in_size);
    }
}

/* Once, as much as there is; waits for the first byte. */
static enum err read_more(struct channel *channel, size_t need, const struct channel_wait *wait)
{
    enum err err = wait_check(wait); /* a sender that never pauses is no reason to stay */
    make_room(channel, need);
    while (!err) {
        ssize_t moved = recv(channel->fd, channel->in + channel->in_end,
                             channel->in_size - channel->in_end, MSG_DONTWAIT);
        if (moved > 0) {
            channel->in_end += (size_t)moved;
            return OK;
        }
        if (moved < 0 && must_wait())
            err = wait_for(channel->fd, POLLIN, wait);
        else if (moved == 0 || errno != EINTR)
            err = ERR_WORKER;
    }
    return err;
}

static enum err fill(struct channel *channel, size_t need, const struct channel_wait *wait)
{
    enum err err = OK;
    while (!err && channel->in_end - channel->in_start < need)
        err = read_more(channel, need, wait);
    return err;
}

enum err channel_read(struct channel *channel, const struct channel_wait *wait, uint16_t kind_first,
                      uint16_t kind_end, struct frame *out)
{
    enum err err = fill(channel, FRAME_HEADER_BYTES, wait);
    if (err)
        return err;
    const char *header = channel->in + channel->in_start;
    *out = (struct frame){
        .length = little_endian(header, 4),
        .kind = (uint16_t)little_endian(header + 4, 2),
        .call = (uint16_t)little_endian(header + 6, 2),
    };
    if (out->length > FRAME_BYTES_MAX || out->kind < kind_first || out->kind >= kind_end)
        return ERR_PROTOCOL;
    err = fill(channel, FRAME_HEADER_BYTES + (size_t)out->length, wait);
    if (err)
        return err;
    out->payload = channel->in + channel->in_start + FRAME_HEADER_BYTES;
    channel->in_start += FRAME_HEADER_BYTES + (size_t)out->length;
    return OK;
}

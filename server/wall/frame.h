/* frame.h - what crosses the wall: frames of bytes on a stream socket, and the plain values in
 * them.
 *
 * A frame is a header of eight bytes and a payload:
 *
 *   u32 length of the payload | u16 kind | u16 number of the call it belongs to
 *
 * Integers are little-endian, written byte by byte. Text is u32 length, its bytes and a NUL, so
 * that the reader may point into the frame; length UINT32_MAX is NULL. Both ends are the same
 * program, yet each judges the other's bytes as if they were an enemy's: a frame is at most
 * FRAME_BYTES_MAX, kinds and counts are bounded, texts are checked. FRAME_VERSION stands in the
 * first frame of a connection; another version is refused.
 */
#ifndef POSTERN_FRAME_H
#define POSTERN_FRAME_H

#include "buf.h"
#include "call.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_VERSION      1
#define FRAME_HEADER_BYTES 8
#define FRAME_BYTES_MAX    (1024u * 1024u) /* payload; senders cut larger records */
#define FRAME_STREAM_BYTES (64u * 1024u)   /* most content bytes in one FRAME_BYTES */

enum frame_kind {
    /* main to worker: one call at a time on a connection; see record.h for the payloads */
    FRAME_OPEN = 1, /* first, once */
    FRAME_NOOP,
    FRAME_LIST_FOLDERS,
    FRAME_SYNC,
    FRAME_FETCH_OLDER,
    FRAME_FETCH_ONE,
    FRAME_PREVIEWS,
    FRAME_READ_PART,
    FRAME_PART_SIZE,
    FRAME_READ_HEADERS,
    FRAME_CHANGE_FLAGS,
    FRAME_QUOTA,
    FRAME_CALLS_END, /* no frame: one behind the last call */

    /* worker to main: any number of these, then one FRAME_END */
    FRAME_FACTS = 64, /* change_sink.folder */
    FRAME_MESSAGE,
    FRAME_FLAGS,
    FRAME_RANGES, /* a piece of the ranges that the next FRAME_PRESENT or FRAME_REMOVED is about */
    FRAME_PRESENT,
    FRAME_REMOVED,
    FRAME_LISTING,
    FRAME_PREVIEW,
    FRAME_HEADER,
    FRAME_EXPECT,      /* sink_expect */
    FRAME_BYTES,       /* sink_write: the payload is the bytes */
    FRAME_RESOURCE,    /* of a quota */
    FRAME_INFO,        /* backend_info; after open, before its end */
    FRAME_SELECTED,    /* backend.selected, when it has changed */
    FRAME_END,         /* the call is over */
    FRAME_ANSWERS_END, /* no frame: one behind the last answer */
};

struct frame {
    uint16_t kind, call;
    char *payload; /* inside the channel's buffer; until the next read */
    uint32_t length;
};

/* ---- values: pack.c ---- */

/* Between begin and end; the payload must not pass FRAME_BYTES_MAX (asserted: senders cut). Returns
 * where it began. */
size_t frame_begin(struct buf *out, uint16_t kind, uint16_t call);
void frame_end(struct buf *out, size_t began);
size_t frame_size(const struct buf *out, size_t began); /* of the payload so far */

void pack_u8(struct buf *out, uint8_t value);
void pack_u32(struct buf *out, uint32_t value);
void pack_u64(struct buf *out, uint64_t value);
void pack_i64(struct buf *out, int64_t value);
void pack_text(struct buf *out, const char *text); /* NULL stays NULL */
void pack_bytes(struct buf *out, const void *data, size_t length);

struct unpack {
    char *at, *end;
    bool broken; /* sticky; then every value is 0 or NULL */
};

struct unpack unpack_of(const struct frame *frame);
uint8_t unpack_u8(struct unpack *from, uint8_t max); /* more is broken */
bool unpack_bool(struct unpack *from);
uint32_t unpack_u32(struct unpack *from, uint32_t max);
uint64_t unpack_u64(struct unpack *from);
int64_t unpack_i64(struct unpack *from);
/* Points into the frame, NUL-terminated, without a NUL inside. Longer than bytes_max is broken. */
const char *unpack_remote(struct unpack *from, size_t bytes_max); /* any bytes */
/* The same, and clean: valid UTF-8 without control characters (mailbox.h's promise). */
const char *unpack_text(struct unpack *from, size_t bytes_max);
const char *unpack_bytes(struct unpack *from, size_t bytes_max, size_t *length);
/* True when all was read and nothing was broken. */
bool unpack_done(const struct unpack *from);

/* ---- the socket: channel.c ---- */

struct channel {
    int fd;   /* owned; SOCK_STREAM, non-blocking */
    char *in; /* owned; bytes read and not used yet, [in_start, in_end); only during a call */
    size_t in_start, in_end, in_size;
    struct buf out; /* frames not sent yet; may hold a credential */
};

/* Who may stop a wait: a deadline, and a flag that is looked at every 50 ms (NULL: none). */
struct channel_wait {
    int64_t deadline_ms;
    const volatile bool *cancelled;
};

void channel_init(struct channel *channel, int fd);
void channel_clear(struct channel *channel); /* closes */
/* OK; ERR_TIMEOUT, ERR_CANCELLED; ERR_WORKER when the other end is gone. No fault is set. */
enum err channel_flush(struct channel *channel, const struct channel_wait *wait);
/* The next frame, whole. ERR_PROTOCOL for a header that is too large or of a kind outside
 * [kind_first, kind_end). */
enum err channel_read(struct channel *channel, const struct channel_wait *wait, uint16_t kind_first,
                      uint16_t kind_end, struct frame *out);
/* A call is over: gives the buffers back; `wipe` when a credential was read. False when bytes of no
 * call wait. */
bool channel_rest(struct channel *channel, bool wipe);

#endif

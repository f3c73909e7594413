/* pipe.h - a bounded ring of bytes between one writing thread and one reading thread.
 *
 * This is where back-pressure happens: the writer (a worker streaming from a mail server) blocks
 * while the ring is full; the reader (the HTTP thread) never blocks: it is told EMPTY and is woken
 * through on_ready. Reference counted: each side drops its own.
 */
#ifndef POSTERN_PIPE_H
#define POSTERN_PIPE_H

#include "err.h"
#include "sink.h"

#include <stdint.h>
#include <sys/types.h>

#define PIPE_DEFAULT_BYTES (256u * 1024u)

struct pipe;

struct pipe *pipe_new(size_t capacity_bytes); /* two references: one for each side */
void pipe_drop(struct pipe **pipe);

/* ---- the writer's side ---- */
/* Blocks while full, at most stall_ms since the reader last took something (ERR_TIMEOUT);
 * ERR_CANCELLED once the reader has left. */
enum err pipe_write(struct pipe *pipe, const void *data, size_t length, int stall_ms);
/* No more bytes. OK: a clean end. Anything else: the reader learns that the stream is broken. */
void pipe_end(struct pipe *pipe, enum err result);

/* ---- the reader's side ---- */
#define PIPE_EMPTY  (-1) /* nothing now; on_ready will be called, once */
#define PIPE_ENDED  (-2) /* clean end */
#define PIPE_BROKEN (-3) /* the writer failed */
ssize_t pipe_read(struct pipe *pipe, void *out, size_t capacity);
void pipe_leave(struct pipe *pipe); /* reader is gone: the writer's next write is ERR_CANCELLED */
/* on_ready runs on the writer's thread, without locks held, after a read said EMPTY. Set before the
 * first read. */
void pipe_on_ready(struct pipe *pipe, void (*on_ready)(void *argument), void *argument);

/* A sink in front of a pipe. */
struct pipe_sink {
    struct sink sink;
    struct pipe *pipe; /* borrowed */
    int stall_ms;
};
void pipe_sink_init(struct pipe_sink *self, struct pipe *pipe, int stall_ms);

#endif

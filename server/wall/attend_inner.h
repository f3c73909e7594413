/* attend_inner.h - what attend.c, attend_calls.c and attend_sinks.c share: a connection, and the
 * call that is being served on it.
 */
#ifndef POSTERN_ATTEND_INNER_H
#define POSTERN_ATTEND_INNER_H

#include "attend.h"
#include "record.h"

enum connection_state {
    CONNECTION_IDLE,   /* stands in the epoll set; nobody's */
    CONNECTION_QUEUED, /* has to be served, as soon as a thread is free */
    CONNECTION_BUSY,   /* one thread's, until it rests or closes it */
};

struct connection {
    struct attendance *attendance; /* borrowed */
    uint32_t slot, generation;

    /* Under the attendance's lock. */
    enum connection_state state;
    struct connection *next; /* queued behind this one */
    bool doomed;             /* has to be closed by whoever takes it */
    bool watches_socket;     /* the mail server's socket is in the epoll set */
    bool socket_armed;       /* and has not fired since */
    int64_t hung_ms;         /* when its call, cancelled, counts as hung; 0: was not cancelled */
    /* Owned. Set and taken away under the lock, so that a cancel never meets a closed one; the
     * thread that serves the connection reads it without. */
    struct backend *backend;
    volatile bool cancelled; /* atomic; for good */

    /* Of the thread that serves it. */
    struct channel channel;
    int socket_fd;           /* owned; -1 once the backend has it */
    char *host;              /* owned; NULL before FRAME_OPEN */
    char *told_selected;     /* owned; what FRAME_SELECTED said last */
    struct serving *serving; /* borrowed; NULL between calls */
};

struct change_serving {
    struct change_sink sink;
    struct serving *serving;
};

struct folder_serving {
    struct folder_sink sink;
    struct serving *serving;
};

struct preview_serving {
    struct preview_sink sink;
    struct serving *serving;
};

struct header_serving {
    struct header_sink sink;
    struct serving *serving;
};

struct content_serving {
    struct sink sink;
    struct serving *serving;
};

/* One call, on its thread's stack. */
struct serving {
    struct connection *connection; /* borrowed */
    const struct attendance_config *config;
    struct arena arena;
    struct call call;
    struct channel_wait wait;
    struct request request;
    enum err failure; /* of the channel, sticky: nobody takes the answer any more */
    /* Small pieces of content are gathered in one frame, which is the last in channel.out and not
     * ended yet. */
    bool gathers;
    size_t gathered_at;
    int64_t cpu_began_us;    /* the thread's, when the call began */
    bool recorded, streamed; /* the first of each has been written: for the crash switch */

    struct change_serving changes;
    struct folder_serving folders;
    struct preview_serving previews;
    struct header_serving headers;
    struct content_serving content;
};

/* ---- attend.c ---- */

void connection_set_backend(struct connection *connection, struct backend *backend);
void connection_cancel(struct connection *connection); /* any thread */
bool connection_is_cancelled(const struct connection *connection);

/* ---- attend_calls.c ---- */

/* Reads one request and answers it. False: the connection has to be closed. */
bool connection_serve(struct connection *connection, const struct attendance_config *config);

/* ---- attend_sinks.c ---- */

int64_t thread_cpu_us(void);
/* Whether this thread serves at a lower priority, for good: it ends with its call. */
bool thread_gave_way(void);

void serving_init_sinks(struct serving *serving);
/* Where frames are put, the last one ended. */
struct buf *serving_out(struct serving *serving);
void serving_lie(struct serving *serving); /* puts what no honest worker writes */
/* Sends all that is held, waits while the near end is slow. */
enum err serving_flush(struct serving *serving);
/* After a frame was put: sends when much is held. */
enum err serving_pour(struct serving *serving);
/* For backend_target.before_wait; the argument is the connection. */
void connection_before_wait(void *connection);

#endif

/* task.h - a piece of work for a seat: queued, given what it needs, run on a worker thread.
 *
 * The caller owns the memory and fills the upper half. `step` is called once, on a worker thread,
 * when the need is met or cannot be met (then task->call.fault is set). It ends either by
 * task_next(), which queues the task anew with another need and step, or by doing whatever finishes
 * it (answering); after that nobody here touches the task again, so it may be freed from within.
 */
#ifndef POSTERN_TASK_H
#define POSTERN_TASK_H

#include "session.h"

enum task_need {
    NEED_NOTHING,    /* a worker thread only */
    NEED_CONNECTION, /* a leased connection: task->backend */
    NEED_FOLDER,     /* folder `folder` made fresh in the mirror; no connection */
    NEED_FOLDERS,    /* the list of folders made fresh; no connection */
};

enum task_lane {
    LANE_INTERACTIVE, /* list, read, flag: never waits for the next two */
    LANE_BULK,        /* attachments, exports */
    LANE_BACKGROUND,  /* backfill: on bulk connections, when no bulk task waits */
    LANE_COUNT
};

struct connection;

struct task {
    /* ---- the caller's ---- */
    struct seat *seat; /* its session must stay referenced */
    struct call call;  /* arena and deadline set; the deadline counts queueing */
    enum task_need need;
    enum task_lane lane;
    int64_t folder;      /* NEED_FOLDER; else affinity: folder number or 0 */
    uint32_t first_page; /* NEED_FOLDER: how many of a new folder; 0: the setting */
    void (*step)(struct task *task);

    /* ---- while step runs ---- */
    struct backend *backend; /* NEED_CONNECTION without fault, else NULL */

    /* ---- the session layer's ---- */
    struct task *next, *previous;
    int state;
    bool admitted;    /* goes on although new tasks are refused */
    uint8_t retreats; /* how often it was sent back to wait for another connection */
    bool moved;       /* had its second try after the death of a worker */
    bool cancelled;
    int64_t submitted_us;
    struct connection *connection;
    struct fresh *fresh;
};

/* Never fails: what is wrong (queue full, shutting down, login refused) reaches step as a fault.
 * May be called from any thread, also the HTTP thread; step is never called from within. */
void task_submit(struct task *task);
/* From within step, as its last act. Keeps the deadline. */
void task_next(struct task *task, enum task_need need, void (*step)(struct task *task));
/* The result is not wanted any more: a queued task's step comes at once with ERR_CANCELLED, a
 * running bulk task's connection is cut, a running interactive one ends by itself (a warm
 * connection costs more to rebuild than a bounded answer costs to finish). Only before the task has
 * finished. */
void task_cancel(struct task *task);

#endif

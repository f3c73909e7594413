/* fresh.c - many requests, one look: everybody who wants the same folder fresh shares a round trip.
 *
 * An answer must not be older than its request, so a request can share only a look that begins
 * after it came: those that arrive while one is under way wait together for the next. With one
 * client this is a NOOP a request; with thirty-two it is a NOOP for all that came meanwhile. */
#include "internal.h"

#include <stdlib.h>

struct fresh {
    struct fresh *prev, *next;
    struct seat *seat;
    int64_t folder;       /* 0: the list of folders */
    uint32_t first_page;  /* the most that anybody who waits wants */
    struct task *waiting; /* for the next look */
    bool active;          /* its task is queued or running; holds a reference to the session */
    struct task task;
    struct arena arena;
};

static void fresh_step(struct task *task);

static struct fresh *fresh_get_locked(struct seat *seat, int64_t folder)
{
    struct fresh *fresh;
    DL_FOREACH (seat->freshes, fresh) {
        if (fresh->folder == folder)
            return fresh;
    }
    fresh = xalloc(sizeof *fresh);
    fresh->seat = seat;
    fresh->folder = folder;
    DL_APPEND(seat->freshes, fresh);
    return fresh;
}

static void fresh_queue_locked(struct fresh *fresh)
{
    struct sessions *sessions = seat_sessions(fresh->seat);
    arena_clear(&fresh->arena);
    fresh->task = (struct task){
        .seat = fresh->seat,
        .call = {.arena = &fresh->arena,
                 .deadline_ms = clock_now_ms() + sessions->config.request_timeout_ms},
        .need = NEED_CONNECTION,
        .lane = LANE_INTERACTIVE,
        .folder = fresh->folder,
        .step = fresh_step,
        .admitted = true,
        .submitted_us = clock_now_us(),
    };
    pool_queue_locked(&fresh->task);
}

void fresh_join_locked(struct task *task)
{
    struct seat *seat = task->seat;
    struct fresh *fresh = fresh_get_locked(seat, task->need == NEED_FOLDERS ? 0 : task->folder);
    if (seat->joined >= seat_sessions(seat)->config.queue_max) {
        task->call.fault.retry_after_s = 1;
        pool_fail_locked(task, ERR_BUSY, "too many requests wait for this account");
        return;
    }
    if (task->first_page > fresh->first_page)
        fresh->first_page = task->first_page;
    DL_APPEND2(fresh->waiting, task, previous, next);
    seat->joined++;
    task->fresh = fresh;
    task->state = TASK_JOINED;
    if (fresh->active)
        return;
    fresh->active = true;
    seat->session->references++;
    fresh_queue_locked(fresh);
}

void fresh_leave_locked(struct task *task)
{
    DL_DELETE2(task->fresh->waiting, task, previous, next);
    task->seat->joined--;
    task->fresh = NULL;
}

void fresh_expire_locked(struct seat *seat, int64_t now_ms)
{
    struct fresh *fresh;
    DL_FOREACH (seat->freshes, fresh) {
        struct task *task, *next;
        DL_FOREACH_SAFE2(fresh->waiting, task, next, next)
        {
            if (task->call.deadline_ms <= now_ms)
                pool_fail_locked(task, ERR_TIMEOUT, "the mail server did not answer in time");
        }
    }
}

void fresh_free_all_locked(struct seat *seat)
{
    struct fresh *fresh, *next;
    DL_FOREACH_SAFE (seat->freshes, fresh, next) {
        arena_clear(&fresh->arena);
        free(fresh);
    }
    seat->freshes = NULL;
}

/* Those who came before this look began. */
static struct task *take_waiting(struct fresh *fresh, uint32_t *first_page)
{
    struct sessions *sessions = seat_sessions(fresh->seat);
    struct task *task;
    sessions_lock(sessions);
    struct task *batch = fresh->waiting;
    fresh->waiting = NULL;
    *first_page = fresh->first_page;
    fresh->first_page = 0;
    DL_FOREACH2(batch, task, next)
    {
        task->state = TASK_RUNNING;
        task->fresh = NULL;
        fresh->seat->joined--;
    }
    sessions_unlock(sessions);
    return batch;
}

/* Looks again when somebody came meanwhile. The fresh must not be touched after this. */
static void look_again_or_rest(struct fresh *fresh)
{
    struct session *session = fresh->seat->session;
    struct sessions *sessions = session->sessions;
    sessions_lock(sessions);
    if (fresh->waiting) {
        fresh_queue_locked(fresh);
    } else {
        fresh->active = false;
        arena_clear(&fresh->arena);
        session_drop_locked(session);
    }
    sessions_unlock(sessions);
}

static void look(struct task *task, int64_t folder, uint32_t first_page)
{
    enum err err;
    do {
        err = folder ? sync_folder(task, folder, first_page) : sync_folders(task);
    } while (lease_retry(task, err, false));
}

static void fresh_step(struct task *task)
{
    struct fresh *fresh = (struct fresh *)((char *)task - offsetof(struct fresh, task));
    struct sessions *sessions = seat_sessions(fresh->seat);
    uint32_t first_page;
    struct task *batch = take_waiting(fresh, &first_page);
    if (batch && task->call.fault.code == OK)
        look(task, fresh->folder, first_page);
    struct call seen = task->call;
    bool moved = task->moved;
    lease_release(); /* the next look may begin while these are answered */
    look_again_or_rest(fresh);
    struct task *each, *next;
    DL_FOREACH_SAFE2(batch, each, next, next)
    {
        each->call.fault = seen.fault;
        each->moved |= moved;
        if (each->cancelled && seen.fault.code == OK)
            fault_set(&each->call.fault, ERR_CANCELLED, "the client left");
        int64_t waited_us = clock_now_us() - each->submitted_us;
        each->call.connect_us += seen.connect_us;
        each->call.upstream_us += seen.upstream_us;
        each->call.mirror_us += seen.mirror_us;
        waited_us -= seen.connect_us + seen.upstream_us + seen.mirror_us;
        each->call.queue_us += waited_us > 0 ? waited_us : 0;
        worker_run_step(sessions, each);
    }
}

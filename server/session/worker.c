/* worker.c - the threads that make upstream calls.
 *
 * As many as there is work for, up to threads_max; an idle one ends after a while. Each runs a task
 * together with its lease. What a worker holds, and what its task asks for next, is thread-local,
 * so that a step may free its own task. */
#include "internal.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#define WORKER_STACK_BYTES (512 * 1024) /* libetpan's parser recurses, under our nesting cap */
#define WORKER_IDLE_S      5
#define WORKERS_KEPT       2

static _Thread_local struct connection *held;
static _Thread_local struct task *continued;

void worker_hold(struct connection *connection)
{
    held = connection;
}

struct connection *worker_take_held(void)
{
    struct connection *connection = held;
    held = NULL;
    return connection;
}

/* ---- running one task ---- */

void worker_run_step(struct sessions *sessions, struct task *task)
{
    continued = NULL;
    task->step(task);
    struct task *next = continued;
    continued = NULL;
    lease_release();
    if (next) {
        sessions_lock(sessions);
        if (next->state == TASK_RUNNING)
            next->state = TASK_NEW;
        sessions_unlock(sessions);
        task_submit(next);
    }
}

void task_next(struct task *task, enum task_need need, void (*step)(struct task *task))
{
    assert(!continued);
    task->need = need;
    task->step = step;
    task->backend = NULL;
    continued = task;
}

static void run(struct sessions *sessions, struct task *task)
{
    task->call.queue_us += clock_now_us() - task->submitted_us;
    if (task->connection) {
        worker_hold(task->connection);
        if (task->cancelled)
            fault_set(&task->call.fault, ERR_CANCELLED, "the client left");
        if (task->call.fault.code == OK && lease_open(task) != OK) {
            if (lease_retreat(task))
                return;
            lease_blame(task);
        }
        task->backend = task->connection->backend;
    }
    worker_run_step(sessions, task);
}

/* ---- the threads ---- */

static bool wait_for_work(struct sessions *sessions)
{
    while (!sessions->ready && !sessions->stopping) {
        struct timespec until; /* anew each time: a kept worker goes on waiting */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += WORKER_IDLE_S;
        sessions->workers_idle++;
        int waited = pthread_cond_timedwait(&sessions->work, &sessions->lock, &until);
        sessions->workers_idle--;
        if (waited == ETIMEDOUT && !sessions->ready && sessions->workers > WORKERS_KEPT)
            return false;
    }
    return sessions->ready != NULL;
}

static void *worker_main(void *argument)
{
    struct sessions *sessions = argument;
    sessions_lock(sessions);
    while (wait_for_work(sessions)) {
        struct task *task = sessions->ready;
        DL_DELETE2(sessions->ready, task, previous, next);
        sessions->ready_count--;
        sessions->workers_busy++;
        task->state = TASK_RUNNING;
        sessions_unlock(sessions);
        run(sessions, task);
        sessions_lock(sessions);
        sessions->workers_busy--;
        if (sessions->workers_busy == 0)
            pthread_cond_broadcast(&sessions->quiet);
    }
    sessions->workers--;
    pthread_cond_broadcast(&sessions->quiet);
    sessions_unlock(sessions);
    return NULL;
}

static bool spawn_locked(struct sessions *sessions)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
    int failed = pthread_create(&thread, &attributes, worker_main, sessions);
    pthread_attr_destroy(&attributes);
    if (!failed)
        sessions->workers++;
    return !failed;
}

void worker_push_locked(struct sessions *sessions, struct task *task)
{
    task->state = TASK_READY;
    DL_APPEND2(sessions->ready, task, previous, next);
    sessions->ready_count++;
    if (sessions->workers_idle < sessions->ready_count &&
        sessions->workers < sessions->config.threads_max && !spawn_locked(sessions) &&
        sessions->workers == 0)
        log_event(LOG_ERROR, "worker.none", LOG_END);
    pthread_cond_signal(&sessions->work);
}

/* ---- from outside ---- */

static enum err refusal_locked(const struct task *task, struct fault *fault)
{
    const struct seat *seat = task->seat;
    const struct sessions *sessions = seat_sessions(seat);
    bool goes_on = task->admitted && task->lane != LANE_BACKGROUND && !sessions->stopping;
    if (sessions->quiesced && !goes_on)
        return fault_set(fault, ERR_SHUTTING_DOWN, "the service is shutting down");
    if (seat->login_failed) {
        *fault = seat->last_error;
        return fault->code;
    }
    if (seat->session->ended || seat->removed)
        return fault_set(fault, ERR_UNAUTHORIZED, "the session has ended");
    return OK;
}

void task_submit(struct task *task)
{
    struct sessions *sessions = seat_sessions(task->seat);
    task->submitted_us = clock_now_us();
    task->connection = NULL;
    task->fresh = NULL;
    task->backend = NULL;
    sessions_lock(sessions);
    enum err err = refusal_locked(task, &task->call.fault);
    task->admitted = true;
    if (!err && task->cancelled)
        err = fault_set(&task->call.fault, ERR_CANCELLED, "the client left");
    if (err)
        worker_push_locked(sessions, task);
    else if (task->need == NEED_FOLDER || task->need == NEED_FOLDERS)
        fresh_join_locked(task);
    else if (task->need == NEED_CONNECTION || !task->seat->verified)
        pool_queue_locked(task); /* nothing is shown before the mail server has said yes once */
    else
        worker_push_locked(sessions, task);
    sessions_unlock(sessions);
}

void worker_cancel_locked(struct connection *connection)
{
    if (connection == held)
        return;
    __atomic_store_n(&connection->cancelled, true,
                     __ATOMIC_RELAXED); /* an open under way polls it */
    if (connection->backend)
        backend_cancel(connection->backend);
}

static void cancel_running_locked(struct task *task)
{
    struct connection *connection = task->connection;
    if (!connection || connection->task != task || task->lane == LANE_INTERACTIVE)
        return;
    worker_cancel_locked(connection);
}

void task_cancel(struct task *task)
{
    struct sessions *sessions = seat_sessions(task->seat);
    sessions_lock(sessions);
    task->cancelled = true;
    if (task->state == TASK_QUEUED || task->state == TASK_JOINED)
        pool_fail_locked(task, ERR_CANCELLED, "the client left");
    else if (task->state == TASK_RUNNING)
        cancel_running_locked(task);
    sessions_unlock(sessions);
}

static void cancel_everything_locked(struct sessions *sessions)
{
    static const struct fault stopping = {.code = ERR_SHUTTING_DOWN,
                                          .detail = "the service is shutting down"};
    struct seat *seat;
    DL_FOREACH2(sessions->seats, seat, all_next)
    {
        seat_shut_locked(seat, &stopping);
    }
}

void workers_stop(struct sessions *sessions, int64_t deadline_ms)
{
    struct timespec until;
    int64_t left_ms = clock_left_ms(deadline_ms, 3600 * 1000);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += left_ms / 1000 + 1;
    sessions_lock(sessions);
    int waited = 0;
    while ((sessions->workers_busy || sessions->ready) && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&sessions->quiet, &sessions->lock, &until);
    sessions->stopping = true;
    cancel_everything_locked(sessions);
    pthread_cond_broadcast(&sessions->work);
    while (sessions->workers)
        pthread_cond_wait(&sessions->quiet, &sessions->lock);
    sessions_unlock(sessions);
}

/* lease.c - a connection in the hands of a worker: opened when first needed, given back, or closed
 * when it is of no more use. */
#include "internal.h"

#include "log.h"

#include <stdlib.h>

#define RETREATS_MOST 3 /* of one task */

/* What a failed sign-in or connect tells about the seat and the host. */
static void open_failed_locked(struct seat *seat, const struct fault *fault)
{
    struct sessions *sessions = seat_sessions(seat);
    struct host *host = seat->account->host;
    struct fault known = {.code = OK};
    switch (fault->code) {
    case ERR_LOGIN:
        if (!seat->login_failed)
            seat_refused_locked(seat, fault);
        break;
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
        if (!host_is_down_locked(host, &known))
            host_failed_locked(sessions, host, fault);
        seat->state = ACCOUNT_UNREACHABLE;
        seat->last_error = *fault;
        break;
    case ERR_CANCELLED:
    case ERR_WORKER: break; /* of neither the account nor the host for all anything was learned */
    default:
        seat->last_error = *fault;
        if (!seat->verified)
            seat->state = ACCOUNT_UNREACHABLE;
    }
}

/* May it be tried at all? */
static enum err open_allowed_locked(struct seat *seat, struct fault *fault)
{
    if (seat->login_failed) {
        *fault = seat->last_error;
        return fault->code;
    }
    if (seat->removed || seat->session->ended)
        return fault_set(fault, ERR_UNAUTHORIZED, "the session has ended");
    if (host_is_down_locked(seat->account->host, fault))
        return fault->code;
    return OK;
}

static enum err connect_backend(struct task *task, struct backend **out)
{
    struct seat *seat = task->seat;
    struct sessions *sessions = seat_sessions(seat);
    struct backend_target target = {
        .world = sessions->config.world,
        .protocol = seat->protocol,
        .security = seat->security,
        .host = seat->host,
        .port = seat->port,
        .username = seat->username,
        .password = seat->password.data ? &seat->password : NULL,
        .access_token = seat->access_token.data ? &seat->access_token : NULL,
    };
    int64_t deadline_ms = task->call.deadline_ms;
    int64_t connect_by_ms = clock_now_ms() + sessions->config.connect_timeout_ms;
    if (connect_by_ms < deadline_ms)
        task->call.deadline_ms = connect_by_ms;
    enum err err = backend_open(sessions->config.ops[seat->protocol], &target, &task->call,
                                &task->connection->cancelled, out);
    task->call.deadline_ms = deadline_ms;
    return err;
}

/* A refusal is counted in the same breath, so that no guess slips through between. */
static void guess_over(struct seat *seat, const struct fault *fault)
{
    struct sessions *sessions = seat_sessions(seat);
    sessions_lock(sessions);
    if (fault->code == ERR_LOGIN && !seat->login_failed)
        seat_refused_locked(seat, fault);
    throttle_leave_locked(sessions, seat->throttle_key);
    sessions_unlock(sessions);
}

static enum err open_once(struct task *task)
{
    struct connection *connection = task->connection;
    struct seat *seat = task->seat;
    struct sessions *sessions = seat_sessions(seat);
    struct backend *backend = NULL;
    sessions_lock(sessions);
    enum err err = open_allowed_locked(seat, &task->call.fault);
    bool guesses = !seat->verified;
    if (!err && guesses)
        err = throttle_enter_locked(sessions, seat->throttle_key, &task->call.fault);
    sessions_unlock(sessions);
    if (err)
        return err;
    err = connect_backend(task, &backend);
    if (guesses)
        guess_over(seat, &task->call.fault);
    if (err)
        return err;
    sessions_lock(sessions);
    connection->backend = backend;
    connection->used = false;
    connection->folder = 0;
    connection->synced_folder = 0;
    host_answered_locked(seat->account->host);
    seat_accepted_locked(seat, backend);
    if (connection->cancelled) /* it came too late to be cut */
        err = fault_set(&task->call.fault, ERR_CANCELLED, "the work was cancelled");
    sessions_unlock(sessions);
    return err;
}

/* The one decision about second tries. A connection that died in the pool says nothing about the
 * mail server; the death of a worker may be another connection's doing, so even one that was never
 * used before gets a second chance, in another worker. One for a request: what kills two workers is
 * not tried on a third. A host whose pause has not passed says when. */
bool lease_may_retry(struct task *task, enum err err, bool delivered)
{
    bool is_stale = err == ERR_UNREACHABLE && task->connection->used;
    bool is_worker = err == ERR_WORKER && !task->moved && !task->call.fault.retry_after_s &&
                     clock_now_ms() < task->call.deadline_ms;
    if (delivered || task->cancelled || (!is_stale && !is_worker))
        return false;
    task->moved |= is_worker;
    return true;
}

enum err lease_open(struct task *task)
{
    if (task->connection->backend)
        return OK;
    enum err err = open_once(task);
    if (err && lease_may_retry(task, err, false)) {
        fault_clear(&task->call.fault);
        err = open_once(task);
    }
    return err;
}

/* Closes it and opens it anew. */
static enum err lease_renew(struct task *task)
{
    struct connection *connection = task->connection;
    struct sessions *sessions = seat_sessions(task->seat);
    sessions_lock(sessions);
    struct backend *dead = connection->backend;
    connection->backend = NULL;
    connection->used = false;
    sessions_unlock(sessions);
    task->backend = NULL;
    if (dead)
        backend_close(&dead);
    fault_clear(&task->call.fault);
    enum err err = lease_open(task);
    if (err)
        lease_blame(task);
    task->backend = connection->backend;
    return err;
}

bool lease_retry(struct task *task, enum err err, bool delivered)
{
    return lease_may_retry(task, err, delivered) && lease_renew(task) == OK;
}

void lease_blame(struct task *task)
{
    struct sessions *sessions = seat_sessions(task->seat);
    sessions_lock(sessions);
    open_failed_locked(task->seat, &task->call.fault);
    sessions_unlock(sessions);
}

static bool may_retreat_locked(const struct task *task)
{
    struct seat *seat = task->seat;
    struct fault refused = {.code = OK};
    enum err err = task->call.fault.code;
    return (err == ERR_BUSY || err == ERR_UNREACHABLE) && !task->cancelled &&
           task->retreats < RETREATS_MOST && seat->account->host->connections > 1 &&
           open_allowed_locked(seat, &refused) == OK;
}

/* A server that bears no more connections says so, or hangs up on the new one while the old ones
 * live. Neither is a reason to fail: the task waits for a connection of its seat, or the host's
 * limit is lowered and an idle connection gives way. */
bool lease_retreat(struct task *task)
{
    struct connection *connection = task->connection;
    struct seat *seat = task->seat;
    struct sessions *sessions = seat_sessions(seat);
    enum pool_class pool_class = connection->pool_class;
    sessions_lock(sessions);
    bool waits = may_retreat_locked(task);
    if (waits) {
        task->retreats++;
        fault_clear(&task->call.fault);
        worker_take_held();
        pool_unlease_locked(connection);
        task->connection = NULL;
        if (seat->counts[pool_class] > 1) {
            seat->limits[pool_class] = seat->counts[pool_class] - 1;
            seat->limited_ms = clock_now_ms();
        } else {
            host_said_too_many_locked(seat->account->host);
        }
        pool_bury_locked(connection);
        pool_queue_locked(task);
        session_drop_locked(seat->session); /* the lease's; the task's owner has another */
    }
    sessions_unlock(sessions);
    return waits;
}

void lease_release(void)
{
    struct connection *connection = worker_take_held();
    if (!connection)
        return;
    struct seat *seat = connection->seat;
    struct sessions *sessions = seat_sessions(seat);
    sessions_lock(sessions);
    pool_unlease_locked(connection);
    connection->used = true;
    connection->idle_since_ms = clock_now_ms();
    bool useless = !connection->backend || connection->backend->dead || connection->cancelled ||
                   seat->login_failed || seat->removed || seat->session->ended ||
                   sessions->stopping;
    if (useless)
        pool_bury_locked(connection);
    else
        keeper_watch_locked(sessions, connection);
    pool_schedule_locked(seat);
    pool_schedule_waiting_locked(sessions);
    session_drop_locked(seat->session);
    sessions_unlock(sessions);
}

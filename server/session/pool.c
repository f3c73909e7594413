/* pool.c - who gets which connection when.
 *
 * A seat has a queue for each lane and connections of two classes: the interactive lane never waits
 * for a download. A task leaves its queue together with its lease, so a worker thread never waits
 * for a connection, and one slow mailbox cannot starve another. When the account's or host's limit
 * is reached, an idle connection of the same host is closed to make room; else the task waits until
 * somebody gives one back. */
#include "internal.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>

#define WORKERS_SHARE 4     /* a quarter of the workers signs people in */
#define CLIENT_SHARE  3     /* times what is left may be one client's */
#define OTHERS_SHARE  8     /* an eighth is not for one client in any case */
#define LIMITED_MS    60000 /* then a seat may try again to open as many as it may */

static const enum pool_class class_of_lane[LANE_COUNT] = {
    [LANE_INTERACTIVE] = POOL_INTERACTIVE,
    [LANE_BULK] = POOL_BULK,
    [LANE_BACKGROUND] = POOL_BULK,
};

/* ---- tasks in and out of the queues ---- */

static void queue_remove_locked(struct task *task)
{
    struct seat *seat = task->seat;
    struct sessions *sessions = seat_sessions(seat);
    DL_DELETE2(seat->queues[task->lane], task, previous, next);
    sessions->queued--;
    if (--seat->queued == 0)
        DL_DELETE2(sessions->waiting, seat, waits_prev, waits_next);
}

void pool_fail_locked(struct task *task, enum err code, const char *detail)
{
    if (task->state == TASK_QUEUED)
        queue_remove_locked(task);
    else if (task->state == TASK_JOINED)
        fresh_leave_locked(task);
    fault_set(&task->call.fault, code, "%s", detail);
    worker_push_locked(seat_sessions(task->seat), task);
}

void pool_queue_locked(struct task *task)
{
    struct seat *seat = task->seat;
    struct sessions *sessions = seat_sessions(seat);
    if (seat->queued >= sessions->config.queue_max && task->lane != LANE_BACKGROUND) {
        task->call.fault.retry_after_s = 1;
        pool_fail_locked(task, ERR_BUSY, "too many requests wait for this account");
        return;
    }
    DL_APPEND2(seat->queues[task->lane], task, previous, next);
    task->state = TASK_QUEUED;
    sessions->queued++;
    if (seat->queued++ == 0)
        DL_APPEND2(sessions->waiting, seat, waits_prev, waits_next);
    pool_schedule_locked(seat);
}

/* ---- connections ---- */

static struct connection *idle_connection(struct seat *seat, enum pool_class pool_class,
                                          int64_t folder)
{
    struct connection *connection, *best = NULL;
    DL_FOREACH (seat->connections, connection) {
        if (connection->task || connection->pool_class != pool_class)
            continue;
        if (folder && connection->folder == folder)
            return connection;
        /* Else one that has nothing selected, else the one that rested longest. */
        if (!best || (best->folder && !connection->folder) ||
            (!best->folder == !connection->folder &&
             connection->idle_since_ms < best->idle_since_ms))
            best = connection;
    }
    return best;
}

static void connection_detach_locked(struct connection *connection)
{
    struct seat *seat = connection->seat;
    DL_DELETE(seat->connections, connection);
    seat->counts[connection->pool_class]--;
    seat->account->connections--;
    seat->account->host->connections--;
    connection->seat = NULL;
}

void pool_bury_locked(struct connection *connection)
{
    struct sessions *sessions = seat_sessions(connection->seat);
    keeper_unwatch_locked(sessions, connection);
    connection_detach_locked(connection);
    DL_APPEND(sessions->graveyard, connection);
    keeper_wake(sessions);
}

void pool_close_buried(struct sessions *sessions)
{
    struct connection *connection, *next;
    sessions_lock(sessions);
    struct connection *graveyard = sessions->graveyard;
    struct account *spent = sessions->spent;
    sessions->graveyard = NULL;
    sessions->spent = NULL;
    sessions_unlock(sessions);
    DL_FOREACH_SAFE (graveyard, connection, next) {
        if (connection->backend)
            backend_close(&connection->backend);
        free(connection);
    }
    while (spent) {
        struct account *account = spent;
        spent = account->next_spent;
        account_free(account);
    }
}

/* Closes the longest idle connection to that host (of that account, when it is the account that is
 * full), so that another can be opened. */
static bool make_room_locked(struct seat *seat)
{
    struct sessions *sessions = seat_sessions(seat);
    bool account_full = seat->account->connections >= sessions->config.account_connections_max;
    struct connection *connection, *oldest = NULL;
    struct seat *other;
    DL_FOREACH2(sessions->seats, other, all_next)
    {
        if (account_full ? other->account != seat->account
                         : other->account->host != seat->account->host)
            continue;
        DL_FOREACH (other->connections, connection) {
            if (!connection->task && (!oldest || connection->idle_since_ms < oldest->idle_since_ms))
                oldest = connection;
        }
    }
    if (!oldest)
        return false;
    pool_bury_locked(oldest);
    return true;
}

static struct connection *connection_new_locked(struct seat *seat, enum pool_class pool_class)
{
    struct sessions *sessions = seat_sessions(seat);
    struct account *account = seat->account;
    if (seat->counts[pool_class] >= seat->limits[pool_class])
        return NULL;
    if ((account->connections >= sessions->config.account_connections_max ||
         account->host->connections >= account->host->limit) &&
        !make_room_locked(seat))
        return NULL;
    struct connection *connection = xalloc(sizeof *connection);
    connection->seat = seat;
    connection->pool_class = pool_class;
    DL_APPEND(seat->connections, connection);
    seat->counts[pool_class]++;
    account->connections++;
    account->host->connections++;
    return connection;
}

/* Background work leaves one bulk connection free for the download that may come. */
static bool may_start(const struct seat *seat, enum task_lane lane)
{
    const struct connection *connection;
    uint32_t busy = 0;
    if (lane != LANE_BACKGROUND)
        return true;
    DL_FOREACH (seat->connections, connection) {
        busy += connection->task && connection->pool_class == POOL_BULK;
    }
    return !seat->queues[LANE_BULK] && (busy == 0 || busy + 1 < seat->limits[POOL_BULK]);
}

/* Of the share for signing in, one mail host that does not answer, or one client who tries many,
 * can hold half. */
static bool may_sign_in(const struct seat *seat, uint32_t share)
{
    const struct connection *each;
    uint32_t all = 0, of_host = 0, of_address = 0, half = (share + 1) / 2;
    DL_FOREACH2(seat_sessions(seat)->unproven, each, unproven_next)
    {
        all++;
        of_host += each->seat->account->host == seat->account->host;
        of_address += (seat->client && each->seat->client == seat->client);
    }
    return all < share && of_host < half && of_address < half;
}

/* A client that holds its share may begin anew at hosts that serve nobody: its address may be that
 * of a proxy with many people behind it. The rest is for other clients. */
static bool client_may_hold(const struct seat *seat, uint32_t all, uint32_t left)
{
    if (!seat->client || seat->client->leased / CLIENT_SHARE < left)
        return true;
    return seat->account->host->leased == 0 && left > all / OTHERS_SHARE;
}

/* Workers are for all: however slowly they are answered, one host holds no more than are left to
 * the others, one client hardly more than three times that, whatever hosts it names, and those who
 * have yet to prove who they are no more than a share. */
static bool has_worker_to_spare(const struct seat *seat)
{
    const struct sessions *sessions = seat_sessions(seat);
    uint32_t all = sessions->config.threads_max, share = all / WORKERS_SHARE;
    uint32_t left = all > sessions->leased ? all - sessions->leased : 0;
    return seat->account->host->leased < left && client_may_hold(seat, all, left) &&
           (seat->verified || may_sign_in(seat, share ? share : 1));
}

static bool lease_locked(struct seat *seat, struct task *task)
{
    struct sessions *sessions = seat_sessions(seat);
    enum pool_class pool_class = class_of_lane[task->lane];
    if (!has_worker_to_spare(seat))
        return false;
    struct connection *connection = idle_connection(seat, pool_class, task->folder);
    /* A second connection is worth opening only when the first is busy. */
    if (!connection)
        connection = connection_new_locked(seat, pool_class);
    if (!connection)
        return false;
    queue_remove_locked(task);
    keeper_unwatch_locked(sessions, connection);
    connection->task = task;
    connection->unproven = !seat->verified;
    task->connection = connection;
    seat->session->references++; /* until lease_release */
    seat->account->host->leased++;
    if (seat->client)
        seat->client->leased++;
    sessions->leased++;
    if (connection->unproven)
        DL_APPEND2(sessions->unproven, connection, unproven_prev, unproven_next);
    worker_push_locked(sessions, task);
    return true;
}

void pool_unlease_locked(struct connection *connection)
{
    struct sessions *sessions = seat_sessions(connection->seat);
    connection->task = NULL;
    connection->seat->account->host->leased--;
    if (connection->seat->client)
        connection->seat->client->leased--;
    sessions->leased--;
    if (connection->unproven)
        DL_DELETE2(sessions->unproven, connection, unproven_prev, unproven_next);
    connection->unproven = false;
}

void pool_schedule_locked(struct seat *seat)
{
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        struct task *task;
        while ((task = seat->queues[lane]) && may_start(seat, (enum task_lane)lane))
            if (!lease_locked(seat, task))
                break;
    }
}

/* Somebody gave a connection or a worker back: those who wait may go on, the longest waiting first.
 */
void pool_schedule_waiting_locked(struct sessions *sessions)
{
    struct seat *seat, *next;
    DL_FOREACH_SAFE2(sessions->waiting, seat, next, waits_next)
    {
        pool_schedule_locked(seat);
    }
}

void pool_forget_folder(struct account *account, struct sessions *sessions, int64_t folder)
{
    struct seat *seat;
    sessions_lock(sessions);
    DL_FOREACH2(sessions->seats, seat, all_next)
    {
        struct connection *connection, *next;
        if (seat->account != account)
            continue;
        DL_FOREACH_SAFE (seat->connections, connection, next) {
            if (!connection->task && connection->folder == folder)
                pool_bury_locked(connection);
        }
    }
    sessions_unlock(sessions);
}

/* ---- time ---- */

static void expire_tasks_locked(struct seat *seat, int64_t now_ms)
{
    struct task *task, *next;
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        DL_FOREACH_SAFE2(seat->queues[lane], task, next, next)
        {
            if (task->call.deadline_ms > now_ms)
                continue;
            task->call.fault.retry_after_s = 1;
            pool_fail_locked(task, ERR_BUSY,
                             "no connection to the mail server became free in time");
        }
    }
}

static void expire_connections_locked(struct seat *seat, int64_t now_ms)
{
    struct sessions *sessions = seat_sessions(seat);
    struct connection *connection, *next;
    if (now_ms - seat->limited_ms >= LIMITED_MS) {
        seat->limits[POOL_INTERACTIVE] = sessions->config.interactive_connections;
        seat->limits[POOL_BULK] = sessions->config.bulk_connections;
    }
    DL_FOREACH_SAFE (seat->connections, connection, next) {
        if (connection->task)
            continue;
        if (now_ms - connection->idle_since_ms >= sessions->config.connection_idle_ms)
            pool_bury_locked(connection);
    }
}

static void expire_table_locked(struct session *table, int64_t now_ms)
{
    struct session *session, *next;
    HASH_ITER (hh, table, session, next) {
        struct seat *seat;
        DL_FOREACH (session->seats, seat) {
            expire_tasks_locked(seat, now_ms);
            fresh_expire_locked(seat, now_ms);
            expire_connections_locked(seat, now_ms);
        }
        bool in_use = session->references > 1;
        if (!in_use && now_ms - session->used_ms >= session->sessions->config.session_idle_ms)
            session_end_locked(session);
    }
}

void pool_expire_locked(struct sessions *sessions, int64_t now_ms)
{
    struct host *host, *next;
    expire_table_locked(sessions->by_token, now_ms);
    expire_table_locked(sessions->by_basic, now_ms);
    HASH_ITER (hh, sessions->hosts, host, next) {
        host_recover_locked(sessions, host, now_ms);
    }
}

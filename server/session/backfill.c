/* backfill.c - fills a folder in behind its first page, newest first, in batches.
 *
 * A batch is fetched without the folder's gate, so that lists are never held up by it, and written
 * under the gate. What could go wrong in between - a message of the batch expunged or flagged by
 * somebody, and already reported to a connection that will not hear of it again - shows as a
 * changed epoch: the batch is thrown away and fetched anew. After a few such tries the gate is held
 * while fetching, so that a busy folder is filled in too. */
#include "internal.h"

#include "log.h"

#include <stdlib.h>

#define RETRY_AFTER_MS 5000
#define TRIES_OPEN     3

struct backfill {
    struct task task;
    struct arena arena;
    int64_t folder;
    int tries;
};

struct batch_sink {
    struct change_sink sink;
    struct mirror_sync *into;
    uint32_t validity;
    struct fault *fault;
};

static enum err on_folder(struct change_sink *sink, const struct folder_facts *facts, bool reset)
{
    struct batch_sink *self = (struct batch_sink *)sink;
    if (reset || facts->validity != self->validity)
        return fault_set(self->fault, ERR_GONE, "the folder's UIDVALIDITY changed");
    return OK;
}

static enum err on_message(struct change_sink *sink, const struct message *message)
{
    return mirror_sync_message(((struct batch_sink *)sink)->into, message);
}

/* Lower the floor, change nothing else: the folder's state is the syncs' to write. */
static enum err write_batch(struct task *task, struct mirror_sync **into, int64_t folder,
                            uint32_t validity, uint32_t floor)
{
    struct folder_row now;
    bool changed;
    enum err err = mirror_folder(seat_mirror(task->seat), &task->call, folder, &now);
    if (!err && now.validity != validity)
        err = fault_set(&task->call.fault, ERR_GONE, "the folder's UIDVALIDITY changed");
    if (err)
        return err;
    struct mirror_sync_state state = {
        .validity = now.validity,
        .uid_next = now.uid_next,
        .exists = now.exists,
        .modseq = now.modseq,
        .floor = floor < now.floor ? floor : now.floor,
    };
    return mirror_sync_commit(into, &state, &changed);
}

/* ERR_CONFLICT: the folder changed meanwhile, try again. *floor is the mirror's after it. */
static enum err fill_batch(struct task *task, int64_t folder, uint32_t count, bool gate_held,
                           uint32_t *floor)
{
    struct call *call = &task->call;
    struct account *account = task->seat->account;
    struct mirror *mirror = seat_mirror(task->seat);
    struct folder_row row;
    struct folder_known known;
    uint64_t epoch = account_epoch(account, folder);
    enum err err = mirror_folder(mirror, call, folder, &row);
    *floor = err ? 1 : row.floor;
    if (err || row.floor <= 1)
        return err;
    folder_known_of(&row, &known);
    struct batch_sink batch = {.sink = {.folder = on_folder, .message = on_message},
                               .validity = row.validity,
                               .fault = &call->fault};
    err = mirror_sync_begin_held(mirror, call, folder, &batch.into);
    if (err)
        return err;
    err = backend_fetch_older(task->backend, call, &known, count, &batch.sink, floor);
    if (!err && !gate_held)
        err = account_enter(account, folder, call);
    if (!err) {
        if (!gate_held && account_epoch(account, folder) != epoch)
            err = ERR_CONFLICT;
        else
            err = write_batch(task, &batch.into, folder, row.validity, *floor);
        if (!gate_held)
            account_leave(account, folder, false);
    }
    if (batch.into)
        mirror_sync_abort(&batch.into);
    return err;
}

enum err backfill_batch(struct task *task, int64_t folder, uint32_t count, bool gate_held,
                        uint32_t *floor)
{
    struct account *account = task->seat->account;
    task->connection->folder = folder;
    if (!gate_held)
        return fill_batch(task, folder, count, false, floor);
    enum err err = account_enter(account, folder, &task->call);
    if (err)
        return err;
    err = fill_batch(task, folder, count, true, floor);
    account_leave(account, folder, false);
    return err;
}

static void backfill_end(struct backfill *self)
{
    struct session *session = self->task.seat->session;
    const struct fault *fault = &self->task.call.fault;
    bool failed = fault->code != OK;
    account_end_backfill(self->task.seat->account, self->folder,
                         failed ? clock_now_ms() + RETRY_AFTER_MS : 0);
    log_event(LOG_DEBUG, failed ? "backfill.interrupted" : "backfill.done",
              LOG_TEXT("account", seat_account_id(self->task.seat)),
              LOG_INT("folder", self->folder),
              LOG_TEXT("error", failed ? err_name(fault->code) : ""), LOG_END);
    lease_release();
    arena_clear(&self->arena);
    free(self);
    session_give(&session);
}

static void backfill_step(struct task *task)
{
    struct backfill *self = (struct backfill *)task;
    const struct sessions_config *config = &seat_sessions(task->seat)->config;
    uint32_t floor = 0;
    enum err err = task->call.fault.code;
    if (!err) {
        err = backfill_batch(task, self->folder, config->backfill_batch, self->tries >= TRIES_OPEN,
                             &floor);
        if (err && lease_may_retry(task, err, false)) { /* the next lease is another connection */
            fault_clear(&task->call.fault);
            err = ERR_CONFLICT;
        }
    }
    self->tries = err == ERR_CONFLICT ? self->tries + 1 : 0;
    task->moved &= err != OK; /* each batch has its second try */
    if ((err && err != ERR_CONFLICT) || (!err && floor <= 1)) {
        backfill_end(self);
        return;
    }
    arena_clear(&self->arena);
    task->call = (struct call){.arena = &self->arena,
                               .deadline_ms = clock_now_ms() + config->content_timeout_ms};
    task_next(task, NEED_CONNECTION, backfill_step);
}

void backfill_start(struct seat *seat, int64_t folder)
{
    struct sessions *sessions = seat_sessions(seat);
    if (!account_claim_backfill(seat->account, folder))
        return;
    struct backfill *self = xalloc(sizeof *self);
    arena_init(&self->arena);
    self->folder = folder;
    self->task = (struct task){
        .seat = seat,
        .call = {.arena = &self->arena,
                 .deadline_ms = clock_now_ms() + sessions->config.content_timeout_ms},
        .need = NEED_CONNECTION,
        .lane = LANE_BACKGROUND,
        .folder = folder,
        .step = backfill_step,
    };
    sessions_lock(sessions);
    seat->session->references++; /* until backfill_end */
    sessions_unlock(sessions);
    task_submit(&self->task);
}

/* crew_hear.c - what workers say on their control sockets: that they are ready, that they cannot
 * be, that they are still there; and what becomes of one that says nothing, or something else.
 */
#include "crew_inner.h"

#include "clock.h"
#include "confine.h"
#include "control.h"
#include "log.h"

#include <signal.h>
#include <sys/pidfd.h>
#include <unistd.h>

void worker_failed(struct wall *wall, struct worker *worker, enum err code, const char *detail)
{
    log_event(LOG_ERROR, "worker.failed", LOG_INT("worker", worker->number),
              LOG_TEXT("detail", detail), LOG_END);
    fault_set(&wall->start_fault, code, "%s", detail);
    pthread_cond_broadcast(&wall->changed);
}

static void append_lacks(uint32_t lacking, struct buf *out)
{
    for (uint32_t bit = 1; bit <= CONFINED_ALL; bit <<= 1)
        if (lacking & bit)
            buf_printf(out, "%s%s", out->length ? ", " : "", confinement_name(bit));
}

/* Whether it may be used so. */
static bool judge_confinement(struct wall *wall, struct worker *worker, uint32_t confinement)
{
    uint32_t lacking = CONFINED_ALL & ~confinement;
    struct buf names;
    struct fault fault = {0};
    if (!lacking || wall->config.sandbox == SANDBOX_OFF)
        return true;
    buf_init(&names, 200);
    append_lacks(lacking, &names);
    bool required = wall->config.sandbox == SANDBOX_REQUIRED;
    if (required) {
        fault_set(&fault, ERR_INVALID, "the sandbox is required, and this system lacks %s",
                  names.data);
        worker_failed(wall, worker, fault.code, fault.detail);
    } else if (!wall->lack_is_logged) {
        log_event(LOG_WARN, "sandbox.incomplete", LOG_TEXT("lacking", names.data), LOG_END);
    }
    wall->lack_is_logged = true;
    buf_clear(&names);
    return !required;
}

void worker_condemn(struct wall *wall, struct worker *worker)
{
    worker->condemned = true;
    worker_enter(wall, worker, WORKER_ENDING);
    pidfd_send_signal(worker->pidfd, SIGKILL, NULL, 0);
}

/* What no honest one says, and what comes along. */
static void worker_misspoke(struct wall *wall, struct worker *worker,
                            const struct control_message *message, enum err err)
{
    if (!err && message->kind == CONTROL_BOARD) {
        close(message->channel_fd);
        close(message->mail_fd);
    }
    worker->accused = worker->state == WORKER_READY;
    worker_failed(wall, worker, ERR_INTERNAL, "a worker said what it must not");
    worker_condemn(wall, worker);
}

void crew_hear(struct wall *wall, struct worker *worker)
{
    struct control_message message = {0};
    bool starts = worker->state == WORKER_STARTING;
    enum err err = control_receive(worker->control, &message);
    if (err == ERR_BUSY)
        return;
    if (err == ERR_WORKER) {
        worker_enter(wall, worker, WORKER_ENDING); /* its pidfd tells the rest */
    } else if (!err && message.kind == CONTROL_PONG && worker->pings > 0) {
        worker->pings--;
        worker->silent = 0;
        pthread_cond_broadcast(&wall->changed);
    } else if (!err && message.kind == CONTROL_READY && starts) {
        if (!judge_confinement(wall, worker, message.confinement)) {
            worker_condemn(wall, worker);
            return;
        }
        worker->was_ready = true;
        worker->early_kills = 0;
        worker_enter(wall, worker, WORKER_READY);
        log_event(LOG_INFO, "worker.started", LOG_INT("worker", worker->number),
                  LOG_INT("pid", worker->pid),
                  LOG_TEXT("kind", worker->quarantine ? "quarantine" : "ordinary"), LOG_END);
    } else if (!err && message.kind == CONTROL_FAILED && starts) {
        worker_failed(wall, worker, ERR_INVALID, message.text);
        worker_condemn(wall, worker);
    } else {
        worker_misspoke(wall, worker, &message, err);
    }
}

/* Stopped, dead-locked, or busy with something else for good: its connections would wait, each
 * until its deadline, and new ones be given to it. */
void crew_ask_after(struct wall *wall, struct worker *worker, int64_t now_ms)
{
    if (worker->state != WORKER_READY || now_ms - worker->pinged_ms < CREW_PING_MS)
        return;
    worker->pinged_ms = now_ms;
    if (wall->config.sandbox == SANDBOX_OFF)
        return; /* a debugger may hold it */
    if (worker->silent++ < CREW_HUNG) {
        worker->pings += control_send_sign(worker->control, CONTROL_PING) == 0;
        return;
    }
    log_event(LOG_ERROR, "worker.hung", LOG_INT("worker", worker->number),
              LOG_INT("pid", worker->pid), LOG_END);
    worker_condemn(wall, worker);
}

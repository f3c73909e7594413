/* crew_death.c - a worker ended: why, who was being served, and who is to be suspected for it. */
#include "crew_inner.h"

#include "clock.h"
#include "log.h"
#include "metric.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

#define SERVED_MOST 10 /* hosts named in the log */

enum death {
    DEATH_RETIRED, /* it was told to */
    DEATH_ENDED,   /* it was not, and says all is well */
    DEATH_START,   /* it was not ready yet */
    DEATH_CRASH,
    DEATH_KILLED, /* by somebody outside, or by a system that had no memory left */
    DEATH_ACCUSED,
};

struct death_row {
    const char *reason, *label;
};

static const struct death_row deaths[] = {
    [DEATH_RETIRED] = {"retired", NULL},
    [DEATH_ENDED] = {"ended", "reason=\"ended\""},
    [DEATH_START] = {"start", "reason=\"start\""},
    [DEATH_CRASH] = {"crash", "reason=\"crash\""},
    [DEATH_KILLED] = {"killed", "reason=\"killed\""},
    [DEATH_ACCUSED] = {"accused", "reason=\"accused\""},
};

static enum death classify(const struct worker *worker, const siginfo_t *info)
{
    bool exited = info->si_code == CLD_EXITED;
    bool killed = !exited && (info->si_status == SIGKILL || info->si_status == SIGTERM ||
                              info->si_status == SIGINT || info->si_status == SIGHUP);
    if (worker->accused)
        return DEATH_ACCUSED;
    if (worker->retired)
        return exited || killed ? DEATH_RETIRED : DEATH_CRASH;
    if (killed && !worker->condemned)
        return DEATH_KILLED;
    if (!worker->was_ready)
        return DEATH_START;
    if (exited)
        return info->si_status == 0 ? DEATH_ENDED : DEATH_CRASH;
    return DEATH_CRASH;
}

/* ---- suspects ---- */
static void evict(struct berth *berth)
{
    berth->evicted = true;
    if (!berth->busy && berth->channel_fd >= 0)
        shutdown(berth->channel_fd, SHUT_RDWR);
}

/* Its sessions notice, and come back into quarantine before they can do harm where they are. */
static void evict_host(struct wall *wall, const char *host)
{
    for (uint32_t i = 0; i < wall->config.workers; i++) {
        struct berth *berth;
        DL_FOREACH (wall->workers[i].berths, berth) {
            if (!berth->left_ms && !berth->evicted && strcmp(berth->host, host) == 0)
                evict(berth);
        }
    }
}

static bool serves_nobody_else(const struct berth *berth)
{
    const struct berth *other;
    DL_FOREACH (berth->worker->berths, other) {
        if (other->busy && (strcmp(other->host, berth->host) != 0 ||
                            strcmp(other->username, berth->username) != 0))
            return false;
    }
    return true;
}

void crew_blame(struct wall *wall, const struct berth *berth, uint64_t crash, bool certain)
{
    int64_t now_ms = clock_now_ms();
    struct party party = berth_party(berth);
    struct blame blame = {
        .crash = crash, .alone = !berth->worker->mixed, .only = serves_nobody_else(berth)};
    if (!quarantine_blame(wall->quarantine, &party, blame, now_ms))
        return;
    struct quarantine_verdict verdict = quarantine_ask(wall->quarantine, &party, now_ms);
    log_event(LOG_WARN, "host.quarantined", LOG_TEXT("host", berth->host),
              LOG_INT("pauseMs", verdict.pause_ms), LOG_END);
    if (certain || verdict.pause_ms > 0)
        evict_host(wall, berth->host);
}

/* Most of those who were being served are innocent, unless there was one only. */
static void blame_busy(struct wall *wall, const struct worker *worker)
{
    const struct berth *berth, *first = NULL;
    uint64_t crash = ++wall->crashes;
    bool certain = true;
    DL_FOREACH (worker->berths, berth) {
        if (berth->busy && first && strcmp(first->host, berth->host) != 0)
            certain = false;
        if (berth->busy && !first)
            first = berth;
    }
    DL_FOREACH (worker->berths, berth) {
        if (berth->busy)
            crew_blame(wall, berth, crash, certain);
    }
}

/* ---- telling ---- */
static bool is_named(const char *const *names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void served_list(const struct worker *worker, struct buf *out)
{
    const char *names[SERVED_MOST];
    uint32_t count = 0;
    const struct berth *berth;
    DL_FOREACH (worker->berths, berth) {
        if (!berth->busy || is_named(names, count, berth->host))
            continue;
        if (count == SERVED_MOST) {
            buf_text(out, ", ...");
            return;
        }
        names[count++] = berth->host;
        buf_printf(out, "%s%s", count > 1 ? ", " : "", berth->host);
    }
}

static void tell(const struct worker *worker, enum death death, const siginfo_t *info)
{
    struct buf served;
    char status[20] = "";
    if (death == DEATH_RETIRED)
        return;
    buf_init(&served, 4096);
    served_list(worker, &served);
    if (info->si_code == CLD_EXITED)
        snprintf(status, sizeof status, "%d", info->si_status);
    log_event(LOG_ERROR, "worker.died", LOG_INT("worker", worker->number),
              LOG_INT("pid", worker->pid), LOG_TEXT("reason", deaths[death].reason),
              LOG_TEXT("signal", *status ? "" : sigabbrev_np(info->si_status)),
              LOG_TEXT("exit", status), LOG_TEXT("served", served.data), LOG_END);
    buf_clear(&served);
    metric_add(metric_get(METRIC_COUNTER, "postern_worker_deaths_total",
                          "Workers that ended without being told to.", deaths[death].label),
               1);
}

/* ---- the grave ---- */
static void release_berths(struct worker *worker)
{
    struct berth *berth, *behind;
    DL_FOREACH_SAFE (worker->berths, berth, behind) {
        bool left = berth->left_ms != 0;
        berth_detach(berth);
        if (left)
            berth_free(berth);
    }
}

void worker_postpone(struct worker *worker)
{
    int64_t pause_ms = 0;
    if (worker->bad_starts > 0)
        pause_ms = worker->bad_starts > 10 ? CREW_PAUSE_MAX
                                           : (int64_t)CREW_PAUSE_MS << (worker->bad_starts - 1);
    worker->bad_starts++;
    worker->not_before_ms =
        clock_now_ms() + (pause_ms > CREW_PAUSE_MAX ? CREW_PAUSE_MAX : pause_ms);
}

/* Started anew at once, unless it is its start that goes wrong. */
static void plan_restart(struct worker *worker, enum death death)
{
    int64_t early_ms = worker->quarantine ? CREW_EARLY_QUARANTINE_MS : CREW_EARLY_MS;
    bool early = clock_now_ms() - worker->started_ms < early_ms;
    bool own_fault = death == DEATH_CRASH || death == DEATH_ACCUSED;
    if (death == DEATH_KILLED && !worker->was_ready)
        worker->early_kills++;
    if (death == DEATH_START || (early && own_fault) || worker->early_kills > CREW_KILLS_MAX)
        worker_postpone(worker);
    else
        worker->bad_starts = 0;
    /* One for a suspect is not started before somebody wants it again. */
    worker->wanted = !worker->quarantine || death == DEATH_START;
}

static bool reap(const struct worker *worker, siginfo_t *info)
{
    *info = (siginfo_t){0};
    return waitid(P_PIDFD, (id_t)worker->pidfd, info, WEXITED | WNOHANG) == 0 && info->si_pid != 0;
}

bool worker_bury(struct wall *wall, struct worker *worker)
{
    siginfo_t info;
    if (worker->state == WORKER_NONE || !reap(worker, &info))
        return false;
    enum death death = classify(worker, &info);
    berths_forget(worker);
    tell(worker, death, &info);
    if (death == DEATH_CRASH)
        blame_busy(wall, worker);
    release_berths(worker);
    if (worker->control >= 0)
        close(worker->control);
    close(worker->pidfd);
    worker->control = worker->pidfd = -1;
    free(worker->host);
    worker->host = NULL;
    worker->mixed = false;
    plan_restart(worker, death);
    if (death == DEATH_START && !wall->started)
        fault_set(&wall->start_fault, ERR_INTERNAL, "a worker ended before it was ready");
    worker_enter(wall, worker, WORKER_NONE);
    crew_ring(wall);
    return true;
}

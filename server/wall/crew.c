/* crew.c - the workers as processes: one thread starts them, hears of their end by pidfd, starts
 * others, and ends those that nobody needs.
 *
 * That thread lives as long as the wall: a worker dies with the thread that made it.
 */
#include "crew_inner.h"

#include "clock.h"
#include "control.h"
#include "log.h"
#include "metric.h"
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define WORKERS_MAX     64 /* as settings_table.c has it */
#define STOP_MS         2000
#define TICK_MS         1000
#define SUSPECT_TICK_MS 60000 /* for the gauge alone */

/* ---- small things ---- */
void crew_ring(struct wall *wall)
{
    uint64_t one = 1;
    if (write(wall->wake_fd, &one, sizeof one) < 0)
        return; /* full: it is awake */
}

void crew_count(struct wall *wall)
{
    int64_t ready = 0;
    for (uint32_t i = 0; i < wall->worker_count; i++)
        ready += wall->workers[i].state == WORKER_READY;
    metric_set(metric_get(METRIC_GAUGE, "postern_workers",
                          "Worker processes that are ready, those of quarantine included.", ""),
               ready);
    metric_set(metric_get(METRIC_GAUGE, "postern_quarantined_hosts",
                          "Mail hosts that were being served when a worker crashed.", ""),
               quarantine_hosts(wall->quarantine, clock_now_ms()));
}

void worker_enter(struct wall *wall, struct worker *worker, enum worker_state state)
{
    worker->state = state;
    worker->changed_ms = worker->used_ms = clock_now_ms();
    crew_count(wall);
    pthread_cond_broadcast(&wall->changed);
}

/* ---- coming ---- */
static struct control_start start_message(const struct wall *wall)
{
    struct control_start start = {
        .limits = wall->config.limits,
        .ca_file = wall->config.ca_file,
        .sandbox = wall->config.sandbox,
        .memory_max = wall->config.memory_max,
        .threads_max = wall->config.threads_max,
    };
    for (int level = LOG_ERROR; level < LOG_LEVELS; level++)
        if (log_wants(level))
            start.log_level = level;
    return start;
}

static void worker_start(struct wall *wall, struct worker *worker)
{
    struct control_start start = start_message(wall);
    struct fault fault = {0};
    struct spawned process;
    int code;
    worker->started_ms = clock_now_ms();
    worker->was_ready = worker->accused = worker->retired = worker->condemned = false;
    worker->silent = worker->pings = 0;
    worker->pinged_ms = worker->started_ms;
    metric_add(
        metric_get(METRIC_COUNTER, "postern_worker_starts_total", "Worker processes started.", ""),
        1);
    if (spawn_worker(wall->program_fd, &fault, &process) != OK) {
        worker_failed(wall, worker, fault.code, fault.detail);
        worker_postpone(worker);
        return;
    }
    worker->pid = process.pid;
    worker->pidfd = process.pidfd;
    worker->control = process.control;
    worker_enter(wall, worker, WORKER_STARTING);
    code = control_send_start(worker->control, &start);
    if (code)
        worker_failed(wall, worker, ERR_INTERNAL, strerror(code)); /* and CREW_READY_MS ends it */
}

/* ---- the watch ---- */
static void retire(struct wall *wall, struct worker *worker)
{
    if (worker->control >= 0)
        close(worker->control);
    worker->control = -1;
    worker->retired = true;
    worker_enter(wall, worker, WORKER_ENDING);
}

static void look_after(struct wall *wall, struct worker *worker)
{
    int64_t now_ms = clock_now_ms(), since_ms = now_ms - worker->changed_ms;
    if (worker->state == WORKER_STARTING || worker->state == WORKER_READY)
        crew_hear(wall, worker);
    crew_ask_after(wall, worker, now_ms);
    if (worker_bury(wall, worker) || worker->state == WORKER_NONE) {
        if (worker->wanted && worker->not_before_ms <= now_ms && !wall->stopping)
            worker_start(wall, worker);
    } else if (worker->state == WORKER_STARTING && since_ms >= CREW_READY_MS) {
        worker_failed(wall, worker, ERR_INTERNAL, "a worker was not ready in time");
        worker_condemn(wall, worker);
    } else if (worker->state == WORKER_ENDING && since_ms >= CREW_ENDING_MS) {
        pidfd_send_signal(worker->pidfd, SIGKILL, NULL, 0);
    } else if (worker->state == WORKER_READY && worker->quarantine && !worker->aboard &&
               now_ms - worker->used_ms >= CREW_IDLE_MS) {
        retire(wall, worker);
    }
}

/* What to wait for; returns how many. Timed things are looked at once a second, or when due. */
static nfds_t gather(const struct wall *wall, struct pollfd *entries, int *timeout_ms)
{
    nfds_t count = 0;
    int64_t now_ms = clock_now_ms(), wait_ms = INT64_MAX;
    entries[count++] = (struct pollfd){.fd = wall->wake_fd, .events = POLLIN};
    for (uint32_t i = 0; i < wall->worker_count; i++) {
        const struct worker *worker = &wall->workers[i];
        bool timed =
            worker->state != WORKER_NONE && (worker->state != WORKER_READY || worker->quarantine);
        if (worker->state != WORKER_NONE)
            entries[count++] = (struct pollfd){.fd = worker->pidfd, .events = POLLIN};
        if (worker->state == WORKER_STARTING || worker->state == WORKER_READY)
            entries[count++] = (struct pollfd){.fd = worker->control, .events = POLLIN};
        if (timed && wait_ms > TICK_MS)
            wait_ms = TICK_MS;
        if (worker->state == WORKER_READY && worker->pinged_ms + CREW_PING_MS - now_ms < wait_ms)
            wait_ms = worker->pinged_ms + CREW_PING_MS - now_ms;
        if (worker->state == WORKER_NONE && worker->wanted &&
            worker->not_before_ms - now_ms < wait_ms)
            wait_ms = worker->not_before_ms - now_ms;
    }
    if (wait_ms > SUSPECT_TICK_MS && quarantine_hosts(wall->quarantine, now_ms) > 0)
        wait_ms = SUSPECT_TICK_MS;
    *timeout_ms = wait_ms == INT64_MAX ? -1 : (int)(wait_ms > 0 ? wait_ms : 0);
    return count;
}

static void rest_locked(struct wall *wall)
{
    struct pollfd entries[1 + 2 * (WORKERS_MAX + QUARANTINE_WORKERS_MAX)];
    uint64_t rings;
    int timeout_ms;
    nfds_t count = gather(wall, entries, &timeout_ms);
    pthread_mutex_unlock(&wall->lock);
    poll(entries, count, timeout_ms);
    if (read(wall->wake_fd, &rings, sizeof rings) < 0)
        rings = 0; /* nobody rang */
    pthread_mutex_lock(&wall->lock);
}

static void end_all_locked(struct wall *wall)
{
    int64_t deadline_ms = clock_now_ms() + STOP_MS;
    uint32_t alive;
    for (uint32_t i = 0; i < wall->worker_count; i++)
        if (wall->workers[i].state != WORKER_NONE)
            retire(wall, &wall->workers[i]);
    do {
        bool late = clock_now_ms() >= deadline_ms;
        alive = 0;
        for (uint32_t i = 0; i < wall->worker_count; i++) {
            struct worker *worker = &wall->workers[i];
            worker_bury(wall, worker);
            worker->wanted = false;
            alive += worker->state != WORKER_NONE;
            if (late && worker->state != WORKER_NONE)
                pidfd_send_signal(worker->pidfd, SIGKILL, NULL, 0);
        }
        if (alive)
            rest_locked(wall);
    } while (alive);
}

static void *supervise(void *argument)
{
    struct wall *wall = argument;
    pthread_mutex_lock(&wall->lock);
    while (!wall->stopping) {
        for (uint32_t i = 0; i < wall->worker_count; i++)
            look_after(wall, &wall->workers[i]);
        crew_count(wall);
        rest_locked(wall);
    }
    end_all_locked(wall);
    pthread_mutex_unlock(&wall->lock);
    return NULL;
}

/* ---- up ---- */
static struct wall *wall_new(const struct wall_config *config)
{
    struct wall *wall = xalloc(sizeof *wall);
    pthread_condattr_t monotonic;
    wall->config = *config;
    wall->config.ca_file = config->ca_file ? xstrdup(config->ca_file) : NULL;
    wall->config.program = NULL;
    if (wall->config.workers > WORKERS_MAX)
        wall->config.workers = WORKERS_MAX;
    wall->program_fd = wall->wake_fd = -1;
    pthread_mutex_init(&wall->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&wall->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    wall->quarantine = quarantine_new();
    wall->worker_count = wall->config.workers + QUARANTINE_WORKERS_MAX;
    wall->workers = xalloc(wall->worker_count * sizeof *wall->workers);
    for (uint32_t i = 0; i < wall->worker_count; i++) {
        struct worker *worker = &wall->workers[i];
        worker->number = i;
        worker->pidfd = worker->control = -1;
        worker->quarantine = i >= wall->config.workers;
        worker->wanted = !worker->quarantine;
    }
    return wall;
}

static void wall_free(struct wall *wall)
{
    if (wall->program_fd >= 0)
        close(wall->program_fd);
    if (wall->wake_fd >= 0)
        close(wall->wake_fd);
    quarantine_free(&wall->quarantine);
    pthread_cond_destroy(&wall->changed);
    pthread_mutex_destroy(&wall->lock);
    free((char *)wall->config.ca_file);
    free(wall->workers);
    free(wall);
}

/* Signals are the main thread's. */
static enum err supervisor_start(struct wall *wall, struct fault *fault)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&wall->supervisor, NULL, supervise, wall);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code ? fault_set(fault, ERR_INTERNAL, "pthread_create: %s", strerror(code)) : OK;
}

static enum err wait_for_all(struct wall *wall, struct fault *fault)
{
    uint32_t ready = 0;
    pthread_mutex_lock(&wall->lock);
    while (ready < wall->config.workers && !wall->start_fault.code) {
        pthread_cond_wait(&wall->changed, &wall->lock);
        ready = 0;
        for (uint32_t i = 0; i < wall->config.workers; i++)
            ready += wall->workers[i].state == WORKER_READY;
    }
    enum err err = OK;
    if (wall->start_fault.code)
        err = fault_set(fault, wall->start_fault.code, "%s", wall->start_fault.detail);
    wall->started = true;
    pthread_mutex_unlock(&wall->lock);
    return err;
}

enum err wall_start(const struct wall_config *config, struct fault *fault, struct wall **out)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    struct wall *wall = wall_new(config);
    sigaction(SIGCHLD, &usual, NULL); /* ignored, as some parents leave it, it would reap for us */
    enum err err = spawn_program_open(config->program, fault, &wall->program_fd);
    wall->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!err && wall->wake_fd < 0)
        err = fault_set(fault, ERR_INTERNAL, "eventfd: %s", strerror(errno));
    if (!err)
        err = supervisor_start(wall, fault);
    if (err) {
        wall_free(wall);
        return err;
    }
    err = wait_for_all(wall, fault);
    if (err)
        wall_stop(&wall);
    *out = wall;
    return err;
}

void wall_stop(struct wall **slot)
{
    struct wall *wall = *slot;
    if (!wall)
        return;
    *slot = NULL;
    pthread_mutex_lock(&wall->lock);
    wall->stopping = true;
    pthread_mutex_unlock(&wall->lock);
    crew_ring(wall);
    pthread_join(wall->supervisor, NULL);
    wall_free(wall);
}

/* crew_board.c - berths: which worker a connection goes to, and whether it is being served.
 *
 * One that is left while busy stays known to its worker for a while: a call that was given up is
 * perhaps still under way there, or its worker dead without anybody having heard of it.
 */
#include "crew_inner.h"

#include "clock.h"
#include "control.h"
#include "log.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#define LOOK_MS      50 /* how late a cancel is noticed, and how soon a full worker is tried anew */
#define LEFT_MS      10000 /* how long one who left while busy is remembered */
#define LEFT_MOST    64    /* by one worker */
#define CONFIRM_MS   30    /* from a channel's end to that of its process: usually far below one */
#define FULL_WAIT_MS 50

/* ---- one berth ---- */
static struct berth *berth_new(struct wall *wall, const struct passenger *passenger)
{
    struct berth *berth = xalloc(sizeof *berth);
    berth->wall = wall;
    berth->host = xstrdup(passenger->host);
    text_lower(berth->host);
    berth->username = xstrdup(passenger->username);
    berth->peer = *passenger->peer;
    berth->channel_fd = -1;
    return berth;
}

void berth_free(struct berth *berth)
{
    free(berth->host);
    free(berth->username);
    free(berth);
}

static void berth_attach(struct worker *worker, struct berth *berth)
{
    berth->worker = worker;
    if (!worker->host) {
        worker->host = xstrdup(berth->host);
        worker->peer = berth->peer;
    }
    struct party first = {.host = worker->host, .username = "", .peer = &worker->peer};
    struct party party = berth_party(berth);
    worker->mixed |= !quarantine_is_same(&first, &party);
    worker->aboard++;
    worker->used_ms = clock_now_ms();
    DL_APPEND(worker->berths, berth);
}

void berth_detach(struct berth *berth)
{
    struct worker *worker = berth->worker;
    DL_DELETE(worker->berths, berth);
    worker->aboard -= berth->left_ms == 0;
    worker->used_ms = clock_now_ms();
    berth->worker = NULL;
}

/* ---- choosing ---- */
static uint32_t hash_text(uint32_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 16777619u; /* FNV-1a */
    return hash * 16777619u;
}

static bool is_open(const struct worker *worker, int64_t now_ms)
{
    return worker->state == WORKER_READY && worker->full_until_ms <= now_ms &&
           worker->silent < CREW_SILENT;
}

/* The account's own worker, else the next one that is ready; NULL: none is. */
static struct worker *choose_ordinary(struct wall *wall, const char *host, const char *username)
{
    uint32_t count = wall->config.workers;
    uint32_t first = hash_text(hash_text(2166136261u, host), username) % count;
    int64_t now_ms = clock_now_ms();
    for (uint32_t i = 0; i < count; i++) {
        struct worker *worker = &wall->workers[(first + i) % count];
        if (is_open(worker, now_ms))
            return worker;
    }
    return NULL;
}

static struct worker *choose_quarantine(struct wall *wall, uint32_t place)
{
    struct worker *worker = &wall->workers[wall->config.workers + place];
    if (worker->state == WORKER_NONE && !worker->wanted) {
        worker->wanted = true;
        crew_ring(wall);
    }
    return is_open(worker, clock_now_ms()) ? worker : NULL;
}

static enum err choose(struct wall *wall, const struct berth *berth, const char *username,
                       struct fault *fault, struct worker **out)
{
    struct party party = berth_party(berth);
    struct quarantine_verdict verdict = quarantine_ask(wall->quarantine, &party, clock_now_ms());
    if (verdict.pause_ms > 0) {
        enum err err = fault_set(fault, ERR_WORKER,
                                 "what this mail server sent has ended our process again and "
                                 "again; it is left alone for a while");
        fault->retry_after_s = (int)((verdict.pause_ms + 999) / 1000);
        return err;
    }
    *out = verdict.suspected ? choose_quarantine(wall, verdict.place)
                             : choose_ordinary(wall, berth->host, username);
    return OK;
}

/* ---- handing over ---- */
static enum err hand_over(struct worker *worker, int socket, struct fault *fault, int *channel_fd)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return fault_set(fault, ERR_BUSY, "no descriptor is free");
    int code = control_send_board(worker->control, pair[1], socket);
    close(pair[1]);
    if (!code) {
        *channel_fd = pair[0];
        return OK;
    }
    close(pair[0]);
    *channel_fd = -1;
    bool full = code == EAGAIN || code == ENOBUFS || code == ENOMEM || code == ETOOMANYREFS;
    worker->full_until_ms = clock_now_ms() + FULL_WAIT_MS; /* gone, if not full: soon heard of */
    if (!full && code != EPIPE && code != ECONNRESET && code != ENOTCONN)
        return fault_set(fault, ERR_BUSY, "a connection cannot be handed over: %s", strerror(code));
    return OK;
}

static enum err wait_change(struct wall *wall, const struct channel_wait *wait, struct fault *fault)
{
    struct timespec until;
    if (wait->cancelled && __atomic_load_n(wait->cancelled, __ATOMIC_ACQUIRE))
        return fault_set(fault, ERR_CANCELLED, "the work was cancelled");
    int left_ms = clock_left_ms(wait->deadline_ms, LOOK_MS);
    if (left_ms == 0)
        return fault_set(fault, ERR_TIMEOUT, "no process to speak with the mail server was ready");
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += left_ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&wall->changed, &wall->lock, &until);
    return OK;
}

static enum err board_locked(struct wall *wall, struct berth *berth,
                             const struct passenger *passenger, const struct channel_wait *wait,
                             struct fault *fault)
{
    enum err err = OK;
    while (!err && berth->channel_fd < 0) {
        struct worker *worker = NULL;
        err = choose(wall, berth, passenger->username, fault, &worker);
        if (!err && worker)
            err = hand_over(worker, passenger->socket, fault, &berth->channel_fd);
        else if (!err)
            err = wait_change(wall, wait, fault);
        if (berth->channel_fd >= 0)
            berth_attach(worker, berth);
    }
    return err;
}

enum err crew_board(struct wall *wall, const struct passenger *passenger,
                    const struct channel_wait *wait, struct fault *fault, struct berth **out,
                    int *channel_fd)
{
    struct berth *berth = berth_new(wall, passenger);
    pthread_mutex_lock(&wall->lock);
    enum err err = board_locked(wall, berth, passenger, wait, fault);
    pthread_mutex_unlock(&wall->lock);
    close(passenger->socket);
    if (err) {
        berth_free(berth);
        return err;
    }
    *channel_fd = berth->channel_fd;
    *out = berth;
    return OK;
}

/* ---- while aboard ---- */
void crew_busy(struct berth *berth, bool busy)
{
    pthread_mutex_lock(&berth->wall->lock);
    berth->busy = busy;
    if (!busy && berth->evicted)
        shutdown(berth->channel_fd, SHUT_RDWR);
    pthread_mutex_unlock(&berth->wall->lock);
}

void crew_accuse(struct berth *berth, const char *what)
{
    struct wall *wall = berth->wall;
    pthread_mutex_lock(&wall->lock);
    struct worker *worker = berth->worker;
    if (worker) {
        log_event(LOG_ERROR, "worker.accused", LOG_INT("worker", worker->number),
                  LOG_INT("pid", worker->pid), LOG_TEXT("host", berth->host),
                  LOG_TEXT("detail", what), LOG_END);
        crew_blame(wall, berth, ++wall->crashes, true);
        worker->accused = true;
        if (worker->state != WORKER_ENDING)
            worker_enter(wall, worker, WORKER_ENDING);
        pidfd_send_signal(worker->pidfd, SIGKILL, NULL, 0);
    }
    pthread_mutex_unlock(&wall->lock);
}

/* ---- leaving ---- */
void berths_forget(struct worker *worker)
{
    int64_t now_ms = clock_now_ms();
    struct berth *berth, *behind;
    uint32_t count = 0;
    DL_FOREACH (worker->berths, berth) {
        count += berth->left_ms != 0;
    }
    DL_FOREACH_SAFE (worker->berths, berth, behind) {
        if (!berth->left_ms || (now_ms - berth->left_ms < LEFT_MS && count <= LEFT_MOST))
            continue;
        count--;
        berth_detach(berth);
        berth_free(berth);
    }
}

/* Whether the worker that this berth was in is dead is known soon. */
static void confirm_death(struct berth *berth)
{
    struct wall *wall = berth->wall;
    struct worker *worker = berth->worker;
    int pidfd = worker ? fcntl(worker->pidfd, F_DUPFD_CLOEXEC, 0) : -1;
    struct pollfd entry = {.fd = pidfd, .events = POLLIN};
    if (pidfd < 0)
        return;
    pthread_mutex_unlock(&wall->lock);
    bool dead = poll(&entry, 1, CONFIRM_MS) > 0;
    close(pidfd);
    pthread_mutex_lock(&wall->lock);
    if (dead && berth->worker)
        worker_bury(wall, berth->worker);
}

void crew_leave(struct berth **slot, bool lost)
{
    struct berth *berth = *slot;
    if (!berth)
        return;
    struct wall *wall = berth->wall;
    *slot = NULL;
    pthread_mutex_lock(&wall->lock);
    berth->channel_fd = -1;
    if (lost)
        confirm_death(berth);
    struct worker *worker = berth->worker;
    if (worker && berth->busy) {
        worker->aboard--;
        worker->used_ms = berth->left_ms = clock_now_ms();
        berths_forget(worker);
    } else {
        if (worker)
            berth_detach(berth);
        berth_free(berth);
    }
    pthread_mutex_unlock(&wall->lock);
}

/* crew_inner.h - what the crew's own files share: the workers, the berths in them, one lock.
 *
 *   crew.c        start and stop, and the thread that starts workers, hears of their end, and rests
 *   crew_hear.c   what workers say, and that they must say something
 *   crew_board.c  the berths: who is taken where
 *   crew_death.c  what is done about a worker that ended
 *
 * The lock is held for look-ups, for sending a message that never waits, and while a process is
 * made. `changed` is told of every change of a worker's state. All functions below want the lock.
 */
#ifndef POSTERN_CREW_INNER_H
#define POSTERN_CREW_INNER_H

#include "arena.h"
#include "crew.h"
#include "quarantine.h"

#include <pthread.h>
#include <sys/types.h>

#define CREW_READY_MS            60000 /* a worker that does not say it is ready by then is ended */
#define CREW_IDLE_MS             60000 /* a quarantine worker that nobody used for so long is ended */
#define CREW_EARLY_MS            1000 /* a crash so soon after the start says that something is broken */
#define CREW_EARLY_QUARANTINE_MS 10000 /* the same, of one that serves who crashed others */
#define CREW_PAUSE_MS            125   /* before the second start that went wrong; doubles */
#define CREW_PAUSE_MAX           30000
#define CREW_KILLS_MAX           100 /* killed so often before it was ready: it is the system that kills */
#define CREW_PING_MS             2000 /* a ready worker is asked so often whether it is there */
#define CREW_SILENT              2    /* so often without an answer: nobody is given to it */
#define CREW_HUNG                5    /* and then it is ended */
#define CREW_ENDING_MS           5000 /* a worker whose control socket was closed should be gone by then */

enum worker_state {
    WORKER_NONE, /* no process */
    WORKER_STARTING,
    WORKER_READY,
    WORKER_ENDING, /* a process that is given nothing any more */
};

struct worker {
    enum worker_state state;
    bool wanted;     /* a process is to be started when there is none */
    bool quarantine; /* wanted by those who board, ended when idle */
    bool accused, was_ready;
    bool retired;   /* its control socket was closed */
    bool condemned; /* killed by us */
    bool mixed;     /* this process has served several hosts */
    char *host;     /* owned; the first that this process served, with its address; NULL: none */
    struct sockaddr_storage peer;
    uint32_t number;
    pid_t pid;
    int pidfd, control;    /* owned; -1: none */
    int64_t changed_ms;    /* when it came into its state */
    int64_t started_ms;    /* of this process */
    int64_t not_before_ms; /* of the next */
    int64_t full_until_ms; /* its control socket took nothing */
    int64_t used_ms;       /* somebody came or went */
    int64_t pinged_ms;     /* when it was asked last */
    uint32_t pings;        /* sent and not answered */
    uint32_t silent;       /* so often since its last answer; counted, for time also passes when
                              the machine sleeps or all of us are stopped */
    uint32_t bad_starts;   /* one after the other */
    uint32_t early_kills;  /* one after the other, by others, before it was ready */
    uint32_t aboard;       /* berths, those left apart */
    struct berth *berths;  /* owned by their users; those left are ours */
};

struct berth {
    struct wall *wall;
    struct worker *worker; /* NULL: its process has ended */
    struct berth *prev, *next;
    char *host, *username; /* owned */
    struct sockaddr_storage peer;
    int channel_fd; /* borrowed until it is left */
    bool busy;
    bool evicted;    /* to be hung up when it is not busy */
    int64_t left_ms; /* 0: aboard; else left while busy */
};

struct wall {
    struct wall_config config; /* text is owned */
    int program_fd, wake_fd;
    pthread_t supervisor;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* monotonic */
    bool started, stopping;
    bool lack_is_logged;
    struct fault start_fault; /* why the first start went wrong */
    struct quarantine *quarantine;
    uint64_t crashes;
    struct worker *workers; /* config.workers ordinary ones, then QUARANTINE_WORKERS_MAX */
    uint32_t worker_count;
};

static inline struct party berth_party(const struct berth *berth)
{
    return (struct party){.host = berth->host, .username = berth->username, .peer = &berth->peer};
}

/* ---- crew.c ---- */
void worker_enter(struct wall *wall, struct worker *worker, enum worker_state state);
void crew_ring(struct wall *wall);  /* wakes the supervisor */
void crew_count(struct wall *wall); /* sets the gauges */

/* ---- crew_hear.c ---- */
void worker_failed(struct wall *wall, struct worker *worker, enum err code, const char *detail);
void worker_condemn(struct wall *wall, struct worker *worker); /* ends it */
void crew_hear(struct wall *wall, struct worker *worker);      /* when something is there */
void crew_ask_after(struct wall *wall, struct worker *worker, int64_t now_ms);

/* ---- crew_board.c ---- */
/* Takes the berth out of its worker's list. */
void berth_detach(struct berth *berth);
void berth_free(struct berth *berth);
/* Those who left long ago: nothing of theirs is under way any more. */
void berths_forget(struct worker *worker);

/* ---- crew_death.c ---- */
/* When its process has ended: whatever follows from that. Returns whether it has. */
bool worker_bury(struct wall *wall, struct worker *worker);
/* Its host is a suspect; when there is little doubt, its idle connections elsewhere are hung up. */
void crew_blame(struct wall *wall, const struct berth *berth, uint64_t crash, bool certain);
/* The next start waits longer each time. */
void worker_postpone(struct worker *worker);

#endif

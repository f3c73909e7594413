/* internal.h - what the files of the session layer share.
 *
 * One lock, sessions->lock, guards all of this: tables, queues, counters, states. It is held for
 * pointer work only, never across a call to a mail server or the store. What it does not guard is
 * said on the field. A connection that is leased belongs to the worker that runs its task.
 *
 *   sessions -- session -- seat -- connection      a seat points to its account, an account to its
 *          \-- account (mirror, folder gates)      host; accounts and hosts are shared by all seats
 *           \-- host (limits, health)
 */
#ifndef POSTERN_SESSION_INTERNAL_H
#define POSTERN_SESSION_INTERNAL_H

#include "operations.h"
#include "session.h"
#include "task.h"

#include "crypto.h"
#include "metric.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>
#include <utlist.h>

/* ---- one mail host ---- */
struct host {
    char *key;            /* owned: "name:port", lower case */
    uint32_t accounts;    /* that point here */
    uint32_t connections; /* open or being opened */
    uint32_t leased;      /* of these, serving a task */
    uint32_t limit;       /* lowered when the host says "too many", recovers by one a minute */
    int64_t limit_raised_ms;
    int64_t down_until_ms; /* fail fast until then */
    struct fault down_fault;
    UT_hash_handle hh;
};

/* ---- one HTTP client, as far as its address tells ---- */
struct client {
    char *address;   /* owned */
    uint32_t seats;  /* that it signed in to */
    uint32_t leased; /* connections of theirs that serve a task */
    UT_hash_handle hh;
};

/* ---- one folder's gate: one sync or change at a time ---- */
struct gate {
    int64_t folder; /* 0: the list of folders */
    bool busy;
    uint64_t epoch;            /* goes up whenever a sync or change told anything, see backfill.c */
    bool backfilling;          /* some seat fills it in */
    int64_t backfill_after_ms; /* not before: the last try failed */
    UT_hash_handle hh;
};

/* ---- one account, whoever uses it ---- */
struct account {
    char id[ACCOUNT_ID_BYTES];
    struct mirror *mirror; /* owned: taken from the store */
    struct host *host;
    uint32_t seats;             /* that point here */
    uint32_t connections;       /* open or being opened, of all seats */
    pthread_mutex_t gates_lock; /* guards gates */
    pthread_cond_t gate_opened;
    struct gate *gates;
    struct account *next_spent;
    UT_hash_handle hh;
};

/* ---- one upstream connection ---- */
enum pool_class { POOL_INTERACTIVE, POOL_BULK, POOL_CLASSES };

struct connection {
    struct connection *prev, *next; /* in its seat's list, or the graveyard's */
    struct seat *seat;              /* NULL in the graveyard */
    enum pool_class pool_class;
    struct backend *backend; /* NULL until opened; changed only by its worker, under the lock */
    struct task *task;       /* whose lease it is; NULL: idle */
    /* the sync it made last: of which folder, and where the mirror's journal stood then */
    int64_t synced_folder;
    uint64_t synced_change;
    uint32_t synced_floor;
    int64_t folder; /* the folder it last worked on: affinity */
    int64_t idle_since_ms;
    bool unproven; /* leased before its seat was verified: in sessions->unproven */
    struct connection *unproven_prev, *unproven_next;
    bool used;               /* has served a task before this one: it may have died meanwhile */
    volatile bool cancelled; /* stops an open that is under way */
};

/* ---- one account as one caller sees it ---- */
struct seat {
    struct seat *prev, *next;             /* in its session */
    struct seat *all_prev, *all_next;     /* in sessions->seats */
    struct seat *waits_prev, *waits_next; /* in sessions->waiting, while queued > 0 */
    struct session *session;
    struct account *account;
    enum backend_protocol protocol;
    enum backend_security security;
    char *host, *username; /* owned */
    uint16_t port;
    struct secret password, access_token; /* unchanged after creation */
    char *throttle_key;                   /* owned; NULL: none */
    struct client *client;                /* who signed in; NULL: its address is not known */
    bool verified, login_failed, removed;
    enum account_state state;
    struct fault last_error;
    struct arena info_arena;
    struct backend_info info;
    struct connection *connections;
    uint32_t counts[POOL_CLASSES]; /* connections of each class */
    uint32_t limits[POOL_CLASSES]; /* lowered for a while when the server allows fewer */
    int64_t limited_ms;
    struct task *queues[LANE_COUNT];
    uint32_t queued, joined; /* tasks in the queues; in the freshes */
    struct fresh *freshes;
};

struct session {
    struct sessions *sessions;
    uint32_t references; /* one of the tables', while not ended */
    bool ended, basic;
    uint8_t key[CRYPTO_HASH_BYTES]; /* hash of the token, or of the Basic credentials */
    int64_t used_ms;
    struct seat *seats;
    uint32_t seat_count;
    UT_hash_handle hh;
};

struct throttle_row {
    char *key; /* owned */
    uint32_t failures, trying;
    int64_t since_ms;
    UT_hash_handle hh;
};

struct sessions {
    struct sessions_config config;
    struct crypto_key basic_key; /* random, of this process */
    pthread_mutex_t lock;
    struct session *by_token, *by_basic;
    uint32_t session_count, seat_count;
    struct account *accounts;
    struct host *hosts;
    struct client *clients;
    struct throttle_row *throttle;
    /* to be closed outside the lock, by pool_close_buried */
    struct connection *graveyard;
    struct account *spent;
    /* workers */
    pthread_cond_t work;  /* something is ready, or stopping */
    pthread_cond_t quiet; /* a worker ended, or nothing runs any more */
    struct task *ready;
    uint32_t ready_count, workers, workers_idle, workers_busy;
    uint32_t queued;             /* tasks that wait for a connection */
    uint32_t leased;             /* connections that serve a task */
    struct connection *unproven; /* of these, for seats that are not verified yet: few */
    struct seat *seats;          /* all, those of ended sessions too while anybody uses them */
    struct seat *waiting;        /* seats with queued tasks, longest waiting first */
    bool quiesced, stopping;
    /* keeper */
    pthread_t keeper;
    int keeper_epoll, keeper_wake;
    bool keeper_stops;
    int64_t tidied_ms, swept_ms; /* the keeper's own */
};

enum task_state {
    TASK_NEW,
    TASK_QUEUED, /* in its seat's queue for a connection */
    TASK_JOINED, /* waits with others for a fresh folder, see fresh.c */
    TASK_READY,  /* in the ready list */
    TASK_RUNNING,
};

static inline void sessions_lock(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
}

static inline void sessions_unlock(struct sessions *sessions)
{
    pthread_mutex_unlock(&sessions->lock);
}

static inline struct sessions *seat_sessions(const struct seat *seat)
{
    return seat->session->sessions;
}

/* Names: *_locked are called with sessions->lock held. */

/* ---- host.c, account.c ---- */
struct host *host_get_locked(struct sessions *sessions, const char *name, uint16_t port);
void host_drop_locked(struct sessions *sessions, struct host *host);
bool host_is_down_locked(const struct host *host, struct fault *fault);
void host_failed_locked(struct sessions *sessions, struct host *host, const struct fault *fault);
void host_answered_locked(struct host *host);
void host_said_too_many_locked(struct host *host);
void host_recover_locked(struct sessions *sessions, struct host *host, int64_t now_ms);

/* Takes over *mirror (of that account, taken by the caller) and sets it to NULL when the account is
 * new. */
struct account *account_get_locked(struct sessions *sessions, const struct credentials *credentials,
                                   const char *id, struct mirror **mirror);
void account_drop_locked(struct sessions *sessions, struct account *account);
void account_free(struct account *account); /* outside the lock */
/* Waits for the folder's gate until the call's deadline. */
enum err account_enter(struct account *account, int64_t folder, struct call *call);
void account_leave(struct account *account, int64_t folder, bool told_something);
uint64_t account_epoch(struct account *account, int64_t folder);
bool account_claim_backfill(struct account *account, int64_t folder);
void account_end_backfill(struct account *account, int64_t folder, int64_t again_after_ms);

/* ---- seat.c ---- */
enum err seat_new_locked(struct session *session, const struct credentials *credentials,
                         const char *account_id, struct mirror **mirror, struct fault *fault,
                         struct seat **out);
void seat_free_locked(struct seat *seat);
void seat_accepted_locked(struct seat *seat, struct backend *backend);
void seat_refused_locked(struct seat *seat, const struct fault *fault);
/* Nothing more happens for it: queued tasks fail with `fault`, running ones are cut, downloads too,
 * idle connections are buried. */
void seat_shut_locked(struct seat *seat, const struct fault *fault);
void session_drop_locked(struct session *session); /* a reference */
void session_free_locked(struct session *session);
void session_end_locked(struct session *session);

/* ---- throttle.c ---- */
enum err throttle_check_locked(struct sessions *sessions, const char *key, struct fault *fault);
/* Around a try to sign in. */
enum err throttle_enter_locked(struct sessions *sessions, const char *key, struct fault *fault);
void throttle_leave_locked(struct sessions *sessions, const char *key);
void throttle_failed_locked(struct sessions *sessions, const char *key);
void throttle_sweep_locked(struct sessions *sessions, int64_t now_ms, bool all);

/* ---- pool.c ---- */
void pool_queue_locked(struct task *task); /* into its seat's queue, then pool_schedule_locked */
void pool_schedule_locked(struct seat *seat);
void pool_schedule_waiting_locked(struct sessions *sessions);
void pool_unlease_locked(struct connection *connection); /* its task has ended, or goes back */
void pool_fail_locked(struct task *task, enum err code, const char *detail);
void pool_bury_locked(struct connection *connection); /* detaches; closed later, outside the lock */
void pool_expire_locked(struct sessions *sessions, int64_t now_ms);
/* No idle connection of the account keeps a view of this folder: it was made anew. */
void pool_forget_folder(struct account *account, struct sessions *sessions, int64_t folder);
/* Outside the lock. */
void pool_close_buried(struct sessions *sessions);

/* ---- lease.c: a lease holds a reference to its session ---- */
enum err lease_open(struct task *task); /* opens the leased connection if it is not open */
void lease_release(void);               /* the calling worker's, if it holds one */
/* After a read that ended with `err` (OK too): may it be tried once more? Remembers that it was. */
bool lease_may_retry(struct task *task, enum err err, bool delivered);
/* The same; and when it may, the lease has a fresh connection now. The fault is empty after true,
 * else what is to be told. */
bool lease_retry(struct task *task, enum err err, bool delivered);
/* After a failed lease_open, one of the two: the task was queued again, and is not the caller's any
 * more (true); or the seat and its host are remembered to have failed. */
bool lease_retreat(struct task *task);
void lease_blame(struct task *task);

/* ---- worker.c ---- */
void worker_push_locked(struct sessions *sessions, struct task *task);
void worker_hold(struct connection *connection);
struct connection *worker_take_held(void);
/* Cuts what runs on it; not the calling worker's own, whose step is what asks for it. */
void worker_cancel_locked(struct connection *connection);
/* Runs the step on this thread; then queues what task_next asked for. Nothing else may touch the
 * task afterwards. */
void worker_run_step(struct sessions *sessions, struct task *task);
/* Waits for what runs until the deadline, then cancels; joins all workers. */
void workers_stop(struct sessions *sessions, int64_t deadline_ms);

/* ---- fresh.c ---- */
void fresh_join_locked(struct task *task);
void fresh_leave_locked(struct task *task);
void fresh_expire_locked(struct seat *seat, int64_t now_ms);
void fresh_free_all_locked(struct seat *seat);

/* ---- sync.c: on a worker that holds task's lease ---- */
enum err sync_folder(struct task *task, int64_t folder, uint32_t first_page);
enum err sync_folders(struct task *task);
void folder_known_of(const struct folder_row *row, struct folder_known *out);

/* ---- backfill.c ---- */
void backfill_start(struct seat *seat, int64_t folder);
/* One batch now, on the task's lease. ERR_CONFLICT (no fault): the folder changed meanwhile; not
 * when the gate is held. */
enum err backfill_batch(struct task *task, int64_t folder, uint32_t count, bool gate_held,
                        uint32_t *floor);

/* ---- keeper.c ---- */
void keeper_start(struct sessions *sessions);
void keeper_stop(struct sessions *sessions);
void keeper_wake(struct sessions *sessions);
void keeper_watch_locked(struct sessions *sessions, struct connection *connection);
void keeper_unwatch_locked(struct sessions *sessions, struct connection *connection);

#endif

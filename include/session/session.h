/* session.h - who is signed in, and with which mailboxes.
 *
 * A session is a set of seats. A seat is one account as one caller sees it: the credentials, a pool
 * of connections of its own, and the account's mirror, which all seats of that account share. A
 * seat is `verified` once the mail server accepted its credentials; before that, and after the
 * server refused them, nothing of the mirror may be shown to it.
 *
 * Sessions are reference counted: find and open give a reference, session_give returns it. Safe
 * from every thread.
 */
#ifndef POSTERN_SESSION_H
#define POSTERN_SESSION_H

#include "backend.h"
#include "mirror.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

#define SESSION_SEATS_MOST 100 /* of one session, those that failed to sign in included */

struct sessions;
struct session;
struct seat;

struct sessions_config {
    struct store *store;                           /* borrowed */
    const struct backend_world *world;             /* borrowed */
    const struct backend_ops *ops[PROTOCOL_COUNT]; /* NULL: protocol not offered */
    uint32_t threads_max; /* workers: how many upstream calls can be under way */
    uint32_t sessions_max;
    uint32_t interactive_connections; /* a seat's: lists, reads, flags */
    uint32_t bulk_connections;        /* a seat's: attachments, backfill */
    uint32_t account_connections_max; /* over all sessions of one account */
    uint32_t host_connections_max;    /* to one mail host; lowered when it says "too many" */
    uint32_t queue_max;               /* waiting tasks of a seat */
    int session_idle_ms;              /* a session nobody used for so long ends */
    int connection_idle_ms;           /* a connection nobody used for so long is closed */
    int connect_timeout_ms;           /* name, connect, TLS, greeting, login: all of it */
    int request_timeout_ms;           /* one interactive request, queueing included */
    int content_timeout_ms;           /* one download */
    int host_down_ms;                 /* after a host did not answer: fail fast for so long */
    uint32_t first_page;              /* messages of a new folder told at once */
    uint32_t backfill_batch;          /* messages filled in behind in one go */
    uint32_t signin_failures_max;     /* of one address at one account, within signin_window_ms */
    int signin_window_ms;
    int mirror_idle_ms;   /* database handles are closed after so long */
    uint32_t mirror_days; /* unused mirrors are removed; 0: never */
};

struct sessions *sessions_new(const struct sessions_config *config); /* starts the keeper thread */
/* New tasks get ERR_SHUTTING_DOWN; running ones go on. */
void sessions_quiesce(struct sessions *sessions);
/* Waits for running tasks until the deadline, then cancels them; logs out; joins all threads. */
void sessions_stop(struct sessions **sessions, int64_t deadline_ms);

/* ---- signing in ---- */
struct credentials {
    enum backend_protocol protocol;
    enum backend_security security;
    const char *host;
    uint16_t port;
    const char *username;
    struct secret password, access_token; /* one of the two; the caller wipes its copy */
    const char *remote_address;           /* of the HTTP client, for throttling; may be NULL */
};

#define SESSION_TOKEN_BYTES 48 /* "ps_" + base64url of 32 bytes and NUL */

/* A session with one seat that is not verified yet: submit a task with NEED_CONNECTION to its seat,
 * and show the token only when that comes back without a fault; else session_end it. Checks strings
 * and policy (ERR_INVALID, ERR_HOST_NOT_ALLOWED), throttling (ERR_THROTTLED), limits (ERR_BUSY),
 * without any traffic. token NULL: a session that no token finds (accounts:verify). */
enum err session_open(struct sessions *sessions, const struct credentials *credentials,
                      struct fault *fault, char token[SESSION_TOKEN_BYTES], struct session **out);
/* The implicit session of HTTP Basic: found by a keyed hash of the whole credentials, or opened.
 * Ends by itself when the mail server refuses them. */
enum err session_open_basic(struct sessions *sessions, const struct credentials *credentials,
                            struct fault *fault, struct session **out);
/* Adds a seat, not verified yet; the same account twice is ERR_ALREADY_EXISTS. When its task fails:
 * session_remove_seat. */
enum err session_add_seat(struct session *session, const struct credentials *credentials,
                          struct fault *fault, struct seat **out);
void session_remove_seat(struct session *session, struct seat *seat);
/* By token. ERR_UNAUTHORIZED when there is none or it has ended. Counts as use. */
enum err session_find(struct sessions *sessions, const char *token, struct fault *fault,
                      struct session **out);
void session_give(struct session **session);
/* The token is void at once; running work is cancelled; connections are logged out. */
void session_end(struct session *session);

int64_t session_expires_s(const struct session *session); /* Unix seconds */
bool session_is_basic(const struct session *session);
/* Verified or not; valid as long as the session is referenced. */
uint32_t session_seats(struct session *session, struct arena *arena, struct seat ***out);
/* "me" is the first. ERR_NOT_FOUND also for an account that is not this session's. */
enum err session_seat(struct session *session, const char *account, struct fault *fault,
                      struct seat **out);

/* ---- a seat ---- */
enum account_state { ACCOUNT_CONNECTING, ACCOUNT_OK, ACCOUNT_LOGIN_FAILED, ACCOUNT_UNREACHABLE };
struct account_facts {
    const char *id;
    enum backend_protocol protocol;
    enum backend_security security;
    const char *host, *username;
    uint16_t port;
    enum account_state state;
    struct fault last_error;  /* code OK: none */
    struct backend_info info; /* once verified */
};
const char *seat_account_id(const struct seat *seat);
void seat_facts(struct seat *seat, struct arena *arena, struct account_facts *out);
/* OK when the mirror may be shown: verified and not refused since. Else the fault to give. */
enum err seat_check(struct seat *seat, struct fault *fault);
struct mirror *seat_mirror(struct seat *seat); /* borrowed */

struct sessions_stats {
    uint32_t sessions, seats, threads, threads_busy, queued;
    uint32_t connections_idle, connections_busy;
};
void sessions_stats(struct sessions *sessions, struct sessions_stats *out);

#endif

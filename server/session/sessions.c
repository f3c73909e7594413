/* sessions.c - the table of sessions: finding, ending, and the life of the whole layer. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct sessions *sessions_new(const struct sessions_config *config)
{
    struct sessions *sessions = xalloc(sizeof *sessions);
    pthread_condattr_t attributes;
    sessions->config = *config;
    crypto_random(&sessions->basic_key, sizeof sessions->basic_key);
    pthread_mutex_init(&sessions->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sessions->work, &attributes);
    pthread_cond_init(&sessions->quiet, &attributes);
    pthread_condattr_destroy(&attributes);
    keeper_start(sessions);
    return sessions;
}

/* ---- references and ends ---- */

void session_free_locked(struct session *session)
{
    struct seat *seat, *next;
    DL_FOREACH_SAFE (session->seats, seat, next) {
        seat_free_locked(seat);
    }
    free(session);
}

void session_drop_locked(struct session *session)
{
    if (--session->references == 0)
        session_free_locked(session);
}

void session_give(struct session **session_at)
{
    struct session *session = *session_at;
    *session_at = NULL;
    if (!session)
        return;
    struct sessions *sessions = session->sessions;
    sessions_lock(sessions);
    session->used_ms = clock_now_ms();
    session_drop_locked(session);
    sessions_unlock(sessions);
}

void session_end_locked(struct session *session)
{
    static const struct fault ended = {.code = ERR_UNAUTHORIZED, .detail = "the session has ended"};
    struct sessions *sessions = session->sessions;
    struct seat *seat;
    if (session->ended)
        return;
    session->ended = true;
    if (session->basic)
        HASH_DEL(sessions->by_basic, session);
    else
        HASH_DEL(sessions->by_token, session);
    sessions->session_count--;
    DL_FOREACH (session->seats, seat) {
        seat_shut_locked(seat, &ended);
    }
    session_drop_locked(session);
}

void session_end(struct session *session)
{
    struct sessions *sessions = session->sessions;
    sessions_lock(sessions);
    session_end_locked(session);
    sessions_unlock(sessions);
}

/* ---- finding ---- */

enum err session_find(struct sessions *sessions, const char *token, struct fault *fault,
                      struct session **out)
{
    uint8_t key[CRYPTO_HASH_BYTES];
    struct session *session;
    crypto_hash(token, strlen(token), key);
    sessions_lock(sessions);
    HASH_FIND(hh, sessions->by_token, key, sizeof key, session);
    if (session) {
        session->references++;
        session->used_ms = clock_now_ms();
    }
    sessions_unlock(sessions);
    *out = session;
    return session ? OK : fault_set(fault, ERR_UNAUTHORIZED, "no such session, or it has ended");
}

int64_t session_expires_s(const struct session *session)
{
    sessions_lock(session->sessions);
    int64_t idle_ms = clock_now_ms() - session->used_ms;
    sessions_unlock(session->sessions);
    return clock_unix_s() + (session->sessions->config.session_idle_ms - idle_ms) / 1000;
}

bool session_is_basic(const struct session *session)
{
    return session->basic;
}

uint32_t session_seats(struct session *session, struct arena *arena, struct seat ***out)
{
    struct seat *seat;
    uint32_t count = 0;
    sessions_lock(session->sessions);
    *out = arena_array(arena, struct seat *, session->seat_count);
    DL_FOREACH (session->seats, seat) {
        if (!seat->removed)
            (*out)[count++] = seat;
    }
    sessions_unlock(session->sessions);
    return count;
}

enum err session_seat(struct session *session, const char *account, struct fault *fault,
                      struct seat **out)
{
    struct seat *seat;
    bool me = strcmp(account, "me") == 0;
    *out = NULL;
    sessions_lock(session->sessions);
    DL_FOREACH (session->seats, seat) {
        if (!seat->removed && (me || strcmp(seat->account->id, account) == 0)) {
            *out = seat;
            break;
        }
    }
    sessions_unlock(session->sessions);
    return *out ? OK : fault_set(fault, ERR_NOT_FOUND, "no such account");
}

void sessions_stats(struct sessions *sessions, struct sessions_stats *out)
{
    struct account *account, *next;
    uint32_t connections = 0;
    sessions_lock(sessions);
    HASH_ITER (hh, sessions->accounts, account, next) {
        connections += account->connections;
    }
    *out = (struct sessions_stats){
        .sessions = sessions->session_count,
        .seats = sessions->seat_count,
        .threads = sessions->workers,
        .threads_busy = sessions->workers_busy,
        .queued = sessions->queued,
        .connections_busy = sessions->leased,
        .connections_idle = connections - sessions->leased,
    };
    sessions_unlock(sessions);
}

/* ---- stopping ---- */

void sessions_quiesce(struct sessions *sessions)
{
    sessions_lock(sessions);
    sessions->quiesced = true;
    sessions_unlock(sessions);
}

static void end_all_locked(struct sessions *sessions)
{
    struct session *session, *next;
    HASH_ITER (hh, sessions->by_token, session, next) {
        session_end_locked(session);
    }
    HASH_ITER (hh, sessions->by_basic, session, next) {
        session_end_locked(session);
    }
}

void sessions_stop(struct sessions **sessions_at, int64_t deadline_ms)
{
    struct sessions *sessions = *sessions_at;
    *sessions_at = NULL;
    sessions_quiesce(sessions);
    workers_stop(sessions, deadline_ms);
    sessions_lock(sessions);
    end_all_locked(sessions);
    throttle_sweep_locked(sessions, 0, true);
    sessions_unlock(sessions);
    keeper_stop(sessions);
    pool_close_buried(sessions);
    struct host *host, *next;
    HASH_ITER (hh, sessions->hosts, host, next) {
        HASH_DEL(sessions->hosts, host);
        free(host->key);
        free(host);
    }
    pthread_cond_destroy(&sessions->work);
    pthread_cond_destroy(&sessions->quiet);
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

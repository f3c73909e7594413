/* sessions.c - the table of sessions: opening, finding, ending. */
#include "internal.h"

#include "log.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const protocol_names[PROTOCOL_COUNT] = {
    [PROTOCOL_IMAP] = "imap",
    [PROTOCOL_POP3] = "pop3",
};

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

static void session_free_locked(struct session *session)
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

/* ---- opening ---- */

static enum err credentials_check(struct sessions *sessions, const struct credentials *credentials,
                                  struct fault *fault)
{
    bool by_token = credentials->access_token.data != NULL;
    const struct secret *secret = by_token ? &credentials->access_token : &credentials->password;
    const char *pointer = by_token ? "/accessToken" : "/password";
    enum err err = backend_check_username(credentials->username, "/username", fault);
    if (!err)
        err = backend_check_secret(secret, pointer, fault);
    if (err)
        return err;
    if (!sessions->config.ops[credentials->protocol])
        return fault_at(fault, ERR_UNSUPPORTED, "/protocol", "%s is not offered here yet",
                        protocol_names[credentials->protocol]);
    return backend_check_host(sessions->config.world, credentials->host, credentials->port, fault);
}

static enum err room_check_locked(struct sessions *sessions, struct fault *fault)
{
    if (sessions->quiesced)
        return fault_set(fault, ERR_SHUTTING_DOWN, "the service is shutting down");
    if (sessions->session_count >= sessions->config.sessions_max)
        return fault_set(fault, ERR_BUSY, "too many sessions");
    return OK;
}

/* Taken before the lock: opening a mirror may touch the disk. */
static enum err mirror_of(struct sessions *sessions, const struct credentials *credentials,
                          char id[ACCOUNT_ID_BYTES], struct fault *fault, struct mirror **out)
{
    store_account_id(sessions->config.store, protocol_names[credentials->protocol],
                     credentials->host, credentials->port, credentials->username, id);
    return mirror_take(sessions->config.store, id, fault, out);
}

static enum err session_new_locked(struct sessions *sessions, const struct credentials *credentials,
                                   const char *id, struct mirror **mirror, struct fault *fault,
                                   struct session **out)
{
    struct seat *seat;
    enum err err = room_check_locked(sessions, fault);
    if (err)
        return err;
    struct session *session = xalloc(sizeof *session);
    session->sessions = sessions;
    session->references = 2; /* the table's and the caller's */
    session->used_ms = clock_now_ms();
    err = seat_new_locked(session, credentials, id, mirror, fault, &seat);
    if (err) {
        session_free_locked(session);
        return err;
    }
    sessions->session_count++;
    *out = session;
    return OK;
}

/* 256 random bits; only their hash is kept. */
static void token_make(char token[SESSION_TOKEN_BYTES], uint8_t key[CRYPTO_HASH_BYTES])
{
    uint8_t random[32];
    crypto_random(random, sizeof random);
    memcpy(token, "ps_", 3);
    text_base64url(random, sizeof random, token + 3);
    crypto_hash(token, strlen(token), key);
}

enum err session_open(struct sessions *sessions, const struct credentials *credentials,
                      struct fault *fault, char token[SESSION_TOKEN_BYTES], struct session **out)
{
    char id[ACCOUNT_ID_BYTES], unseen[SESSION_TOKEN_BYTES];
    struct mirror *mirror = NULL;
    enum err err = credentials_check(sessions, credentials, fault);
    if (!err)
        err = mirror_of(sessions, credentials, id, fault, &mirror);
    if (err)
        return err;
    sessions_lock(sessions);
    err = session_new_locked(sessions, credentials, id, &mirror, fault, out);
    if (!err) {
        token_make(token ? token : unseen, (*out)->key);
        HASH_ADD(hh, sessions->by_token, key, sizeof(*out)->key, *out);
    }
    sessions_unlock(sessions);
    mirror_give(&mirror);
    return err;
}

/* Every field with its length, so that no two sets of credentials look alike. */
static void credentials_hash(struct sessions *sessions, const struct credentials *credentials,
                             uint8_t out[CRYPTO_HASH_BYTES])
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_printf(&text, "%d %d %u %zu:%s %zu:%s %zu:", (int)credentials->protocol,
               (int)credentials->security, credentials->port, strlen(credentials->host),
               credentials->host, strlen(credentials->username), credentials->username,
               credentials->password.length);
    buf_append(&text, credentials->password.data, credentials->password.length);
    crypto_hmac(&sessions->basic_key, text.data, text.length, out);
    buf_wipe(&text);
}

static struct session *basic_find_locked(struct sessions *sessions, const uint8_t *key)
{
    struct session *session;
    HASH_FIND(hh, sessions->by_basic, key, CRYPTO_HASH_BYTES, session);
    if (session) {
        session->references++;
        session->used_ms = clock_now_ms();
    }
    return session;
}

enum err session_open_basic(struct sessions *sessions, const struct credentials *credentials,
                            struct fault *fault, struct session **out)
{
    uint8_t key[CRYPTO_HASH_BYTES];
    char id[ACCOUNT_ID_BYTES];
    struct mirror *mirror = NULL;
    enum err err = credentials_check(sessions, credentials, fault);
    if (err)
        return err;
    credentials_hash(sessions, credentials, key);
    sessions_lock(sessions);
    *out = basic_find_locked(sessions, key);
    sessions_unlock(sessions);
    if (*out)
        return OK;
    err = mirror_of(sessions, credentials, id, fault, &mirror);
    if (err)
        return err;
    sessions_lock(sessions);
    *out = basic_find_locked(sessions, key); /* another request may have been quicker */
    if (!*out) {
        err = session_new_locked(sessions, credentials, id, &mirror, fault, out);
        if (!err) {
            (*out)->basic = true;
            memcpy((*out)->key, key, sizeof key);
            HASH_ADD(hh, sessions->by_basic, key, sizeof(*out)->key, *out);
        }
    }
    sessions_unlock(sessions);
    mirror_give(&mirror);
    return err;
}

enum err session_add_seat(struct session *session, const struct credentials *credentials,
                          struct fault *fault, struct seat **out)
{
    struct sessions *sessions = session->sessions;
    char id[ACCOUNT_ID_BYTES];
    struct mirror *mirror = NULL;
    struct seat *seat;
    enum err err = credentials_check(sessions, credentials, fault);
    if (!err)
        err = mirror_of(sessions, credentials, id, fault, &mirror);
    if (err)
        return err;
    sessions_lock(sessions);
    DL_FOREACH (session->seats, seat) {
        if (!seat->removed && strcmp(seat->account->id, id) == 0)
            err = fault_set(fault, ERR_ALREADY_EXISTS, "this session has that account already");
    }
    if (!err && session->ended)
        err = fault_set(fault, ERR_UNAUTHORIZED, "the session has ended");
    if (!err && session->seat_count >= SEATS_MAX)
        err = fault_set(fault, ERR_BUSY, "a session holds at most %d accounts", SEATS_MAX);
    if (!err)
        err = seat_new_locked(session, credentials, id, &mirror, fault, out);
    sessions_unlock(sessions);
    mirror_give(&mirror);
    return err;
}

/* The seat itself stays until the session is freed: somebody may still point to it. */
void session_remove_seat(struct session *session, struct seat *seat)
{
    static const struct fault removed = {.code = ERR_NOT_FOUND,
                                         .detail = "the account was removed"};
    sessions_lock(session->sessions);
    seat->removed = true;
    seat_shut_locked(seat, &removed);
    sessions_unlock(session->sessions);
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

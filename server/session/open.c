/* open.c - from credentials to a session, without a byte of traffic: the first lease signs in. */
#include "internal.h"

#include "text.h"

#include <string.h>

static enum err credentials_check(struct sessions *sessions, const struct credentials *credentials,
                                  struct fault *fault)
{
    bool by_token = credentials->access_token.data != NULL;
    enum err err = backend_check_username(credentials->username, "/username", fault);
    if (!err)
        err = by_token ? backend_check_token(&credentials->access_token, "/accessToken", fault)
                       : backend_check_password(&credentials->password, "/password", fault);
    if (err)
        return err;
    if (!sessions->config.ops[credentials->protocol])
        return fault_at(fault, ERR_UNSUPPORTED, "/protocol", "%s is not offered here yet",
                        backend_protocol_name(credentials->protocol));
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
    store_account_id(sessions->config.store, backend_protocol_name(credentials->protocol),
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
    buf_init_secret(&text, 1 << 20);
    buf_printf(&text, "%d %d %u %zu:%s %zu:%s %zu:", (int)credentials->protocol,
               (int)credentials->security, credentials->port, strlen(credentials->host),
               credentials->host, strlen(credentials->username), credentials->username,
               credentials->password.length);
    buf_append(&text, credentials->password.data, credentials->password.length);
    crypto_hmac(&sessions->basic_key, text.data, text.length, out);
    buf_clear(&text);
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
    if (!err && session->seat_count >= SESSION_SEATS_MOST)
        err = fault_set(fault, ERR_BUSY, "a session holds at most %d accounts", SESSION_SEATS_MOST);
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

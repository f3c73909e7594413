/* seat.c - one account as one caller sees it. */
#include "internal.h"

#include "log.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct client *client_get_locked(struct sessions *sessions, const char *address)
{
    struct client *client;
    HASH_FIND_STR(sessions->clients, address, client);
    if (!client) {
        client = xalloc(sizeof *client);
        client->address = xstrdup(address);
        HASH_ADD_KEYPTR(hh, sessions->clients, client->address, strlen(client->address), client);
    }
    client->seats++;
    return client;
}

static void client_drop_locked(struct sessions *sessions, struct client *client)
{
    if (!client || --client->seats > 0)
        return;
    HASH_DEL(sessions->clients, client);
    free(client->address);
    free(client);
}

enum err seat_new_locked(struct session *session, const struct credentials *credentials,
                         const char *account_id, struct mirror **mirror, struct fault *fault,
                         struct seat **out)
{
    struct sessions *sessions = session->sessions;
    struct seat *seat = xalloc(sizeof *seat);
    enum err err = OK;
    seat->session = session;
    seat->account = account_get_locked(sessions, credentials, account_id, mirror);
    seat->protocol = credentials->protocol;
    seat->security = credentials->security;
    seat->host = xstrdup(credentials->host);
    seat->port = credentials->port;
    seat->username = xstrdup(credentials->username);
    secret_copy(&seat->password, &credentials->password);
    secret_copy(&seat->access_token, &credentials->access_token);
    seat->limits[POOL_INTERACTIVE] = sessions->config.interactive_connections;
    seat->limits[POOL_BULK] = sessions->config.bulk_connections;
    arena_init(&seat->info_arena);
    if (credentials->remote_address) {
        seat->client = client_get_locked(sessions, credentials->remote_address);
        size_t size = strlen(credentials->remote_address) + 1 + ACCOUNT_ID_BYTES;
        seat->throttle_key = xalloc(size);
        snprintf(seat->throttle_key, size, "%s %s", credentials->remote_address, account_id);
        err = throttle_check_locked(sessions, seat->throttle_key, fault);
    }
    DL_APPEND(session->seats, seat);
    DL_APPEND2(sessions->seats, seat, all_prev, all_next);
    session->seat_count++;
    sessions->seat_count++;
    if (err)
        seat_free_locked(seat);
    else
        *out = seat;
    return err;
}

void seat_free_locked(struct seat *seat)
{
    struct sessions *sessions = seat_sessions(seat);
    DL_DELETE(seat->session->seats, seat);
    DL_DELETE2(sessions->seats, seat, all_prev, all_next);
    seat->session->seat_count--;
    sessions->seat_count--;
    fresh_free_all_locked(seat);
    account_drop_locked(sessions, seat->account);
    arena_clear(&seat->info_arena);
    secret_wipe(&seat->password);
    secret_wipe(&seat->access_token);
    free(seat->throttle_key);
    client_drop_locked(sessions, seat->client);
    free(seat->host);
    free(seat->username);
    free(seat);
}

void seat_accepted_locked(struct seat *seat, struct backend *backend)
{
    seat->state = ACCOUNT_OK;
    fault_clear(&seat->last_error);
    if (seat->verified)
        return;
    seat->verified = true;
    backend_info_get(backend, &seat->info_arena, &seat->info);
}

void seat_refused_locked(struct seat *seat, const struct fault *fault)
{
    struct sessions *sessions = seat_sessions(seat);
    seat->login_failed = true;
    seat->state = ACCOUNT_LOGIN_FAILED;
    seat->last_error = *fault;
    throttle_failed_locked(sessions, seat->throttle_key);
    log_event(LOG_INFO, "login.refused", LOG_TEXT("account", seat->account->id),
              LOG_TEXT("host", seat->account->host->key), LOG_END);
    seat_shut_locked(seat, fault);
    if (seat->session->basic)
        session_end_locked(seat->session); /* the next try with these credentials asks again */
}

void seat_shut_locked(struct seat *seat, const struct fault *fault)
{
    struct connection *connection, *next_connection;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        while (seat->queues[lane])
            pool_fail_locked(seat->queues[lane], fault->code, fault->detail);
    DL_FOREACH_SAFE (seat->connections, connection, next_connection) {
        if (connection->task)
            worker_cancel_locked(connection);
        else
            pool_bury_locked(connection);
    }
}

const char *seat_account_id(const struct seat *seat)
{
    return seat->account->id;
}

struct mirror *seat_mirror(struct seat *seat)
{
    return seat->account->mirror;
}

void seat_facts(struct seat *seat, struct arena *arena, struct account_facts *out)
{
    struct sessions *sessions = seat_sessions(seat);
    sessions_lock(sessions);
    *out = (struct account_facts){
        .id = arena_strdup(arena, seat->account->id),
        .protocol = seat->protocol,
        .security = seat->security,
        .host = arena_strdup(arena, seat->host),
        .username = arena_strdup(arena, seat->username),
        .port = seat->port,
        .state = seat->state,
        .last_error = seat->last_error,
        .info = {.caps = seat->info.caps,
                 .capability_text = arena_strdup(arena, seat->info.capability_text),
                 .server_name = arena_strdup(arena, seat->info.server_name)},
    };
    sessions_unlock(sessions);
}

enum err seat_check(struct seat *seat, struct fault *fault)
{
    struct sessions *sessions = seat_sessions(seat);
    enum err err = OK;
    sessions_lock(sessions);
    if (seat->login_failed) {
        fault_clear(fault);
        *fault = seat->last_error;
        err = fault->code;
    } else if (!seat->verified || seat->removed || seat->session->ended) {
        err = fault_set(fault, ERR_UNAUTHORIZED, "not signed in to this account yet");
    }
    sessions_unlock(sessions);
    return err;
}

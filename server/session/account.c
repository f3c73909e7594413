/* account.c - what all seats of one account share: the mirror, and a gate before each folder.
 *
 * The gate makes writers of one folder's mirror go one at a time, across sessions; it has a lock of
 * its own, so that waiting for it never holds up the scheduler. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct account *account_new(struct host *host, const char *id, struct mirror *mirror)
{
    struct account *account = xalloc(sizeof *account);
    pthread_condattr_t attributes;
    memcpy(account->id, id, sizeof account->id);
    account->mirror = mirror;
    account->host = host;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&account->gate_opened, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&account->gates_lock, NULL);
    return account;
}

struct account *account_get_locked(struct sessions *sessions, const struct credentials *credentials,
                                   const char *id, struct mirror **mirror)
{
    struct account *account;
    HASH_FIND_STR(sessions->accounts, id, account);
    if (!account) {
        account = account_new(host_get_locked(sessions, credentials->host, credentials->port), id,
                              *mirror);
        *mirror = NULL;
        HASH_ADD_STR(sessions->accounts, id, account);
    }
    account->seats++;
    return account;
}

void account_drop_locked(struct sessions *sessions, struct account *account)
{
    if (--account->seats)
        return;
    HASH_DEL(sessions->accounts, account);
    host_drop_locked(sessions, account->host);
    account->next_spent = sessions->spent;
    sessions->spent = account;
    keeper_wake(sessions);
}

void account_free(struct account *account)
{
    struct gate *gate, *next;
    HASH_ITER (hh, account->gates, gate, next) {
        HASH_DEL(account->gates, gate);
        free(gate);
    }
    mirror_give(&account->mirror);
    pthread_cond_destroy(&account->gate_opened);
    pthread_mutex_destroy(&account->gates_lock);
    free(account);
}

/* gates_lock held. */
static struct gate *gate_of(struct account *account, int64_t folder)
{
    struct gate *gate;
    HASH_FIND(hh, account->gates, &folder, sizeof folder, gate);
    if (!gate) {
        gate = xalloc(sizeof *gate);
        gate->folder = folder;
        HASH_ADD(hh, account->gates, folder, sizeof folder, gate);
    }
    return gate;
}

enum err account_enter(struct account *account, int64_t folder, struct call *call)
{
    struct timespec until;
    int64_t left_ms = clock_left_ms(call->deadline_ms, 3600 * 1000);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += left_ms / 1000 + (until.tv_nsec + left_ms % 1000 * 1000000) / 1000000000;
    until.tv_nsec = (until.tv_nsec + left_ms % 1000 * 1000000) % 1000000000;
    pthread_mutex_lock(&account->gates_lock);
    struct gate *gate = gate_of(account, folder);
    int waited = 0;
    while (gate->busy && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&account->gate_opened, &account->gates_lock, &until);
    bool entered = !gate->busy;
    if (entered)
        gate->busy = true;
    pthread_mutex_unlock(&account->gates_lock);
    if (!entered)
        return fault_set(&call->fault, ERR_BUSY, "another change to this folder takes too long");
    return OK;
}

void account_leave(struct account *account, int64_t folder, bool told_something)
{
    pthread_mutex_lock(&account->gates_lock);
    struct gate *gate = gate_of(account, folder);
    gate->busy = false;
    if (told_something)
        gate->epoch++;
    pthread_cond_broadcast(&account->gate_opened);
    pthread_mutex_unlock(&account->gates_lock);
}

uint64_t account_epoch(struct account *account, int64_t folder)
{
    pthread_mutex_lock(&account->gates_lock);
    uint64_t epoch = gate_of(account, folder)->epoch;
    pthread_mutex_unlock(&account->gates_lock);
    return epoch;
}

bool account_claim_backfill(struct account *account, int64_t folder)
{
    pthread_mutex_lock(&account->gates_lock);
    struct gate *gate = gate_of(account, folder);
    bool mine = !gate->backfilling && clock_now_ms() >= gate->backfill_after_ms;
    if (mine)
        gate->backfilling = true;
    pthread_mutex_unlock(&account->gates_lock);
    return mine;
}

void account_end_backfill(struct account *account, int64_t folder, int64_t again_after_ms)
{
    pthread_mutex_lock(&account->gates_lock);
    struct gate *gate = gate_of(account, folder);
    gate->backfilling = false;
    gate->backfill_after_ms = again_after_ms;
    pthread_mutex_unlock(&account->gates_lock);
}

/* throttle.c - sign-in failures counted by who tried what from where.
 *
 * Keyed by client address and account together: guessing at one mailbox is slowed for the one who
 * guesses, and its owner elsewhere is not locked out. Rows are few and swept by the keeper. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 10000

static struct throttle_row *throttle_find(struct sessions *sessions, const char *key)
{
    struct throttle_row *row;
    HASH_FIND_STR(sessions->throttle, key, row);
    if (row && clock_now_ms() - row->since_ms >= sessions->config.signin_window_ms)
        row->failures = 0;
    return row;
}

enum err throttle_check_locked(struct sessions *sessions, const char *key, struct fault *fault)
{
    struct throttle_row *row = key ? throttle_find(sessions, key) : NULL;
    if (!row || row->failures < sessions->config.signin_failures_max)
        return OK;
    int64_t left_ms = row->since_ms + sessions->config.signin_window_ms - clock_now_ms();
    fault->retry_after_s = (int)(left_ms / 1000) + 1;
    return fault_set(fault, ERR_THROTTLED, "too many failed sign-ins; try again later");
}

static void row_free(struct sessions *sessions, struct throttle_row *row)
{
    HASH_DEL(sessions->throttle, row);
    free(row->key);
    free(row);
}

/* One gives way, the oldest: a flood of failures must not make all the others forgotten. */
static void make_room(struct sessions *sessions)
{
    struct throttle_row *oldest = sessions->throttle;
    if (HASH_COUNT(sessions->throttle) < ROWS_MAX)
        return;
    for (struct throttle_row *row = oldest; row; row = row->hh.next)
        if (row->since_ms < oldest->since_ms)
            oldest = row;
    row_free(sessions, oldest);
}

static struct throttle_row *throttle_get(struct sessions *sessions, const char *key)
{
    struct throttle_row *row = throttle_find(sessions, key);
    if (row)
        return row;
    make_room(sessions);
    row = xalloc(sizeof *row);
    row->key = xstrdup(key);
    HASH_ADD_KEYPTR(hh, sessions->throttle, row->key, strlen(row->key), row);
    return row;
}

/* Tries under way count like failures, or many guesses at once would all pass before the first
 * fails. */
enum err throttle_enter_locked(struct sessions *sessions, const char *key, struct fault *fault)
{
    enum err err = throttle_check_locked(sessions, key, fault);
    if (err || !key)
        return err;
    struct throttle_row *row = throttle_get(sessions, key);
    if (row->failures + row->trying >= sessions->config.signin_failures_max) {
        fault->retry_after_s = 1;
        return fault_set(fault, ERR_THROTTLED, "too many sign-ins to one account at a time");
    }
    row->trying++;
    return OK;
}

void throttle_leave_locked(struct sessions *sessions, const char *key)
{
    struct throttle_row *row = key ? throttle_find(sessions, key) : NULL;
    if (!row || row->trying == 0)
        return;
    if (--row->trying == 0 && row->failures == 0)
        row_free(sessions, row);
}

void throttle_failed_locked(struct sessions *sessions, const char *key)
{
    if (!key)
        return;
    struct throttle_row *row = throttle_get(sessions, key);
    if (row->failures++ == 0)
        row->since_ms = clock_now_ms();
}

void throttle_sweep_locked(struct sessions *sessions, int64_t now_ms, bool all)
{
    struct throttle_row *row, *next;
    HASH_ITER (hh, sessions->throttle, row, next) {
        if (!all && (row->trying || now_ms - row->since_ms < sessions->config.signin_window_ms))
            continue;
        row_free(sessions, row);
    }
}

/* host.c - what is known of a mail host: how many connections it bears, and whether it answers.
 *
 * A host that did not answer costs the first request its deadline; those behind it fail at once
 * until host_down_ms have passed. */
#include "internal.h"

#include "log.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_RECOVERS_MS 60000

struct host *host_get_locked(struct sessions *sessions, const char *name, uint16_t port)
{
    struct host *host;
    char key[300];
    snprintf(key, sizeof key, "%s:%u", name, port);
    text_lower(key);
    HASH_FIND_STR(sessions->hosts, key, host);
    if (!host) {
        host = xalloc(sizeof *host);
        host->key = xstrdup(key);
        host->limit = sessions->config.host_connections_max;
        HASH_ADD_KEYPTR(hh, sessions->hosts, host->key, strlen(host->key), host);
    }
    host->accounts++;
    return host;
}

void host_drop_locked(struct sessions *sessions, struct host *host)
{
    /* A host that is down, or lowered its limit, is remembered a little; the keeper sweeps it. */
    bool remembered =
        host->down_until_ms > clock_now_ms() || host->limit < sessions->config.host_connections_max;
    if (host->accounts > 0 && --host->accounts > 0)
        return;
    if (remembered && !sessions->stopping)
        return;
    HASH_DEL(sessions->hosts, host);
    free(host->key);
    free(host);
}

bool host_is_down_locked(const struct host *host, struct fault *fault)
{
    int64_t left_ms = host->down_until_ms - clock_now_ms();
    if (left_ms <= 0)
        return false;
    fault_clear(fault);
    fault_set(fault, host->down_fault.code, "%s (not tried again for a moment)",
              host->down_fault.detail);
    fault->retry_after_s = (int)(left_ms / 1000) + 1;
    return true;
}

void host_failed_locked(struct sessions *sessions, struct host *host, const struct fault *fault)
{
    host->down_until_ms = clock_now_ms() + sessions->config.host_down_ms;
    host->down_fault = *fault;
    log_event(LOG_WARN, "host.down", LOG_TEXT("host", host->key),
              LOG_TEXT("error", err_name(fault->code)), LOG_TEXT("detail", fault->detail), LOG_END);
}

void host_answered_locked(struct host *host)
{
    host->down_until_ms = 0;
}

void host_said_too_many_locked(struct host *host)
{
    host->limit = host->connections > 1 ? host->connections - 1 : 1;
    host->limit_raised_ms = clock_now_ms();
    log_event(LOG_WARN, "host.limit", LOG_TEXT("host", host->key), LOG_INT("limit", host->limit),
              LOG_END);
}

void host_recover_locked(struct sessions *sessions, struct host *host, int64_t now_ms)
{
    if (host->limit < sessions->config.host_connections_max &&
        now_ms - host->limit_raised_ms >= LIMIT_RECOVERS_MS) {
        host->limit++;
        host->limit_raised_ms = now_ms;
    }
    if (host->accounts == 0)
        host_drop_locked(sessions, host);
}

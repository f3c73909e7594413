/* resolve.c - a list of lookups under one mutex, and the helper threads that work it off.
 *
 * A lookup stays in the list until it is done; `waiting` counts the callers who still want it. It
 * is freed by the last of those, or by its thread when all have left.
 */
#include "resolve.h"

#include "allow.h"
#include "arena.h"
#include "clock.h"
#include "wait.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREAD_STACK_BYTES (256 * 1024)
#define THREAD_IDLE_MS     10000

struct lookup {
    struct lookup *next;
    char host[ALLOW_HOST_BYTES];
    unsigned waiting;
    bool running;
    bool done;
    int status; /* getaddrinfo's */
    struct address_list found;
    pthread_cond_t finished;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct lookup *lookups; /* owned; oldest first; none that is done */
    unsigned threads;
    unsigned idle;
} resolver = {.mutex = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

static void wait_on(pthread_cond_t *condition, int milliseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += (milliseconds % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_cond_clockwait(condition, &resolver.mutex, CLOCK_MONOTONIC, &until);
}

/* ---- the helper threads ---- */

static void keep_family(struct address_list *list, const struct addrinfo *found, int family,
                        unsigned slot)
{
    for (; found && slot < RESOLVE_ADDRESSES_MAX; found = found->ai_next) {
        struct ip ip;
        if (found->ai_family != family || !ip_from_socket(found->ai_addr, &ip))
            continue;
        ip_to_socket(&ip, 0, &list->addresses[slot]);
        slot += 2;
    }
}

/* Even slots for the preferred family, odd ones for the other; the gaps are then closed. */
static void keep_addresses(struct address_list *list, const struct addrinfo *found)
{
    int first = found->ai_family;
    keep_family(list, found, first, 0);
    keep_family(list, found, first == AF_INET6 ? AF_INET : AF_INET6, 1);
    for (unsigned slot = 0; slot < RESOLVE_ADDRESSES_MAX; slot++)
        if (list->addresses[slot].any.sa_family != AF_UNSPEC)
            list->addresses[list->count++] = list->addresses[slot];
}

/* AI_ADDRCONFIG: no AAAA on a machine without IPv6, whose connects could only fail. */
static int look_up(const char *host, struct address_list *out)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_ADDRCONFIG,
    };
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host, NULL, &hints, &found);
    if (status != 0 || !found)
        return status ? status : EAI_NONAME;
    keep_addresses(out, found);
    freeaddrinfo(found);
    return out->count ? 0 : EAI_NONAME;
}

static void lookup_free(struct lookup *lookup)
{
    pthread_cond_destroy(&lookup->finished);
    free(lookup);
}

static void lookup_unlink(struct lookup *lookup)
{
    struct lookup **at = &resolver.lookups;
    while (*at != lookup)
        at = &(*at)->next;
    *at = lookup->next;
}

static struct lookup *take_work(void)
{
    for (struct lookup *lookup = resolver.lookups; lookup; lookup = lookup->next)
        if (!lookup->running)
            return lookup;
    return NULL;
}

static void run_lookup(struct lookup *lookup)
{
    struct address_list found = {0};
    lookup->running = true;
    pthread_mutex_unlock(&resolver.mutex);
    int status = look_up(lookup->host, &found);
    pthread_mutex_lock(&resolver.mutex);

    lookup->status = status;
    lookup->found = found;
    lookup->done = true;
    lookup_unlink(lookup);
    if (lookup->waiting == 0)
        lookup_free(lookup);
    else
        pthread_cond_broadcast(&lookup->finished);
}

static void *helper_main(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&resolver.mutex);
    for (;;) {
        struct lookup *lookup = take_work();
        if (lookup) {
            run_lookup(lookup);
            continue;
        }
        int64_t until_ms = clock_now_ms() + THREAD_IDLE_MS;
        resolver.idle++;
        while (!take_work() && clock_now_ms() < until_ms)
            wait_on(&resolver.work, clock_left_ms(until_ms, THREAD_IDLE_MS));
        resolver.idle--;
        if (!take_work())
            break;
    }
    resolver.threads--;
    pthread_mutex_unlock(&resolver.mutex);
    return NULL;
}

static bool start_helper(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    pthread_attr_setsigmask_np(&attributes, &all);
    bool started = pthread_create(&thread, &attributes, helper_main, NULL) == 0;
    pthread_attr_destroy(&attributes);
    if (started)
        resolver.threads++;
    return started;
}

/* ---- the callers ---- */

static unsigned count_lookups(bool only_queued)
{
    unsigned count = 0;
    for (const struct lookup *lookup = resolver.lookups; lookup; lookup = lookup->next)
        count += !only_queued || !lookup->running;
    return count;
}

/* NULL: too many already. */
static struct lookup *join_lookup(const char *host)
{
    struct lookup **at = &resolver.lookups;
    for (; *at; at = &(*at)->next)
        if (strcmp((*at)->host, host) == 0) {
            (*at)->waiting++;
            return *at;
        }
    if (count_lookups(false) >= RESOLVE_LOOKUPS_MAX)
        return NULL;
    struct lookup *lookup = xalloc(sizeof *lookup);
    memcpy(lookup->host, host, strlen(host) + 1);
    pthread_cond_init(&lookup->finished, NULL);
    lookup->waiting = 1;
    *at = lookup;
    if (count_lookups(true) > resolver.idle && resolver.threads < RESOLVE_THREADS &&
        !start_helper() && resolver.threads == 0) {
        lookup_unlink(lookup);
        lookup_free(lookup);
        return NULL;
    }
    pthread_cond_signal(&resolver.work);
    return lookup;
}

static void leave_lookup(struct lookup *lookup)
{
    if (--lookup->waiting > 0 || (lookup->running && !lookup->done))
        return;
    if (!lookup->done)
        lookup_unlink(lookup);
    lookup_free(lookup);
}

static enum waited await_lookup(struct lookup *lookup, int64_t deadline_ms,
                                const volatile bool *cancelled)
{
    while (!lookup->done) {
        enum waited waited = wait_check(cancelled, deadline_ms);
        if (waited != WAITED_READY)
            return waited;
        wait_on(&lookup->finished, clock_left_ms(deadline_ms, cancelled ? WAIT_FLAG_MS : 60000));
    }
    return WAITED_READY;
}

static enum err explain(struct fault *fault, const char *host, int status)
{
    switch (status) {
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
#ifdef EAI_ADDRFAMILY
    case EAI_ADDRFAMILY:
#endif
        return fault_set(fault, ERR_UNREACHABLE, "no address is known for mail host \"%.120s\"",
                         host);
    default:
        return fault_set(fault, ERR_UNREACHABLE,
                         "the address of mail host \"%.120s\" cannot be looked up now: %s", host,
                         gai_strerror(status));
    }
}

static enum err resolve_name(const char *host, int64_t deadline_ms, const volatile bool *cancelled,
                             struct fault *fault, struct address_list *out)
{
    int status = 0;
    pthread_mutex_lock(&resolver.mutex);
    struct lookup *lookup = join_lookup(host);
    if (!lookup) {
        pthread_mutex_unlock(&resolver.mutex);
        return fault_set(fault, ERR_BUSY, "too many mail hosts are being looked up at once");
    }
    enum waited waited = await_lookup(lookup, deadline_ms, cancelled);
    if (waited == WAITED_READY) {
        status = lookup->status;
        *out = lookup->found;
    }
    leave_lookup(lookup);
    pthread_mutex_unlock(&resolver.mutex);

    if (waited == WAITED_CANCELLED)
        return fault_set(fault, ERR_CANCELLED, "cancelled");
    if (waited == WAITED_TIMEOUT)
        return fault_set(fault, ERR_TIMEOUT, "looking up mail host \"%.120s\" took too long", host);
    return status ? explain(fault, host, status) : OK;
}

enum err resolve_host(const char *host, uint16_t port, int64_t deadline_ms,
                      const volatile bool *cancelled, struct fault *fault, struct address_list *out)
{
    char name[ALLOW_HOST_BYTES];
    struct ip ip;
    *out = (struct address_list){0};
    if (!allow_host_canonical(host, name))
        return fault_set(fault, ERR_UNREACHABLE, "not a mail host's name");
    if (ip_parse(name, &ip)) {
        ip_to_socket(&ip, port, &out->addresses[out->count++]);
        return OK;
    }
    enum err err = resolve_name(name, deadline_ms, cancelled, fault, out);
    if (err)
        return err;
    for (unsigned i = 0; i < out->count; i++) {
        if (out->addresses[i].any.sa_family == AF_INET)
            out->addresses[i].v4.sin_port = htons(port);
        else
            out->addresses[i].v6.sin6_port = htons(port);
    }
    return OK;
}

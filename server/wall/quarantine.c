/* quarantine.c - see quarantine.h. The table's order is that of the last crash, so that the oldest
 * stands in front. */
#include "quarantine.h"
#include "arena.h"
#include "text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define HOST_KEY_BYTES 280                    /* a name is at most 253 */
#define KEY_BYTES      (HOST_KEY_BYTES + 520) /* a username 512 */

enum key_kind { KEY_HOST, KEY_ADDRESS, KEY_ACCOUNT, KEY_ACCOUNT_BY_ADDRESS, KEY_KINDS };
#define KEYS_OF_HOSTS KEY_ACCOUNT /* those before it */

struct suspect {
    char key[KEY_BYTES];
    enum key_kind kind;
    uint32_t pauses, place;
    uint32_t accounts; /* of a host: how often another account than before crashed a worker */
    char *account;     /* owned; of a host: the last that did */
    uint64_t crash;    /* the last that was counted; 0: none */
    int64_t crashed_ms, paused_until_ms;
    UT_hash_handle hh;
};

struct quarantine {
    struct suspect *suspects;
    uint32_t hosts;
    uint32_t load[QUARANTINE_WORKERS_MAX]; /* suspects by place */
};

struct quarantine *quarantine_new(void)
{
    return xalloc(sizeof(struct quarantine));
}

static void suspect_release(struct quarantine *quarantine, struct suspect *suspect)
{
    HASH_DEL(quarantine->suspects, suspect);
    quarantine->load[suspect->place]--;
    quarantine->hosts -= suspect->kind == KEY_HOST;
    free(suspect->account);
    free(suspect);
}

void quarantine_free(struct quarantine **quarantine)
{
    if (!*quarantine)
        return;
    while ((*quarantine)->suspects)
        suspect_release(*quarantine, (*quarantine)->suspects);
    free(*quarantine);
    *quarantine = NULL;
}

static void release_the_old(struct quarantine *quarantine, int64_t now_ms)
{
    while (quarantine->suspects &&
           now_ms - quarantine->suspects->crashed_ms >= QUARANTINE_RELEASE_MS)
        suspect_release(quarantine, quarantine->suspects);
}

/* ---- keys ---- */
/* Of IPv6 the network: whoever has one address of a /64 has all of them. */
static unsigned address_key(const struct sockaddr_storage *peer, char out[HOST_KEY_BYTES])
{
    char text[INET6_ADDRSTRLEN] = "";
    unsigned port = 0;
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        port = ntohs(v4->sin_port);
    } else if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
        struct in6_addr network = v6->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&network) || IN6_IS_ADDR_LOOPBACK(&network);
        if (!mapped)
            memset(network.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &network, text, sizeof text);
        port = ntohs(v6->sin6_port);
    }
    snprintf(out, HOST_KEY_BYTES, "[%s]:%u", text, port);
    return port;
}

struct keys {
    char text[KEY_KINDS][KEY_BYTES];
};

static struct keys keys_of(const struct party *party)
{
    struct keys keys;
    char name[HOST_KEY_BYTES], address[HOST_KEY_BYTES];
    snprintf(name, sizeof name, "%.255s:%u", party->host, address_key(party->peer, address));
    text_lower(name);
    snprintf(keys.text[KEY_HOST], KEY_BYTES, "%s", name);
    snprintf(keys.text[KEY_ADDRESS], KEY_BYTES, "%s", address);
    snprintf(keys.text[KEY_ACCOUNT], KEY_BYTES, "%s %.512s", name, party->username);
    snprintf(keys.text[KEY_ACCOUNT_BY_ADDRESS], KEY_BYTES, "%s %.512s", address, party->username);
    return keys;
}

bool quarantine_is_same(const struct party *party, const struct party *other)
{
    struct keys keys = keys_of(party), others = keys_of(other);
    return strcmp(keys.text[KEY_HOST], others.text[KEY_HOST]) == 0 ||
           strcmp(keys.text[KEY_ADDRESS], others.text[KEY_ADDRESS]) == 0;
}

static struct suspect *suspect_find(struct quarantine *quarantine, const char *key)
{
    struct suspect *suspect;
    HASH_FIND_STR(quarantine->suspects, key, suspect);
    return suspect;
}

/* ---- blame ---- */
static uint32_t emptiest_place(const struct quarantine *quarantine)
{
    uint32_t best = 0;
    for (uint32_t place = 1; place < QUARANTINE_WORKERS_MAX; place++)
        if (quarantine->load[place] < quarantine->load[best])
            best = place;
    return best;
}

static struct suspect *suspect_add(struct quarantine *quarantine, const char *key,
                                   enum key_kind kind, uint32_t place)
{
    if (HASH_COUNT(quarantine->suspects) >= QUARANTINE_SUSPECTS_MAX)
        suspect_release(quarantine, quarantine->suspects);
    struct suspect *suspect = xalloc(sizeof *suspect);
    snprintf(suspect->key, sizeof suspect->key, "%s", key);
    suspect->kind = kind;
    suspect->place = place;
    quarantine->load[place]++;
    quarantine->hosts += kind == KEY_HOST;
    HASH_ADD_STR(quarantine->suspects, key, suspect);
    return suspect;
}

static int64_t next_pause_ms(struct suspect *suspect)
{
    uint32_t doublings = suspect->pauses++;
    int64_t pause_ms =
        doublings > 20 ? QUARANTINE_PAUSE_MS_MAX : (int64_t)QUARANTINE_PAUSE_MS << doublings;
    return pause_ms > QUARANTINE_PAUSE_MS_MAX ? QUARANTINE_PAUSE_MS_MAX : pause_ms;
}

/* An account that is tried again and again counts once. */
static bool is_many(struct suspect *suspect, const char *username)
{
    if (!suspect->account || strcmp(suspect->account, username) != 0)
        suspect->accounts++;
    free(suspect->account);
    suspect->account = xstrdup(username);
    return suspect->accounts > QUARANTINE_ACCOUNTS;
}

static bool suspect_count(struct quarantine *quarantine, struct suspect *suspect,
                          struct blame blame, int64_t now_ms)
{
    if (suspect->crash == blame.crash)
        return false;
    suspect->crash = blame.crash;
    suspect->crashed_ms = now_ms;
    HASH_DEL(quarantine->suspects, suspect); /* to the end of the order */
    HASH_ADD_STR(quarantine->suspects, key, suspect);
    return true;
}

static struct suspect *suspect_get(struct quarantine *quarantine, const struct keys *keys,
                                   enum key_kind kind, uint32_t place)
{
    struct suspect *suspect = suspect_find(quarantine, keys->text[kind]);
    return suspect ? suspect : suspect_add(quarantine, keys->text[kind], kind, place);
}

bool quarantine_blame(struct quarantine *quarantine, const struct party *party, struct blame blame,
                      int64_t now_ms)
{
    struct keys keys = keys_of(party);
    bool counted = false;
    release_the_old(quarantine, now_ms);
    const struct suspect *known = suspect_find(quarantine, keys.text[KEY_HOST]);
    if (!known)
        known = suspect_find(quarantine, keys.text[KEY_ADDRESS]);
    uint32_t place = known ? known->place : emptiest_place(quarantine);
    bool again = known && known->crash != blame.crash;
    for (enum key_kind kind = KEY_HOST; kind < KEY_KINDS; kind++) {
        struct suspect *suspect = suspect_get(quarantine, &keys, kind, place);
        if (!suspect_count(quarantine, suspect, blame, now_ms))
            continue;
        counted = true;
        bool pauses = kind < KEYS_OF_HOSTS
                          ? blame.alone && blame.only && is_many(suspect, party->username)
                          : blame.only && again;
        if (pauses)
            suspect->paused_until_ms = now_ms + next_pause_ms(suspect);
    }
    return counted;
}

struct quarantine_verdict quarantine_ask(struct quarantine *quarantine, const struct party *party,
                                         int64_t now_ms)
{
    struct quarantine_verdict verdict = {0};
    struct keys keys = keys_of(party);
    release_the_old(quarantine, now_ms);
    for (enum key_kind kind = KEY_HOST; kind < KEY_KINDS; kind++) {
        const struct suspect *suspect = suspect_find(quarantine, keys.text[kind]);
        if (!suspect)
            continue;
        if (!verdict.suspected)
            verdict.place = suspect->place;
        verdict.suspected = true;
        if (suspect->paused_until_ms - now_ms > verdict.pause_ms)
            verdict.pause_ms = suspect->paused_until_ms - now_ms;
    }
    return verdict;
}

uint32_t quarantine_hosts(struct quarantine *quarantine, int64_t now_ms)
{
    release_the_old(quarantine, now_ms);
    return quarantine->hosts;
}

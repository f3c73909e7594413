/* quarantine.h - which hosts were being served when a worker crashed, and what that means for them.
 *
 * A host is a name with a port; the address it led to is remembered beside it, so that another name
 * for the same server does not begin anew. Both are suspects: served in a quarantine worker, of
 * their own while there are enough of them; forgotten after an hour without a crash.
 *
 * From the second crash on there are pauses that double, for whoever is surely concerned. Anyone
 * may send a mail that crashes a worker, so it is the account that pauses; its host does when
 * accounts beyond QUARANTINE_ACCOUNTS have crashed processes that served nobody else. Else a
 * letter, or whoever crashes workers beside a large host, could have it left alone that others use.
 *
 * Time is given by the caller. Not safe between threads.
 */
#ifndef POSTERN_QUARANTINE_H
#define POSTERN_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define QUARANTINE_WORKERS_MAX  16u
#define QUARANTINE_SUSPECTS_MAX 4096u
#define QUARANTINE_ACCOUNTS     8
#define QUARANTINE_PAUSE_MS     1000
#define QUARANTINE_PAUSE_MS_MAX (5 * 60 * 1000)
#define QUARANTINE_RELEASE_MS   (60 * 60 * 1000)

struct quarantine;

struct quarantine *quarantine_new(void);
void quarantine_free(struct quarantine **quarantine);

struct party {
    const char *host, *username;
    const struct sockaddr_storage *peer;
};

struct blame {
    uint64_t crash; /* numbers the crashes: one counts once, however often the host was served */
    bool alone;     /* that process has served no other host */
    bool only;      /* it was serving no other account when it crashed */
};

/* It was being served when a worker crashed. Returns whether that was counted. */
bool quarantine_blame(struct quarantine *quarantine, const struct party *party, struct blame blame,
                      int64_t now_ms);

struct quarantine_verdict {
    bool suspected;
    uint32_t place;   /* below QUARANTINE_WORKERS_MAX */
    int64_t pause_ms; /* not to be served for so long */
};
struct quarantine_verdict quarantine_ask(struct quarantine *quarantine, const struct party *party,
                                         int64_t now_ms);

/* Names or addresses that are suspected together; whose account it is does not matter. */
bool quarantine_is_same(const struct party *party, const struct party *other);

uint32_t quarantine_hosts(struct quarantine *quarantine, int64_t now_ms);

#endif

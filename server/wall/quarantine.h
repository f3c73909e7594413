/* quarantine.h - which hosts were being served when a worker crashed, and what that means for them.
 *
 * A host is a name with a port; the address it led to is remembered beside it, so that another name
 * for the same server does not begin anew. Both are suspects: served in a quarantine worker, of
 * their own while there are enough of them; from the second crash on with pauses that double;
 * forgotten after an hour without a crash. Time is given by the caller. Not safe between threads.
 */
#ifndef POSTERN_QUARANTINE_H
#define POSTERN_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define QUARANTINE_WORKERS_MAX  16u
#define QUARANTINE_SUSPECTS_MAX 4096u
#define QUARANTINE_PAUSE_MS     1000
#define QUARANTINE_PAUSE_MS_MAX (5 * 60 * 1000)
#define QUARANTINE_RELEASE_MS   (60 * 60 * 1000)

struct quarantine;

struct quarantine *quarantine_new(void);
void quarantine_free(struct quarantine **quarantine);

/* It was being served when a worker crashed. `crash` numbers the crashes: one counts once, however
 * often the host was being served. Returns whether it was counted. */
bool quarantine_blame(struct quarantine *quarantine, const char *host,
                      const struct sockaddr_storage *peer, uint64_t crash, int64_t now_ms);

struct quarantine_verdict {
    bool suspected;
    uint32_t place;   /* below QUARANTINE_WORKERS_MAX */
    int64_t pause_ms; /* not to be served for so long */
};
struct quarantine_verdict quarantine_ask(struct quarantine *quarantine, const char *host,
                                         const struct sockaddr_storage *peer, int64_t now_ms);

uint32_t quarantine_hosts(struct quarantine *quarantine, int64_t now_ms);

#endif

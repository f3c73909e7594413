/* wall.h - the mail layer in processes of its own, so that what a mail server or a mail can do to a
 * parser is done to nobody else.
 *
 * The main process resolves names, checks where may be gone, and connects; the connected socket is
 * handed to a worker process, which alone reads from it: TLS, IMAP, MIME, charsets. Calls of
 * backend.h cross as frames (server/wall/frame.h) on one socket pair for each connection, results
 * come back record by record, and every record is checked as if an attacker had written it.
 *
 * A worker is the same program, executed anew: it has no key, no store, no listening socket, no
 * environment, and closes itself in (no file, no new socket, no other program, no more memory than
 * it was given) before the first byte arrives. When it dies, only its connections die: their
 * calls end with ERR_WORKER, and another worker is started at once. A host that was being served
 * while a worker crashed is served in a worker of its own from then on, until it has behaved for a
 * while; the account whose doing a further crash surely is waits, longer each time.
 */
#ifndef POSTERN_WALL_H
#define POSTERN_WALL_H

#include "backend.h"

#include <stdint.h>

struct wall;

enum wall_sandbox {
    SANDBOX_OFF,      /* for debuggers and tracers */
    SANDBOX_BEST,     /* what the kernel has; what it lacks is logged once */
    SANDBOX_REQUIRED, /* all of it, or no start */
};

struct wall_config {
    uint32_t workers;     /* processes, quarantine apart; at least 1 */
    uint32_t threads_max; /* calls at a time in one worker */
    enum wall_sandbox sandbox;
    uint64_t memory_max; /* bytes of address space of one worker */
    const char *ca_file; /* read by each worker before it closes itself in; NULL: the system's */
    struct backend_world limits; /* only its limits are read */
    const char *program;         /* what is executed; NULL: this very program */
};

/* Before any thread is made. Returns once every worker has said that it is ready. ERR_INVALID when
 * the CA file is of no use or the sandbox is required and not to be had. */
enum err wall_start(const struct wall_config *config, struct fault *fault, struct wall **out);
/* When no backend is open any more. */
void wall_stop(struct wall **wall);

/* Every protocol, in a worker. The target's world must name the wall. */
extern const struct backend_ops backend_walled;

/* What `postern --worker` does; it ends with the process that started it. */
#define WALL_WORKER_WORD "--worker"
int wall_worker_main(void);

#endif

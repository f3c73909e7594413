/* worker.c - what `postern --worker` is: it reads what it is told, opens what it will need, closes
 * itself in, and serves the connections it is handed until its control socket ends.
 */
#include "attend.h"
#include "confine.h"
#include "control.h"
#include "stream.h"
#include "wall.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOBODY  65534
#define HUNG_MS 5000 /* crew_board.c remembers a little longer whom to blame */

/* The main process says when it is over; a terminal's signals go to all. */
static void prepare_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t none;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        sigaction(ignored[i], &ignore, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A second net below the control socket's end. */
static void die_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static bool control_is_there(void)
{
    int kind = 0;
    socklen_t length = sizeof kind;
    return getsockopt(CONTROL_FD, SOL_SOCKET, SO_TYPE, &kind, &length) == 0 &&
           kind == SOCK_SEQPACKET;
}

/* A worker of root's has no use for root's rights once everything is open. */
static void drop_root(void)
{
    if (geteuid() != 0)
        return;
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) != 0)
        log_event(LOG_WARN, "worker.root", LOG_TEXT("detail", strerror(errno)), LOG_END);
    die_with_parent(); /* forgotten when the user changes */
}

static void forbid_core_dumps(void)
{
#ifdef NDEBUG
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

static uint32_t close_in(const struct control_start *start)
{
    confine_preload();
    drop_root();
    forbid_core_dumps();
    return start->sandbox == SANDBOX_OFF ? 0 : confine(start->memory_max);
}

/* Whoever cannot have the lock or any memory gives no answer. */
static void answer_ping(struct attendance *attendance)
{
    attendance_touch(attendance);
    (void)control_send_sign(CONTROL_FD, CONTROL_PONG);
}

/* Until the control socket ends. What cannot be taken for once is lost; its near end sees that. */
static void serve(struct attendance *attendance, struct control_message *message)
{
    for (;;) {
        enum err err = control_receive(CONTROL_FD, message);
        if (err == ERR_BUSY)
            continue;
        if (!err && message->kind == CONTROL_PING)
            answer_ping(attendance);
        else if (!err && message->kind == CONTROL_BOARD)
            attendance_adopt(attendance, message->channel_fd, message->mail_fd);
        else
            return;
    }
}

static int run(struct control_message *message)
{
    struct fault fault = {0};
    struct tls_trust *trust = NULL;
    struct control_start *start = &message->start;
    log_set_level(start->log_level);
    backend_init();
    if (tls_trust_new(start->ca_file, &fault, &trust) != OK) {
        control_send_failed(CONTROL_FD, fault.detail);
        return EXIT_FAILURE;
    }
    uint32_t confinement = close_in(start);
    static struct backend_world world; /* threads may see it to the very end */
    world = start->limits;
    world.trust = trust;
    struct attendance_config config = {.world = &world,
                                       .ops = backend_direct,
                                       .threads_max = start->threads_max,
                                       .hung_ms = HUNG_MS};
    struct attendance *attendance = attendance_new(&config);
    if (control_send_ready(CONTROL_FD, confinement) == 0)
        serve(attendance, message);
    return EXIT_SUCCESS;
}

int wall_worker_main(void)
{
    struct control_message message = {0};
    if (!control_is_there()) {
        fputs("postern: a worker is started by `postern serve`, not by people\n", stderr);
        return 2;
    }
    die_with_parent();
    prctl(PR_SET_NAME, "postern-worker", 0, 0, 0);
    confine_descriptors(CONTROL_FD);
    prepare_signals();
    if (control_receive(CONTROL_FD, &message) != OK || message.kind != CONTROL_START)
        _exit(EXIT_SUCCESS);
    /* Threads may be in the middle of calls: nothing is taken apart. */
    _exit(run(&message));
}

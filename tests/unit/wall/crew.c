/* The crew with real processes: this program is its own worker. */
#include "crew_inner.h"

#include "clock.h"
#include "control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS    30000
#define BOARDS_MAX 900

static struct wall *wall_of(uint32_t workers)
{
    struct wall_config config = {
        .workers = workers, .threads_max = 4, .sandbox = SANDBOX_BEST, .memory_max = 1u << 30};
    struct fault fault = {0};
    struct wall *wall = NULL;
    enum err err = wall_start(&config, &fault, &wall);
    if (err)
        fail_msg("%s", fault.detail);
    return wall;
}

struct guest {
    struct berth *berth;
    int channel, server; /* the near end; the mail server's end of the socket */
    enum err err;
    struct fault fault;
};

static struct guest board_until(struct wall *wall, const char *host, uint16_t port,
                                int64_t deadline_ms, const volatile bool *cancelled)
{
    struct sockaddr_storage peer = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&peer;
    struct guest guest = {.channel = -1};
    struct channel_wait wait = {.deadline_ms = deadline_ms, .cancelled = cancelled};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4->sin_port = htons(port);
    struct passenger passenger = {
        .host = host, .username = "ann", .peer = &peer, .socket = pair[0]};
    guest.server = pair[1];
    guest.err = crew_board(wall, &passenger, &wait, &guest.fault, &guest.berth, &guest.channel);
    return guest;
}

static struct guest board(struct wall *wall, const char *host, uint16_t port)
{
    struct guest guest = board_until(wall, host, port, clock_now_ms() + LONG_MS, NULL);
    if (guest.err)
        fail_msg("%s: %s", host, guest.fault.detail);
    return guest;
}

static void leave(struct guest *guest)
{
    crew_leave(&guest->berth, true);
    if (guest->channel >= 0)
        close(guest->channel);
    close(guest->server);
}

static bool ends(int fd) /* within time */
{
    char byte;
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    return poll(&entry, 1, LONG_MS) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static struct worker worker_of(const struct guest *guest)
{
    pthread_mutex_lock(&guest->berth->wall->lock);
    struct worker worker = *guest->berth->worker;
    pthread_mutex_unlock(&guest->berth->wall->lock);
    return worker;
}

static bool in_quarantine(const struct guest *guest)
{
    return worker_of(guest).quarantine;
}

/* Its channel has ended, and the crew knows. */
static void die(struct wall *wall, struct guest *guest, int signal)
{
    pid_t pid = worker_of(guest).pid;
    bool buried = false;
    assert_int_equal(kill(pid, signal), 0);
    for (int64_t late_ms = clock_now_ms() + LONG_MS; !buried && clock_now_ms() < late_ms;) {
        pthread_mutex_lock(&wall->lock);
        buried = guest->berth->worker == NULL;
        pthread_mutex_unlock(&wall->lock);
        if (!buried)
            usleep(5000);
    }
    assert_true(buried);
    assert_true(ends(guest->channel));
}

static bool no_child_is_left(void)
{
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

/* ---- boarding ---- */

static void a_mail_socket_is_the_workers_until_the_channel_is_closed(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    struct guest guest = board(wall, "one.example", 993);
    struct pollfd entry = {.fd = guest.server, .events = POLLIN};
    assert_int_equal(poll(&entry, 1, 50), 0);
    crew_leave(&guest.berth, true);
    close(guest.channel);
    assert_true(ends(guest.server));
    close(guest.server);
    wall_stop(&wall);
    assert_true(no_child_is_left());
}

static void an_account_stays_with_its_worker_and_accounts_are_spread(void **state)
{
    struct wall *wall = wall_of(2);
    uint32_t aboard[2] = {0};
    (void)state;
    for (int i = 0; i < 16; i++) {
        char host[40], loud[40];
        snprintf(host, sizeof host, "h%d.example", i);
        snprintf(loud, sizeof loud, "H%d.Example", i);
        struct guest first = board(wall, host, 993), second = board(wall, loud, 993);
        assert_ptr_equal(first.berth->worker, second.berth->worker);
        aboard[first.berth->worker->number]++;
        leave(&first);
        leave(&second);
    }
    assert_true(aboard[0] > 0 && aboard[1] > 0);
    wall_stop(&wall);
}

static void a_worker_that_takes_nothing_is_passed_over_and_waited_for_only_so_long(void **state)
{
    static struct guest guests[BOARDS_MAX];
    struct wall *wall = wall_of(1);
    volatile bool cancelled = true;
    uint32_t count = 0;
    (void)state;
    pid_t pid = wall->workers[0].pid;
    assert_int_equal(kill(pid, SIGSTOP), 0);
    do {
        guests[count] = board_until(wall, "slow.example", 993, clock_now_ms() + 300, NULL);
        count++;
    } while (!guests[count - 1].err && count < BOARDS_MAX);
    assert_int_equal(guests[count - 1].err, ERR_TIMEOUT);
    struct guest given_up =
        board_until(wall, "slow.example", 993, clock_now_ms() + LONG_MS, &cancelled);
    assert_int_equal(given_up.err, ERR_CANCELLED);
    assert_true(ends(given_up.server)); /* the socket is not kept */
    leave(&given_up);
    assert_int_equal(kill(pid, SIGCONT), 0);
    struct guest late = board(wall, "slow.example", 993);
    leave(&late);
    while (count > 0)
        leave(&guests[--count]);
    wall_stop(&wall);
}

/* ---- death ---- */

static void another_worker_is_started_when_one_is_killed_and_nobody_is_blamed(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct guest guest = board(wall, "one.example", 993);
        pid_t pid = worker_of(&guest).pid;
        crew_busy(guest.berth, true);
        die(wall, &guest, SIGKILL);
        leave(&guest);
        int64_t before_ms = clock_now_ms();
        struct guest again = board(wall, "one.example", 993);
        assert_true(clock_now_ms() - before_ms < 10000);
        assert_false(in_quarantine(&again));
        assert_int_not_equal(worker_of(&again).pid, pid);
        leave(&again);
    }
    wall_stop(&wall);
    assert_true(no_child_is_left());
}

static void a_worker_that_is_killed_while_it_starts_is_started_again_at_once(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    for (int i = 0; i < 20; i++) {
        pid_t pid = 0;
        while (pid == 0) {
            pthread_mutex_lock(&wall->lock);
            pid = wall->workers[0].state == WORKER_NONE ? 0 : wall->workers[0].pid;
            pthread_mutex_unlock(&wall->lock);
        }
        kill(pid, SIGKILL);
        usleep(2000);
    }
    int64_t before_ms = clock_now_ms();
    struct guest guest = board(wall, "one.example", 993);
    assert_true(clock_now_ms() - before_ms < 10000);
    leave(&guest);
    wall_stop(&wall);
}

static void who_was_being_served_during_a_crash_is_served_apart(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    struct guest bad = board(wall, "bad.example", 1001), idle = board(wall, "idle.example", 1002);
    crew_busy(bad.berth, true);
    crew_busy(idle.berth, true);
    crew_busy(idle.berth, false);
    die(wall, &bad, SIGSEGV);
    leave(&bad);
    leave(&idle);
    bad = board(wall, "BAD.example", 1001);
    idle = board(wall, "idle.example", 1002);
    assert_true(in_quarantine(&bad));
    assert_false(in_quarantine(&idle));
    leave(&bad);
    leave(&idle);
    wall_stop(&wall);
    assert_true(no_child_is_left());
}

static void a_call_that_was_given_up_before_the_crash_is_remembered(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    struct guest witness = board(wall, "good.example", 1002);
    struct guest bad = board(wall, "bad.example", 1001);
    crew_busy(bad.berth, true);
    leave(&bad);
    die(wall, &witness, SIGSEGV);
    leave(&witness);
    bad = board(wall, "bad.example", 1001);
    assert_true(in_quarantine(&bad));
    leave(&bad);
    wall_stop(&wall);
}

static void who_gave_up_long_before_the_crash_is_not_blamed(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    struct guest witness = board(wall, "good.example", 1002);
    struct guest early = board(wall, "early.example", 1001);
    struct berth *berth = early.berth;
    crew_busy(early.berth, true);
    leave(&early);
    pthread_mutex_lock(&wall->lock);
    berth->left_ms -= 60000;
    pthread_mutex_unlock(&wall->lock);
    die(wall, &witness, SIGSEGV);
    leave(&witness);
    early = board(wall, "early.example", 1001);
    assert_false(in_quarantine(&early));
    leave(&early);
    wall_stop(&wall);
}

static void whoever_tries_again_at_once_is_in_quarantine_already(void **state)
{
    struct wall *wall = wall_of(2);
    (void)state;
    struct guest bad = board(wall, "bad.example", 1001);
    crew_busy(bad.berth, true);
    assert_int_equal(kill(worker_of(&bad).pid, SIGSEGV), 0);
    assert_true(ends(bad.channel));
    leave(&bad);
    bad = board(wall, "bad.example", 1001);
    assert_true(in_quarantine(&bad));
    leave(&bad);
    wall_stop(&wall);
}

static void a_certain_suspects_idle_connections_elsewhere_are_hung_up(void **state)
{
    struct wall *wall = wall_of(2);
    (void)state;
    struct guest bad = board(wall, "bad.example", 1001), good = board(wall, "good.example", 1002);
    pthread_mutex_lock(&wall->lock);
    crew_blame(wall, bad.berth, ++wall->crashes, true);
    pthread_mutex_unlock(&wall->lock);
    struct pollfd entry = {.fd = good.channel, .events = POLLIN};
    assert_true(ends(bad.channel));
    assert_int_equal(poll(&entry, 1, 50), 0);
    leave(&bad);
    leave(&good);
    wall_stop(&wall);
}

static void further_crashes_bring_pauses_that_say_how_long(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        struct guest bad = board(wall, "bad.example", 1001);
        assert_int_equal(in_quarantine(&bad), crash > 0);
        crew_busy(bad.berth, true);
        die(wall, &bad, SIGSEGV);
        leave(&bad);
    }
    struct guest refused = board_until(wall, "bad.example", 1001, clock_now_ms() + LONG_MS, NULL);
    assert_int_equal(refused.err, ERR_WORKER);
    assert_int_equal(refused.fault.code, ERR_WORKER);
    assert_int_equal(refused.fault.retry_after_s, 1);
    leave(&refused);
    usleep(1100 * 1000);
    struct guest bad = board(wall, "bad.example", 1001);
    assert_true(in_quarantine(&bad));
    leave(&bad);
    wall_stop(&wall);
}

static void whoever_crashes_workers_cannot_have_others_left_alone(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    struct guest bad = board(wall, "bad.example", 1001), good = board(wall, "good.example", 993);
    crew_busy(bad.berth, true);
    for (int crash = 0; crash < 5; crash++) { /* of places that it is in by chance */
        pthread_mutex_lock(&wall->lock);
        crew_blame(wall, good.berth, ++wall->crashes, false);
        pthread_mutex_unlock(&wall->lock);
    }
    leave(&good);
    good = board(wall, "good.example", 993);
    assert_true(in_quarantine(&good));
    leave(&bad);
    leave(&good);
    wall_stop(&wall);
}

static void another_name_is_no_company(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    struct guest bad = board(wall, "bad.example", 1001), alias = board(wall, "x.bad.example", 1001);
    assert_false(worker_of(&bad).mixed);
    struct guest other = board(wall, "other.example", 1002);
    assert_true(worker_of(&bad).mixed);
    leave(&bad);
    leave(&alias);
    leave(&other);
    wall_stop(&wall);
}

static void an_accused_worker_is_ended_and_its_host_alone_is_blamed(void **state)
{
    struct wall *wall = wall_of(1);
    (void)state;
    struct guest bad = board(wall, "bad.example", 1001), good = board(wall, "good.example", 1002);
    crew_busy(bad.berth, true);
    crew_busy(good.berth, true);
    crew_accuse(bad.berth, "a test says so");
    assert_true(ends(bad.channel));
    assert_true(ends(good.channel));
    leave(&bad);
    leave(&good);
    bad = board(wall, "bad.example", 1001);
    good = board(wall, "good.example", 1002);
    assert_true(in_quarantine(&bad));
    assert_false(in_quarantine(&good));
    leave(&bad);
    leave(&good);
    wall_stop(&wall);
    assert_true(no_child_is_left());
}

/* As many times as it takes are not waited for, two of them are. */
static void forget_patience(struct wall *wall, struct worker *worker)
{
    pthread_mutex_lock(&wall->lock);
    worker->silent = CREW_HUNG - 1;
    pthread_mutex_unlock(&wall->lock);
}

static void a_worker_that_gives_no_answer_is_passed_over_and_ended(void **state)
{
    struct wall *wall = wall_of(2);
    (void)state;
    struct guest stuck = board(wall, "one.example", 993);
    struct worker *worker = stuck.berth->worker;
    assert_int_equal(kill(worker->pid, SIGSTOP), 0);
    forget_patience(wall, worker);
    struct guest next = board(wall, "one.example", 993);
    assert_ptr_not_equal(next.berth->worker, worker);
    assert_true(ends(stuck.channel));
    leave(&stuck);
    leave(&next);
    wall_stop(&wall);
    assert_true(no_child_is_left());
}

static void a_worker_that_was_stopped_for_a_while_is_believed_again(void **state)
{
    struct wall *wall = wall_of(1);
    uint32_t silent = 0;
    (void)state;
    struct worker *worker = &wall->workers[0];
    pid_t pid = worker->pid;
    assert_int_equal(kill(pid, SIGSTOP), 0);
    for (int64_t late_ms = clock_now_ms() + LONG_MS; silent < 2 && clock_now_ms() < late_ms;) {
        usleep(20000);
        pthread_mutex_lock(&wall->lock);
        silent = worker->silent; /* two answers will come at once */
        pthread_mutex_unlock(&wall->lock);
    }
    assert_int_equal(kill(pid, SIGCONT), 0);
    usleep(200 * 1000);
    struct guest guest = board(wall, "one.example", 993);
    assert_int_equal(worker_of(&guest).pid, pid);
    leave(&guest);
    wall_stop(&wall);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void a_worker_that_speaks_unasked_is_ended_and_nothing_of_it_is_kept(void **state)
{
    int (*const words[])(int, int, int) = {control_send_board, NULL};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        int before = open_descriptors(), pair[2];
        struct wall *wall = wall_of(1);
        struct worker *worker = &wall->workers[0];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        struct guest guest = board(wall, "one.example", 993);
        pthread_mutex_lock(&wall->lock);
        int own = dup(worker->control);
        assert_int_equal(dup3(pair[0], worker->control, O_CLOEXEC), worker->control);
        pthread_mutex_unlock(&wall->lock);
        fcntl(pair[1], F_SETFL, O_NONBLOCK);
        assert_int_equal(words[i] ? words[i](pair[1], STDIN_FILENO, STDOUT_FILENO)
                                  : control_send_sign(pair[1], CONTROL_PONG),
                         0);
        crew_ring(wall);
        assert_true(ends(guest.channel));
        leave(&guest);
        guest = board(wall, "one.example", 993);
        assert_false(in_quarantine(&guest));
        leave(&guest);
        close(own);
        close(pair[0]);
        close(pair[1]);
        wall_stop(&wall);
        assert_int_equal(open_descriptors(), before);
    }
}

static void a_quarantine_worker_that_nobody_needs_is_ended(void **state)
{
    struct wall *wall = wall_of(1);
    bool gone = false;
    (void)state;
    struct guest bad = board(wall, "bad.example", 1001);
    crew_busy(bad.berth, true);
    die(wall, &bad, SIGSEGV);
    leave(&bad);
    bad = board(wall, "bad.example", 1001);
    struct worker *worker = bad.berth->worker;
    leave(&bad);
    pthread_mutex_lock(&wall->lock);
    worker->used_ms -= CREW_IDLE_MS;
    pthread_mutex_unlock(&wall->lock);
    for (int64_t late_ms = clock_now_ms() + LONG_MS; !gone && clock_now_ms() < late_ms;) {
        usleep(20000);
        pthread_mutex_lock(&wall->lock);
        gone = worker->state == WORKER_NONE && !worker->wanted;
        pthread_mutex_unlock(&wall->lock);
    }
    assert_true(gone);
    bad = board(wall, "bad.example", 1001); /* and comes back when it is */
    assert_true(in_quarantine(&bad));
    leave(&bad);
    wall_stop(&wall);
}

/* ---- start and end ---- */

static void workers_end_with_the_process_that_started_them(void **state)
{
    int pipes[2];
    pid_t worker = 0;
    (void)state;
    assert_int_equal(pipe(pipes), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct wall *wall = wall_of(1);
        worker = wall->workers[0].pid;
        if (write(pipes[1], &worker, sizeof worker) != sizeof worker)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &worker, sizeof worker), sizeof worker);
    close(pipes[0]);
    struct pollfd entry = {.fd = pidfd_open(worker, 0), .events = POLLIN};
    assert_true(entry.fd >= 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(poll(&entry, 1, LONG_MS), 1);
    close(entry.fd);
}

static void a_start_that_cannot_work_is_told_and_leaves_nothing(void **state)
{
    struct wall_config config = {
        .workers = 2, .threads_max = 4, .memory_max = 1u << 30, .ca_file = "/nowhere/ca.pem"};
    struct fault bad_file = {0}, bad_program = {0};
    struct wall *wall = NULL;
    (void)state;
    assert_int_equal(wall_start(&config, &bad_file, &wall), ERR_INVALID);
    assert_non_null(strstr(bad_file.detail, "/nowhere/ca.pem"));
    assert_null(wall);
    config.program = "/bin/false";
    assert_int_equal(wall_start(&config, &bad_program, &wall), ERR_INTERNAL);
    assert_null(wall);
    assert_true(no_child_is_left());
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_socket_is_the_workers_until_the_channel_is_closed),
        cmocka_unit_test(an_account_stays_with_its_worker_and_accounts_are_spread),
        cmocka_unit_test(a_worker_that_takes_nothing_is_passed_over_and_waited_for_only_so_long),
        cmocka_unit_test(another_worker_is_started_when_one_is_killed_and_nobody_is_blamed),
        cmocka_unit_test(a_worker_that_is_killed_while_it_starts_is_started_again_at_once),
        cmocka_unit_test(who_was_being_served_during_a_crash_is_served_apart),
        cmocka_unit_test(a_call_that_was_given_up_before_the_crash_is_remembered),
        cmocka_unit_test(who_gave_up_long_before_the_crash_is_not_blamed),
        cmocka_unit_test(whoever_tries_again_at_once_is_in_quarantine_already),
        cmocka_unit_test(a_certain_suspects_idle_connections_elsewhere_are_hung_up),
        cmocka_unit_test(further_crashes_bring_pauses_that_say_how_long),
        cmocka_unit_test(whoever_crashes_workers_cannot_have_others_left_alone),
        cmocka_unit_test(another_name_is_no_company),
        cmocka_unit_test(an_accused_worker_is_ended_and_its_host_alone_is_blamed),
        cmocka_unit_test(a_worker_that_gives_no_answer_is_passed_over_and_ended),
        cmocka_unit_test(a_worker_that_was_stopped_for_a_while_is_believed_again),
        cmocka_unit_test(a_worker_that_speaks_unasked_is_ended_and_nothing_of_it_is_kept),
        cmocka_unit_test(a_quarantine_worker_that_nobody_needs_is_ended),
        cmocka_unit_test(workers_end_with_the_process_that_started_them),
        cmocka_unit_test(a_start_that_cannot_work_is_told_and_leaves_nothing),
    };
    if (argc == 2 && strcmp(argv[1], WALL_WORKER_WORD) == 0)
        return wall_worker_main();
    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}

/* A plain stream before servers that are silent, slow, gone, too generous or forbidden. */
#include "peer.h"

#include <fcntl.h>
#include <sys/resource.h>

#define DRIP_MS     20
#define FLOOD_BYTES (64 * 1024)

static const struct dns_row rows[] = {
    {"two.example.com", {"127.0.0.2", "127.0.0.1"}},
    {"inside.example.com", {"127.0.0.1"}},
    {NULL, {NULL}},
};

static enum err open_at(const char *allowed, const char *host, uint16_t port, int64_t patience_ms,
                        const volatile bool *cancelled, struct fault *fault, struct stream **out)
{
    struct reach *reach = reach_of(allowed);
    struct stream_target target = {.host = host, .port = port, .reach = reach};
    enum err err = stream_open(&target, clock_now_ms() + patience_ms, cancelled, fault, out);
    reach_free(&reach);
    return err;
}

static enum err try_open(const char *allowed, const char *host, uint16_t port, int64_t patience_ms,
                         const volatile bool *cancelled, struct fault *fault)
{
    struct stream *stream = NULL;
    enum err err = open_at(allowed, host, port, patience_ms, cancelled, fault, &stream);
    assert_int_equal(fault->code, err);
    stream_close(&stream);
    return err;
}

static void says(struct peer *peer, int fd)
{
    send(fd, peer->detail, strlen(peer->detail), 0);
}

static void says_and_waits(struct peer *peer, int fd)
{
    says(peer, fd);
    peer_keep_silent(peer, fd);
}

/* ---- time ---- */

static void a_silent_server_is_left_at_the_deadline(void **state)
{
    (void)state;
    struct peer peer = {.script = peer_keep_silent};
    char byte;
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    int64_t start_ms = clock_now_ms();
    stream_set_deadline(stream, start_ms + SOON_MS);
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_in_range(clock_now_ms() - start_ms, SOON_MS - 5, SOON_MS + LATE_MS);
    assert_failed(stream, ERR_TIMEOUT, "in time");
    stream_set_deadline(stream, DEADLINE_NONE); /* comes too late: the failure stays */
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_failed(stream, ERR_TIMEOUT, "in time");
    stream_close(&stream);
    assert_null(stream);
    peer_stop(&peer);
}

static void drip(struct peer *peer, int fd)
{
    while (!atomic_load(&peer->stopping) && send(fd, "x", 1, 0) == 1)
        usleep(DRIP_MS * 1000);
}

static void a_dripping_server_does_not_push_the_deadline_out(void **state)
{
    (void)state;
    struct peer peer = {.script = drip};
    char bytes[64];
    int drops = 0;
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    int64_t start_ms = clock_now_ms();
    stream_set_deadline(stream, start_ms + SOON_MS);
    while (stream_read(stream, bytes, sizeof bytes) > 0)
        assert_in_range(++drops, 1, 10 * SOON_MS);
    assert_in_range(clock_now_ms() - start_ms, SOON_MS - 5, SOON_MS + LATE_MS);
    assert_true(drops >= 2);
    assert_failed(stream, ERR_TIMEOUT, "in time");
    stream_close(&stream);
    peer_stop(&peer);
}

/* Never blocks longer than the deadline lets it; the number of bytes that were taken. */
static uint64_t write_until_failure(struct stream *stream)
{
    static const char flood[FLOOD_BYTES];
    for (int i = 0; i < 10000; i++)
        if (stream_write(stream, flood, sizeof flood) < 0)
            return stream_bytes_out(stream);
    fail_msg("the other side takes everything");
    return 0;
}

static void a_server_that_does_not_read_is_left_at_the_deadline(void **state)
{
    (void)state;
    struct peer peer = {.script = peer_keep_silent};
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    int64_t start_ms = clock_now_ms();
    stream_set_deadline(stream, start_ms + SOON_MS);
    assert_true(write_until_failure(stream) > 0);
    assert_in_range(clock_now_ms() - start_ms, SOON_MS - 5, SOON_MS + LATE_MS);
    assert_failed(stream, ERR_TIMEOUT, "in time");
    stream_close(&stream);
    peer_stop(&peer);
}

/* A listener whose queue is full: the kernel drops further SYNs, as a dead host would. */
struct full_queue {
    int listen_fd;
    int fds[4];
    uint16_t port;
};

static void fill_queue(struct full_queue *queue, const char *address, uint16_t port)
{
    queue->listen_fd = peer_listen(address, port, 0, &queue->port);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(queue->port)};
    inet_pton(AF_INET, address, &at.sin_addr);
    for (size_t i = 0; i < 4; i++) {
        queue->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(queue->fds[i], (struct sockaddr *)&at, sizeof at);
    }
    usleep(20000);
}

static void empty_queue(struct full_queue *queue)
{
    for (size_t i = 0; i < 4; i++)
        close(queue->fds[i]);
    close(queue->listen_fd);
}

static void a_host_that_swallows_packets_is_left_at_the_deadline(void **state)
{
    (void)state;
    struct full_queue queue;
    struct fault fault = {0};
    fill_queue(&queue, "127.0.0.1", 0);
    int64_t start_ms = clock_now_ms();
    assert_int_equal(try_open("*", "127.0.0.1", queue.port, SOON_MS, NULL, &fault), ERR_TIMEOUT);
    assert_in_range(clock_now_ms() - start_ms, SOON_MS - 5, SOON_MS + LATE_MS);
    assert_non_null(strstr(fault.detail, "connecting"));
    empty_queue(&queue);
}

static void a_dead_address_costs_its_share_and_the_next_is_tried(void **state)
{
    (void)state;
    struct peer peer = {.script = peer_keep_silent};
    struct full_queue queue;
    struct fault fault = {0};
    peer_start(&peer);
    fill_queue(&queue, "127.0.0.2", peer.port);
    assert_int_equal(try_open("*", "two.example.com", peer.port, 2000, NULL, &fault), OK);
    empty_queue(&queue);
    /* and one that refuses at once */
    assert_int_equal(try_open("*", "two.example.com", peer.port, PLENTY_MS, NULL, &fault), OK);
    peer_stop(&peer);
}

/* ---- cancelling ---- */

struct canceller {
    struct stream *stream; /* NULL: raise the flag instead */
    bool flag;
    int64_t done_ms;
    pthread_t thread;
};

static void *cancel_later(void *argument)
{
    struct canceller *canceller = argument;
    usleep(150000);
    canceller->done_ms = clock_now_ms();
    if (canceller->stream)
        stream_cancel(canceller->stream);
    else
        __atomic_store_n(&canceller->flag, true, __ATOMIC_RELAXED);
    return NULL;
}

static void start_canceller(struct canceller *canceller)
{
    assert_int_equal(pthread_create(&canceller->thread, NULL, cancel_later, canceller), 0);
}

/* Milliseconds from the cancel to `end_ms`. */
static int64_t join_canceller(struct canceller *canceller, int64_t end_ms)
{
    pthread_join(canceller->thread, NULL);
    return end_ms - canceller->done_ms;
}

static void cancel_ends_a_blocked_read_at_once(void **state)
{
    (void)state;
    struct peer peer = {.script = peer_keep_silent};
    char byte;
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    struct canceller canceller = {.stream = stream};
    stream_set_deadline(stream, DEADLINE_NONE);
    start_canceller(&canceller);
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_in_range(join_canceller(&canceller, clock_now_ms()), 0, 2000);
    assert_failed(stream, ERR_CANCELLED, "cancelled");
    assert_int_equal(stream_write(stream, "x", 1), -1);
    stream_close(&stream);
    peer_stop(&peer);
}

static void cancel_ends_a_blocked_write_at_once(void **state)
{
    (void)state;
    struct peer peer = {.script = peer_keep_silent};
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    struct canceller canceller = {.stream = stream};
    stream_set_deadline(stream, DEADLINE_NONE);
    start_canceller(&canceller);
    write_until_failure(stream);
    assert_in_range(join_canceller(&canceller, clock_now_ms()), 0, 2000);
    assert_failed(stream, ERR_CANCELLED, "cancelled");
    stream_close(&stream);
    peer_stop(&peer);
}

static void a_watched_flag_ends_a_blocked_read(void **state)
{
    (void)state;
    struct peer peer = {.script = peer_keep_silent};
    struct canceller canceller = {.stream = NULL};
    char byte;
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    stream_watch(stream, &canceller.flag);
    start_canceller(&canceller);
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_in_range(join_canceller(&canceller, clock_now_ms()), 0, 2000);
    assert_failed(stream, ERR_CANCELLED, "cancelled");
    stream_close(&stream);
    peer_stop(&peer);
}

static void a_flag_no_longer_watched_ends_nothing(void **state)
{
    (void)state;
    struct peer peer = {.script = says_and_waits, .detail = "hello"};
    bool flag = true;
    char text[5];
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    stream_watch(stream, &flag);
    stream_watch(stream, NULL);
    read_whole(stream, text, 5);
    assert_memory_equal(text, "hello", 5);
    stream_close(&stream);
    peer_stop(&peer);
}

static void a_flag_ends_connecting(void **state)
{
    (void)state;
    struct full_queue queue;
    struct canceller canceller = {.stream = NULL};
    struct fault fault = {0};
    fill_queue(&queue, "127.0.0.1", 0);
    start_canceller(&canceller);
    assert_int_equal(try_open("*", "127.0.0.1", queue.port, PLENTY_MS, &canceller.flag, &fault),
                     ERR_CANCELLED);
    assert_in_range(join_canceller(&canceller, clock_now_ms()), 0, 2000);
    empty_queue(&queue);
}

/* ---- bytes ---- */

static void a_server_that_sends_more_than_the_budget_is_cut_off(void **state)
{
    (void)state;
    struct peer peer = {.script = says_and_waits, .detail = "0123456789abcdef"};
    char text[16];
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    read_whole(stream, text, 4); /* before the budget is set: not counted */
    stream_set_budget(stream, 10);
    read_whole(stream, text, 10);
    assert_memory_equal(text, "456789abcd", 10);
    assert_int_equal(stream_read(stream, text, 1), -1);
    assert_failed(stream, ERR_TOO_LARGE, "larger than allowed");
    assert_int_equal(stream_bytes_in(stream), 14);
    stream_set_budget(stream, UINT64_MAX);
    assert_int_equal(stream_read(stream, text, 1), -1);
    stream_close(&stream);
    peer_stop(&peer);
}

static void a_budget_can_be_renewed_before_it_is_passed(void **state)
{
    (void)state;
    struct peer peer = {.script = says_and_waits, .detail = "0123456789"};
    char text[10];
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    stream_set_budget(stream, 5);
    read_whole(stream, text, 5);
    stream_set_budget(stream, 5);
    read_whole(stream, text + 5, 5);
    assert_memory_equal(text, "0123456789", 10);
    assert_int_equal(stream_failure(stream, &(struct fault){0}), OK);
    stream_close(&stream);
    peer_stop(&peer);
}

static void greet_and_drain(struct peer *peer, int fd)
{
    says(peer, fd); /* tells that it was accepted, so that peer_stop() cannot come before */
    peer_drain(peer, fd);
}

static void what_is_written_arrives_whole_and_is_counted(void **state)
{
    (void)state;
    static const char flood[1000 * 1000];
    struct peer peer = {.script = greet_and_drain, .detail = "!"};
    char byte;
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    read_whole(stream, &byte, 1);
    assert_int_equal(stream_write(stream, flood, sizeof flood), sizeof flood);
    assert_int_equal(stream_bytes_out(stream), sizeof flood);
    stream_close(&stream);
    peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.app_bytes), sizeof flood);
}

/* ---- the end ---- */

static void the_end_is_an_error_each_time_and_never_zero(void **state)
{
    (void)state;
    struct peer peer = {.script = says, .detail = "bye"};
    char text[8];
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    read_whole(stream, text, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(stream_read(stream, text, sizeof text), -1);
    assert_int_equal(stream_write(stream, "x", 1), -1);
    assert_int_equal(stream_write(stream, "", 0), -1);
    stream_cancel(stream); /* the first cause stays */
    assert_int_equal(stream_read(stream, text, sizeof text), -1);
    assert_failed(stream, ERR_UNREACHABLE, "closed the connection");
    stream_close(&stream);
    peer_stop(&peer);
}

static void reset(struct peer *peer, int fd)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    char byte;
    (void)peer;
    recv(fd, &byte, 1, 0); /* else it might come before connect() is through */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

static void a_reset_is_a_lost_connection(void **state)
{
    (void)state;
    struct peer peer = {.script = reset};
    char byte;
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    assert_int_equal(stream_write(stream, "x", 1), 1);
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_failed(stream, ERR_UNREACHABLE, "closed the connection");
    stream_close(&stream);
    peer_stop(&peer);
}

static volatile sig_atomic_t pipe_signals;

static void count_signal(int number)
{
    (void)number;
    pipe_signals++;
}

static void writing_to_a_closed_peer_raises_no_signal(void **state)
{
    (void)state;
    struct sigaction counted = {.sa_handler = count_signal}, before;
    struct peer peer = {.script = reset};
    sigaction(SIGPIPE, &counted, &before);
    pipe_signals = 0;
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    assert_int_equal(stream_write(stream, "x", 1), 1);
    swallow_reset(stream);
    assert_int_equal(stream_write(stream, "x", 1), -1);
    assert_failed(stream, ERR_UNREACHABLE, "closed the connection");
    assert_int_equal(pipe_signals, 0);
    stream_close(&stream);
    peer_stop(&peer);
    sigaction(SIGPIPE, &before, NULL);
}

/* ---- who is reached ---- */

static void a_closed_port_is_unreachable(void **state)
{
    (void)state;
    uint16_t port;
    struct fault fault = {0};
    close(peer_listen("127.0.0.1", 0, 1, &port));
    assert_int_equal(try_open("*", "127.0.0.1", port, PLENTY_MS, NULL, &fault), ERR_UNREACHABLE);
    assert_non_null(strstr(fault.detail, "refused"));
}

/* The queue is first come, first served: had one of the refused come through, it would count. */
static void assert_untouched(struct peer *peer)
{
    struct stream *stream = open_plain(peer);
    char byte;
    read_whole(stream, &byte, 1);
    assert_int_equal(atomic_load(&peer->accepted), 1);
    stream_close(&stream);
}

static void a_forbidden_address_sees_no_connection(void **state)
{
    (void)state;
    static const struct {
        const char *allowed, *host;
        bool lookup;
    } tries[] = {
        {"", "127.0.0.1", false},
        {"", "inside.example.com", false},
        {"127.0.0.2", "127.0.0.1", false},
        {"127.0.0.1:1", "127.0.0.1", false},
        {"127.0.0.2", "::ffff:127.0.0.1", false},
        {"*", "127.1", false},
        {"*", "2130706433", false},
        {"10.0.0.0/8", "inside.example.com", true}, /* only DNS tells where it leads */
        {"other.example.com, 10.0.0.0/8", "inside.example.com", true},
    };
    struct peer peer = {.script = says, .detail = "!"};
    peer_start(&peer);
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        struct fault fault = {0};
        int before = atomic_load(&dns_calls);
        enum err err =
            try_open(tries[i].allowed, tries[i].host, peer.port, PLENTY_MS, NULL, &fault);
        if (err != ERR_HOST_NOT_ALLOWED)
            fail_msg("%s: %s", tries[i].host, err_name(err));
        assert_int_equal(atomic_load(&dns_calls) - before, tries[i].lookup);
    }
    assert_untouched(&peer);
    peer_stop(&peer);
}

static void of_several_addresses_only_the_permitted_are_tried(void **state)
{
    (void)state;
    struct peer peer = {.script = says, .detail = "!"};
    struct fault fault = {0};
    peer_start(&peer);
    /* Nobody listens at 127.0.0.2; the forbidden 127.0.0.1 would answer. */
    assert_int_equal(try_open("127.0.0.2", "two.example.com", peer.port, PLENTY_MS, NULL, &fault),
                     ERR_UNREACHABLE);
    assert_untouched(&peer);
    peer_stop(&peer);
}

static void the_descriptor_is_nobody_elses_business(void **state)
{
    (void)state;
    struct peer peer = {.script = peer_keep_silent};
    peer_start(&peer);
    struct stream *stream = open_plain(&peer);
    assert_true(fcntl(stream_fd(stream), F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(stream_fd(stream), F_GETFL) & O_NONBLOCK);
    assert_false(stream_is_tls(stream));
    assert_false(stream_pending(stream));
    int fd = stream_fd(stream);
    stream_close(&stream);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    stream_close(&stream); /* closed already: nothing */
    peer_stop(&peer);
}

/* select() would write behind its fd_set here, and glibc would abort. */
static void a_descriptor_above_1024_is_like_any_other(void **state)
{
    (void)state;
    static int filler[1100];
    struct peer peer = {.script = peer_keep_silent};
    struct rlimit before, higher;
    char byte;
    getrlimit(RLIMIT_NOFILE, &before);
    higher = before;
    higher.rlim_cur = 1500;
    if (before.rlim_cur < 1500 && setrlimit(RLIMIT_NOFILE, &higher) != 0)
        skip();
    peer_start(&peer);
    for (size_t i = 0; i < sizeof filler / sizeof filler[0]; i++)
        assert_true((filler[i] = dup(peer.listen_fd)) >= 0);
    struct stream *stream = open_plain(&peer);
    assert_true(stream_fd(stream) > 1024);
    assert_int_equal(stream_write(stream, "x", 1), 1);
    stream_set_deadline(stream, clock_now_ms() + 50);
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_failed(stream, ERR_TIMEOUT, "in time");
    stream_close(&stream);
    for (size_t i = 0; i < sizeof filler / sizeof filler[0]; i++)
        close(filler[i]);
    peer_stop(&peer);
    setrlimit(RLIMIT_NOFILE, &before);
}

int main(void)
{
    dns = rows;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_server_is_left_at_the_deadline),
        cmocka_unit_test(a_dripping_server_does_not_push_the_deadline_out),
        cmocka_unit_test(a_server_that_does_not_read_is_left_at_the_deadline),
        cmocka_unit_test(a_host_that_swallows_packets_is_left_at_the_deadline),
        cmocka_unit_test(a_dead_address_costs_its_share_and_the_next_is_tried),
        cmocka_unit_test(cancel_ends_a_blocked_read_at_once),
        cmocka_unit_test(cancel_ends_a_blocked_write_at_once),
        cmocka_unit_test(a_watched_flag_ends_a_blocked_read),
        cmocka_unit_test(a_flag_no_longer_watched_ends_nothing),
        cmocka_unit_test(a_flag_ends_connecting),
        cmocka_unit_test(a_server_that_sends_more_than_the_budget_is_cut_off),
        cmocka_unit_test(a_budget_can_be_renewed_before_it_is_passed),
        cmocka_unit_test(what_is_written_arrives_whole_and_is_counted),
        cmocka_unit_test(the_end_is_an_error_each_time_and_never_zero),
        cmocka_unit_test(a_reset_is_a_lost_connection),
        cmocka_unit_test(writing_to_a_closed_peer_raises_no_signal),
        cmocka_unit_test(a_closed_port_is_unreachable),
        cmocka_unit_test(a_forbidden_address_sees_no_connection),
        cmocka_unit_test(of_several_addresses_only_the_permitted_are_tried),
        cmocka_unit_test(the_descriptor_is_nobody_elses_business),
        cmocka_unit_test(a_descriptor_above_1024_is_like_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

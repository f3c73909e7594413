/* A stream in two halves: connected by one, read by another. */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>

static const struct dns_row rows[] = {
    {"two.example.com", {"127.0.0.2", "127.0.0.1"}},
    {NULL, {NULL}},
};

static void says_and_waits(struct peer *peer, int fd)
{
    send(fd, peer->detail, strlen(peer->detail), 0);
    peer_keep_silent(peer, fd);
}

static void a_socket_connected_elsewhere_is_used_without_asking_for_names(void **state)
{
    (void)state;
    struct peer peer = {.script = says_and_waits, .detail = "hi"};
    struct fault fault = {0};
    struct sockaddr_storage address;
    struct stream *stream = NULL;
    struct reach *reach = reach_of("*");
    char bytes[2];
    int fd = -1;
    peer_start(&peer);
    struct stream_target target = {.host = "two.example.com", .port = peer.port, .reach = reach};
    assert_int_equal(
        stream_connect(&target, clock_now_ms() + PLENTY_MS, NULL, &fault, &fd, &address), OK);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
    assert_int_equal(address.ss_family, AF_INET);
    assert_int_equal(ntohs(v4->sin_port), peer.port);
    assert_int_equal(ntohl(v4->sin_addr.s_addr), 0x7f000001); /* .2 has no listener */

    int calls = atomic_load(&dns_calls);
    target.connected = true;
    target.fd = fd;
    target.reach = NULL;
    assert_int_equal(stream_open(&target, clock_now_ms() + PLENTY_MS, NULL, &fault, &stream), OK);
    assert_int_equal(atomic_load(&dns_calls), calls);
    assert_int_equal(stream_fd(stream), fd);
    assert_int_equal(stream_read(stream, bytes, 1), 1);
    assert_int_equal(bytes[0], 'h');
    stream_close(&stream);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    reach_free(&reach);
    peer_stop(&peer);
}

static void a_socket_handed_in_is_closed_when_opening_fails(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct stream *stream = NULL;
    int ends[2];
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), errno);
    close(ends[1]);
    struct stream_target target = {
        .host = "two.example.com", .tls = true, .connected = true, .fd = ends[0]};
    struct tls_trust *trust = NULL;
    assert_int_equal(tls_trust_new(NULL, &fault, &trust), OK);
    target.trust = trust;
    assert_int_not_equal(stream_open(&target, clock_now_ms() + PLENTY_MS, NULL, &fault, &stream),
                         OK);
    assert_null(stream);
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
    tls_trust_free(&trust);
}

struct courier {
    int fd;
    int calls;
};

static void delivers_one_byte(void *argument)
{
    struct courier *courier = argument;
    if (courier->calls++ == 0)
        (void)!write(courier->fd, "xy", 2);
}

static void before_a_wait_its_owner_is_told_and_at_no_other_time(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct stream *stream = NULL;
    struct courier courier = {0};
    char byte;
    int ends[2];
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), errno);
    courier.fd = ends[1];
    struct stream_target target = {.host = "two.example.com",
                                   .connected = true,
                                   .fd = ends[0],
                                   .before_wait = delivers_one_byte,
                                   .before_wait_argument = &courier};
    assert_int_equal(stream_open(&target, clock_now_ms() + PLENTY_MS, NULL, &fault, &stream), OK);
    assert_int_equal(courier.calls, 0);
    assert_int_equal(stream_read(stream, &byte, 1), 1); /* nothing was there: it had to wait */
    assert_int_equal(courier.calls, 1);
    assert_int_equal(stream_read(stream, &byte, 1), 1);
    assert_int_equal(courier.calls, 1);
    stream_close(&stream);
    close(ends[1]);
}

int main(void)
{
    dns = rows;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_connected_elsewhere_is_used_without_asking_for_names),
        cmocka_unit_test(a_socket_handed_in_is_closed_when_opening_fails),
        cmocka_unit_test(before_a_wait_its_owner_is_told_and_at_no_other_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

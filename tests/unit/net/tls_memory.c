/* What an idle TLS stream costs. The server is a process of its own, so that its half of each
 * connection is not counted. The figure is printed: it is OpenSSL's to change, and sanitizers
 * replace the allocator that tells it. What is asserted is that all are alive at once. */
#include "certs.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define STREAMS 200

static SSL_CTX *server;

/* Greets each client and keeps all, until its last one has gone. */
static void serve_all(int listen_fd)
{
    static SSL *kept[STREAMS + 1];
    char byte;
    for (size_t i = 0; i <= STREAMS; i++) {
        int fd = accept(listen_fd, NULL, NULL);
        kept[i] = SSL_new(server);
        SSL_set_fd(kept[i], fd);
        if (SSL_accept(kept[i]) != 1 || SSL_write(kept[i], "!", 1) != 1)
            _exit(1);
    }
    for (size_t i = 0; i <= STREAMS; i++)
        if (SSL_read(kept[i], &byte, 1) != 1 || SSL_write(kept[i], &byte, 1) != 1)
            _exit(2);
    _exit(0);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static struct stream *open_one(const struct stream_target *target)
{
    struct fault fault = {0};
    struct stream *stream = NULL;
    char byte;
    if (stream_open(target, clock_now_ms() + PLENTY_MS, NULL, &fault, &stream))
        fail_msg("open: %s", fault.detail);
    read_whole(stream, &byte, 1);
    return stream;
}

static void two_hundred_idle_streams_live_side_by_side(void **state)
{
    (void)state;
    static struct stream *streams[STREAMS + 1];
    struct wish wish = {.common_name = "x", .names = {"127.0.0.1"}};
    struct rlimit files;
    struct stream_target target = {.host = "127.0.0.1", .tls = true};
    int status;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 1024 ? files.rlim_max : 1024; /* two for each, and a few */
    setrlimit(RLIMIT_NOFILE, &files);
    struct identity identity = identity_new(&wish, NULL);
    struct tls_trust *trust = trust_in(identity.certificate);
    struct reach *reach = reach_of("*");
    target.trust = trust;
    target.reach = reach;
    server = server_context(&identity, NULL);
    int listen_fd = peer_listen("127.0.0.1", 0, 16, &target.port);
    pid_t child = fork();
    if (child == 0) {
        alarm(60); /* should the parent die, it does too */
        serve_all(listen_fd);
    }
    close(listen_fd);

    streams[STREAMS] = open_one(&target); /* OpenSSL's own first-time memory */
    size_t before = heap_bytes();
    for (size_t i = 0; i < STREAMS; i++)
        streams[i] = open_one(&target);
    size_t used = heap_bytes() - before;
    if (used > 0)
        print_message(
            "an idle TLS stream holds %zu bytes of heap, its share of kept sessions in it\n",
            used / STREAMS);
    for (size_t i = 0; i <= STREAMS; i++)
        assert_int_equal(stream_write(streams[i], "x", 1), 1);
    for (size_t i = 0; i <= STREAMS; i++) {
        char byte = 0;
        read_whole(streams[i], &byte, 1);
        assert_int_equal(byte, 'x');
        stream_close(&streams[i]);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    SSL_CTX_free(server);
    identity_clear(&identity);
    tls_trust_free(&trust);
    reach_free(&reach);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_idle_streams_live_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

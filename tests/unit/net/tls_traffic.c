/* What passes over TLS: STARTTLS, libetpan's lines, ends, limits, servers that play with records.
 */
#include "certs.h"

#include <libetpan/libetpan.h>

static const struct dns_row rows[] = {
    {"mail.example.com", {"127.0.0.1"}},
    {NULL, {NULL}},
};

static struct identity server;
static struct tls_trust *trust; /* believes that one certificate */
static struct tls_trust *stranger;

static int make_server(void **state)
{
    (void)state;
    struct wish wish = {.common_name = "x", .names = {"mail.example.com"}};
    struct identity other = identity_new(&wish, NULL);
    server = identity_new(&wish, NULL);
    trust = trust_in(server.certificate);
    stranger = trust_in(other.certificate);
    identity_clear(&other);
    return 0;
}

static int drop_server(void **state)
{
    (void)state;
    identity_clear(&server);
    tls_trust_free(&trust);
    tls_trust_free(&stranger);
    return 0;
}

struct talk {
    struct peer peer;
    struct tls_side side;
    const char *consent; /* STARTTLS: what answers it */
};

static struct stream *talk_open(struct talk *talk, void (*script)(struct peer *, int), int version,
                                bool tls, const struct tls_trust *believed)
{
    struct reach *reach = reach_of("*");
    struct fault fault = {0};
    struct stream *stream = NULL;
    talk->side.context = server_context(&server, NULL);
    SSL_CTX_set_max_proto_version(talk->side.context, version);
    talk->peer.script = script;
    talk->peer.detail = talk;
    peer_start(&talk->peer);
    struct stream_target target = {.host = "mail.example.com",
                                   .port = talk->peer.port,
                                   .tls = tls,
                                   .reach = reach,
                                   .trust = believed};
    if (stream_open(&target, clock_now_ms() + PLENTY_MS, NULL, &fault, &stream))
        fail_msg("open: %s", fault.detail);
    reach_free(&reach);
    return stream;
}

static void talk_close(struct talk *talk, struct stream **stream)
{
    stream_close(stream);
    peer_stop(&talk->peer);
    SSL_CTX_free(talk->side.context);
}

static struct talk *talk_of(struct peer *peer)
{
    return (struct talk *)peer->detail;
}

static void echo(struct peer *peer, int fd)
{
    tls_converse(peer, &talk_of(peer)->side, fd);
}

static SSL *accept_tls(struct peer *peer, int fd)
{
    SSL *ssl = SSL_new(talk_of(peer)->side.context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1)
        atomic_fetch_add(&talk_of(peer)->side.handshakes, 1);
    return ssl;
}

static void drop_tls(SSL *ssl)
{
    SSL_free(ssl);
    ERR_clear_error();
}

/* ---- STARTTLS ---- */

static void greet_and_upgrade(struct peer *peer, int fd)
{
    const struct talk *talk = talk_of(peer);
    char command[64];
    send(fd, "* OK ready\r\n", 12, 0);
    if (recv(fd, command, sizeof command, 0) <= 0)
        return;
    send(fd, talk->consent, strlen(talk->consent), 0);
    echo(peer, fd);
}

static void assert_line(struct stream *stream, const char *expected)
{
    MMAPString *line = mmap_string_new("");
    const char *got = mailstream_read_line_remove_eol(stream_mailstream(stream), line);
    if (!got || strcmp(got, expected) != 0)
        fail_msg("\"%s\" and not \"%s\"", got ? got : "no line", expected);
    mmap_string_free(line);
}

static void say_line(struct stream *stream, const char *line)
{
    mailstream *buffered = stream_mailstream(stream);
    assert_int_equal(mailstream_write(buffered, line, strlen(line)), strlen(line));
    assert_int_equal(mailstream_flush(buffered), 0);
}

static void starttls_lifts_the_connection_and_its_lines(void **state)
{
    (void)state;
    struct talk talk = {.side = {.hello = "* OK secure\r\n"}, .consent = "a OK go\r\n"};
    struct fault fault = {0};
    struct stream *stream = talk_open(&talk, greet_and_upgrade, TLS1_3_VERSION, false, trust);
    assert_line(stream, "* OK ready");
    say_line(stream, "a STARTTLS\r\n");
    assert_line(stream, "a OK go");
    assert_false(stream_is_tls(stream));
    assert_int_equal(stream_start_tls(stream, &fault), OK);
    assert_true(stream_is_tls(stream));
    assert_line(stream, "* OK secure");
    say_line(stream, "b NOOP\r\n");
    assert_line(stream, "b NOOP");
    talk_close(&talk, &stream);
    assert_int_equal(atomic_load(&talk.peer.app_bytes), 8);
    assert_string_equal(talk.side.asked_name, "mail.example.com");
}

static void assert_upgrade_fails(struct talk *talk, const struct tls_trust *believed, bool buffered,
                                 enum err code, const char *says)
{
    struct fault fault = {0};
    char text[32];
    struct stream *stream = talk_open(talk, greet_and_upgrade, TLS1_3_VERSION, false, believed);
    if (buffered) { /* libetpan takes all there is */
        assert_line(stream, "* OK ready");
        say_line(stream, "a STARTTLS\r\n");
        assert_line(stream, "a OK go");
    } else { /* what follows stays in the socket */
        read_whole(stream, text, 12);
        assert_int_equal(stream_write(stream, "a STARTTLS\r\n", 12), 12);
        read_whole(stream, text, 9);
    }
    assert_int_equal(stream_start_tls(stream, &fault), code);
    if (!strstr(fault.detail, says))
        fail_msg("\"%s\" does not say \"%s\"", fault.detail, says);
    assert_int_equal(stream_write(stream, "b LOGIN u p\r\n", 13), -1);
    assert_int_equal(stream_read(stream, text, 1), -1);
    assert_failed(stream, code, says);
    talk_close(talk, &stream);
    assert_int_equal(atomic_load(&talk->side.handshakes), 0);
    assert_int_equal(atomic_load(&talk->peer.app_bytes), 0);
}

static void plain_text_behind_the_consent_is_refused(void **state)
{
    (void)state;
    for (int buffered = 0; buffered < 2; buffered++) {
        struct talk talk = {.consent = "a OK go\r\n* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n"};
        assert_upgrade_fails(&talk, trust, buffered, ERR_TLS, "plain text stands behind");
        struct talk one = {.consent = "a OK go\r\n\n"};
        assert_upgrade_fails(&one, trust, buffered, ERR_TLS, "plain text stands behind");
    }
}

static void starttls_verifies_like_any_other(void **state)
{
    (void)state;
    struct talk talk = {.consent = "a OK go\r\n"};
    assert_upgrade_fails(&talk, stranger, true, ERR_TLS, "self-signed");
}

/* ---- libetpan's buffers ---- */

static void lines_longer_than_the_buffer_pass_and_the_end_is_no_line(void **state)
{
    (void)state;
    enum { LONG = 50000 };
    struct talk talk = {.side = {.hello = "one\r\ntwo\r\n"}};
    struct stream *stream = talk_open(&talk, echo, TLS1_3_VERSION, true, trust);
    char *text = malloc(LONG + 3);
    memset(text, 'x', LONG);
    memcpy(text + LONG, "\r\n", 3);
    assert_line(stream, "one");
    assert_line(stream, "two");
    say_line(stream, text);
    text[LONG] = '\0';
    assert_line(stream, text);
    free(text);
    stream_cancel(stream);
    MMAPString *line = mmap_string_new("");
    assert_null(mailstream_read_line_remove_eol(stream_mailstream(stream), line));
    mmap_string_free(line);
    talk_close(&talk, &stream);
}

static void libetpan_may_close_its_side_first(void **state)
{
    (void)state;
    struct talk talk = {.side = {.hello = "one\r\n"}};
    struct stream *stream = talk_open(&talk, echo, TLS1_3_VERSION, true, trust);
    assert_line(stream, "one");
    mailstream_close(stream_mailstream(stream));
    char text[4];
    assert_int_equal(stream_write(stream, "abc", 3), 3);
    read_whole(stream, text, 3);
    talk_close(&talk, &stream);
}

/* ---- limits and ends ---- */

static void the_budget_counts_what_openssl_holds_too(void **state)
{
    (void)state;
    struct talk talk = {.side = {.hello = "0123456789"}};
    char text[10];
    struct stream *stream = talk_open(&talk, echo, TLS1_3_VERSION, true, trust);
    read_whole(stream, text, 4);
    assert_true(stream_pending(stream));
    stream_set_budget(stream, 5);
    read_whole(stream, text, 5);
    assert_memory_equal(text, "45678", 5);
    assert_int_equal(stream_read(stream, text, 1), -1);
    assert_failed(stream, ERR_TOO_LARGE, "larger than allowed");
    talk_close(&talk, &stream);
}

static void say_bye(struct peer *peer, int fd)
{
    SSL *ssl = accept_tls(peer, fd);
    SSL_write(ssl, "bye", 3);
    if (talk_of(peer)->consent) /* an orderly end */
        SSL_shutdown(ssl);
    shutdown(fd, SHUT_WR);
    peer_drain(peer, fd);
    drop_tls(ssl);
}

static void the_end_is_an_error_with_or_without_a_goodbye(void **state)
{
    (void)state;
    const char *const goodbyes[] = {NULL, "yes"};
    for (size_t i = 0; i < 4; i++) {
        struct talk talk = {.consent = goodbyes[i % 2]};
        char text[8];
        struct stream *stream =
            talk_open(&talk, say_bye, i < 2 ? TLS1_2_VERSION : TLS1_3_VERSION, true, trust);
        read_whole(stream, text, 3);
        for (int again = 0; again < 3; again++)
            assert_int_equal(stream_read(stream, text, sizeof text), -1);
        assert_failed(stream, ERR_UNREACHABLE, "closed the connection");
        talk_close(&talk, &stream);
    }
}

static void reset_after_a_byte(struct peer *peer, int fd)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    char byte;
    SSL *ssl = accept_tls(peer, fd);
    SSL_read(ssl, &byte, 1);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    drop_tls(ssl);
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
    struct talk talk = {.consent = NULL};
    sigaction(SIGPIPE, &counted, &before);
    pipe_signals = 0;
    struct stream *stream = talk_open(&talk, reset_after_a_byte, TLS1_3_VERSION, true, trust);
    assert_int_equal(stream_write(stream, "x", 1), 1);
    swallow_reset(stream);
    assert_int_equal(stream_write(stream, "x", 1), -1);
    assert_failed(stream, ERR_UNREACHABLE, "closed the connection");
    assert_int_equal(stream_write(stream, "x", 1), -1);
    talk_close(&talk, &stream);
    assert_int_equal(pipe_signals, 0);
    sigaction(SIGPIPE, &before, NULL);
}

static void *cancel_later(void *stream)
{
    usleep(150000);
    stream_cancel(stream);
    return NULL;
}

static void cancel_ends_a_blocked_read_at_once(void **state)
{
    (void)state;
    struct talk talk = {.consent = NULL};
    pthread_t thread;
    char byte;
    struct stream *stream = talk_open(&talk, echo, TLS1_3_VERSION, true, trust);
    stream_set_deadline(stream, DEADLINE_NONE);
    int64_t start_ms = clock_now_ms();
    pthread_create(&thread, NULL, cancel_later, stream);
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_in_range(clock_now_ms() - start_ms, 145, 2150);
    pthread_join(thread, NULL);
    assert_failed(stream, ERR_CANCELLED, "cancelled");
    talk_close(&talk, &stream);
}

/* ---- records without data ---- */

static void update_keys_for_ever(struct peer *peer, int fd)
{
    SSL *ssl = accept_tls(peer, fd);
    while (!atomic_load(&peer->stopping) &&
           SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1)
        usleep(500);
    drop_tls(ssl);
}

static void records_without_data_do_not_push_the_deadline_out(void **state)
{
    (void)state;
    struct talk talk = {.consent = NULL};
    char byte;
    struct stream *stream = talk_open(&talk, update_keys_for_ever, TLS1_3_VERSION, true, trust);
    int64_t start_ms = clock_now_ms();
    stream_set_deadline(stream, start_ms + SOON_MS);
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_in_range(clock_now_ms() - start_ms, SOON_MS - 5, SOON_MS + LATE_MS);
    assert_failed(stream, ERR_TIMEOUT, "in time");
    talk_close(&talk, &stream);
}

static void ask_for_renegotiation(struct peer *peer, int fd)
{
    char byte;
    SSL *ssl = accept_tls(peer, fd);
    SSL_renegotiate(ssl);
    SSL_do_handshake(ssl);
    SSL_read(ssl, &byte, 1);
    shutdown(fd, SHUT_WR);
    peer_drain(peer, fd);
    drop_tls(ssl);
}

static void a_second_handshake_is_not_given(void **state)
{
    (void)state;
    struct talk talk = {.consent = NULL};
    char byte;
    struct stream *stream = talk_open(&talk, ask_for_renegotiation, TLS1_2_VERSION, true, trust);
    assert_int_equal(stream_read(stream, &byte, 1), -1);
    assert_int_not_equal(stream_failure(stream, &(struct fault){0}), ERR_TIMEOUT);
    stream_close(&stream);
    peer_stop(&talk.peer);
    assert_int_equal(SSL_CTX_sess_accept_good(talk.side.context), 1);
    SSL_CTX_free(talk.side.context);
}

int main(void)
{
    dns = rows;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starttls_lifts_the_connection_and_its_lines),
        cmocka_unit_test(plain_text_behind_the_consent_is_refused),
        cmocka_unit_test(starttls_verifies_like_any_other),
        cmocka_unit_test(lines_longer_than_the_buffer_pass_and_the_end_is_no_line),
        cmocka_unit_test(libetpan_may_close_its_side_first),
        cmocka_unit_test(the_budget_counts_what_openssl_holds_too),
        cmocka_unit_test(the_end_is_an_error_with_or_without_a_goodbye),
        cmocka_unit_test(writing_to_a_closed_peer_raises_no_signal),
        cmocka_unit_test(cancel_ends_a_blocked_read_at_once),
        cmocka_unit_test(records_without_data_do_not_push_the_deadline_out),
        cmocka_unit_test(a_second_handshake_is_not_given),
    };
    return cmocka_run_group_tests(tests, make_server, drop_server);
}

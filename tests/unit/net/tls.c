/* TLS before servers with good and bad certificates, old versions, or none at all. */
#include "certs.h"

static const struct dns_row rows[] = {
    {"mail.example.com", {"127.0.0.1"}},
    {"a.b.example.com", {"127.0.0.1"}},
    {NULL, {NULL}},
};

enum signer {
    BY_AUTHORITY,
    BY_MIDDLE,
    BY_OLD_MIDDLE,
    BY_STRANGER,
    BY_NAMESAKE,
    BY_LEAF,
    BY_ITSELF
};

#define FOR(common, ...)                                                                           \
    {                                                                                              \
        .common_name = common, .names = { __VA_ARGS__ }                                            \
    }

static struct identity signers[BY_ITSELF];
static char authority_file[] = "/tmp/postern-test-XXXXXX";
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static int make_signers(void **state)
{
    (void)state;
    struct wish wish = {.common_name = "Test Authority", .is_authority = true};
    struct wish old = {
        .common_name = "Old", .is_authority = true, .from_s = -9 * DAY_S, .until_s = -DAY_S};
    struct wish leaf = {.common_name = "leaf.example.com", .names = {"leaf.example.com"}};
    signers[BY_AUTHORITY] = identity_new(&wish, NULL);
    signers[BY_NAMESAKE] = identity_new(&wish, NULL);
    wish.common_name = "Stranger";
    signers[BY_STRANGER] = identity_new(&wish, NULL);
    wish.common_name = "Middle";
    signers[BY_MIDDLE] = identity_new(&wish, &signers[BY_AUTHORITY]);
    signers[BY_OLD_MIDDLE] = identity_new(&old, &signers[BY_AUTHORITY]);
    signers[BY_LEAF] = identity_new(&leaf, &signers[BY_AUTHORITY]);
    close(mkstemp(authority_file));
    write_pem(authority_file, signers[BY_AUTHORITY].certificate);
    return 0;
}

static int drop_signers(void **state)
{
    (void)state;
    for (size_t i = 0; i < BY_ITSELF; i++)
        identity_clear(&signers[i]);
    return unlink(authority_file);
}

struct attempt {
    const char *host;
    int64_t patience_ms; /* 0: plenty */
    const volatile bool *cancelled;
};

static enum err open_tls(const struct attempt *attempt, uint16_t port,
                         const struct tls_trust *trust, struct fault *fault, struct stream **out)
{
    struct reach *reach = reach_of("*");
    struct stream_target target = {
        .host = attempt->host, .port = port, .tls = true, .reach = reach, .trust = trust};
    int64_t patience_ms = attempt->patience_ms ? attempt->patience_ms : PLENTY_MS;
    enum err err =
        stream_open(&target, clock_now_ms() + patience_ms, attempt->cancelled, fault, out);
    reach_free(&reach);
    return err;
}

static SSL_CTX *context_of(const struct wish *wish, enum signer signer, int version)
{
    struct identity server = identity_new(wish, signer == BY_ITSELF ? NULL : &signers[signer]);
    X509 *chain[2] = {signer == BY_ITSELF ? NULL : signers[signer].certificate, NULL};
    SSL_CTX *context = server_context(&server, chain);
    SSL_CTX_set_max_proto_version(context, version);
    identity_clear(&server);
    return context;
}

/* A whole conversation; the caller frees the stream, and stops the peer. */
static struct stream *open_good(struct peer *peer, struct tls_side *side, int version,
                                struct tls_trust *trust)
{
    static const struct wish wish = FOR("x", "mail.example.com");
    struct fault fault = {0};
    struct stream *stream = NULL;
    side->context = context_of(&wish, BY_AUTHORITY, version);
    peer->detail = side;
    peer_start(peer);
    if (open_tls(&(struct attempt){.host = "mail.example.com"}, peer->port, trust, &fault, &stream))
        fail_msg("open: %s", fault.detail);
    return stream;
}

/* ---- whom we believe ---- */

/* clang-format off */

static const struct {
    const char *host, *asked_name;
    struct wish wish;
    enum signer signer;
} good[] = {
    {"mail.example.com", "mail.example.com", FOR("x", "z.example.com", "mail.example.com"), BY_AUTHORITY},
    {"MAIL.Example.com.", "mail.example.com", FOR("x", "mail.example.com"), BY_AUTHORITY},
    {"mail.example.com", "mail.example.com", FOR("x", "*.example.com"), BY_AUTHORITY},
    {"mail.example.com", "mail.example.com", FOR("x", "mail.example.com"), BY_MIDDLE},
    {"127.0.0.1", "", FOR("x", "127.0.0.1"), BY_AUTHORITY},
};
/* clang-format on */

static void a_good_certificate_is_believed(void **state)
{
    (void)state;
    struct tls_trust *trust = trust_of(authority_file);
    for (size_t i = 0; i < 2 * sizeof good / sizeof good[0]; i++) {
        size_t row = i / 2;
        struct tls_side side = {.hello = "hi"};
        struct peer peer = {.script = tls_serve, .detail = &side};
        struct fault fault = {0};
        struct stream *stream = NULL;
        char text[5];
        side.context = context_of(&good[row].wish, good[row].signer, versions[i % 2]);
        peer_start(&peer);
        if (open_tls(&(struct attempt){.host = good[row].host}, peer.port, trust, &fault, &stream))
            fail_msg("good[%zu]: %s", row, fault.detail);
        assert_true(stream_is_tls(stream));
        assert_int_equal(stream_write(stream, "abc", 3), 3);
        read_whole(stream, text, 5);
        assert_memory_equal(text, "hiabc", 5);
        stream_close(&stream);
        peer_stop(&peer);
        assert_string_equal(side.asked_name, good[row].asked_name);
        assert_int_equal(atomic_load(&peer.app_bytes), 3);
        SSL_CTX_free(side.context);
    }
    tls_trust_free(&trust);
}

static void a_self_signed_certificate_is_believed_when_it_is_the_ca_file(void **state)
{
    (void)state;
    struct wish wish = FOR("x", "mail.example.com");
    struct tls_side side = {.context = context_of(&wish, BY_ITSELF, TLS1_3_VERSION)};
    struct peer peer = {.script = tls_serve, .detail = &side};
    struct fault fault = {0};
    struct stream *stream = NULL;
    struct tls_trust *trust = trust_in(SSL_CTX_get0_certificate(side.context));
    peer_start(&peer);
    assert_int_equal(
        open_tls(&(struct attempt){.host = "mail.example.com"}, peer.port, trust, &fault, &stream),
        OK);
    stream_close(&stream);
    peer_stop(&peer);
    tls_trust_free(&trust);
    SSL_CTX_free(side.context);
}

/* ---- whom we do not ---- */

/* clang-format off */
#define ANOTHER_NAME "certificate is for another name (it names "
#define NOBODY       "signed by an unknown authority"
#define EXPIRED(common, ...)   {.common_name = common, .names = {__VA_ARGS__}, .from_s = -9 * DAY_S, .until_s = -1}
#define TOO_EARLY(common, ...) {.common_name = common, .names = {__VA_ARGS__}, .from_s = DAY_S, .until_s = 9 * DAY_S}
#define FOR_CLIENTS(common, ...) {.common_name = common, .names = {__VA_ARGS__}, .usage = "clientAuth"}

static const struct bad {
    const char *host;
    struct wish wish;
    enum signer signer;
    const char *says;
} bad[] = {
    {"mail.example.com", FOR("x", "a.example.org", "*.example.org"), BY_AUTHORITY, ANOTHER_NAME "a.example.org, *.example.org)"},
    {"mail.example.com", FOR("x", "b", "c", "d", "e", "f"), BY_AUTHORITY, ANOTHER_NAME "b, c, d and 2 more)"},
    {"mail.example.com", FOR("n.example.com", NULL), BY_AUTHORITY, ANOTHER_NAME "n.example.com)"},
    {"mail.example.com", FOR("mail.example.com", "n.example.com"), BY_AUTHORITY, ANOTHER_NAME "n.example.com)"},
    {"mail.example.com", FOR("x", "m*.example.com"), BY_AUTHORITY, ANOTHER_NAME "m*.example.com)"},
    {"mail.example.com", FOR("x", "127.0.0.1"), BY_AUTHORITY, ANOTHER_NAME "127.0.0.1)"},
    {"mail.example.com", FOR("x", "e\r\n\x1b[31m\"<b>"), BY_AUTHORITY, ANOTHER_NAME "e????31m??b?)"},
    {"a.b.example.com", FOR("x", "*.example.com"), BY_AUTHORITY, ANOTHER_NAME "*.example.com)"},
    {"127.0.0.1", FOR("127.0.0.1", "127.0.0.2"), BY_AUTHORITY, ANOTHER_NAME "127.0.0.2)"},
    {"127.0.0.1", FOR("127.0.0.1", NULL), BY_AUTHORITY, ANOTHER_NAME},
    {"127.0.0.1", FOR("x", "mail.example.com", "*"), BY_AUTHORITY, ANOTHER_NAME},
    {"mail.example.com", EXPIRED("x", "mail.example.com"), BY_AUTHORITY, "the mail server's certificate has expired (20"},
    {"mail.example.com", TOO_EARLY("x", "mail.example.com"), BY_AUTHORITY, "is not yet valid (20"},
    {"mail.example.com", FOR("x", "mail.example.com"), BY_OLD_MIDDLE, "an authority of the mail server's certificate has expired"},
    {"mail.example.com", FOR("x", "mail.example.com"), BY_STRANGER, NOBODY},
    {"mail.example.com", FOR("x", "mail.example.com"), BY_NAMESAKE, "certificate"},
    {"mail.example.com", FOR("x", "mail.example.com"), BY_ITSELF, "self-signed"},
    {"mail.example.com", FOR("x", "mail.example.com"), BY_LEAF, "by one that is no authority"},
    {"mail.example.com", FOR_CLIENTS("x", "mail.example.com"), BY_AUTHORITY, "not meant for servers"},
};
/* clang-format on */

static void refuse_one(const struct bad *row, int version, const struct tls_trust *trust)
{
    struct tls_side side = {.context = context_of(&row->wish, row->signer, version)};
    struct peer peer = {.script = tls_serve, .detail = &side};
    struct fault fault = {0};
    struct stream *stream = NULL;
    peer_start(&peer);
    enum err err =
        open_tls(&(struct attempt){.host = row->host}, peer.port, trust, &fault, &stream);
    peer_stop(&peer);
    if (err != ERR_TLS || fault.code != ERR_TLS || !strstr(fault.detail, row->says))
        fail_msg("bad[%zu]: %s, \"%s\"", (size_t)(row - bad), err_name(err), fault.detail);
    assert_null(stream);
    assert_int_equal(atomic_load(&peer.accepted), 1);
    assert_int_equal(atomic_load(&side.handshakes), 0);
    assert_int_equal(atomic_load(&peer.app_bytes), 0);
    SSL_CTX_free(side.context);
}

static void a_bad_certificate_is_refused_and_the_reason_said(void **state)
{
    (void)state;
    struct tls_trust *trust = trust_of(authority_file);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t v = 0; v < 2; v++)
            refuse_one(&bad[i], versions[v], trust);
    tls_trust_free(&trust);
}

static void tls_before_1_2_is_refused(void **state)
{
    (void)state;
    static const struct bad row = {.host = "mail.example.com",
                                   .wish = FOR("x", "mail.example.com"),
                                   .says = "only an older TLS than 1.2"};
    struct tls_trust *trust = trust_of(authority_file);
    refuse_one(&row, TLS1_1_VERSION, trust);
    refuse_one(&row, TLS1_VERSION, trust);
    tls_trust_free(&trust);
}

static void a_ca_file_that_is_none_is_refused(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct tls_trust *trust = NULL;
    assert_int_equal(tls_trust_new("/nonexistent/ca.pem", &fault, &trust), ERR_INVALID);
    assert_non_null(strstr(fault.detail, "/nonexistent/ca.pem"));
    fault_clear(&fault);
    assert_int_equal(tls_trust_new("/dev/null", &fault, &trust), ERR_INVALID);
    assert_null(trust);
}

/* ---- servers that do not speak TLS ---- */

struct raw {
    const char *bytes;
    size_t length;
    enum err err;
    const char *says;
};

/* clang-format off */
#define RAW(text) text, sizeof(text) - 1
#define ZEROS_8   "\0\0\0\0\0\0\0\0"
#define SERVER_HELLO                                                                               \
    "\x16\3\2\0\x2a"                                                                               \
    "\2\0\0\x26"                                                                                   \
    "\3\2" ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 "\0\xc0\x13\0"
/* clang-format on */

static const struct raw raws[] = {
    {RAW("* OK mail.example.com ready\r\n"), ERR_TLS, "not a TLS server"},
    {RAW("+OK ready\r\n"), ERR_TLS, "not a TLS server"},
    {RAW("HTTP/1.1 400 Bad Request\r\n\r\n"), ERR_TLS, "not a TLS server"},
    {RAW(SERVER_HELLO), ERR_TLS, "only an older TLS than 1.2"},
    {RAW("\x15\3\3\0\2\2\x28"), ERR_TLS, "refused the TLS handshake"},
    {RAW("\x15\3\3\0\2\2\x46"), ERR_TLS, "only an older TLS than 1.2"},
    {RAW("\x16\3\3\xff\xff"
         "aaaa"),
     ERR_TLS, ""},
    {RAW("\x16\3\3\0\4\2\xff\xff\xff"), ERR_TLS, ""},
    {RAW(""), ERR_UNREACHABLE, "during the TLS handshake"},
    {RAW("\x16\3\3\0\x2a\2"), ERR_UNREACHABLE, "during the TLS handshake"},
};

/* Hears the client out first: a close with bytes unread would be a reset. */
static void answer_raw(struct peer *peer, int fd)
{
    const struct raw *raw = peer->detail;
    char hello[4096];
    ssize_t got = recv(fd, hello, sizeof hello, 0);
    if (got > 0 && hello[0] != 0x16)
        atomic_fetch_add(&peer->app_bytes, got);
    send(fd, raw->bytes, raw->length, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while ((got = recv(fd, hello, sizeof hello, 0)) > 0)
        if (hello[0] != 0x15) /* an alert */
            atomic_fetch_add(&peer->app_bytes, got);
}

static void a_server_without_tls_gets_nothing(void **state)
{
    (void)state;
    struct tls_trust *trust = trust_of(authority_file);
    for (size_t i = 0; i < sizeof raws / sizeof raws[0]; i++) {
        struct peer peer = {.script = answer_raw, .detail = &raws[i]};
        struct fault fault = {0};
        struct stream *stream = NULL;
        peer_start(&peer);
        enum err err =
            open_tls(&(struct attempt){.host = "127.0.0.1"}, peer.port, trust, &fault, &stream);
        peer_stop(&peer);
        if (err != raws[i].err || !strstr(fault.detail, raws[i].says))
            fail_msg("raws[%zu]: %s, \"%s\"", i, err_name(err), fault.detail);
        assert_int_equal(atomic_load(&peer.app_bytes), 0);
    }
    tls_trust_free(&trust);
}

/* A record of 16,000 bytes, one at a time. */
static void drip_record(struct peer *peer, int fd)
{
    send(fd, "\x16\3\3\x3e\x80\2\0\x3e\x7c", 9, 0);
    while (!atomic_load(&peer->stopping) && send(fd, "", 1, MSG_NOSIGNAL) == 1)
        usleep(10000);
}

static void a_handshake_that_drips_or_hangs_ends_at_the_deadline(void **state)
{
    (void)state;
    void (*const scripts[])(struct peer *, int) = {drip_record, peer_keep_silent};
    struct tls_trust *trust = trust_of(authority_file);
    for (size_t i = 0; i < 2; i++) {
        struct peer peer = {.script = scripts[i]};
        struct attempt attempt = {.host = "127.0.0.1", .patience_ms = SOON_MS};
        struct fault fault = {0};
        struct stream *stream = NULL;
        peer_start(&peer);
        int64_t start_ms = clock_now_ms();
        assert_int_equal(open_tls(&attempt, peer.port, trust, &fault, &stream), ERR_TIMEOUT);
        assert_in_range(clock_now_ms() - start_ms, SOON_MS - 5, SOON_MS + LATE_MS);
        peer_stop(&peer);
    }
    tls_trust_free(&trust);
}

static void *raise_flag(void *flag)
{
    usleep(100000);
    __atomic_store_n((bool *)flag, true, __ATOMIC_RELAXED);
    return NULL;
}

static void a_hanging_handshake_can_be_cancelled(void **state)
{
    (void)state;
    struct tls_trust *trust = trust_of(authority_file);
    struct peer peer = {.script = peer_keep_silent};
    struct fault fault = {0};
    struct stream *stream = NULL;
    bool flag = false;
    pthread_t thread;
    peer_start(&peer);
    int64_t start_ms = clock_now_ms();
    pthread_create(&thread, NULL, raise_flag, &flag);
    struct attempt attempt = {.host = "127.0.0.1", .cancelled = &flag};
    assert_int_equal(open_tls(&attempt, peer.port, trust, &fault, &stream), ERR_CANCELLED);
    assert_in_range(clock_now_ms() - start_ms, 95, LATE_MS);
    pthread_join(thread, NULL);
    peer_stop(&peer);
    tls_trust_free(&trust);
}

/* ---- sessions ---- */

static void resume_with(int version)
{
    struct tls_trust *trust = trust_of(authority_file), *stranger;
    struct tls_side side = {.hello = "hi"};
    struct peer peer = {.script = tls_serve};
    struct fault fault = {0};
    char text[2];
    struct stream *stream = open_good(&peer, &side, version, trust);
    read_whole(stream, text, 2); /* TLS 1.3 sends the tickets in front of it */
    stream_close(&stream);
    assert_int_equal(
        open_tls(&(struct attempt){.host = "Mail.example.com."}, peer.port, trust, &fault, &stream),
        OK);
    read_whole(stream, text, 2);
    stream_close(&stream);
    assert_int_equal(atomic_load(&side.resumptions), 1);

    /* Sessions are at hand; the certificate is still looked at for another name and trust. */
    assert_int_equal(
        open_tls(&(struct attempt){.host = "a.b.example.com"}, peer.port, trust, &fault, &stream),
        ERR_TLS);
    assert_non_null(strstr(fault.detail, ANOTHER_NAME));
    stranger = trust_in(signers[BY_STRANGER].certificate);
    fault_clear(&fault);
    assert_int_equal(open_tls(&(struct attempt){.host = "mail.example.com"}, peer.port, stranger,
                              &fault, &stream),
                     ERR_TLS);
    assert_non_null(strstr(fault.detail, NOBODY));
    peer_stop(&peer);
    assert_int_equal(atomic_load(&side.handshakes), 2);
    assert_int_equal(atomic_load(&side.resumptions), 1);
    SSL_CTX_free(side.context);
    tls_trust_free(&stranger);
    tls_trust_free(&trust);
}

static void a_session_is_resumed_for_its_own_host_and_trust_only(void **state)
{
    (void)state;
    resume_with(TLS1_2_VERSION);
    resume_with(TLS1_3_VERSION);
}

int main(void)
{
    dns = rows;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_certificate_is_believed),
        cmocka_unit_test(a_self_signed_certificate_is_believed_when_it_is_the_ca_file),
        cmocka_unit_test(a_bad_certificate_is_refused_and_the_reason_said),
        cmocka_unit_test(tls_before_1_2_is_refused),
        cmocka_unit_test(a_ca_file_that_is_none_is_refused),
        cmocka_unit_test(a_server_without_tls_gets_nothing),
        cmocka_unit_test(a_handshake_that_drips_or_hangs_ends_at_the_deadline),
        cmocka_unit_test(a_hanging_handshake_can_be_cancelled),
        cmocka_unit_test(a_session_is_resumed_for_its_own_host_and_trust_only),
    };
    return cmocka_run_group_tests(tests, make_signers, drop_signers);
}

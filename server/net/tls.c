/* tls.c - OpenSSL as a client: TLS 1.2 and up, the chain and the host's name verified, always.
 *
 * One SSL_CTX for each trust, shared by all threads. SSL_MODE_RELEASE_BUFFERS gives the record
 * buffers back between records, which is most of what an idle connection would hold.
 */
#include "tls.h"

#include "arena.h"
#include "ip.h"
#include "stream_inner.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define READ_AHEAD_BYTES (32 * 1024)

/* ---- trust ---- */

/* OpenSSL hands over a session when the server has sent it; 1: its reference is ours now. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const struct stream *stream = SSL_get_app_data(ssl);
    if (!SSL_SESSION_is_resumable(session))
        return 0;
    tls_sessions_put(stream->trust->sessions, stream->host, stream->port, session);
    return 1;
}

static void set_up(SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Servers write records of a few KiB; without this each costs two system calls. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_BYTES);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, tls_on_verify);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
}

static bool load(SSL_CTX *context, const char *ca_file)
{
    if (ca_file)
        return SSL_CTX_load_verify_file(context, ca_file) == 1;
    tls_roots_load(SSL_CTX_get_cert_store(context));
    return true;
}

/* What OpenSSL loads at the first connection of a process is loaded now, while files can be read.
 */
static bool warm_up(SSL_CTX *context)
{
    unsigned char byte;
    SSL *ssl = SSL_new(context);
    SSL_free(ssl);
    return ssl && RAND_bytes(&byte, sizeof byte) == 1 && RAND_priv_bytes(&byte, sizeof byte) == 1;
}

enum err tls_trust_new(const char *ca_file, struct fault *fault, struct tls_trust **out)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !warm_up(context)) {
        SSL_CTX_free(context);
        return fault_set(fault, ERR_INTERNAL, "OpenSSL does not start");
    }
    set_up(context);
    if (!load(context, ca_file)) {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());
        SSL_CTX_free(context);
        ERR_clear_error();
        return fault_set(fault, ERR_INVALID, "the CA file \"%.120s\" cannot be used: %s",
                         ca_file ? ca_file : "of the system",
                         why ? why : "it holds no certificate");
    }
    struct tls_trust *trust = xalloc(sizeof *trust);
    trust->context = context;
    trust->sessions = tls_sessions_new();
    *out = trust;
    return OK;
}

void tls_trust_free(struct tls_trust **trust)
{
    if (!*trust)
        return;
    SSL_CTX_free((*trust)->context);
    tls_sessions_free((*trust)->sessions);
    free(*trust);
    *trust = NULL;
}

/* ---- the handshake ---- */

static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    struct ip ignored;
    if (ip_parse(host, &ignored))
        return X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(expected, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1; /* RFC 6066: never an address */
}

static void offer_session(struct stream *stream)
{
    SSL_SESSION *session = tls_sessions_take(stream->trust->sessions, stream->host, stream->port);
    if (!session)
        return;
    SSL_set_session(stream->ssl, session);
    SSL_SESSION_free(session);
}

/* TLS 1.2 may resume without sending a new ticket; the old one then stays good (RFC 5077). */
static void keep_old_session(struct stream *stream)
{
    if (SSL_session_reused(stream->ssl) && SSL_version(stream->ssl) == TLS1_2_VERSION)
        tls_sessions_put(stream->trust->sessions, stream->host, stream->port,
                         SSL_get1_session(stream->ssl));
}

/* 0: try the call again; else the stream has failed. */
static enum err await_ssl(struct stream *stream, int ssl_error)
{
    return stream_await(stream, ssl_error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN);
}

static bool only_waits(int ssl_error)
{
    return ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE;
}

static enum err shake_hands(struct stream *stream)
{
    for (;;) {
        ERR_clear_error();
        int done = SSL_connect(stream->ssl);
        if (done == 1)
            break;
        int error = SSL_get_error(stream->ssl, done);
        if (!only_waits(error)) {
            enum err err = tls_fail_handshake(stream);
            ERR_clear_error();
            return err;
        }
        enum err err = await_ssl(stream, error);
        if (err)
            return err;
    }
    /* OpenSSL has seen to both already; if its defaults ever change, nothing is sent. */
    if (SSL_get_verify_result(stream->ssl) != X509_V_OK || !SSL_get0_peer_certificate(stream->ssl))
        return stream_fail(stream, ERR_TLS, "the mail server's certificate was not verified");
    keep_old_session(stream);
    return OK;
}

enum err tls_handshake(struct stream *stream)
{
    stream->ssl = SSL_new(stream->trust->context);
    if (!stream->ssl || !SSL_set_app_data(stream->ssl, stream) ||
        !expect_host(stream->ssl, stream->host))
        return stream_fail(stream, ERR_INTERNAL, "OpenSSL does not take the mail host's name");
    BIO *bio = tls_socket_new(stream);
    SSL_set_bio(stream->ssl, bio, bio);
    offer_session(stream);
    return shake_hands(stream);
}

/* ---- traffic ---- */

static int clamp_length(size_t length)
{
    return length > INT_MAX ? INT_MAX : (int)length;
}

/* -1 when the stream has failed, 0 to try again. */
static int step_failed(struct stream *stream, int result)
{
    int error = SSL_get_error(stream->ssl, result);
    enum err err = only_waits(error) ? await_ssl(stream, error) : tls_fail_traffic(stream, error);
    return err ? -1 : 0;
}

ssize_t tls_read(struct stream *stream, void *out, size_t capacity)
{
    for (;;) {
        ERR_clear_error();
        int got = SSL_read(stream->ssl, out, clamp_length(capacity));
        if (got > 0)
            return got;
        if (step_failed(stream, got))
            return -1;
    }
}

ssize_t tls_write(struct stream *stream, const void *data, size_t length)
{
    for (;;) {
        ERR_clear_error();
        int sent = SSL_write(stream->ssl, data, clamp_length(length));
        if (sent > 0)
            return sent;
        if (step_failed(stream, sent))
            return -1;
    }
}

void tls_close(struct stream *stream)
{
    if (!stream->ssl)
        return;
    ERR_clear_error();
    /* After a failure OpenSSL forbids a shutdown; and a session must not be spoiled by that. */
    if (stream->failure || !SSL_is_init_finished(stream->ssl))
        SSL_set_shutdown(stream->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    else
        SSL_shutdown(stream->ssl);
    SSL_free(stream->ssl);
    stream->ssl = NULL;
    ERR_clear_error();
}

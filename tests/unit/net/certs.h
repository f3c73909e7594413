/* certs.h - certificates of a test's own making, good and bad, and servers that show them.
 *
 * P-256 keys, made in about a millisecond; nothing is kept but the authority's file, for the time
 * of the program.
 */
#ifndef POSTERN_TEST_CERTS_H
#define POSTERN_TEST_CERTS_H

#include "peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <time.h>

#define DAY_S 86400L

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};

struct wish {
    const char *common_name;
    const char *names[5]; /* subjectAltName: names and addresses */
    long from_s, until_s; /* from now; both 0: yesterday to tomorrow */
    const char *usage;    /* extendedKeyUsage; NULL: serverAuth */
    bool is_authority;
};

static inline void add_extension(X509 *to, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(to, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* By hand, because OpenSSL's own text form would not take a name with control characters in it. */
static inline void add_names(X509 *to, const char *const names[5])
{
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    for (size_t i = 0; i < 5 && names[i]; i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_OCTET_STRING *address = a2i_IPADDRESS(names[i]);
        if (address) {
            GENERAL_NAME_set0_value(name, GEN_IPADD, address);
        } else {
            ASN1_IA5STRING *text = ASN1_IA5STRING_new();
            ASN1_STRING_set(text, names[i], -1);
            GENERAL_NAME_set0_value(name, GEN_DNS, text);
        }
        sk_GENERAL_NAME_push(all, name);
    }
    if (sk_GENERAL_NAME_num(all) > 0)
        assert_int_equal(X509_add1_ext_i2d(to, NID_subject_alt_name, all, 0, 0), 1);
    GENERAL_NAMES_free(all);
    ERR_clear_error();
}

/* `by` NULL: signed by itself. */
static inline struct identity identity_new(const struct wish *wish, const struct identity *by)
{
    static long serial;
    bool dated = wish->from_s || wish->until_s;
    struct identity made = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
    X509 *x = made.certificate;
    assert_non_null(made.key);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), dated ? wish->from_s : -DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(x), dated ? wish->until_s : DAY_S);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               (const unsigned char *)wish->common_name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(by ? by->certificate : x));
    X509_set_pubkey(x, made.key);
    X509 *issuer = by ? by->certificate : x;
    add_extension(x, issuer, NID_subject_key_identifier, "hash");
    if (wish->is_authority) {
        add_extension(x, issuer, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(x, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else {
        add_extension(x, issuer, NID_ext_key_usage, wish->usage ? wish->usage : "serverAuth");
        add_names(x, wish->names);
    }
    assert_true(X509_sign(x, by ? by->key : made.key, EVP_sha256()) > 0);
    return made;
}

static inline void identity_clear(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

/* ---- trust ---- */

static inline void write_pem(const char *path, X509 *certificate)
{
    BIO *file = BIO_new_file(path, "w");
    assert_int_equal(PEM_write_bio_X509(file, certificate), 1);
    BIO_free(file);
}

static inline struct tls_trust *trust_of(const char *file)
{
    struct fault fault = {0};
    struct tls_trust *trust = NULL;
    assert_int_equal(tls_trust_new(file, &fault, &trust), OK);
    return trust;
}

/* Believes in that one certificate. */
static inline struct tls_trust *trust_in(X509 *certificate)
{
    char path[] = "/tmp/postern-test-XXXXXX";
    close(mkstemp(path));
    write_pem(path, certificate);
    struct tls_trust *trust = trust_of(path);
    unlink(path);
    return trust;
}

/* ---- the server's side ---- */

/* `chain`: certificates sent behind its own; ends with NULL; may be NULL. */
static inline SSL_CTX *server_context(const struct identity *identity, X509 *const *chain)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    assert_non_null(context);
    SSL_CTX_set_security_level(context, 0); /* TLS 1.1 wants SHA-1 */
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    assert_int_equal(SSL_CTX_use_certificate(context, identity->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, identity->key), 1);
    for (; chain && *chain; chain++)
        assert_int_equal(SSL_CTX_add1_chain_cert(context, *chain), 1);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"test", 4);
    return context;
}

struct tls_side {
    SSL_CTX *context;
    const char *hello;     /* said after the handshake; may be NULL */
    atomic_int handshakes; /* that came to an end */
    atomic_int resumptions;
    char asked_name[256]; /* SNI of the last; read after peer_stop() */
};

/* Echoes until the client is gone. */
static inline void tls_converse(struct peer *peer, struct tls_side *side, int fd)
{
    char bytes[4096];
    int got;
    SSL *ssl = SSL_new(side->context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        snprintf(side->asked_name, sizeof side->asked_name, "%s", name ? name : "");
        atomic_fetch_add(&side->resumptions, SSL_session_reused(ssl));
        atomic_fetch_add(&side->handshakes, 1);
        if (side->hello)
            SSL_write(ssl, side->hello, (int)strlen(side->hello));
        while ((got = SSL_read(ssl, bytes, sizeof bytes)) > 0) {
            atomic_fetch_add(&peer->app_bytes, got);
            SSL_write(ssl, bytes, got);
        }
    }
    SSL_free(ssl);
    ERR_clear_error();
}

/* A peer's script; its `detail` is a struct tls_side. */
static inline void tls_serve(struct peer *peer, int fd)
{
    tls_converse(peer, (struct tls_side *)peer->detail, fd);
}

#endif

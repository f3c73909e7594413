/* tls_fault.c - what went wrong with TLS, said so that the owner of a mail server knows what to
 * mend.
 *
 * Texts from a certificate are the server's: cleaned to the letters of a host name, and bounded.
 */
#include "tls.h"

#include "stream_inner.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAMES_SHOWN 3
#define NAME_SHOWN  48

struct row {
    int code;
    const char *text;
};

#define UNKNOWN_AUTHORITY "the mail server's certificate is signed by an unknown authority"
#define OLD_TLS           "the mail server speaks only an older TLS than 1.2"
#define NO_TLS            "this is not a TLS server at this port"

static const struct row verify_rows[] = {
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "the mail server has a self-signed certificate"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, UNKNOWN_AUTHORITY},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, UNKNOWN_AUTHORITY},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNKNOWN_AUTHORITY},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, UNKNOWN_AUTHORITY},
    {X509_V_ERR_CERT_UNTRUSTED, UNKNOWN_AUTHORITY},
    {X509_V_ERR_INVALID_PURPOSE, "the mail server's certificate is not meant for servers"},
    {X509_V_ERR_INVALID_CA, "the mail server's certificate is signed by one that is no authority"},
    {X509_V_ERR_EE_KEY_TOO_SMALL, "the mail server's certificate has too small a key"},
    {X509_V_ERR_CA_KEY_TOO_SMALL,
     "an authority of the mail server's certificate has too small a key"},
    {X509_V_ERR_CA_MD_TOO_WEAK, "the mail server's certificate is signed with too weak a digest"},
};

static const struct row reason_rows[] = {
    {SSL_R_WRONG_VERSION_NUMBER, NO_TLS},
    {SSL_R_HTTP_REQUEST, NO_TLS},
    {SSL_R_PACKET_LENGTH_TOO_LONG, NO_TLS},
    {SSL_R_UNSUPPORTED_PROTOCOL, OLD_TLS},
    {SSL_R_VERSION_TOO_LOW, OLD_TLS},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, OLD_TLS},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the mail server refused the TLS handshake"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "the mail server knows no host of that name"},
};

#define FIND(rows, code) find_row((rows), sizeof(rows) / sizeof(rows)[0], (code))

static const char *find_row(const struct row *rows, size_t count, int code)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].code == code)
            return rows[i].text;
    return NULL;
}

/* ---- the certificate ---- */

struct names {
    char text[NAMES_SHOWN * (NAME_SHOWN + 2) + 1];
    size_t used;
    unsigned count;
};

static void add_name(struct names *names, const char *name, size_t length)
{
    if (names->count++ >= NAMES_SHOWN)
        return;
    if (names->used > 0) {
        names->text[names->used++] = ',';
        names->text[names->used++] = ' ';
    }
    for (size_t i = 0; i < length && i < NAME_SHOWN; i++) {
        char c = name[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-_.:* ", c));
        names->text[names->used++] = plain ? c : '?';
    }
    names->text[names->used] = '\0';
}

static void add_address(struct names *names, const ASN1_OCTET_STRING *address)
{
    char text[INET6_ADDRSTRLEN] = "?";
    int length = ASN1_STRING_length(address);
    if (length == 4 || length == 16)
        inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text,
                  sizeof text);
    add_name(names, text, strlen(text));
}

static void add_common_name(struct names *names, X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return;
    const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    add_name(names, (const char *)ASN1_STRING_get0_data(name), (size_t)ASN1_STRING_length(name));
}

static void collect_names(struct names *names, X509 *certificate)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type == GEN_DNS)
            add_name(names, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                     (size_t)ASN1_STRING_length(name->d.dNSName));
        else if (name->type == GEN_IPADD)
            add_address(names, name->d.iPAddress);
    }
    GENERAL_NAMES_free(all);
    if (names->count == 0)
        add_common_name(names, certificate);
}

static void fail_name(struct stream *stream, X509 *certificate)
{
    struct names names = {.text = ""};
    collect_names(&names, certificate);
    if (names.count > NAMES_SHOWN)
        stream_fail(stream, ERR_TLS,
                    "the mail server's certificate is for another name (it names %s and %u more)",
                    names.text, names.count - NAMES_SHOWN);
    else
        stream_fail(stream, ERR_TLS,
                    "the mail server's certificate is for another name (it names %s)",
                    names.count ? names.text : "none");
}

/* `depth` 0: the server's own certificate; above: one that signed it. */
static void fail_date(struct stream *stream, int depth, const char *what, const ASN1_TIME *time)
{
    struct tm at = {0};
    char day[16] = "?";
    if (time && ASN1_TIME_to_tm(time, &at))
        strftime(day, sizeof day, "%Y-%m-%d", &at);
    stream_fail(stream, ERR_TLS, "%sthe mail server's certificate %s (%s)",
                depth > 0 ? "an authority of " : "", what, day);
}

int tls_on_verify(int good, X509_STORE_CTX *store)
{
    if (good)
        return 1;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct stream *stream = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    int code = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
    const char *text = FIND(verify_rows, code);

    if (code == X509_V_ERR_CERT_HAS_EXPIRED)
        fail_date(stream, depth, "has expired", X509_get0_notAfter(certificate));
    else if (code == X509_V_ERR_CERT_NOT_YET_VALID)
        fail_date(stream, depth, "is not yet valid", X509_get0_notBefore(certificate));
    else if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH)
        fail_name(stream, X509_STORE_CTX_get0_cert(store));
    else if (text)
        stream_fail(stream, ERR_TLS, "%s", text);
    else
        stream_fail(stream, ERR_TLS, "the mail server's certificate is not good: %s",
                    X509_verify_cert_error_string(code));
    return 0;
}

/* ---- the conversation ---- */

static const char *own_words(unsigned long error)
{
    const char *words = ERR_reason_error_string(error);
    return words ? words : "no reason given";
}

enum err tls_fail_handshake(struct stream *stream)
{
    unsigned long error = ERR_peek_error();
    if (stream->failure)
        return stream->failure;
    if (stream->at_eof)
        return stream_fail(stream, ERR_UNREACHABLE,
                           "the mail server closed the connection during the TLS handshake");
    if (stream->socket_errno)
        return stream_fail_errno(stream, stream->socket_errno);
    const char *text = FIND(reason_rows, ERR_GET_REASON(error));
    if (text && ERR_GET_LIB(error) == ERR_LIB_SSL)
        return stream_fail(stream, ERR_TLS, "%s", text);
    return stream_fail(stream, ERR_TLS, "the TLS handshake failed: %s", own_words(error));
}

enum err tls_fail_traffic(struct stream *stream, int ssl_error)
{
    unsigned long error = ERR_peek_error();
    if (stream->socket_errno)
        return stream_fail_errno(stream, stream->socket_errno);
    if (ssl_error == SSL_ERROR_ZERO_RETURN || ssl_error == SSL_ERROR_SYSCALL || stream->at_eof)
        return stream_fail_closed(stream);
    return stream_fail(stream, ERR_TLS, "the TLS connection broke: %s", own_words(error));
}

/* tls.h - TLS over a connected stream: the handshake, then reads and writes that wait.
 *
 * Everything here fails the stream itself (stream_fail) and returns the code, or -1.
 */
#ifndef POSTERN_TLS_H
#define POSTERN_TLS_H

#include "stream.h"

#include <openssl/ssl.h>

struct tls_sessions;

struct tls_trust {
    SSL_CTX *context;              /* owned */
    struct tls_sessions *sessions; /* owned */
};

/* tls_roots.c: what the system trusts, read whole. */
void tls_roots_load(X509_STORE *store);

enum err tls_handshake(struct stream *stream);
ssize_t tls_read(struct stream *stream, void *out, size_t capacity);
ssize_t tls_write(struct stream *stream, const void *data, size_t length); /* some of it */
void tls_close(struct stream *stream); /* says goodbye when it can be said without waiting */

/* tls_socket.c: our BIO, which sends with MSG_NOSIGNAL and hears of deadlines. */
BIO *tls_socket_new(struct stream *stream);

/* tls_fault.c: failures in words. */
int tls_on_verify(int good, X509_STORE_CTX *store); /* an OpenSSL verify callback */
enum err tls_fail_handshake(struct stream *stream);
enum err tls_fail_traffic(struct stream *stream, int ssl_error);

/* tls_sessions.c: sessions to resume, each used once; safe from every thread. */
struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions *sessions);
SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions, const char *host, uint16_t port);
/* Takes over the caller's reference. */
void tls_sessions_put(struct tls_sessions *sessions, const char *host, uint16_t port,
                      SSL_SESSION *session);

#endif

/* tls_sessions.c - TLS sessions to resume, by host and port, for one trust.
 *
 * A resumed handshake skips the certificate, so a session is only ever offered to the host and port
 * it was verified for, and only for SESSION_LIFE_S. Each is used once, as RFC 8446
 * appendix C.4 wants; the server sends new ones. Holds at most SESSIONS_MAX, each a few KiB with
 * the certificate chain in it.
 */
#include "tls.h"

#include "arena.h"
#include "clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS_MAX   64
#define SESSION_LIFE_S 3600

struct kept_session {
    SSL_SESSION *session; /* owned; NULL: a free row */
    char *host;           /* owned */
    uint16_t port;
    uint64_t stamp;
};

struct tls_sessions {
    pthread_mutex_t mutex;
    uint64_t clock;
    struct kept_session kept[SESSIONS_MAX];
};

struct tls_sessions *tls_sessions_new(void)
{
    struct tls_sessions *sessions = xalloc(sizeof *sessions);
    pthread_mutex_init(&sessions->mutex, NULL);
    return sessions;
}

static void clear_row(struct kept_session *row)
{
    SSL_SESSION_free(row->session);
    free(row->host);
    *row = (struct kept_session){0};
}

void tls_sessions_free(struct tls_sessions *sessions)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        clear_row(&sessions->kept[i]);
    pthread_mutex_destroy(&sessions->mutex);
    free(sessions);
}

/* OpenSSL does not look at the age of a TLS 1.2 session it is told to resume. */
static bool is_young(const SSL_SESSION *session)
{
    int64_t age_s = clock_unix_s() - (int64_t)SSL_SESSION_get_time(session);
    return age_s >= 0 && age_s < SESSION_LIFE_S;
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions, const char *host, uint16_t port)
{
    struct kept_session *newest = NULL;
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&sessions->mutex);
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct kept_session *row = &sessions->kept[i];
        if (row->session && row->port == port && strcmp(row->host, host) == 0 &&
            (!newest || row->stamp > newest->stamp))
            newest = row;
    }
    if (newest) {
        session = newest->session;
        newest->session = NULL;
        clear_row(newest);
    }
    pthread_mutex_unlock(&sessions->mutex);
    if (session && !is_young(session)) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    return session;
}

void tls_sessions_put(struct tls_sessions *sessions, const char *host, uint16_t port,
                      SSL_SESSION *session)
{
    pthread_mutex_lock(&sessions->mutex);
    struct kept_session *oldest = &sessions->kept[0];
    for (size_t i = 1; i < SESSIONS_MAX; i++)
        if (sessions->kept[i].stamp < oldest->stamp) /* a free row's stamp is 0 */
            oldest = &sessions->kept[i];
    clear_row(oldest);
    *oldest = (struct kept_session){
        .session = session,
        .host = xstrdup(host),
        .port = port,
        .stamp = ++sessions->clock,
    };
    pthread_mutex_unlock(&sessions->mutex);
}

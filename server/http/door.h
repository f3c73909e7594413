/* door.h - what the files of this layer share.
 *
 * Two threads live here: libmicrohttpd's (the HTTP thread), which runs every callback, and the
 * attendant (watcher.c), which sees clients leave and ends slow ones. A `struct peer` is one TCP
 * connection and embeds its exchange, for libmicrohttpd serves one request of a connection at a
 * time.
 *
 * Locks: server->lock, then a pipe's or a wake's, then libmicrohttpd's own. No callback of the
 * application runs under a lock of ours.
 */
#ifndef POSTERN_HTTP_DOOR_H
#define POSTERN_HTTP_DOOR_H

#include "http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#define HTTP_BLOCK_BYTES      (64 * 1024)
#define HTTP_REQUEST_ID_BYTES 65
#define HTTP_REMOTE_BYTES     48
#define HTTP_ADDRESS_BYTES    128
#define HTTP_LINGERERS        64

/* Marks in the attendant's epoll: a peer's is its generation (31 bits) and slot. */
#define PEER_GENERATION_MASK 0x7fffffffu
#define WATCHER_LINGER       (1ull << 63) /* and a slot of `lingerers` */
#define WATCHER_STOP         UINT64_MAX

/* Where a connection stands; only peer_enter() moves it, under server->lock. */
enum phase {
    PHASE_HEADERS, /* a request is arriving, not yet admitted */
    PHASE_BODY,    /* admitted; its body is arriving */
    PHASE_HANDED,  /* complete; `handle` runs */
    PHASE_AWAIT,   /* suspended until the application answers */
    PHASE_SENDING, /* the answer is queued */
    PHASE_IDLE,    /* between requests */
    PHASE_COUNT
};

/* What the HTTP thread does with the exchange next; only that thread looks. */
enum stage { STAGE_NEW, STAGE_BODY, STAGE_HANDED, STAGE_QUEUED };

/* exchange.gate: the meeting of the HTTP thread, the answering thread and the attendant. */
#define GATE_ANSWERED 1u
#define GATE_PARKED   2u
#define GATE_LEFT     4u

struct header_line {
    const char *name, *value; /* in the exchange's arena */
    struct header_line *next;
};

struct wake;

struct exchange {
    struct http_server *server; /* borrowed */
    struct peer *peer;          /* borrowed: embeds this */
    struct MHD_Connection *connection;
    struct arena arena;
    enum stage stage;
    bool announced; /* the application has seen it: `done` is owed */

    /* request */
    enum http_method method;
    const char *method_name, *path, *query;
    size_t target_length;
    bool is_http_1_1, is_chunked, target_is_bad;
    uint64_t content_length; /* 0 when chunked or none */
    struct buf body;
    size_t discarded_bytes; /* of a body that turned out too large */
    bool body_unread;       /* refused while the client may still be sending */
    char request_id[HTTP_REQUEST_ID_BYTES];
    int64_t started_us;
    void *app_data;

    /* answer: written before GATE_ANSWERED, read after */
    struct header_line *headers;
    int status;
    struct MHD_Response *response; /* owned until queued */
    uint64_t body_bytes;
    struct pipe *pipe; /* the reader's reference */
    int64_t pipe_length;
    struct wake *wake;

    _Atomic unsigned gate;
    int leaving; /* under server->lock: `left` runs; the exchange must not go away */
};

struct peer {
    struct http_server *server; /* borrowed */
    struct MHD_Connection *connection;
    int fd;
    uint32_t slot, generation; /* its name in the attendant's epoll, see peer_find */
    enum phase phase;
    int64_t phase_since_ms;
    bool watched, armed; /* in the attendant's epoll; will report there */
    bool has_spoken;     /* a request line came */
    bool ended;          /* shut down by us */
    char remote[HTTP_REMOTE_BYTES];
    struct exchange exchange;
};

struct peer_slot {
    struct peer *peer; /* NULL while free */
    uint32_t generation;
    uint32_t next_free;
};

struct lingerer {
    int fd_plus_1; /* 0: free */
    int64_t until_ms;
};

struct http_server {
    struct http_config config; /* its strings are not kept */
    struct http_handler handler;
    struct MHD_Daemon *daemon;
    int listen_fd; /* -1 once given to libmicrohttpd */
    char address[HTTP_ADDRESS_BYTES];
    char *cors_origins; /* owned; NULL for off */
    char id_prefix[20];
    uint64_t id_next; /* HTTP thread */
    atomic_bool quiesced;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* exchanges_open fell to 0, or a `left` returned */
    struct peer_slot *slots;
    uint32_t slots_size, slots_free, peers_open, exchanges_open;

    pthread_t attendant;
    int epoll_fd, stop_fd;
    struct lingerer lingerers[HTTP_LINGERERS]; /* under lock */
};

/* listener.c */
enum err listener_open(const char *address, struct fault *fault, int *fd_out,
                       char out[HTTP_ADDRESS_BYTES]);
void listener_unlink(const char *address); /* removes a unix socket's file */

/* peer.c */
void peer_notify(void *argument, struct MHD_Connection *connection, void **socket_data,
                 enum MHD_ConnectionNotificationCode code);
struct peer *peer_of(struct MHD_Connection *connection);
struct peer *peer_find(struct http_server *server, uint32_t slot, uint32_t generation);
void peer_enter(struct peer *peer, enum phase phase); /* takes server->lock */
/* A whole answer straight to the socket, where libmicrohttpd offers no way to give one. Only in
 * phases in which libmicrohttpd itself sends nothing. */
void peer_last_words(const struct peer *peer, int status);

/* request.c */
void *request_open(void *argument, const char *uri, struct MHD_Connection *connection);
enum MHD_Result request_continue(void *argument, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **request);
void request_close(void *argument, struct MHD_Connection *connection, void **request,
                   enum MHD_RequestTerminationCode reason);

/* upload.c */
enum MHD_Result upload_take(struct exchange *exchange, const char *data, size_t length);

/* admission.c: what is wrong with it as HTTP; fills method, content_length and the id. */
enum err admission_check(struct exchange *exchange, const char *method, const char *version,
                         struct fault *fault);

/* reply.c */
/* The answer depends on that header of the request too: all of them stand in one Vary. */
void reply_vary(struct exchange *exchange, const char *request_header);
void reply_dress(struct exchange *exchange, struct MHD_Response *response,
                 const char *content_type);
void reply_give(struct exchange *exchange, int status, struct MHD_Response *response);

/* stream.c */
void stream_break(
    struct exchange *exchange); /* under server->lock; the reader ends with an error */
void stream_release(struct exchange *exchange);

/* wake.c */
struct wake *wake_take(struct MHD_Connection *connection);
void wake_give(struct wake *wake);
void wake_reset(struct wake *wake);
void wake_wait(struct wake *wake); /* the connection is suspended already */
void wake_ring(void *wake);

/* watcher.c: the attendant */
bool watcher_start(struct http_server *server);
void watcher_stop(struct http_server *server);
void watcher_arm(struct peer *peer); /* under server->lock */
void watcher_forget(struct peer *peer);

/* linger.c */
void linger_take(struct peer *peer);
void linger_drain(struct http_server *server, uint32_t slot);
void linger_expire(struct http_server *server);
void linger_close_all(struct http_server *server);

/* exchange.c: `left`, at most once, unless answered; under server->lock, let go meanwhile. */
void exchange_leave(struct exchange *exchange);

/* sweeper.c */
int sweeper_period_ms(const struct http_config *config);
void sweeper_sweep(struct http_server *server); /* takes server->lock */

/* cors.c */
bool cors_is_preflight(const struct exchange *exchange);
void cors_answer_preflight(struct exchange *exchange);
void cors_dress(struct exchange *exchange);

/* gzip.c: false when it gains nothing. */
bool gzip_pack(const char *data, size_t length, char **out, size_t *out_length);

#endif

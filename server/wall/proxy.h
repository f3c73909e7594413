/* proxy.h - what the proxy's own files share: one connection as the main process sees it, and one
 * call on it.
 *
 * Three reactions to what comes back. What no honest worker writes is accused: the worker is ended.
 * What an honest worker may pass on from a lying mail server must not cost the worker's other
 * connections: a record that nobody asked for is dropped, and what cannot be dropped ends this
 * connection with ERR_PROTOCOL. What a sink refuses is read away, so that the connection lives.
 */
#ifndef POSTERN_PROXY_H
#define POSTERN_PROXY_H

#include "crew.h"
#include "record.h"

struct walled {
    struct backend backend;
    struct channel channel;
    struct berth *berth;
    uint16_t last_call;
    bool cancelled; /* atomic: set by any thread, then the channel is shut down */
    bool lost;      /* the channel ended by itself */
    uint32_t folders_max;
    char *selected; /* owned; backend.selected points to it */
    uint32_t caps;  /* of backend_info, with the next two */
    char *capability_text, *server_name;
};

/* A call: what is asked, whom to tell, and what was seen so far. */
struct exchange {
    struct walled *self;
    struct call *call;
    struct request request;
    /* Looked at while waiting; NULL: only walled.cancelled counts. */
    const volatile bool *cancelled;
    /* one of these, by kind */
    struct change_sink *changes;
    struct folder_sink *folders;
    struct preview_sink *previews;
    struct header_sink *headers;
    struct sink *bytes;

    struct arena arena; /* of one frame */
    bool has_facts, has_info, has_expect;
    uint32_t told;            /* records of the call's own kind */
    uint64_t passed;          /* bytes of content, or of headers */
    struct uid_range *ranges; /* owned; pieces so far */
    uint32_t range_count, range_capacity;
    struct quota_resource *resources; /* in call->arena */
    uint64_t value;                   /* of the end */
    enum err refused;                 /* by the sink; the rest is read away */
    uint64_t drained;                 /* bytes read away */
};

/* Asks, tells the sinks, waits for the end. */
enum err proxy_run(struct exchange *exchange);
/* ERR_WORKER; the worker is ended, and so is this connection. */
enum err proxy_accuse(struct exchange *exchange, const char *what);

/* ---- proxy_deliver.c ---- */

/* One answer but the last. OK also after a refusal, which is noted. */
enum err proxy_deliver(struct exchange *exchange, const struct answer *answer);
/* The end of a call that went well: was all told that had to be? */
enum err proxy_conclude(struct exchange *exchange, uint64_t value);

#endif

/* request.h - one HTTP request on its way through this layer.
 *
 * It has two owners while a task runs: the exchange, until `done`, and the task, until its last
 * step. So a download's client may leave, and its exchange end, while the worker still streams.
 * `exchange` is touched by one thread at a time and not at all after the reply; the strings of a
 * request that outlive it stand in `arena`.
 *
 * A handler is a chain of steps. Each step ends in exactly one of: a reply, request_fail(), or
 * request_need() with the next step; nothing of the request is touched after that.
 */
#ifndef POSTERN_API_REQUEST_H
#define POSTERN_API_REQUEST_H

#include "api.h"
#include "negotiate.h"
#include "params.h"
#include "task.h"

#include <pthread.h>

struct request;
struct route;

typedef void request_step(struct request *request);

enum path_value { PATH_ACCOUNT, PATH_FOLDER, PATH_MESSAGE, PATH_PART, PATH_VALUE_COUNT };

/* Where an answer's knowledge comes from; the worst of what went into it is told. */
enum mail_source { SOURCE_NONE, SOURCE_LIVE, SOURCE_MIRROR, SOURCE_STALE, SOURCE_COUNT };

struct request_times {
    int64_t queue_us, connect_us, upstream_us, mirror_us;
};

struct request {
    struct api *api;           /* borrowed */
    struct exchange *exchange; /* borrowed, until the reply */
    struct arena arena;
    const struct route *route; /* NULL: no such path */
    bool is_head;
    const char *path[PATH_VALUE_COUNT]; /* decoded; NULL where the template has none */
    struct params params;
    struct freshness freshness;

    struct session *session; /* one reference */
    bool is_basic;
    struct seat *seat; /* the account asked for, or the one a task is for */
    struct task task;  /* .call is the request's call on every thread */

    pthread_mutex_t lock;
    int owners;
    bool active; /* a task is under way and may be cancelled */
    bool left;

    /* the chain */
    bool on_worker;
    request_step *next;
    bool takes_fault;     /* the next step wants to see the need's failure itself; once */
    struct fault excused; /* what stale-if-error forgave */

    enum mail_source source;
    int64_t age_s;
    void *state; /* the handler's own, in the arena */

    /* the message asked for, see flow.h */
    struct message_place place;
    struct folder_row folder;
    struct message_row row;
    struct message message;
    unsigned wants;
    bool asked_folders, asked_folder;
    request_step *found;

    /* for the log line, written before the reply or under lock */
    enum err error;
    char account_id[ACCOUNT_ID_BYTES];
    struct request_times times;
};

struct api {
    struct api_config config;
    struct http_server *server; /* borrowed; NULL until the listener stands */
};

struct request *request_new(struct api *api, struct exchange *exchange);
void request_drop(struct request *request);
static inline struct call *request_call(struct request *request)
{
    return &request->task.call;
}

/* The last act of a step: `next` runs when the need is met. A failure goes to request_fail, unless
 * the step takes faults or stale-if-error forgives it. */
void request_need(struct request *request, enum task_need need, int64_t folder, request_step *next);
/* The client has gone: whatever runs for it is not wanted any more. Any thread. */
void request_cancel(struct request *request);
/* `source` and how old the knowledge is; the worst counts. */
void request_source(struct request *request, enum mail_source source, int64_t synced_ms);

/* ---- last acts ---- */
/* The problem of the call's fault. */
void request_fail(struct request *request);
void request_fail_with(struct request *request, const struct fault *fault);
/* Takes the buffer's bytes. */
void request_reply_json(struct request *request, int status, struct buf *body);
void request_reply(struct request *request, int status, const char *type, struct buf *body);
void request_reply_text(struct request *request, int status, const char *type, const char *text);
void request_reply_empty(struct request *request, int status);
/* Starts a stream whose writer the caller stays; ends by request_end_stream. */
void request_start_stream(struct request *request, int status, const char *type, struct pipe *pipe,
                          int64_t length);
/* Ends the stream, drops the writer's reference and the task's ownership. */
void request_end_stream(struct request *request, struct pipe *pipe, enum err result);

void request_set_header(struct request *request, const char *name, const char *value);
/* Headers stay once set: these only where nothing can fail any more. */
void request_set_validator(struct request *request, const char *etag, const char *cache_control);
/* True when If-None-Match has it: 304 has been answered. */
bool request_not_modified(struct request *request, const char *etag, const char *cache_control);

#define CACHE_REVALIDATE "private, no-cache"
#define CACHE_IMMUTABLE  "private, max-age=31536000, immutable"
#define JSON_TYPE        "application/json"
#define NDJSON_TYPE      "application/x-ndjson"

#endif

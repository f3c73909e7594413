/* backend.c - the only caller of backend_ops: arguments asserted, time accounted, calls counted. */
#include "backend.h"
#include "metric.h"
#include "text.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum command {
    COMMAND_OPEN,
    COMMAND_NOOP,
    COMMAND_LIST_FOLDERS,
    COMMAND_SYNC,
    COMMAND_FETCH_OLDER,
    COMMAND_FETCH_ONE,
    COMMAND_PREVIEWS,
    COMMAND_READ_PART,
    COMMAND_PART_SIZE,
    COMMAND_READ_HEADERS,
    COMMAND_CHANGE_FLAGS,
    COMMAND_QUOTA,
    COMMAND_COUNT
};

static const char *const command_names[COMMAND_COUNT] = {
    [COMMAND_OPEN] = "open",
    [COMMAND_NOOP] = "noop",
    [COMMAND_LIST_FOLDERS] = "list_folders",
    [COMMAND_SYNC] = "sync",
    [COMMAND_FETCH_OLDER] = "fetch_older",
    [COMMAND_FETCH_ONE] = "fetch_one",
    [COMMAND_PREVIEWS] = "previews",
    [COMMAND_READ_PART] = "read_part",
    [COMMAND_PART_SIZE] = "part_size",
    [COMMAND_READ_HEADERS] = "read_headers",
    [COMMAND_CHANGE_FLAGS] = "change_flags",
    [COMMAND_QUOTA] = "quota",
};

static const char *const protocol_names[PROTOCOL_COUNT] = {
    [PROTOCOL_IMAP] = "imap",
    [PROTOCOL_POP3] = "pop3",
};

static const char *const security_names[SECURITY_COUNT] = {
    [SECURITY_TLS] = "tls",
    [SECURITY_STARTTLS] = "starttls",
    [SECURITY_NONE] = "none",
};

const char *backend_protocol_name(enum backend_protocol protocol)
{
    assert(protocol < PROTOCOL_COUNT);
    return protocol_names[protocol];
}

const char *backend_security_name(enum backend_security security)
{
    assert(security < SECURITY_COUNT);
    return security_names[security];
}

uint16_t backend_usual_port(enum backend_protocol protocol, enum backend_security security)
{
    static const uint16_t ports[PROTOCOL_COUNT][SECURITY_COUNT] = {
        [PROTOCOL_IMAP] = {[SECURITY_TLS] = 993, [SECURITY_STARTTLS] = 143, [SECURITY_NONE] = 143},
        [PROTOCOL_POP3] = {[SECURITY_TLS] = 995, [SECURITY_STARTTLS] = 110, [SECURITY_NONE] = 110},
    };
    return ports[protocol][security];
}

/* ---- whose server it is, coarsely enough to be a label ---- */

enum host_class {
    HOST_OTHER,
    HOST_LOCAL,
    HOST_GOOGLE,
    HOST_MICROSOFT,
    HOST_YAHOO,
    HOST_APPLE,
    HOST_CLASS_COUNT
};

static const char *const host_class_names[HOST_CLASS_COUNT] = {
    [HOST_OTHER] = "other",         [HOST_LOCAL] = "local", [HOST_GOOGLE] = "google",
    [HOST_MICROSOFT] = "microsoft", [HOST_YAHOO] = "yahoo", [HOST_APPLE] = "apple",
};

static const struct {
    const char *suffix;
    enum host_class class;
} host_rows[] = {
    {"localhost", HOST_LOCAL},
    {"127.0.0.1", HOST_LOCAL},
    {"::1", HOST_LOCAL},
    {"gmail.com", HOST_GOOGLE},
    {"googlemail.com", HOST_GOOGLE},
    {"outlook.com", HOST_MICROSOFT},
    {"office365.com", HOST_MICROSOFT},
    {"yahoo.com", HOST_YAHOO},
    {"aol.com", HOST_YAHOO},
    {"me.com", HOST_APPLE},
    {"icloud.com", HOST_APPLE},
};

static enum host_class classify_host(const char *host)
{
    size_t length = strlen(host);
    for (size_t i = 0; i < sizeof host_rows / sizeof *host_rows; i++) {
        size_t suffix = strlen(host_rows[i].suffix);
        if (length >= suffix && text_casecmp(host + length - suffix, host_rows[i].suffix) == 0 &&
            (length == suffix || host[length - suffix - 1] == '.'))
            return host_rows[i].class;
    }
    return HOST_OTHER;
}

/* ---- accounting ---- */

struct timed {
    struct backend *backend;
    struct call *call;
    enum backend_protocol protocol;
    unsigned host_class;
    enum command command;
    int64_t began_us;
};

static struct timed timed_begin(struct backend *backend, struct call *call, enum command command)
{
    assert(backend && call && call->arena);
    return (struct timed){
        .backend = backend,
        .call = call,
        .protocol = backend->protocol,
        .host_class = backend->host_class,
        .command = command,
        .began_us = clock_now_us(),
    };
}

static struct metric *seconds_metric(const struct timed *timed)
{
    static _Atomic(struct metric *) known[PROTOCOL_COUNT][HOST_CLASS_COUNT][COMMAND_COUNT];
    _Atomic(struct metric *) *slot = &known[timed->protocol][timed->host_class][timed->command];
    struct metric *metric = atomic_load(slot);
    if (!metric) {
        char labels[160];
        snprintf(labels, sizeof labels, "protocol=\"%s\",command=\"%s\",host_class=\"%s\"",
                 backend_protocol_name(timed->protocol), command_names[timed->command],
                 host_class_names[timed->host_class]);
        metric = metric_get(METRIC_HISTOGRAM_SECONDS, "postern_upstream_seconds",
                            "Time of calls to mail servers, by command and kind of host", labels);
        atomic_store(slot, metric);
    }
    return metric;
}

static void count_failure(const struct timed *timed, enum err err)
{
    char labels[160];
    snprintf(labels, sizeof labels, "protocol=\"%s\",command=\"%s\",error=\"%s\"",
             backend_protocol_name(timed->protocol), command_names[timed->command], err_name(err));
    metric_add(metric_get(METRIC_COUNTER, "postern_upstream_failures_total",
                          "Calls to mail servers that failed, by command and error", labels),
               1);
}

static enum err timed_end(const struct timed *timed, enum err err)
{
    int64_t took_us = clock_now_us() - timed->began_us;
    if (timed->command == COMMAND_OPEN)
        timed->call->connect_us += took_us;
    else
        timed->call->upstream_us += took_us;
    metric_observe_us(seconds_metric(timed), took_us);
    if (err)
        count_failure(timed, err);
    if (err_kills_connection(err))
        timed->backend->dead = true;
    return err;
}

/* ---- calls ---- */

enum err backend_open(const struct backend_ops *ops, const struct backend_target *target,
                      struct call *call, const volatile bool *cancelled, struct backend **out)
{
    assert(ops && target && target->world && target->host && target->username && call && out);
    assert((target->password != NULL) != (target->access_token != NULL));
    struct backend class = {.protocol = target->protocol,
                            .host_class = (uint8_t)classify_host(target->host)};
    struct timed timed = timed_begin(&class, call, COMMAND_OPEN);
    *out = NULL;
    enum err err = backend_check_username(target->username, "/username", &call->fault);
    if (!err)
        err = target->password
                  ? backend_check_password(target->password, "/password", &call->fault)
                  : backend_check_token(target->access_token, "/accessToken", &call->fault);
    if (!err)
        err = ops->open(target, call, cancelled, out);
    else if (target->connected)
        close(target->socket); /* open's from the first moment */
    if (!err)
        (*out)->host_class = class.host_class;
    return timed_end(&timed, err);
}

void backend_close(struct backend **backend)
{
    if (*backend)
        (*backend)->ops->close(*backend);
    *backend = NULL;
}

void backend_cancel(struct backend *backend)
{
    backend->ops->cancel(backend);
}

void backend_info_get(struct backend *backend, struct arena *arena, struct backend_info *out)
{
    backend->ops->info(backend, arena, out);
}

int backend_fd(struct backend *backend)
{
    return backend->ops->fd(backend);
}

enum err backend_noop(struct backend *backend, struct call *call)
{
    struct timed timed = timed_begin(backend, call, COMMAND_NOOP);
    return timed_end(&timed, backend->ops->noop(backend, call));
}

enum err backend_list_folders(struct backend *backend, struct call *call, bool with_status,
                              struct folder_sink *sink)
{
    struct timed timed = timed_begin(backend, call, COMMAND_LIST_FOLDERS);
    assert(sink && sink->folder);
    return timed_end(&timed, backend->ops->list_folders(backend, call, with_status, sink));
}

static void assert_known(const struct folder_known *known)
{
    (void)known;
    assert(known && known->remote && known->generation != 0 && known->floor != 0);
}

enum err backend_sync(struct backend *backend, struct call *call, const struct folder_known *known,
                      uint32_t first_page, struct change_sink *sink)
{
    struct timed timed = timed_begin(backend, call, COMMAND_SYNC);
    assert(known && known->remote && known->generation != 0);
    assert(sink->folder && sink->message && sink->flags && sink->present && sink->removed);
    return timed_end(&timed, backend->ops->sync(backend, call, known, first_page, sink));
}

enum err backend_fetch_older(struct backend *backend, struct call *call,
                             const struct folder_known *known, uint32_t count,
                             struct change_sink *sink, uint32_t *floor)
{
    struct timed timed = timed_begin(backend, call, COMMAND_FETCH_OLDER);
    assert_known(known);
    assert(count > 0 && sink->folder && sink->message);
    return timed_end(&timed, backend->ops->fetch_older(backend, call, known, count, sink, floor));
}

enum err backend_fetch_one(struct backend *backend, struct call *call,
                           const struct folder_known *known, uint32_t uid, struct change_sink *sink)
{
    struct timed timed = timed_begin(backend, call, COMMAND_FETCH_ONE);
    assert(known && known->remote && uid != 0 && sink->message);
    return timed_end(&timed, backend->ops->fetch_one(backend, call, known, uid, sink));
}

enum err backend_previews(struct backend *backend, struct call *call,
                          const struct folder_known *known, const struct preview_wish *wishes,
                          uint32_t count, struct preview_sink *sink)
{
    struct timed timed = timed_begin(backend, call, COMMAND_PREVIEWS);
    assert(known && known->remote && sink->preview);
    return timed_end(&timed, backend->ops->previews(backend, call, known, wishes, count, sink));
}

enum err backend_read_part(struct backend *backend, struct call *call, const struct part_wish *wish,
                           struct sink *sink)
{
    struct timed timed = timed_begin(backend, call, COMMAND_READ_PART);
    assert(wish->remote && wish->part && wish->uid != 0 && wish->first <= wish->last && sink);
    assert(*wish->part || wish->mode == READ_RAW);
    return timed_end(&timed, backend->ops->read_part(backend, call, wish, sink));
}

enum err backend_part_size(struct backend *backend, struct call *call, const struct part_wish *wish,
                           uint64_t *out)
{
    struct timed timed = timed_begin(backend, call, COMMAND_PART_SIZE);
    assert(wish->remote && wish->part && wish->uid != 0);
    return timed_end(&timed, backend->ops->part_size(backend, call, wish, out));
}

enum err backend_read_headers(struct backend *backend, struct call *call,
                              const struct part_wish *wish, struct header_sink *sink)
{
    struct timed timed = timed_begin(backend, call, COMMAND_READ_HEADERS);
    assert(wish->remote && wish->part && wish->uid != 0 && sink->header);
    sink->limited = 0;
    return timed_end(&timed, backend->ops->read_headers(backend, call, wish, sink));
}

static bool keywords_are_valid(const struct string_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (!backend_keyword_is_valid(list->items[i]))
            return false;
    return true;
}

enum err backend_change_flags(struct backend *backend, struct call *call,
                              const struct folder_known *known, uint32_t uid,
                              const struct flag_change *change, struct change_sink *sink)
{
    struct timed timed = timed_begin(backend, call, COMMAND_CHANGE_FLAGS);
    assert(known && known->remote && uid != 0 && sink->flags);
    assert(!(change->add & change->remove) && !((change->add | change->remove) & ~FLAG_ALL));
    if (!keywords_are_valid(&change->add_keywords) || !keywords_are_valid(&change->remove_keywords))
        return timed_end(&timed, fault_at(&call->fault, ERR_INVALID, "/keywords",
                                          "a keyword is letters, digits and some signs"));
    return timed_end(&timed, backend->ops->change_flags(backend, call, known, uid, change, sink));
}

enum err backend_quota(struct backend *backend, struct call *call, struct quota_resource **out,
                       uint32_t *count)
{
    struct timed timed = timed_begin(backend, call, COMMAND_QUOTA);
    assert(out && count);
    *out = NULL;
    *count = 0;
    return timed_end(&timed, backend->ops->quota(backend, call, out, count));
}

/* ---- strings that reach a mail server ---- */

static enum err check_text(const char *text, size_t length, size_t length_max, const char *pointer,
                           struct fault *fault)
{
    if (length == 0)
        return fault_at(fault, ERR_INVALID, pointer, "must not be empty");
    if (length > length_max)
        return fault_at(fault, ERR_INVALID, pointer, "is longer than %zu bytes", length_max);
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0')
            return fault_at(fault, ERR_INVALID, pointer, "holds a line break or NUL");
    return OK;
}

enum err backend_check_username(const char *text, const char *pointer, struct fault *fault)
{
    size_t length = strlen(text);
    enum err err = check_text(text, length, BACKEND_USERNAME_BYTES_MAX, pointer, fault);
    for (size_t i = 0; i < length && !err; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            err = fault_at(fault, ERR_INVALID, pointer, "holds a control character");
    return err;
}

enum err backend_check_password(const struct secret *password, const char *pointer,
                                struct fault *fault)
{
    return check_text(password->data, password->length, BACKEND_PASSWORD_BYTES_MAX, pointer, fault);
}

enum err backend_check_token(const struct secret *token, const char *pointer, struct fault *fault)
{
    enum err err = check_text(token->data, token->length, BACKEND_TOKEN_BYTES_MAX, pointer, fault);
    for (size_t i = 0; i < token->length && !err; i++)
        if (token->data[i] < 0x20 || token->data[i] >= 0x7f)
            err = fault_at(fault, ERR_INVALID, pointer, "holds what is not printable ASCII");
    return err;
}

bool backend_keyword_is_valid(const char *keyword)
{
    size_t length = strlen(keyword);
    if (length == 0 || length > BACKEND_KEYWORD_BYTES_MAX || keyword[0] == '\\')
        return false;
    for (size_t i = 0; i < length; i++)
        if (keyword[i] <= 0x20 || keyword[i] >= 0x7f || strchr("(){%*\"\\]", keyword[i]))
            return false;
    return true;
}

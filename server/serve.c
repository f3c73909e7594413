/* serve.c - puts the layers together in their order, waits for a signal, takes them apart in the
 * reverse one.
 *
 * Signals are blocked before the first thread exists and taken by sigwait here. A second signal
 * while stopping ends the process at once with code 1: nothing acknowledged is lost by that.
 */
#include "serve.h"
#include "api.h"
#include "arena.h"
#include "http.h"
#include "log.h"
#include "reach.h"
#include "session.h"
#include "store.h"
#include "stream.h"
#include "wall.h"

#include <assert.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* After the grace period: cancelled requests get so long to notice, twice. */
#define CANCEL_MS 3000

struct service {
    const struct settings *settings;
    struct api_limit *limits;
    struct backend_world world;
    struct reach *reach;
    struct tls_trust *trust; /* NULL when the workers have it */
    struct wall *wall;       /* NULL: no workers */
    struct store *store;
    struct sessions *sessions;
    struct api *api;
    struct http_server *http;
    const char *at; /* what is being opened, for the one line that says why it could not be */
};

static atomic_bool service_ready;

static bool is_ready(void)
{
    return atomic_load(&service_ready);
}

/* ---- the process ---- */
static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

static void prepare_signals(void)
{
    sigset_t set = stop_signals();
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void end_at_once(int number)
{
    (void)number;
    _exit(1);
}

static void stop_at_once_on_next_signal(void)
{
    sigset_t set = stop_signals();
    struct sigaction action = {.sa_handler = end_at_once};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A core dump or a debugger of the same user would read the mailboxes' passwords. Builds for
 * debugging want both. */
static void forbid_core_dumps(void)
{
#ifdef NDEBUG
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* ---- settings to what the layers want ---- */
static struct api_limit *make_limits(const struct settings *settings)
{
    struct api_limit *limits = xalloc((settings_count + 1) * sizeof *limits);
    size_t count = 0;
    for (const struct setting *row = settings_table; row->name; row++) {
        if (!row->limit)
            continue;
        int64_t value = setting_number(row, settings);
        if (row->type == SETTING_DURATION && !strstr(row->limit, "Milliseconds"))
            value = (value + 999) / 1000;
        limits[count++] = (struct api_limit){.name = row->limit, .value = value};
    }
    return limits; /* zeroed behind the last: the NULL name */
}

static struct backend_world make_world(const struct service *service)
{
    const struct settings *settings = service->settings;
    return (struct backend_world){
        .reach = service->reach,
        .trust = service->trust,
        .wall = service->wall,
        .line_bytes_max = (uint32_t)settings->mail_line_bytes_max,
        .literal_bytes_max = (uint32_t)settings->mail_literal_bytes_max,
        .nesting_max = (uint32_t)settings->mail_nesting_max,
        .untagged_max = (uint32_t)settings->mail_untagged_max,
        .folders_max = (uint32_t)settings->mail_folders_max,
        .command_bytes_max = (uint64_t)settings->mail_command_bytes_max,
        .answer_bytes_max = (uint64_t)settings->mail_answer_bytes_max,
        .command_ms_max = (uint32_t)settings->mail_command_time_max_ms,
        .parts_max = (uint32_t)settings->mail_parts_max,
        .message_cpu_ms_max = (uint32_t)settings->message_cpu_max_ms,
        .message_bytes_max = (uint64_t)settings->message_memory_max,
    };
}

static const char *ca_file_of(const struct settings *settings)
{
    return *settings->ca_file ? settings->ca_file : NULL;
}

static struct wall_config make_wall_config(const struct service *service)
{
    const struct settings *settings = service->settings;
    return (struct wall_config){
        .workers = (uint32_t)settings->workers,
        .threads_max = (uint32_t)settings->worker_threads,
        .sandbox = strcmp(settings->sandbox, "off") == 0        ? SANDBOX_OFF
                   : strcmp(settings->sandbox, "required") == 0 ? SANDBOX_REQUIRED
                                                                : SANDBOX_BEST,
        .memory_max = (uint64_t)settings->worker_memory_max,
        .ca_file = ca_file_of(settings),
        .limits = make_world(service),
    };
}

static int to_ms(int64_t duration_ms)
{
    assert(duration_ms <= INT_MAX); /* the table's bounds: at most 24 days */
    return (int)duration_ms;
}

static const struct backend_ops *ops_of(const struct service *service,
                                        enum backend_protocol protocol)
{
    bool offered = backend_direct[protocol] != NULL;
    return offered && service->wall ? &backend_walled : backend_direct[protocol];
}

static struct sessions_config make_sessions_config(const struct service *service)
{
    const struct settings *settings = service->settings;
    return (struct sessions_config){
        .store = service->store,
        .world = &service->world,
        .ops = {[PROTOCOL_IMAP] = ops_of(service, PROTOCOL_IMAP),
                [PROTOCOL_POP3] = ops_of(service, PROTOCOL_POP3)},
        .threads_max = (uint32_t)settings->worker_threads,
        .sessions_max = (uint32_t)settings->sessions_max,
        .interactive_connections = (uint32_t)settings->interactive_connections,
        .bulk_connections = (uint32_t)settings->bulk_connections,
        .account_connections_max = (uint32_t)settings->account_connections_max,
        .host_connections_max = (uint32_t)settings->host_connections_max,
        .queue_max = (uint32_t)settings->queue_max,
        .session_idle_ms = to_ms(settings->session_idle_ms),
        .connection_idle_ms = to_ms(settings->connection_idle_ms),
        .connect_timeout_ms = to_ms(settings->connect_timeout_ms),
        .request_timeout_ms = to_ms(settings->request_timeout_ms),
        .content_timeout_ms = to_ms(settings->content_timeout_ms),
        .host_down_ms = to_ms(settings->host_down_ms),
        .first_page = (uint32_t)settings->first_page,
        .backfill_batch = (uint32_t)settings->backfill_batch,
        .signin_failures_max = (uint32_t)settings->signin_failures_max,
        .signin_window_ms = to_ms(settings->signin_window_ms),
        .mirror_idle_ms = to_ms(settings->mirror_idle_ms),
        .mirror_days = (uint32_t)settings->mirror_days,
    };
}

static struct api_config make_api_config(const struct service *service)
{
    const struct settings *settings = service->settings;
    bool imap = settings->default_imap.host != NULL;
    const struct mail_server *server = imap ? &settings->default_imap : &settings->default_pop3;
    struct api_config config = {
        .sessions = service->sessions,
        .default_host = server->host,
        .default_port = server->port,
        .default_protocol = imap ? PROTOCOL_IMAP : PROTOCOL_POP3,
        .default_security = server->security,
        .limits = service->limits,
        .request_timeout_ms = to_ms(settings->request_timeout_ms),
        .content_timeout_ms = to_ms(settings->content_timeout_ms),
        .stall_timeout_ms = to_ms(settings->stall_timeout_ms),
        .is_ready = is_ready,
    };
    store_key(service->store, "cursor", &config.cursor_key);
    return config;
}

static struct http_config make_http_config(const struct settings *settings)
{
    return (struct http_config){
        .listen = settings->listen,
        .max_connections = (uint32_t)settings->http_connections_max,
        .max_connections_per_address = (uint32_t)settings->http_connections_per_address_max,
        .header_bytes_max = (uint32_t)settings->header_bytes_max,
        .header_timeout_ms = to_ms(settings->header_timeout_ms),
        .body_timeout_ms = to_ms(settings->body_timeout_ms),
        .idle_timeout_ms = to_ms(settings->idle_timeout_ms),
        .cors_origins = settings->cors_origins,
    };
}

/* ---- up ---- */
/* First of all: what is open already could be seen by the workers. */
static enum err open_mail(struct service *service, struct fault *fault)
{
    const struct settings *settings = service->settings;
    enum err err;
    if (settings->workers > 0) {
        struct wall_config config = make_wall_config(service);
        service->at = "workers";
        err = wall_start(&config, fault, &service->wall);
    } else {
        service->at = "ca_file";
        backend_init();
        backend_preload(); /* a converter that is opened anew costs fifty times what it converts */
        err = tls_trust_new(ca_file_of(settings), fault, &service->trust);
    }
    if (err)
        return err;
    service->at = "allowed_hosts";
    return reach_new(settings->allowed_hosts, fault, &service->reach);
}

static enum err open_service(struct service *service, struct fault *fault)
{
    const struct settings *settings = service->settings;
    enum err err = open_mail(service, fault);
    if (err)
        return err;
    service->world = make_world(service);
    struct store_options options = {
        .data_dir = settings->data_dir,
        .memory = strcmp(settings->mirror, "memory") == 0,
        .render = api_render_message,
    };
    service->at = settings->data_dir;
    return store_open(&options, fault, &service->store);
}

static enum err start_service(struct service *service, struct fault *fault)
{
    struct http_handler handler = {0};
    struct http_config http_config = make_http_config(service->settings);
    struct sessions_config sessions_config = make_sessions_config(service);
    service->sessions = sessions_new(&sessions_config);
    service->limits = make_limits(service->settings);
    struct api_config api_config = make_api_config(service);
    service->api = api_new(&api_config);
    explicit_bzero(&api_config.cursor_key, sizeof api_config.cursor_key);
    api_handler(service->api, &handler);
    service->at = service->settings->listen;
    enum err err = http_start(&http_config, &handler, fault, &service->http);
    if (err)
        return err;
    api_set_server(service->api, service->http);
    return OK;
}

/* ---- down ---- */
/* Whether every request is over. */
static bool drain(struct service *service)
{
    int64_t deadline_ms = clock_now_ms() + service->settings->drain_timeout_ms;
    http_quiesce(service->http);
    sessions_quiesce(service->sessions);
    if (http_drain(service->http, deadline_ms))
        return true;
    log_event(LOG_WARN, "drain-timeout", LOG_TEXT("detail", "cancelling what still runs"), LOG_END);
    http_cancel_all(service->http);
    return http_drain(service->http, clock_now_ms() + CANCEL_MS);
}

/* False when a request could not be ended: then nothing below HTTP may be freed. */
static bool stop_service(struct service *service)
{
    bool idle = !service->http || drain(service);
    if (service->sessions)
        sessions_stop(&service->sessions, clock_now_ms() + (idle ? CANCEL_MS : 0));
    if (service->http) {
        if (!idle && !http_drain(service->http, clock_now_ms() + CANCEL_MS))
            return false;
        http_stop(&service->http);
    }
    if (service->api)
        api_free(&service->api);
    return true;
}

static void close_service(struct service *service)
{
    if (service->store)
        store_close(&service->store);
    if (service->wall)
        wall_stop(&service->wall);
    if (service->trust)
        tls_trust_free(&service->trust);
    if (service->reach)
        reach_free(&service->reach);
    free(service->limits);
}

/* One clear line for a person. */
static void complain(const struct service *service, const struct fault *fault)
{
    fprintf(stderr, "postern: %s: %s\n", service->at, fault->detail);
}

static void wait_for_signal(void)
{
    sigset_t set = stop_signals();
    int number = 0;
    sigwait(&set, &number);
    log_event(LOG_INFO, "stopping", LOG_TEXT("signal", sigabbrev_np(number)), LOG_END);
}

int serve(const struct settings *settings)
{
    struct service service = {.settings = settings};
    struct fault fault = {0};
    enum log_level level = LOG_INFO;
    prepare_signals();
    forbid_core_dumps();
    raise_file_limit();
    umask(077);
    if (log_level_parse(settings->log_level, &level))
        log_set_level(level);
    enum err err = open_service(&service, &fault);
    if (!err)
        err = start_service(&service, &fault);
    if (err) {
        complain(&service, &fault);
    } else {
        atomic_store(&service_ready, true);
        log_event(LOG_INFO, "started", LOG_TEXT("address", http_address(service.http)),
                  LOG_TEXT("version", POSTERN_VERSION), LOG_INT("pid", getpid()), LOG_END);
        wait_for_signal();
        stop_at_once_on_next_signal();
        atomic_store(&service_ready, false);
    }
    if (!stop_service(&service)) {
        log_event(LOG_ERROR, "stopped", LOG_TEXT("detail", "a request would not end"), LOG_END);
        _exit(1);
    }
    close_service(&service);
    if (!err)
        log_event(LOG_INFO, "stopped", LOG_END);
    return err ? 1 : 0;
}

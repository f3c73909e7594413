/* door_test.h - a small application behind the door, and a client that speaks raw bytes.
 *
 * One server for each test, on port 0 or on a unix socket. Every answer is read with a deadline.
 */
#ifndef POSTERN_TEST_DOOR_H
#define POSTERN_TEST_DOOR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS  8000
#define STREAM_BYTES (5u * 1024u * 1024u)
#define UPLOAD_MAX   4096

struct app {
    struct http_server *server;
    atomic_int admitted, handled, refused, left, done, workers;
    atomic_int last_status, refused_code;
    atomic_long done_bytes, written; /* written: by the stream's worker */
    atomic_int stream_result;
    pthread_mutex_t lock;
    struct exchange *hanging; /* under lock: answered by `left` or by answer_hanging */
    int hanging_status;
};

static struct app app;

static char *text_of(const char *text)
{
    return strdup(text);
}

static void nap_ms(int ms)
{
    poll(NULL, 0, ms);
}

static void wait_for(atomic_int *counter, int value)
{
    int64_t deadline_ms = clock_now_ms() + PATIENCE_MS;
    while (atomic_load(counter) != value && clock_now_ms() < deadline_ms)
        nap_ms(2);
    assert_int_equal(atomic_load(counter), value);
}

static size_t app_admit(void *self, struct exchange *exchange)
{
    (void)self;
    (void)exchange;
    atomic_fetch_add(&app.admitted, 1);
    return UPLOAD_MAX;
}

static void app_refuse(void *self, struct exchange *exchange, const struct fault *fault)
{
    static const int statuses[ERR_COUNT] = {
        [ERR_INVALID] = 400,       [ERR_METHOD] = 405,      [ERR_TOO_LARGE] = 413,
        [ERR_URI_TOO_LONG] = 414,  [ERR_EXPECTATION] = 417, [ERR_HEADERS_TOO_LARGE] = 431,
        [ERR_SHUTTING_DOWN] = 503,
    };
    (void)self;
    atomic_fetch_add(&app.refused, 1);
    atomic_store(&app.refused_code, (int)fault->code);
    exchange_reply_bytes(exchange, statuses[fault->code] ? statuses[fault->code] : 500,
                         "application/problem+json", text_of("{\"refused\":true}"), 16);
}

static void answer_hanging(int status)
{
    pthread_mutex_lock(&app.lock);
    struct exchange *exchange = app.hanging;
    app.hanging = NULL;
    pthread_mutex_unlock(&app.lock);
    if (exchange)
        exchange_reply_bytes(exchange, status, "text/plain", text_of("at last"), 7);
}

static void app_left(void *self, struct exchange *exchange)
{
    (void)self;
    assert_true(exchange_left(exchange));
    atomic_fetch_add(&app.left, 1);
    answer_hanging(499);
}

static void app_done(void *self, struct exchange *exchange, int status, uint64_t bytes,
                     int64_t duration_us)
{
    (void)self;
    (void)exchange;
    assert_true(duration_us >= 0);
    atomic_store(&app.last_status, status);
    atomic_store(&app.done_bytes, (long)bytes);
    atomic_fetch_add(&app.done, 1);
}

static void *answer_later(void *argument)
{
    nap_ms(30);
    exchange_reply_bytes(argument, 200, "text/plain", text_of("later"), 5);
    atomic_fetch_sub(&app.workers, 1);
    return NULL;
}

static void *answer_at_once(void *argument)
{
    exchange_reply_bytes(argument, 200, "text/plain", text_of("raced"), 5);
    atomic_fetch_sub(&app.workers, 1);
    return NULL;
}

/* Byte i of a stream is a function of i, so that a lost or doubled block shows. */
static char stream_byte(uint64_t i)
{
    return (char)('a' + (i ^ i >> 8 ^ i >> 16) % 26);
}

/* Query: "known" says a Content-Length, "break" ends badly half-way, "drip" pauses often. */
static void *answer_stream(void *argument)
{
    struct exchange *exchange = argument;
    struct pipe *pipe = pipe_new(PIPE_DEFAULT_BYTES), *writer = pipe;
    const char *query = exchange_query(exchange);
    bool known = strstr(query, "known"), breaks = strstr(query, "break"),
         drip = strstr(query, "drip");
    exchange_reply_pipe(exchange, 200, "application/octet-stream", pipe,
                        known ? (int64_t)STREAM_BYTES : -1);
    enum err err = OK;
    uint64_t at = 0;
    char block[7001];
    while (!err && at < STREAM_BYTES && !(breaks && at > STREAM_BYTES / 2)) {
        size_t length = sizeof block < STREAM_BYTES - at ? sizeof block : STREAM_BYTES - at;
        for (size_t i = 0; i < length; i++)
            block[i] = stream_byte(at + i);
        err = pipe_write(writer, block, length, PATIENCE_MS);
        at += length;
        if (!err)
            atomic_store(&app.written, (long)at);
        if (drip && at % 50 == 0)
            nap_ms(1);
    }
    atomic_store(&app.stream_result, (int)err);
    pipe_end(writer, breaks && !err ? ERR_PROTOCOL : err);
    pipe_drop(&writer);
    atomic_fetch_sub(&app.workers, 1);
    return NULL;
}

/* A stream whose writer says "begun" and then nothing for a long time. Its end shows that the pipe
 * was left: a write to it is cancelled. */
static void *answer_silence(void *argument)
{
    struct pipe *pipe = pipe_new(PIPE_DEFAULT_BYTES);
    exchange_reply_pipe(argument, 200, "text/plain", pipe, -1);
    enum err err = pipe_write(pipe, "begun", 5, PATIENCE_MS);
    for (int i = 0; i < PATIENCE_MS / 2 && atomic_load(&app.done) == 0; i++)
        nap_ms(2);
    if (!err)
        err = pipe_write(pipe, "more", 4, PATIENCE_MS);
    atomic_store(&app.stream_result, (int)err);
    pipe_end(pipe, err);
    pipe_drop(&pipe);
    atomic_fetch_sub(&app.workers, 1);
    return NULL;
}

static void spawn(void *(*work)(void *), struct exchange *exchange)
{
    pthread_t thread;
    atomic_fetch_add(&app.workers, 1);
    assert_int_equal(pthread_create(&thread, NULL, work, exchange), 0);
    pthread_detach(thread);
}

static void answer_echo(struct exchange *exchange)
{
    size_t length;
    const char *body = exchange_body(exchange, &length);
    struct buf text;
    buf_init(&text, 64 * 1024);
    buf_printf(&text, "%s %s ?%s body=%.*s", exchange_method_name(exchange),
               exchange_path(exchange), exchange_query(exchange), (int)length, body);
    size_t size = text.length;
    exchange_reply_bytes(exchange, 200, "text/plain", buf_detach(&text), size);
}

static void answer_json(struct exchange *exchange)
{
    size_t length = 40000;
    char *json = malloc(length);
    memset(json, ' ', length);
    json[0] = '[';
    json[length - 1] = ']';
    exchange_set_header(exchange, "ETag", "\"strong\"");
    exchange_reply_bytes(exchange, 200, "application/json", json, length);
}

/* What the door says too, said by the application. */
static void answer_dressed(struct exchange *exchange)
{
    size_t length = 2000;
    char *text = malloc(length);
    memset(text, 'x', length);
    exchange_set_header(exchange, "Vary", "Accept");
    exchange_set_header(exchange, "Referrer-Policy", "origin");
    exchange_set_header(exchange, "Cache-Control", "private");
    exchange_reply_bytes(exchange, 200, "text/plain", text, length);
}

static void app_handle(void *self, struct exchange *exchange)
{
    const char *path = exchange_path(exchange);
    (void)self;
    atomic_fetch_add(&app.handled, 1);
    if (strcmp(path, "/later") == 0) {
        spawn(answer_later, exchange);
    } else if (strcmp(path, "/raced") == 0) {
        spawn(answer_at_once, exchange);
    } else if (strcmp(path, "/stream") == 0) {
        spawn(answer_stream, exchange);
    } else if (strcmp(path, "/silence") == 0) {
        spawn(answer_silence, exchange);
    } else if (strcmp(path, "/json") == 0) {
        answer_json(exchange);
    } else if (strcmp(path, "/dressed") == 0) {
        answer_dressed(exchange);
    } else if (strcmp(path, "/empty") == 0) {
        exchange_reply_bytes(exchange, 304, NULL, NULL, 0);
    } else if (strcmp(path, "/hang") == 0) {
        pthread_mutex_lock(&app.lock);
        app.hanging = exchange;
        pthread_mutex_unlock(&app.lock);
    } else {
        answer_echo(exchange);
    }
}

static const struct http_handler app_handler = {.admit = app_admit,
                                                .handle = app_handle,
                                                .refuse = app_refuse,
                                                .left = app_left,
                                                .done = app_done};

static const struct http_config quick_config = {.listen = "127.0.0.1:0",
                                                .max_connections = 64,
                                                .header_bytes_max = 16384,
                                                .header_timeout_ms = 200,
                                                .body_timeout_ms = 200,
                                                .idle_timeout_ms = 5000};

static void app_start(const struct http_config *config)
{
    struct fault fault = {0};
    memset(&app, 0, sizeof app);
    pthread_mutex_init(&app.lock, NULL);
    if (http_start(config, &app_handler, &fault, &app.server))
        fail_msg("%s", fault.detail);
}

static void app_stop(void)
{
    wait_for(&app.workers, 0);
    http_stop(&app.server);
    assert_null(app.server);
    pthread_mutex_destroy(&app.lock);
}

/* ---- the client ---- */

static int client_connect_small(int receive_bytes)
{
    const char *address = http_address(app.server);
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    if (is_unix) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        snprintf(name.sun_path, sizeof name.sun_path, "%s", address + 5);
        assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
        return fd;
    }
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    name.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

static int client_connect(void)
{
    return client_connect_small(0);
}

static void client_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Bytes read, 0 at the end or after a reset; fails the test when nothing comes. */
static size_t client_read(int fd, char *out, size_t capacity)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wanted, 1, PATIENCE_MS), 1);
    ssize_t got = recv(fd, out, capacity, 0);
    return got > 0 ? (size_t)got : 0;
}

struct answer {
    char head[4096];
    struct buf body;
    int status;
    bool whole; /* as long as its framing says */
};

static const char *answer_header(const struct answer *answer, const char *name)
{
    static char value[512];
    char needle[128];
    snprintf(needle, sizeof needle, "\r\n%s: ", name);
    const char *at = strcasestr(answer->head, needle);
    if (!at)
        return NULL;
    at += strlen(needle);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

static bool read_line(int fd, char *out, size_t capacity)
{
    size_t length = 0;
    while (length + 1 < capacity && client_read(fd, out + length, 1) == 1) {
        out[++length] = '\0';
        if (out[length - 1] == '\n')
            return true;
    }
    out[length] = '\0';
    return false;
}

static bool read_exactly(int fd, struct buf *body, uint64_t length)
{
    char block[16384];
    while (length) {
        size_t got = client_read(fd, block, length < sizeof block ? length : sizeof block);
        if (got == 0)
            return false;
        buf_append(body, block, got);
        length -= got;
    }
    return true;
}

static bool read_chunks(int fd, struct buf *body)
{
    char line[64];
    while (read_line(fd, line, sizeof line)) {
        uint64_t size = strtoull(line, NULL, 16);
        if (size && !read_exactly(fd, body, size))
            return false;
        if (!read_line(fd, line, sizeof line))
            return false;
        if (size == 0)
            return true;
    }
    return false;
}

static bool read_head(int fd, struct answer *answer)
{
    size_t length = 0;
    answer->head[0] = '\0';
    while (!strstr(answer->head, "\r\n\r\n")) {
        if (!read_line(fd, answer->head + length, sizeof answer->head - length))
            return false;
        length += strlen(answer->head + length);
    }
    answer->status =
        strncmp(answer->head, "HTTP/1.", 7) == 0 ? (int)strtol(answer->head + 9, NULL, 10) : -1;
    return true;
}

static void answer_read(int fd, struct answer *answer, bool has_body)
{
    memset(answer, 0, sizeof *answer);
    buf_init(&answer->body, 16 * 1024 * 1024);
    if (!read_head(fd, answer))
        return;
    const char *length = answer_header(answer, "Content-Length");
    if (!has_body)
        answer->whole = true;
    else if (length)
        answer->whole = read_exactly(fd, &answer->body, strtoull(length, NULL, 10));
    else if (answer_header(answer, "Transfer-Encoding"))
        answer->whole = read_chunks(fd, &answer->body);
}

static void answer_clear(struct answer *answer)
{
    buf_clear(&answer->body);
}

static bool is_closed(int fd)
{
    char byte;
    return client_read(fd, &byte, 1) == 0;
}

/* Asks on an open connection; the caller clears the answer. */
static void ask(int fd, const char *request, struct answer *answer)
{
    client_send(fd, request);
    answer_read(fd, answer, strncmp(request, "HEAD ", 5) != 0);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: test\r\n\r\n"

#endif

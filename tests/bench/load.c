/* load.c - the bench's clients: N of them, each with one connection that stays open, asking the
 * same thing again and again as fast as it is answered.
 *
 * HTTP/1.1 to postern or IMAP (plain or TLS) to the mail server. The IMAP side is the floor that
 * postern is held against, so it does nothing with an answer but find its end; with `decode` it
 * also decodes base64 literals. One thread a client, blocking: with few clients that is what costs
 * least.
 *
 *   load http PORT CLIENTS PATH TOKEN
 *   load imap PORT CLIENTS plain|tls USER PASSWORD FOLDER COMMAND [decode]
 *
 * Says "ready" once all are connected and signed in. Then for each line "MS COUNT" on stdin the
 * clients run for so long, or until each has had COUNT answers (0: no such limit), and one line of
 * JSON tells how it went. Anything unexpected ends the program with a message: a bench of errors is
 * none. */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES  (256 * 1024)
#define READ_BYTES    (64 * 1024)
#define CLIENTS_MAX   256
#define LATENCIES_MAX 200000

struct client {
    int fd;
    SSL *tls; /* NULL: plain */
    unsigned char *buffer;
    size_t at, end; /* what is read and not taken */
    unsigned tag;
    uint64_t bytes; /* received */
    uint64_t decoded;
    uint32_t *latencies_us;
    uint32_t count;
};

struct plan {
    bool imap, tls, decode;
    int port, client_count;
    const char *user, *password, *folder, *command;
    char *request; /* HTTP: its bytes */
    int64_t until_us;
    uint32_t count_max;
};

static struct plan plan;
static struct client clients[CLIENTS_MAX];

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- bytes ---- */

static void client_connect(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)plan.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("port %d does not answer", plan.port);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    client->buffer = malloc(BUFFER_BYTES);
    client->latencies_us = malloc(LATENCIES_MAX * sizeof *client->latencies_us);
    if (!client->buffer || !client->latencies_us)
        die("out of memory");
}

/* The mail server is ours, on loopback: its certificate is not what is measured. */
static void client_encrypt(struct client *client)
{
    static SSL_CTX *context;
    if (!context)
        context = SSL_CTX_new(TLS_client_method());
    client->tls = SSL_new(context);
    SSL_set_fd(client->tls, client->fd);
    if (SSL_connect(client->tls) != 1)
        die("TLS handshake failed");
}

static void client_send(struct client *client, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = client->tls ? SSL_write(client->tls, data, (int)length)
                                   : write(client->fd, data, length);
        if (sent <= 0)
            die("the server closed the connection");
        data += sent;
        length -= (size_t)sent;
    }
}

/* Reads more behind what is there. */
static void client_fill(struct client *client)
{
    if (client->at == client->end)
        client->at = client->end = 0;
    if (client->end == BUFFER_BYTES) {
        if (client->at == 0)
            die("a line is longer than %d bytes", BUFFER_BYTES);
        memmove(client->buffer, client->buffer + client->at, client->end - client->at);
        client->end -= client->at;
        client->at = 0;
    }
    size_t room = BUFFER_BYTES - client->end;
    if (room > READ_BYTES)
        room = READ_BYTES;
    unsigned char *place = client->buffer + client->end;
    ssize_t got =
        client->tls ? SSL_read(client->tls, place, (int)room) : read(client->fd, place, room);
    if (got <= 0)
        die("the server closed the connection");
    client->end += (size_t)got;
    client->bytes += (uint64_t)got;
}

/* The next line, its LF included; valid until the next call. */
static const char *client_line(struct client *client, size_t *length)
{
    size_t seen = 0;
    for (;;) {
        unsigned char *start = client->buffer + client->at;
        size_t have = client->end - client->at;
        unsigned char *newline = have > seen ? memchr(start + seen, '\n', have - seen) : NULL;
        if (newline) {
            *length = (size_t)(newline - start) + 1;
            client->at += *length;
            return (const char *)start;
        }
        seen = have;
        client_fill(client);
    }
}

/* ---- base64, as it comes ---- */

struct decoder {
    uint32_t bits;
    int count;
    unsigned char out[READ_BYTES];
};

static uint8_t base64_values[256]; /* 64: not of the alphabet */

static void base64_prepare(void)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memset(base64_values, 64, sizeof base64_values);
    for (int i = 0; i < 64; i++)
        base64_values[(unsigned char)alphabet[i]] = (uint8_t)i;
}

static size_t base64_decode(struct decoder *decoder, const unsigned char *in, size_t length)
{
    size_t made = 0;
    for (size_t i = 0; i < length; i++) {
        uint8_t value = base64_values[in[i]];
        if (value == 64)
            continue;
        decoder->bits = decoder->bits << 6 | value;
        if (++decoder->count == 4) {
            decoder->out[made++] = (unsigned char)(decoder->bits >> 16);
            decoder->out[made++] = (unsigned char)(decoder->bits >> 8);
            decoder->out[made++] = (unsigned char)decoder->bits;
            decoder->count = 0;
        }
    }
    return made;
}

static void client_take(struct client *client, uint64_t length, struct decoder *decoder)
{
    while (length > 0) {
        if (client->at == client->end)
            client_fill(client);
        size_t piece = client->end - client->at;
        if (piece > length)
            piece = (size_t)length;
        if (decoder && piece > READ_BYTES)
            piece = READ_BYTES;
        if (decoder)
            client->decoded += base64_decode(decoder, client->buffer + client->at, piece);
        client->at += piece;
        length -= piece;
    }
}

/* ---- one question and its answer ---- */

static bool literal_follows(const char *line, size_t length, uint64_t *size)
{
    if (length < 5 || memcmp(line + length - 3, "}\r\n", 3) != 0)
        return false;
    size_t at = length - 3;
    while (at > 0 && isdigit((unsigned char)line[at - 1]))
        at--;
    if (at == 0 || line[at - 1] != '{')
        return false;
    *size = strtoull(line + at, NULL, 10);
    return true;
}

static void imap_ask(struct client *client, const char *command)
{
    static _Thread_local struct decoder decoder;
    char text[1024], tag[16];
    int tag_length = snprintf(tag, sizeof tag, "t%u ", ++client->tag);
    int length = snprintf(text, sizeof text, "%s%s\r\n", tag, command);
    bool at_start = true;
    client_send(client, text, (size_t)length);
    decoder.count = 0;
    for (;;) {
        size_t line_length;
        uint64_t literal;
        const char *line = client_line(client, &line_length);
        if (literal_follows(line, line_length, &literal)) {
            client_take(client, literal, plan.decode ? &decoder : NULL);
            client->decoded +=
                decoder.count > 1 ? (uint64_t)decoder.count - 1 : 0; /* the padded end */
            decoder.count = 0;
            at_start = false;
            continue;
        }
        if (at_start && line_length > (size_t)tag_length &&
            memcmp(line, tag, (size_t)tag_length) == 0) {
            if (memcmp(line + tag_length, "OK", 2) != 0)
                die("%.20s: %.*s", command, (int)line_length, line);
            return;
        }
        at_start = true;
    }
}

static void http_take_chunks(struct client *client)
{
    for (;;) {
        size_t length;
        uint64_t size = strtoull(client_line(client, &length), NULL, 16);
        client_take(client, size, NULL);
        client_line(client, &length); /* the chunk's end, or the last of an empty trailer */
        if (size == 0)
            return;
    }
}

static void http_ask(struct client *client)
{
    size_t length;
    uint64_t size = 0;
    bool chunked = false;
    client_send(client, plan.request, strlen(plan.request));
    const char *line = client_line(client, &length);
    if (length < 12 || memcmp(line + 9, "200", 3) != 0)
        die("%.*s", (int)length, line);
    while (line = client_line(client, &length), length > 2) {
        if (strncasecmp(line, "content-length:", 15) == 0)
            size = strtoull(line + 15, NULL, 10);
        if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0)
            chunked = true;
    }
    if (chunked)
        http_take_chunks(client);
    else
        client_take(client, size, NULL);
}

/* ---- all of them ---- */

static void client_open(struct client *client)
{
    char text[1024];
    size_t length;
    client_connect(client);
    if (!plan.imap)
        return;
    if (plan.tls)
        client_encrypt(client);
    client_line(client, &length);
    snprintf(text, sizeof text, "LOGIN \"%s\" \"%s\"", plan.user, plan.password);
    imap_ask(client, text);
    snprintf(text, sizeof text, "SELECT \"%s\"", plan.folder);
    imap_ask(client, text);
}

static void *client_run(void *argument)
{
    struct client *client = argument;
    int64_t now = now_us();
    do { /* one at least, however late the thread came to run */
        int64_t started = now;
        if (plan.imap)
            imap_ask(client, plan.command);
        else
            http_ask(client);
        now = now_us();
        client->latencies_us[client->count++] = (uint32_t)(now - started);
    } while (now < plan.until_us && client->count < LATENCIES_MAX &&
             (plan.count_max == 0 || client->count < plan.count_max));
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void report(int64_t took_us)
{
    size_t total = 0, filled = 0;
    uint64_t bytes = 0, decoded = 0;
    for (int i = 0; i < plan.client_count; i++)
        total += clients[i].count;
    uint32_t *all = malloc((total + 1) * sizeof *all);
    if (!all || total == 0)
        die("nothing was answered");
    for (int i = 0; i < plan.client_count; i++) {
        memcpy(all + filled, clients[i].latencies_us, clients[i].count * sizeof *all);
        filled += clients[i].count;
        bytes += clients[i].bytes;
        decoded += clients[i].decoded;
    }
    qsort(all, total, sizeof *all, by_value);
    printf("{\"count\": %zu, \"seconds\": %.6f, \"p50_us\": %u, \"p99_us\": %u, \"bytes\": %llu, "
           "\"decoded\": %llu}\n",
           total, (double)took_us / 1e6, all[total / 2], all[(total - 1) * 99 / 100],
           (unsigned long long)bytes, (unsigned long long)decoded);
    free(all);
}

static void run(int64_t ms, uint32_t count_max)
{
    pthread_t threads[CLIENTS_MAX];
    int64_t started = now_us();
    plan.until_us = started + ms * 1000;
    plan.count_max = count_max;
    for (int i = 0; i < plan.client_count; i++) {
        clients[i].count = 0;
        clients[i].bytes = clients[i].decoded = 0;
        if (pthread_create(&threads[i], NULL, client_run, &clients[i]) != 0)
            die("no thread");
    }
    for (int i = 0; i < plan.client_count; i++)
        pthread_join(threads[i], NULL);
    report(now_us() - started);
    fflush(stdout);
}

static void read_arguments(int argc, char **argv)
{
    bool http = argc == 6 && strcmp(argv[1], "http") == 0;
    plan.imap = argc >= 9 && argc <= 10 && strcmp(argv[1], "imap") == 0;
    if (!http && !plan.imap)
        die("usage: see the head of load.c");
    plan.port = (int)strtol(argv[2], NULL, 10);
    plan.client_count = (int)strtol(argv[3], NULL, 10);
    if (plan.client_count < 1 || plan.client_count > CLIENTS_MAX)
        die("1 to %d clients", CLIENTS_MAX);
    if (plan.imap) {
        plan.tls = strcmp(argv[4], "tls") == 0;
        plan.user = argv[5];
        plan.password = argv[6];
        plan.folder = argv[7];
        plan.command = argv[8];
        plan.decode = argc == 10;
    } else if (asprintf(&plan.request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n\r\n",
                        argv[4], plan.port, argv[5]) < 0) {
        die("out of memory");
    }
}

int main(int argc, char **argv)
{
    char line[128];
    read_arguments(argc, argv);
    base64_prepare();
    for (int i = 0; i < plan.client_count; i++)
        client_open(&clients[i]);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        char *end;
        int64_t ms = strtoll(line, &end, 10);
        run(ms, (uint32_t)strtoul(end, NULL, 10));
    }
    return 0;
}

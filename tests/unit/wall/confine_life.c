/* What a closed-in worker can do as well as before. */
#include "confine_child.h"

#include "../../../server/mail/decode_private.h" /* every charset of the table */
#include "backend.h"

#include <fcntl.h>
#include <iconv.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>

#define TRANSCRIPT_BYTES (256 * 1024)

static const int file_calls[] = {
    SYS_openat, SYS_openat2, SYS_faccessat, SYS_readlinkat, SYS_statx,
#ifdef SYS_open
    SYS_open,   SYS_stat,    SYS_access,    SYS_readlink,
#endif
};
#define FILE_CALLS (sizeof file_calls / sizeof *file_calls)

/* From now on whoever tries to open a file, dies: a refusal would be taken
 * quietly. Not where a sanitizer wants to read the memory map. */
static void watch_for_files(void)
{
    struct sock_filter code[1 + 2 * FILE_CALLS + 1], *at = code;
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (confine_sanitized)
        return;
    *at++ =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < FILE_CALLS; i++) {
        *at++ =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)file_calls[i], 0, 1);
        *at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    }
    *at = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(99);
}

static void *count_up(void *argument)
{
    void *memory = malloc(300000);
    memset(memory, 1, 300000);
    free(memory);
    atomic_fetch_add((atomic_int *)argument, 1);
    return NULL;
}

static int live_on(const void *argument)
{
    pthread_t threads[8];
    atomic_int count = 0;
    unsigned char chance[16];
    struct tm parts;
    time_t now = time(NULL);
    (void)argument;
    confine_preload();
    watch_for_files();
    if (!(confine(MEMORY_MAX) & CONFINED_SYSCALLS))
        return 1;
    for (size_t i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, count_up, &count) != 0)
            return 2;
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    if (count != 8 || getrandom(chance, sizeof chance, 0) != sizeof chance)
        return 3;
    if (!gmtime_r(&now, &parts) || prctl(PR_SET_NAME, "worker") != 0 || kill(getpid(), 0) != 0)
        return 4;
    abort();
}

static void threads_chance_and_the_calendar_still_work(void **state)
{
    (void)state;
    assert_int_equal(child_run(live_on, NULL), -SIGABRT);
}

/* ---- decoding ---- */

static const char addresses[] = "=?iso-2022-jp?B?GyRCJEYkOSRIGyhC?= <a@example.com>, Group: "
                                "\xe9t\xe9 <b@example.com>, =?x-unknown?Q?=E9?= <c@example.com>;";

static enum err take_header(struct header_sink *sink, const char *name, const char *value);

struct transcript {
    struct header_sink sink;
    struct buf text;
};

static enum err take_header(struct header_sink *sink, const char *name, const char *value)
{
    struct transcript *self = (struct transcript *)sink;
    buf_text(&self->text, name);
    buf_text(&self->text, value);
    return OK;
}

/* All that the decoders make of some bytes, so that two processes can be
 * compared. */
static void decode_much(struct buf *out)
{
    struct arena memory, *arena = &memory;
    struct transcript transcript = {.sink = {.header = take_header}};
    struct decode_budget budget;
    struct address_list list = {0};
    int64_t date;
    char bytes[0x200];
    arena_init(arena);
    decode_budget_begin(&budget, arena, 60000, MEMORY_MAX);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i < 0xe0 ? 0x20 + i : i * 7 + 1);
    for (size_t i = 0; charset_nth(i); i++)
        buf_text(out, charset_to_utf8(arena, charset_nth(i), bytes, sizeof bytes));
    buf_text(out, charset_to_utf8(arena, "x-unknown", bytes, sizeof bytes));
    buf_init(&transcript.text, 65536);
    static const char headers[] = "Subject: =?koi8-r?B?8NLJ18XU?=\r\nX: =?utf-7?Q?+AOk-?=\r\n\r\n";
    decode_headers(&budget, headers, sizeof headers - 1, &transcript.sink);
    buf_text(out, transcript.text.data);
    decode_addresses(arena, &budget, addresses, sizeof addresses - 1, &list);
    for (uint32_t i = 0; i < list.count; i++)
        buf_text(out, list.items[i].name ? list.items[i].name : "-");
    if (decode_date("Tue, 1 Jul 2003 10:52:37 +0200", 30, &date))
        buf_text(out, "dated");
    buf_clear(&transcript.text);
    arena_clear(arena);
}

static int decode_confined(const void *argument)
{
    struct buf text;
    backend_init();
    confine_preload();
    watch_for_files();
    if (!(confine(MEMORY_MAX) & CONFINED_SYSCALLS))
        return 1;
    buf_init(&text, TRANSCRIPT_BYTES);
    decode_much(&text);
    for (size_t sent = 0; sent < text.length;) {
        ssize_t step = write(*(const int *)argument, text.data + sent, text.length - sent);
        if (step <= 0)
            return 2;
        sent += (size_t)step;
    }
    return 0;
}

static void every_charset_and_every_header_decodes_as_outside(void **state)
{
    (void)state;
    int ends[2], status;
    struct buf inside, outside;
    char piece[4096];
    ssize_t got;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        close(ends[0]);
        _exit(decode_confined(&ends[1]));
    }
    close(ends[1]);
    buf_init(&inside, TRANSCRIPT_BYTES);
    buf_init(&outside, TRANSCRIPT_BYTES);
    while ((got = read(ends[0], piece, sizeof piece)) > 0)
        buf_append(&inside, piece, (size_t)got);
    close(ends[0]);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    backend_init();
    decode_much(&outside); /* only now: the child would have inherited the converters */
    assert_int_equal(inside.length, outside.length);
    assert_memory_equal(inside.data, outside.data, outside.length);
    buf_clear(&inside);
    buf_clear(&outside);
}

static int open_a_strange_converter(const void *argument)
{
    (void)argument;
    if (!(close_in() & CONFINED_SYSCALLS))
        return 1;
    if (iconv_open("UTF-8", "UTF-7-IMAP") == (iconv_t)-1 ||
        iconv_open("UTF-7-IMAP", "UTF-8") == (iconv_t)-1)
        return 2;
    return iconv_open("UTF-8", "IBM037") != (iconv_t)-1;
}

static void only_preloaded_converters_open(void **state)
{
    (void)state;
    assert_int_equal(child_run(open_a_strange_converter, NULL), 0);
}

/* ---- TLS ---- */

struct visit {
    const struct tls_trust *trust; /* NULL: the system's, loaded by the child */
    uint16_t port;
    const char *expected; /* of the fault; NULL: it goes well */
};

static int socket_to(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
        return -1;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int visit_confined(const void *argument)
{
    const struct visit *visit = argument;
    struct fault fault = {0};
    struct stream *stream = NULL;
    struct tls_trust *system = NULL;
    char echo[5];
    if (!visit->trust && tls_trust_new(NULL, &fault, &system) != OK)
        return 1;
    struct stream_target target = {.host = "mail.example.com",
                                   .port = visit->port,
                                   .tls = true,
                                   .trust = visit->trust ? visit->trust : system,
                                   .connected = true,
                                   .fd = socket_to(visit->port)};
    confine_preload();
    watch_for_files();
    if (!(confine(MEMORY_MAX) & CONFINED_SYSCALLS))
        return 2;
    enum err err = stream_open(&target, clock_now_ms() + PLENTY_MS, NULL, &fault, &stream);
    if (visit->expected)
        return err == ERR_TLS && strstr(fault.detail, visit->expected) ? 0 : 3;
    if (err) {
        fprintf(stderr, "open: %s\n", fault.detail);
        return 4;
    }
    if (stream_write(stream, "abc", 3) != 3)
        return 5;
    for (size_t got = 0; got < sizeof echo;) {
        ssize_t step = stream_read(stream, echo + got, sizeof echo - got);
        if (step <= 0)
            return 6;
        got += (size_t)step;
    }
    stream_close(&stream);
    return memcmp(echo, "hiabc", 5) != 0;
}

static void a_connected_socket_becomes_a_tls_stream(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct wish wish = {.common_name = "x", .names = {"mail.example.com"}};
    struct identity server = identity_new(&wish, NULL);
    struct tls_trust *trust = trust_in(server.certificate);
    for (size_t i = 0; i < 4; i++) {
        struct tls_side side = {.context = server_context(&server, NULL), .hello = "hi"};
        struct peer peer = {.script = tls_serve, .detail = &side};
        SSL_CTX_set_max_proto_version(side.context, versions[i % 2]);
        peer_start(&peer);
        struct visit visit = {.trust = i < 2 ? trust : NULL,
                              .port = peer.port,
                              .expected = i < 2 ? NULL : "self-signed"};
        int result = child_run(visit_confined, &visit);
        peer_stop(&peer);
        SSL_CTX_free(side.context);
        if (result != 0)
            fail_msg("visit %zu: %d", i, result);
    }
    tls_trust_free(&trust);
    identity_clear(&server);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_chance_and_the_calendar_still_work),
        cmocka_unit_test(every_charset_and_every_header_decodes_as_outside),
        cmocka_unit_test(only_preloaded_converters_open),
        cmocka_unit_test(a_connected_socket_becomes_a_tls_stream),
    };
    return cmocka_run_group_tests_name("confine_life", tests, NULL, NULL);
}

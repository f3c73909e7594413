/* imap_fixture.c - the suite over the IMAP backend and a real mail server.
 *
 * POSTERN_TEST_IMAP=host:port:user:password names its plain port: the changes behind the backend's
 * back go there, by the few raw commands below. POSTERN_TEST_SECURITY (none, starttls, tls),
 * POSTERN_TEST_PORT and POSTERN_TEST_CA say how the backend itself connects. */
#include "contract.h"
#include "reach.h"
#include "stream.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static FILE *wire;
static char host[256], port[16], user[128], word[128];
static struct secret password;
static struct backend_target target_now;
static struct backend_world world = {
    BACKEND_WORLD_LIMITS,
};

static void die(const char *what)
{
    fprintf(stderr, "imap_fixture: %s\n", what);
    exit(2);
}

/* The tagged answer's line; untagged ones are read over. */
static char *answer(void)
{
    static char line[4096];
    while (fgets(line, sizeof line, wire))
        if (strncmp(line, "t ", 2) == 0 || line[0] == '+')
            return line;
    die("the mail server closed the raw connection");
    return NULL;
}

__attribute__((format(printf, 1, 2))) static char *command(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("t ", wire);
    vfprintf(wire, format, args);
    fputs("\r\n", wire);
    fflush(wire);
    va_end(args);
    char *line = answer();
    if (strncmp(line, "t OK", 4) != 0 && line[0] != '+')
        die(line);
    return line;
}

static void wire_open(void)
{
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    char greeting[1024];
    if (getaddrinfo(host, port, &hints, &found) != 0)
        die("the host is not known");
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        die("the raw connection failed");
    freeaddrinfo(found);
    wire = fdopen(fd, "r+");
    if (!wire || !fgets(greeting, sizeof greeting, wire))
        die("no greeting");
    command("LOGIN \"%s\" \"%s\"", user, word);
}

static void make_folder(const char *path)
{
    command("CREATE \"%s\"", path);
}

static uint32_t deliver(const char *path, const char *raw)
{
    command("APPEND \"%s\" {%zu}", path, strlen(raw));
    fputs(raw, wire);
    fputs("\r\n", wire);
    fflush(wire);
    const char *line = answer(), *code = strstr(line, "[APPENDUID ");
    unsigned validity, uid;
    if (!code || sscanf(code, "[APPENDUID %u %u]", &validity, &uid) != 2)
        die("APPEND without APPENDUID");
    return uid;
}

static void flag(const char *path, uint32_t uid, uint32_t flags, const char *keyword)
{
    command("SELECT \"%s\"", path);
    command("UID STORE %u FLAGS.SILENT (%s%s%s%s%s%s)", uid, flags & FLAG_SEEN ? "\\Seen " : "",
            flags & FLAG_FLAGGED ? "\\Flagged " : "", flags & FLAG_ANSWERED ? "\\Answered " : "",
            flags & FLAG_DRAFT ? "\\Draft " : "", flags & FLAG_DELETED ? "\\Deleted " : "",
            keyword ? keyword : "");
    command("UNSELECT");
}

static void expunge(const char *path, uint32_t uid)
{
    command("SELECT \"%s\"", path);
    command("UID STORE %u +FLAGS.SILENT (\\Deleted)", uid);
    command("UID EXPUNGE %u", uid);
    command("UNSELECT");
}

static void change_validity(const char *path)
{
    sleep(1); /* validities are seconds since 1970 */
    command("DELETE \"%s\"", path);
    command("CREATE \"%s\"", path);
    deliver(path, "Subject: made again\r\n\r\nbody\r\n");
}

/* A listener that nobody accepts from: the connection stands, and no greeting ever comes. */
static struct backend_target silent(void)
{
    static int listener = -1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    struct backend_target target = target_now;
    if (listener < 0) {
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 8) != 0)
            die("no listener");
    }
    if (getsockname(listener, (struct sockaddr *)&at, &size) != 0)
        die("no listener");
    target.host = "127.0.0.1";
    target.port = ntohs(at.sin_port);
    return target;
}

static void stop(void)
{
    if (wire)
        fclose(wire);
    secret_wipe(&password);
}

const struct fixture *fixture_start(void)
{
    static struct fixture fixture = {
        .ops = &backend_imap,
        .make_folder = make_folder,
        .deliver = deliver,
        .flag = flag,
        .expunge = expunge,
        .change_validity = change_validity,
        .silent = silent,
        .stop = stop,
    };
    const char *where = getenv("POSTERN_TEST_IMAP"), *security = getenv("POSTERN_TEST_SECURITY");
    const char *backend_port = getenv("POSTERN_TEST_PORT");
    struct fault fault = {0};
    struct reach *reach;
    struct tls_trust *trust;
    if (!where || sscanf(where, "%255[^:]:%15[^:]:%127[^:]:%127s", host, port, user, word) != 4) {
        fixture.skip = "POSTERN_TEST_IMAP=host:port:user:password is not set";
        return &fixture;
    }
    backend_init();
    if (reach_new("*", &fault, &reach) || tls_trust_new(getenv("POSTERN_TEST_CA"), &fault, &trust))
        die(fault.detail);
    world.reach = reach;
    world.trust = trust;
    secret_set(&password, word, strlen(word));
    fixture.target = (struct backend_target){
        .world = &world,
        .protocol = PROTOCOL_IMAP,
        .security = !security || strcmp(security, "none") == 0 ? SECURITY_NONE
                    : strcmp(security, "tls") == 0             ? SECURITY_TLS
                                                               : SECURITY_STARTTLS,
        .host = host,
        .port = (uint16_t)strtoul(backend_port ? backend_port : port, NULL, 10),
        .username = user,
        .password = &password,
    };
    target_now = fixture.target;
    wire_open();
    return &fixture;
}

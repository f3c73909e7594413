/* health.c - one GET /readyz on the `listen` address, so that an image needs no curl. */
#include "health.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_SECONDS 4

static int connect_to(int family, const struct sockaddr *address, socklen_t length)
{
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, address, length) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return connect_to(AF_UNIX, (struct sockaddr *)&address, sizeof address);
}

/* "host:port"; a server that listens everywhere is asked at loopback. */
static int connect_tcp(const char *listen)
{
    char host[256];
    const char *colon = strrchr(listen, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    bool bracketed = listen[0] == '[';
    snprintf(host, sizeof host, "%.*s", (int)(colon - listen) - (bracketed ? 2 : 0),
             listen + (bracketed ? 1 : 0));
    if (strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0)
        snprintf(host, sizeof host, "127.0.0.1");
    if (strcmp(host, "::") == 0)
        snprintf(host, sizeof host, "::1");
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -1;
    int fd = connect_to(found->ai_family, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return fd;
}

/* The status line suffices: "HTTP/1.1 200 ". */
static bool answers_ok(int fd)
{
    static const char question[] =
        "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char answer[16];
    size_t length = 0;
    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != (ssize_t)sizeof question - 1)
        return false;
    while (length < 12) {
        ssize_t got = recv(fd, answer + length, 12 - length, 0);
        if (got <= 0)
            return false;
        length += (size_t)got;
    }
    return memcmp(answer, "HTTP/1.1 200", 12) == 0;
}

int health_ask(const struct settings *settings)
{
    const char *listen = settings->listen;
    int fd = strncmp(listen, "unix:", 5) == 0 ? connect_unix(listen + 5) : connect_tcp(listen);
    if (fd < 0) {
        fprintf(stderr, "postern: %s: %s\n", listen, errno ? strerror(errno) : "cannot be reached");
        return 1;
    }
    bool ready = answers_ok(fd);
    close(fd);
    if (!ready)
        fprintf(stderr, "postern: %s: is not ready\n", listen);
    return ready ? 0 : 1;
}

/* listener.c - the listening socket: IPv4, IPv6 or a unix socket, from one line of text.
 *
 * "*" is IPv6 with IPv4 inside where the machine has IPv6, else IPv4. A unix socket's file of a
 * process that died is removed; one that answers is not. The file is 0660 before anyone can
 * connect.
 */
#include "door.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX         "unix:"
#define LISTEN_BACKLOG      1024
#define NOT_SENT_MOST_BYTES (256 * 1024) /* that the kernel holds for one client */
#define SOCKET_FLAGS        (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)

static enum err refuse_address(struct fault *fault, const char *address, int error)
{
    return fault_set(fault, error == EADDRINUSE ? ERR_CONFLICT : ERR_INVALID,
                     "cannot listen on %s: %s", address, strerror(error));
}

static bool someone_answers(const struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    bool answers = fd >= 0 && (connect(fd, (const struct sockaddr *)name, sizeof *name) == 0 ||
                               errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return answers;
}

static int open_unix(const struct sockaddr_un *name)
{
    struct stat found;
    if (lstat(name->sun_path, &found) == 0) {
        if (!S_ISSOCK(found.st_mode) || someone_answers(name)) {
            errno = EADDRINUSE;
            return -1;
        }
        unlink(name->sun_path);
    }
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)name, sizeof *name) == 0 &&
        chmod(name->sun_path, 0660) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static enum err listen_unix(const char *address, struct fault *fault, int *fd_out,
                            char out[HTTP_ADDRESS_BYTES])
{
    const char *path = address + strlen(UNIX_PREFIX);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (*path == '\0' || strlen(path) >= sizeof name.sun_path)
        return refuse_address(fault, address, ENAMETOOLONG);
    memcpy(name.sun_path, path, strlen(path) + 1);
    int fd = open_unix(&name);
    if (fd < 0)
        return refuse_address(fault, address, errno);
    snprintf(out, HTTP_ADDRESS_BYTES, "%s", address);
    *fd_out = fd;
    return OK;
}

static int open_inet(const struct addrinfo *found, bool dual_stack)
{
    int fd = socket(found->ai_family, SOCKET_FLAGS, 0);
    if (fd < 0)
        return -1;
    int on = 1, only = !dual_stack, not_sent = NOT_SENT_MOST_BYTES;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Else the kernel takes megabytes in for a slow reader, and its progress cannot be seen.
     * Accepted sockets inherit it. */
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &not_sent, sizeof not_sent);
    if (found->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* "host:port" or "[host]:port" into its two parts. */
static bool split_address(const char *address, char host[HTTP_ADDRESS_BYTES], const char **port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || colon[1] == '\0' || strlen(address) >= HTTP_ADDRESS_BYTES)
        return false;
    size_t length = (size_t)(colon - address);
    if (address[0] == '[') {
        if (length < 3 || address[length - 1] != ']')
            return false;
        address++;
        length -= 2;
    } else if (memchr(address, ':', length)) {
        return false;
    }
    memcpy(host, address, length);
    host[length] = '\0';
    *port = colon + 1;
    return true;
}

static void describe(int fd, const char *host, char out[HTTP_ADDRESS_BYTES])
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    getsockname(fd, (struct sockaddr *)&bound, &size);
    unsigned port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                      : ((struct sockaddr_in *)&bound)->sin_port);
    bool bracketed = strchr(host, ':');
    snprintf(out, HTTP_ADDRESS_BYTES, "%s%.100s%s:%u", bracketed ? "[" : "", host,
             bracketed ? "]" : "", port);
}

enum err listener_open(const char *address, struct fault *fault, int *fd_out,
                       char out[HTTP_ADDRESS_BYTES])
{
    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return listen_unix(address, fault, fd_out, out);
    char host[HTTP_ADDRESS_BYTES];
    const char *port;
    if (!split_address(address, host, &port))
        return fault_set(fault, ERR_INVALID, "\"%s\" is not host:port, [v6]:port or unix:/path",
                         address);
    bool any = strcmp(host, "*") == 0;
    const char *names[] = {any ? "::" : host, any ? "0.0.0.0" : NULL};
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int fd = -1;
    for (size_t i = 0; i < 2 && fd < 0 && names[i]; i++) {
        struct addrinfo *found = NULL;
        int failed = getaddrinfo(names[i], port, &hints, &found);
        if (failed)
            return fault_set(fault, ERR_INVALID, "cannot listen on %s: %s", address,
                             gai_strerror(failed));
        fd = open_inet(found, any);
        int error = errno;
        freeaddrinfo(found);
        errno = error;
    }
    if (fd < 0)
        return refuse_address(fault, address, errno);
    describe(fd, host, out);
    *fd_out = fd;
    return OK;
}

void listener_unlink(const char *address)
{
    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        unlink(address + strlen(UNIX_PREFIX));
}

/* peer.c - the connections: who they are, where they stand, and a name that outlives none of them.
 *
 * File descriptors are used again at once and events may be late, so the attendant knows a peer by
 * slot and generation and looks it up under the lock. A peer leaves the table before its descriptor
 * is closed: what is done to `fd` under the lock meets the right client.
 */
#include "door.h"

#include "clock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define NO_SLOT UINT32_MAX

static const unsigned phase_arrows[PHASE_COUNT] = {
    [PHASE_HEADERS] =
        1u << PHASE_HEADERS | 1u << PHASE_BODY | 1u << PHASE_SENDING | 1u << PHASE_IDLE,
    [PHASE_BODY] = 1u << PHASE_HANDED | 1u << PHASE_SENDING | 1u << PHASE_IDLE,
    [PHASE_HANDED] = 1u << PHASE_AWAIT | 1u << PHASE_SENDING | 1u << PHASE_IDLE,
    [PHASE_AWAIT] = 1u << PHASE_SENDING | 1u << PHASE_IDLE,
    [PHASE_SENDING] = 1u << PHASE_IDLE,
    [PHASE_IDLE] = 1u << PHASE_HEADERS | 1u << PHASE_IDLE,
};

void peer_enter(struct peer *peer, enum phase phase)
{
    bool allowed = phase_arrows[peer->phase] & 1u << phase;
    assert(allowed);
    (void)allowed;
    pthread_mutex_lock(&peer->server->lock);
    if (peer->phase != phase) /* the time for headers runs from the accept */
        peer->phase_since_ms = clock_now_ms();
    peer->phase = phase;
    peer->has_spoken |= phase == PHASE_HEADERS;
    if (phase == PHASE_AWAIT)
        watcher_arm(peer);
    pthread_mutex_unlock(&peer->server->lock);
}

static void describe_remote(struct MHD_Connection *connection, char out[HTTP_REMOTE_BYTES])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    snprintf(out, HTTP_REMOTE_BYTES, "unix");
    if (address && address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, out,
                  HTTP_REMOTE_BYTES);
    } else if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? (const void *)(six->s6_addr + 12) : six,
                  out, HTTP_REMOTE_BYTES);
    }
}

/* Under the lock. */
static void take_slot(struct http_server *server, struct peer *peer)
{
    if (server->slots_free == NO_SLOT) {
        uint32_t size = server->slots_size ? server->slots_size * 2 : 64;
        server->slots = xrealloc(server->slots, size * sizeof *server->slots);
        for (uint32_t i = size; i-- > server->slots_size;) {
            server->slots[i] = (struct peer_slot){.next_free = server->slots_free};
            server->slots_free = i;
        }
        server->slots_size = size;
    }
    peer->slot = server->slots_free;
    struct peer_slot *slot = &server->slots[peer->slot];
    server->slots_free = slot->next_free;
    slot->peer = peer;
    peer->generation = slot->generation = (slot->generation + 1) & PEER_GENERATION_MASK;
    server->peers_open++;
}

static void give_slot(struct http_server *server, struct peer *peer)
{
    struct peer_slot *slot = &server->slots[peer->slot];
    slot->peer = NULL;
    slot->next_free = server->slots_free;
    server->slots_free = peer->slot;
    server->peers_open--;
}

struct peer *peer_find(struct http_server *server, uint32_t slot, uint32_t generation)
{
    if (slot >= server->slots_size || server->slots[slot].generation != generation)
        return NULL;
    return server->slots[slot].peer;
}

struct peer *peer_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static struct peer *peer_new(struct http_server *server, struct MHD_Connection *connection)
{
    struct peer *peer = xalloc(sizeof *peer);
    peer->server = server;
    peer->connection = connection;
    peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    peer->phase = PHASE_HEADERS;
    peer->phase_since_ms = clock_now_ms();
    describe_remote(connection, peer->remote);
    pthread_mutex_lock(&server->lock);
    take_slot(server, peer);
    pthread_mutex_unlock(&server->lock);
    return peer;
}

static bool may_still_be_sending(const struct peer *peer)
{
    int unread = 0;
    return peer->exchange.body_unread || (ioctl(peer->fd, FIONREAD, &unread) == 0 && unread > 0);
}

/* Before libmicrohttpd closes the descriptor. */
static void peer_free(struct peer *peer)
{
    struct http_server *server = peer->server;
    assert(!peer->exchange.announced);
    if (may_still_be_sending(peer))
        linger_take(peer);
    pthread_mutex_lock(&server->lock);
    watcher_forget(peer);
    give_slot(server, peer);
    pthread_mutex_unlock(&server->lock);
    free(peer);
}

void peer_notify(void *argument, struct MHD_Connection *connection, void **socket_data,
                 enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_data = peer_new(argument, connection);
    } else if (*socket_data) {
        peer_free(*socket_data);
        *socket_data = NULL;
    }
}

void peer_last_words(const struct peer *peer, int status)
{
    const char *title = status == 408 ? "Request Timeout" : "Content Too Large";
    const char *code = status == 408 ? "request-timeout" : "too-large";
    const char *id = peer->phase == PHASE_HEADERS ? "" : peer->exchange.request_id;
    char body[256], answer[640];
    int length = snprintf(body, sizeof body,
                          "{\"type\":\"https://postern.dev/problems/%s\",\"title\":\"%s\","
                          "\"status\":%d,\"code\":\"%s\",\"retryable\":%s}",
                          code, title, status, code, status == 408 ? "true" : "false");
    int size =
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\n"
                 "Content-Length: %d\r\nConnection: close\r\nCache-Control: no-store\r\n"
                 "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
                 "%s%s%s\r\n%s",
                 status, title, length, *id ? "X-Request-Id: " : "", id, *id ? "\r\n" : "", body);
    (void)!send(peer->fd, answer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

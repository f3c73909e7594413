/* sweeper.c - ends those who send too slowly.
 *
 * An idle time-out cannot: a byte now and then keeps a connection alive for ever. These limits
 * count from the start of a phase, whatever trickles in. After shutdown() libmicrohttpd reads an
 * end and closes by itself.
 */
#include "door.h"

#include "clock.h"

#include <sys/socket.h>

#define PERIOD_LEAST_MS 20
#define PERIOD_MOST_MS  1000

int sweeper_period_ms(const struct http_config *config)
{
    int shortest = config->header_timeout_ms;
    if (config->body_timeout_ms < shortest)
        shortest = config->body_timeout_ms;
    int period = shortest / 8;
    return period < PERIOD_LEAST_MS ? PERIOD_LEAST_MS
                                    : (period > PERIOD_MOST_MS ? PERIOD_MOST_MS : period);
}

/* Milliseconds that may pass in a phase. Between requests silence is libmicrohttpd's to end; the
 * sum catches a request line that drips in behind an answer. */
static int64_t phase_limit_ms(const struct http_config *config, enum phase phase)
{
    switch (phase) {
    case PHASE_HEADERS: return config->header_timeout_ms;
    case PHASE_BODY: return config->body_timeout_ms;
    case PHASE_IDLE: return (int64_t)config->idle_timeout_ms + config->header_timeout_ms;
    default: return INT64_MAX;
    }
}

static void end_peer(struct peer *peer)
{
    peer->ended = true;
    if (peer->phase == PHASE_BODY)
        peer->exchange.status = 408;
    /* A client that said nothing is told nothing: it may only have opened a spare connection. */
    if (peer->phase != PHASE_IDLE && peer->has_spoken)
        peer_last_words(peer, 408);
    shutdown(peer->fd, SHUT_RDWR);
}

void sweeper_sweep(struct http_server *server)
{
    int64_t now_ms = clock_now_ms();
    pthread_mutex_lock(&server->lock);
    for (uint32_t i = 0; i < server->slots_size; i++) {
        struct peer *peer = server->slots[i].peer;
        if (peer && !peer->ended &&
            now_ms - peer->phase_since_ms > phase_limit_ms(&server->config, peer->phase))
            end_peer(peer);
    }
    pthread_mutex_unlock(&server->lock);
}

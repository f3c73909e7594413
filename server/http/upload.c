/* upload.c - the request body, up to what was admitted.
 *
 * Everything offered is taken in the call: libmicrohttpd hangs when a part stays behind. A chunked
 * body that grows too large is read on for a while and dropped, because an answer can only be
 * queued behind the body, and because a client that is still sending does not read.
 */
#include "door.h"

#define DISCARD_MAX_BYTES (256u * 1024u)

enum MHD_Result upload_take(struct exchange *exchange, const char *data, size_t length)
{
    if (!exchange->body.overflowed) {
        buf_append(&exchange->body, data, length);
        if (!exchange->body.overflowed)
            return MHD_YES;
        buf_clear(&exchange->body);
        exchange->body.overflowed = true;
    }
    exchange->discarded_bytes += length;
    if (exchange->discarded_bytes <= DISCARD_MAX_BYTES)
        return MHD_YES;
    peer_enter(exchange->peer, PHASE_SENDING); /* past the sweeper, which could say 408 too */
    exchange->status = 413;
    exchange->body_unread = true;
    peer_last_words(exchange->peer, 413);
    return MHD_NO;
}

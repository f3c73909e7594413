/* render.h - a message as JSON: ready rows with what changes spliced in, and its MIME tree. Pure.
 */
#ifndef POSTERN_API_RENDER_H
#define POSTERN_API_RENDER_H

#include "api.h"
#include "fields.h"

/* The members of @list that are wanted, without braces. */
void render_row(struct buf *out, const struct message_row *row, const char *folder_id,
                uint32_t mask);
/* Arrays and objects of one message. */
void render_parts(struct buf *out, const struct message *message);
void render_attachments(struct buf *out, const struct message *message);
void render_limited(struct buf *out, uint32_t limited);

/* Weak: names everything of a message that may change, so that it holds over a rebuilt mirror. */
#define ETAG_BYTES 32
void render_message_etag(const struct message_row *row, const char *folder_id,
                         char out[ETAG_BYTES]);
/* `W/"..."` of a digest. */
void render_weak_etag(const void *data, size_t length, char out[ETAG_BYTES]);

#endif

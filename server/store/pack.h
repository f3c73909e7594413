/* pack.h - everything known of one message as one compact blob, and back.
 *
 * What changes while a message lives (uid, flags, keywords, modseq) is not in it: equal blobs mean
 * an equal record. unpack distrusts what it reads, whatever made it.
 */
#ifndef POSTERN_PACK_H
#define POSTERN_PACK_H

#include "arena.h"
#include "buf.h"
#include "mailbox.h"

void pack_message(const struct message *message, struct buf *out);
/* False for anything pack_message did not make. Members that are not packed stay as they are. */
bool unpack_message(struct arena *arena, const void *data, size_t length, struct message *out);

/* Keywords as a JSON array of strings, sorted, each once; and back. */
void pack_keywords(const struct string_list *keywords, struct buf *out);
bool unpack_keywords(struct arena *arena, const char *json, struct string_list *out);

#endif

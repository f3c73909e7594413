/* put.h - writing JSON straight into a buffer; commas put themselves. Pure.
 *
 * The last byte written tells whether a comma is due, so pieces made elsewhere (the mirror's ready
 * rows) can be spliced in between.
 */
#ifndef POSTERN_API_PUT_H
#define POSTERN_API_PUT_H

#include "buf.h"
#include "mailbox.h"

#include <stdbool.h>
#include <stdint.h>

void put_open(struct buf *out, char bracket);
void put_close(struct buf *out, char bracket);
void put_key(struct buf *out, const char *key);
void put_raw(struct buf *out, const char *json, size_t length); /* a value, or members, ready */
void put_text(struct buf *out, const char *text);               /* NULL: null */
void put_int(struct buf *out, int64_t value);
void put_bool(struct buf *out, bool value);
void put_null(struct buf *out);
void put_time(struct buf *out, int64_t unix_s);
void put_strings(struct buf *out, const struct string_list *list);

void put_member_text(struct buf *out, const char *key, const char *text);
void put_member_int(struct buf *out, const char *key, int64_t value);
void put_member_bool(struct buf *out, const char *key, bool value);
void put_member_null(struct buf *out, const char *key);

#endif

/* buf.h - a growing run of bytes that knows the size at which it is too big.
 *
 * `data` is NUL-terminated behind `length` whenever it is not NULL. Once an append would pass
 * `max_bytes` the buffer is `overflowed` and further appends do nothing: test once, at the end.
 */
#ifndef POSTERN_BUF_H
#define POSTERN_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* owned; NULL while empty */
    size_t length;
    size_t capacity;
    size_t max_bytes;
    bool overflowed;
    bool is_secret;
};

void buf_init(struct buf *buf, size_t max_bytes);
/* For credentials: wherever its bytes stood is overwritten, when it grows and when it is cleared.
 */
void buf_init_secret(struct buf *buf, size_t max_bytes);
void buf_clear(struct buf *buf); /* frees; keeps max_bytes, may be used again */
void buf_reset(struct buf *buf); /* length 0, memory kept */
void buf_append(struct buf *buf, const void *data, size_t length);
void buf_text(struct buf *buf, const char *text);
void buf_char(struct buf *buf, char byte);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *buf, size_t length); /* drops bytes from the front */
char *buf_detach(struct buf *buf);                /* caller frees; the buffer is empty after */

/* Appends text as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD. */
void buf_json_string(struct buf *buf, const char *text, size_t length);

#endif

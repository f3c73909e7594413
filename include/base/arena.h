/* arena.h - memory with one lifetime: allocate freely, free whole.
 *
 * Not safe between threads. Never returns NULL: an allocation failure aborts (limits elsewhere make
 * that a matter of the machine, not of one request). Do not keep secrets in an arena: see secret.h.
 * Bad at: one huge growing thing (use buf.h) and at giving back single pieces.
 */
#ifndef POSTERN_ARENA_H
#define POSTERN_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *head; /* owned; NULL until first used */
    size_t used_bytes;        /* handed out since init or clear */
};

void arena_init(struct arena *arena);
void arena_clear(struct arena *arena); /* frees everything; the arena may be used again */

void *arena_alloc(struct arena *arena, size_t size); /* 16-byte aligned, zeroed */
#define arena_new(arena, type)          ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_alloc_array((arena), (count), sizeof(type)))
void *arena_alloc_array(struct arena *arena, size_t count, size_t size);

char *arena_strdup(struct arena *arena, const char *text); /* NULL stays NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Heap memory for things that outlive a request; abort when there is none. */
void *xalloc(size_t size); /* zeroed */
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);

#endif

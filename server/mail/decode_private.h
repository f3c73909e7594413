/* decode_private.h - what the decode_*.c files share and nobody else needs. */
#ifndef POSTERN_DECODE_PRIVATE_H
#define POSTERN_DECODE_PRIVATE_H

#include "arena.h"
#include "decode.h"

/* ---- chain ---- */
/* Zeroed memory that lives as long as the chain; `clear`, when there is one, runs before it goes.
 */
void *decode_chain_own(struct decode_chain *chain, size_t size, void (*clear)(void *));

/* ---- charsets ---- */
#define CHARSET_UTF8 "UTF-8"
/* The iconv name of the superset a declared charset is read as ("iso-8859-1": windows-1252); NULL
 * when it is none we know. A closed list: some of glibc's converters have been made to loop or
 * abort by their input, and their names come from strangers. */
const char *charset_find(const char *name, size_t length);
/* All that charset_find may return, each once, but UTF-8; NULL behind the last. */
const char *charset_nth(size_t n);
/* Unicode of one windows-1252 byte; U+FFFD for the five unassigned. */
uint32_t charset_windows_1252(unsigned char byte);
/* Writes 1 to 4 bytes; U+FFFD for what is no character. */
size_t charset_put_utf8(uint32_t code, char out[4]);
/* A whole text to UTF-8, by decode_charset. */
char *charset_to_utf8(struct arena *arena, const char *charset, const char *data, size_t length);

/* ---- header text ---- */
/* No NUL, unfolded, valid UTF-8; of at most BACKEND_HEADER_VALUE_BYTES_MAX of it. */
char *header_prepare(struct arena *arena, struct decode_budget *budget, const char *raw,
                     size_t length);
/* Decodes the encoded words (RFC 2047) of a prepared value. WORDS_AS_WORDS: neighbours become one
 * word in UTF-8 and base64 without controls, which is what a parser of structured values may be
 * given. */
enum words_form { WORDS_AS_TEXT, WORDS_AS_WORDS };
const char *words_decode(struct arena *arena, struct decode_budget *budget, const char *text,
                         enum words_form form);

/* ---- HTML ---- */
/* Unicode of a named entity without & and ;, or 0. */
uint32_t html_entity_find(const char *name, size_t length);

#endif

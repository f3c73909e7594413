/* text.h - UTF-8, ASCII and the small encodings, on explicit lengths. */
#ifndef POSTERN_TEXT_H
#define POSTERN_TEXT_H

#include "arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool text_is_utf8(const char *text, size_t length); /* strict: no surrogates, no overlong forms */
bool text_is_ascii(const char *text, size_t length);

/* Bytes of the longest prefix of at most `limit` code points (text_cut_chars) or bytes
 * (text_cut_bytes) that does not split a code point. The text is valid UTF-8. */
size_t text_cut_chars(const char *text, size_t length, size_t limit);
size_t text_cut_bytes(const char *text, size_t length, size_t limit);

/* Valid UTF-8 without control characters (C0 except tab, DEL, C1) and NUL: what may stand in JSON.
 * Invalid bytes become U+FFFD; controls are removed, except tab and newline, which stay or, when
 * `fold`, become (with CR) one blank. */
char *text_clean(struct arena *arena, const char *text, size_t length, bool fold);

/* ASCII only, independent of the locale. */
int text_casecmp(const char *a, const char *b);
bool text_case_equal(const char *a, size_t a_length, const char *b);
bool text_starts_case(const char *text, const char *prefix);
void text_lower(char *text);

/* A decimal number that fills the text whole; false for empty, signs, blanks or overflow. */
bool text_to_u64(const char *text, size_t length, uint64_t max, uint64_t *out);

/* Percent-decoding of one path segment or query piece; plus_is_blank for queries. NULL for a bad
 * escape, an encoded NUL, or invalid UTF-8. */
char *text_percent_decode(struct arena *arena, const char *text, size_t length, bool plus_is_blank);
/* Keeps RFC 3986 unreserved characters. */
char *text_percent_encode(struct arena *arena, const char *text);

/* RFC 4648: base64url without padding; out must hold TEXT_BASE64URL_BYTES(length). */
#define TEXT_BASE64URL_BYTES(n) (((n)*4 + 2) / 3 + 1)
void text_base64url(const void *data, size_t length, char *out);
/* Returns the number of bytes, or -1 (bad character, non-canonical tail, more than capacity). */
long text_base64url_decode(const char *text, size_t length, void *out, size_t capacity);
/* Standard base64 with padding, for HTTP Basic and SASL. */
char *text_base64(const void *data, size_t length); /* malloc'd: may hold a secret, wipe it */
long text_base64_decode(const char *text, size_t length, void *out, size_t capacity);

#endif

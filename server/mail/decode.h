/* decode.h - from the bytes of a mail to clean UTF-8, on GMime 3. Thread-safe after backend_init.
 *
 * Inputs are hostile: any bytes, any length the caller's caps let through. Results are valid UTF-8
 * without controls (mailbox.h) in the given arena. Nothing here fails: what cannot be decoded is
 * shown as well as it can be.
 */
#ifndef POSTERN_DECODE_H
#define POSTERN_DECODE_H

#include "arena.h"
#include "backend.h"
#include "mailbox.h"
#include "sink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what decoding one message may cost, and what was left out of it ---- */
struct decode_budget {
    const struct arena *arena;      /* borrowed: whose growth counts; may be NULL */
    size_t arena_bytes;             /* when the budget began */
    uint64_t bytes_max, held_bytes; /* held: elsewhere, for this message */
    uint64_t cpu_ns_max, started_ns;
    uint32_t work; /* since the last look at the clock */
    bool started, out_of_time, out_of_memory;
    uint32_t limited; /* enum message_limit; every function below adds to it */
};
/* 0 is no time at all, not no limit. The limits are kept as well as the largest single step allows:
 * one header value, one address, 4 KiB of a preview. */
void decode_budget_begin(struct decode_budget *budget, const struct arena *arena,
                         uint32_t cpu_ms_max, uint64_t bytes_max);
void decode_budget_more(struct decode_budget *budget, uint32_t cpu_ms);
/* Called before doing `work` (bytes to be read, or what costs as much); false: leave it out. */
bool decode_budget_spend(struct decode_budget *budget, size_t work);
bool decode_budget_left(const struct decode_budget *budget);

/* ---- header text ---- */
/* An unstructured header value: unfolded, RFC 2047 decoded, raw 8-bit guessed (UTF-8, else the
 * windows-1252 superset of latin-1). Cut, raw and decoded, at BACKEND_HEADER_VALUE_BYTES_MAX. */
char *decode_text(struct arena *arena, struct decode_budget *budget, const char *raw,
                  size_t length);
/* "<a@b> <c@d>" to bare ids; what is between them is dropped. At most BACKEND_MESSAGE_IDS_MAX. */
void decode_message_ids(struct arena *arena, struct decode_budget *budget, const char *raw,
                        size_t length, struct string_list *out);
/* RFC 5322 date with its obsolete and broken forms; false when it is none. */
bool decode_date(const char *raw, size_t length, int64_t *unix_s);
/* An address header. Groups keep their name; more than BACKEND_ADDRESSES_MAX, one of absurd length
 * or nesting: cut, and LIMITED_ADDRESSES. */
void decode_addresses(struct arena *arena, struct decode_budget *budget, const char *raw,
                      size_t length, struct address_list *out);

/* MIME parameters as a list of raw (name, value) pairs, in order: RFC 2231 continuations and
 * charsets, RFC 2047 where it must not be but is. Finds one by its base name ("filename", "name",
 * "charset"); NULL when absent. */
struct raw_parameter {
    const char *name, *value;
    size_t value_length;
};
char *decode_parameter(struct arena *arena, struct decode_budget *budget,
                       const struct raw_parameter *parameters, uint32_t count, const char *name);
/* A file name fit to save under: path parts, controls and bidirectional overrides removed, at most
 * 255 bytes; NULL when nothing is left. */
char *decode_file_name(struct arena *arena, const char *name);

/* ---- a header section ---- */
/* Splits at the first empty line, unfolds, decodes each. Malformed lines are skipped; at most 1 MiB
 * and 10,000 headers are told, else LIMITED_HEADERS. What is told counts as held. */
enum err decode_headers(struct decode_budget *budget, const char *raw, size_t length,
                        struct header_sink *sink);

/* ---- content, as sinks in a chain: each _new returns a sink owned by the arena-like `chain` ----
 */
struct decode_chain; /* frees all its links at once */
struct decode_chain *decode_chain_new(void);
void decode_chain_free(struct decode_chain **chain);
/* Undoes base64 and quoted-printable (broken input: as much as can be); others pass unchanged. */
struct sink *decode_transfer(struct decode_chain *chain, const char *encoding, struct sink *next);
/* To UTF-8 with LF line ends and no NUL. Unknown or lying charsets are guessed. */
struct sink *decode_charset(struct decode_chain *chain, const char *charset, struct sink *next);
/* HTML (UTF-8) to plain text: block elements end lines, links keep their text, scripts, styles and
 * comments vanish, entities become characters. Bounded state whatever the input. */
struct sink *decode_html(struct decode_chain *chain, struct sink *next);

/* A preview of text content: quoted lines, signatures and white space runs dropped; at most
 * BACKEND_PREVIEW_CHARS_MAX characters. `raw` are the first encoded bytes of the part, cut
 * anywhere. */
char *decode_preview(struct arena *arena, struct decode_budget *budget, const char *type,
                     const char *charset, const char *encoding, const char *raw, size_t length);

#endif

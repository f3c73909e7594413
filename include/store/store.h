/* store.h - the data directory: who holds it, the key all ids derive from, and the mirrors in it.
 *
 * One process holds a data directory at a time (flock). Files are 0600, the directory 0700. Safe
 * from every thread.
 */
#ifndef POSTERN_STORE_H
#define POSTERN_STORE_H

#include "buf.h"
#include "call.h"
#include "crypto.h"
#include "mailbox.h"

#include <stdbool.h>
#include <stdint.h>

struct store;
struct mirror;

/* A mirror that would grow beyond this is ERR_OVER_QUOTA: some four million messages. */
#define MIRROR_MOST_BYTES (4ll << 30)

#define ACCOUNT_ID_BYTES 32 /* "a_..." and NUL */
#define FOLDER_ID_BYTES  28 /* "f_..." and NUL: at most 26 characters */
#define MESSAGE_ID_BYTES 28 /* "m_..." and NUL: at most 26 characters */

/* The list JSON of one message, made once when it is synced: an object's members from id to what
 * never changes, without the outer braces: `"id":"m_...","subject":...`. Thread-safe, pure. When
 * what it makes changes, STORE_RENDER_VERSION in mirror.h goes up and mirrors render anew. */
typedef void store_render(const char *id, const struct message *message, struct buf *out);

struct store_options {
    const char *data_dir;
    bool memory;          /* mirrors live in memory only; the key still stands in data_dir */
    store_render *render; /* required */
};

/* ERR_CONFLICT when another process holds the directory (detail says its pid), ERR_STORE otherwise.
 */
enum err store_open(const struct store_options *options, struct fault *fault, struct store **out);
void store_close(struct store **store); /* all mirrors given back before */

/* A key for one purpose, derived from the directory's master key (random, made once). */
void store_key(const struct store *store, const char *label, struct crypto_key *out);

/* The account's id: a keyed hash of these four, the same in every process that has the key. The
 * host is compared without case. */
void store_account_id(const struct store *store, const char *protocol, const char *host,
                      uint16_t port, const char *username, char out[ACCOUNT_ID_BYTES]);

/* The account's mirror; every take needs a give. Its file is opened or made by the first who reads
 * or writes, so that a sign-in which fails leaves nothing on disk. One that is damaged, or newer
 * than this program, is set aside (renamed, with a log line) and a new one begun. */
enum err mirror_take(struct store *store, const char *account_id, struct fault *fault,
                     struct mirror **out);
void mirror_give(struct mirror **mirror);

/* Housekeeping, called every few seconds from one thread: closes database handles idle for
 * idle_ms, removes mirrors that nobody used for unused_days (0: never), prunes journals. */
void store_tidy(struct store *store, int64_t idle_ms, uint32_t unused_days);

#endif

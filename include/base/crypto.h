/* crypto.h - the few primitives ids, cursors and tokens are made of, on OpenSSL. All thread-safe.
 */
#ifndef POSTERN_CRYPTO_H
#define POSTERN_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY_BYTES  32
#define CRYPTO_HASH_BYTES 32

struct crypto_key {
    uint8_t bytes[CRYPTO_KEY_BYTES];
};

void crypto_random(void *out, size_t length); /* aborts when the system has none */
void crypto_hash(const void *data, size_t length, uint8_t out[CRYPTO_HASH_BYTES]); /* SHA-256 */
void crypto_hmac(const struct crypto_key *key, const void *data, size_t length,
                 uint8_t out[CRYPTO_HASH_BYTES]); /* HMAC-SHA-256 */
/* A key for one purpose: HMAC of the label. Derived keys tell nothing of each other. */
void crypto_derive(const struct crypto_key *key, const char *label, struct crypto_key *out);
bool crypto_equal(const void *a, const void *b, size_t length); /* constant time */

/* One AES-128 block under the key's first 16 bytes: a keyed permutation that makes short opaque ids
 * which only we can make or read. Not a way to encrypt data. */
void crypto_seal_block(const struct crypto_key *key, const uint8_t in[16], uint8_t out[16]);
void crypto_open_block(const struct crypto_key *key, const uint8_t in[16], uint8_t out[16]);

#endif

/* crypto.c - the primitives, from libcrypto's EVP. */
#include "crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int ok, const char *what)
{
    if (ok == 1)
        return;
    fprintf(stderr, "postern: %s is not to be had from OpenSSL\n", what);
    abort();
}

void crypto_random(void *out, size_t length)
{
    must(RAND_bytes(out, (int)length), "randomness");
}

void crypto_hash(const void *data, size_t length, uint8_t out[CRYPTO_HASH_BYTES])
{
    must(EVP_Digest(data, length, out, NULL, EVP_sha256(), NULL), "SHA-256");
}

void crypto_hmac(const struct crypto_key *key, const void *data, size_t length,
                 uint8_t out[CRYPTO_HASH_BYTES])
{
    unsigned int written = CRYPTO_HASH_BYTES;
    must(HMAC(EVP_sha256(), key->bytes, CRYPTO_KEY_BYTES, data, length, out, &written) != NULL,
         "HMAC");
}

void crypto_derive(const struct crypto_key *key, const char *label, struct crypto_key *out)
{
    crypto_hmac(key, label, strlen(label), out->bytes);
}

bool crypto_equal(const void *a, const void *b, size_t length)
{
    return CRYPTO_memcmp(a, b, length) == 0;
}

static void one_block(const struct crypto_key *key, const uint8_t in[16], uint8_t out[16], int seal)
{
    int length = 0;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    must(cipher != NULL, "AES");
    must(EVP_CipherInit_ex(cipher, EVP_aes_128_ecb(), NULL, key->bytes, NULL, seal), "AES");
    EVP_CIPHER_CTX_set_padding(cipher, 0);
    must(EVP_CipherUpdate(cipher, out, &length, in, 16), "AES");
    EVP_CIPHER_CTX_free(cipher);
}

void crypto_seal_block(const struct crypto_key *key, const uint8_t in[16], uint8_t out[16])
{
    one_block(key, in, out, 1);
}

void crypto_open_block(const struct crypto_key *key, const uint8_t in[16], uint8_t out[16])
{
    one_block(key, in, out, 0);
}

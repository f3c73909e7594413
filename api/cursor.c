/* cursor.c - version, place, binding, and a truncated HMAC over these and the account. */
#include "cursor.h"

#include <string.h>

#define CURSOR_VERSION  1
#define PAYLOAD_BYTES   (1 + 8 + 8 + 4 + CURSOR_BINDING_BYTES)
#define SIGNATURE_BYTES (CURSOR_RAW_BYTES - PAYLOAD_BYTES)

static uint8_t *number_put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static const uint8_t *number_take(const uint8_t *at, uint64_t *value, int bytes)
{
    *value = 0;
    for (int i = 0; i < bytes; i++)
        *value = *value << 8 | *at++;
    return at;
}

static void sign(const struct crypto_key *key, const char *account_id, const uint8_t *payload,
                 uint8_t out[CRYPTO_HASH_BYTES])
{
    uint8_t message[PAYLOAD_BYTES + ACCOUNT_ID_BYTES] = {0};
    memcpy(message, payload, PAYLOAD_BYTES);
    memcpy(message + PAYLOAD_BYTES, account_id, strnlen(account_id, ACCOUNT_ID_BYTES - 1));
    crypto_hmac(key, message, sizeof message, out);
}

void cursor_bind(const char *list, uint8_t out[CURSOR_BINDING_BYTES])
{
    uint8_t digest[CRYPTO_HASH_BYTES];
    crypto_hash(list, strlen(list), digest);
    memcpy(out, digest, CURSOR_BINDING_BYTES);
}

void cursor_seal(const struct crypto_key *key, const char *account_id, const struct cursor *cursor,
                 char out[CURSOR_BYTES])
{
    uint8_t raw[CURSOR_RAW_BYTES], signature[CRYPTO_HASH_BYTES], *at = raw;
    *at++ = CURSOR_VERSION;
    at = number_put(at, (uint64_t)cursor->place.received_s, 8);
    at = number_put(at, (uint64_t)cursor->place.folder, 8);
    at = number_put(at, cursor->place.uid, 4);
    memcpy(at, cursor->binding, CURSOR_BINDING_BYTES);
    sign(key, account_id, raw, signature);
    memcpy(raw + PAYLOAD_BYTES, signature, SIGNATURE_BYTES);
    text_base64url(raw, sizeof raw, out);
}

enum err cursor_open(const struct crypto_key *key, const char *account_id, const char *text,
                     struct fault *fault, struct cursor *out)
{
    uint8_t raw[CURSOR_RAW_BYTES], signature[CRYPTO_HASH_BYTES];
    uint64_t received, folder, uid;
    long length = text_base64url_decode(text, strlen(text), raw, sizeof raw);
    if (length == CURSOR_RAW_BYTES)
        sign(key, account_id, raw, signature);
    if (length != CURSOR_RAW_BYTES || raw[0] != CURSOR_VERSION ||
        !crypto_equal(signature, raw + PAYLOAD_BYTES, SIGNATURE_BYTES))
        return fault_at(fault, ERR_INVALID_CURSOR, "cursor",
                        "this is no cursor that a list of this account gave");
    const uint8_t *at = number_take(raw + 1, &received, 8);
    at = number_take(at, &folder, 8);
    at = number_take(at, &uid, 4);
    out->place = (struct list_place){(int64_t)received, (int64_t)folder, (uint32_t)uid};
    memcpy(out->binding, at, CURSOR_BINDING_BYTES);
    return OK;
}

/* ids.c - see ids.h. */
#include "ids.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define FOLDER_HASH_BYTES 12
#define TAG_BYTES         5

static void put_be(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static uint64_t get_be(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | in[i];
    return value;
}

void id_key(const struct crypto_key *master, const char *account_id, struct crypto_key *out)
{
    char label[ACCOUNT_ID_BYTES + 16];
    snprintf(label, sizeof label, "ids of %s", account_id);
    crypto_derive(master, label, out);
}

void id_seal(const struct crypto_key *key, const struct id_place *place, uint8_t out[ID_RAW_BYTES])
{
    uint8_t block[ID_RAW_BYTES] = {[0] = ID_KIND_PLACE};
    put_be(block + 3, place->tag, TAG_BYTES);
    put_be(block + 8, place->validity, 4);
    put_be(block + 12, place->uid, 4);
    crypto_seal_block(key, block, out);
}

bool id_open(const struct crypto_key *key, const uint8_t raw[ID_RAW_BYTES], struct id_place *out)
{
    uint8_t block[ID_RAW_BYTES];
    crypto_open_block(key, raw, block);
    if (block[0] != ID_KIND_PLACE || block[1] || block[2])
        return false;
    *out = (struct id_place){
        .tag = get_be(block + 3, TAG_BYTES),
        .validity = (uint32_t)get_be(block + 8, 4),
        .uid = (uint32_t)get_be(block + 12, 4),
    };
    return out->uid != 0;
}

void id_text(const uint8_t raw[ID_RAW_BYTES], char out[MESSAGE_ID_BYTES])
{
    _Static_assert(2 + TEXT_BASE64URL_BYTES(ID_RAW_BYTES) <= MESSAGE_ID_BYTES, "a message id fits");
    memcpy(out, "m_", 2);
    text_base64url(raw, ID_RAW_BYTES, out + 2);
}

bool id_parse(const char *text, uint8_t raw[ID_RAW_BYTES])
{
    size_t length = strnlen(text, MESSAGE_ID_BYTES);
    return length < MESSAGE_ID_BYTES && strncmp(text, "m_", 2) == 0 &&
           text_base64url_decode(text + 2, length - 2, raw, ID_RAW_BYTES) == ID_RAW_BYTES;
}

void id_folder(const struct crypto_key *key, const char *remote, uint32_t attempt,
               char out[FOLDER_ID_BYTES], uint64_t *tag)
{
    _Static_assert(2 + TEXT_BASE64URL_BYTES(FOLDER_HASH_BYTES) <= FOLDER_ID_BYTES,
                   "a folder id fits");
    struct crypto_key own;
    char label[32];
    uint8_t hash[CRYPTO_HASH_BYTES];
    snprintf(label, sizeof label, "folder %u", attempt);
    crypto_derive(key, label, &own);
    crypto_hmac(&own, remote, strlen(remote), hash);
    memcpy(out, "f_", 2);
    text_base64url(hash, FOLDER_HASH_BYTES, out + 2);
    *tag = get_be(hash, TAG_BYTES);
}

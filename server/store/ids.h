/* ids.h - message and folder ids: opaque to clients, readable to us, derived from the key alone.
 *
 * A message id is one AES block, so it leads to its place (folder, validity, uid) without an index,
 * also in a mirror that was just rebuilt, and an altered or foreign one opens to noise:
 *
 *   byte  0     kind (another kind for ids made from EMAILID or UIDL)
 *   bytes 1-2   zero: with the kind, 24 bits that noise must hit
 *   bytes 3-7   folder tag: the first 40 bits of the folder's id
 *   bytes 8-11  UIDVALIDITY, 12-15 UID, big-endian
 */
#ifndef POSTERN_IDS_H
#define POSTERN_IDS_H

#include "crypto.h"
#include "store.h"

#define ID_RAW_BYTES 16

enum id_kind { ID_KIND_PLACE = 1 };

struct id_place {
    uint64_t tag;
    uint32_t validity, uid;
};

/* The key for one account's ids. */
void id_key(const struct crypto_key *master, const char *account_id, struct crypto_key *out);

void id_seal(const struct crypto_key *key, const struct id_place *place, uint8_t out[ID_RAW_BYTES]);
bool id_open(const struct crypto_key *key, const uint8_t raw[ID_RAW_BYTES], struct id_place *out);
void id_text(const uint8_t raw[ID_RAW_BYTES], char out[MESSAGE_ID_BYTES]);
bool id_parse(const char *text, uint8_t raw[ID_RAW_BYTES]);

/* The id of the folder with this remote name, and its tag. `attempt` counts up from 0 when an id or
 * tag is taken by a folder that kept its own through a rename. */
void id_folder(const struct crypto_key *key, const char *remote, uint32_t attempt,
               char out[FOLDER_ID_BYTES], uint64_t *tag);

#endif

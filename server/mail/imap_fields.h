/* imap_fields.h - the header fields of a mail to its envelope: References, which ENVELOPE lacks,
 * and all of them where ENVELOPE cannot be had. For imap_record.c. */
#ifndef POSTERN_IMAP_FIELDS_H
#define POSTERN_IMAP_FIELDS_H

#include "imap.h"

/* Where what is read goes, and what it may cost. */
struct imapc_reading {
    struct arena *arena;
    struct decode_budget *budget;
    struct message *out;
};

/* A header section; of each field the first one. */
void imapc_fields_read(struct imapc_reading *reading, struct imapc_span section);

#endif

/* fields.h - which members of a message are wanted. */
#ifndef POSTERN_API_FIELDS_H
#define POSTERN_API_FIELDS_H

#include "arena.h"
#include "err.h"
#include "mailbox.h"

#include <stdbool.h>
#include <stdint.h>

enum field { /* the order in which they are written */
             FIELD_ID,
             FIELD_SUBJECT,
             FIELD_FROM,
             FIELD_TO,
             FIELD_CC,
             FIELD_BCC,
             FIELD_REPLY_TO,
             FIELD_SENDER,
             FIELD_DATE,
             FIELD_RECEIVED_AT,
             FIELD_SIZE,
             FIELD_HAS_ATTACHMENT,
             FIELD_MESSAGE_ID,
             FIELD_IN_REPLY_TO,
             FIELD_REFERENCES,
             FIELD_FOLDER_ID,
             FIELD_SEEN,
             FIELD_FLAGGED,
             FIELD_ANSWERED,
             FIELD_DRAFT,
             FIELD_KEYWORDS,
             FIELD_PREVIEW,
             FIELD_LIMITED,
             FIELD_PARTS,
             FIELD_ATTACHMENTS,
             FIELD_HEADERS,
             FIELD_TEXT,
             FIELD_HTML,
             FIELD_COUNT
};

#define FIELD_BIT(field) (1u << (field))
/* What the mirror keeps ready, as api_render_message made it. */
#define FIELDS_STORED      (FIELD_BIT(FIELD_FOLDER_ID) - 1)
#define FIELDS_LIST        (FIELD_BIT(FIELD_LIMITED) - 1)
#define FIELDS_FULL        (FIELD_BIT(FIELD_COUNT) - 1)
#define FIELDS_HEADERS_MAX 20

struct fields {
    uint32_t mask;                           /* FIELD_BIT */
    const char *headers[FIELDS_HEADERS_MAX]; /* names asked for as header.NAME */
    uint32_t header_count;
};

/* The flags that are members of their own. */
#define FLAG_FIELDS 4
struct flag_field {
    enum field field;
    enum message_flag flag;
};
extern const struct flag_field flag_fields[FLAG_FIELDS];

const char *field_name(enum field field);
/* text NULL: the default, @full of one message and @list in a list. ERR_INVALID at "fields". */
enum err fields_parse(const char *text, bool is_list, struct arena *arena, struct fault *fault,
                      struct fields *out);
static inline bool fields_want(const struct fields *fields, enum field field)
{
    return fields->mask & FIELD_BIT(field);
}

#endif

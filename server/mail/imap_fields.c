/* imap_fields.c - header fields, by a table, in one pass over the section. */
#include "imap_fields.h"

#include <stddef.h>
#include <string.h>

static void take_subject(struct imapc_reading *reading, struct imapc_span value, void *member)
{
    *(const char **)member = decode_text(reading->arena, reading->budget, value.text, value.length);
}

static void take_date(struct imapc_reading *reading, struct imapc_span value, void *member)
{
    struct envelope *envelope = &reading->out->envelope;
    (void)member;
    envelope->has_date = decode_date(value.text, value.length, &envelope->date_s);
}

static void take_addresses(struct imapc_reading *reading, struct imapc_span value, void *member)
{
    decode_addresses(reading->arena, reading->budget, value.text, value.length, member);
}

static void take_ids(struct imapc_reading *reading, struct imapc_span value, void *member)
{
    decode_message_ids(reading->arena, reading->budget, value.text, value.length, member);
}

static void take_message_id(struct imapc_reading *reading, struct imapc_span value, void *member)
{
    struct string_list ids = {0};
    take_ids(reading, value, &ids);
    *(const char **)member = ids.count ? ids.items[0] : NULL;
}

struct field_row {
    const char *name;
    void (*take)(struct imapc_reading *, struct imapc_span value, void *member);
    size_t offset; /* of the member of struct envelope */
};

static const struct field_row field_rows[] = {
    {"Subject", take_subject, offsetof(struct envelope, subject)},
    {"Date", take_date, offsetof(struct envelope, date_s)},
    {"From", take_addresses, offsetof(struct envelope, from)},
    {"Sender", take_addresses, offsetof(struct envelope, sender)},
    {"Reply-To", take_addresses, offsetof(struct envelope, reply_to)},
    {"To", take_addresses, offsetof(struct envelope, to)},
    {"Cc", take_addresses, offsetof(struct envelope, cc)},
    {"Bcc", take_addresses, offsetof(struct envelope, bcc)},
    {"Message-ID", take_message_id, offsetof(struct envelope, message_id)},
    {"In-Reply-To", take_ids, offsetof(struct envelope, in_reply_to)},
    {"References", take_ids, offsetof(struct envelope, references)},
};
#define FIELDS_COUNT (sizeof field_rows / sizeof *field_rows)

/* The first header of a section, from *at: its value with the folding kept, *at behind it. */
static struct imapc_span next_value(const char **at, const char *end, const struct field_row **row)
{
    const char *from = *at, *line_end = memchr(from, '\n', (size_t)(end - from));
    line_end = line_end ? line_end + 1 : end;
    const char *colon = memchr(from, ':', (size_t)(line_end - from));
    while (line_end < end && (*line_end == ' ' || *line_end == '\t')) {
        const char *next = memchr(line_end, '\n', (size_t)(end - line_end));
        line_end = next ? next + 1 : end;
    }
    *at = line_end;
    *row = NULL;
    for (size_t i = 0; colon && i < FIELDS_COUNT && !*row; i++)
        if (imapc_span_is((struct imapc_span){from, (size_t)(colon - from)}, field_rows[i].name))
            *row = &field_rows[i];
    return *row ? (struct imapc_span){colon + 1, (size_t)(line_end - colon - 1)}
                : (struct imapc_span){0};
}

void imapc_fields_read(struct imapc_reading *reading, struct imapc_span section)
{
    uint32_t seen = 0;
    size_t length = section.length;
    if (length > BACKEND_HEADER_SECTION_BYTES_MAX) {
        length = BACKEND_HEADER_SECTION_BYTES_MAX;
        reading->budget->limited |= LIMITED_HEADERS;
    }
    const char *at = section.text, *end = at + length;
    while (at < end && decode_budget_spend(reading->budget, 1)) {
        const struct field_row *row;
        struct imapc_span value = next_value(&at, end, &row);
        uint32_t bit = row ? UINT32_C(1) << (row - field_rows) : 0;
        if (!row || (seen & bit))
            continue;
        seen |= bit;
        row->take(reading, value, (char *)&reading->out->envelope + row->offset);
    }
}

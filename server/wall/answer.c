/* answer.c - answers as frames, each cut to what a frame holds.
 *
 * What is cut depends on the record alone. A message whose headers and tree are too much together
 * keeps the beginning of both: the tree is sure of PART_BYTES_SURE for each part, up to half of the
 * frame, and takes what the headers leave.
 */
#include "record.h"
#include "text.h"

#include <assert.h>
#include <string.h>

#define PART_BYTES_SURE 4096u /* kept free for each part while the envelope is written */
#define TAIL_BYTES      256u  /* kept free for the numbers and empty lists behind a cut one */

/* ---- texts ---- */

struct run {
    const char *text;
    size_t length;
    bool cut;
};

static struct run run_of(const char *text, size_t bytes_max)
{
    size_t length = text ? strlen(text) : 0;
    bool cut = length > bytes_max;
    return (struct run){text, cut ? text_cut_bytes(text, length, bytes_max) : length, cut};
}

static size_t run_bytes(const struct run *run)
{
    return run->length + 5; /* its length, and a NUL */
}

static void pack_run(struct buf *out, const struct run *run)
{
    if (run->cut)
        pack_bytes(out, run->text, run->length);
    else if (!run->text)
        pack_text(out, NULL);
    else {
        pack_u32(out, (uint32_t)run->length);
        buf_append(out, run->text, run->length + 1);
    }
}

static bool pack_cut(struct buf *out, const char *text, size_t bytes_max)
{
    struct run run = run_of(text, bytes_max);
    pack_run(out, &run);
    return run.cut;
}

/* ---- lists whose count is known when they have been written ---- */

static size_t count_begin(struct buf *out)
{
    pack_u32(out, 0);
    return out->length;
}

static void count_end(struct buf *out, size_t behind, uint32_t count)
{
    if (out->overflowed)
        return;
    for (int i = 0; i < 4; i++)
        out->data[behind - 4 + (size_t)i] = (char)(count >> (8 * i) & 0xff);
}

/* A keyword that is none: "" and what looks like a system flag, once cleaned. */
static bool keyword_crosses(const struct run *run)
{
    return run->length > 0 && !run->cut && run->text[0] != '\\';
}

static void pack_keywords_list(struct buf *out, const struct string_list *list)
{
    size_t behind = count_begin(out);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count && kept < BACKEND_KEYWORDS_MAX; i++) {
        struct run run = run_of(list->items[i], RECORD_KEYWORD_BYTES);
        if (!keyword_crosses(&run))
            continue;
        pack_run(out, &run);
        kept++;
    }
    count_end(out, behind, kept);
}

/* ---- a message ---- */

struct message_writing {
    struct buf *out;
    size_t end; /* of `out`: what is written now must not pass it */
    uint32_t limited;
};

static bool has_room(const struct message_writing *to, size_t bytes)
{
    return to->out->length + bytes <= to->end;
}

static bool write_address(struct message_writing *to, const struct address *address)
{
    struct run name = run_of(address->name, RECORD_TEXT_BYTES);
    struct run email = run_of(address->email, RECORD_TEXT_BYTES);
    struct run group = run_of(address->group, RECORD_TEXT_BYTES);
    if (!has_room(to, run_bytes(&name) + run_bytes(&email) + run_bytes(&group)))
        return false;
    pack_run(to->out, &name);
    pack_run(to->out, &email);
    pack_run(to->out, &group);
    if (name.cut || email.cut || group.cut)
        to->limited |= LIMITED_ADDRESSES;
    return true;
}

static void write_addresses(struct message_writing *to, const struct address_list *list)
{
    size_t behind = count_begin(to->out);
    uint32_t kept = 0;
    while (kept < list->count && kept < BACKEND_ADDRESSES_MAX &&
           write_address(to, &list->items[kept]))
        kept++;
    if (kept < list->count)
        to->limited |= LIMITED_ADDRESSES;
    count_end(to->out, behind, kept);
}

static void write_ids(struct message_writing *to, const struct string_list *list)
{
    size_t behind = count_begin(to->out);
    uint32_t kept = 0;
    for (; kept < list->count && kept < BACKEND_MESSAGE_IDS_MAX; kept++) {
        struct run run = run_of(list->items[kept], RECORD_ID_BYTES);
        if (!has_room(to, run_bytes(&run)))
            break;
        pack_run(to->out, &run);
        if (run.cut)
            to->limited |= LIMITED_HEADERS;
    }
    if (kept < list->count)
        to->limited |= LIMITED_HEADERS;
    count_end(to->out, behind, kept);
}

static void write_envelope(struct message_writing *to, const struct envelope *envelope)
{
    bool cut = pack_cut(to->out, envelope->subject, RECORD_TEXT_BYTES);
    cut |= pack_cut(to->out, envelope->message_id, RECORD_ID_BYTES);
    if (cut)
        to->limited |= LIMITED_HEADERS;
    pack_u8(to->out, envelope->has_date);
    pack_i64(to->out, envelope->has_date ? envelope->date_s : 0);
    write_addresses(to, &envelope->from);
    write_addresses(to, &envelope->sender);
    write_addresses(to, &envelope->reply_to);
    write_addresses(to, &envelope->to);
    write_addresses(to, &envelope->cc);
    write_addresses(to, &envelope->bcc);
    write_ids(to, &envelope->in_reply_to);
    write_ids(to, &envelope->references);
}

enum { PART_ID, PART_TYPE, PART_CHARSET, PART_NAME, PART_DISPOSITION, PART_CID, PART_ENCODING };
#define PART_TEXTS        (PART_ENCODING + 1)
#define PART_NUMBER_BYTES 20u

static bool write_part(struct message_writing *to, const struct part *part)
{
    const struct run runs[PART_TEXTS] = {
        [PART_ID] = run_of(part->id, RECORD_SECTION_BYTES),
        [PART_TYPE] = run_of(part->type, RECORD_TOKEN_BYTES),
        [PART_CHARSET] = run_of(part->charset, RECORD_TOKEN_BYTES),
        [PART_NAME] = run_of(part->name, RECORD_FILE_NAME_BYTES),
        [PART_DISPOSITION] = run_of(part->disposition, RECORD_TOKEN_BYTES),
        [PART_CID] = run_of(part->content_id, RECORD_ID_BYTES),
        [PART_ENCODING] = run_of(part->encoding, RECORD_TOKEN_BYTES),
    };
    size_t bytes = PART_NUMBER_BYTES;
    bool cut = false;
    for (int i = 0; i < PART_TEXTS; i++) {
        bytes += run_bytes(&runs[i]);
        cut |= runs[i].cut;
    }
    if (runs[PART_ID].cut || !has_room(to, bytes)) /* half a section number is another part's */
        return false;
    for (int i = 0; i < PART_TEXTS; i++)
        pack_run(to->out, &runs[i]);
    pack_u64(to->out, part->encoded_size);
    pack_i64(to->out, part->size);
    pack_u32(to->out, (uint32_t)part->parent + 1); /* the root's -1 is 0 */
    if (cut)
        to->limited |= LIMITED_PARTS;
    return true;
}

/* The beginning of a tree in pre-order is a tree. */
static void write_parts(struct message_writing *to, const struct part *parts, uint32_t count)
{
    size_t behind = count_begin(to->out);
    uint32_t kept = 0;
    while (kept < count && kept < BACKEND_PARTS_MAX && write_part(to, &parts[kept]))
        kept++;
    if (kept < count)
        to->limited |= LIMITED_PARTS;
    count_end(to->out, behind, kept);
}

void put_message(struct buf *out, uint16_t call, const struct message *message)
{
    size_t began = frame_begin(out, FRAME_MESSAGE, call);
    size_t end = began + FRAME_HEADER_BYTES + FRAME_BYTES_MAX - TAIL_BYTES;
    size_t sure = (size_t)message->part_count * PART_BYTES_SURE;
    struct message_writing to = {.out = out, .limited = message->limited};
    pack_u32(out, message->uid);
    pack_cut(out, message->remote_id, RECORD_ID_BYTES);
    pack_u64(out, message->modseq);
    pack_u8(out, (uint8_t)message->flags);
    pack_keywords_list(out, &message->keywords);
    pack_i64(out, message->received_s);
    pack_u64(out, message->size);
    to.end = end - (sure < FRAME_BYTES_MAX / 2 ? sure : FRAME_BYTES_MAX / 2);
    write_envelope(&to, &message->envelope);
    to.end = end;
    write_parts(&to, message->parts, message->part_count);
    pack_u8(out, message->has_attachment);
    pack_u32(out, to.limited);
    frame_end(out, began);
}

/* ---- the other records ---- */

void put_facts(struct buf *out, uint16_t call, const struct folder_facts *facts, bool reset)
{
    size_t began = frame_begin(out, FRAME_FACTS, call);
    pack_u8(out, reset);
    pack_u32(out, facts->validity);
    pack_u32(out, facts->uid_next);
    pack_u32(out, facts->exists);
    pack_u64(out, facts->modseq);
    pack_u8(out, facts->read_only);
    pack_u8(out, facts->keywords_allowed);
    frame_end(out, began);
}

void put_flags(struct buf *out, uint16_t call, uint32_t uid, uint32_t flags,
               const struct string_list *keywords, uint64_t modseq)
{
    size_t began = frame_begin(out, FRAME_FLAGS, call);
    pack_u32(out, uid);
    pack_u8(out, (uint8_t)flags);
    pack_keywords_list(out, keywords);
    pack_u64(out, modseq);
    frame_end(out, began);
}

enum err put_ranges(struct buf *out, uint16_t call, uint16_t kind, uint32_t from,
                    const struct uid_range *ranges, uint32_t count)
{
    assert(kind == FRAME_PRESENT || kind == FRAME_REMOVED);
    if (count > BACKEND_RANGES_MAX)
        return ERR_TOO_LARGE;
    for (uint32_t at = 0; at < count;) {
        uint32_t piece = count - at < RANGES_A_FRAME ? count - at : RANGES_A_FRAME;
        size_t began = frame_begin(out, FRAME_RANGES, call);
        pack_u32(out, piece);
        for (; piece > 0; piece--, at++) {
            pack_u32(out, ranges[at].first);
            pack_u32(out, ranges[at].last);
        }
        frame_end(out, began);
    }
    size_t began = frame_begin(out, kind, call);
    if (kind == FRAME_PRESENT)
        pack_u32(out, from);
    frame_end(out, began);
    return OK;
}

void put_listing(struct buf *out, uint16_t call, const struct folder_listing *listing)
{
    if (strlen(listing->remote) > RECORD_NAME_BYTES)
        return; /* cut, it would be another mailbox; imap_folders.c lists none of these */
    size_t began = frame_begin(out, FRAME_LISTING, call);
    pack_text(out, listing->remote);
    pack_cut(out, listing->path, RECORD_NAME_BYTES);
    pack_u8(out, (uint8_t)listing->role);
    pack_u8(out, (uint8_t)listing->role_source);
    pack_u8(out, listing->subscribed);
    pack_u8(out, listing->selectable);
    pack_u8(out, listing->has_status);
    if (listing->has_status) {
        pack_u32(out, listing->messages);
        pack_u32(out, listing->unseen);
        pack_u32(out, listing->uid_next);
        pack_u32(out, listing->uid_validity);
        pack_u64(out, listing->modseq);
        pack_i64(out, listing->size);
    }
    frame_end(out, began);
}

void put_preview(struct buf *out, uint16_t call, uint32_t uid, const char *text)
{
    size_t began = frame_begin(out, FRAME_PREVIEW, call), length = strlen(text);
    pack_u32(out, uid);
    pack_bytes(out, text, text_cut_chars(text, length, BACKEND_PREVIEW_CHARS_MAX));
    frame_end(out, began);
}

void put_header(struct buf *out, uint16_t call, const char *name, const char *value)
{
    size_t began = frame_begin(out, FRAME_HEADER, call);
    pack_cut(out, name, BACKEND_HEADER_NAME_BYTES_MAX);
    pack_cut(out, value, RECORD_TEXT_BYTES);
    frame_end(out, began);
}

void put_expect(struct buf *out, uint16_t call, uint64_t length)
{
    size_t began = frame_begin(out, FRAME_EXPECT, call);
    pack_u64(out, length);
    frame_end(out, began);
}

void put_bytes_header(struct buf *out, uint16_t call, size_t length)
{
    assert(length > 0 && length <= FRAME_STREAM_BYTES);
    pack_u32(out, (uint32_t)length);
    pack_u32(out, FRAME_BYTES | (uint32_t)call << 16);
}

void put_resource(struct buf *out, uint16_t call, const struct quota_resource *resource)
{
    size_t began = frame_begin(out, FRAME_RESOURCE, call);
    pack_cut(out, resource->root, RECORD_NAME_BYTES);
    pack_cut(out, resource->name, RECORD_NAME_BYTES);
    pack_u64(out, resource->used);
    pack_u64(out, resource->limit);
    frame_end(out, began);
}

void put_info(struct buf *out, uint16_t call, const struct backend_info *info)
{
    size_t began = frame_begin(out, FRAME_INFO, call);
    pack_u32(out, info->caps);
    pack_cut(out, info->capability_text, RECORD_TEXT_BYTES);
    pack_cut(out, info->server_name, RECORD_NAME_BYTES);
    frame_end(out, began);
}

void put_selected(struct buf *out, uint16_t call, const char *remote)
{
    size_t began = frame_begin(out, FRAME_SELECTED, call);
    pack_text(out, remote && strlen(remote) <= RECORD_NAME_BYTES ? remote : NULL);
    frame_end(out, began);
}

/* Libraries below the mail layer have a word in details: cleaned, because the near end would blame
 * the host for a control character. */
static void pack_clean(struct buf *out, struct arena *scratch, const char *text, size_t bytes_max)
{
    pack_cut(out, text_clean(scratch, text, strlen(text), true), bytes_max);
}

static void pack_fault(struct buf *out, enum err err, const struct fault *fault)
{
    struct arena scratch;
    arena_init(&scratch);
    int retry_after_s =
        fault->retry_after_s < RECORD_RETRY_MAX_S ? fault->retry_after_s : RECORD_RETRY_MAX_S;
    pack_u8(out, (uint8_t)(fault->code ? fault->code : err));
    pack_u32(out, retry_after_s > 0 ? (uint32_t)retry_after_s : 0);
    pack_u8(out, fault->pointed);
    pack_clean(out, &scratch, fault->pointer, sizeof fault->pointer - 1);
    pack_clean(out, &scratch, fault->detail, sizeof fault->detail - 1);
    pack_clean(out, &scratch, fault->reply, sizeof fault->reply - 1);
    pack_clean(out, &scratch, fault->protocol, sizeof fault->protocol - 1);
    arena_clear(&scratch);
}

void put_end(struct buf *out, uint16_t call, enum err err, const struct fault *fault,
             uint64_t value)
{
    size_t began = frame_begin(out, FRAME_END, call);
    pack_u8(out, (uint8_t)err);
    if (err)
        pack_fault(out, err, fault);
    else
        pack_u64(out, value);
    frame_end(out, began);
}

/* request.c - calls as frames: which argument each kind of call has, and what it may be.
 *
 * The reader is a worker. It trusts the main process no more than it must: what would trip an
 * assertion of backend.c is refused here.
 */
#include "record.h"

#include <string.h>

enum field {
    FIELD_TARGET = 1 << 0,
    FIELD_KNOWN = 1 << 1,
    FIELD_UID = 1 << 2,
    FIELD_COUNT = 1 << 3,
    FIELD_STATUS = 1 << 4,
    FIELD_WISH = 1 << 5,
    FIELD_WISHES = 1 << 6,
    FIELD_CHANGE = 1 << 7,
};

static const unsigned fields_of[FRAME_CALLS_END] = {
    [FRAME_OPEN] = FIELD_TARGET,
    [FRAME_NOOP] = 0,
    [FRAME_LIST_FOLDERS] = FIELD_STATUS,
    [FRAME_SYNC] = FIELD_KNOWN | FIELD_COUNT,
    [FRAME_FETCH_OLDER] = FIELD_KNOWN | FIELD_COUNT,
    [FRAME_FETCH_ONE] = FIELD_KNOWN | FIELD_UID,
    [FRAME_PREVIEWS] = FIELD_KNOWN | FIELD_WISHES,
    [FRAME_READ_PART] = FIELD_WISH,
    [FRAME_PART_SIZE] = FIELD_WISH,
    [FRAME_READ_HEADERS] = FIELD_WISH,
    [FRAME_CHANGE_FLAGS] = FIELD_KNOWN | FIELD_UID | FIELD_CHANGE,
    [FRAME_QUOTA] = 0,
};

#define WISH_BYTES_LEAST    20u /* a uid and four texts */
#define KEYWORD_BYTES_LEAST 5u

/* ---- writing ---- */

struct writing {
    struct buf *out;
    size_t end; /* of `out`: where the frame would be too large */
    bool too_large;
};

static void write_text(struct writing *to, const char *text, size_t bytes_max)
{
    size_t length = text ? strlen(text) : 0;
    to->too_large |= length > bytes_max || to->out->length + length + 5 > to->end;
    if (!to->too_large)
        pack_text(to->out, text);
}

static void write_target(struct writing *to, const struct backend_target *target)
{
    bool is_token = target->password == NULL;
    const struct secret *secret = is_token ? target->access_token : target->password;
    size_t bytes_max = is_token ? BACKEND_TOKEN_BYTES_MAX : BACKEND_PASSWORD_BYTES_MAX;
    pack_u32(to->out, FRAME_VERSION);
    pack_u8(to->out, (uint8_t)target->protocol);
    pack_u8(to->out, (uint8_t)target->security);
    pack_u32(to->out, target->port);
    write_text(to, target->host, RECORD_HOST_BYTES);
    write_text(to, target->username, RECORD_USERNAME_BYTES);
    pack_u8(to->out, is_token);
    to->too_large |= secret->length > bytes_max;
    if (!to->too_large)
        pack_bytes(to->out, secret->data ? secret->data : "", secret->length);
}

static void write_known(struct writing *to, const struct folder_known *known)
{
    write_text(to, known->remote, RECORD_NAME_BYTES);
    pack_u64(to->out, known->generation);
    pack_u32(to->out, known->validity);
    pack_u32(to->out, known->uid_next);
    pack_u32(to->out, known->floor);
    pack_u32(to->out, known->count);
    pack_u8(to->out, known->compare);
    pack_u64(to->out, known->modseq);
    pack_u32(to->out, known->doubtful_count);
    to->too_large |= known->doubtful_count > FRAME_BYTES_MAX / 8;
    for (uint32_t i = 0; i < known->doubtful_count && !to->too_large; i++)
        pack_u32(to->out, known->doubtful[i]);
}

static void write_wish(struct writing *to, const struct part_wish *wish)
{
    write_text(to, wish->remote, RECORD_NAME_BYTES);
    pack_u32(to->out, wish->validity);
    pack_u32(to->out, wish->uid);
    write_text(to, wish->part, RECORD_SECTION_BYTES);
    write_text(to, wish->encoding, RECORD_TOKEN_BYTES);
    write_text(to, wish->charset, RECORD_TOKEN_BYTES);
    pack_u64(to->out, wish->encoded_size);
    pack_u8(to->out, (uint8_t)wish->mode);
    pack_u64(to->out, wish->first);
    pack_u64(to->out, wish->last);
}

static void write_wishes(struct writing *to, const struct preview_wish *wishes, uint32_t count)
{
    pack_u32(to->out, count);
    for (uint32_t i = 0; i < count && !to->too_large; i++) {
        pack_u32(to->out, wishes[i].uid);
        write_text(to, wishes[i].part, RECORD_SECTION_BYTES);
        write_text(to, wishes[i].type, RECORD_TOKEN_BYTES);
        write_text(to, wishes[i].charset, RECORD_TOKEN_BYTES);
        write_text(to, wishes[i].encoding, RECORD_TOKEN_BYTES);
    }
}

static void write_keywords(struct writing *to, const struct string_list *list)
{
    pack_u32(to->out, list->count);
    to->too_large |= list->count > BACKEND_KEYWORDS_MAX;
    for (uint32_t i = 0; i < list->count && !to->too_large; i++)
        write_text(to, list->items[i], BACKEND_KEYWORD_BYTES_MAX);
}

static void write_change(struct writing *to, const struct flag_change *change)
{
    pack_u8(to->out, (uint8_t)change->add);
    pack_u8(to->out, (uint8_t)change->remove);
    write_keywords(to, &change->add_keywords);
    write_keywords(to, &change->remove_keywords);
}

enum err put_request(struct buf *out, const struct request *request)
{
    unsigned fields = fields_of[request->kind];
    size_t began = frame_begin(out, request->kind, request->call);
    struct writing to = {.out = out, .end = began + FRAME_HEADER_BYTES + FRAME_BYTES_MAX - 256};
    pack_i64(out, request->deadline_ms);
    if (fields & FIELD_TARGET)
        write_target(&to, &request->target);
    if (fields & FIELD_KNOWN)
        write_known(&to, &request->known);
    if (fields & FIELD_UID)
        pack_u32(out, request->uid);
    if (fields & FIELD_COUNT)
        pack_u32(out, request->count);
    if (fields & FIELD_STATUS)
        pack_u8(out, request->with_status);
    if (fields & FIELD_WISH)
        write_wish(&to, &request->wish);
    if (fields & FIELD_WISHES)
        write_wishes(&to, request->wishes, request->wish_count);
    if (fields & FIELD_CHANGE)
        write_change(&to, &request->change);
    if (to.too_large) {
        out->length = began;
        return ERR_TOO_LARGE;
    }
    frame_end(out, began);
    return OK;
}

/* ---- reading ---- */

static bool fits(const struct unpack *from, uint32_t count, size_t bytes_least)
{
    return !from->broken && count <= (size_t)(from->end - from->at) / bytes_least;
}

static bool is_single_line(const char *text)
{
    return text && *text && !strpbrk(text, "\r\n");
}

static bool read_target(struct unpack *from, struct request *out)
{
    struct backend_target *target = &out->target;
    size_t length = 0;
    if (unpack_u32(from, FRAME_VERSION) != FRAME_VERSION)
        return false;
    target->protocol = unpack_u8(from, PROTOCOL_COUNT - 1);
    target->security = unpack_u8(from, SECURITY_COUNT - 1);
    target->port = (uint16_t)unpack_u32(from, UINT16_MAX);
    target->host = unpack_text(from, RECORD_HOST_BYTES);
    target->username = unpack_remote(from, RECORD_USERNAME_BYTES);
    bool is_token = unpack_bool(from);
    const char *secret = unpack_bytes(
        from, is_token ? BACKEND_TOKEN_BYTES_MAX : BACKEND_PASSWORD_BYTES_MAX, &length);
    /* Points into the frame, which is in memory that may be written to. */
    out->secret = (struct secret){.data = (char *)(uintptr_t)secret, .length = length};
    if (is_token)
        target->access_token = &out->secret;
    else
        target->password = &out->secret;
    return secret && length > 0 && !memchr(secret, '\0', length) && target->port != 0 &&
           target->host && *target->host && is_single_line(target->username);
}

static bool read_known(struct unpack *from, struct arena *arena, struct folder_known *out)
{
    out->remote = unpack_remote(from, RECORD_NAME_BYTES);
    out->generation = unpack_u64(from);
    out->validity = unpack_u32(from, UINT32_MAX);
    out->uid_next = unpack_u32(from, UINT32_MAX);
    out->floor = unpack_u32(from, UINT32_MAX);
    out->count = unpack_u32(from, UINT32_MAX);
    out->compare = unpack_bool(from);
    out->modseq = unpack_u64(from);
    out->doubtful_count = unpack_u32(from, UINT32_MAX);
    if (!out->remote || !fits(from, out->doubtful_count, sizeof(uint32_t)))
        return false;
    if (out->doubtful_count == 0)
        return true;
    uint32_t *uids = arena_array(arena, uint32_t, out->doubtful_count);
    for (uint32_t i = 0; i < out->doubtful_count; i++) {
        uids[i] = unpack_u32(from, UINT32_MAX);
        if (uids[i] <= (i ? uids[i - 1] : 0)) /* ascending */
            return false;
    }
    out->doubtful = uids;
    return true;
}

static bool read_wish(struct unpack *from, struct part_wish *out)
{
    out->remote = unpack_remote(from, RECORD_NAME_BYTES);
    out->validity = unpack_u32(from, UINT32_MAX);
    out->uid = unpack_u32(from, UINT32_MAX);
    out->part = unpack_text(from, RECORD_SECTION_BYTES);
    out->encoding = unpack_text(from, RECORD_TOKEN_BYTES);
    out->charset = unpack_text(from, RECORD_TOKEN_BYTES);
    out->encoded_size = unpack_u64(from);
    out->mode = unpack_u8(from, READ_HTML_TEXT);
    out->first = unpack_u64(from);
    out->last = unpack_u64(from);
    return out->remote && out->part && out->uid != 0;
}

static bool read_wishes(struct unpack *from, struct arena *arena, struct request *out)
{
    out->wish_count = unpack_u32(from, UINT32_MAX);
    if (!fits(from, out->wish_count, WISH_BYTES_LEAST))
        return false;
    if (out->wish_count == 0)
        return true;
    struct preview_wish *wishes = arena_array(arena, struct preview_wish, out->wish_count);
    for (uint32_t i = 0; i < out->wish_count && !from->broken; i++) {
        wishes[i].uid = unpack_u32(from, UINT32_MAX);
        wishes[i].part = unpack_text(from, RECORD_SECTION_BYTES);
        wishes[i].type = unpack_text(from, RECORD_TOKEN_BYTES);
        wishes[i].charset = unpack_text(from, RECORD_TOKEN_BYTES);
        wishes[i].encoding = unpack_text(from, RECORD_TOKEN_BYTES);
        if (wishes[i].uid == 0)
            return false;
    }
    out->wishes = wishes;
    return true;
}

static bool read_keywords(struct unpack *from, struct arena *arena, struct string_list *out)
{
    out->count = unpack_u32(from, BACKEND_KEYWORDS_MAX);
    if (!fits(from, out->count, KEYWORD_BYTES_LEAST))
        return false;
    if (out->count == 0)
        return true;
    const char **items = arena_array(arena, const char *, out->count);
    for (uint32_t i = 0; i < out->count; i++) {
        items[i] = unpack_text(from, BACKEND_KEYWORD_BYTES_MAX);
        if (!items[i] || !backend_keyword_is_valid(items[i]))
            return false;
    }
    out->items = items;
    return true;
}

static bool read_change(struct unpack *from, struct arena *arena, struct flag_change *out)
{
    out->add = unpack_u8(from, FLAG_ALL);
    out->remove = unpack_u8(from, FLAG_ALL);
    return !(out->add & out->remove) && read_keywords(from, arena, &out->add_keywords) &&
           read_keywords(from, arena, &out->remove_keywords);
}

/* What the wrappers of backend.c assert. */
static bool is_sane(const struct request *request)
{
    const struct folder_known *known = &request->known;
    const struct part_wish *wish = &request->wish;
    switch (request->kind) {
    case FRAME_SYNC: return known->generation != 0;
    case FRAME_FETCH_OLDER: return known->generation && known->floor && request->count;
    case FRAME_READ_PART:
        return wish->first <= wish->last && (*wish->part || wish->mode == READ_RAW);
    default: return true;
    }
}

bool take_request(const struct frame *frame, struct arena *arena, struct request *out)
{
    *out = (struct request){.kind = frame->kind, .call = frame->call};
    if (frame->kind < FRAME_OPEN || frame->kind >= FRAME_CALLS_END)
        return false;
    unsigned fields = fields_of[frame->kind];
    struct unpack from = unpack_of(frame);
    out->deadline_ms = unpack_i64(&from);
    bool good = !(fields & FIELD_TARGET) || read_target(&from, out);
    good = good && (!(fields & FIELD_KNOWN) || read_known(&from, arena, &out->known));
    if (fields & FIELD_UID)
        good = (out->uid = unpack_u32(&from, UINT32_MAX)) != 0 && good;
    if (fields & FIELD_COUNT)
        out->count = unpack_u32(&from, UINT32_MAX);
    if (fields & FIELD_STATUS)
        out->with_status = unpack_bool(&from);
    good = good && (!(fields & FIELD_WISH) || read_wish(&from, &out->wish));
    good = good && (!(fields & FIELD_WISHES) || read_wishes(&from, arena, out));
    good = good && (!(fields & FIELD_CHANGE) || read_change(&from, arena, &out->change));
    return good && unpack_done(&from) && is_sane(out);
}

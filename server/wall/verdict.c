/* verdict.c - answers read as if an attacker had written them.
 *
 * A worker that was taken over writes what it likes. What passes here is what an honest worker
 * might have written about a hostile mailbox, and nothing else: each value keeps the promises of
 * backend.h and mailbox.h, on which the store, the API and a browser rely. What needs to know the
 * call or the answers before (ranges in order, a floor below the one asked from) is the caller's.
 */
#include "verdict.h"
#include "text.h"

#include <assert.h>
#include <string.h>

#define CALL(kind)       (1u << (kind))
#define CALLS_ALL        (CALL(FRAME_CALLS_END) - CALL(FRAME_OPEN))
#define CALLS_ON_FOLDERS (CALLS_ALL - CALL(FRAME_OPEN))
#define CAPS_ALL         (CAP_ID * 2u - 1u)
#define RANGE_BYTES      8u
#define KEYWORD_BYTES    5u

static_assert(FRAME_CALLS_END < 32, "a kind of call is a bit");

bool verdict_number(struct unpack *from, uint64_t *out)
{
    *out = unpack_u64(from);
    return *out <= INT64_MAX;
}

bool verdict_fits(const struct unpack *from, uint32_t count, size_t bytes_least)
{
    return !from->broken && count <= (size_t)(from->end - from->at) / bytes_least;
}

bool verdict_flags(struct unpack *from, struct arena *arena, uint32_t *flags,
                   struct string_list *keywords)
{
    *flags = unpack_u8(from, FLAG_ALL);
    uint32_t count = unpack_u32(from, BACKEND_KEYWORDS_MAX);
    if (!verdict_fits(from, count, KEYWORD_BYTES))
        return false;
    if (count == 0)
        return true;
    const char **items = arena_array(arena, const char *, count);
    for (uint32_t i = 0; i < count; i++) {
        items[i] = unpack_text(from, RECORD_KEYWORD_BYTES);
        if (!items[i] || !*items[i] || *items[i] == '\\' ||
            (i > 0 && strcmp(items[i - 1], items[i]) >= 0))
            return false;
    }
    *keywords = (struct string_list){.items = items, .count = count};
    return true;
}

/* ---- one function a kind ---- */

static bool take_facts(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->reset = unpack_bool(from);
    out->facts.validity = unpack_u32(from, UINT32_MAX);
    out->facts.uid_next = unpack_u32(from, UINT32_MAX);
    out->facts.exists = unpack_u32(from, UINT32_MAX);
    bool good = verdict_number(from, &out->facts.modseq);
    out->facts.read_only = unpack_bool(from);
    out->facts.keywords_allowed = unpack_bool(from);
    return good;
}

static bool take_message(struct unpack *from, struct arena *arena, struct answer *out)
{
    return verdict_message(from, arena, &out->message);
}

static bool take_flags(struct unpack *from, struct arena *arena, struct answer *out)
{
    struct message *message = &out->message;
    message->uid = unpack_u32(from, UINT32_MAX);
    return message->uid != 0 && verdict_flags(from, arena, &message->flags, &message->keywords) &&
           verdict_number(from, &message->modseq);
}

static bool take_ranges(struct unpack *from, struct arena *arena, struct answer *out)
{
    out->range_count = unpack_u32(from, RANGES_A_FRAME);
    if (out->range_count == 0 || !verdict_fits(from, out->range_count, RANGE_BYTES))
        return false;
    out->ranges = arena_array(arena, struct uid_range, out->range_count);
    for (uint32_t i = 0; i < out->range_count; i++) {
        struct uid_range *range = &out->ranges[i];
        range->first = unpack_u32(from, UINT32_MAX);
        range->last = unpack_u32(from, UINT32_MAX);
        uint32_t before = i > 0 ? out->ranges[i - 1].last : 0;
        if (range->first <= before || range->last < range->first)
            return false;
    }
    return true;
}

static bool take_present(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->from = unpack_u32(from, UINT32_MAX);
    return true;
}

static bool take_nothing(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)from, (void)arena, (void)out;
    return true;
}

/* Names that can be sent back, see imap_folders.c. */
static bool is_mailbox(const char *remote)
{
    return remote && *remote && !strpbrk(remote, "\r\n");
}

static bool take_listing(struct unpack *from, struct arena *arena, struct answer *out)
{
    struct folder_listing *listing = &out->listing;
    (void)arena;
    listing->remote = unpack_remote(from, RECORD_NAME_BYTES);
    listing->path = unpack_text(from, RECORD_NAME_BYTES);
    listing->role = unpack_u8(from, ROLE_COUNT - 1);
    listing->role_source = unpack_u8(from, ROLE_FROM_NAME);
    listing->subscribed = unpack_bool(from);
    listing->selectable = unpack_bool(from);
    listing->has_status = unpack_bool(from);
    listing->size = -1;
    bool good = is_mailbox(listing->remote) && listing->path && *listing->path;
    if (!good || !listing->has_status)
        return good;
    listing->messages = unpack_u32(from, UINT32_MAX);
    listing->unseen = unpack_u32(from, UINT32_MAX);
    listing->uid_next = unpack_u32(from, UINT32_MAX);
    listing->uid_validity = unpack_u32(from, UINT32_MAX);
    good = verdict_number(from, &listing->modseq);
    listing->size = unpack_i64(from);
    return good && listing->size >= -1;
}

static bool take_preview(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->uid = unpack_u32(from, UINT32_MAX);
    out->text = unpack_text(from, BACKEND_PREVIEW_CHARS_MAX * 4);
    if (out->uid == 0 || !out->text)
        return false;
    size_t length = strlen(out->text);
    return text_cut_chars(out->text, length, BACKEND_PREVIEW_CHARS_MAX) == length;
}

/* RFC 5322 3.6.8. */
static bool is_header_name(const char *name)
{
    if (!name || !*name)
        return false;
    for (; *name; name++)
        if (*name <= ' ' || *name >= 0x7f || *name == ':')
            return false;
    return true;
}

static bool take_header(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->text = unpack_text(from, BACKEND_HEADER_NAME_BYTES_MAX);
    out->value = unpack_text(from, RECORD_TEXT_BYTES);
    return is_header_name(out->text) && out->value;
}

static bool take_expect(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->number = unpack_u64(from);
    return true;
}

static bool take_bytes(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->bytes = from->at;
    out->length = (size_t)(from->end - from->at);
    from->at = from->end;
    return out->length > 0 && out->length <= FRAME_STREAM_BYTES;
}

static bool take_resource(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->resource.root = unpack_text(from, RECORD_NAME_BYTES);
    out->resource.name = unpack_text(from, RECORD_NAME_BYTES);
    out->resource.used = unpack_u64(from);
    out->resource.limit = unpack_u64(from);
    return out->resource.root && out->resource.name;
}

static bool take_info(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->info.caps = unpack_u32(from, CAPS_ALL);
    out->info.capability_text = unpack_text(from, RECORD_TEXT_BYTES);
    out->info.server_name = unpack_text(from, RECORD_NAME_BYTES);
    return out->info.capability_text;
}

static bool take_selected(struct unpack *from, struct arena *arena, struct answer *out)
{
    (void)arena;
    out->value = unpack_remote(from, RECORD_NAME_BYTES);
    return !out->value || is_mailbox(out->value);
}

/* ---- how it ended ---- */

/* What the mail layer fails with. Not among them: verdicts about the caller's rights (a worker
 * knows none), about hosts (the main process has connected), of the store, and of our HTTP. */
static const bool may_fail_with[ERR_COUNT] = {
    [ERR_INVALID] = true,     [ERR_NOT_FOUND] = true, [ERR_ALREADY_EXISTS] = true,
    [ERR_GONE] = true,        [ERR_TOO_LARGE] = true, [ERR_RANGE] = true,
    [ERR_UNSUPPORTED] = true, [ERR_LOGIN] = true,     [ERR_LOCKED] = true,
    [ERR_UNREACHABLE] = true, [ERR_TLS] = true,       [ERR_PROTOCOL] = true,
    [ERR_REFUSED] = true,     [ERR_TIMEOUT] = true,   [ERR_OVER_QUOTA] = true,
    [ERR_BUSY] = true, /* of the mail server, or no thread free in the worker */
    [ERR_CANCELLED] = true,   [ERR_INTERNAL] = true,
};

static const char *const pointers[] = {"/host", "/username", "/password", "/accessToken",
                                       "/keywords"};

static bool is_pointer(const char *text, bool pointed)
{
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers && pointed; i++)
        if (strcmp(pointers[i], text) == 0)
            return true;
    return !*text;
}

static bool is_protocol(const char *text)
{
    for (int i = 0; i < PROTOCOL_COUNT; i++)
        if (strcmp(text, backend_protocol_name(i)) == 0)
            return true;
    return !*text;
}

static bool take_field(struct unpack *from, char *field, size_t size)
{
    const char *text = unpack_text(from, size - 1);
    if (!text)
        return false;
    memcpy(field, text, strlen(text) + 1);
    return true;
}

#define TAKE_FIELD(from, field) take_field((from), (field), sizeof(field))

static bool take_fault(struct unpack *from, struct fault *out)
{
    out->code = unpack_u8(from, ERR_COUNT - 1);
    out->retry_after_s = (int)unpack_u32(from, RECORD_RETRY_MAX_S);
    out->pointed = unpack_bool(from);
    return may_fail_with[out->code] && TAKE_FIELD(from, out->pointer) &&
           TAKE_FIELD(from, out->detail) && TAKE_FIELD(from, out->reply) &&
           TAKE_FIELD(from, out->protocol) && is_pointer(out->pointer, out->pointed) &&
           is_protocol(out->protocol);
}

/* The value means something after three kinds of calls: a new floor, a size, what headers lack. */
static bool is_result(uint16_t asked, uint64_t value)
{
    switch (asked) {
    case FRAME_FETCH_OLDER: return value >= 1 && value <= UINT32_MAX;
    case FRAME_PART_SIZE: return value <= INT64_MAX;
    case FRAME_READ_HEADERS: return value <= LIMITED_ALL;
    default: return value == 0;
    }
}

static bool take_end(struct unpack *from, uint16_t asked, struct answer *out)
{
    out->err = unpack_u8(from, ERR_COUNT - 1);
    if (out->err)
        return may_fail_with[out->err] && take_fault(from, &out->fault);
    out->number = unpack_u64(from);
    return is_result(asked, out->number);
}

/* ---- the table ---- */

struct answer_row {
    uint32_t calls; /* whose answer it may be a part of */
    bool (*take)(struct unpack *from, struct arena *arena, struct answer *out);
};

#define CALLS_OF_MESSAGES (CALL(FRAME_SYNC) | CALL(FRAME_FETCH_OLDER) | CALL(FRAME_FETCH_ONE))

static const struct answer_row rows[FRAME_ANSWERS_END] = {
    [FRAME_FACTS] = {CALL(FRAME_SYNC) | CALL(FRAME_FETCH_OLDER), take_facts},
    [FRAME_MESSAGE] = {CALLS_OF_MESSAGES, take_message},
    [FRAME_FLAGS] = {CALL(FRAME_SYNC) | CALL(FRAME_CHANGE_FLAGS), take_flags},
    [FRAME_RANGES] = {CALL(FRAME_SYNC), take_ranges},
    [FRAME_PRESENT] = {CALL(FRAME_SYNC), take_present},
    [FRAME_REMOVED] = {CALL(FRAME_SYNC), take_nothing},
    [FRAME_LISTING] = {CALL(FRAME_LIST_FOLDERS), take_listing},
    [FRAME_PREVIEW] = {CALL(FRAME_PREVIEWS), take_preview},
    [FRAME_HEADER] = {CALL(FRAME_READ_HEADERS), take_header},
    [FRAME_EXPECT] = {CALL(FRAME_READ_PART), take_expect},
    [FRAME_BYTES] = {CALL(FRAME_READ_PART), take_bytes},
    [FRAME_RESOURCE] = {CALL(FRAME_QUOTA), take_resource},
    [FRAME_INFO] = {CALL(FRAME_OPEN), take_info},
    [FRAME_SELECTED] = {CALLS_ON_FOLDERS, take_selected},
    [FRAME_END] = {CALLS_ALL, NULL},
};

bool take_answer(const struct frame *frame, uint16_t asked, struct arena *arena, struct answer *out)
{
    assert(asked >= FRAME_OPEN && asked < FRAME_CALLS_END);
    if (frame->kind < FRAME_FACTS || frame->kind >= FRAME_ANSWERS_END)
        return false;
    const struct answer_row *row = &rows[frame->kind];
    if (!(row->calls & CALL(asked)))
        return false;
    *out = (struct answer){.kind = frame->kind};
    struct unpack from = unpack_of(frame);
    bool good = row->take ? row->take(&from, arena, out) : take_end(&from, asked, out);
    return good && unpack_done(&from);
}

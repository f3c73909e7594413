/* promises.h - what must hold of every answer that take_answer lets through, checked apart from how
 * it checks, and the answer written once more. For the unit test and the fuzz target alike. */
#ifndef POSTERN_TEST_PROMISES_H
#define POSTERN_TEST_PROMISES_H

#include "content.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMISE(held)                                                                              \
    do {                                                                                           \
        if (!(held)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #held);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What cleaning would not change. NULL is no text. */
static inline bool is_clean(const char *text, size_t bytes_max)
{
    struct arena arena;
    arena_init(&arena);
    size_t length = text ? strlen(text) : 0;
    bool clean = !text || strcmp(text_clean(&arena, text, length, true), text) == 0;
    arena_clear(&arena);
    return clean && length <= bytes_max;
}

static inline bool is_lower_case(const char *text)
{
    char copy[RECORD_TOKEN_BYTES + 1];
    if (!text)
        return true;
    snprintf(copy, sizeof copy, "%s", text);
    text_lower(copy);
    return strcmp(copy, text) == 0;
}

static inline void check_keywords(const struct string_list *list)
{
    PROMISE(list->count <= BACKEND_KEYWORDS_MAX);
    for (uint32_t i = 0; i < list->count; i++) {
        PROMISE(list->items[i] && is_clean(list->items[i], RECORD_KEYWORD_BYTES));
        PROMISE(list->items[i][0] != '\0' && list->items[i][0] != '\\');
        PROMISE(i == 0 || strcmp(list->items[i - 1], list->items[i]) < 0);
    }
}

static inline void check_addresses(const struct address_list *list)
{
    PROMISE(list->count <= BACKEND_ADDRESSES_MAX);
    for (uint32_t i = 0; i < list->count; i++) {
        PROMISE(is_clean(list->items[i].name, RECORD_TEXT_BYTES));
        PROMISE(is_clean(list->items[i].email, RECORD_TEXT_BYTES));
        PROMISE(is_clean(list->items[i].group, RECORD_TEXT_BYTES));
    }
}

static inline void check_ids(const struct string_list *list)
{
    PROMISE(list->count <= BACKEND_MESSAGE_IDS_MAX);
    for (uint32_t i = 0; i < list->count; i++)
        PROMISE(list->items[i] && is_clean(list->items[i], RECORD_ID_BYTES));
}

static inline void check_part(const struct part *part, uint32_t index)
{
    PROMISE(part->id && part->type && part->encoding && strchr(part->type, '/'));
    PROMISE(*part->id || index == 0);
    size_t number = strspn(part->id, "0123456789.");
    PROMISE(!part->id[number] || strcmp(part->id + number - 1, ".TEXT") == 0);
    PROMISE(is_clean(part->type, RECORD_TOKEN_BYTES) && is_lower_case(part->type));
    PROMISE(is_clean(part->encoding, RECORD_TOKEN_BYTES) && is_lower_case(part->encoding));
    PROMISE(is_clean(part->charset, RECORD_TOKEN_BYTES) && is_lower_case(part->charset));
    PROMISE(is_clean(part->disposition, RECORD_TOKEN_BYTES) && is_lower_case(part->disposition));
    PROMISE(is_clean(part->content_id, RECORD_ID_BYTES));
    PROMISE(is_clean(part->name, RECORD_FILE_NAME_BYTES));
    PROMISE(!part->name || (!strpbrk(part->name, "/\\") && *part->name && *part->name != '.' &&
                            *part->name != ' '));
    PROMISE(!part->name ||
            (!strstr(part->name, "\xe2\x80\xae") && !strstr(part->name, "\xe2\x80\x8f")));
    PROMISE(part->size >= -1);
}

/* With a stack of the nodes that are open: another way than walking up. */
static inline void check_tree(const struct part *parts, uint32_t count)
{
    int32_t *open = xalloc((count + 1) * sizeof *open);
    uint32_t depth = 0;
    PROMISE(count <= BACKEND_PARTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        check_part(&parts[i], i);
        while (depth > 0 && open[depth - 1] != parts[i].parent)
            depth--;
        PROMISE(i == 0 ? parts[i].parent == -1 : depth > 0);
        open[depth++] = (int32_t)i;
    }
    free(open);
    PROMISE(parts_have_attachment(parts, count) || true); /* walks every parent */
}

static inline void check_message(const struct message *message)
{
    const struct envelope *envelope = &message->envelope;
    PROMISE(message->uid != 0 && message->size <= INT64_MAX && message->modseq <= INT64_MAX);
    PROMISE(!(message->flags & ~(uint32_t)FLAG_ALL) && !(message->limited >> 7));
    PROMISE(is_clean(message->remote_id, RECORD_ID_BYTES));
    check_keywords(&message->keywords);
    PROMISE(is_clean(envelope->subject, RECORD_TEXT_BYTES));
    PROMISE(is_clean(envelope->message_id, RECORD_ID_BYTES));
    check_addresses(&envelope->from);
    check_addresses(&envelope->sender);
    check_addresses(&envelope->reply_to);
    check_addresses(&envelope->to);
    check_addresses(&envelope->cc);
    check_addresses(&envelope->bcc);
    check_ids(&envelope->in_reply_to);
    check_ids(&envelope->references);
    check_tree(message->parts, message->part_count);
}

static inline void check_ranges(const struct answer *answer)
{
    PROMISE(answer->range_count > 0 && answer->range_count <= RANGES_A_FRAME);
    for (uint32_t i = 0; i < answer->range_count; i++) {
        const struct uid_range *range = &answer->ranges[i];
        PROMISE(range->first > 0 && range->first <= range->last);
        PROMISE(i == 0 || range[-1].last < range->first);
    }
}

static inline void check_end(const struct answer *answer)
{
    const struct fault *fault = &answer->fault;
    PROMISE((answer->err == OK) == (fault->code == OK));
    PROMISE(answer->err < ERR_COUNT && fault->code < ERR_COUNT);
    PROMISE(fault->code != ERR_UNAUTHORIZED && fault->code != ERR_FORBIDDEN);
    PROMISE(fault->code != ERR_STORE && fault->code != ERR_HOST_NOT_ALLOWED);
    PROMISE(fault->retry_after_s >= 0 && fault->retry_after_s <= RECORD_RETRY_MAX_S);
    PROMISE(strnlen(fault->detail, sizeof fault->detail) < sizeof fault->detail);
    PROMISE(is_clean(fault->detail, sizeof fault->detail) && is_clean(fault->reply, 303));
    PROMISE(!*fault->pointer || (fault->pointed && *fault->pointer == '/'));
    PROMISE(!*fault->protocol || !strcmp(fault->protocol, "imap") ||
            !strcmp(fault->protocol, "pop3"));
}

static inline void check_listing(const struct folder_listing *listing)
{
    PROMISE(listing->remote && *listing->remote && !strpbrk(listing->remote, "\r\n"));
    PROMISE(strlen(listing->remote) <= RECORD_NAME_BYTES);
    PROMISE(listing->path && *listing->path && is_clean(listing->path, RECORD_NAME_BYTES));
    PROMISE((unsigned)listing->role < ROLE_COUNT && listing->role_source != ROLE_FROM_USER);
    PROMISE(listing->size >= -1 && listing->modseq <= INT64_MAX);
}

static inline void check_answer(const struct answer *answer)
{
    switch (answer->kind) {
    case FRAME_MESSAGE: check_message(&answer->message); break;
    case FRAME_FLAGS:
        PROMISE(answer->message.uid != 0 && !(answer->message.flags & ~(uint32_t)FLAG_ALL));
        check_keywords(&answer->message.keywords);
        break;
    case FRAME_RANGES: check_ranges(answer); break;
    case FRAME_LISTING: check_listing(&answer->listing); break;
    case FRAME_PREVIEW:
        PROMISE(answer->uid != 0 && answer->text && is_clean(answer->text, 800));
        PROMISE(text_cut_chars(answer->text, strlen(answer->text), 200) == strlen(answer->text));
        break;
    case FRAME_HEADER:
        PROMISE(answer->text && *answer->text && is_clean(answer->text, 256));
        PROMISE(text_is_ascii(answer->text, strlen(answer->text)) && !strpbrk(answer->text, " :"));
        PROMISE(answer->value && is_clean(answer->value, RECORD_TEXT_BYTES));
        break;
    case FRAME_BYTES: PROMISE(answer->length > 0 && answer->length <= FRAME_STREAM_BYTES); break;
    case FRAME_RESOURCE:
        PROMISE(answer->resource.root && is_clean(answer->resource.root, RECORD_NAME_BYTES));
        PROMISE(answer->resource.name && is_clean(answer->resource.name, RECORD_NAME_BYTES));
        break;
    case FRAME_INFO:
        PROMISE(answer->info.capability_text && !(answer->info.caps >> 22));
        PROMISE(is_clean(answer->info.capability_text, RECORD_TEXT_BYTES));
        PROMISE(is_clean(answer->info.server_name, RECORD_NAME_BYTES));
        break;
    case FRAME_SELECTED: PROMISE(!answer->value || *answer->value); break;
    case FRAME_END: check_end(answer); break;
    default: break;
    }
}

/* As the far side writes it. For FRAME_RANGES a frame that uses them stands behind. */
static inline void put_answer(struct buf *out, uint16_t call, const struct answer *answer)
{
    const struct message *message = &answer->message;
    switch (answer->kind) {
    case FRAME_FACTS: put_facts(out, call, &answer->facts, answer->reset); break;
    case FRAME_MESSAGE: put_message(out, call, message); break;
    case FRAME_FLAGS:
        put_flags(out, call, message->uid, message->flags, &message->keywords, message->modseq);
        break;
    case FRAME_RANGES:
        PROMISE(!put_ranges(out, call, FRAME_REMOVED, 0, answer->ranges, answer->range_count));
        break;
    case FRAME_PRESENT:
    case FRAME_REMOVED: PROMISE(!put_ranges(out, call, answer->kind, answer->from, NULL, 0)); break;
    case FRAME_LISTING: put_listing(out, call, &answer->listing); break;
    case FRAME_PREVIEW: put_preview(out, call, answer->uid, answer->text); break;
    case FRAME_HEADER: put_header(out, call, answer->text, answer->value); break;
    case FRAME_EXPECT: put_expect(out, call, answer->number); break;
    case FRAME_BYTES: put_bytes(out, call, answer->bytes, answer->length); break;
    case FRAME_RESOURCE: put_resource(out, call, &answer->resource); break;
    case FRAME_INFO: put_info(out, call, &answer->info); break;
    case FRAME_SELECTED: put_selected(out, call, answer->value); break;
    default: put_end(out, call, answer->err, &answer->fault, answer->number); break;
    }
}

static inline struct frame frame_at(char *data)
{
    const unsigned char *byte = (const unsigned char *)data;
    return (struct frame){
        .length = byte[0] | byte[1] << 8 | byte[2] << 16 | (uint32_t)byte[3] << 24,
        .kind = (uint16_t)(byte[4] | byte[5] << 8),
        .call = (uint16_t)(byte[6] | byte[7] << 8),
        .payload = data + FRAME_HEADER_BYTES,
    };
}

/* What was let through is written again byte for byte: nothing of it was lost or made up. Only of
 * frames small enough that nothing is cut. */
static inline void check_rewritten(const struct frame *frame, const struct answer *answer)
{
    struct buf again;
    buf_init(&again, 4u * FRAME_BYTES_MAX);
    put_answer(&again, frame->call, answer);
    PROMISE(again.length >= FRAME_HEADER_BYTES);
    struct frame other = frame_at(again.data);
    PROMISE(other.kind == frame->kind && other.call == frame->call);
    PROMISE(other.length == frame->length &&
            memcmp(other.payload, frame->payload, frame->length) == 0);
    buf_clear(&again);
}

#endif

/* decode_address.c - address headers, parsed by GMime and laid out flat.
 *
 * GMime's parser calls itself for a group in a group, and a header of nothing but "a:a:a:" runs it
 * out of stack. A group in a group is no mail address syntax at all (RFC 5322 3.4), so the header
 * is cut long before. */
#include "decode_private.h"
#include "text.h"

#include <gmime/gmime.h>

#include <string.h>

#define COLONS_MOST        200u /* each could begin a group; IPv6 literals have a few too */
#define ADDRESS_MOST_BYTES (512u * 1024u) /* 5,000 addresses with long names */

struct flattening {
    struct arena *arena;
    struct address *items;
    uint32_t count, capacity;
    bool full;
};

static void flat_add(struct flattening *flat, const struct address *address)
{
    if (flat->count == BACKEND_ADDRESSES_MAX) {
        flat->full = true;
        return;
    }
    if (flat->count == flat->capacity) {
        uint32_t wider = flat->capacity ? flat->capacity * 2 : 4;
        struct address *more = arena_array(flat->arena, struct address, wider);
        if (flat->count)
            memcpy(more, flat->items, flat->count * sizeof *more);
        flat->items = more;
        flat->capacity = wider;
    }
    flat->items[flat->count++] = *address;
}

/* Clean and trimmed; NULL for nothing. */
static const char *tidy(struct arena *arena, const char *text)
{
    if (!text)
        return NULL;
    char *clean = text_clean(arena, text, strlen(text), true);
    clean += strspn(clean, " ");
    size_t length = strlen(clean);
    while (length && clean[length - 1] == ' ')
        clean[--length] = '\0';
    return length ? clean : NULL;
}

static void flat_walk(struct flattening *flat, InternetAddressList *list, const char *group)
{
    int length = internet_address_list_length(list);
    for (int i = 0; i < length && !flat->full; i++) {
        InternetAddress *item = internet_address_list_get_address(list, i);
        const char *name = tidy(flat->arena, internet_address_get_name(item));
        if (INTERNET_ADDRESS_IS_MAILBOX(item)) {
            const char *email = tidy(
                flat->arena, internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(item)));
            if (name || email)
                flat_add(flat, &(struct address){name, email ? email : "", group});
        } else if (INTERNET_ADDRESS_IS_GROUP(item)) {
            InternetAddressList *members =
                internet_address_group_get_members(INTERNET_ADDRESS_GROUP(item));
            const char *outer = group ? group : name ? name : "";
            if (internet_address_list_length(members) > 0)
                flat_walk(flat, members, outer);
            else
                flat_add(flat, &(struct address){NULL, NULL, outer});
        }
    }
}

/* How much of the text may be parsed: up to the colon that would be one too many. */
static size_t safe_length(const char *text, size_t length)
{
    uint32_t colons = 0;
    for (size_t i = 0; i < length; i++)
        if (text[i] == ':' && ++colons > COLONS_MOST)
            return i;
    return length;
}

/* In pieces that header_prepare takes whole, cut at commas, so that a long list is not lost. */
static char *prepare_long(struct arena *arena, const char *raw, size_t length)
{
    struct buf text;
    buf_init(&text, ADDRESS_MOST_BYTES * 3);
    while (length) {
        size_t take = length;
        if (take > BACKEND_HEADER_VALUE_BYTES_MAX) {
            const char *comma = memrchr(raw, ',', BACKEND_HEADER_VALUE_BYTES_MAX);
            take = comma ? (size_t)(comma - raw) + 1 : BACKEND_HEADER_VALUE_BYTES_MAX;
        }
        buf_text(&text, words_decode(arena, header_prepare(arena, raw, take), WORDS_AS_WORDS));
        buf_char(&text, ' ');
        raw += take;
        length -= take;
    }
    char *copy = arena_strndup(arena, text.data ? text.data : "", text.length);
    buf_clear(&text);
    return copy;
}

void decode_addresses(struct arena *arena, const char *raw, size_t length, struct address_list *out,
                      uint32_t *limited)
{
    struct arena scratch;
    struct flattening flat = {.arena = arena};
    size_t kept = length < ADDRESS_MOST_BYTES ? length : ADDRESS_MOST_BYTES;
    arena_init(&scratch);
    char *text = prepare_long(&scratch, raw, kept);
    size_t safe = safe_length(text, strlen(text));
    if (kept < length || text[safe])
        *limited |= LIMITED_ADDRESSES;
    text[safe] = '\0';
    InternetAddressList *list = internet_address_list_parse(NULL, text);
    if (list) {
        flat_walk(&flat, list, NULL);
        g_object_unref(list);
    }
    if (flat.full)
        *limited |= LIMITED_ADDRESSES;
    arena_clear(&scratch);
    *out = (struct address_list){.items = flat.items, .count = flat.count};
}

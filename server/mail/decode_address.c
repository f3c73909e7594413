/* decode_address.c - address headers: cut into single addresses here, each read by GMime.
 *
 * GMime's parser takes quadratic time for a list that is none ("a,a,a,"), and calls itself for a
 * group in a group until the stack is gone. So it is given one address at a time, of bounded length
 * and with few colons, and groups are kept account of here. */
#include "decode_private.h"
#include "text.h"

#include <gmime/gmime.h>

#include <string.h>

#define COLONS_MOST        50u /* in one address: a route or an IPv6 literal has a few */
#define GROUPS_MOST        16u /* within each other, which is no mail syntax (RFC 5322 3.4) */
#define ONE_MOST_BYTES     4096u
#define ADDRESS_MOST_BYTES (512u * 1024u) /* 5,000 addresses with long names */
#define ONE_WORK           512u           /* what GMime needs for the shortest one */

struct flattening {
    struct arena *arena;
    struct decode_budget *budget;
    struct address *items;
    uint32_t count, capacity;
    bool full;
};

static void flat_add(struct flattening *flat, const struct address *address)
{
    if (flat->count == BACKEND_ADDRESSES_MAX) {
        flat->full = true;
        flat->budget->limited |= LIMITED_ADDRESSES;
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

/* How much of it GMime may be given: up to the colon that would be one too many. */
static size_t safe_length(const char *text, size_t length)
{
    uint32_t colons = 0;
    for (size_t i = 0; i < length; i++)
        if (text[i] == ':' && ++colons > COLONS_MOST)
            return i;
    return length;
}

/* GMime's reading of one piece, or NULL; to be unreferenced. */
static InternetAddressList *parse_one(struct flattening *flat, const char *text, size_t length)
{
    char one[ONE_MOST_BYTES + 1];
    size_t safe = safe_length(text, length);
    if (safe < length)
        flat->budget->limited |= LIMITED_ADDRESSES;
    memcpy(one, text, safe);
    one[safe] = '\0';
    return internet_address_list_parse(NULL, one);
}

static void flat_walk(struct flattening *flat, InternetAddressList *list, const char *group)
{
    int length = internet_address_list_length(list);
    for (int i = 0; i < length && !flat->full; i++) {
        InternetAddress *item = internet_address_list_get_address(list, i);
        if (INTERNET_ADDRESS_IS_GROUP(item)) { /* GMime saw a colon where we saw none */
            flat_walk(flat, internet_address_group_get_members(INTERNET_ADDRESS_GROUP(item)),
                      group);
        } else if (INTERNET_ADDRESS_IS_MAILBOX(item)) {
            const char *name = tidy(flat->arena, internet_address_get_name(item));
            const char *email = tidy(
                flat->arena, internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(item)));
            if (name || email)
                flat_add(flat, &(struct address){name, email ? email : "", group});
        }
    }
}

/* ---- where one address ends and the next begins ---- */

struct cutting {
    const char *text;
    size_t at, began, length;
    uint32_t comments; /* depth */
    bool quoted, angle, literal;
    uint32_t groups; /* depth */
    const char *group;
    bool group_empty;
};

static void piece_end(struct cutting *cut)
{
    cut->began = cut->at + 1;
    cut->comments = 0;
    cut->quoted = cut->angle = cut->literal = false;
}

/* Whether the byte divides addresses, being inside of nothing. Keeps account of what it opens. */
static bool divides(struct cutting *cut, char byte)
{
    if (byte == '\\' && (cut->quoted || cut->comments)) {
        cut->at += cut->at + 1 < cut->length;
    } else if (cut->quoted) {
        cut->quoted = byte != '"';
    } else if (byte == '(') {
        cut->comments++;
    } else if (cut->comments) {
        cut->comments -= byte == ')';
    } else if (cut->literal) {
        cut->literal = byte != ']';
    } else {
        cut->quoted = byte == '"';
        cut->literal = byte == '[';
        cut->angle = (cut->angle && byte != '>') || byte == '<';
        return !cut->angle && (byte == ',' || byte == ';' || byte == ':');
    }
    return false;
}

static void take_address(struct flattening *flat, struct cutting *cut)
{
    const char *text = cut->text + cut->began;
    size_t length = cut->at - cut->began;
    while (length && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    if (length == 0)
        return;
    InternetAddressList *list = parse_one(flat, text, length);
    uint32_t before = flat->count;
    if (list) {
        flat_walk(flat, list, cut->group);
        g_object_unref(list);
    }
    cut->group_empty &= flat->count == before;
}

/* "Name:" opens a group; the outermost gives its members the name. */
static void open_group(struct flattening *flat, struct cutting *cut)
{
    if (cut->groups == GROUPS_MOST) {
        flat->budget->limited |= LIMITED_ADDRESSES;
        return;
    }
    if (cut->groups++ > 0)
        return;
    InternetAddressList *list = parse_one(flat, cut->text + cut->began, cut->at + 1 - cut->began);
    InternetAddress *item = list && internet_address_list_length(list) > 0
                                ? internet_address_list_get_address(list, 0)
                                : NULL;
    const char *name = item ? tidy(flat->arena, internet_address_get_name(item)) : NULL;
    cut->group = name ? name : "";
    cut->group_empty = true;
    if (list)
        g_object_unref(list);
}

static void close_group(struct flattening *flat, struct cutting *cut)
{
    if (cut->groups == 0 || --cut->groups > 0)
        return;
    if (cut->group_empty)
        flat_add(flat, &(struct address){NULL, NULL, cut->group});
    cut->group = NULL;
}

static void cut_addresses(struct flattening *flat, const char *text)
{
    struct cutting cut = {.text = text, .length = strlen(text)};
    for (; cut.at < cut.length && !flat->full; cut.at++) {
        char byte = text[cut.at];
        bool too_long = cut.at - cut.began >= ONE_MOST_BYTES - 2;
        if (too_long) /* an unclosed quote most likely: begin anew */
            flat->budget->limited |= LIMITED_ADDRESSES;
        else if (!divides(&cut, byte))
            continue;
        if (!decode_budget_spend(flat->budget, cut.at - cut.began + ONE_WORK))
            return;
        if (!too_long && byte == ':') {
            open_group(flat, &cut);
        } else {
            take_address(flat, &cut);
            if (!too_long && byte == ';')
                close_group(flat, &cut);
        }
        piece_end(&cut);
    }
    if (flat->full || !decode_budget_spend(flat->budget, ONE_WORK))
        return;
    cut.at = cut.length;
    if (cut.began < cut.at)
        take_address(flat, &cut);
    cut.groups = cut.groups ? 1 : 0; /* nobody closed them */
    close_group(flat, &cut);
}

/* In pieces that header_prepare takes whole, cut at commas, so that a long list is not lost. */
static char *prepare_long(struct arena *arena, struct decode_budget *budget, const char *raw,
                          size_t length)
{
    struct buf text;
    buf_init(&text, ADDRESS_MOST_BYTES * 3);
    while (length && decode_budget_left(budget)) {
        size_t take = length;
        if (take > BACKEND_HEADER_VALUE_BYTES_MAX) {
            const char *comma = memrchr(raw, ',', BACKEND_HEADER_VALUE_BYTES_MAX);
            take = comma ? (size_t)(comma - raw) + 1 : BACKEND_HEADER_VALUE_BYTES_MAX;
        }
        const char *piece = header_prepare(arena, budget, raw, take);
        buf_text(&text, words_decode(arena, budget, piece, WORDS_AS_WORDS));
        buf_char(&text, ' ');
        raw += take;
        length -= take;
    }
    char *copy = arena_strndup(arena, text.data ? text.data : "", text.length);
    buf_clear(&text);
    return copy;
}

void decode_addresses(struct arena *arena, struct decode_budget *budget, const char *raw,
                      size_t length, struct address_list *out)
{
    struct arena scratch;
    struct flattening flat = {.arena = arena, .budget = budget};
    size_t kept = length < ADDRESS_MOST_BYTES ? length : ADDRESS_MOST_BYTES;
    if (kept < length)
        budget->limited |= LIMITED_ADDRESSES;
    if (decode_budget_spend(budget, kept)) {
        arena_init(&scratch);
        cut_addresses(&flat, prepare_long(&scratch, budget, raw, kept));
        arena_clear(&scratch);
    }
    *out = (struct address_list){.items = flat.items, .count = flat.count};
}

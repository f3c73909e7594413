/* decode_text.c - unstructured header values, and lists of message ids. */
#include "decode_private.h"
#include "text.h"

#include <ctype.h>
#include <string.h>

#define TEXT_WORK 64u /* of the shortest one */
#define ID_WORK   64u

/* Unfolds and drops NUL. Line ends become blanks unless one follows (RFC 5322 2.2.3). */
static size_t unfold(const char *raw, size_t length, char *out)
{
    size_t put = 0;
    for (size_t i = 0; i < length; i++) {
        if (raw[i] == '\0')
            continue;
        if (raw[i] != '\r' && raw[i] != '\n')
            out[put++] = raw[i];
        else if (i + 1 < length && !strchr(" \t\r\n", raw[i + 1]))
            out[put++] = ' ';
    }
    out[put] = '\0';
    return put;
}

char *header_prepare(struct arena *arena, struct decode_budget *budget, const char *raw,
                     size_t length)
{
    if (length > BACKEND_HEADER_VALUE_BYTES_MAX) {
        length = BACKEND_HEADER_VALUE_BYTES_MAX;
        budget->limited |= LIMITED_HEADERS;
    }
    char *text = arena_alloc(arena, length + 1);
    length = unfold(raw, length, text);
    return text_is_utf8(text, length) ? text : charset_to_utf8(arena, NULL, text, length);
}

/* White space folded and trimmed, controls gone. */
static char *tidy(struct arena *arena, const char *text)
{
    char *clean = text_clean(arena, text, strlen(text), true);
    size_t put = 0;
    for (const char *at = clean; *at; at++)
        if (*at != ' ' || (put && clean[put - 1] != ' '))
            clean[put++] = *at;
    if (put && clean[put - 1] == ' ')
        put--;
    clean[put] = '\0';
    return clean;
}

char *decode_text(struct arena *arena, struct decode_budget *budget, const char *raw, size_t length)
{
    struct arena scratch;
    if (!decode_budget_spend(budget, length + TEXT_WORK))
        return arena_strdup(arena, "");
    arena_init(&scratch);
    const char *text = header_prepare(&scratch, budget, raw, length);
    text = tidy(&scratch, words_decode(&scratch, budget, text, WORDS_AS_TEXT));
    size_t whole = strlen(text);
    size_t kept = text_cut_bytes(text, whole, BACKEND_HEADER_VALUE_BYTES_MAX);
    if (kept < whole)
        budget->limited |= LIMITED_HEADERS;
    char *result = arena_strndup(arena, text, kept);
    arena_clear(&scratch);
    return result;
}

struct raw_id {
    const char *text;
    size_t length;
};

/* One id, blanks inside removed (folded ids), or NULL when it is none. */
static const char *take_id(struct arena *arena, const char *from, size_t length)
{
    char id[BACKEND_MESSAGE_ID_BYTES_MAX];
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (isspace((unsigned char)from[i]) || from[i] == '\0')
            continue;
        if (used == sizeof id)
            return NULL;
        id[used++] = from[i];
    }
    return used ? text_clean(arena, id, used, true) : NULL;
}

/* The next id's place in [*at, end), or false behind the last. */
static bool find_id(const char **at, const char *end, bool bracketed, struct raw_id *out)
{
    const char *from = *at, *to;
    if (bracketed) {
        from = memchr(from, '<', (size_t)(end - from));
        if (!from)
            return false;
        from++;
        for (to = from; to < end && *to != '>' && *to != '<'; to++)
            continue;
    } else { /* some mailers leave the brackets out */
        while (from < end && (isspace((unsigned char)*from) || *from == ','))
            from++;
        for (to = from; to < end && !isspace((unsigned char)*to) && *to != ','; to++)
            continue;
    }
    *at = to;
    *out = (struct raw_id){from, (size_t)(to - from)};
    return bracketed || to > from;
}

void decode_message_ids(struct arena *arena, struct decode_budget *budget, const char *raw,
                        size_t length, struct string_list *out)
{
    const char **ids = NULL;
    uint32_t count = 0, capacity = 0;
    const char *at = raw, *end = raw + length;
    bool bracketed = length && memchr(raw, '<', length);
    struct raw_id found;
    while (at < end && find_id(&at, end, bracketed, &found)) {
        if (!decode_budget_spend(budget, found.length + ID_WORK))
            break;
        if (!bracketed && !memchr(found.text, '@', found.length))
            continue;
        const char *id = take_id(arena, found.text, found.length);
        if (!id || !*id)
            continue;
        if (count == BACKEND_MESSAGE_IDS_MAX) {
            budget->limited |= LIMITED_HEADERS;
            break;
        }
        if (count == capacity) {
            uint32_t wider = capacity ? capacity * 2 : 8;
            const char **more = arena_array(arena, const char *, wider);
            if (count)
                memcpy(more, ids, count * sizeof *ids);
            ids = more;
            capacity = wider;
        }
        ids[count++] = id;
    }
    *out = (struct string_list){.items = ids, .count = count};
}

/* pack_keywords.c - keywords as the JSON array that lists show, and that array read back.
 *
 * The stored text is only ever our own, yet it is read as if it were not. Escapes beyond those
 * buf_json_string writes are refused.
 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void pack_keywords(const struct string_list *keywords, struct buf *out)
{
    const char **sorted = xalloc(keywords->count * sizeof *sorted);
    if (keywords->count)
        memcpy(sorted, keywords->items, keywords->count * sizeof *sorted);
    qsort(sorted, keywords->count, sizeof *sorted, by_bytes);
    buf_char(out, '[');
    for (uint32_t i = 0; i < keywords->count; i++) {
        if (i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0)
            continue;
        if (i > 0)
            buf_char(out, ',');
        buf_json_string(out, sorted[i], strlen(sorted[i]));
    }
    buf_char(out, ']');
    free(sorted);
}

/* `at` stands on a backslash; the byte it means, or 0. Only escapes of ASCII are ever written. */
static char unescape(const char **at)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *found = (*at)[1] ? strchr(names, (*at)[1]) : NULL;
    if (found) {
        *at += 2;
        return meanings[found - names];
    }
    if (strncmp(*at, "\\u00", 4) != 0)
        return 0;
    char digits[3] = {(*at)[4], (*at)[4] ? (*at)[5] : '\0', '\0'}, *end;
    long value = strtol(digits, &end, 16);
    if (end != digits + 2 || value <= 0 || value > 0x7f)
        return 0;
    *at += 6;
    return (char)value;
}

/* Writes the string's bytes and a NUL at *out, which moves behind them. */
static char *read_string(const char **at, char **out)
{
    char *start = *out;
    if (*(*at)++ != '"')
        return NULL;
    while (**at && **at != '"') {
        if (**at != '\\')
            *(*out)++ = *(*at)++;
        else if ((**out = unescape(at)) != 0)
            ++*out;
        else
            return NULL;
    }
    if (*(*at) != '"')
        return NULL;
    ++*at;
    *(*out)++ = '\0';
    return start;
}

bool unpack_keywords(struct arena *arena, const char *json, struct string_list *out)
{
    *out = (struct string_list){0};
    if (strcmp(json, "[]") == 0)
        return true;
    if (*json != '[')
        return false;
    size_t most = 1;
    for (const char *c = json; *c; c++)
        most += *c == ',';
    const char **items = arena_array(arena, const char *, most);
    /* What a string takes is less than what its JSON took. */
    char *bytes = arena_alloc(arena, strlen(json) + 1);
    do {
        json++;
        if (!(items[out->count] = read_string(&json, &bytes)))
            return false;
        out->count++;
    } while (*json == ',');
    out->items = items;
    return strcmp(json, "]") == 0;
}

/* disposition.c - types and names from mails are claims of strangers. */
#include "disposition.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define NAME_MOST_BYTES 255
#define TYPE_MOST_BYTES 127

static const char *const inline_types[] = {"image/png", "image/jpeg", "image/gif", "image/webp",
                                           "text/plain"};

static bool is_inline(const char *type)
{
    for (size_t i = 0; i < sizeof inline_types / sizeof inline_types[0]; i++)
        if (strcmp(inline_types[i], type) == 0)
            return true;
    return false;
}

static bool is_token(const char *text, size_t length)
{
    if (length == 0 || length > TYPE_MOST_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alphanumeric && (!c || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return true;
}

const char *content_type_value(struct arena *arena, const char *type, const char *charset)
{
    const char *slash = type ? strchr(type, '/') : NULL;
    if (!slash || !is_token(type, (size_t)(slash - type)) ||
        !is_token(slash + 1, strlen(slash + 1)))
        return "application/octet-stream";
    if (strncmp(type, "text/", 5) == 0 && charset && is_token(charset, strlen(charset)))
        return arena_printf(arena, "%s; charset=%s", type, charset);
    return type;
}

/* What stands behind the last path separator, cut to a length that file systems take. */
static const char *name_clean(struct arena *arena, const char *name)
{
    for (const char *at = name; *at; at++)
        if (*at == '/' || *at == '\\')
            name = at + 1;
    char *clean = text_clean(arena, name, strlen(name), true);
    clean[text_cut_bytes(clean, strlen(clean), NAME_MOST_BYTES)] = '\0';
    return strcmp(clean, ".") == 0 || strcmp(clean, "..") == 0 ? "" : clean;
}

/* For clients that know only quoted-string: ASCII, one underscore for each other character. */
static const char *name_fallback(struct arena *arena, const char *name)
{
    char *out = arena_alloc(arena, strlen(name) + 1), *put = out;
    for (const char *at = name; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if ((c & 0xc0) == 0x80)
            continue;
        *put++ = c < 0x20 || c > 0x7e || strchr("\"\\%;", c) ? '_' : (char)c;
    }
    return out;
}

const char *disposition_value(struct arena *arena, const char *type, const char *name)
{
    const char *way = is_inline(type) ? "inline" : "attachment";
    const char *clean = name ? name_clean(arena, name) : "";
    if (!*clean)
        return way;
    const char *fallback = name_fallback(arena, clean);
    if (strcmp(fallback, clean) == 0)
        return arena_printf(arena, "%s; filename=\"%s\"", way, fallback);
    return arena_printf(arena, "%s; filename=\"%s\"; filename*=UTF-8''%s", way, fallback,
                        text_percent_encode(arena, clean));
}

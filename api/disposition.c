/* disposition.c - types and names from mails are claims of strangers. */
#include "disposition.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define NAME_MOST_BYTES    255
#define TYPE_MOST_BYTES    127
#define CHARSET_MOST_BYTES 64

static const char *const inline_types[] = {"image/png", "image/jpeg", "image/gif", "image/webp",
                                           "text/plain"};

/* Judged by what is served, parameters apart. */
static bool is_inline(const char *content_type)
{
    size_t length = strcspn(content_type, ";");
    for (size_t i = 0; i < sizeof inline_types / sizeof inline_types[0]; i++)
        if (text_case_equal(content_type, length, inline_types[i]))
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

/* UTF-7 is what makes plain ASCII mean tags. */
static bool is_charset(const char *charset)
{
    size_t length = strlen(charset);
    if (length == 0 || length > CHARSET_MOST_BYTES || text_casecmp(charset, "utf-7") == 0 ||
        text_casecmp(charset, "unicode-1-1-utf-7") == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = charset[i];
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alphanumeric && (!c || !strchr("-_.:+", c)))
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
    if (text_starts_case(type, "text/") && charset && is_charset(charset))
        return arena_printf(arena, "%s; charset=%s", type, charset);
    return type;
}

/* Marks that show a name in another order than it has ("exe.txt" for a program), and the two line
 * ends that only Unicode knows: U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069. */
static bool is_disguise(const unsigned char *at)
{
    if (at[0] == 0xd8)
        return at[1] == 0x9c;
    if (at[0] != 0xe2 || (at[1] != 0x80 && at[1] != 0x81))
        return false;
    return at[1] == 0x80 ? at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae)
                         : at[2] >= 0xa6 && at[2] <= 0xa9;
}

static void drop_disguises(char *name)
{
    char *put = name;
    for (const char *at = name; *at;) {
        if (is_disguise((const unsigned char *)at)) {
            at += (unsigned char)*at == 0xd8 ? 2 : 3;
            continue;
        }
        *put++ = *at == ':' ? '_' : *at; /* "C:x", "a.txt:stream" */
        at++;
    }
    *put = '\0';
}

/* "CON", "com1.txt", "nul .x": devices of Windows, whatever stands behind the first dot. */
static bool is_device(const char *name)
{
    static const char *const devices[] = {"con", "prn", "aux", "nul", "com", "lpt"};
    size_t length = strcspn(name, ".");
    while (length && name[length - 1] == ' ')
        length--;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (!text_starts_case(name, devices[i]))
            continue;
        bool numbered = i >= 4;
        const char *rest = name + 3;
        bool one_digit = length == 4 && *rest >= '0' && *rest <= '9';
        /* the superscripts one, two, three count as digits there */
        bool one_raised =
            length == 5 && (memcmp(rest, "\xc2\xb9", 2) == 0 || memcmp(rest, "\xc2\xb2", 2) == 0 ||
                            memcmp(rest, "\xc2\xb3", 2) == 0);
        if (numbered ? one_digit || one_raised : length == 3)
            return true;
    }
    return false;
}

/* What stands behind the last path separator, cut to a length that file systems take; what they
 * would drop (dots and blanks at the end), hide (a dot in front) or take for something else. */
static const char *name_clean(struct arena *arena, const char *name)
{
    for (const char *at = name; *at; at++)
        if (*at == '/' || *at == '\\')
            name = at + 1;
    char *clean = text_clean(arena, name, strlen(name), true);
    drop_disguises(clean);
    clean += strspn(clean, " .");
    size_t length = text_cut_bytes(clean, strlen(clean), NAME_MOST_BYTES);
    while (length && (clean[length - 1] == ' ' || clean[length - 1] == '.'))
        length--;
    clean[length] = '\0';
    return is_device(clean) ? arena_printf(arena, "_%s", clean) : clean;
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

const char *disposition_value(struct arena *arena, const char *content_type, const char *name)
{
    const char *way = is_inline(content_type) ? "inline" : "attachment";
    const char *clean = name ? name_clean(arena, name) : "";
    if (!*clean)
        return way;
    const char *fallback = name_fallback(arena, clean);
    if (strcmp(fallback, clean) == 0)
        return arena_printf(arena, "%s; filename=\"%s\"", way, fallback);
    return arena_printf(arena, "%s; filename=\"%s\"; filename*=UTF-8''%s", way, fallback,
                        text_percent_encode(arena, clean));
}

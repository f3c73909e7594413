/* accept.c - quality values of Accept, Accept-Encoding and their like (RFC 9110, 12.4.2 and 12.5).
 *
 * The most specific element that matches decides. Parameters other than q are ignored.
 */
#include "http.h"

#include "text.h"

#include <string.h>

#define QUALITY_FULL 1000

struct element {
    const char *name;
    size_t length;
    int quality;
};

static size_t trimmed(const char *text, size_t length)
{
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    return length;
}

/* "0.35" -> 350; anything else that is not a qvalue counts as 0: what cannot be read is not wanted.
 */
static int parse_qvalue(const char *text, size_t length)
{
    if (length == 0 || length > 5 || (text[0] != '0' && text[0] != '1'))
        return 0;
    int value = (text[0] - '0') * QUALITY_FULL;
    if (length > 1 && text[1] != '.')
        return 0;
    int scale = 100;
    for (size_t i = 2; i < length; i++, scale /= 10) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        value += (text[i] - '0') * scale;
    }
    return value > QUALITY_FULL ? 0 : value;
}

static int parameters_quality(const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end) {
        text += strspn(text, "; \t");
        if (text >= end)
            break;
        size_t size = strcspn(text, ";,");
        if (text + size > end)
            size = (size_t)(end - text);
        if (size >= 2 && (text[0] == 'q' || text[0] == 'Q') && text[1] == '=')
            return parse_qvalue(text + 2, trimmed(text + 2, size - 2));
        text += size;
    }
    return QUALITY_FULL;
}

static bool take_element(const char **at, struct element *element)
{
    const char *here = *at + strspn(*at, " \t,");
    if (*here == '\0')
        return false;
    size_t whole = strcspn(here, ",");
    size_t name = strcspn(here, ";,");
    element->name = here;
    element->length = trimmed(here, name);
    element->quality = parameters_quality(here + name, whole - name);
    *at = here + whole;
    return true;
}

/* 0: no match; 1: any; 2: "type/" + "*"; 3: exact. */
static int specificity(const struct element *element, const char *token)
{
    if (text_case_equal(element->name, element->length, token))
        return 3;
    const char *slash = strchr(token, '/');
    if (!slash)
        return element->length == 1 && element->name[0] == '*' ? 1 : 0;
    if (text_case_equal(element->name, element->length, "*/*"))
        return 1;
    size_t type = (size_t)(slash + 1 - token);
    if (element->length == type + 1 && element->name[type] == '*' &&
        strncasecmp(element->name, token, type) == 0)
        return 2;
    return 0;
}

int http_accept_quality(const char *header, const char *token)
{
    if (!header)
        return QUALITY_FULL;
    int best = 0, elements = 0, quality = 0;
    struct element element;
    for (const char *at = header; take_element(&at, &element); elements++) {
        int match = specificity(&element, token);
        if (match > best) {
            best = match;
            quality = element.quality;
        }
    }
    /* An empty Accept says nothing; an empty Accept-Encoding asks for no coding. */
    if (elements == 0)
        return strchr(token, '/') ? QUALITY_FULL : 0;
    return quality;
}

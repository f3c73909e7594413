/* decode_charset_preload.c - every converter opened once, for a process that is about to lose the
 * right to open files.
 *
 * glibc loads a converter's code from a file, and drops it again when nobody uses it: so one of
 * each stays open for good. What cannot be loaded is missing here as it would be later, and its
 * text is then read as of an unknown charset. */
#include "backend.h"
#include "decode_private.h"

#include <iconv.h>
#include <stdbool.h>

#define FOLDER_NAMES "UTF-7-IMAP" /* see imap_names.c */
#define KEPT_MAX     256

static iconv_t kept[KEPT_MAX];
static size_t kept_count;

static void keep(const char *to, const char *from)
{
    iconv_t converter = iconv_open(to, from);
    if (converter == (iconv_t)-1)
        return;
    if (kept_count == KEPT_MAX)
        iconv_close(converter);
    else
        kept[kept_count++] = converter;
}

void backend_preload(void)
{
    if (kept_count)
        return;
    for (size_t i = 0; charset_nth(i); i++)
        keep(CHARSET_UTF8, charset_nth(i));
    keep(CHARSET_UTF8, FOLDER_NAMES);
    keep(FOLDER_NAMES, CHARSET_UTF8);
}

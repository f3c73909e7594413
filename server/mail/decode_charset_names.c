/* decode_charset_names.c - what a declared charset is read as.
 *
 * Mail declares the small charset and uses the large one (iso-8859-1 with windows-1252 quotes,
 * gb2312 with GBK characters), so each name leads to the largest superset in use. */
#include "decode_private.h"
#include "text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct charset_row {
    const char *name; /* lower case, '_' as '-' */
    const char *iconv;
};

/* Sorted by name, for bsearch. */
static const struct charset_row charset_rows[] = {
    {"646", CHARSET_UTF8},
    {"ansi-x3.4-1968", CHARSET_UTF8},
    {"armscii-8", "ARMSCII-8"},
    {"ascii", CHARSET_UTF8},
    {"big5", "BIG5-HKSCS"},
    {"big5-eten", "BIG5-HKSCS"},
    {"big5-hkscs", "BIG5-HKSCS"},
    {"cn-big5", "BIG5-HKSCS"},
    {"cn-gb", "GB18030"},
    {"cp1250", "CP1250"},
    {"cp1251", "CP1251"},
    {"cp1252", "CP1252"},
    {"cp1253", "CP1253"},
    {"cp1254", "CP1254"},
    {"cp1255", "CP1255"},
    {"cp1256", "CP1256"},
    {"cp1257", "CP1257"},
    {"cp1258", "CP1258"},
    {"cp437", "CP437"},
    {"cp850", "CP850"},
    {"cp852", "CP852"},
    {"cp866", "CP866"},
    {"cp874", "CP874"},
    {"cp932", "CP932"},
    {"cp936", "GB18030"},
    {"cp949", "UHC"},
    {"cp950", "BIG5-HKSCS"},
    {"cseuckr", "UHC"},
    {"csgb2312", "GB18030"},
    {"csiso2022jp", "ISO-2022-JP-2"},
    {"csisolatin1", "CP1252"},
    {"csshiftjis", "CP932"},
    {"euc-cn", "GB18030"},
    {"euc-jp", "EUC-JP-MS"},
    {"euc-kr", "UHC"},
    {"euc-tw", "EUC-TW"},
    {"eucjp", "EUC-JP-MS"},
    {"euckr", "UHC"},
    {"gb-2312-80", "GB18030"},
    {"gb18030", "GB18030"},
    {"gb2312", "GB18030"},
    {"gb2312-80", "GB18030"},
    {"gb231280", "GB18030"},
    {"gbk", "GB18030"},
    {"georgian-ps", "GEORGIAN-PS"},
    {"ibm437", "CP437"},
    {"ibm850", "CP850"},
    {"ibm852", "CP852"},
    {"ibm866", "CP866"},
    {"iso-2022-jp", "ISO-2022-JP-2"},
    {"iso-2022-jp-1", "ISO-2022-JP-2"},
    {"iso-2022-jp-2", "ISO-2022-JP-2"},
    {"iso-2022-kr", "ISO-2022-KR"},
    {"iso-8859-1", "CP1252"},
    {"iso-8859-10", "ISO-8859-10"},
    {"iso-8859-11", "CP874"},
    {"iso-8859-13", "ISO-8859-13"},
    {"iso-8859-14", "ISO-8859-14"},
    {"iso-8859-15", "ISO-8859-15"},
    {"iso-8859-16", "ISO-8859-16"},
    {"iso-8859-2", "ISO-8859-2"},
    {"iso-8859-3", "ISO-8859-3"},
    {"iso-8859-4", "ISO-8859-4"},
    {"iso-8859-5", "ISO-8859-5"},
    {"iso-8859-6", "ISO-8859-6"},
    {"iso-8859-6-e", "ISO-8859-6"},
    {"iso-8859-6-i", "ISO-8859-6"},
    {"iso-8859-7", "ISO-8859-7"},
    {"iso-8859-8", "ISO-8859-8"},
    {"iso-8859-8-e", "ISO-8859-8"},
    {"iso-8859-8-i", "ISO-8859-8"},
    {"iso-8859-9", "CP1254"},
    {"iso8859-1", "CP1252"},
    {"iso8859-15", "ISO-8859-15"},
    {"iso8859-2", "ISO-8859-2"},
    {"johab", "JOHAB"},
    {"koi8-r", "KOI8-R"},
    {"koi8-ru", "KOI8-U"},
    {"koi8-t", "KOI8-T"},
    {"koi8-u", "KOI8-U"},
    {"ks-c-5601", "UHC"},
    {"ks-c-5601-1987", "UHC"},
    {"ks-c-5601-1989", "UHC"},
    {"ksc5601", "UHC"},
    {"latin-1", "CP1252"},
    {"latin1", "CP1252"},
    {"latin2", "ISO-8859-2"},
    {"latin9", "ISO-8859-15"},
    {"macintosh", "MACINTOSH"},
    {"ms-kanji", "CP932"},
    {"ms932", "CP932"},
    {"ms936", "GB18030"},
    {"ms949", "UHC"},
    {"shift-jis", "CP932"},
    {"sjis", "CP932"},
    {"tcvn", "TCVN"},
    {"tis-620", "CP874"},
    {"uhc", "UHC"},
    {"unicode-1-1-utf-7", "UTF-7"},
    {"unicode-1-1-utf-8", CHARSET_UTF8},
    {"us-ascii", CHARSET_UTF8},
    {"utf-16", "UTF-16"},
    {"utf-16be", "UTF-16BE"},
    {"utf-16le", "UTF-16LE"},
    {"utf-32", "UTF-32"},
    {"utf-32be", "UTF-32BE"},
    {"utf-32le", "UTF-32LE"},
    {"utf-7", "UTF-7"},
    {"utf-8", CHARSET_UTF8},
    {"utf7", "UTF-7"},
    {"utf8", CHARSET_UTF8},
    {"utf8mb4", CHARSET_UTF8},
    {"viscii", "VISCII"},
    {"windows-1250", "CP1250"},
    {"windows-1251", "CP1251"},
    {"windows-1252", "CP1252"},
    {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},
    {"windows-1255", "CP1255"},
    {"windows-1256", "CP1256"},
    {"windows-1257", "CP1257"},
    {"windows-1258", "CP1258"},
    {"windows-31j", "CP932"},
    {"windows-874", "CP874"},
    {"windows-936", "GB18030"},
    {"windows-949", "UHC"},
    {"windows-950", "BIG5-HKSCS"},
    {"x-big5", "BIG5-HKSCS"},
    {"x-euc-jp", "EUC-JP-MS"},
    {"x-euc-kr", "UHC"},
    {"x-gbk", "GB18030"},
    {"x-mac-roman", "MACINTOSH"},
    {"x-sjis", "CP932"},
    {"x-windows-949", "UHC"},
};

#define NAME_MOST_BYTES 24

static int row_order(const void *key, const void *row)
{
    return strcmp(key, ((const struct charset_row *)row)->name);
}

const char *charset_find(const char *name, size_t length)
{
    char key[NAME_MOST_BYTES];
    while (length && strchr(" \t\"'", *name)) {
        name++;
        length--;
    }
    size_t used = 0;
    for (; used < length && !strchr(" \t\"'*;", name[used]); used++) {
        if (used + 1 == sizeof key)
            return NULL;
        key[used] = name[used] == '_' ? '-' : name[used];
    }
    key[used] = '\0';
    text_lower(key);
    const struct charset_row *row =
        bsearch(key, charset_rows, sizeof charset_rows / sizeof charset_rows[0],
                sizeof charset_rows[0], row_order);
    return row ? row->iconv : NULL;
}

static bool is_first_of_its_kind(size_t row)
{
    const char *name = charset_rows[row].iconv;
    if (strcmp(name, CHARSET_UTF8) == 0)
        return false;
    for (size_t i = 0; i < row; i++)
        if (strcmp(charset_rows[i].iconv, name) == 0)
            return false;
    return true;
}

const char *charset_nth(size_t n)
{
    for (size_t i = 0; i < sizeof charset_rows / sizeof charset_rows[0]; i++)
        if (is_first_of_its_kind(i) && n-- == 0)
            return charset_rows[i].iconv;
    return NULL;
}

uint32_t charset_windows_1252(unsigned char byte)
{
    static const uint16_t high[32] = {
        0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
    };
    return byte >= 0x80 && byte < 0xa0 ? high[byte - 0x80] : byte;
}

size_t charset_put_utf8(uint32_t code, char out[4])
{
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        code = 0xfffd;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00 >> length & 0xff) | code);
    return length;
}

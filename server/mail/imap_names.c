/* imap_names.c - mailbox names (modified UTF-7, RFC 3501 5.1.3) to paths, and roles by name. */
#include "imap.h"
#include "text.h"

#include <iconv.h>
#include <string.h>

#define NAME_BYTES_MAX 4096u
#define SLASH_LIKE     "\xe2\x88\x95" /* U+2215, for a '/' inside a level */

static bool convert(const char *to, const char *from, const char *text, size_t length, char *out,
                    size_t *out_length)
{
    iconv_t converter = iconv_open(to, from);
    if (converter == (iconv_t)-1)
        return false;
    char *in = (char *)(uintptr_t)text; /* iconv's signature; it does not write there */
    size_t left = length, room = *out_length;
    bool good = iconv(converter, &in, &left, &out, &room) == 0 && left == 0 &&
                iconv(converter, NULL, NULL, &out, &room) == 0;
    iconv_close(converter);
    *out_length -= room;
    return good;
}

/* UTF-8 of a level; false when it is no modified UTF-7 that encodes back to the same. */
static bool decode_level(const char *raw, size_t length, char *out, size_t *out_length)
{
    char again[NAME_BYTES_MAX * 4];
    size_t again_length = sizeof again;
    if (!memchr(raw, '&', length)) { /* the common case, and raw UTF-8 */
        memcpy(out, raw, length);
        *out_length = length;
        return text_is_utf8(raw, length);
    }
    return text_is_ascii(raw, length) &&
           convert("UTF-8", "UTF-7-IMAP", raw, length, out, out_length) &&
           convert("UTF-7-IMAP", "UTF-8", out, *out_length, again, &again_length) &&
           again_length == length && memcmp(again, raw, length) == 0;
}

static void put_level(struct buf *path, struct arena *arena, const char *raw, size_t length)
{
    char decoded[NAME_BYTES_MAX * 4];
    size_t decoded_length = sizeof decoded;
    if (length > NAME_BYTES_MAX)
        length = NAME_BYTES_MAX;
    bool good = decode_level(raw, length, decoded, &decoded_length);
    const char *clean = good ? text_clean(arena, decoded, decoded_length, true)
                             : text_clean(arena, raw, length, true);
    if (!*clean)
        buf_char(path, '_'); /* an empty level could not be named in a path */
    for (; *clean; clean++) {
        if (*clean == '/')
            buf_text(path, SLASH_LIKE);
        else
            buf_char(path, *clean);
    }
}

char *imapc_name_path(struct arena *arena, const char *remote, char delimiter)
{
    struct buf path;
    if (text_casecmp(remote, "INBOX") == 0)
        return arena_strdup(arena, "INBOX");
    buf_init(&path, NAME_BYTES_MAX * 8);
    const char *at = remote, *end = remote + strlen(remote);
    if (delimiter && end > remote + 1 && end[-1] == delimiter)
        end--; /* "Mail/" is the folder Mail */
    for (;;) {
        const char *next = delimiter ? memchr(at, delimiter, (size_t)(end - at)) : NULL;
        put_level(&path, arena, at, (size_t)((next ? next : end) - at));
        if (!next)
            break;
        buf_char(&path, '/');
        at = next + 1;
    }
    char *copy = arena_strndup(arena, path.data, text_cut_bytes(path.data, path.length, 4000));
    buf_clear(&path);
    return copy;
}

/* ---- roles, where the server does not tell ---- */

struct role_row {
    enum folder_role role;
    const char *names[40]; /* ASCII letters in any case */
};

static const struct role_row role_rows[] = {
    {ROLE_SENT,
     {"Sent",
      "Sent Items",
      "Sent Messages",
      "Sent Mail",
      "Gesendet",
      "Gesendete Elemente",
      "Gesendete Objekte",
      "Gesendete Nachrichten",
      "Envoy\u00e9s",
      "\u00c9l\u00e9ments envoy\u00e9s",
      "Messages envoy\u00e9s",
      "Enviados",
      "Elementos enviados",
      "Mensajes enviados",
      "Itens enviados",
      "Posta inviata",
      "Inviati",
      "Verzonden",
      "Verzonden items",
      "Skickat",
      "Skickade",
      "Sendt",
      "Sendte elementer",
      "Wys\u0142ane",
      "Elementy wys\u0142ane",
      "Odeslan\u00e9",
      "\u041e\u0442\u043f\u0440\u0430\u0432\u043b\u0435\u043d\u043d\u044b\u0435",
      "\u9001\u4fe1\u6e08\u307f",
      "\u5df2\u53d1\u9001",
      "\u5df2\u53d1\u9001\u90ae\u4ef6"}},
    {ROLE_DRAFTS,
     {"Drafts", "Draft", "Entw\u00fcrfe", "Brouillons", "Borradores", "Rascunhos", "Bozze",
      "Concepten", "Utkast", "Kladder", "Kladde", "Szkice", "Wersje robocze", "Koncepty",
      "\u0427\u0435\u0440\u043d\u043e\u0432\u0438\u043a\u0438", "\u4e0b\u66f8\u304d",
      "\u8349\u7a3f", "\u8349\u7a3f\u7bb1"}},
    {ROLE_TRASH,
     {"Trash",
      "Deleted Items",
      "Deleted Messages",
      "Deleted",
      "Bin",
      "Papierkorb",
      "Gel\u00f6scht",
      "Gel\u00f6schte Elemente",
      "Gel\u00f6schte Objekte",
      "Corbeille",
      "\u00c9l\u00e9ments supprim\u00e9s",
      "Papelera",
      "Elementos eliminados",
      "Lixeira",
      "Lixo",
      "Itens exclu\u00eddos",
      "Cestino",
      "Posta eliminata",
      "Prullenbak",
      "Verwijderde items",
      "Papperskorgen",
      "Borttaget",
      "Papirkurv",
      "Slettede elementer",
      "Kosz",
      "Elementy usuni\u0119te",
      "Ko\u0161",
      "\u041a\u043e\u0440\u0437\u0438\u043d\u0430",
      "\u0423\u0434\u0430\u043b\u0435\u043d\u043d\u044b\u0435",
      "\u3054\u307f\u7bb1",
      "\u5df2\u5220\u9664",
      "\u5df2\u5220\u9664\u90ae\u4ef6"}},
    {ROLE_JUNK,
     {"Junk",
      "Spam",
      "Junk E-mail",
      "Junk Email",
      "Junk Mail",
      "Bulk Mail",
      "Junk-E-Mail",
      "Werbung",
      "Ind\u00e9sirables",
      "Courrier ind\u00e9sirable",
      "Pourriel",
      "Correo no deseado",
      "No deseado",
      "Lixo Eletr\u00f4nico",
      "Posta indesiderata",
      "Ongewenste e-mail",
      "Ongewenst",
      "Skr\u00e4ppost",
      "S\u00f8ppelpost",
      "U\u00f8nsket mail",
      "Wiadomo\u015bci-\u015bmieci",
      "Nevy\u017e\u00e1dan\u00e1 po\u0161ta",
      "\u0421\u043f\u0430\u043c",
      "\u8ff7\u60d1\u30e1\u30fc\u30eb",
      "\u5783\u573e\u90ae\u4ef6"}},
    {ROLE_ARCHIVE,
     {"Archive", "Archives", "Archiv", "Archivo", "Arquivo", "Archivio", "Archief", "Arkiv",
      "Archiwum", "\u0410\u0440\u0445\u0438\u0432", "\u30a2\u30fc\u30ab\u30a4\u30d6",
      "\u5b58\u6863"}},
};

enum folder_role imapc_name_role(const char *path)
{
    for (size_t i = 0; i < sizeof role_rows / sizeof *role_rows; i++)
        for (const char *const *name = role_rows[i].names; *name; name++)
            if (text_casecmp(path, *name) == 0)
                return role_rows[i].role;
    return ROLE_NONE;
}

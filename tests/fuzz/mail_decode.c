/* mail_decode.c - the bytes of a mail through everything that decodes them. The first byte chooses
 * what, the second how; the rest is the mail's. Whatever comes out must be what decode.h promises,
 * and must not depend on how the input was cut. */
#include "decode.h"
#include "imap.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define CPU_MS_MAX 250
#define BYTES_MAX  (64u << 20)
#define OUT_MAX    (16u << 20)

/* Names that mail declares, and some that only an attacker does. */
static const char *const charsets[] = {
    NULL,     "utf-8",    "us-ascii",   "iso-8859-1",  "windows-1252", "utf-7",
    "utf-16", "utf-16le", "utf-32",     "iso-2022-jp", "iso-2022-kr",  "iso-2022-cn",
    "gb2312", "gb18030",  "hz-gb-2312", "big5",        "euc-jp",       "shift_jis",
    "euc-kr", "koi8-r",   "x-unknown",  "utf-16be",    "windows-1258"};
static const char *const encodings[] = {"7bit", "base64", "quoted-printable", "x-uuencode"};
#define PICK(table, how) ((table)[(how) % (sizeof(table) / sizeof *(table))])

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool kept)
{
    if (!kept)
        abort();
}

static void must_be_clean(const char *text)
{
    size_t length = text ? strlen(text) : 0;
    must(text_is_utf8(text, length));
    for (size_t i = 0; i < length; i++)
        must((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

static enum err collect(struct header_sink *sink, const char *name, const char *value)
{
    (void)sink;
    must_be_clean(name);
    must_be_clean(value);
    must(strlen(value) <= BACKEND_HEADER_VALUE_BYTES_MAX);
    return OK;
}

static void try_text(struct arena *arena, struct decode_budget *budget, uint8_t how,
                     const char *raw, size_t size)
{
    int64_t date_s;
    (void)how;
    const char *text = decode_text(arena, budget, raw, size);
    must_be_clean(text);
    must(strlen(text) <= BACKEND_HEADER_VALUE_BYTES_MAX);
    must_be_clean(decode_file_name(arena, text));
    (void)decode_date(raw, size, &date_s);
}

static void try_addresses(struct arena *arena, struct decode_budget *budget, uint8_t how,
                          const char *raw, size_t size)
{
    struct address_list list;
    (void)how;
    decode_addresses(arena, budget, raw, size, &list);
    must(list.count <= BACKEND_ADDRESSES_MAX);
    for (uint32_t i = 0; i < list.count; i++) {
        must_be_clean(list.items[i].name);
        must_be_clean(list.items[i].email);
        must_be_clean(list.items[i].group);
    }
}

static void try_ids(struct arena *arena, struct decode_budget *budget, uint8_t how, const char *raw,
                    size_t size)
{
    struct string_list ids;
    (void)how;
    decode_message_ids(arena, budget, raw, size, &ids);
    must(ids.count <= BACKEND_MESSAGE_IDS_MAX);
    for (uint32_t i = 0; i < ids.count; i++)
        must_be_clean(ids.items[i]);
}

/* Lines "name=value". */
static void try_parameters(struct arena *arena, struct decode_budget *budget, uint8_t how,
                           const char *raw, size_t size)
{
    static const char *const names[] = {"filename", "name", "charset"};
    struct imapc_parameters list = {.count = 0};
    const char *end = raw + size;
    while (raw < end) {
        const char *feed = memchr(raw, '\n', (size_t)(end - raw));
        const char *line_end = feed ? feed : end;
        const char *equals = memchr(raw, '=', (size_t)(line_end - raw));
        if (equals) {
            size_t length = (size_t)(line_end - equals - 1);
            imapc_parameters_add(&list, arena_strndup(arena, raw, (size_t)(equals - raw)),
                                 arena_strndup(arena, equals + 1, length), length);
        }
        raw = feed ? feed + 1 : end;
    }
    const char *value = decode_parameter(arena, budget, list.items, list.count, PICK(names, how));
    must_be_clean(value);
    const char *name = decode_file_name(arena, value);
    must_be_clean(name);
    must(!name || (*name && strlen(name) <= 255 && !strpbrk(name, "/\\")));
}

static void try_headers(struct arena *arena, struct decode_budget *budget, uint8_t how,
                        const char *raw, size_t size)
{
    struct header_sink sink = {.header = collect};
    (void)arena;
    (void)how;
    must(decode_headers(budget, raw, size, &sink) == OK);
}

/* The text of a part, as it is served; `first` bytes in one write, the rest in another. */
static void feed(uint8_t how, const char *raw, size_t size, size_t first, struct buf *out)
{
    struct buf_sink end;
    struct decode_chain *chain = decode_chain_new();
    buf_init(out, OUT_MAX);
    buf_sink_init(&end, out);
    struct sink *sink = how & 0x80 ? decode_html(chain, &end.sink) : &end.sink;
    sink = decode_charset(chain, PICK(charsets, how & 0x1f), sink);
    sink = decode_transfer(chain, PICK(encodings, how >> 5), sink);
    if (sink_write(sink, raw, first) == OK && sink_write(sink, raw + first, size - first) == OK)
        (void)sink_finish(sink);
    decode_chain_free(&chain);
}

static void try_content(struct arena *arena, struct decode_budget *budget, uint8_t how,
                        const char *raw, size_t size)
{
    struct buf whole, cut;
    (void)arena;
    (void)budget;
    feed(how, raw, size, size, &whole);
    feed(how, raw, size, size ? (unsigned char)raw[size / 2] % size : 0, &cut);
    must(whole.length == cut.length);
    must(whole.length == 0 || memcmp(whole.data, cut.data, whole.length) == 0);
    must(text_is_utf8(whole.data ? whole.data : "", whole.length));
    must(whole.length == 0 || !memchr(whole.data, '\0', whole.length));
    buf_clear(&whole);
    buf_clear(&cut);
}

static void try_preview(struct arena *arena, struct decode_budget *budget, uint8_t how,
                        const char *raw, size_t size)
{
    const char *text =
        decode_preview(arena, budget, how & 0x80 ? "text/html" : "text/plain",
                       PICK(charsets, how & 0x1f), PICK(encodings, how >> 5), raw, size);
    must_be_clean(text);
    must(text_cut_chars(text, strlen(text), BACKEND_PREVIEW_CHARS_MAX) == strlen(text));
}

/* A charset's name is the mail's too. */
static void try_charset_name(struct arena *arena, struct decode_budget *budget, uint8_t how,
                             const char *raw, size_t size)
{
    struct buf word;
    size_t name = how < size ? how : size;
    must_be_clean(decode_preview(arena, budget, "text/plain", arena_strndup(arena, raw, name),
                                 "8bit", raw + name, size - name));
    buf_init(&word, 1 << 20);
    buf_text(&word, "=?");
    buf_append(&word, raw, name);
    buf_text(&word, "?q?");
    buf_append(&word, raw + name, size - name);
    buf_text(&word, "?=");
    must_be_clean(decode_text(arena, budget, word.data, word.length));
    buf_clear(&word);
}

/* What a mail makes the mail server say of its structure, whole and cut. */
static void try_structure(struct arena *arena, struct decode_budget *budget, uint8_t how,
                          const char *raw, size_t size)
{
    struct message message = {0};
    struct imapc_structure structure = {
        .text = {raw, size}, .is_cut = how & 1, .depth_max = 100, .parts_max = 1 + how};
    if (!imapc_structure_salvage(arena, budget, &structure, &message))
        return;
    must(message.part_count >= 1 && message.part_count <= structure.parts_max);
    for (uint32_t i = 0; i < message.part_count; i++) {
        const struct part *part = &message.parts[i];
        must(part->id && part->type && part->parent < (int32_t)i);
        must_be_clean(part->id);
        must_be_clean(part->type);
        must_be_clean(part->charset);
        must_be_clean(part->name);
        must_be_clean(part->disposition);
        must_be_clean(part->content_id);
        must_be_clean(part->encoding);
    }
}

static void (*const doors[])(struct arena *, struct decode_budget *, uint8_t, const char *,
                             size_t) = {
    try_text,    try_addresses, try_ids,          try_parameters, try_headers,
    try_content, try_preview,   try_charset_name, try_structure,
};

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count;
    (void)words;
    backend_init();
    backend_preload();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct decode_budget budget;
    if (size < 2)
        return 0;
    char *raw = malloc(size - 2 ? size - 2 : 1); /* nothing behind its end may be read */
    if (!raw)
        return 0;
    memcpy(raw, data + 2, size - 2);
    arena_init(&arena);
    decode_budget_begin(&budget, &arena, CPU_MS_MAX, BYTES_MAX);
    PICK(doors, data[0])(&arena, &budget, data[1], raw, size - 2);
    arena_clear(&arena);
    free(raw);
    return 0;
}

/* decode_preview.c - the first words somebody wrote, from the first bytes of a text part.
 *
 * The bytes are cut anywhere, so the chain is never finished: what a sink holds back at the cut is
 * the beginning of something whose rest we have not seen. */
#include "decode_private.h"
#include "text.h"

#include <string.h>

#define TEXT_MOST_BYTES (32u * 1024u)
#define RAW_MOST_BYTES  (256u * 1024u)
#define RAW_STEP_BYTES  4096u

struct line {
    const char *at;
    size_t length;
};

static char *preview_text(struct arena *arena, struct decode_budget *budget, bool html,
                          const char *charset, const char *encoding, const char *raw, size_t length)
{
    struct buf text;
    struct buf_sink end;
    struct range_sink first;
    struct decode_chain *chain = decode_chain_new();
    buf_init(&text, TEXT_MOST_BYTES);
    buf_sink_init(&end, &text);
    range_sink_init(&first, &end.sink, 0, TEXT_MOST_BYTES - 1);
    struct sink *sink = html ? decode_html(chain, &first.sink) : &first.sink;
    sink = decode_transfer(chain, encoding, decode_charset(chain, charset, sink));
    size_t left = length < RAW_MOST_BYTES ? length : RAW_MOST_BYTES;
    while (left && decode_budget_spend(budget, RAW_STEP_BYTES)) {
        size_t step = left < RAW_STEP_BYTES ? left : RAW_STEP_BYTES;
        if (sink_write(sink, raw, step))
            break; /* enough */
        raw += step;
        left -= step;
    }
    char *copy = arena_strndup(arena, text.data ? text.data : "", text.length);
    buf_clear(&text);
    decode_chain_free(&chain);
    return copy;
}

static struct line line_take(const char **at)
{
    struct line line = {*at, strcspn(*at, "\n")};
    *at += line.length + (line.at[line.length] == '\n');
    while (line.length && strchr(" \t", line.at[line.length - 1]))
        line.length--;
    while (line.length && strchr(" \t", *line.at)) {
        line.at++;
        line.length--;
    }
    return line;
}

static bool is_quoted(const struct line *line)
{
    return line->length && *line->at == '>';
}

/* "On Monday, A wrote:", in the tongues most mailers speak: a line ending with a colon ... */
static bool may_attribute(const struct line *line)
{
    return line->length > 1 && line->length < 300 && line->at[line->length - 1] == ':';
}

/* ... before a quoted one. It may be folded over two lines. */
static bool is_attribution(const struct line *line, const char *rest)
{
    struct line next = line_take(&rest);
    if (!may_attribute(line)) {
        if (!may_attribute(&next) ||
            !(text_starts_case(line->at, "on ") || text_starts_case(line->at, "am ") ||
              text_starts_case(line->at, "le ")))
            return false;
        next = line_take(&rest);
    }
    while (next.length == 0 && *rest)
        next = line_take(&rest);
    return is_quoted(&next);
}

static bool ends_text(const struct line *line, const char *next)
{
    bool dashes = line->length == 2 && memcmp(line->at, "--", 2) == 0;
    /* RFC 3676 4.3 wants the blank behind the dashes; mailers that fold white space lose it. */
    if (dashes && (line->at[2] == ' ' || *next))
        return true;
    return text_starts_case(line->at, "-----Original Message-----");
}

/* Characters that newsletters pad previews with. Joiners count only between two letters. */
enum look { LOOK_PLAIN, LOOK_BLANK, LOOK_NOTHING, LOOK_JOINER };

struct look_row {
    uint32_t first, last;
    enum look look;
};

static const struct look_row looks[] = {
    {0x0000, 0x0020, LOOK_BLANK},   {0x007f, 0x009f, LOOK_NOTHING}, {0x00a0, 0x00a0, LOOK_BLANK},
    {0x00ad, 0x00ad, LOOK_NOTHING}, {0x034f, 0x034f, LOOK_NOTHING}, {0x061c, 0x061c, LOOK_NOTHING},
    {0x115f, 0x1160, LOOK_NOTHING}, {0x1680, 0x1680, LOOK_BLANK},   {0x17b4, 0x17b5, LOOK_NOTHING},
    {0x180e, 0x180e, LOOK_NOTHING}, {0x2000, 0x200a, LOOK_BLANK},   {0x200b, 0x200b, LOOK_NOTHING},
    {0x200c, 0x200d, LOOK_JOINER},  {0x200e, 0x200f, LOOK_NOTHING}, {0x2028, 0x2029, LOOK_BLANK},
    {0x202a, 0x202e, LOOK_NOTHING}, {0x202f, 0x202f, LOOK_BLANK},   {0x205f, 0x205f, LOOK_BLANK},
    {0x2060, 0x206f, LOOK_NOTHING}, {0x2800, 0x2800, LOOK_BLANK},   {0x3000, 0x3000, LOOK_BLANK},
    {0x3164, 0x3164, LOOK_NOTHING}, {0xfeff, 0xfeff, LOOK_NOTHING}, {0xffa0, 0xffa0, LOOK_NOTHING},
};

static enum look look_of(uint32_t code)
{
    for (size_t i = 0; i < sizeof looks / sizeof looks[0] && looks[i].first <= code; i++)
        if (code <= looks[i].last)
            return looks[i].look;
    return LOOK_PLAIN;
}

/* The text is valid UTF-8. */
static uint32_t take_code(const char **at)
{
    const unsigned char *byte = (const unsigned char *)*at;
    uint32_t code = byte[0] < 0x80   ? byte[0]
                    : byte[0] < 0xe0 ? byte[0] & 0x1f
                    : byte[0] < 0xf0 ? byte[0] & 0x0f
                                     : byte[0] & 0x07;
    for (byte++; (*byte & 0xc0) == 0x80; byte++)
        code = code << 6 | (*byte & 0x3f);
    *at = (const char *)byte;
    return code;
}

struct squeezing {
    char *out;
    size_t length, chars;
    bool blank;
    uint32_t joiner;
};

static void squeeze(struct squeezing *to, uint32_t code)
{
    switch (look_of(code)) {
    case LOOK_BLANK:
        to->blank = true;
        to->joiner = 0;
        return;
    case LOOK_JOINER: to->joiner = to->joiner || to->blank || !to->chars ? 0 : code; return;
    case LOOK_NOTHING: return;
    case LOOK_PLAIN: break;
    }
    uint32_t before = to->joiner ? to->joiner : to->blank && to->chars ? ' ' : 0;
    to->joiner = 0;
    to->blank = false;
    if (to->chars + (before != 0) + 1 > BACKEND_PREVIEW_CHARS_MAX) {
        to->chars = BACKEND_PREVIEW_CHARS_MAX;
        return;
    }
    if (before) {
        to->length += charset_put_utf8(before, to->out + to->length);
        to->chars++;
    }
    to->length += charset_put_utf8(code, to->out + to->length);
    to->chars++;
}

char *decode_preview(struct arena *arena, struct decode_budget *budget, const char *type,
                     const char *charset, const char *encoding, const char *raw, size_t length)
{
    struct arena scratch;
    bool html = type && text_casecmp(type, "text/html") == 0;
    struct squeezing to = {.out = arena_alloc(arena, BACKEND_PREVIEW_CHARS_MAX * 4 + 8)};
    if (!type || !text_starts_case(type, "text/"))
        return to.out;
    arena_init(&scratch);
    char *text = preview_text(&scratch, budget, html, charset, encoding, raw, length);
    /* A range that ends within a character leaves a piece of it. */
    const char *at = text_clean(&scratch, text, strlen(text), false);
    while (*at && to.chars < BACKEND_PREVIEW_CHARS_MAX) {
        struct line line = line_take(&at);
        if (is_quoted(&line) || is_attribution(&line, at))
            continue;
        if (ends_text(&line, at))
            break;
        for (const char *byte = line.at; byte < line.at + line.length;)
            squeeze(&to, take_code(&byte));
        to.blank = true;
    }
    arena_clear(&scratch);
    return to.out;
}

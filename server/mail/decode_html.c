/* decode_html.c - HTML to plain text as it flows by: a tokenizer without a tree.
 *
 * It knows what a reader sees: which elements end lines, whose content is not text, where white
 * space counts. It does not repair nesting and forgets every tag at once, so its state is one small
 * struct whatever the input. Fed byte by byte; the layout is html_layout.c's. */
#include "decode_private.h"
#include "html_layout.h"
#include "text.h"

#include <string.h>

#define TAG_MOST_BYTES    16 /* a longer name is none we know */
#define ENTITY_MOST_BYTES 32

enum state {
    IN_TEXT,
    IN_ENTITY,
    TAG_BEGIN,    /* < */
    TAG_NAME,     /* <x or </x */
    TAG_INSIDE,   /* attributes */
    VALUE_BEGIN,  /* behind the = of one */
    VALUE_QUOTED, /* a > in here ends nothing */
    VALUE_BARE,
    MARKUP,       /* <! */
    COMMENT_DASH, /* <!- */
    COMMENT,
    CDATA,
    BOGUS,     /* <!doctype, <?xml, </3: up to the next > */
    RAW,       /* inside <script>: up to its end tag, and nothing else counts */
    RAW_BEGIN, /* < in it */
    RAW_END,   /* </ in it, its name being compared */
    STATES
};

struct html {
    struct sink sink;
    struct html_layout layout;
    enum state state;
    bool closing, slash; /* </x ; <x / */
    char quote;
    size_t name_length, matched;
    char name[TAG_MOST_BYTES + 1];
    char raw_name[TAG_MOST_BYTES + 1]; /* whose content is being skipped */
    size_t entity_length;
    char entity[ENTITY_MOST_BYTES];
    char last[2]; /* the last two bytes, for --> and ]]> */
};

typedef enum err (*step_fn)(struct html *, char);

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

/* ---- entities ---- */
static uint32_t entity_number(const char *text, size_t length)
{
    bool hex = length && (*text == 'x' || *text == 'X');
    uint32_t code = 0, base = hex ? 16 : 10;
    if (hex) {
        text++;
        length--;
    }
    if (length == 0)
        return 0;
    for (size_t i = 0; i < length; i++) {
        char byte = (char)(text[i] | 0x20);
        uint32_t digit = text[i] >= '0' && text[i] <= '9' ? (uint32_t)(text[i] - '0')
                         : byte >= 'a' && byte <= 'f'     ? (uint32_t)(byte - 'a' + 10)
                                                          : 99;
        if (digit >= base)
            return 0;
        code = code > 0x10ffff ? code : code * base + digit;
    }
    /* HTML 13.2.5.80: numbers from 128 to 159 mean windows-1252. */
    return code >= 0x80 && code < 0xa0 ? charset_windows_1252((unsigned char)code)
           : code == 0                 ? 0xfffd
                                       : code;
}

/* What stands behind & is complete: its character, or all of it as it is. */
static enum err entity_give(struct html *self, bool semicolon)
{
    const char *text = self->entity;
    size_t length = self->entity_length;
    uint32_t code = length && text[0] == '#' ? entity_number(text + 1, length - 1)
                                             : html_entity_find(text, length);
    self->state = IN_TEXT;
    if (code)
        return html_layout_code(&self->layout, code);
    enum err err = html_layout_byte(&self->layout, '&');
    for (size_t i = 0; i < length && !err; i++)
        err = html_layout_byte(&self->layout, text[i]);
    return !err && semicolon ? html_layout_byte(&self->layout, ';') : err;
}

static enum err in_text(struct html *self, char byte)
{
    if (byte == '<') {
        self->state = TAG_BEGIN;
        return OK;
    }
    if (byte == '&') {
        self->state = IN_ENTITY;
        self->entity_length = 0;
        return OK;
    }
    return html_layout_byte(&self->layout, byte);
}

static enum err in_entity(struct html *self, char byte)
{
    bool name = is_letter(byte) || (byte >= '0' && byte <= '9') ||
                (byte == '#' && self->entity_length == 0);
    if (name && self->entity_length < sizeof self->entity) {
        self->entity[self->entity_length++] = byte;
        return OK;
    }
    enum err err = entity_give(self, byte == ';');
    return err || byte == ';' ? err : in_text(self, byte);
}

/* ---- tags ---- */
/* Elements whose content is no text of the message. */
static bool is_raw(const char *name)
{
    static const char *const names[] = {"script",   "style",   "title",  "iframe",
                                        "noframes", "noembed", "object", "template"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static enum err tag_end(struct html *self)
{
    self->state = IN_TEXT;
    self->name[self->name_length] = '\0';
    if (self->name_length == TAG_MOST_BYTES)
        return OK;
    text_lower(self->name);
    if (!self->closing && !self->slash && is_raw(self->name)) {
        memcpy(self->raw_name, self->name, sizeof self->name);
        self->state = RAW;
    }
    return html_layout_tag(&self->layout, self->name, self->closing);
}

static enum err tag_begin(struct html *self, char byte)
{
    if (byte == '!' || byte == '?') {
        self->state = byte == '!' ? MARKUP : BOGUS;
        self->name_length = 0;
        return OK;
    }
    if (byte == '/' && !self->closing) {
        self->closing = true;
        return OK;
    }
    bool closing = self->closing;
    self->closing = false;
    if (is_letter(byte)) {
        self->state = TAG_NAME;
        self->closing = closing;
        self->slash = false;
        self->name_length = 1;
        self->name[0] = byte;
        return OK;
    }
    if (closing) { /* "</>" is nothing, "</3>" a comment (HTML 13.2.5.7) */
        self->state = byte == '>' ? IN_TEXT : BOGUS;
        return OK;
    }
    self->state = IN_TEXT; /* "a < b" */
    enum err err = html_layout_byte(&self->layout, '<');
    return err ? err : in_text(self, byte);
}

static enum err tag_inside(struct html *self, char byte)
{
    if (byte == '>') {
        enum err err = tag_end(self);
        self->closing = false;
        return err;
    }
    if (!is_blank(byte))
        self->slash = byte == '/';
    if (byte == '=')
        self->state = VALUE_BEGIN;
    return OK;
}

static enum err tag_name(struct html *self, char byte)
{
    if (is_blank(byte) || byte == '/' || byte == '>') {
        self->state = TAG_INSIDE;
        return tag_inside(self, byte);
    }
    if (self->name_length < TAG_MOST_BYTES)
        self->name[self->name_length++] = byte;
    return OK;
}

static enum err value_begin(struct html *self, char byte)
{
    if (is_blank(byte))
        return OK;
    if (byte == '"' || byte == '\'') {
        self->quote = byte;
        self->state = VALUE_QUOTED;
        return OK;
    }
    self->state = byte == '>' ? TAG_INSIDE : VALUE_BARE;
    return byte == '>' ? tag_inside(self, byte) : OK;
}

static enum err value_quoted(struct html *self, char byte)
{
    if (byte == self->quote)
        self->state = TAG_INSIDE;
    return OK;
}

static enum err value_bare(struct html *self, char byte)
{
    if (byte != '>' && !is_blank(byte))
        return OK;
    self->state = TAG_INSIDE;
    return tag_inside(self, byte);
}

/* ---- what is no text at all ---- */
static enum err bogus(struct html *self, char byte)
{
    if (byte == '>')
        self->state = IN_TEXT;
    return OK;
}

static enum err markup(struct html *self, char byte)
{
    static const char word[] = "[CDATA[";
    if (byte == '-' && self->name_length == 0) {
        self->state = COMMENT_DASH;
        return OK;
    }
    if (byte != word[self->name_length]) {
        self->state = BOGUS;
        return bogus(self, byte);
    }
    if (++self->name_length == sizeof word - 1) {
        self->state = CDATA;
        memset(self->last, 0, sizeof self->last);
    }
    return OK;
}

static enum err comment_dash(struct html *self, char byte)
{
    self->state = byte == '-' ? COMMENT : BOGUS;
    memset(self->last, '-', sizeof self->last); /* "<!-->" is a whole comment */
    return byte == '-' ? OK : bogus(self, byte);
}

/* Ends at a > behind two of `mark`. A --!> ends a comment too. */
static enum err skip_until(struct html *self, char byte, char mark)
{
    if (byte == '>' && self->last[0] == mark && self->last[1] == mark)
        self->state = IN_TEXT;
    if (byte == '!' && mark == '-' && self->last[0] == '-' && self->last[1] == '-')
        return OK; /* leaves the dashes standing for a > that follows */
    self->last[0] = self->last[1];
    self->last[1] = byte;
    return OK;
}

static enum err comment(struct html *self, char byte)
{
    return skip_until(self, byte, '-');
}

static enum err cdata(struct html *self, char byte)
{
    return skip_until(self, byte, ']');
}

static enum err raw(struct html *self, char byte)
{
    if (byte == '<')
        self->state = RAW_BEGIN;
    return OK;
}

static enum err raw_begin(struct html *self, char byte)
{
    self->state = byte == '/' ? RAW_END : byte == '<' ? RAW_BEGIN : RAW;
    self->matched = 0;
    return OK;
}

static enum err raw_end(struct html *self, char byte)
{
    char expected = self->raw_name[self->matched];
    char lower = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    if (expected && lower == expected) {
        self->matched++;
        return OK;
    }
    if (expected || !(is_blank(byte) || byte == '/' || byte == '>')) {
        self->state = RAW;
        return raw(self, byte);
    }
    self->name_length = self->matched;
    memcpy(self->name, self->raw_name, sizeof self->name);
    self->closing = true;
    self->state = TAG_INSIDE;
    return tag_inside(self, byte);
}

static const step_fn steps[STATES] = {
    [IN_TEXT] = in_text,
    [IN_ENTITY] = in_entity,
    [TAG_BEGIN] = tag_begin,
    [TAG_NAME] = tag_name,
    [TAG_INSIDE] = tag_inside,
    [VALUE_BEGIN] = value_begin,
    [VALUE_QUOTED] = value_quoted,
    [VALUE_BARE] = value_bare,
    [MARKUP] = markup,
    [COMMENT_DASH] = comment_dash,
    [COMMENT] = comment,
    [CDATA] = cdata,
    [BOGUS] = bogus,
    [RAW] = raw,
    [RAW_BEGIN] = raw_begin,
    [RAW_END] = raw_end,
};

/* ---- the sink ---- */
static enum err html_write(struct sink *sink, const void *data, size_t length)
{
    struct html *self = (struct html *)sink;
    const char *at = data;
    enum err err = OK;
    for (size_t i = 0; i < length && !err; i++)
        err = steps[self->state](self, at[i]);
    return err ? err : html_layout_flush(&self->layout);
}

static enum err html_finish(struct sink *sink)
{
    struct html *self = (struct html *)sink;
    enum err err = OK;
    if (self->state == IN_ENTITY)
        err = entity_give(self, false);
    else if (self->state == TAG_BEGIN && !self->closing)
        err = html_layout_byte(&self->layout, '<');
    if (!err)
        err = html_layout_end(&self->layout);
    return err ? err : sink_finish(self->layout.next);
}

struct sink *decode_html(struct decode_chain *chain, struct sink *next)
{
    struct html *self = decode_chain_own(chain, sizeof *self, NULL);
    self->sink = (struct sink){.write = html_write, .finish = html_finish};
    self->layout.next = next;
    return &self->sink;
}

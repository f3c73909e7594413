/* html_layout.c - plain text out of the pieces of an HTML mail. White space is owed, and paid only
 * when text follows, so that nothing begins or ends with it. */
#include "html_layout.h"
#include "decode_private.h"

#include <string.h>

#define LINES_MOST 2u  /* outside <pre>: one blank line between paragraphs */
#define PRE_MOST   64u /* deeper nesting is not counted */

struct block_row {
    const char *name;
    unsigned lines; /* line ends before and after */
};

static const struct block_row blocks[] = {
    {"p", 2},       {"div", 1},     {"tr", 1},         {"li", 1},      {"h1", 2},
    {"h2", 2},      {"h3", 2},      {"h4", 2},         {"h5", 2},      {"h6", 2},
    {"table", 1},   {"ul", 1},      {"ol", 1},         {"dl", 1},      {"dt", 1},
    {"dd", 1},      {"pre", 1},     {"blockquote", 2}, {"hr", 1},      {"center", 1},
    {"section", 1}, {"article", 1}, {"header", 1},     {"footer", 1},  {"address", 1},
    {"form", 1},    {"body", 1},    {"figure", 1},     {"caption", 1}, {"fieldset", 1},
    {"main", 1},    {"nav", 1},     {"aside", 1},      {"option", 1},  {"thead", 1},
    {"tbody", 1},
};

enum err html_layout_flush(struct html_layout *self)
{
    size_t length = self->out_length;
    self->out_length = 0;
    return sink_write(self->next, self->out, length);
}

static enum err put(struct html_layout *self, char byte)
{
    self->out[self->out_length++] = byte;
    return self->out_length == sizeof self->out ? html_layout_flush(self) : OK;
}

/* Pays what is owed; a character follows. */
static enum err settle(struct html_layout *self)
{
    enum err err = OK;
    if (self->begun) {
        for (; self->lines && !err; self->lines--) {
            err = put(self, '\n');
            self->blank = false;
        }
        if (self->blank && !err)
            err = put(self, ' ');
    }
    self->lines = 0;
    self->blank = false;
    self->begun = true;
    if (self->item && !err) {
        self->item = false;
        err = put(self, '-');
        err = err ? err : put(self, ' ');
    }
    return err;
}

static enum err character(struct html_layout *self, const char *text, size_t length)
{
    enum err err = settle(self);
    for (size_t i = 0; i < length && !err; i++)
        err = put(self, text[i]);
    return err;
}

static enum err white_space(struct html_layout *self, char byte)
{
    if (!self->pre) {
        self->blank = true;
        return OK;
    }
    if (byte == '\n') {
        self->blank = false;
        if (self->lines < PRE_MOST)
            self->lines++;
        return OK;
    }
    return byte == '\r' ? OK : character(self, &byte, 1);
}

enum err html_layout_byte(struct html_layout *self, char byte)
{
    if (self->held_c2) {
        self->held_c2 = false;
        if ((unsigned char)byte == 0xa0)
            return white_space(self, ' ');
        enum err err = character(self, "\xc2", 1);
        return err ? err : put(self, byte);
    }
    if ((unsigned char)byte == 0xc2) {
        self->held_c2 = true;
        return OK;
    }
    if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f')
        return white_space(self, byte);
    return character(self, &byte, 1);
}

enum err html_layout_code(struct html_layout *self, uint32_t code)
{
    char text[4];
    if (code == 0xa0 || code == ' ' || (code >= '\t' && code <= '\r'))
        return white_space(self, code == '\n' ? '\n' : ' ');
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
        return OK;
    return character(self, text, charset_put_utf8(code, text));
}

static void owe_lines(struct html_layout *self, unsigned lines)
{
    if (self->lines < lines)
        self->lines = lines;
    self->blank = false;
}

enum err html_layout_tag(struct html_layout *self, const char *name, bool closing)
{
    if (strcmp(name, "br") == 0) {
        if (self->lines < LINES_MOST)
            self->lines++;
        self->blank = false;
        return OK;
    }
    if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0) {
        self->blank = true;
        return OK;
    }
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (strcmp(name, blocks[i].name) == 0)
            owe_lines(self, blocks[i].lines);
    if (strcmp(name, "li") == 0)
        self->item = !closing;
    if (strcmp(name, "pre") == 0) {
        if (closing && self->pre)
            self->pre--;
        else if (!closing && self->pre < PRE_MOST)
            self->pre++;
    }
    return OK;
}

enum err html_layout_end(struct html_layout *self)
{
    enum err err = OK;
    if (self->held_c2)
        err = character(self, "\xef\xbf\xbd", 3);
    return err ? err : html_layout_flush(self);
}

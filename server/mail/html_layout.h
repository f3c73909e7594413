/* html_layout.h - where the text of an HTML mail goes: white space folded, blocks on lines of their
 * own. For decode_html.c only. */
#ifndef POSTERN_HTML_LAYOUT_H
#define POSTERN_HTML_LAYOUT_H

#include "sink.h"

#include <stdbool.h>
#include <stdint.h>

struct html_layout {
    struct sink *next; /* borrowed */
    bool begun;        /* something was written: no blank lines at the very beginning */
    bool blank;        /* white space wants to stand before the next character */
    unsigned lines;    /* so many line ends do */
    unsigned pre;      /* depth of <pre> */
    bool item;         /* a list item begins */
    bool held_c2;      /* the first byte of what may be a no-break space */
    size_t out_length;
    char out[2048];
};

enum err html_layout_byte(struct html_layout *self, char byte); /* of UTF-8 text */
enum err html_layout_code(struct html_layout *self, uint32_t code);
enum err html_layout_tag(struct html_layout *self, const char *name, bool closing);
enum err html_layout_flush(struct html_layout *self);
enum err html_layout_end(struct html_layout *self);

#endif

/* message_text.h - the text and the headers of a message, read in a step that has a connection. */
#ifndef POSTERN_API_MESSAGE_TEXT_H
#define POSTERN_API_MESSAGE_TEXT_H

#include "request.h"

/* {"value","truncated","charset"} of the part, at most maxBytes; further members may follow: the
 * object is left open. */
enum err text_put_open(struct buf *out, struct request *request, const struct part *part,
                       enum read_mode mode);

struct header_line_list {
    struct header_line_item {
        const char *name, *value;
        struct header_line_item *next;
    } * first, **end;
    uint32_t limited; /* enum message_limit */
};
enum err headers_read(struct request *request, struct header_line_list *out);
void headers_put(struct buf *out, const struct header_line_list *list);
/* The values of one header, in order. */
void headers_put_values(struct buf *out, const struct header_line_list *list, const char *name);

#endif

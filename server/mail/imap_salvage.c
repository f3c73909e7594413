/* imap_salvage.c - a BODYSTRUCTURE that libetpan refuses, read as far as it makes sense.
 *
 * Servers get optional fields wrong more often than the tree: a message/rfc822 with NIL for an
 * envelope, a text without its line count, numbers for strings. Here only the shape counts: a list
 * that begins with a list is a multipart, any other is a leaf whose first seven fields stand in
 * order, and a disposition is a list that begins with its name.
 */
#include "imap.h"

#include <string.h>

#define FIELDS_MAX 16u
#define LEVELS_MAX 32u

struct leaf_fields {
    struct imapc_span spans[FIELDS_MAX];
    uint32_t count;
};

static struct imapc_span inside(struct imapc_span list)
{
    return (struct imapc_span){list.text + 1, list.length - 2};
}

static bool is_list(struct imapc_span value)
{
    return value.length >= 2 && value.text[0] == '(';
}

static char *text_at(struct arena *arena, struct imapc_span value)
{
    struct imapc_scan scan = imapc_scan_of(value, 1);
    struct imapc_token token;
    size_t length;
    return imapc_scan_next(&scan, &token) ? imapc_token_copy(arena, &token, &length) : NULL;
}

static void read_parameters(struct arena *arena, struct imapc_span list,
                            struct imapc_parameters *out)
{
    struct imapc_token name, value;
    size_t length, value_length;
    out->count = 0;
    if (!is_list(list))
        return;
    struct imapc_scan scan = imapc_scan_of(inside(list), 8);
    while (imapc_scan_next(&scan, &name) && imapc_scan_next(&scan, &value)) {
        char *name_text = imapc_token_copy(arena, &name, &length);
        char *value_text = imapc_token_copy(arena, &value, &value_length);
        if (name_text && value_text)
            imapc_parameters_add(out, name_text, value_text, value_length);
    }
}

static bool salvage_body(struct imapc_tree *tree, struct imapc_span body, int32_t parent,
                         const char *id, uint32_t levels);

/* The children are the lists at the front; the first thing that is none is the subtype. */
static bool salvage_multipart(struct imapc_tree *tree, struct imapc_span body, int32_t parent,
                              const char *id, uint32_t levels)
{
    struct part *part = imapc_tree_add(tree, parent, id);
    if (!part)
        return true;
    int32_t index = (int32_t)tree->count - 1;
    struct imapc_scan scan = imapc_scan_of(inside(body), UINT32_MAX);
    struct imapc_span value;
    uint32_t nth = 0;
    part->type = "multipart/mixed";
    while (scan.at < scan.end && imapc_scan_value(&scan, &value)) {
        if (!is_list(value)) {
            tree->parts[index].type =
                imapc_media_type(tree->arena, "multipart", text_at(tree->arena, value));
            break;
        }
        if (!salvage_body(tree, value, index, imapc_tree_child_id(tree, id, ++nth), levels))
            return false;
    }
    return true;
}

static bool begins_with_list(struct imapc_span list)
{
    const char *at = list.text + 1;
    while (at < list.text + list.length && *at == ' ')
        at++;
    return *at == '(';
}

/* Behind the seven fields every leaf has. */
static void salvage_disposition(struct arena *arena, const struct leaf_fields *fields,
                                char **disposition, struct imapc_parameters *parameters)
{
    static const char *const known[] = {"attachment", "inline", "form-data"};
    for (uint32_t i = 7; i < fields->count; i++) {
        if (!is_list(fields->spans[i]) || begins_with_list(fields->spans[i]))
            continue;
        struct imapc_scan scan = imapc_scan_of(inside(fields->spans[i]), UINT32_MAX);
        struct imapc_token token;
        struct imapc_span list = {0};
        size_t length;
        if (!imapc_scan_next(&scan, &token))
            continue;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            if (imapc_span_is(token.span, known[k]))
                *disposition = imapc_token_copy(arena, &token, &length);
        if (*disposition && imapc_scan_value(&scan, &list))
            read_parameters(arena, list, parameters);
        if (*disposition)
            return;
    }
}

static bool salvage_leaf(struct imapc_tree *tree, struct imapc_span body, int32_t parent,
                         const char *id, uint32_t levels)
{
    struct leaf_fields fields = {.count = 0};
    struct imapc_scan scan = imapc_scan_of(inside(body), UINT32_MAX);
    while (fields.count < FIELDS_MAX && scan.at < scan.end &&
           imapc_scan_value(&scan, &fields.spans[fields.count]))
        fields.count++;
    bool is_empty = fields.count == 0 && parent >= 0; /* Domino; it still has a number */
    if (!is_empty && (fields.count < 2 || is_list(fields.spans[1])))
        return false;
    struct part *part = imapc_tree_add(tree, parent, id);
    if (!part)
        return true;
    int32_t index = (int32_t)tree->count - 1;
    struct arena *arena = tree->arena;
    struct imapc_parameters parameters = {.count = 0}, of_disposition = {.count = 0};
    char *disposition = NULL;
    uint64_t size = 0;
    part->type =
        imapc_media_type(arena, text_at(arena, fields.spans[0]), text_at(arena, fields.spans[1]));
    if (fields.count > 2)
        read_parameters(arena, fields.spans[2], &parameters);
    if (fields.count > 5)
        part->encoding = imapc_lower(arena, text_at(arena, fields.spans[5]), "7bit");
    if (fields.count > 6 && imapc_span_number(fields.spans[6], UINT64_MAX, &size))
        part->encoded_size = size;
    salvage_disposition(arena, &fields, &disposition, &of_disposition);
    imapc_tree_describe(tree, part, &parameters, disposition, &of_disposition,
                        fields.count > 3 ? text_at(arena, fields.spans[3]) : NULL);
    if (strcmp(part->type, "message/rfc822") != 0 || fields.count < 9 || !is_list(fields.spans[8]))
        return true;
    bool multipart = begins_with_list(fields.spans[8]);
    uint32_t count = tree->count;
    if (!salvage_body(tree, fields.spans[8], index, imapc_tree_inner_id(tree, id, multipart),
                      levels))
        tree->count = count; /* something else stood there */
    return true;
}

static bool salvage_body(struct imapc_tree *tree, struct imapc_span body, int32_t parent,
                         const char *id, uint32_t levels)
{
    if (levels == 0) {
        tree->limited |= LIMITED_DEPTH;
        return true;
    }
    return begins_with_list(body) ? salvage_multipart(tree, body, parent, id, levels - 1)
                                  : salvage_leaf(tree, body, parent, id, levels - 1);
}

bool imapc_structure_salvage(struct arena *arena, struct imapc_span structure, uint32_t parts_max,
                             struct message *out)
{
    struct imapc_tree tree = {.arena = arena, .count_max = parts_max};
    if (!is_list(structure))
        return false;
    if (!salvage_body(&tree, structure, -1, begins_with_list(structure) ? "" : "1", LEVELS_MAX))
        return false;
    imapc_tree_finish(&tree, out);
    return tree.count > 0;
}

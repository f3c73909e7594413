/* imap_salvage.c - a BODYSTRUCTURE that libetpan refuses, read as far as it makes sense.
 *
 * Servers get optional fields wrong more often than the tree: a message/rfc822 with NIL for an
 * envelope, a text without its line count, numbers for strings. Here only the shape counts: a list
 * that begins with a list is a multipart, any other is a leaf whose first seven fields stand in
 * order, and a disposition is a list that begins with its name.
 *
 * It is one pass over the text, so it is also what reads a structure of which only the beginning
 * came: what is whole by then is told.
 */
#include "imap.h"

#include <string.h>

#define FIELDS_MAX   16u
#define BODY_FIELD   8u /* of a message/rfc822 */
#define BYTES_A_WORK 4u /* scanning is quicker than decoding */

struct salvage {
    struct imapc_tree tree;
    struct imapc_scan scan;
    bool is_cut;
};

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

/* ---- the scan ---- */

/* The byte that the next value begins with; 0 where there is none to be had. */
static char peek(struct salvage *self)
{
    struct imapc_scan *scan = &self->scan;
    while (scan->at < scan->end && *scan->at == ' ')
        scan->at++;
    bool over = scan->broken || scan->at >= scan->end || !decode_budget_left(self->tree.budget);
    return over ? '\0' : *scan->at;
}

/* Whether that is because we were to see no more. */
static bool ends_early(const struct salvage *self)
{
    return self->is_cut || !decode_budget_left(self->tree.budget);
}

static bool take_value(struct salvage *self, struct imapc_span *out)
{
    const char *from = self->scan.at;
    bool whole = imapc_scan_value(&self->scan, out);
    size_t scanned = (size_t)(self->scan.at - from);
    (void)decode_budget_spend(self->tree.budget, scanned / BYTES_A_WORK + 1);
    return whole;
}

static void take_parenthesis(struct salvage *self)
{
    struct imapc_token token;
    (void)imapc_scan_next(&self->scan, &token);
}

/* ---- a leaf ---- */

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
    while (!out->is_cut && imapc_scan_next(&scan, &name) && imapc_scan_next(&scan, &value)) {
        char *name_text = imapc_token_copy(arena, &name, &length);
        char *value_text = imapc_token_copy(arena, &value, &value_length);
        if (name_text && value_text)
            imapc_parameters_add(out, name_text, value_text, value_length);
    }
}

static bool begins_with_list(struct imapc_span list)
{
    const char *at = list.text + 1, *end = list.text + list.length;
    while (at < end && *at == ' ')
        at++;
    return at < end && *at == '(';
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

/* Not inlined: its lists would be on the stack once for each level. */
__attribute__((noinline)) static void describe(struct imapc_tree *tree, struct part *part,
                                               const struct leaf_fields *fields)
{
    struct arena *arena = tree->arena;
    struct imapc_parameters parameters = {.count = 0}, of_disposition = {.count = 0};
    char *disposition = NULL;
    uint64_t size = 0;
    part->type =
        imapc_media_type(arena, text_at(arena, fields->spans[0]), text_at(arena, fields->spans[1]));
    if (fields->count > 2)
        read_parameters(arena, fields->spans[2], &parameters);
    if (fields->count > 5)
        part->encoding = imapc_lower(arena, text_at(arena, fields->spans[5]), "7bit");
    if (fields->count > 6 && imapc_span_number(fields->spans[6], UINT64_MAX, &size))
        part->encoded_size = size;
    salvage_disposition(arena, fields, &disposition, &of_disposition);
    imapc_tree_describe(tree, part, &parameters, disposition, &of_disposition,
                        fields->count > 3 ? text_at(arena, fields->spans[3]) : NULL);
}

static bool is_message(struct arena *arena, const struct leaf_fields *fields)
{
    const char *type = text_at(arena, fields->spans[0]);
    const char *subtype = text_at(arena, fields->spans[1]);
    return strcmp(imapc_media_type(arena, type, subtype), "message/rfc822") == 0;
}

static bool salvage_body(struct salvage *self, int32_t parent, const char *id, uint32_t levels);

/* What a message holds; when something else stands there, it is stepped over. */
static void salvage_inner(struct salvage *self, int32_t parent, const char *id, uint32_t levels)
{
    struct imapc_tree *tree = &self->tree;
    struct imapc_scan before = self->scan;
    struct imapc_span rest = {before.at, (size_t)(before.end - before.at)};
    uint32_t count = tree->count;
    const char *inner = imapc_tree_inner_id(tree, id, begins_with_list(rest));
    if (salvage_body(self, parent, inner, levels))
        return;
    tree->count = count;
    self->scan = before;
    (void)take_value(self, &rest);
}

/* Behind its "(". */
static bool salvage_leaf(struct salvage *self, int32_t parent, const char *id, uint32_t levels)
{
    struct imapc_tree *tree = &self->tree;
    struct leaf_fields fields = {.count = 0};
    struct part *part = NULL;
    int32_t index = -1;
    char next;
    while ((next = peek(self)) != '\0' && next != ')') {
        struct imapc_span value = {0};
        if (fields.count == BODY_FIELD && next == '(' && is_message(tree->arena, &fields)) {
            part = imapc_tree_add(tree, parent, id);
            index = (int32_t)tree->count - 1;
            if (part)
                salvage_inner(self, index, id, levels);
            else
                (void)take_value(self, &value);
        } else if (!take_value(self, &value)) {
            break;
        }
        if (fields.count < FIELDS_MAX)
            fields.spans[fields.count++] = value;
    }
    if (next != ')' && !part)
        return ends_early(self);
    take_parenthesis(self);
    bool is_empty = fields.count == 0 && parent >= 0; /* Domino; it still has a number */
    if (!is_empty && (fields.count < 2 || is_list(fields.spans[1])))
        return false;
    if (!part) {
        part = imapc_tree_add(tree, parent, id);
        index = (int32_t)tree->count - 1;
    }
    if (part) /* which may have moved */
        describe(tree, &tree->parts[index], &fields);
    return true;
}

/* ---- the tree ---- */

/* Behind its "(". The children are the lists at the front; the first thing that is none is the
 * subtype. */
static bool salvage_multipart(struct salvage *self, int32_t parent, const char *id, uint32_t levels)
{
    struct imapc_tree *tree = &self->tree;
    struct part *part = imapc_tree_add(tree, parent, id);
    int32_t index = (int32_t)tree->count - 1;
    uint32_t nth = 0;
    bool typed = !part;
    if (part)
        part->type = "multipart/mixed";
    while (part && peek(self) == '(' && !imapc_tree_is_full(tree))
        if (!salvage_body(self, index, imapc_tree_child_id(tree, id, ++nth), levels))
            return false;
    char next;
    struct imapc_span value;
    while ((next = peek(self)) != '\0' && next != ')' && take_value(self, &value)) {
        if (typed || is_list(value))
            continue;
        typed = true;
        tree->parts[index].type =
            imapc_media_type(tree->arena, "multipart", text_at(tree->arena, value));
    }
    if (next != ')')
        return ends_early(self);
    take_parenthesis(self);
    return true;
}

static bool salvage_body(struct salvage *self, int32_t parent, const char *id, uint32_t levels)
{
    struct imapc_span skipped;
    if (levels == 0) {
        self->tree.budget->limited |= LIMITED_DEPTH;
        return take_value(self, &skipped) || ends_early(self);
    }
    take_parenthesis(self);
    return peek(self) == '(' ? salvage_multipart(self, parent, id, levels - 1)
                             : salvage_leaf(self, parent, id, levels - 1);
}

bool imapc_structure_salvage(struct arena *arena, struct decode_budget *budget,
                             const struct imapc_structure *structure, struct message *out)
{
    struct salvage self = {
        .tree = {.arena = arena, .budget = budget, .count_max = structure->parts_max},
        .scan = imapc_scan_of(structure->text, UINT32_MAX),
        .is_cut = structure->is_cut,
    };
    if (!is_list(structure->text))
        return false;
    if (structure->is_cut)
        budget->limited |= LIMITED_PARTS;
    const char *id = begins_with_list(structure->text) ? "" : "1";
    if (!salvage_body(&self, -1, id, structure->depth_max))
        return false;
    imapc_tree_finish(&self.tree, out);
    return self.tree.count > 0;
}

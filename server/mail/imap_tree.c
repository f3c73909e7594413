/* imap_tree.c - a MIME tree as it is put together, with its section numbers (RFC 3501 6.4.5).
 *
 * A multipart directly inside a message/rfc822 has no number of its own; its body is the section
 * "4.TEXT", and so that is its id. Its children are 4.1, 4.2.
 */
#include "imap.h"
#include "text.h"

#include <string.h>

#define PART_WORK 512u

bool imapc_tree_is_full(const struct imapc_tree *tree)
{
    return tree->full || !decode_budget_left(tree->budget);
}

struct part *imapc_tree_add(struct imapc_tree *tree, int32_t parent, const char *id)
{
    if (tree->count >= tree->count_max || tree->count >= BACKEND_PARTS_MAX) {
        tree->budget->limited |= LIMITED_PARTS;
        tree->full = true;
        return NULL;
    }
    if (!decode_budget_spend(tree->budget, PART_WORK))
        return NULL;
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity ? tree->capacity * 2 : 8;
        struct part *grown = arena_array(tree->arena, struct part, tree->capacity);
        if (tree->count)
            memcpy(grown, tree->parts, tree->count * sizeof *grown);
        tree->parts = grown;
    }
    struct part *part = &tree->parts[tree->count++];
    *part = (struct part){.id = id, .parent = parent, .size = -1, .encoding = "7bit"};
    return part;
}

const char *imapc_tree_child_id(struct imapc_tree *tree, const char *id, uint32_t nth)
{
    static const char text[] = ".TEXT";
    size_t length = strlen(id), suffix = sizeof text - 1;
    if (length == 0)
        return arena_printf(tree->arena, "%u", nth);
    if (length > suffix && strcmp(id + length - suffix, text) == 0)
        length -= suffix;
    return arena_printf(tree->arena, "%.*s.%u", (int)length, id, nth);
}

const char *imapc_tree_inner_id(struct imapc_tree *tree, const char *id, bool multipart)
{
    return arena_printf(tree->arena, multipart ? "%s.TEXT" : "%s.1", id);
}

void imapc_parameters_add(struct imapc_parameters *list, const char *name, const char *value,
                          size_t value_length)
{
    if (list->count < sizeof list->items / sizeof *list->items)
        list->items[list->count++] =
            (struct raw_parameter){.name = name, .value = value, .value_length = value_length};
    else
        list->is_cut = true;
}

char *imapc_lower(struct arena *arena, const char *text, const char *otherwise)
{
    if (!text || !*text)
        return arena_strdup(arena, otherwise);
    char *lower = text_clean(arena, text, strnlen(text, 255), true);
    text_lower(lower);
    return lower;
}

char *imapc_media_type(struct arena *arena, const char *type, const char *subtype)
{
    return arena_printf(arena, "%s/%s", imapc_lower(arena, type, "application"),
                        imapc_lower(arena, subtype, "octet-stream"));
}

static char *bare_id(struct arena *arena, const char *text)
{
    size_t length = text ? strnlen(text, BACKEND_MESSAGE_ID_BYTES_MAX + 2) : 0;
    while (length > 0 && (*text == '<' || *text == ' ')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == '>' || text[length - 1] == ' '))
        length--;
    return length ? text_clean(arena, text, length, true) : NULL;
}

void imapc_tree_describe(struct imapc_tree *tree, struct part *part,
                         const struct imapc_parameters *parameters, const char *disposition,
                         const struct imapc_parameters *of_disposition, const char *content_id)
{
    struct arena *arena = tree->arena;
    struct decode_budget *budget = tree->budget;
    if (parameters->is_cut || of_disposition->is_cut)
        budget->limited |= LIMITED_HEADERS;
    const char *name =
        decode_parameter(arena, budget, of_disposition->items, of_disposition->count, "filename");
    if (!name)
        name = decode_parameter(arena, budget, parameters->items, parameters->count, "name");
    part->name = name ? decode_file_name(arena, name) : NULL;
    part->charset = imapc_lower(
        arena, decode_parameter(arena, budget, parameters->items, parameters->count, "charset"),
        NULL);
    part->disposition = imapc_lower(arena, disposition, NULL);
    part->content_id = bare_id(arena, content_id);
}

void imapc_tree_finish(struct imapc_tree *tree, struct message *out)
{
    out->parts = tree->parts;
    out->part_count = tree->count;
    out->has_attachment = parts_have_attachment(tree->parts, tree->count);
    out->limited |= tree->budget->limited;
}

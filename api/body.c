/* body.c - jansson under a table; the only file that knows its error codes.
 *
 * jansson's own error text quotes the input, which may be a password: it is never shown. */
#include "body.h"
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every block carries its size in front, so that it can be wiped when it is given back. */
#define SIZE_BYTES 16

static void *wiping_malloc(size_t size)
{
    char *block = xalloc(size + SIZE_BYTES);
    memcpy(block, &size, sizeof size);
    return block + SIZE_BYTES;
}

static void wiping_free(void *data)
{
    size_t size;
    if (!data)
        return;
    char *block = (char *)data - SIZE_BYTES;
    memcpy(&size, block, sizeof size);
    explicit_bzero(block, size + SIZE_BYTES);
    free(block);
}

void body_init(void)
{
    json_set_alloc_funcs(wiping_malloc, wiping_free);
    json_object_seed(0);
}

static const struct {
    enum json_error_code code;
    const char *detail;
} reasons[] = {
    {json_error_invalid_utf8, "the body is not UTF-8"},
    {json_error_null_character, "a text holds NUL"},
    {json_error_null_byte_in_key, "a member's name holds NUL"},
    {json_error_stack_overflow, "the body is nested too deeply"},
    {json_error_premature_end_of_input, "the body ends too early"},
    {json_error_end_of_input_expected, "there is more behind the end of the object"},
    {json_error_numeric_overflow, "a number is too large"},
};

static const struct member *member_find(const struct member *members, const char *name,
                                        size_t length)
{
    for (; members->name; members++)
        if (strlen(members->name) == length && memcmp(members->name, name, length) == 0)
            return members;
    return NULL;
}

static const char *string_end(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return at < end ? at : end;
}

/* The member of the table that stands twice in the body, for jansson does not say which it was.
 * NULL: another one, deeper or spelt with escapes. */
static const struct member *member_twice(const struct member *members, const char *at,
                                         const char *end)
{
    uint32_t seen = 0;
    int depth = 0;
    bool is_name = false;
    for (; at < end; at++) {
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        if (*at == '{' || *at == ',')
            is_name = true;
        else if (*at == ':')
            is_name = false;
        if (*at != '"')
            continue;
        const char *name = at + 1;
        at = string_end(name, end);
        const struct member *member =
            depth == 1 && is_name ? member_find(members, name, (size_t)(at - name)) : NULL;
        if (member && seen & (1u << (member - members)))
            return member;
        if (member)
            seen |= 1u << (member - members);
    }
    return NULL;
}

static enum err twice_fault(struct fault *fault, const struct member *members, const char *data,
                            size_t length)
{
    char pointer[64] = "";
    size_t blank = 0;
    while (blank < length && strchr(" \t\r\n", data[blank]))
        blank++;
    bool is_object = blank < length && data[blank] == '{';
    const struct member *member = is_object ? member_twice(members, data, data + length) : NULL;
    if (member)
        snprintf(pointer, sizeof pointer, "/%s", member->name);
    return fault_at(fault, ERR_INVALID, pointer, "an object has a member twice");
}

static enum err syntax_fault(struct fault *fault, const json_error_t *error)
{
    const char *detail = "the body is not JSON";
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].code == json_error_code(error))
            detail = reasons[i].detail;
    return fault_at(fault, ERR_INVALID, "", "%s (line %d, column %d)", detail, error->line,
                    error->column);
}

/* application/json, with parameters or none. */
static bool type_is_json(const char *content_type)
{
    if (!content_type)
        return false;
    size_t length = strcspn(content_type, "; \t");
    return text_case_equal(content_type, length, "application/json");
}

const char *body_pointer(struct arena *arena, const char *parent, const char *name)
{
    size_t length = text_cut_bytes(name, strlen(name), 64);
    char *out = arena_alloc(arena, strlen(parent) + 2 * length + 2);
    char *at = stpcpy(out, parent);
    *at++ = '/';
    for (size_t i = 0; i < length; i++) {
        if (name[i] == '~' || name[i] == '/') {
            *at++ = '~';
            *at++ = name[i] == '~' ? '0' : '1';
        } else {
            *at++ = name[i];
        }
    }
    *at = '\0';
    return out;
}

static enum err text_check(const struct member *member, const json_t *value, const char *pointer,
                           struct fault *fault)
{
    if (!json_is_string(value))
        return fault_at(fault, ERR_INVALID, pointer, "%s is a text", member->name);
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (length < member->least || length > member->most)
        return fault_at(fault, ERR_INVALID, pointer, "%s has from %zu to %zu bytes", member->name,
                        member->least, member->most);
    if (strcspn(text, "\r\n") != length)
        return fault_at(fault, ERR_INVALID, pointer, "%s holds a line break or NUL", member->name);
    return OK;
}

static enum err member_check(const struct member *member, const json_t *value, const char *pointer,
                             struct fault *fault)
{
    switch (member->kind) {
    case MEMBER_TEXT: return text_check(member, value, pointer, fault);
    case MEMBER_BOOL:
        if (!json_is_boolean(value))
            return fault_at(fault, ERR_INVALID, pointer, "%s is true or false", member->name);
        return OK;
    case MEMBER_OBJECT:
        if (!json_is_object(value))
            return fault_at(fault, ERR_INVALID, pointer, "%s is an object", member->name);
        return OK;
    case MEMBER_INT: break;
    }
    if (!json_is_integer(value) || json_integer_value(value) < (json_int_t)member->least ||
        json_integer_value(value) > (json_int_t)member->most)
        return fault_at(fault, ERR_INVALID, pointer, "%s is a whole number from %zu to %zu",
                        member->name, member->least, member->most);
    return OK;
}

static enum err object_check(json_t *body, const struct member *members, struct fault *fault)
{
    struct arena arena;
    const char *name;
    json_t *value;
    enum err err = OK;
    if (!json_is_object(body))
        return fault_at(fault, ERR_INVALID, "", "the body is an object");
    arena_init(&arena);
    json_object_foreach(body, name, value)
    {
        const struct member *member = member_find(members, name, strlen(name));
        const char *pointer = body_pointer(&arena, "", name);
        err = member
                  ? member_check(member, value, pointer, fault)
                  : fault_at(fault, ERR_INVALID, pointer, "there is no member of that name here");
        if (err)
            break;
    }
    for (; !err && members->name; members++)
        if (members->required && !json_object_get(body, members->name))
            err = fault_at(fault, ERR_INVALID, body_pointer(&arena, "", members->name),
                           "%s is missing", members->name);
    arena_clear(&arena);
    return err;
}

enum err body_parse(const char *content_type, const char *data, size_t length,
                    const struct member *members, struct fault *fault, json_t **out)
{
    json_error_t error;
    if (!type_is_json(content_type))
        return fault_set(fault, ERR_MEDIA_TYPE, "the body is to be application/json");
    json_t *body = json_loadb(data ? data : "", length, JSON_REJECT_DUPLICATES, &error);
    enum err err = OK;
    if (body)
        err = object_check(body, members, fault);
    else if (json_error_code(&error) == json_error_duplicate_key)
        err = twice_fault(fault, members, data, length);
    else
        err = syntax_fault(fault, &error);
    explicit_bzero(&error, sizeof error);
    if (err) {
        json_decref(body);
        return err;
    }
    *out = body;
    return OK;
}

const char *body_text(const json_t *body, const char *name)
{
    return json_string_value(json_object_get(body, name));
}

long long body_int(const json_t *body, const char *name, long long otherwise)
{
    const json_t *value = json_object_get(body, name);
    return value ? json_integer_value(value) : otherwise;
}

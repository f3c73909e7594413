/* params.c - decoding the query by table. */
#include "params.h"
#include "text.h"

#include <string.h>

enum param_kind { KIND_TEXT, KIND_RAW, KIND_NUMBER, KIND_CHOICE };

struct param_row {
    const char *name;
    enum param_kind kind;
    uint64_t least, most, otherwise;
    const char *choices[4];
};

static const struct param_row param_rows[PARAM_COUNT] = {
    [PARAM_FOLDER] = {.name = "folder", .kind = KIND_RAW},
    [PARAM_LIMIT] =
        {.name = "limit", .kind = KIND_NUMBER, .least = 1, .most = LIMIT_MOST, .otherwise = 50},
    [PARAM_CURSOR] = {.name = "cursor", .kind = KIND_TEXT},
    [PARAM_FIELDS] = {.name = "fields", .kind = KIND_TEXT},
    [PARAM_TOTAL] = {.name = "total",
                     .kind = KIND_CHOICE,
                     .otherwise = TOTAL_NONE,
                     .choices = {[TOTAL_NONE] = "none", [TOTAL_EXACT] = "exact"}},
    [PARAM_SORT] = {.name = "sort", .kind = KIND_CHOICE, .choices = {"-receivedAt"}},
    [PARAM_AS] = {.name = "as",
                  .kind = KIND_CHOICE,
                  .otherwise = AS_PLAIN,
                  .choices = {[AS_PLAIN] = "plain", [AS_HTML] = "html"}},
    [PARAM_MAX_BYTES] = {.name = "maxBytes",
                         .kind = KIND_NUMBER,
                         .least = 1,
                         .most = TEXT_BYTES_MOST,
                         .otherwise = TEXT_BYTES_DEFAULT},
    [PARAM_ENCODING] = {.name = "encoding",
                        .kind = KIND_CHOICE,
                        .otherwise = ENCODING_DECODED,
                        .choices = {[ENCODING_DECODED] = "decoded", [ENCODING_RAW] = "raw"}},
};

static enum err number_parse(const struct param_row *row, const char *text, struct fault *fault,
                             uint64_t *out)
{
    if (!text_to_u64(text, strlen(text), row->most, out) || *out < row->least)
        return fault_at(fault, ERR_INVALID, row->name, "%s is a number from %llu to %llu",
                        row->name, (unsigned long long)row->least, (unsigned long long)row->most);
    return OK;
}

static enum err choice_parse(const struct param_row *row, const char *text, struct fault *fault,
                             uint64_t *out)
{
    for (int i = 0; row->choices[i]; i++) {
        if (strcmp(row->choices[i], text) == 0) {
            *out = (uint64_t)i;
            return OK;
        }
    }
    return fault_at(fault, ERR_INVALID, row->name, "%s is %s%s%s", row->name, row->choices[0],
                    row->choices[1] ? " or " : "", row->choices[1] ? row->choices[1] : "");
}

static enum err value_parse(enum param param, const char *raw, size_t length, struct arena *arena,
                            struct fault *fault, struct params *out)
{
    const struct param_row *row = &param_rows[param];
    const char *text = text_percent_decode(arena, raw, length, true);
    if (!text)
        return fault_at(fault, ERR_INVALID, row->name, "%s is not percent-encoded UTF-8",
                        row->name);
    if (!*text || strlen(text) > PARAM_BYTES_MOST)
        return fault_at(fault, ERR_INVALID, row->name, "%s is empty or longer than %d bytes",
                        row->name, PARAM_BYTES_MOST);
    out->text[param] = row->kind == KIND_RAW ? arena_strndup(arena, raw, length) : text;
    if (row->kind == KIND_NUMBER)
        return number_parse(row, text, fault, &out->number[param]);
    if (row->kind == KIND_CHOICE)
        return choice_parse(row, text, fault, &out->number[param]);
    return OK;
}

static enum err piece_parse(const char *piece, size_t length, uint32_t accepted,
                            struct arena *arena, struct fault *fault, struct params *out)
{
    const char *equals = memchr(piece, '=', length);
    size_t name_length = equals ? (size_t)(equals - piece) : length;
    const char *name = text_percent_decode(arena, piece, name_length, true);
    if (!name)
        return fault_at(fault, ERR_INVALID,
                        arena_strndup(arena, piece, name_length < 64 ? name_length : 64),
                        "the name of a query parameter is not percent-encoded UTF-8");
    for (int param = 0; param < PARAM_COUNT; param++) {
        if (!(accepted & ACCEPTS(param)) || strcmp(param_rows[param].name, name) != 0)
            continue;
        if (out->text[param])
            return fault_at(fault, ERR_INVALID, name, "%s is given twice", name);
        return value_parse((enum param)param, equals ? equals + 1 : "",
                           equals ? length - name_length - 1 : 0, arena, fault, out);
    }
    const char *shown = arena_strndup(arena, name, text_cut_bytes(name, strlen(name), 64));
    return fault_at(fault, ERR_INVALID, shown, "there is no query parameter of that name here");
}

enum err params_parse(const char *query, uint32_t accepted, struct arena *arena,
                      struct fault *fault, struct params *out)
{
    *out = (struct params){.text = {NULL}};
    for (int param = 0; param < PARAM_COUNT; param++)
        out->number[param] = param_rows[param].otherwise;
    while (*query) {
        size_t length = strcspn(query, "&");
        enum err err = length ? piece_parse(query, length, accepted, arena, fault, out) : OK;
        if (err)
            return err;
        query += length + (query[length] == '&');
    }
    return OK;
}

/* settings_print.c - the table as help, as the README's table, and as what is in force. */
#include "settings.h"

#include <string.h>

#define HELP_COLUMN 30
#define HELP_WIDTH  96

static void print_origin(const struct settings_origin *origin, const struct setting *row,
                         const char *config_file, FILE *out)
{
    switch (origin->source) {
    case FROM_DEFAULT: fprintf(out, "default"); break;
    case FROM_FILE: fprintf(out, "%s line %d", config_file, origin->line); break;
    case FROM_ENVIRONMENT: fprintf(out, "environment"); break;
    case FROM_FLAG: fprintf(out, "--%s", row->name); break;
    }
}

void settings_print_effective(const struct settings *settings,
                              const struct settings_origin *origins, const char *config_file,
                              FILE *out)
{
    const char *group = "";
    struct buf value;
    buf_init_secret(&value, 1 << 20);
    for (const struct setting *row = settings_table; row->name; row++) {
        if (row->group != group)
            fprintf(out, "%s; %s\n", *group ? "\n" : "", row->group);
        group = row->group;
        buf_reset(&value);
        buf_char(&value, ' ');
        setting_format(row, settings, &value);
        fprintf(out, "%s =%s ; ", row->name, value.length > 1 ? value.data : "");
        print_origin(&origins[row - settings_table], row, config_file, out);
        fputc('\n', out);
    }
    buf_clear(&value);
}

/* Help text has `code` marks for the README; a terminal wants none. */
static void append_plain(struct buf *out, const char *text)
{
    for (; *text; text++)
        if (*text != '`')
            buf_char(out, *text);
}

static void print_wrapped(const char *text, FILE *out)
{
    int column = HELP_COLUMN;
    for (size_t word = strcspn(text, " "); word; word = strcspn(text, " ")) {
        bool fits = column + (int)word < HELP_WIDTH;
        if (column > HELP_COLUMN && !fits) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += fprintf(out, "%s%.*s", column > HELP_COLUMN ? " " : "", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_flag_name(const struct setting *row, FILE *out)
{
    static const char *const values[] = {
        [SETTING_TEXT] = "TEXT",     [SETTING_CHOICE] = "WORD", [SETTING_COUNT] = "N",
        [SETTING_DURATION] = "TIME", [SETTING_SIZE] = "SIZE",   [SETTING_SERVER] = "URL",
    };
    struct buf name;
    buf_init(&name, 200);
    buf_printf(&name, "  --%s=", row->name);
    for (char *at = name.data; *at; at++)
        if (*at == '_')
            *at = '-';
    buf_text(&name, values[row->type]);
    if (name.length + 1 < HELP_COLUMN)
        fprintf(out, "%-*s", HELP_COLUMN, name.data);
    else
        fprintf(out, "%s\n%*s", name.data, HELP_COLUMN, "");
    buf_clear(&name);
}

/* Behind the help: " (default; bounds)". */
static void append_values(const struct setting *row, struct buf *out)
{
    bool is_free = row->type == SETTING_TEXT || row->type == SETTING_SERVER;
    const char *by_default = row->default_text ? row->default_text : row->default_note;
    if (is_free && !*by_default)
        return;
    buf_text(out, " [");
    append_plain(out, by_default);
    if (!is_free) {
        buf_text(out, "; ");
        setting_bounds(row, out);
    }
    buf_char(out, ']');
}

void settings_print_help(FILE *out)
{
    const char *group = "";
    struct buf help;
    buf_init(&help, 4096);
    for (const struct setting *row = settings_table; row->name; row++) {
        if (row->group != group)
            fprintf(out, "\n%s:\n", row->group);
        group = row->group;
        print_flag_name(row, out);
        buf_reset(&help);
        append_plain(&help, row->help);
        append_values(row, &help);
        print_wrapped(help.data, out);
    }
    buf_clear(&help);
}

void settings_print_markdown(FILE *out)
{
    const char *group = "";
    struct buf bounds;
    buf_init(&bounds, 200);
    fprintf(out, "| setting | default | values | what it is |\n|---|---|---|---|\n");
    for (const struct setting *row = settings_table; row->name; row++) {
        if (row->group != group)
            fprintf(out, "| **%s** | | | |\n", row->group);
        group = row->group;
        fprintf(out, "| `%s` | ", row->name);
        if (row->default_note)
            fprintf(out, "%s", row->default_note);
        else if (*row->default_text)
            fprintf(out, "`%s`", row->default_text);
        buf_reset(&bounds);
        setting_bounds(row, &bounds);
        fprintf(out, " | ");
        for (const char *at = bounds.data; *at; at++)
            if (*at == '|')
                fprintf(out, ", ");
            else
                fputc(*at, out);
        fprintf(out, " | %s%s |\n", row->help, row->secret ? " *Secret.*" : "");
    }
    buf_clear(&bounds);
}

/* settings_load.c - defaults, then the INI file, then the environment, then flags.
 *
 * The INI file has settings at its top or under [postern]; no other section. A value stands on one
 * line; a comment begins with ';' or '#' at a line's start, or with " ;" behind a value.
 */
#include "settings.h"
#include "arena.h"

#include <errno.h>
#include <ini.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX          "POSTERN_"
#define VALUE_MOST      (64 * 1024)
#define FILE_LINE_BYTES (VALUE_MOST + 256)

struct loader {
    struct settings *settings;
    struct settings_origin *origins;
    struct mistakes *mistakes;
    bool *seen; /* settings given by the source that is being read */
    /* the INI file */
    const char *path;
    FILE *file;
    int line;
};

void mistakes_add(struct mistakes *mistakes, const char *format, ...)
{
    char line[600];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_printf(&mistakes->lines, "  %s\n", line);
    mistakes->count++;
}

/* `place` says where the value stands, for the mistake: `listen in postern.ini line 3`. */
static void assign(struct loader *loader, const struct setting *row, enum setting_source source,
                   const char *place, const char *value)
{
    struct fault why = {0};
    size_t index = (size_t)(row - settings_table);
    if (loader->seen[index]) {
        mistakes_add(loader->mistakes, "%s: is given twice", place);
        return;
    }
    loader->seen[index] = true;
    if (!setting_parse(row, value, loader->settings, &why)) {
        mistakes_add(loader->mistakes, "%s: %s", place, row->secret ? "is not valid" : why.detail);
        return;
    }
    loader->origins[index] = (struct settings_origin){.source = source, .line = loader->line};
}

static void begin_source(struct loader *loader)
{
    memset(loader->seen, 0, settings_count * sizeof *loader->seen);
    loader->line = 0;
}

/* ---- defaults ---- */
char *settings_default_data_dir(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct buf path;
    buf_init(&path, 4096);
    if (geteuid() == 0)
        buf_text(&path, "/var/lib/postern");
    else if (state && state[0] == '/')
        buf_printf(&path, "%s/postern", state);
    else if (home && home[0] == '/')
        buf_printf(&path, "%s/.local/state/postern", home);
    else
        buf_text(&path, "postern-data");
    return buf_detach(&path);
}

/* The cores that this process may use, not those that the machine has. */
char *settings_default_workers(void)
{
    cpu_set_t set;
    struct buf text;
    long cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                             : sysconf(_SC_NPROCESSORS_ONLN);
    buf_init(&text, 16);
    buf_printf(&text, "%ld", cores < 1 ? 1 : cores > 64 ? 64 : cores);
    return buf_detach(&text);
}

static void load_defaults(struct loader *loader)
{
    for (const struct setting *row = settings_table; row->name; row++) {
        char *computed = row->default_text ? NULL : row->default_made();
        assign(loader, row, FROM_DEFAULT, row->name, computed ? computed : row->default_text);
        free(computed);
    }
}

/* ---- the INI file ---- */
static char *read_line(char *line, int capacity, void *stream)
{
    struct loader *loader = stream;
    char *got = fgets(line, capacity, loader->file);
    if (got)
        loader->line++;
    return got;
}

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct loader *loader = user;
    const struct setting *row = setting_find(name, strlen(name));
    char place[300];
    snprintf(place, sizeof place, "%.100s line %d: %.100s", loader->path, loader->line, name);
    if (*section && strcmp(section, "postern") != 0)
        mistakes_add(loader->mistakes, "%s: is in section [%.60s]; only [postern] is known", place,
                     section);
    else if (!row)
        mistakes_add(loader->mistakes, "%s: no such setting", place);
    else if (!value)
        mistakes_add(loader->mistakes, "%s: has no value", place);
    else
        assign(loader, row, FROM_FILE, place, value);
    return 1; /* go on: all mistakes are wanted */
}

static void load_file(struct loader *loader, const char *path)
{
    begin_source(loader);
    loader->path = path;
    loader->file = fopen(path, "re");
    if (!loader->file) {
        mistakes_add(loader->mistakes, "%s: %s", path, strerror(errno));
        return;
    }
    ini_use_stack = false;
    ini_initial_alloc = ini_max_line = FILE_LINE_BYTES;
    ini_allow_multiline = false;
    ini_allow_no_value = true;
    int bad_line = ini_parse_stream(read_line, loader, take_line, loader);
    if (bad_line)
        mistakes_add(loader->mistakes, "%s line %d: cannot be read", path, bad_line);
    if (ferror(loader->file))
        mistakes_add(loader->mistakes, "%s: cannot be read", path);
    fclose(loader->file);
    loader->line = 0;
}

/* ---- the environment ---- */
static bool ends_with(const char *text, size_t length, const char *ending)
{
    size_t ending_length = strlen(ending);
    return length > ending_length &&
           memcmp(text + length - ending_length, ending, ending_length) == 0;
}

static const struct setting *find_upper(const char *name, size_t length)
{
    char lower[100];
    if (length >= sizeof lower)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        if (!((name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= '0' && name[i] <= '9') ||
              name[i] == '_'))
            return NULL;
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    }
    return setting_find(lower, length);
}

/* The file's content without line ends behind it: for secrets that a container's platform puts into
 * files. */
static void assign_from_file(struct loader *loader, const struct setting *row, const char *place,
                             const char *path)
{
    struct buf content;
    char block[4096];
    size_t got;
    FILE *file = fopen(path, "re");
    if (!file) {
        mistakes_add(loader->mistakes, "%s: %.200s: %s", place, path, strerror(errno));
        return;
    }
    buf_init_secret(&content, VALUE_MOST);
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        buf_append(&content, block, got);
    while (content.length && strchr("\r\n", content.data[content.length - 1]))
        content.data[--content.length] = '\0';
    if (ferror(file))
        mistakes_add(loader->mistakes, "%s: %.200s: cannot be read", place, path);
    else if (content.overflowed || (content.length && memchr(content.data, 0, content.length)))
        mistakes_add(loader->mistakes, "%s: %.200s: is too large or holds NUL", place, path);
    else
        assign(loader, row, FROM_ENVIRONMENT, place, content.length ? content.data : "");
    fclose(file);
    explicit_bzero(block, sizeof block);
    buf_clear(&content);
}

static void load_variable(struct loader *loader, const char *variable)
{
    const char *name = variable + strlen(PREFIX), *equals = strchr(variable, '=');
    if (!equals)
        return;
    size_t length = (size_t)(equals - name);
    const struct setting *row = find_upper(name, length);
    char place[200];
    snprintf(place, sizeof place, "%.*s", (int)(equals - variable), variable);
    if (length == strlen("CONFIG") && memcmp(name, "CONFIG", length) == 0)
        return; /* the file's own name, taken by cli.c */
#ifndef NDEBUG
    if (length == strlen("CRASH") && memcmp(name, "CRASH", length) == 0)
        return; /* the workers' switch for tests */
#endif
    if (row) {
        assign(loader, row, FROM_ENVIRONMENT, place, equals + 1);
        return;
    }
    if (ends_with(name, length, "_FILE"))
        row = find_upper(name, length - strlen("_FILE"));
    if (row)
        assign_from_file(loader, row, place, equals + 1);
    else
        mistakes_add(loader->mistakes, "%s: no such setting", place);
}

static void load_environment(struct loader *loader, char *const *environment)
{
    begin_source(loader);
    for (; *environment; environment++)
        if (strncmp(*environment, PREFIX, strlen(PREFIX)) == 0)
            load_variable(loader, *environment);
}

/* ---- flags ---- */
static void load_flags(struct loader *loader, const struct settings_flag *flags, size_t count)
{
    begin_source(loader);
    for (const struct settings_flag *flag = flags; flag < flags + count; flag++) {
        const struct setting *row = setting_find(flag->name, flag->name_length);
        char place[200];
        snprintf(place, sizeof place, "--%.*s",
                 (int)(flag->name_length > 150 ? 150 : flag->name_length), flag->name);
        if (!row)
            mistakes_add(loader->mistakes, "%s: no such flag", place);
        else if (!flag->value)
            mistakes_add(loader->mistakes, "%s: has no value", place);
        else
            assign(loader, row, FROM_FLAG, place, flag->value);
    }
}

void settings_load(const struct settings_input *input, struct settings *settings,
                   struct settings_origin *origins, struct mistakes *mistakes)
{
    struct loader loader = {
        .settings = settings,
        .origins = origins,
        .mistakes = mistakes,
        .seen = xalloc(settings_count * sizeof(bool)),
    };
    *settings = (struct settings){0};
    begin_source(&loader);
    load_defaults(&loader);
    if (input->config_file)
        load_file(&loader, input->config_file);
    load_environment(&loader, input->environment);
    load_flags(&loader, input->flags, input->flag_count);
    free(loader.seen);
}

void settings_clear(struct settings *settings)
{
    for (const struct setting *row = settings_table; row->name; row++)
        setting_clear(row, settings);
}

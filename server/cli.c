/* cli.c - from argv to settings to one of the few things the program does. */
#include "cli.h"
#include "api.h"
#include "arena.h"
#include "health.h"
#include "serve.h"
#include "wall.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIG_FILE "/etc/postern/postern.ini"
#define MISTAKES_MOST_BYTES (256 * 1024)

enum action {
    ACTION_NONE,
    ACTION_SERVE,
    ACTION_CHECK,
    ACTION_HEALTH,
    ACTION_HELP,
    ACTION_VERSION,
    ACTION_ROUTES,
    ACTION_MARKDOWN,
    ACTION_WORKER
};

struct action_row {
    const char *word;
    enum action action;
    const char *help;
};

static const struct action_row actions[] = {
    {"serve", ACTION_SERVE, "run the server until SIGTERM or Ctrl-C"},
    {"--check-config", ACTION_CHECK, "print the settings in force and where each comes from"},
    {"--health", ACTION_HEALTH, "ask the running server whether it is ready; exit 0 when so"},
    {"--help", ACTION_HELP, "this text"},
    {"--version", ACTION_VERSION, "print the version"},
    {"--routes", ACTION_ROUTES, "print every route: method, path, operationId"},
    {"--settings-markdown", ACTION_MARKDOWN, "print the settings as a Markdown table"},
    {WALL_WORKER_WORD, ACTION_WORKER,
     "what `serve` starts to speak with mail servers; not for people"},
};
#define ACTIONS (sizeof actions / sizeof actions[0])

struct command_line {
    enum action action;
    const char *config_file; /* --config */
    struct settings_flag *flags;
    size_t flag_count;
    struct mistakes mistakes;
};

static void print_usage(FILE *out)
{
    fprintf(out, "postern %s: every mailbox behind one JSON door\n\nUsage:\n", POSTERN_VERSION);
    for (size_t i = 0; i < ACTIONS; i++)
        fprintf(out, "  postern %-22s %s\n", actions[i].word, actions[i].help);
    fprintf(
        out,
        "\n`serve`, `--check-config` and `--health` take settings: --name=value or --name value.\n"
        "A setting may also stand in the INI file (--config=FILE, else %s\n"
        "when it exists) as name = value, or in the environment as POSTERN_NAME, or as\n"
        "POSTERN_NAME_FILE with the name of a file that holds it. Flags win over the\n"
        "environment, the environment over the file.\n",
        DEFAULT_CONFIG_FILE);
}

static void print_help(void)
{
    print_usage(stdout);
    settings_print_help(stdout);
}

/* ---- reading argv ---- */
static bool take_action(struct command_line *line, const char *word)
{
    for (size_t i = 0; i < ACTIONS; i++) {
        if (strcmp(actions[i].word, word) != 0)
            continue;
        /* `serve --check-config` checks: what serve would do, without doing it. */
        if (line->action == ACTION_NONE || line->action == ACTION_SERVE)
            line->action = actions[i].action;
        else if (actions[i].action != ACTION_SERVE && actions[i].action != line->action)
            mistakes_add(&line->mistakes, "%s: one thing at a time", word);
        return true;
    }
    return false;
}

/* Returns how many words it used beside the flag itself. */
static int take_flag(struct command_line *line, const char *word, const char *next)
{
    const char *name = word + 2, *equals = strchr(name, '=');
    struct settings_flag flag = {
        .name = name,
        .name_length = equals ? (size_t)(equals - name) : strlen(name),
        .value = equals ? equals + 1 : NULL,
    };
    bool is_config = flag.name_length == 6 && memcmp(name, "config", 6) == 0;
    bool is_known = is_config || setting_find(flag.name, flag.name_length);
    int used = !equals && is_known && next && strncmp(next, "--", 2) != 0;
    if (used)
        flag.value = next;
    if (!is_config)
        line->flags[line->flag_count++] = flag;
    else if (!flag.value || !*flag.value)
        mistakes_add(&line->mistakes, "--config: has no value");
    else if (line->config_file)
        mistakes_add(&line->mistakes, "--config: is given twice");
    else
        line->config_file = flag.value;
    return used;
}

static void read_arguments(struct command_line *line, int argc, char **argv)
{
    line->flags = xalloc(((size_t)argc + 1) * sizeof *line->flags);
    buf_init(&line->mistakes.lines, MISTAKES_MOST_BYTES);
    for (int i = 1; i < argc; i++) {
        const char *word = strcmp(argv[i], "-h") == 0 ? "--help" : argv[i];
        if (take_action(line, word))
            continue;
        if (strncmp(word, "--", 2) == 0 && word[2])
            i += take_flag(line, word, i + 1 < argc ? argv[i + 1] : NULL);
        else
            mistakes_add(&line->mistakes, "%.100s: no such command", word);
    }
}

static const char *find_config_file(const struct command_line *line)
{
    const char *named = getenv("POSTERN_CONFIG");
    if (line->config_file)
        return line->config_file;
    if (named && *named)
        return named;
    return access(DEFAULT_CONFIG_FILE, F_OK) == 0 ? DEFAULT_CONFIG_FILE : NULL;
}

/* ---- doing it ---- */
static int with_settings(struct command_line *line)
{
    struct settings settings;
    struct settings_origin *origins = xalloc(settings_count * sizeof *origins);
    struct settings_input input = {
        .config_file = find_config_file(line),
        .environment = environ,
        .flags = line->flags,
        .flag_count = line->flag_count,
    };
    int code = 0;
    settings_load(&input, &settings, origins, &line->mistakes);
    settings_check(&settings, &line->mistakes);
    if (line->action == ACTION_CHECK)
        settings_print_effective(&settings, origins, input.config_file, stdout);
    if (line->mistakes.count) {
        fprintf(stderr, "postern: %u mistake%s in the settings:\n%s", line->mistakes.count,
                line->mistakes.count == 1 ? "" : "s", line->mistakes.lines.data);
        code = EXIT_USAGE;
    } else if (line->action == ACTION_SERVE) {
        code = serve(&settings);
    } else if (line->action == ACTION_HEALTH) {
        code = health_ask(&settings);
    }
    settings_clear(&settings);
    free(origins);
    return code;
}

static int without_settings(const struct command_line *line)
{
    if (line->flag_count)
        fprintf(stderr, "postern: --%.*s: says nothing without `serve`\n",
                (int)line->flags[0].name_length, line->flags[0].name);
    else if (line->mistakes.count)
        fprintf(stderr, "postern:\n%s", line->mistakes.lines.data);
    else if (line->action == ACTION_NONE)
        print_usage(stderr);
    if (line->flag_count || line->mistakes.count || line->action == ACTION_NONE)
        return EXIT_USAGE;
    switch (line->action) {
    case ACTION_HELP: print_help(); break;
    case ACTION_VERSION: puts("postern " POSTERN_VERSION); break;
    case ACTION_ROUTES: api_print_routes(stdout); break;
    case ACTION_MARKDOWN: settings_print_markdown(stdout); break;
    case ACTION_NONE:
    case ACTION_SERVE:
    case ACTION_CHECK:
    case ACTION_HEALTH:
    case ACTION_WORKER: return EXIT_USAGE; /* with more words behind it */
    }
    return 0;
}

int cli_main(int argc, char **argv)
{
    struct command_line line = {.action = ACTION_NONE};
    int code;
    /* Before anything else: no setting, no environment, no file is of interest there. */
    if (argc == 2 && strcmp(argv[1], WALL_WORKER_WORD) == 0)
        return wall_worker_main();
    read_arguments(&line, argc, argv);
    if (line.action == ACTION_SERVE || line.action == ACTION_CHECK || line.action == ACTION_HEALTH)
        code = with_settings(&line);
    else
        code = without_settings(&line);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "postern: standard output: %s\n", strerror(errno));
        code = 1;
    }
    buf_clear(&line.mistakes.lines);
    free(line.flags);
    return code;
}

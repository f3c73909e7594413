/* settings.h - one table of everything that can be set, and the four places a value comes from.
 *
 * A later place wins: default, INI file, environment (POSTERN_NAME, or POSTERN_NAME_FILE with the
 * name of a file that holds the value), flag (--name=value). Help, README and --check-config are
 * printed from the table. Used by the main thread only; what was loaded is not changed again.
 */
#ifndef POSTERN_SETTINGS_H
#define POSTERN_SETTINGS_H

#include "backend.h"
#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum setting_type {
    SETTING_TEXT,     /* char * */
    SETTING_CHOICE,   /* char *, one of `choices` */
    SETTING_COUNT,    /* int64_t */
    SETTING_DURATION, /* int64_t, milliseconds; written 500ms, 30s, 5m, 1h, 2d, or 30 (seconds) */
    SETTING_SIZE,     /* int64_t, bytes; written 64K, 8M, 4G, or 65536 */
    SETTING_SERVER,   /* struct mail_server; written tls://mail.example.com:993 */
};

struct mail_server {
    char *host; /* owned; NULL: none */
    uint16_t port;
    enum backend_security security;
};

struct settings { /* text is owned and may be empty, never NULL, once loaded */
    char *listen, *data_dir, *log_level;
    int64_t drain_timeout_ms;
    struct mail_server default_imap, default_pop3;
    char *allowed_hosts, *ca_file;
    char *mirror;
    int64_t mirror_days, mirror_idle_ms, first_page, backfill_batch;
    int64_t sessions_max, session_idle_ms, worker_threads, queue_max;
    int64_t signin_failures_max, signin_window_ms;
    int64_t workers, worker_memory_max;
    char *sandbox;
    int64_t interactive_connections, bulk_connections;
    int64_t account_connections_max, host_connections_max;
    int64_t connect_timeout_ms, connection_idle_ms, request_timeout_ms, content_timeout_ms;
    int64_t stall_timeout_ms, host_down_ms;
    int64_t http_connections_max, http_connections_per_address_max, header_bytes_max;
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    char *cors_origins;
    int64_t mail_line_bytes_max, mail_literal_bytes_max, mail_command_bytes_max;
    int64_t mail_nesting_max, mail_untagged_max, mail_folders_max;
    int64_t mail_answer_bytes_max, mail_command_time_max_ms, mail_parts_max;
    int64_t message_cpu_max_ms, message_memory_max;
};

struct setting {
    const char *name;
    enum setting_type type;
    const char *group;
    const char *unit;         /* of a count, for help: "days"; NULL: none */
    const char *default_text; /* NULL: depends on the machine, see default_note */
    const char *default_note;
    char *(*default_made)(void); /* then; caller frees */
    const char *choices;         /* "disk|memory" */
    int64_t min, max;            /* of the stored number */
    const char *help;
    const char *limit;              /* its name among the limits that GET /v1 shows, or NULL */
    bool secret;                    /* never shown */
    enum backend_protocol protocol; /* SETTING_SERVER: whose ports are the default */
    size_t offset;                  /* in struct settings */
};

extern const struct setting settings_table[]; /* ends with a NULL name; sorted by group */
extern const size_t settings_count;

/* By name; '-' counts as '_'. NULL when there is none. */
const struct setting *setting_find(const char *name, size_t length);

/* Every mistake found, a line each, so that they can be mended in one go. */
struct mistakes {
    struct buf lines;
    unsigned count;
};
void mistakes_add(struct mistakes *mistakes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- one value: settings_value.c ---- */
/* False leaves the old value and says why in `why`. */
bool setting_parse(const struct setting *row, const char *text, struct settings *settings,
                   struct fault *why);
void setting_clear(const struct setting *row, struct settings *settings);
/* As it would be written; a secret as "********". Unlike setting_parse never fails. */
void setting_format(const struct setting *row, const struct settings *settings, struct buf *out);
int64_t setting_number(const struct setting *row, const struct settings *settings);
/* What a value may be, for people: "1s to 10m", "`disk` or `memory`". */
void setting_bounds(const struct setting *row, struct buf *out);

/* ---- all of them: settings_load.c ---- */
char *settings_default_data_dir(void);
char *settings_default_workers(void);

enum setting_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

struct settings_origin {
    enum setting_source source;
    int line; /* FROM_FILE */
};

struct settings_flag { /* one --name=value */
    const char *name;  /* without dashes in front; not NUL-terminated */
    size_t name_length;
    const char *value; /* NULL: none was given */
};

struct settings_input {
    const char *config_file;  /* NULL: none */
    char *const *environment; /* like environ */
    const struct settings_flag *flags;
    size_t flag_count;
};

/* Fills `settings` and `origins` (settings_count of them) with what could be understood, and
 * `mistakes` with the rest. */
void settings_load(const struct settings_input *input, struct settings *settings,
                   struct settings_origin *origins, struct mistakes *mistakes);
void settings_clear(struct settings *settings); /* wipes and frees */

/* ---- what only shows when put together: settings_check.c ---- */
void settings_check(const struct settings *settings, struct mistakes *mistakes);

/* ---- printing: settings_print.c ---- */
/* An INI file that would give the same settings, with where each came from. */
void settings_print_effective(const struct settings *settings,
                              const struct settings_origin *origins, const char *config_file,
                              FILE *out);
void settings_print_help(FILE *out);
void settings_print_markdown(FILE *out);

#endif

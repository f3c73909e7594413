/* log.h - one JSON object a line on stderr.
 *
 * Each field is named and typed, so nothing is ever pasted into a message. Never a credential; no
 * subject, mail address or user name below LOG_DEBUG. Safe from every thread; a line is one
 * write().
 *
 *   log_event(LOG_INFO, "request", LOG_TEXT("route", route), LOG_INT("status", 200), LOG_END);
 */
#ifndef POSTERN_LOG_H
#define POSTERN_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };

struct log_field {
    const char *name; /* NULL ends the list */
    const char *text; /* NULL: a number */
    int64_t number;
};

static inline const char *log_text(const char *text)
{
    return text ? text : "";
}

/* clang-format off */
#define LOG_TEXT(field, value) ((struct log_field){.name = (field), .text = log_text(value)})
#define LOG_INT(field, value)  ((struct log_field){.name = (field), .number = (int64_t)(value)})
#define LOG_END                ((struct log_field){.name = NULL})
#define log_event(level, event, ...) \
    do { if (log_wants(level)) log_write((level), (event), (struct log_field[]){__VA_ARGS__}); } while (0)
/* clang-format on */

void log_set_level(enum log_level level);
bool log_wants(enum log_level level);
bool log_level_parse(const char *name, enum log_level *out); /* "error" "warn" "info" "debug" */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif

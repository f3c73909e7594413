/* log.c - a line is built whole and written by one write(), so threads never interleave. */
#include "log.h"
#include "buf.h"
#include "clock.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define LINE_MOST_BYTES  4096
#define VALUE_MOST_BYTES 512

static const char *const level_names[LOG_LEVELS] = {"error", "warn", "info", "debug"};
static atomic_int log_threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&log_threshold, (int)level);
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (int i = 0; i < LOG_LEVELS; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    struct buf line;
    char stamp[CLOCK_TEXT_BYTES];
    int64_t now_ms = clock_unix_ms();
    buf_init(&line, LINE_MOST_BYTES);
    clock_format(now_ms / 1000, stamp);
    stamp[strlen(stamp) - 1] = '\0'; /* the Z comes behind the milliseconds */
    buf_printf(&line, "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"event\":\"%s\"", stamp,
               (int)(now_ms % 1000), level_names[level], event);
    size_t head_length = line.length;
    for (const struct log_field *field = fields; field->name; field++) {
        buf_printf(&line, ",\"%s\":", field->name);
        if (field->text)
            buf_json_string(&line, field->text, strnlen(field->text, VALUE_MOST_BYTES));
        else
            buf_printf(&line, "%lld", (long long)field->number);
    }
    buf_text(&line, "}\n");
    if (line.overflowed) { /* an event without its fields is better than none */
        line.overflowed = false;
        line.length = head_length;
        buf_text(&line, ",\"fieldsDropped\":true}\n");
    }
    ssize_t written = write(STDERR_FILENO, line.data, line.length);
    (void)written; /* nowhere to complain */
    buf_clear(&line);
}

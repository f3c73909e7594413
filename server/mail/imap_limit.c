/* imap_limit.c - what a mail server may send at most, and the words for it when it sends more.
 *
 * One table: the sentence names the limit, its value and the setting that moves it. Whoever passes
 * a limit is not listened to any further: the connection is dead.
 */
#include "imap.h"

#include <inttypes.h>
#include <stdio.h>

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_MS };

struct limit_row {
    const char *before, *after; /* of the value */
    const char *setting;        /* NULL: no setting moves it */
    enum unit unit;
    enum err err;
};

static const struct limit_row limit_rows[] = {
    [LIMIT_LINE] = {"sent a line of more than ", "", "mail_line_bytes_max", UNIT_BYTES,
                    ERR_PROTOCOL},
    [LIMIT_NUMBERS] = {"sent a line of numbers of more than ", "", "mail_literal_bytes_max",
                       UNIT_BYTES, ERR_PROTOCOL},
    [LIMIT_LITERAL] = {"sent a literal of more than ", "", "mail_literal_bytes_max", UNIT_BYTES,
                       ERR_PROTOCOL},
    [LIMIT_ANSWER] = {"answered with more than ", "", "mail_answer_bytes_max", UNIT_BYTES,
                      ERR_PROTOCOL},
    [LIMIT_CONTENT] = {"answered with more than ", "", "mail_command_bytes_max", UNIT_BYTES,
                       ERR_PROTOCOL},
    [LIMIT_TIME] = {"took more than ", " for its answer", "mail_command_time_max", UNIT_MS,
                    ERR_TIMEOUT},
    [LIMIT_UNASKED] = {"sent more than ", " responses that were not asked for", "mail_untagged_max",
                       UNIT_COUNT, ERR_PROTOCOL},
    [LIMIT_FOLDERS] = {"lists more than ", " folders", "mail_folders_max", UNIT_COUNT,
                       ERR_PROTOCOL},
    [LIMIT_NAMES] = {"lists folders with names of more than ", " in all", NULL, UNIT_BYTES,
                     ERR_PROTOCOL},
    [LIMIT_RANGES] = {"tells of more than ", " separate runs of messages", NULL, UNIT_COUNT,
                      ERR_PROTOCOL},
};

static uint64_t limit_value(const struct backend_world *world, enum imapc_limit limit)
{
    switch (limit) {
    case LIMIT_LINE: return world->line_bytes_max;
    case LIMIT_NUMBERS:
    case LIMIT_LITERAL: return world->literal_bytes_max;
    case LIMIT_ANSWER: return world->answer_bytes_max;
    case LIMIT_CONTENT: return world->command_bytes_max;
    case LIMIT_TIME: return world->command_ms_max;
    case LIMIT_UNASKED: return world->untagged_max;
    case LIMIT_FOLDERS: return world->folders_max;
    case LIMIT_NAMES: return IMAPC_NAMES_BYTES_MAX;
    case LIMIT_RANGES: return BACKEND_RANGES_MAX;
    }
    return 0;
}

static void print_bytes(char *out, size_t size, uint64_t bytes)
{
    static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t power = 0;
    while (bytes >= 1024 && bytes % 1024 == 0 && power + 1 < sizeof names / sizeof *names) {
        bytes /= 1024;
        power++;
    }
    snprintf(out, size, "%" PRIu64 " %s", bytes, names[power]);
}

static void print_ms(char *out, size_t size, uint64_t ms)
{
    if (ms >= 120000 && ms % 60000 == 0)
        snprintf(out, size, "%" PRIu64 " minutes", ms / 60000);
    else if (ms >= 2000)
        snprintf(out, size, "%" PRIu64 " seconds", (ms + 500) / 1000);
    else
        snprintf(out, size, "%" PRIu64 " milliseconds", ms);
}

static void print_value(char *out, size_t size, enum unit unit, uint64_t value)
{
    switch (unit) {
    case UNIT_COUNT: snprintf(out, size, "%" PRIu64, value); break;
    case UNIT_BYTES: print_bytes(out, size, value); break;
    case UNIT_MS: print_ms(out, size, value); break;
    }
}

enum err imapc_limit_passed(struct imapc_wire *wire, struct fault *fault, enum imapc_limit limit)
{
    const struct limit_row *row = &limit_rows[limit];
    char value[48];
    print_value(value, sizeof value, row->unit, limit_value(wire->world, limit));
    wire->dead = true;
    return fault_set(fault, row->err, "the mail server %s%s%s%s%s%s", row->before, value,
                     row->after, row->setting ? " (" : "", row->setting ? row->setting : "",
                     row->setting ? ")" : "");
}

void imapc_limit_begin(struct imapc_wire *wire, int64_t deadline_ms)
{
    int64_t now_ms = clock_now_ms(), most_ms = now_ms + wire->world->command_ms_max;
    wire->time_is_ours = deadline_ms == DEADLINE_NONE || most_ms < deadline_ms;
    wire->began_ms = now_ms;
    wire->began_bytes = stream_bytes_in(wire->stream);
    stream_set_deadline(wire->stream, wire->time_is_ours ? most_ms : deadline_ms);
    wire->brings_content = false;
    stream_set_budget(wire->stream, wire->world->answer_bytes_max);
}

void imapc_limit_content(struct imapc_wire *wire)
{
    wire->brings_content = true;
    stream_set_budget(wire->stream, wire->world->command_bytes_max);
}

/* The stream knows neither settings nor what was asked. */
enum err imapc_limit_explain(struct imapc_wire *wire, struct fault *fault)
{
    struct fault plain = {.code = OK};
    char waited[48];
    wire->dead = true;
    enum err err = stream_failure(wire->stream, &plain);
    if (err == ERR_TOO_LARGE)
        return imapc_limit_passed(wire, fault, wire->brings_content ? LIMIT_CONTENT : LIMIT_ANSWER);
    if (err == ERR_TIMEOUT && wire->time_is_ours)
        return imapc_limit_passed(wire, fault, LIMIT_TIME);
    if (err == ERR_TIMEOUT && stream_bytes_in(wire->stream) > wire->began_bytes) {
        print_ms(waited, sizeof waited, (uint64_t)(clock_now_ms() - wire->began_ms));
        return fault_set(fault, err, "the mail server's answer was not complete after %s", waited);
    }
    return fault_set(fault, err, "%s", plain.detail);
}

/* settings_value.c - text to a typed, bounded value and back. */
#include "settings.h"
#include "arena.h"
#include "reach.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct unit {
    const char *suffix;
    int64_t factor;
};

/* Largest first: a value is shown in the largest unit that divides it. */
static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                             {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit size_units[] = {
    {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit count_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum setting_type type)
{
    if (type == SETTING_DURATION)
        return duration_units;
    return type == SETTING_SIZE ? size_units : count_units;
}

static void *slot(const struct setting *row, struct settings *settings)
{
    return (char *)settings + row->offset;
}

static const void *slot_const(const struct setting *row, const struct settings *settings)
{
    return (const char *)settings + row->offset;
}

static void replace_text(char **text, const char *value)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = value ? xstrdup(value) : NULL;
}

static void format_number(const struct setting *row, int64_t number, struct buf *out)
{
    const struct unit *unit = units_of(row->type);
    if (number == 0) {
        buf_text(out, row->type == SETTING_DURATION ? "0s" : "0");
        return;
    }
    while (number % unit->factor != 0)
        unit++;
    buf_printf(out, "%lld%s", (long long)(number / unit->factor), unit->suffix);
}

/* ---- parsing ---- */
static bool parse_number(const struct setting *row, const char *text, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t value;
    int64_t factor = row->type == SETTING_DURATION ? 1000 : 1; /* a plain number: seconds, bytes */
    if (!text_to_u64(text, digits, INT64_MAX, &value))
        return false;
    if (text[digits]) {
        const struct unit *unit = units_of(row->type);
        while (unit->suffix && text_casecmp(unit->suffix, text + digits) != 0)
            unit++;
        if (!unit->suffix)
            return false;
        factor = unit->factor;
    }
    return !__builtin_mul_overflow((int64_t)value, factor, out);
}

static bool parse_into_number(const struct setting *row, const char *text, int64_t *out,
                              struct fault *why)
{
    static const char *const forms[] = {
        [SETTING_COUNT] = "a whole number",
        [SETTING_DURATION] = "a duration like 30s, 5m or 1h",
        [SETTING_SIZE] = "a size like 64K or 8M",
    };
    int64_t number;
    if (!parse_number(row, text, &number)) {
        fault_set(why, ERR_INVALID, "\"%s\" is not %s", text, forms[row->type]);
        return false;
    }
    if (number < row->min || number > row->max) {
        struct buf bounds;
        buf_init(&bounds, 200);
        setting_bounds(row, &bounds);
        fault_set(why, ERR_INVALID, "\"%s\" is outside %s", text, bounds.data);
        buf_clear(&bounds);
        return false;
    }
    *out = number;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *choice = choices;; choice++) {
        size_t choice_length = strcspn(choice, "|");
        if (choice_length == length && memcmp(choice, text, length) == 0)
            return true;
        choice += choice_length;
        if (!*choice)
            return false;
    }
}

static bool parse_into_text(const struct setting *row, const char *text, char **out,
                            struct fault *why)
{
    size_t length = strlen(text);
    if (row->type == SETTING_CHOICE && !is_choice(row->choices, text))
        fault_set(why, ERR_INVALID, "\"%s\" is none of %s", text, row->choices);
    else if (row->type == SETTING_TEXT && length < (size_t)row->min)
        fault_set(why, ERR_INVALID, "may not be empty");
    else if (row->type == SETTING_TEXT && length > (size_t)row->max)
        fault_set(why, ERR_INVALID, "is longer than %lld bytes", (long long)row->max);
    else if (!text_is_utf8(text, length) || strpbrk(text, "\r\n"))
        fault_set(why, ERR_INVALID, "holds a line end or is not UTF-8");
    if (why->code)
        return false;
    replace_text(out, text);
    return true;
}

/* Splits "host", "host:port", "[v6]" and "[v6]:port"; the port text is "" when none is given. */
static bool split_authority(char *authority, char **host, const char **port)
{
    char *behind;
    *host = authority;
    if (*authority == '[') {
        behind = strchr(authority, ']');
        if (!behind)
            return false;
        *host = authority + 1;
        *behind++ = '\0';
    } else {
        behind = authority + strcspn(authority, ":");
    }
    *port = "";
    if (*behind == '\0')
        return true;
    if (*behind != ':' || behind[1] == '\0')
        return false;
    *behind = '\0';
    *port = behind + 1;
    return true;
}

static bool parse_authority(const struct setting *row, enum backend_security security,
                            const char *text, struct mail_server *out)
{
    char *authority = xstrdup(text), *host;
    const char *port_text;
    uint64_t port = backend_usual_port(row->protocol, security);
    bool good = split_authority(authority, &host, &port_text) && reach_host_is_valid(host) &&
                (!*port_text || (text_to_u64(port_text, strlen(port_text), 65535, &port) && port));
    if (good) {
        replace_text(&out->host, host);
        out->port = (uint16_t)port;
        out->security = security;
    }
    free(authority);
    return good;
}

static bool parse_into_server(const struct setting *row, const char *text, struct mail_server *out,
                              struct fault *why)
{
    if (!*text) {
        replace_text(&out->host, NULL);
        return true;
    }
    for (enum backend_security security = 0; security < SECURITY_COUNT; security++) {
        const char *scheme = backend_security_name(security);
        size_t length = strlen(scheme);
        if (strncmp(text, scheme, length) == 0 && strncmp(text + length, "://", 3) == 0 &&
            parse_authority(row, security, text + length + 3, out))
            return true;
    }
    /* Not repeated: people put passwords into URLs. */
    fault_set(why, ERR_INVALID,
              "is not tls://host[:port], starttls://host[:port] or none://host[:port]");
    return false;
}

bool setting_parse(const struct setting *row, const char *text, struct settings *settings,
                   struct fault *why)
{
    void *place = slot(row, settings);
    switch (row->type) {
    case SETTING_TEXT:
    case SETTING_CHOICE: return parse_into_text(row, text, place, why);
    case SETTING_SERVER: return parse_into_server(row, text, place, why);
    case SETTING_COUNT:
    case SETTING_DURATION:
    case SETTING_SIZE: break;
    }
    return parse_into_number(row, text, place, why);
}

void setting_clear(const struct setting *row, struct settings *settings)
{
    if (row->type == SETTING_SERVER)
        replace_text(&((struct mail_server *)slot(row, settings))->host, NULL);
    else if (row->type == SETTING_TEXT || row->type == SETTING_CHOICE)
        replace_text(slot(row, settings), NULL);
}

/* ---- showing ---- */
static void format_server(const struct mail_server *server, struct buf *out)
{
    if (!server->host)
        return;
    bool v6 = strchr(server->host, ':') != NULL;
    buf_printf(out, "%s://%s%s%s:%u", backend_security_name(server->security), v6 ? "[" : "",
               server->host, v6 ? "]" : "", server->port);
}

void setting_format(const struct setting *row, const struct settings *settings, struct buf *out)
{
    const void *place = slot_const(row, settings);
    if (row->secret) {
        buf_text(out, "********");
        return;
    }
    switch (row->type) {
    case SETTING_TEXT:
    case SETTING_CHOICE: buf_text(out, *(char *const *)place); return;
    case SETTING_SERVER: format_server(place, out); return;
    case SETTING_COUNT:
    case SETTING_DURATION:
    case SETTING_SIZE: break;
    }
    format_number(row, *(const int64_t *)place, out);
}

int64_t setting_number(const struct setting *row, const struct settings *settings)
{
    return *(const int64_t *)slot_const(row, settings);
}

void setting_bounds(const struct setting *row, struct buf *out)
{
    switch (row->type) {
    case SETTING_TEXT: buf_text(out, "text"); return;
    case SETTING_CHOICE: buf_text(out, row->choices); return;
    case SETTING_SERVER: buf_text(out, "URL"); return;
    case SETTING_COUNT:
    case SETTING_DURATION:
    case SETTING_SIZE: break;
    }
    format_number(row, row->min, out);
    buf_text(out, " to ");
    format_number(row, row->max, out);
    if (row->unit)
        buf_printf(out, " %s", row->unit);
}

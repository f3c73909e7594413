/* log_test.c - a log line is one JSON object, whatever it is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "text.h"

/* What log_write puts on stderr. */
static size_t captured(const struct log_field *fields, char *out, size_t capacity)
{
    int ends[2], real = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_write(LOG_INFO, "test", fields);
    dup2(real, STDERR_FILENO);
    close(real);
    close(ends[1]);
    ssize_t got = read(ends[0], out, capacity - 1);
    close(ends[0]);
    assert_true(got > 0);
    out[got] = '\0';
    return (size_t)got;
}

static void a_line_is_one_json_object(void **state)
{
    (void)state;
    char line[8192];
    captured((struct log_field[]){LOG_TEXT("route", "a\"b\nc\xff"), LOG_TEXT("none", NULL),
                                  LOG_INT("status", -5), LOG_END},
             line, sizeof line);
    const char *fields = strstr(line, "Z\",\"level\":\"info\",\"event\":\"test\"");
    assert_non_null(fields);
    assert_non_null(
        strstr(fields, "\"route\":\"a\\\"b\\nc\xef\xbf\xbd\",\"none\":\"\",\"status\":-5}\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void a_line_that_would_be_too_long_still_tells_its_event(void **state)
{
    (void)state;
    char line[8192], value[600];
    memset(value, 1, sizeof value - 1);
    value[sizeof value - 1] = '\0';
    size_t length =
        captured((struct log_field[]){LOG_TEXT("a", value), LOG_TEXT("b", value), LOG_END}, line,
                 sizeof line);
    assert_true(length < 4096);
    assert_non_null(strstr(line, "\"event\":\"test\",\"fieldsDropped\":true}\n"));
}

static void levels_are_known_by_name(void **state)
{
    (void)state;
    enum log_level level = LOG_INFO;
    assert_true(log_level_parse("debug", &level) && level == LOG_DEBUG);
    assert_false(log_level_parse("DEBUG", &level) || log_level_parse("", &level));
    log_set_level(LOG_WARN);
    assert_true(log_wants(LOG_ERROR) && log_wants(LOG_WARN));
    assert_false(log_wants(LOG_INFO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_json_object),
        cmocka_unit_test(a_line_that_would_be_too_long_still_tells_its_event),
        cmocka_unit_test(levels_are_known_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

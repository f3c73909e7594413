/* What the seam says of itself: names, usual ports, and which strings may reach a mail server. */
#include "backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void protocols_and_securities_have_the_names_of_the_api(void **state)
{
    (void)state;
    assert_string_equal(backend_protocol_name(PROTOCOL_IMAP), "imap");
    assert_string_equal(backend_protocol_name(PROTOCOL_POP3), "pop3");
    assert_string_equal(backend_security_name(SECURITY_TLS), "tls");
    assert_string_equal(backend_security_name(SECURITY_STARTTLS), "starttls");
    assert_string_equal(backend_security_name(SECURITY_NONE), "none");
}

static void the_usual_ports_are_those_of_the_registry(void **state)
{
    (void)state;
    assert_int_equal(backend_usual_port(PROTOCOL_IMAP, SECURITY_TLS), 993);
    assert_int_equal(backend_usual_port(PROTOCOL_IMAP, SECURITY_STARTTLS), 143);
    assert_int_equal(backend_usual_port(PROTOCOL_IMAP, SECURITY_NONE), 143);
    assert_int_equal(backend_usual_port(PROTOCOL_POP3, SECURITY_TLS), 995);
    assert_int_equal(backend_usual_port(PROTOCOL_POP3, SECURITY_STARTTLS), 110);
    assert_int_equal(backend_usual_port(PROTOCOL_POP3, SECURITY_NONE), 110);
}

static const char *of_length(size_t length)
{
    static char text[BACKEND_TOKEN_BYTES_MAX + 2];
    assert_true(length < sizeof text);
    memset(text, 'a', length);
    text[length] = '\0';
    return text;
}

static void a_user_name_ends_at_its_limit(void **state)
{
    struct fault fault = {0};
    (void)state;
    assert_int_equal(backend_check_username(of_length(BACKEND_USERNAME_BYTES_MAX), "/u", &fault),
                     OK);
    assert_int_equal(
        backend_check_username(of_length(BACKEND_USERNAME_BYTES_MAX + 1), "/u", &fault),
        ERR_INVALID);
    assert_string_equal(fault.pointer, "/u");
}

typedef enum err check_secret(const struct secret *secret, const char *pointer,
                              struct fault *fault);

static enum err verdict_on(check_secret *check, const char *text, size_t length)
{
    struct fault fault = {0};
    struct secret secret = {0};
    secret_set(&secret, text, length);
    enum err err = check(&secret, "/s", &fault);
    assert_true(!err || strcmp(fault.pointer, "/s") == 0);
    secret_wipe(&secret);
    return err;
}

static void a_secret_ends_at_the_limit_of_its_kind(void **state)
{
    static const struct {
        check_secret *check;
        size_t limit;
    } kinds[] = {{backend_check_password, BACKEND_PASSWORD_BYTES_MAX},
                 {backend_check_token, BACKEND_TOKEN_BYTES_MAX}};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (size_t over = 0; over < 2; over++) {
            size_t length = kinds[i].limit + over;
            assert_int_equal(verdict_on(kinds[i].check, of_length(length), length),
                             over ? ERR_INVALID : OK);
        }
}

static void a_token_holds_no_byte_that_parts_fields(void **state)
{
    (void)state;
    assert_int_equal(verdict_on(backend_check_token, "ya29.a-b_c~d+e/f==", 18), OK);
    for (int byte = 0; byte < 256; byte++) {
        char token[] = {'a', (char)byte, 'b'};
        bool is_printable = byte >= 0x20 && byte < 0x7f;
        bool ends_line = byte == '\r' || byte == '\n' || byte == '\0';
        assert_int_equal(verdict_on(backend_check_token, token, 3),
                         is_printable ? OK : ERR_INVALID);
        assert_int_equal(verdict_on(backend_check_password, token, 3),
                         ends_line ? ERR_INVALID : OK);
    }
}

static void a_keyword_ends_at_its_limit(void **state)
{
    (void)state;
    assert_true(backend_keyword_is_valid(of_length(BACKEND_KEYWORD_BYTES_MAX)));
    assert_false(backend_keyword_is_valid(of_length(BACKEND_KEYWORD_BYTES_MAX + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protocols_and_securities_have_the_names_of_the_api),
        cmocka_unit_test(the_usual_ports_are_those_of_the_registry),
        cmocka_unit_test(a_user_name_ends_at_its_limit),
        cmocka_unit_test(a_secret_ends_at_the_limit_of_its_kind),
        cmocka_unit_test(a_token_holds_no_byte_that_parts_fields),
        cmocka_unit_test(a_keyword_ends_at_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

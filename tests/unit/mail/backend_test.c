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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protocols_and_securities_have_the_names_of_the_api),
        cmocka_unit_test(the_usual_ports_are_those_of_the_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

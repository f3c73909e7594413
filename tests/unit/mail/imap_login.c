/* Signing in, as mail servers make it hard. */
#include "mail/imap_script.h"

#include "imap.h"

static struct desk desk;

static enum err sign_in(const char *text, struct desk_login login)
{
    desk_prepare(&desk, text);
    return desk_sign_in(&desk, login);
}

static const struct desk_login plain = {SECURITY_NONE, "user", "pass", NULL};
static const struct desk_login starttls = {SECURITY_STARTTLS, "user", "pass", NULL};
static const struct desk_login token = {SECURITY_NONE, "me@example.com", NULL, "t0ken"};

static void login_is_used_where_nothing_else_is_offered(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK hello\nC: CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: $ OK\n"
                             "C: LOGIN \"user\" \"pass\"\nS: $ OK in\n"
                             "C: CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE\nS: $ OK\n",
                             plain),
                     OK);
    struct backend_info info;
    backend_info_get(desk.backend, &desk.arena, &info);
    assert_true(info.caps & CAP_IDLE);
    assert_string_equal(info.capability_text, "IMAP4rev1 IDLE");
    desk_close(&desk);
}

static void an_awkward_password_travels_as_a_literal(void **state)
{
    (void)state;
    struct desk_login login = {SECURITY_NONE, "a\"b\\c", "p\xc3\xa4ss", NULL};
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1] hello\n"
                             "C: LOGIN \"a\\\"b\\\\c\" {5}\nS: + go on\nc: p\xc3\xa4ss\n"
                             "S: $ OK [CAPABILITY IMAP4rev1] in\n",
                             login),
                     OK);
    desk_close(&desk);
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 LITERAL+] hello\n"
                             "C: LOGIN \"a\\\"b\\\\c\" {5+}\nc: p\xc3\xa4ss\n"
                             "S: $ OK [CAPABILITY IMAP4rev1] in\n",
                             login),
                     OK);
    desk_close(&desk);
}

static void a_server_may_refuse_before_it_has_read_the_password(void **state)
{
    (void)state;
    struct desk_login login = {SECURITY_NONE, "user", "p\xc3\xa4ss", NULL};
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1] hello\n"
                             "C: LOGIN \"user\" {5}\nS: $ NO no such user\n",
                             login),
                     ERR_LOGIN);
    assert_string_equal(desk.call.fault.reply, "no such user");
    desk_close(&desk);
}

static void a_server_without_sasl_ir_asks_first(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\n"
                             "C: AUTHENTICATE PLAIN\nS: + \nc: AHVzZXIAcGFzcw==\n"
                             "S: $ OK [CAPABILITY IMAP4rev1] in\n",
                             plain),
                     OK);
    desk_close(&desk);
}

static void line_breaks_in_credentials_reach_nobody(void **state)
{
    (void)state;
    struct desk_login login = {SECURITY_NONE, "user", "pass\r\na2 DELETE INBOX", NULL};
    assert_int_equal(sign_in("S: * OK hello\n", login), ERR_INVALID);
    assert_string_equal(desk.call.fault.pointer, "/password");
    assert_int_equal(desk.script.tag_count, 0);
    desk_close(&desk);
    login = (struct desk_login){SECURITY_NONE, "us\ner", "pass", NULL};
    assert_int_equal(sign_in("S: * OK hello\n", login), ERR_INVALID);
    assert_string_equal(desk.call.fault.pointer, "/username");
    desk_close(&desk);
}

/* Behind all checks: what a caller has overlooked. */
static void what_no_command_may_hold_is_not_sent(void **state)
{
    static const char *const words[] = {
        "1 (UID FLAGS)\r\na9 LOGOUT", "\n", "\r", "\x01", "\x7f", "\xe9"};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        desk_open(&desk, SCRIPT_SIGNED_IN(""));
        struct imapc *imap = (struct imapc *)desk.backend;
        int before = desk.script.tag_count;
        assert_int_equal(imapc_begin(imap, &desk.call, NULL), OK);
        imapc_command(imap, "NOOP");
        imapc_command_end(imap);
        imapc_command(imap, "UID FETCH");
        imapc_word(imap, words[i]);
        imapc_command_end(imap);
        assert_int_equal(imapc_run(imap), ERR_INTERNAL);
        assert_true(imap->wire.dead);
        desk.call = desk_call(&desk);
        assert_int_equal(imapc_begin(imap, &desk.call, NULL), ERR_UNREACHABLE);
        assert_int_equal(desk.script.tag_count, before);
        desk_close(&desk);
    }
}

static void what_no_mailbox_name_may_hold_is_not_sent(void **state)
{
    static const struct imapc_span names[] = {{"a\r\na9 LOGOUT", 13}, {"a\nb", 3}, {"a\0b", 3}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        desk_open(&desk, SCRIPT_SIGNED_IN(" LITERAL+"));
        struct imapc *imap = (struct imapc *)desk.backend;
        int before = desk.script.tag_count;
        assert_int_equal(imapc_begin(imap, &desk.call, NULL), OK);
        imapc_command(imap, "SELECT");
        enum err err = imapc_astring(imap, names[i].text, names[i].length);
        imapc_command_end(imap);
        assert_int_equal(err ? err : imapc_run(imap), ERR_INTERNAL);
        assert_int_equal(desk.script.tag_count, before);
        desk_close(&desk);
    }
}

static void refusals_are_told_apart(void **state)
{
    static const struct {
        const char *answer;
        enum err err;
    } rows[] = {
        {"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", ERR_LOGIN},
        {"NO LOGIN failed.", ERR_LOGIN},
        {"NO [ALERT] Application-specific password required", ERR_LOGIN},
        {"NO [ALERT] Too many simultaneous connections. (Failure)", ERR_BUSY},
        {"NO [LIMIT] slow down", ERR_BUSY},
        {"NO [INUSE] elsewhere", ERR_BUSY},
        {"NO [UNAVAILABLE] Temporary authentication failure.", ERR_REFUSED},
        {"NO Maximum number of connections from user+IP exceeded", ERR_BUSY},
    };
    struct desk_login login = {SECURITY_NONE, "user", "wurzel", NULL};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "S: * OK [CAPABILITY IMAP4rev1] hello\nC: LOGIN \"user\" \"wurzel\"\nS: $ %s\n",
                 rows[i].answer);
        enum err err = sign_in(text, login);
        if (err != rows[i].err)
            print_error("%s: %s\n", rows[i].answer, err_name(err));
        assert_int_equal(err, rows[i].err);
        assert_true(desk.call.fault.reply[0] != '\0');
        assert_null(strchr(desk.call.fault.reply, '['));
        desk_close(&desk);
    }
}

static void a_reply_that_echoes_the_password_is_not_kept(void **state)
{
    (void)state;
    struct desk_login login = {SECURITY_NONE, "user", "hunter2secret", NULL};
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1] hello\n"
                             "C: LOGIN \"user\" \"hunter2secret\"\n"
                             "S: $ NO I do not know hunter2secret\n",
                             login),
                     ERR_LOGIN);
    assert_string_equal(desk.call.fault.reply, "");
    desk_close(&desk);
}

static void preauth_is_refused(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * PREAUTH welcome back\n", starttls), ERR_PROTOCOL);
    desk_close(&desk);
    assert_int_equal(sign_in("S: * PREAUTH welcome back\n", plain), ERR_PROTOCOL);
    desk_close(&desk);
}

static void no_password_goes_out_without_the_tls_asked_for(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1] no tls here\n", starttls), ERR_TLS);
    assert_int_equal(desk.script.tag_count, 0);
    desk_close(&desk);
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hello\nC: STARTTLS\n"
                             "S: $ NO not now\n",
                             starttls),
                     ERR_TLS);
    desk_close(&desk);
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hello\nC: STARTTLS\n"
                             "S: $ BAD what\n",
                             starttls),
                     ERR_TLS);
    desk_close(&desk);
}

static void bytes_behind_the_ok_to_starttls_are_an_attack(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hello\nC: STARTTLS\n"
                             "S: $ OK go|* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] injected\n",
                             starttls),
                     ERR_TLS);
    desk_close(&desk);
}

static void logindisabled_is_honoured(void **state)
{
    (void)state;
    assert_int_equal(
        sign_in("S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hello\n", plain), ERR_TLS);
    assert_int_equal(desk.script.tag_count, 0);
    desk_close(&desk);
}

static void a_greeting_may_be_a_goodbye(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * BYE Too many connections from your address\n", plain), ERR_BUSY);
    assert_true(desk.call.fault.retry_after_s > 0);
    desk_close(&desk);
    assert_int_equal(sign_in("S: 220 smtp.example.com ESMTP\n", plain), ERR_PROTOCOL);
    desk_close(&desk);
    assert_int_equal(sign_in("X:\n", plain), ERR_UNREACHABLE);
    desk_close(&desk);
}

static void a_token_goes_by_oauthbearer(void **state)
{
    (void)state;
    /* n,a=me@example.com,^Ahost=127.0.0.1^Aport=... : the port varies, so only the front */
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 AUTH=OAUTHBEARER AUTH=XOAUTH2 SASL-IR]"
                             " hello\n"
                             "C: AUTHENTICATE OAUTHBEARER bixhPW1lQGV4YW1wbGUuY29tLAFob3N0*\n"
                             "S: $ OK [CAPABILITY IMAP4rev1] in\n",
                             token),
                     OK);
    desk_close(&desk);
}

static void a_token_goes_by_xoauth2(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hello\n"
                             "C: AUTHENTICATE XOAUTH2\nS: + \n"
                             "c: dXNlcj1tZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB0MGtlbgEB\n"
                             "S: $ OK [CAPABILITY IMAP4rev1] in\n",
                             token),
                     OK);
    desk_close(&desk);
}

static void a_refused_token_is_answered_and_explained(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] hello\n"
                             "C: AUTHENTICATE XOAUTH2 *\n"
                             "S: + eyJzdGF0dXMiOiI0MDAifQ==\nc: \nS: $ NO failed\n",
                             token),
                     ERR_LOGIN);
    assert_string_equal(desk.call.fault.reply, "{\"status\":\"400\"}");
    desk_close(&desk);
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\n", token),
                     ERR_UNSUPPORTED);
    desk_close(&desk);
}

static void malformed_capabilities_crash_nothing(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK [CAPABILITY (( AUTH= \"x] hello\n"
                             "C: CAPABILITY*\nS: * CAPABILITY\nS: * CAPABILITY {4294967295}\n"
                             "S: $ OK\n",
                             plain),
                     ERR_PROTOCOL);
    desk_close(&desk);
    assert_int_equal(sign_in("S: * OK [BADCHARSET (\"x\")] hello\n"
                             "C: CAPABILITY\nS: * CAPABILITY ) ( \"\nS: $ OK\n"
                             "C: LOGIN \"user\" \"pass\"\nS: $ OK in\n"
                             "C: CAPABILITY\nS: * CAPABILITY AUTH=\nS: $ OK\n",
                             plain),
                     OK);
    desk_close(&desk);
}

static void the_server_may_say_who_it_is(void **state)
{
    (void)state;
    assert_int_equal(sign_in("S: * OK [CAPABILITY IMAP4rev1] hello\nC: LOGIN \"user\" \"pass\"\n"
                             "S: $ OK [CAPABILITY IMAP4rev1 ID NAMESPACE] in\n"
                             "C: ID (\"name\" \"postern\"*\nC: NAMESPACE\n"
                             "S: * ID (\"version\" NIL \"name\" \"Exam\\\"ple\")\nS: $1 OK\n"
                             "S: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\nS: $ OK\n",
                             plain),
                     OK);
    struct backend_info info;
    backend_info_get(desk.backend, &desk.arena, &info);
    assert_string_equal(info.server_name, "Exam\"ple");
    desk_close(&desk);
}

static void a_silent_server_costs_the_deadline_and_no_more(void **state)
{
    (void)state;
    desk_prepare(&desk, "S: * OK [CAPABILITY IMAP4rev1] hello\nC: LOGIN*\n");
    struct secret secret = {0};
    secret_set(&secret, "pass", 4);
    struct backend_target target = {.world = &desk.world,
                                    .security = SECURITY_NONE,
                                    .host = "127.0.0.1",
                                    .port = desk.script.port,
                                    .username = "user",
                                    .password = &secret};
    int64_t began_ms = clock_now_ms();
    desk.call = desk_call(&desk);
    desk.call.deadline_ms = began_ms + 150;
    assert_int_equal(backend_open(&backend_imap, &target, &desk.call, NULL, &desk.backend),
                     ERR_TIMEOUT);
    assert_true(clock_now_ms() - began_ms < 1500);
    secret_wipe(&secret);
    desk_close(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_is_used_where_nothing_else_is_offered),
        cmocka_unit_test(an_awkward_password_travels_as_a_literal),
        cmocka_unit_test(a_server_may_refuse_before_it_has_read_the_password),
        cmocka_unit_test(a_server_without_sasl_ir_asks_first),
        cmocka_unit_test(line_breaks_in_credentials_reach_nobody),
        cmocka_unit_test(what_no_command_may_hold_is_not_sent),
        cmocka_unit_test(what_no_mailbox_name_may_hold_is_not_sent),
        cmocka_unit_test(refusals_are_told_apart),
        cmocka_unit_test(a_reply_that_echoes_the_password_is_not_kept),
        cmocka_unit_test(preauth_is_refused),
        cmocka_unit_test(no_password_goes_out_without_the_tls_asked_for),
        cmocka_unit_test(bytes_behind_the_ok_to_starttls_are_an_attack),
        cmocka_unit_test(logindisabled_is_honoured),
        cmocka_unit_test(a_greeting_may_be_a_goodbye),
        cmocka_unit_test(a_token_goes_by_oauthbearer),
        cmocka_unit_test(a_token_goes_by_xoauth2),
        cmocka_unit_test(a_refused_token_is_answered_and_explained),
        cmocka_unit_test(malformed_capabilities_crash_nothing),
        cmocka_unit_test(the_server_may_say_who_it_is),
        cmocka_unit_test(a_silent_server_costs_the_deadline_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sessions with the answers of other servers, quirks and all, from tests/unit/mail/recorded. */
#include "mail/imap_script.h"

static struct desk desk;
static struct told told;

static char *read_script(const char *name)
{
    char path[200];
    char *text = calloc(1, 1 << 20);
    snprintf(path, sizeof path, "tests/unit/mail/recorded/%s", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

/* Signs in, lists, and reads the first page of INBOX. */
static void replay(const char *name, const char *folders, const char *messages)
{
    struct folder_known known = {.remote = "INBOX", .generation = 1, .floor = UINT32_MAX};
    char *text = read_script(name);
    desk_prepare(&desk, text);
    told_init(&told);
    assert_int_equal(desk_sign_in(&desk, (struct desk_login){SECURITY_NONE, "user", "pass", NULL}),
                     OK);
    desk.call = desk_call(&desk);
    enum err err = backend_list_folders(desk.backend, &desk.call, true, &told.folders);
    if (!err) {
        assert_told(&told, folders);
        desk.call = desk_call(&desk);
        err = backend_sync(desk.backend, &desk.call, &known, 50, &told.sink);
    }
    if (err)
        print_error("%s: %s: %s\n", name, err_name(err), desk.call.fault.detail);
    if (!err)
        assert_told(&told, messages);
    desk_close(&desk);
    told_clear(&told);
    free(text);
    assert_int_equal(err, OK);
}

static void gmail_speaks_of_labels(void **state)
{
    (void)state;
    replay(
        "gmail.txt",
        "INBOX inbox subscribed 2/3\n"
        "[Gmail] noselect\n"
        "[Gmail]/Alle Nachrichten all subscribed 0/9\n"
        "[Gmail]/Entw\xc3\xbcrfe drafts subscribed 0/0\n"
        "[Gmail]/Papierkorb trash subscribed 0/0\n"
        "[Gmail]/Spam junk 0/0\n"
        "[Gmail]/Markiert flagged subscribed 0/1\n"
        "[Gmail]/Wichtig subscribed 0/1\n"
        "Work \xe2\x88\x95 Life 0/0\n",
        "folder exists=2 reset\n"
        "message 17 flags=1 size=4210 subject=Gr\xc3\xbc\xc3\x9f"
        "e from=Ada<ada@example.org> "
        "to=<user@example.com> id=one@example.org ref=zero@example.org keyword=$NotPhishing "
        "remote=1278455344230334865 []multipart/alternative [1]text/plain [2]text/html\n"
        "message 19 flags=0 size=5400000000 subject=- from=<nobody@example.org> id=two@example.org "
        "remote=1278455344230334866 []multipart/mixed [1]text/plain "
        "[2]application/pdf:r\xc3\xa9sum\xc3\xa9.pdf\n");
}

static void exchange_leaves_quotes_and_fields_out(void **state)
{
    (void)state;
    replay("exchange.txt",
           "INBOX inbox subscribed 1/2\n"
           "Calendar subscribed 0/0\n"
           "Deleted Items trash? subscribed 0/4\n"
           "Drafts drafts? subscribed 0/0\n"
           "Junk Email junk? subscribed\n"
           "Sent Items sent? subscribed 0/1\n"
           "Projects subscribed 0/0\n"
           "Projects/A\"B\\C 0/0\n",
           "folder exists=3 reset\n"
           "message 101 flags=1 size=2048 subject=RE: budget from=Muster, Bruno<bruno@example.com> "
           "to=<team@example.com> id=ABC@mail.example.com []multipart/mixed [1]text/plain "
           "[2]application/octet-stream:winmail.dat\n"
           "message 102 flags=0 size=900 subject=Canceled: lunch from=MAILER<> "
           "[1]text/calendar\n"
           "message 104 flags=2 size=12 subject=could not be converted limited=1\n");
}

static void courier_nests_all_in_inbox(void **state)
{
    (void)state;
    replay("courier.txt",
           "INBOX/Trash trash? subscribed 0/1\n"
           "INBOX/Entw\xc3\xbcrfe drafts? subscribed 0/0\n"
           "INBOX inbox subscribed 1/1\n"
           "INBOX/Sent sent? subscribed 0/0\n"
           "#shared noselect\n"
           "#shared/team/Sent 0/0\n",
           "folder exists=1 reset\n"
           "message 5 flags=8 size=300 subject=a \"quoted\" {3} subject from=A<a@example.org> "
           "from=B<b@example.org> id=5@example.org [1]message/rfc822 [1.1]text/plain\n");
}

static void cyrus_sends_literals_everywhere(void **state)
{
    (void)state;
    replay("cyrus.txt",
           "INBOX inbox subscribed 0/1\n"
           "Archive archive subscribed 0/2\n"
           "odd \"name\" {here} 0/0\n"
           "nil 0/0\n"
           "Users/other/Sent 3/7\n",
           "folder exists=2 reset\n"
           "message 2 flags=11 size=77 subject=folded subject from=J\xc3\xb6rg<joerg@example.org> "
           "to=<> in undisclosed-recipients id=c@example.org keyword=$Label1 keyword=NonJunk "
           "[]multipart/mixed [1]multipart/alternative [1.1]text/plain [1.2]text/html\n"
           "message 3 flags=0 size=10 subject= [1]text/plain\n");
}

static void dovecot_needs_no_mercy(void **state)
{
    (void)state;
    replay(
        "dovecot.txt",
        "Archive archive subscribed 0/4\n"
        "Projets noselect\n"
        "Projets/\xc3\x89t\xc3\xa9 2026 subscribed 1/2\n"
        "\xe6\x97\xa5\xe6\x9c\xac subscribed 1/2\n"
        "INBOX inbox subscribed 10/36\n",
        "folder exists=1 reset\n"
        "message 23 flags=1 size=1896 subject=Fwd: The signed contract from=Ada "
        "Example<ada@example.org> to=Demo<demo@example.com> id=23@example.org keyword=$Forwarded "
        "[]multipart/mixed [1]text/plain [2]message/rfc822 [2.TEXT]multipart/mixed "
        "[2.1]text/plain [2.2]application/pdf:contract.pdf\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gmail_speaks_of_labels),
        cmocka_unit_test(exchange_leaves_quotes_and_fields_out),
        cmocka_unit_test(courier_nests_all_in_inbox),
        cmocka_unit_test(cyrus_sends_literals_everywhere),
        cmocka_unit_test(dovecot_needs_no_mercy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which hosts may be connected to: the special addresses, the tricks around them, the allow list.
 */
#include "peer.h"

static bool permits(const char *allowed, const char *host, const char *address, uint16_t port)
{
    struct reach *reach = reach_of(allowed);
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v6 = strchr(address, ':') != NULL;
    int parsed = is_v6 ? inet_pton(AF_INET6, address, &v6.sin6_addr)
                       : inet_pton(AF_INET, address, &v4.sin_addr);
    assert_int_equal(parsed, 1);
    bool yes =
        reach_permits(reach, host, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, port);
    reach_free(&reach);
    return yes;
}

static enum err check(const char *allowed, const char *host, uint16_t port)
{
    struct reach *reach = reach_of(allowed);
    struct fault fault = {0};
    enum err err = reach_check_host(reach, host, port, &fault);
    assert_int_equal(fault.code, err);
    reach_free(&reach);
    return err;
}

static const char *const special_addresses[] = {
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.9",
    "192.0.0.170",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::8.8.8.8",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff::8.8.8.8",
    "64:ff9b::1:0:0:1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:7f00:1::f7f7:f7f7",
    "2001:0:808:808::80ff:fffe",
    "2001:0:808:808::f5ff:fffe",
    "2001:1::1",
    "2001:1::2",
    "2001:1::3",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:c0a8:101::1",
    "2002:a9fe:a9fe::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "5f00::1",
    "4000::1",
    "8000::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "fe00::1",
    "1::1",
};

static const char *const public_addresses[] = {
    "1.1.1.1",         "8.8.8.8",          "9.255.255.255",
    "11.0.0.0",        "100.63.255.255",   "100.128.0.0",
    "126.255.255.255", "128.0.0.0",        "169.253.255.255",
    "169.255.0.0",     "172.15.255.255",   "172.32.0.0",
    "192.0.1.1",       "192.0.3.1",        "192.167.255.255",
    "192.169.0.0",     "198.17.255.255",   "198.20.0.0",
    "223.255.255.255", "2606:4700::1111",  "2a00:1450:4001::1",
    "2001:200::1",     "2001:db7::1",      "2001:db9::1",
    "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8", "2002:808:808::1",
    "2620:4f:8001::1", "3ffe::1",          "2001:0:808:808::f7f7:f7f7",
};

static void special_addresses_are_refused_on_every_mail_port(void **state)
{
    (void)state;
    static const uint16_t ports[] = {110, 143, 993, 995};
    for (size_t i = 0; i < sizeof special_addresses / sizeof special_addresses[0]; i++)
        for (size_t p = 0; p < 4; p++) {
            if (permits(NULL, "mail.example.com", special_addresses[i], ports[p]))
                fail_msg("%s is permitted", special_addresses[i]);
            if (!strstr(special_addresses[i], "%") &&
                check(NULL, special_addresses[i], ports[p]) == OK)
                fail_msg("%s may be tried", special_addresses[i]);
        }
}

static void public_addresses_are_permitted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof public_addresses / sizeof public_addresses[0]; i++) {
        if (!permits(NULL, "mail.example.com", public_addresses[i], 993))
            fail_msg("%s is refused", public_addresses[i]);
        if (check(NULL, public_addresses[i], 993) != OK)
            fail_msg("%s may not be tried", public_addresses[i]);
    }
}

static void only_mail_ports_are_open_by_default(void **state)
{
    (void)state;
    static const uint16_t closed[] = {0,   1,   22,  25,  80,  109, 111,
                                      144, 443, 465, 587, 992, 994, 65535};
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        assert_false(permits(NULL, "mail.example.com", "8.8.8.8", closed[i]));
        assert_int_equal(check(NULL, "mail.example.com", closed[i]), ERR_HOST_NOT_ALLOWED);
        assert_int_equal(check(NULL, "8.8.8.8", closed[i]), ERR_HOST_NOT_ALLOWED);
    }
    assert_int_equal(check(NULL, "mail.example.com", 143), OK);
}

static void other_address_families_are_refused(void **state)
{
    (void)state;
    struct reach *reach = reach_of("*");
    struct sockaddr_storage local = {.ss_family = AF_UNIX};
    assert_false(reach_permits(reach, "mail.example.com", (struct sockaddr *)&local, 993));
    reach_free(&reach);
}

static void host_names_have_the_syntax_of_dns(void **state)
{
    (void)state;
    static const char *const good[] = {
        "mail.example.com",
        "MAIL.Example.COM",
        "mail.example.com.",
        "localhost",
        "xn--bcher-kva.example",
        "1and1.example.com",
        "a",
        "127.0.0.1",
        "::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "imap_1.example.com",
        "0xmail.example",
        "1.2.3.com",
    };
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "-a.example",
        "a-.example",
        "a b",
        "a\r\nb",
        "a/b",
        "a@b",
        "[::1]",
        "fe80::1%lo",
        "127.1",
        "127.0.0.1.",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "1.2.3.4.5",
        "mail.example.1",
        "mail.0x",
        "256.1.1.1",
        "b\xc3\xbc"
        "cher.example",
        "mail.example.com:143",
        "*",
        "*.a",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
        "1:2",
        ":::1",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!reach_host_is_valid(good[i]))
            fail_msg("\"%s\" is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (reach_host_is_valid(bad[i]))
            fail_msg("\"%s\" is taken", bad[i]);
        assert_int_equal(check("*", bad[i], 143), ERR_HOST_NOT_ALLOWED);
    }
}

static void a_name_may_have_253_letters_and_no_more(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'a', sizeof name);
    for (size_t i = 50; i < 250; i += 50)
        name[i] = '.';
    name[253] = '\0';
    assert_true(reach_host_is_valid(name));
    name[253] = 'a';
    name[254] = '\0';
    assert_false(reach_host_is_valid(name));
}

struct grant {
    const char *allowed, *host, *address;
    uint16_t port;
    bool permitted;
};

static const struct grant grants[] = {
    {"mail.internal", "mail.internal", "10.0.0.1", 143, true},
    {"mail.internal", "MAIL.Internal.", "10.0.0.1", 10143, true},
    {"Mail.INTERNAL.", "mail.internal", "10.0.0.1", 143, true},
    {"mail.internal", "xmail.internal", "10.0.0.1", 143, false},
    {"mail.internal", "a.mail.internal", "10.0.0.1", 143, false},
    {"mail.internal", "mail.internal.example.com", "10.0.0.1", 143, false},
    {"mail.internal:143", "mail.internal", "10.0.0.1", 143, true},
    {"mail.internal:143", "mail.internal", "10.0.0.1", 993, false},
    {"*.internal", "a.internal", "10.0.0.1", 143, true},
    {"*.internal", "a.b.INTERNAL.", "10.0.0.1", 143, true},
    {"*.internal", "internal", "10.0.0.1", 143, false},
    {"*.internal", "evilinternal", "10.0.0.1", 143, false},
    {"*.internal", ".internal", "10.0.0.1", 143, false},
    {"*.internal:993", "a.internal", "10.0.0.1", 143, false},
    {"10.0.0.0/8", "x.example.com", "10.200.1.1", 25, true},
    {"10.0.0.0/8", "x.example.com", "11.0.0.1", 25, false},
    {"10.0.0.0/8:143", "x.example.com", "10.0.0.1", 143, true},
    {"10.0.0.0/8:143", "x.example.com", "10.0.0.1", 993, false},
    {"10.0.0.0/8", "x.example.com", "::ffff:10.0.0.1", 143, true},
    {"10.0.0.0/8", "x.example.com", "64:ff9b::10.0.0.1", 143, false},
    {"::ffff:10.0.0.0/104", "x.example.com", "10.9.9.9", 143, true},
    {"::ffff:10.0.0.0/104", "x.example.com", "11.9.9.9", 25, false},
    {"127.0.0.1", "127.0.0.1", "127.0.0.1", 10143, true},
    {"127.0.0.1", "127.0.0.1", "127.0.0.2", 10143, false},
    {"127.0.0.1:10143", "localhost", "127.0.0.1", 10143, true},
    {"192.168.1.128/25", "x.example.com", "192.168.1.127", 143, false},
    {"192.168.1.128/25", "x.example.com", "192.168.1.128", 143, true},
    {"fd00::/8", "x.example.com", "fd12::1", 143, true},
    {"fd00::/8", "x.example.com", "fe80::1", 143, false},
    {"fd00::/8:143", "x.example.com", "fd12::1", 993, false},
    {"[fd00::1]:143", "x.example.com", "fd00::1", 143, true},
    {"[fd00::1]:143", "x.example.com", "fd00::1", 144, false},
    {"[fd00::]/8:143", "x.example.com", "fd77::1", 143, true},
    {"[fd00::/8]:143", "x.example.com", "fd77::1", 143, true},
    {"fd00::1:143", "x.example.com", "fd00::1:143", 993, true},
    {"fd00::1:143", "x.example.com", "fd00::1", 143, false},
    {"::1", "localhost", "::1", 143, true},
    {"*", "x.example.com", "127.0.0.1", 1, true},
    {"*", "x.example.com", "fe80::1", 65535, true},
    {"*:25", "x.example.com", "127.0.0.1", 25, true},
    {"*:25", "x.example.com", "127.0.0.1", 143, false},
    {"0.0.0.0/0", "x.example.com", "127.0.0.1", 80, true},
    {"0.0.0.0/0", "x.example.com", "::1", 143, false},
    {"a.example, 10.0.0.0/8\t b.example:1\n,,", "b.example", "127.0.0.1", 1, true},
    {"a.example, 10.0.0.0/8\t b.example:1\n,,", "c.example", "10.0.0.1", 99, true},
    {"", "x.example.com", "10.0.0.1", 143, false},
    {" ,\n", "x.example.com", "8.8.8.8", 143, true},
    {"10.0.0.0/8", "x.example.com", "8.8.8.8", 143, true},
};

static void the_allow_list_opens_what_it_names_and_nothing_beside(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof grants / sizeof grants[0]; i++) {
        const struct grant *row = &grants[i];
        if (permits(row->allowed, row->host, row->address, row->port) != row->permitted)
            fail_msg("allowed \"%s\", host %s at %s port %u", row->allowed, row->host, row->address,
                     row->port);
    }
}

static void before_dns_a_name_passes_when_an_address_of_it_might(void **state)
{
    (void)state;
    assert_int_equal(check("10.0.0.0/8:2143", "x.example.com", 2143), OK);
    assert_int_equal(check("10.0.0.0/8:2143", "x.example.com", 2144), ERR_HOST_NOT_ALLOWED);
    assert_int_equal(check("mail.internal:2143", "mail.internal", 2143), OK);
    assert_int_equal(check("mail.internal:2143", "x.example.com", 2143), ERR_HOST_NOT_ALLOWED);
    assert_int_equal(check("10.0.0.0/8", "10.1.1.1", 22), OK);
    assert_int_equal(check("10.0.0.0/8", "11.1.1.1", 22), ERR_HOST_NOT_ALLOWED);
    assert_int_equal(check("*", "127.0.0.1", 22), OK);
}

/* What an address could open is for DNS to say; what nothing could open is refused at once. */
static void a_port_that_no_rule_could_open_needs_no_dns(void **state)
{
    static const struct {
        const char *allowed, *host;
        enum err err;
    } rows[] = {
        {"", "mail.example.com", ERR_HOST_NOT_ALLOWED},
        {"localhost", "mail.example.com", ERR_HOST_NOT_ALLOWED},
        {"*.internal", "mail.example.com", ERR_HOST_NOT_ALLOWED},
        {"10.0.0.0/8:143, 127.0.0.1:10143", "mail.example.com", ERR_HOST_NOT_ALLOWED},
        {"mail.example.com:143", "mail.example.com", ERR_HOST_NOT_ALLOWED},
        {"*:8081", "mail.example.com", ERR_HOST_NOT_ALLOWED},
        {"127.0.0.1", "mail.example.com", OK},
        {"127.0.0.1:8080", "mail.example.com", OK},
        {"10.0.0.0/8", "mail.example.com", OK},
        {"10.0.0.0/8:8080", "mail.example.com", OK},
        {"*.example.com", "mail.example.com", OK},
        {"*:8080", "mail.example.com", OK},
        {"127.0.0.1", "8.8.8.8", ERR_HOST_NOT_ALLOWED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (check(rows[i].allowed, rows[i].host, 8080) != rows[i].err)
            fail_msg("allowed \"%s\", host %s", rows[i].allowed, rows[i].host);
}

static void a_bad_entry_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *allowed, *named, *why;
    } rows[] = {
        {"good.example, bad_-.example", "\"bad_-.example\"", "not a host name"},
        {"10.0.0.0/33", "\"10.0.0.0/33\"", "prefix length"},
        {"10.0.0.0/", "\"10.0.0.0/\"", "prefix length"},
        {"10.0.0.0/-1", "\"10.0.0.0/-1\"", "prefix length"},
        {"10.0.0.1/8", "\"10.0.0.1/8\"", "bits set behind"},
        {"10.0.0/8", "\"10.0.0/8\"", "not an address"},
        {"fd00::/129", "\"fd00::/129\"", "prefix length"},
        {"fd00::1/64", "\"fd00::1/64\"", "bits set behind"},
        {"::ffff:10.0.0.0/95", "\"::ffff:10.0.0.0/95\"", "prefix length"},
        {"mail.example.com:0", "\"mail.example.com:0\"", "port"},
        {"mail.example.com:65536", "\"mail.example.com:65536\"", "port"},
        {"mail.example.com:", "\"mail.example.com:\"", "port"},
        {"mail.example.com:imap", "\"mail.example.com:imap\"", "port"},
        {"mail.example.com:+1", "\"mail.example.com:+1\"", "port"},
        {"[fd00::1:143", "\"[fd00::1:143\"", "brackets"},
        {"[fd00::1]143", "\"[fd00::1]143\"", "brackets"},
        {"[fd00::/8]/8", "\"[fd00::/8]/8\"", "two prefix lengths"},
        {"[mail.example.com]:143", "\"[mail.example.com]:143\"", "not an address"},
        {"*mail.example.com", "\"*mail.example.com\"", "not a host name"},
        {"mail.*.com", "\"mail.*.com\"", "not a host name"},
        {"*.", "\"*.\"", "not a host name"},
        {"*.*.com", "\"*.*.com\"", "not a host name"},
        {"127.1", "\"127.1\"", "not a host name"},
        {"https://mail.example.com", "\"https://mail.example.com\"", ""},
        {"b\xc3\xbc"
         "cher.example",
         "\"b??cher.example\"", "not a host name"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fault fault = {0};
        struct reach *reach = NULL;
        if (reach_new(rows[i].allowed, &fault, &reach) != ERR_INVALID)
            fail_msg("\"%s\" is taken", rows[i].allowed);
        assert_null(reach);
        if (!strstr(fault.detail, rows[i].named) || !strstr(fault.detail, rows[i].why))
            fail_msg("\"%s\" gives \"%s\"", rows[i].allowed, fault.detail);
    }
}

static void an_endless_entry_is_refused(void **state)
{
    (void)state;
    char allowed[2000];
    struct fault fault = {0};
    struct reach *reach = NULL;
    memset(allowed, 'a', sizeof allowed - 1);
    allowed[sizeof allowed - 1] = '\0';
    assert_int_equal(reach_new(allowed, &fault, &reach), ERR_INVALID);
    assert_non_null(strstr(fault.detail, "too long"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_addresses_are_refused_on_every_mail_port),
        cmocka_unit_test(public_addresses_are_permitted),
        cmocka_unit_test(only_mail_ports_are_open_by_default),
        cmocka_unit_test(other_address_families_are_refused),
        cmocka_unit_test(host_names_have_the_syntax_of_dns),
        cmocka_unit_test(a_name_may_have_253_letters_and_no_more),
        cmocka_unit_test(the_allow_list_opens_what_it_names_and_nothing_beside),
        cmocka_unit_test(before_dns_a_name_passes_when_an_address_of_it_might),
        cmocka_unit_test(a_port_that_no_rule_could_open_needs_no_dns),
        cmocka_unit_test(a_bad_entry_is_named),
        cmocka_unit_test(an_endless_entry_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Who is suspected, where it is served, how long it waits, when it is forgotten; time is the
 * test's. */
#include "quarantine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

static struct sockaddr_storage at(const char *address, uint16_t port)
{
    struct sockaddr_storage peer = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&peer;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer;
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
    }
    return peer;
}

static void blame(struct quarantine *quarantine, const char *host, const char *address,
                  uint64_t crash, int64_t now_ms)
{
    struct sockaddr_storage peer = at(address, 993);
    struct party party = {host, "ann", &peer};
    quarantine_blame(quarantine, &party, (struct blame){crash, .alone = true, .only = true},
                     now_ms);
}

static struct quarantine_verdict ask(struct quarantine *quarantine, const char *host,
                                     const char *address, int64_t now_ms)
{
    struct sockaddr_storage peer = at(address, 993);
    struct party party = {host, "ann", &peer};
    return quarantine_ask(quarantine, &party, now_ms);
}

static void who_was_served_during_a_crash_is_suspected_and_nobody_else(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    (void)state;
    assert_false(ask(quarantine, "bad.example", "192.0.2.1", 0).suspected);
    blame(quarantine, "bad.example", "192.0.2.1", 1, 0);
    assert_true(ask(quarantine, "bad.example", "192.0.2.1", 0).suspected);
    assert_int_equal(ask(quarantine, "bad.example", "192.0.2.1", 0).pause_ms, 0);
    assert_false(ask(quarantine, "good.example", "192.0.2.2", 0).suspected);
    assert_int_equal(quarantine_hosts(quarantine, 0), 1);
    quarantine_free(&quarantine);
}

static void another_spelling_name_or_address_does_not_begin_anew(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    (void)state;
    blame(quarantine, "bad.example", "192.0.2.1", 1, 0);
    assert_true(ask(quarantine, "BAD.example", "192.0.2.9", 0).suspected);
    assert_true(ask(quarantine, "x1.bad.example", "192.0.2.1", 0).suspected);
    blame(quarantine, "x1.bad.example", "192.0.2.1", 2, 0);
    assert_int_equal(ask(quarantine, "x2.bad.example", "192.0.2.1", 0).pause_ms, 1000);
    blame(quarantine, "six.example", "2001:db8:1:2::5", 3, 0);
    assert_true(ask(quarantine, "seven.example", "2001:db8:1:2:ffff::7", 0).suspected);
    assert_false(ask(quarantine, "seven.example", "2001:db8:1:3::5", 0).suspected);
    quarantine_free(&quarantine);
}

static void another_server_at_the_same_address_is_not_suspected(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    struct sockaddr_storage other = at("127.0.0.1", 1143);
    (void)state;
    blame(quarantine, "localhost", "127.0.0.1", 1, 0);
    assert_false(
        quarantine_ask(quarantine, &(struct party){"localhost", "ann", &other}, 0).suspected);
    quarantine_free(&quarantine);
}

static void pauses_double_with_each_further_crash_up_to_five_minutes(void **state)
{
    static const int64_t pauses[] = {0,     1000,  2000,   4000,   8000,   16000,
                                     32000, 64000, 128000, 256000, 300000, 300000};
    struct quarantine *quarantine = quarantine_new();
    int64_t now_ms = 5000;
    (void)state;
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        blame(quarantine, "bad.example", "192.0.2.1", i + 1, now_ms);
        assert_int_equal(ask(quarantine, "bad.example", "192.0.2.1", now_ms).pause_ms, pauses[i]);
        now_ms += pauses[i];
        assert_int_equal(ask(quarantine, "bad.example", "192.0.2.1", now_ms).pause_ms, 0);
    }
    for (uint64_t i = 0; i < 100; i++)
        blame(quarantine, "bad.example", "192.0.2.1", 1000 + i, now_ms);
    assert_int_equal(ask(quarantine, "bad.example", "192.0.2.1", now_ms).pause_ms, 300000);
    quarantine_free(&quarantine);
}

static void who_was_not_the_only_one_is_suspected_and_never_paused(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    struct sockaddr_storage peer = at("192.0.2.1", 993);
    (void)state;
    for (uint64_t crash = 1; crash <= 50; crash++) {
        struct blame blame = {.crash = crash, .alone = true, .only = false};
        struct party party = {"big.example", "ann", &peer};
        assert_true(quarantine_blame(quarantine, &party, blame, 0));
        assert_true(ask(quarantine, "big.example", "192.0.2.1", 0).suspected);
        assert_int_equal(ask(quarantine, "big.example", "192.0.2.1", 0).pause_ms, 0);
    }
    blame(quarantine, "big.example", "192.0.2.1", 51, 0);
    assert_int_equal(ask(quarantine, "big.example", "192.0.2.1", 0).pause_ms, 1000);
    quarantine_free(&quarantine);
}

static int64_t pause_of(struct quarantine *quarantine, const char *username)
{
    struct sockaddr_storage peer = at("192.0.2.1", 993);
    struct party party = {"big.example", username, &peer};
    return quarantine_ask(quarantine, &party, 0).pause_ms;
}

static void a_letter_that_crashes_workers_costs_nobody_but_its_reader(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    (void)state;
    for (uint64_t crash = 1; crash <= 50; crash++)
        blame(quarantine, "big.example", "192.0.2.1", crash, 0);
    assert_int_equal(pause_of(quarantine, "ann"), 300000);
    assert_int_equal(pause_of(quarantine, "bob"), 0);
    quarantine_free(&quarantine);
}

static void a_server_that_crashes_workers_for_many_is_left_alone_by_all(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    struct sockaddr_storage peer = at("192.0.2.1", 993);
    char username[20];
    (void)state;
    for (unsigned crash = 1; crash <= QUARANTINE_ACCOUNTS + 1; crash++) {
        assert_int_equal(pause_of(quarantine, "bob"), 0);
        snprintf(username, sizeof username, "user%u", crash);
        struct party party = {"big.example", username, &peer};
        quarantine_blame(quarantine, &party, (struct blame){crash, true, true}, 0);
    }
    assert_int_equal(pause_of(quarantine, "bob"), 1000);
    quarantine_free(&quarantine);
}

static void one_crash_counts_once_however_many_connections_it_took(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    struct sockaddr_storage peer = at("192.0.2.1", 993);
    struct party party = {"bad.example", "ann", &peer};
    (void)state;
    assert_true(quarantine_blame(quarantine, &party, (struct blame){7, true, true}, 0));
    assert_false(quarantine_blame(quarantine, &party, (struct blame){7, true, true}, 0));
    assert_int_equal(ask(quarantine, "bad.example", "192.0.2.1", 0).pause_ms, 0);
    quarantine_free(&quarantine);
}

static void an_hour_without_a_crash_is_enough(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    (void)state;
    blame(quarantine, "a.example", "192.0.2.1", 1, 0);
    blame(quarantine, "b.example", "192.0.2.2", 2, 1000);
    blame(quarantine, "a.example", "192.0.2.1", 3, 2000);
    assert_true(ask(quarantine, "b.example", "192.0.2.2", QUARANTINE_RELEASE_MS + 999).suspected);
    assert_false(ask(quarantine, "b.example", "192.0.2.2", QUARANTINE_RELEASE_MS + 1000).suspected);
    assert_true(ask(quarantine, "a.example", "192.0.2.1", QUARANTINE_RELEASE_MS + 1999).suspected);
    assert_int_equal(quarantine_hosts(quarantine, QUARANTINE_RELEASE_MS + 2000), 0);
    quarantine_free(&quarantine);
}

static void each_has_a_place_of_its_own_until_they_run_out(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    unsigned guests[QUARANTINE_WORKERS_MAX] = {0};
    (void)state;
    for (unsigned i = 0; i < 2 * QUARANTINE_WORKERS_MAX; i++) {
        char host[40], address[40];
        snprintf(host, sizeof host, "h%u.example", i);
        snprintf(address, sizeof address, "192.0.2.%u", i + 1);
        blame(quarantine, host, address, i + 1, 0);
        struct quarantine_verdict verdict = ask(quarantine, host, address, 0);
        assert_in_range(verdict.place, 0, QUARANTINE_WORKERS_MAX - 1);
        assert_int_equal(guests[verdict.place]++, i / QUARANTINE_WORKERS_MAX);
    }
    quarantine_free(&quarantine);
}

static void the_table_is_bounded_and_forgets_the_oldest(void **state)
{
    struct quarantine *quarantine = quarantine_new();
    (void)state;
    for (unsigned i = 0; i < QUARANTINE_SUSPECTS_MAX; i++) {
        char host[40], address[40];
        snprintf(host, sizeof host, "h%u.example", i);
        snprintf(address, sizeof address, "10.0.%u.%u", i / 256, i % 256);
        blame(quarantine, host, address, i + 1, i);
    }
    assert_int_equal(quarantine_hosts(quarantine, QUARANTINE_SUSPECTS_MAX),
                     QUARANTINE_SUSPECTS_MAX / 4);
    assert_false(ask(quarantine, "h0.example", "10.0.0.0", QUARANTINE_SUSPECTS_MAX).suspected);
    assert_true(ask(quarantine, "h4095.example", "10.0.15.255", QUARANTINE_SUSPECTS_MAX).suspected);
    quarantine_free(&quarantine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_served_during_a_crash_is_suspected_and_nobody_else),
        cmocka_unit_test(another_spelling_name_or_address_does_not_begin_anew),
        cmocka_unit_test(another_server_at_the_same_address_is_not_suspected),
        cmocka_unit_test(pauses_double_with_each_further_crash_up_to_five_minutes),
        cmocka_unit_test(who_was_not_the_only_one_is_suspected_and_never_paused),
        cmocka_unit_test(a_letter_that_crashes_workers_costs_nobody_but_its_reader),
        cmocka_unit_test(a_server_that_crashes_workers_for_many_is_left_alone_by_all),
        cmocka_unit_test(one_crash_counts_once_however_many_connections_it_took),
        cmocka_unit_test(an_hour_without_a_crash_is_enough),
        cmocka_unit_test(each_has_a_place_of_its_own_until_they_run_out),
        cmocka_unit_test(the_table_is_bounded_and_forgets_the_oldest),
    };
    return cmocka_run_group_tests_name("quarantine", tests, NULL, NULL);
}

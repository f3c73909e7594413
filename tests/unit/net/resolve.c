/* Name lookups that hang, are shared, and are left. */
#include "peer.h"

#include "resolve.h"

#define HUNG 40 /* more than RESOLVE_THREADS */

static const struct dns_row rows[] = {
    {"hang.example.com", {"192.0.2.1"}},
    {"mixed.example.com", {"2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"}},
    {"v4.example.com", {"192.0.2.9"}},
    {"mapped.example.com", {"::ffff:127.0.0.1"}},
    {NULL, {NULL}},
};

static enum err look_up(const char *host, int64_t patience_ms, struct address_list *out,
                        struct fault *fault)
{
    return resolve_host(host, 143, clock_now_ms() + patience_ms, NULL, fault, out);
}

static void numeric_hosts_ask_nobody(void **state)
{
    (void)state;
    struct address_list list;
    struct fault fault = {0};
    int before = atomic_load(&dns_calls);
    assert_int_equal(look_up("192.0.2.7", SOON_MS, &list, &fault), OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.addresses[0].v4.sin_family, AF_INET);
    assert_int_equal(ntohs(list.addresses[0].v4.sin_port), 143);
    assert_int_equal(look_up("2001:db8::7", SOON_MS, &list, &fault), OK);
    assert_int_equal(list.addresses[0].v6.sin6_family, AF_INET6);
    assert_int_equal(ntohs(list.addresses[0].v6.sin6_port), 143);
    assert_int_equal(atomic_load(&dns_calls), before);
}

static void families_take_turns(void **state)
{
    (void)state;
    struct address_list list;
    struct fault fault = {0};
    assert_int_equal(look_up("Mixed.example.COM.", PLENTY_MS, &list, &fault), OK);
    assert_int_equal(list.count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(list.addresses[i].any.sa_family, i % 2 ? AF_INET : AF_INET6);
    assert_int_equal(ntohs(list.addresses[3].v4.sin_port), 143);
}

static void a_mapped_address_is_taken_for_the_ipv4_one_it_is(void **state)
{
    (void)state;
    struct address_list list;
    struct fault fault = {0};
    assert_int_equal(look_up("mapped.example.com", PLENTY_MS, &list, &fault), OK);
    assert_int_equal(list.addresses[0].any.sa_family, AF_INET);
}

static void an_unknown_name_is_unreachable(void **state)
{
    (void)state;
    struct address_list list;
    struct fault fault = {0};
    assert_int_equal(look_up("nowhere.example.com", PLENTY_MS, &list, &fault), ERR_UNREACHABLE);
    assert_non_null(strstr(fault.detail, "no address is known"));
}

static void a_hung_lookup_is_left_at_the_deadline(void **state)
{
    (void)state;
    struct address_list list;
    struct fault fault = {0};
    atomic_store(&dns_hangs, true);
    int64_t start_ms = clock_now_ms();
    assert_int_equal(look_up("hang.example.com", SOON_MS, &list, &fault), ERR_TIMEOUT);
    int64_t took_ms = clock_now_ms() - start_ms;
    assert_in_range(took_ms, SOON_MS - 5, SOON_MS + LATE_MS);
    atomic_store(&dns_hangs, false);
}

static void *raise_flag(void *flag)
{
    usleep(100000);
    __atomic_store_n((bool *)flag, true, __ATOMIC_RELAXED);
    return NULL;
}

static void a_hung_lookup_can_be_cancelled(void **state)
{
    (void)state;
    struct address_list list;
    struct fault fault = {0};
    bool cancelled = false;
    pthread_t thread;
    atomic_store(&dns_hangs, true);
    int64_t start_ms = clock_now_ms();
    pthread_create(&thread, NULL, raise_flag, &cancelled);
    assert_int_equal(
        resolve_host("hang2.example.com", 143, start_ms + PLENTY_MS, &cancelled, &fault, &list),
        ERR_CANCELLED);
    assert_in_range(clock_now_ms() - start_ms, 95, LATE_MS);
    pthread_join(thread, NULL);
    atomic_store(&dns_hangs, false);
}

static void *look_up_hanging(void *name)
{
    struct address_list list;
    struct fault fault = {0};
    enum err err = look_up(name, PLENTY_MS, &list, &fault);
    return (void *)(intptr_t)(err ? -1 : (int)list.count);
}

static void callers_of_one_name_share_one_lookup(void **state)
{
    (void)state;
    pthread_t threads[8];
    usleep(50000); /* those left by other tests have ended */
    atomic_store(&dns_hangs, true);
    int before = atomic_load(&dns_calls);
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, look_up_hanging, "hang.example.com");
    usleep(300000);
    atomic_store(&dns_hangs, false);
    for (size_t i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_int_equal((intptr_t)result, 1);
    }
    assert_int_equal(atomic_load(&dns_calls) - before, 1);
}

static void hung_names_hold_a_bounded_number_of_threads_and_let_go(void **state)
{
    (void)state;
    struct address_list list;
    struct fault fault = {0};
    atomic_store(&dns_hangs, true);
    int before = atomic_load(&dns_calls);
    for (int i = 0; i < HUNG; i++) {
        char name[64];
        snprintf(name, sizeof name, "hang-%d.example.com", i);
        fault_clear(&fault);
        assert_int_equal(look_up(name, 5, &list, &fault), ERR_TIMEOUT);
    }
    fault_clear(&fault);
    assert_int_equal(look_up("v4.example.com", SOON_MS, &list, &fault), ERR_TIMEOUT);
    assert_int_equal(atomic_load(&dns_calls) - before, RESOLVE_THREADS);
    atomic_store(&dns_hangs, false);
    fault_clear(&fault);
    assert_int_equal(look_up("v4.example.com", PLENTY_MS, &list, &fault), OK);
    assert_int_equal(list.count, 1);
}

int main(void)
{
    dns = rows;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_hosts_ask_nobody),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(a_mapped_address_is_taken_for_the_ipv4_one_it_is),
        cmocka_unit_test(an_unknown_name_is_unreachable),
        cmocka_unit_test(a_hung_lookup_is_left_at_the_deadline),
        cmocka_unit_test(a_hung_lookup_can_be_cancelled),
        cmocka_unit_test(callers_of_one_name_share_one_lookup),
        cmocka_unit_test(hung_names_hold_a_bounded_number_of_threads_and_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is trusted when no CA file is named: OpenSSL's bundle and directory, both read at start. */
#include "certs.h"
#include "tls.h"

#include <sys/stat.h>

static char directory[] = "/tmp/postern-roots-XXXXXX";
static X509 *one, *other;

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int make_certificates(void **state)
{
    (void)state;
    struct wish wish = {.common_name = "One", .is_authority = true};
    struct identity first = identity_new(&wish, NULL);
    wish.common_name = "Other";
    struct identity second = identity_new(&wish, NULL);
    one = first.certificate;
    other = second.certificate;
    EVP_PKEY_free(first.key);
    EVP_PKEY_free(second.key);
    return mkdtemp(directory) == NULL;
}

static int drop_certificates(void **state)
{
    (void)state;
    X509_free(one);
    X509_free(other);
    return rmdir(directory);
}

/* Trust made with that file (NULL: none) and that list of directories. */
static struct tls_trust *trust_with(const char *file, const char *directories)
{
    setenv(X509_get_default_cert_file_env(), file ? path_of(file) : "/nonexistent", 1);
    setenv(X509_get_default_cert_dir_env(), directories, 1);
    return trust_of(NULL);
}

static int count_trusted(const char *file, const char *directories)
{
    struct tls_trust *trust = trust_with(file, directories);
    X509_STORE *store = SSL_CTX_get_cert_store(trust->context);
    int count = sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
    tls_trust_free(&trust);
    return count;
}

static void put(const char *name, X509 *certificate)
{
    write_pem(path_of(name), certificate);
}

static void drop(const char *name)
{
    assert_int_equal(unlink(path_of(name)), 0);
}

static void hashed_names_in_the_directory_are_read(void **state)
{
    (void)state;
    put("0123abcd.0", one);
    put("0123abcd.1", other);
    assert_int_equal(count_trusted(NULL, directory), 2);
    drop("0123abcd.1");
    drop("0123abcd.0");
}

static void other_names_are_no_authorities(void **state)
{
    (void)state;
    static const char *const names[] = {"one.pem",     "0123abcd",   "0123abcd.",   "0123abcd.r0",
                                        "0123ABCD.0",  "0123abc.0",  "00123abcd.0", "0123abcd.0x",
                                        "0123abcd.0~", "0123abcd.-1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        put(names[i], one);
        int count = count_trusted(NULL, directory);
        drop(names[i]);
        if (count != 0)
            fail_msg("%s was read", names[i]);
    }
}

static void what_is_in_the_bundle_too_counts_once(void **state)
{
    (void)state;
    put("all.pem", one);
    put("0123abcd.0", one);
    put("0123abcd.1", other);
    assert_int_equal(count_trusted("all.pem", directory), 2);
    assert_int_equal(count_trusted("all.pem", "/nonexistent"), 1);
    drop("0123abcd.1");
    drop("0123abcd.0");
    drop("all.pem");
}

static void directories_are_a_list(void **state)
{
    (void)state;
    char list[300];
    put("0123abcd.0", one);
    snprintf(list, sizeof list, "/nonexistent::%s:/dev/null", directory);
    assert_int_equal(count_trusted(NULL, list), 1);
    drop("0123abcd.0");
}

static void a_directory_without_hashed_names_has_its_bundle_read(void **state)
{
    (void)state;
    put("ca-certificates.crt", one);
    assert_int_equal(count_trusted(NULL, directory), 1);
    put("0123abcd.0", other);
    assert_int_equal(count_trusted(NULL, directory), 1);
    drop("0123abcd.0");
    drop("ca-certificates.crt");
}

static void garbage_beside_a_certificate_does_no_harm(void **state)
{
    (void)state;
    FILE *file = fopen(path_of("0123abcd.0"), "we");
    assert_non_null(file);
    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", file);
    fclose(file);
    assert_int_equal(mkdir(path_of("0123abcd.2"), 0700), 0);
    put("0123abcd.1", one);
    assert_int_equal(count_trusted(NULL, directory), 1);
    assert_int_equal(ERR_peek_error(), 0);
    drop("0123abcd.1");
    rmdir(path_of("0123abcd.2"));
    drop("0123abcd.0");
}

/* The file is gone when the certificate is verified: it was read before. */
static void a_server_is_believed_by_what_was_read(void **state)
{
    (void)state;
    static const struct dns_row rows[] = {{"mail.example.com", {"127.0.0.1"}}, {NULL, {NULL}}};
    struct wish wish = {.common_name = "x", .names = {"mail.example.com"}};
    struct identity server = identity_new(&wish, NULL);
    dns = rows;
    for (int known = 0; known < 2; known++) {
        struct tls_side side = {.context = server_context(&server, NULL), .hello = "hi"};
        struct peer peer = {.script = tls_serve, .detail = &side};
        struct fault fault = {0};
        struct stream *stream = NULL;
        char name[32];
        snprintf(name, sizeof name, "%08lx.0", X509_subject_name_hash(server.certificate));
        put(name, server.certificate);
        struct tls_trust *trust = trust_with(NULL, known ? directory : "/nonexistent");
        drop(name);
        peer_start(&peer);
        struct reach *reach = reach_of("*");
        struct stream_target target = {.host = "mail.example.com",
                                       .port = peer.port,
                                       .tls = true,
                                       .reach = reach,
                                       .trust = trust};
        enum err err = stream_open(&target, clock_now_ms() + PLENTY_MS, NULL, &fault, &stream);
        assert_int_equal(err, known ? OK : ERR_TLS);
        if (known)
            stream_close(&stream);
        peer_stop(&peer);
        reach_free(&reach);
        tls_trust_free(&trust);
        SSL_CTX_free(side.context);
    }
    identity_clear(&server);
}

static void an_unusable_ca_file_is_named(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct tls_trust *trust = NULL;
    assert_int_equal(tls_trust_new("/nonexistent/ca.pem", &fault, &trust), ERR_INVALID);
    assert_null(trust);
    assert_non_null(strstr(fault.detail, "the CA file \"/nonexistent/ca.pem\" cannot be used"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashed_names_in_the_directory_are_read),
        cmocka_unit_test(other_names_are_no_authorities),
        cmocka_unit_test(what_is_in_the_bundle_too_counts_once),
        cmocka_unit_test(directories_are_a_list),
        cmocka_unit_test(a_directory_without_hashed_names_has_its_bundle_read),
        cmocka_unit_test(garbage_beside_a_certificate_does_no_harm),
        cmocka_unit_test(a_server_is_believed_by_what_was_read),
        cmocka_unit_test(an_unusable_ca_file_is_named),
    };
    return cmocka_run_group_tests_name("tls_roots", tests, make_certificates, drop_certificates);
}

/* data_directory.c - who holds the data directory, and its key. */
#include "support.h"

static enum err open_again(struct desk *desk, struct fault *fault)
{
    struct store *store = NULL;
    struct store_options options = {.data_dir = desk->directory, .render = desk_render};
    enum err err = store_open(&options, fault, &store);
    if (err == OK)
        store_close(&store);
    assert_null(store);
    return err;
}

static mode_t mode_of(struct desk *desk, const char *name)
{
    char path[128];
    struct stat facts;
    snprintf(path, sizeof path, "%s/%s", desk->directory, name);
    assert_int_equal(stat(path, &facts), 0);
    return facts.st_mode & 0777;
}

static void write_key(struct desk *desk, const void *bytes, size_t length)
{
    char path[128];
    snprintf(path, sizeof path, "%s/key", desk->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static void a_second_holder_is_told_the_first_ones_pid(void **state)
{
    struct fault fault = {0};
    char pid[24];
    assert_int_equal(open_again(*state, &fault), ERR_CONFLICT);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(fault.detail, pid));
}

static void a_lock_left_by_a_dead_process_locks_nobody_out(void **state)
{
    struct desk *desk = *state;
    mirror_give(&desk->mirror);
    store_close(&desk->store);
    pid_t child = fork();
    if (child == 0) {
        struct fault fault = {0};
        struct store_options options = {.data_dir = desk->directory, .render = desk_render};
        _exit(store_open(&options, &fault, &desk->store) == OK ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    desk_open_store(desk);
    desk_take(desk);
}

static void files_are_for_their_owner_only(void **state)
{
    struct desk *desk = *state;
    char path[160], name[80];
    desk_path(desk, path);
    snprintf(name, sizeof name, "mirrors/%s.db", desk->account);
    assert_int_equal(mode_of(desk, "key"), 0600);
    assert_int_equal(mode_of(desk, "lock"), 0600);
    assert_int_equal(mode_of(desk, "mirrors"), 0700);
    assert_int_equal(mode_of(desk, name), 0600);
    snprintf(name, sizeof name, "mirrors/%s.db-wal", desk->account);
    assert_int_equal(mode_of(desk, name), 0600);
}

static void the_key_outlives_the_process(void **state)
{
    struct desk *desk = *state;
    struct crypto_key before, after, other;
    store_key(desk->store, "cursors", &before);
    store_key(desk->store, "tokens", &other);
    desk_reopen(desk);
    store_key(desk->store, "cursors", &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_memory_not_equal(&before, &other, sizeof before);
}

static void a_key_of_the_wrong_size_is_refused_and_kept(void **state)
{
    struct desk *desk = *state;
    char bytes[64] = "short", path[128];
    struct stat facts;
    snprintf(path, sizeof path, "%s/key", desk->directory);
    desk_close(desk);
    const size_t sizes[] = {0, 5, 31, 33, 64};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fault fault = {0};
        write_key(desk, bytes, sizes[i]);
        assert_int_equal(open_again(desk, &fault), ERR_STORE);
        assert_non_null(strstr(fault.detail, "not a key of 32 bytes"));
        assert_int_equal(stat(path, &facts), 0);
        assert_int_equal(facts.st_size, sizes[i]);
    }
    write_key(desk, bytes, 32);
    desk_open_store(desk);
    desk_take(desk);
}

static void a_directory_that_cannot_be_is_an_error_with_its_name(void **state)
{
    struct desk *desk = *state;
    char path[128];
    struct fault fault = {0};
    struct store *store;
    snprintf(path, sizeof path, "%s/key/below", desk->directory);
    struct store_options options = {.data_dir = path, .render = desk_render};
    assert_int_equal(store_open(&options, &fault, &store), ERR_STORE);
    assert_null(store);
    assert_non_null(strstr(fault.detail, path));
}

static void an_account_id_depends_on_all_four_and_on_the_key(void **state)
{
    struct desk *desk = *state;
    const struct {
        const char *protocol, *host, *username;
        uint16_t port;
        bool same;
    } cases[] = {
        {.protocol = "imap", .host = "a.example", .port = 993, .username = "u", .same = true},
        {.protocol = "imap", .host = "A.Example", .port = 993, .username = "u", .same = true},
        {.protocol = "pop3", .host = "a.example", .port = 993, .username = "u"},
        {.protocol = "imap", .host = "b.example", .port = 993, .username = "u"},
        {.protocol = "imap", .host = "a.example", .port = 143, .username = "u"},
        {.protocol = "imap", .host = "a.example", .port = 993, .username = "U"},
        {.protocol = "imap", .host = "a.example", .port = 993, .username = ""},
    };
    char first[ACCOUNT_ID_BYTES], id[ACCOUNT_ID_BYTES];
    store_account_id(desk->store, "imap", "a.example", 993, "u", first);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        store_account_id(desk->store, cases[i].protocol, cases[i].host, cases[i].port,
                         cases[i].username, id);
        assert_int_equal(strncmp(id, "a_", 2), 0);
        assert_int_equal(strcmp(id, first) == 0, cases[i].same);
    }
    desk_close(desk);
    write_key(desk, "another key, 32 bytes long, yes!", 32);
    desk_open_store(desk);
    desk_take(desk);
    store_account_id(desk->store, "imap", "a.example", 993, "u", id);
    assert_string_not_equal(id, first);
}

static void what_is_no_account_id_never_becomes_a_file_name(void **state)
{
    struct desk *desk = *state;
    static const char *const wrong[] = {
        "",      "a_",    "b_abc",      "a_../../x",
        "a_a/b", "a_a.b", "a_\xc3\xa4", "a_0123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct mirror *mirror;
        struct fault fault = {0};
        assert_int_equal(mirror_take(desk->store, wrong[i], &fault, &mirror), ERR_NOT_FOUND);
        assert_null(mirror);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(a_second_holder_is_told_the_first_ones_pid),
        ON_DISK(a_lock_left_by_a_dead_process_locks_nobody_out),
        ON_DISK(files_are_for_their_owner_only),
        BOTH(the_key_outlives_the_process),
        ON_DISK(a_key_of_the_wrong_size_is_refused_and_kept),
        ON_DISK(a_directory_that_cannot_be_is_an_error_with_its_name),
        ON_DISK(an_account_id_depends_on_all_four_and_on_the_key),
        ON_DISK(what_is_no_account_id_never_becomes_a_file_name),
    };
    return RUN_TESTS(tests);
}

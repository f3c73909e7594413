/* threads.c - readers beside a writer beside housekeeping; for ThreadSanitizer too. */
#include "support.h"

#define READERS  6
#define MESSAGES 40
#define WRITES   60

struct crowd {
    struct desk *desk;
    atomic_bool over;
    atomic_uint reads;
};

struct sum {
    struct row_sink sink;
    uint32_t count, unread;
};

static enum err sum_row(struct row_sink *sink, const struct message_row *row)
{
    struct sum *sum = (struct sum *)sink;
    sum->count++;
    sum->unread += !(row->flags & FLAG_SEEN);
    return OK;
}

/* All are seen or none is: each write changes all of them, so a reader that sees some of each has
 * seen half a transaction. */
static void *read_on(void *argument)
{
    struct crowd *crowd = argument;
    struct desk *desk = crowd->desk;
    struct arena arena;
    arena_init(&arena);
    while (!atomic_load(&crowd->over)) {
        struct call call = {.arena = &arena, .deadline_ms = DEADLINE_NONE};
        struct sum sum = {.sink.row = sum_row};
        struct list_query query = {
            .folders = &desk->inbox, .folder_count = 1, .limit = 2 * MESSAGES};
        struct mirror *mirror;
        struct folder_row row;
        struct message full;
        if (mirror_take(desk->store, desk->account, &call.fault, &mirror) != OK)
            abort();
        if (mirror_list(mirror, &call, &query, &sum.sink) != OK || sum.count != MESSAGES ||
            (sum.unread != 0 && sum.unread != MESSAGES))
            abort();
        if (mirror_folder(mirror, &call, desk->inbox, &row) != OK || row.mirrored != MESSAGES ||
            (row.unread != 0 && row.unread != MESSAGES))
            abort();
        if (mirror_message(mirror, &call, desk->inbox, 3, NULL, &full) != OK)
            abort();
        mirror_give(&mirror);
        arena_clear(&arena);
        atomic_fetch_add(&crowd->reads, 1);
    }
    return NULL;
}

static void *tidy_on(void *argument)
{
    struct crowd *crowd = argument;
    while (!atomic_load(&crowd->over)) {
        store_tidy(crowd->desk->store, -1, 1);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return NULL;
}

static void write_all(struct desk *desk, uint32_t flags)
{
    struct mirror_sync *sync = desk_begin(desk, desk->inbox);
    for (uint32_t uid = 1; uid <= MESSAGES; uid++)
        must(mirror_sync_flags(sync, uid, flags, NULL, 0));
    desk_commit(desk, &sync, 7, MESSAGES + 1, 1);
}

static void readers_see_whole_transactions_while_one_writes_and_one_tidies(void **state)
{
    struct desk *desk = *state;
    struct crowd crowd = {.desk = desk};
    pthread_t threads[READERS + 1];
    desk_fill(desk, desk->inbox, MESSAGES);
    write_all(desk, 0);
    for (int i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, read_on, &crowd);
    pthread_create(&threads[READERS], NULL, tidy_on, &crowd);
    int64_t until_ms = clock_now_ms() + 20000;
    for (int i = 0; i < WRITES || (atomic_load(&crowd.reads) < 100 && clock_now_ms() < until_ms);
         i++) {
        write_all(desk, i % 2 ? 0 : FLAG_SEEN);
        arena_clear(&desk->arena);
    }
    atomic_store(&crowd.over, true);
    for (int i = 0; i <= READERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&crowd.reads) >= 100);
    assert_true(desk->mirror->reader_count <= READERS_MAX);
}

/* Every take may be the one that opens the file, or sets it aside. */
static void *take_on(void *argument)
{
    struct crowd *crowd = argument;
    struct desk *desk = crowd->desk;
    for (int i = 0; i < 60; i++) {
        struct fault fault = {0};
        struct mirror *mirror;
        if (mirror_take(desk->store, desk->account, &fault, &mirror) != OK)
            abort();
        if (i % 20 == 7)
            atomic_store(&mirror->damaged, true);
        mirror_give(&mirror);
    }
    return NULL;
}

static void a_damaged_mirror_is_set_aside_while_others_take_it(void **state)
{
    struct desk *desk = *state;
    struct crowd crowd = {.desk = desk};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_on, &crowd);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    desk_list_folders(desk);
    desk_fill(desk, desk->inbox, 3);
    assert_int_equal(desk_row(desk, desk->inbox).mirrored, 3);
    if (!desk->memory)
        assert_in_range(desk_files(desk, ".damaged-"), 1, 3 * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(readers_see_whole_transactions_while_one_writes_and_one_tidies),
        BOTH(a_damaged_mirror_is_set_aside_while_others_take_it),
    };
    return RUN_TESTS(tests);
}

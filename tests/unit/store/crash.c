/* crash.c - a process that is killed while it syncs, at many instants: the file opens, is whole,
 * and the next sync makes it right. */
#include "support.h"

#include <signal.h>

#define MESSAGES 3000
#define KILLS    14

/* In the child: folder after folder is forgotten and filled again, until the end comes. */
static void sync_for_ever(struct desk *desk)
{
    desk_open_store(desk);
    desk_take(desk);
    for (uint32_t round = 0;; round++) {
        int64_t folder = round % 2 ? desk->inbox : desk->archive;
        desk_fill(desk, folder, MESSAGES);
        struct mirror_sync *sync = desk_begin(desk, folder);
        for (uint32_t uid = 1; uid < 1000; uid++)
            must(mirror_sync_flags(sync, uid, round % 32, NULL, 0));
        must(mirror_sync_removed(sync, &(struct uid_range){5, 500}, 1));
        desk_commit(desk, &sync, 7, MESSAGES + 1, 1);
        arena_clear(&desk->arena);
    }
}

static void is_consistent(struct desk *desk)
{
    assert_int_equal(desk_files(desk, ".damaged-"), 0);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM pragma_integrity_check "
                                    "WHERE integrity_check <> 'ok'"),
                     0);
    assert_int_equal(desk_sql(desk, "SELECT (SELECT count(*) FROM body) = "
                                    "(SELECT count(*) FROM message)"),
                     1);
    assert_int_equal(
        desk_sql(desk, "SELECT count(*) FROM folder f WHERE f.mirrored <> (SELECT count(*) FROM "
                       "message m WHERE m.folder = f.number AND m.uid >= f.floor) OR f.unread <> "
                       "(SELECT count(*) FROM message m WHERE m.folder = f.number "
                       "AND m.uid >= f.floor AND m.flags & 1 = 0)"),
        0);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM message m WHERE m.change <> "
                                    "(SELECT max(seq) FROM journal j WHERE j.folder = m.folder "
                                    "AND j.uid = m.uid AND j.kind < 4)"),
                     0);
    assert_int_equal(desk_sql(desk, "SELECT (SELECT change FROM account) = "
                                    "(SELECT max(seq) FROM journal)"),
                     1);
}

static void a_killed_sync_leaves_a_mirror_that_the_next_one_heals(void **state)
{
    struct desk *desk = *state;
    unsigned interrupted = 0;
    desk_close(desk);
    for (int i = 0; i < KILLS; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            sync_for_ever(desk);
        nanosleep(&(struct timespec){.tv_nsec = 20000000 + 17000000 * i}, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        desk_open_store(desk);
        desk_take(desk);
        /* The journal grows with every round; the check above is per message. */
        desk_sql(desk, "CREATE INDEX IF NOT EXISTS crash ON journal(folder, uid)");
        is_consistent(desk);
        interrupted += desk_row(desk, desk->inbox).validity == 0 ||
                       desk_row(desk, desk->archive).validity == 0;
        desk_fill(desk, desk->inbox, 50);
        desk_fill(desk, desk->archive, 50);
        assert_int_equal(desk_row(desk, desk->inbox).mirrored, 50);
        is_consistent(desk);
        desk_sql(desk, "DROP INDEX crash");
        desk_close(desk);
        arena_clear(&desk->arena);
    }
    /* Else nothing was shown. */
    assert_true(interrupted > 0);
    desk_open_store(desk);
    desk_take(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(a_killed_sync_leaves_a_mirror_that_the_next_one_heals),
    };
    return RUN_TESTS(tests);
}

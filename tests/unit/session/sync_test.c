/* Freshness, backfill and changes: the mirror against the server, with others at work. */
#include "fixture.h"

static struct fixture fixture;

static int setup(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture_open_world(&fixture);
    return 0;
}

static void start(void)
{
    struct sessions_config config = fixture_config(&fixture);
    fixture_start(&fixture, &config);
}

static int teardown(void **state)
{
    (void)state;
    memory_server_release(fixture.server);
    fixture_stop(&fixture);
    return 0;
}

static void look(int64_t inbox)
{
    struct job job;
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
}

static void wait_complete(void)
{
    for (int i = 0; i < 20000; i++) {
        if (fixture_folder(fixture.seat, "inbox").complete)
            return;
        sleep_ms(1);
    }
    fail_msg("the folder was not filled in");
}

static void the_newest_page_comes_first_and_the_rest_behind(void **state)
{
    (void)state;
    static struct row_count rows;
    for (int i = 0; i < 300; i++)
        fixture_deliver(&fixture, "mail");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_OLDER, .times = 1, .block = true});
    look(inbox);
    fixture_list(fixture.seat, inbox, 500, &rows);
    assert_int_equal(rows.count, 10);
    assert_int_equal(rows.uids[0], 300);
    assert_false(fixture_folder(fixture.seat, "inbox").complete);
    memory_server_release(fixture.server);
    wait_complete();
    fixture_list(fixture.seat, inbox, 500, &rows);
    assert_int_equal(rows.count, 300);
}

static void what_changed_elsewhere_is_seen_by_the_next_look(void **state)
{
    (void)state;
    static struct row_count rows;
    for (int i = 0; i < 5; i++)
        fixture_deliver(&fixture, "mail");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    look(inbox);
    assert_true(memory_server_flag(fixture.server, "INBOX", 2, FLAG_SEEN | FLAG_FLAGGED, NULL));
    assert_true(memory_server_expunge(fixture.server, "INBOX", 4));
    fixture_deliver(&fixture, "new");
    look(inbox);
    fixture_list(fixture.seat, inbox, 500, &rows);
    assert_int_equal(rows.count, 5);
    assert_int_equal(rows.uids[0], 6);
    for (uint32_t i = 0; i < rows.count; i++) {
        assert_int_not_equal(rows.uids[i], 4);
        if (rows.uids[i] == 2)
            assert_int_equal(rows.flags[i], FLAG_SEEN | FLAG_FLAGGED);
    }
}

static void a_new_validity_forgets_everything(void **state)
{
    (void)state;
    static struct row_count rows;
    for (int i = 0; i < 5; i++)
        fixture_deliver(&fixture, "mail");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    look(inbox);
    uint64_t before = fixture_folder(fixture.seat, "inbox").generation;
    memory_server_change_validity(fixture.server, "INBOX");
    memory_server_drop_connections(fixture.server);
    look(inbox);
    assert_true(fixture_folder(fixture.seat, "inbox").generation != before);
    fixture_list(fixture.seat, inbox, 500, &rows);
    assert_int_equal(rows.count, 5);
}

#define MANY 64

static void many_who_want_the_same_folder_share_a_look(void **state)
{
    (void)state;
    static struct job jobs[MANY];
    fixture_deliver(&fixture, "mail");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    look(inbox);
    uint32_t before = memory_server_stats(fixture.server).calls[MEMORY_SYNC];
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_SYNC, .times = 1, .block = true});
    job_submit(&jobs[0], fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL);
    for (int i = 0; i < 5000 && memory_server_stats(fixture.server).blocked == 0; i++)
        sleep_ms(1);
    for (int i = 1; i < MANY; i++)
        job_submit(&jobs[i], fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL);
    memory_server_release(fixture.server);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(job_wait(&jobs[i]), OK);
    uint32_t looks = memory_server_stats(fixture.server).calls[MEMORY_SYNC] - before;
    assert_int_equal(looks, 2); /* those who came during the first may not share it */
}

static void a_look_that_began_earlier_is_not_shared(void **state)
{
    (void)state;
    static struct row_count rows;
    struct job early, late;
    fixture_deliver(&fixture, "mail");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    look(inbox);
    uint32_t before = memory_server_stats(fixture.server).calls[MEMORY_SYNC];
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_SYNC, .times = 1, .block = true});
    job_submit(&early, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL);
    for (int i = 0; i < 5000 && memory_server_stats(fixture.server).blocked == 0; i++)
        sleep_ms(1);
    fixture_deliver(&fixture, "came while one was looking");
    job_submit(&late, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL);
    memory_server_release(fixture.server);
    assert_int_equal(job_wait(&early), OK);
    assert_int_equal(job_wait(&late), OK);
    assert_int_equal(memory_server_stats(fixture.server).calls[MEMORY_SYNC], before + 2);
    fixture_list(fixture.seat, inbox, 500, &rows);
    assert_int_equal(rows.count, 2);
}

static enum err work_flag(struct job *job)
{
    struct folder_row row;
    struct flag_change change = {.add = FLAG_FLAGGED};
    uint32_t uid = *(const uint32_t *)job->argument;
    enum err err =
        mirror_folder(seat_mirror(job->task.seat), &job->task.call, job->task.folder, &row);
    return err ? err : operation_change_flags(&job->task, &row, uid, &change);
}

static void a_change_is_in_the_mirror_when_it_is_answered(void **state)
{
    (void)state;
    static struct row_count rows;
    static const uint32_t uid = 2;
    struct job job;
    for (int i = 0; i < 3; i++)
        fixture_deliver(&fixture, "mail");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    look(inbox);
    memset(&job, 0, sizeof job);
    arena_init(&job.arena);
    job.argument = &uid;
    job.work = work_flag;
    job.task = (struct task){.seat = fixture.seat,
                             .call = {.arena = &job.arena, .deadline_ms = clock_now_ms() + 5000},
                             .need = NEED_CONNECTION,
                             .folder = inbox,
                             .step = job_step};
    task_submit(&job.task);
    assert_int_equal(job_wait(&job), OK);
    fixture_list(fixture.seat, inbox, 500, &rows);
    assert_int_equal(rows.flags[1], FLAG_FLAGGED);
}

/* ---- the property: whatever happens at once, the mirror ends up as the server is ---- */

struct storm {
    atomic_bool over;
    uint32_t seed;
    int64_t inbox;
    enum err surprise;
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void *disturb(void *argument)
{
    struct storm *storm = argument;
    uint32_t seed = storm->seed;
    while (!atomic_load(&storm->over)) {
        uint32_t dice = next_random(&seed) % 10, uid = next_random(&seed) % 400 + 1;
        if (dice < 3)
            fixture_deliver(&fixture, "storm");
        else if (dice < 6)
            memory_server_expunge(fixture.server, "INBOX", uid);
        else if (dice < 9)
            memory_server_flag(fixture.server, "INBOX", uid, next_random(&seed) & FLAG_ALL, NULL);
        else
            memory_server_drop_connections(fixture.server);
        sleep_ms(1);
    }
    return NULL;
}

static void *read_and_change(void *argument)
{
    struct storm *storm = argument;
    uint32_t seed = storm->seed + 77;
    static _Thread_local uint32_t uid;
    while (!atomic_load(&storm->over)) {
        struct job job;
        bool flags = next_random(&seed) % 3 == 0;
        uid = next_random(&seed) % 400 + 1;
        memset(&job, 0, sizeof job);
        arena_init(&job.arena);
        job.argument = &uid;
        job.work = flags ? work_flag : NULL;
        job.task =
            (struct task){.seat = fixture.seat,
                          .call = {.arena = &job.arena, .deadline_ms = clock_now_ms() + 9000},
                          .need = flags ? NEED_CONNECTION : NEED_FOLDER,
                          .folder = storm->inbox,
                          .step = job_step};
        task_submit(&job.task);
        enum err err = job_wait(&job);
        if (err != OK && err != ERR_GONE && err != ERR_UNREACHABLE) {
            storm->surprise = err; /* cmocka may fail on the main thread only */
            break;
        }
    }
    return NULL;
}

/* What the server has, by asking it on a session of its own with an empty mirror elsewhere, is the
 * same as what the mirror says after one quiet look. */
static void whatever_happens_at_once_the_mirror_is_right_afterwards(void **state)
{
    (void)state;
    static struct row_count rows;
    pthread_t threads[4];
    struct storm storms[4];
    for (int i = 0; i < 300; i++)
        fixture_deliver(&fixture, "mail");
    struct sessions_config config = fixture_config(&fixture);
    config.host_down_ms = 1;
    fixture_start(&fixture, &config);
    int64_t inbox = fixture_inbox(fixture.seat);
    for (uint32_t i = 0; i < 4; i++) {
        storms[i] = (struct storm){.seed = 41 * (i + 1), .inbox = inbox};
        pthread_create(&threads[i], NULL, i < 2 ? disturb : read_and_change, &storms[i]);
    }
    sleep_ms(1500);
    for (int i = 0; i < 4; i++)
        atomic_store(&storms[i].over, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        assert_string_equal(err_name(storms[i].surprise), "ok");
    look(inbox);
    for (int i = 0; i < 20000 && !fixture_folder(fixture.seat, "inbox").complete; i++) {
        sleep_ms(1);
        if (i % 1000 == 999)
            look(inbox);
    }
    look(inbox);
    fixture_list(fixture.seat, inbox, 5000, &rows);
    /* the truth: a second store with an empty mirror of the same server */
    struct fixture truth = {.server = fixture.server, .world = fixture.world};
    struct fault fault = {0};
    snprintf(truth.data_dir, sizeof truth.data_dir, "/tmp/postern-unit-XXXXXX");
    assert_non_null(mkdtemp(truth.data_dir));
    struct store_options options = {
        .data_dir = truth.data_dir, .memory = true, .render = fixture_render};
    assert_int_equal(store_open(&options, &fault, &truth.store), OK);
    struct sessions_config plain = fixture_config(&truth);
    plain.first_page = 5000;
    fixture_start(&truth, &plain);
    int64_t true_inbox = fixture_inbox(truth.seat);
    struct job job;
    assert_int_equal(job_run(&job, truth.seat, NEED_FOLDER, LANE_INTERACTIVE, true_inbox, NULL),
                     OK);
    static struct row_count expected;
    fixture_list(truth.seat, true_inbox, 5000, &expected);
    assert_int_equal(rows.count, expected.count);
    for (uint32_t i = 0; i < rows.count; i++) {
        assert_int_equal(rows.uids[i], expected.uids[i]);
        if (rows.flags[i] != expected.flags[i])
            fail_msg("uid %u: flags %x, the server says %x", rows.uids[i], rows.flags[i],
                     expected.flags[i]);
    }
    truth.server = NULL;
    fixture_stop(&truth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_page_comes_first_and_the_rest_behind, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_changed_elsewhere_is_seen_by_the_next_look, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_new_validity_forgets_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(many_who_want_the_same_folder_share_a_look, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_look_that_began_earlier_is_not_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_is_in_the_mirror_when_it_is_answered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(whatever_happens_at_once_the_mirror_is_right_afterwards,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

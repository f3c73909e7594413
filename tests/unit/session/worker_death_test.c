/* The process that spoke with the mail server dies: what is tried again, what is not, and what is
 * held against whom. */
#include "fixture.h"

static struct fixture fixture;

static int setup(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture_open_world(&fixture);
    return 0;
}

static int64_t start(int messages)
{
    struct sessions_config config = fixture_config(&fixture);
    for (int i = 0; i < messages; i++)
        fixture_deliver(&fixture, "mail");
    fixture_start(&fixture, &config);
    return fixture_inbox(fixture.seat);
}

static int teardown(void **state)
{
    (void)state;
    memory_server_release(fixture.server);
    fixture_stop(&fixture);
    return 0;
}

static void worker_dies(enum memory_op op, uint32_t times)
{
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = op, .times = times, .err = ERR_WORKER});
}

static uint32_t calls(enum memory_op op)
{
    return memory_server_stats(fixture.server).calls[op];
}

static struct account_facts facts(void)
{
    static struct arena arena;
    struct account_facts out;
    seat_facts(fixture.seat, &arena, &out);
    struct account_facts plain = {.state = out.state, .last_error = out.last_error};
    arena_clear(&arena);
    return plain;
}

/* ---- each call that only reads ---- */

struct count_sink {
    struct sink sink;
    uint64_t bytes;
};

static enum err count_bytes(struct sink *sink, const void *data, size_t length)
{
    (void)data;
    ((struct count_sink *)sink)->bytes += length;
    return OK;
}

static enum err ignore_header(struct header_sink *sink, const char *name, const char *value)
{
    (void)sink, (void)name, (void)value;
    return OK;
}

static enum err inbox_row(struct job *job, struct folder_row *row)
{
    return mirror_folder(seat_mirror(job->task.seat), &job->task.call, job->task.folder, row);
}

static enum err work_read(struct job *job)
{
    struct folder_row row;
    struct count_sink sink = {.sink = {.write = count_bytes}};
    enum err err = inbox_row(job, &row);
    if (!err)
        err = operation_read_raw(&job->task, &row, 1, 0, 0, UINT64_MAX, &sink.sink);
    job->number = sink.bytes;
    return err;
}

static enum err work_size(struct job *job)
{
    struct folder_row row;
    struct part part = {.id = "1", .encoding = "7bit", .type = "text/plain"};
    enum err err = inbox_row(job, &row);
    return err ? err : operation_part_size(&job->task, &row, 1, &part, &job->number);
}

static enum err work_headers(struct job *job)
{
    struct folder_row row;
    struct header_sink sink = {.header = ignore_header};
    enum err err = inbox_row(job, &row);
    return err ? err : operation_read_headers(&job->task, &row, 1, &sink);
}

static enum err work_message(struct job *job)
{
    struct folder_row row;
    struct message message;
    enum err err = inbox_row(job, &row);
    return err ? err : operation_fetch_message(&job->task, &row, 1, &message);
}

static enum err work_previews(struct job *job)
{
    static const uint32_t uid = 1;
    struct folder_row row;
    enum err err = inbox_row(job, &row);
    return err ? err : operation_previews(&job->task, &row, &uid, 1);
}

static enum err work_quota(struct job *job)
{
    struct quota_resource *resources;
    uint32_t count;
    return operation_quota(&job->task, &resources, &count);
}

static const struct {
    enum memory_op op;
    enum task_need need;
    enum err (*work)(struct job *job);
} reads[] = {
    {MEMORY_LIST, NEED_FOLDERS, NULL},
    {MEMORY_SYNC, NEED_FOLDER, NULL},
    {MEMORY_READ, NEED_CONNECTION, work_read},
    {MEMORY_SIZE, NEED_CONNECTION, work_size},
    {MEMORY_HEADERS, NEED_CONNECTION, work_headers},
    {MEMORY_ONE, NEED_CONNECTION, work_message},
    {MEMORY_PREVIEWS, NEED_CONNECTION, work_previews},
    {MEMORY_QUOTA, NEED_CONNECTION, work_quota},
};
#define READS (sizeof reads / sizeof reads[0])

static enum err read_once(size_t i, int64_t inbox, struct job *job)
{
    return job_run(job, fixture.seat, reads[i].need, LANE_INTERACTIVE, inbox, reads[i].work);
}

static void a_read_whose_worker_dies_is_read_once_more_elsewhere(void **state)
{
    (void)state;
    int64_t inbox = start(3);
    struct job job;
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    for (size_t i = 0; i < READS; i++) {
        uint32_t before = calls(reads[i].op), opened = calls(MEMORY_OPEN);
        worker_dies(reads[i].op, 1);
        assert_int_equal(read_once(i, inbox, &job), OK);
        assert_int_equal(calls(reads[i].op), before + 2);
        assert_int_equal(calls(MEMORY_OPEN), opened + 1);
    }
}

static void a_read_that_kills_two_workers_is_not_tried_on_a_third(void **state)
{
    (void)state;
    int64_t inbox = start(3);
    struct job job;
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    for (size_t i = 0; i < READS; i++) {
        uint32_t before = calls(reads[i].op);
        worker_dies(reads[i].op, 2);
        assert_int_equal(read_once(i, inbox, &job), ERR_WORKER);
        assert_int_equal(calls(reads[i].op), before + 2);
        assert_int_equal(read_once(i, inbox, &job), OK); /* and nothing is held against it */
    }
}

static void one_request_has_one_second_try_whatever_it_asks_for(void **state)
{
    (void)state;
    int64_t inbox = start(3);
    struct job job;
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    worker_dies(MEMORY_OPEN, 1); /* the second try of the lease itself */
    memory_server_drop_connections(fixture.server);
    sleep_ms(400); /* the keeper buries what hung up */
    worker_dies(MEMORY_HEADERS, 1);
    assert_int_equal(
        job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, inbox, work_headers),
        ERR_WORKER);
}

static void a_first_sign_in_whose_worker_dies_is_tried_once_more(void **state)
{
    (void)state;
    struct job job;
    struct sessions_config config = fixture_config(&fixture);
    worker_dies(MEMORY_OPEN, 1);
    fixture_start(&fixture, &config);
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, NULL), OK);
    assert_int_equal(calls(MEMORY_OPEN), 2);
    assert_int_equal(facts().state, ACCOUNT_OK);
}

static void a_sign_in_that_kills_workers_is_nobodys_failure(void **state)
{
    (void)state;
    struct job job;
    struct session *other;
    struct seat *seat;
    struct sessions_config config = fixture_config(&fixture);
    fixture_start(&fixture, &config);
    worker_dies(MEMORY_OPEN, 2 * 5); /* more than signin_failures_max */
    for (int i = 0; i < 5; i++)
        assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, NULL),
                         ERR_WORKER);
    assert_int_equal(facts().state, ACCOUNT_CONNECTING);
    /* neither throttled nor a host that is down */
    assert_int_equal(fixture_sign_in(&fixture, "secret", &other, &seat), OK);
    assert_int_equal(job_run(&job, seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, NULL), OK);
    session_give(&other);
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, NULL), OK);
    assert_int_equal(facts().state, ACCOUNT_OK);
}

static void a_pause_is_told_and_not_tried_against(void **state)
{
    (void)state;
    struct job job;
    struct sessions_config config = fixture_config(&fixture);
    fixture_start(&fixture, &config);
    memory_server_script(
        fixture.server,
        &(struct memory_fault){.op = MEMORY_OPEN, .err = ERR_WORKER, .retry_after_s = 17});
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, NULL),
                     ERR_WORKER);
    assert_int_equal(job.fault.retry_after_s, 17);
    assert_int_equal(calls(MEMORY_OPEN), 1);
}

static void a_read_that_was_delivered_in_part_is_not_read_again(void **state)
{
    (void)state;
    int64_t inbox = start(1);
    struct job job;
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    memory_server_script(
        fixture.server, &(struct memory_fault){.op = MEMORY_READ, .err = ERR_WORKER, .late = true});
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read),
                     ERR_WORKER);
    assert_true(job.number > 0);
    assert_int_equal(calls(MEMORY_READ), 1);
}

/* ---- changes ---- */

static enum err work_flag(struct job *job)
{
    struct folder_row row;
    struct flag_change change = {.add = FLAG_FLAGGED};
    enum err err = inbox_row(job, &row);
    return err ? err : operation_change_flags(&job->task, &row, 2, &change);
}

static void a_change_is_not_made_twice_and_its_outcome_is_seen_by_the_next_look(void **state)
{
    (void)state;
    static const enum err deaths[] = {ERR_WORKER, ERR_UNREACHABLE, ERR_TIMEOUT, ERR_PROTOCOL};
    static struct row_count rows;
    int64_t inbox = start(3);
    struct job job;
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL),
                         OK);
        assert_true(memory_server_flag(fixture.server, "INBOX", 2, 0, NULL));
        assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL),
                         OK);
        uint32_t before = calls(MEMORY_FLAGS);
        memory_server_script(
            fixture.server,
            &(struct memory_fault){.op = MEMORY_FLAGS, .err = deaths[i], .late = true});
        assert_int_equal(
            job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, inbox, work_flag),
            deaths[i]);
        assert_int_equal(calls(MEMORY_FLAGS), before + 1);
        assert_non_null(strstr(job.fault.detail, "not known"));
        assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL),
                         OK);
        fixture_list(fixture.seat, inbox, 10, &rows);
        assert_int_equal(rows.flags[1], FLAG_FLAGGED);
    }
}

static void a_refused_change_is_known_not_to_be_made(void **state)
{
    (void)state;
    int64_t inbox = start(3);
    struct job job;
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    memory_server_set_read_only(fixture.server, "INBOX", true);
    assert_int_equal(
        job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, inbox, work_flag),
        ERR_REFUSED);
    assert_null(strstr(job.fault.detail, "not known"));
}

/* ---- behind the scenes ---- */

static void a_folder_is_filled_in_across_deaths(void **state)
{
    (void)state;
    int64_t inbox = start(300);
    struct job job;
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_OLDER, .skip = 2, .err = ERR_WORKER});
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_OLDER, .skip = 5, .err = ERR_WORKER});
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    for (int i = 0; i < 3000 && !fixture_folder(fixture.seat, "inbox").complete; i++)
        sleep_ms(1); /* less than a failed one would rest */
    assert_true(fixture_folder(fixture.seat, "inbox").complete);
}

static void a_folder_that_kills_every_worker_is_left_alone_for_a_while(void **state)
{
    (void)state;
    int64_t inbox = start(300);
    struct job job;
    worker_dies(MEMORY_OLDER, 1000);
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    sleep_ms(1000);
    assert_int_equal(calls(MEMORY_OLDER), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_read_whose_worker_dies_is_read_once_more_elsewhere),
        TEST(a_read_that_kills_two_workers_is_not_tried_on_a_third),
        TEST(one_request_has_one_second_try_whatever_it_asks_for),
        TEST(a_first_sign_in_whose_worker_dies_is_tried_once_more),
        TEST(a_sign_in_that_kills_workers_is_nobodys_failure),
        TEST(a_pause_is_told_and_not_tried_against),
        TEST(a_read_that_was_delivered_in_part_is_not_read_again),
        TEST(a_change_is_not_made_twice_and_its_outcome_is_seen_by_the_next_look),
        TEST(a_refused_change_is_known_not_to_be_made),
        TEST(a_folder_is_filled_in_across_deaths),
        TEST(a_folder_that_kills_every_worker_is_left_alone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

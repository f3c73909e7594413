/* Queues, leases, limits and failures of the pool. */
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

static enum err work_noop(struct job *job)
{
    return backend_noop(job->task.backend, &job->task.call);
}

static enum err work_sleep(struct job *job)
{
    (void)job;
    sleep_ms(50);
    return OK;
}

static enum err swallow(struct sink *sink, const void *data, size_t length)
{
    (void)sink, (void)data, (void)length;
    return OK;
}

static enum err work_read(struct job *job)
{
    struct folder_row row;
    struct sink sink = {.write = swallow};
    enum err err =
        mirror_folder(seat_mirror(job->task.seat), &job->task.call, job->task.folder, &row);
    return err ? err : operation_read_raw(&job->task, &row, 1, 0, 0, UINT64_MAX, &sink);
}

static void wait_blocked(uint32_t count)
{
    for (int i = 0; i < 5000 && memory_server_stats(fixture.server).blocked < count; i++)
        sleep_ms(1);
    assert_true(memory_server_stats(fixture.server).blocked >= count);
}

static void a_first_lease_signs_in(void **state)
{
    (void)state;
    struct job job;
    struct fault fault = {0};
    start();
    assert_int_not_equal(seat_check(fixture.seat, &fault), OK);
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    fault_clear(&fault);
    assert_int_equal(seat_check(fixture.seat, &fault), OK);
    assert_int_equal(memory_server_stats(fixture.server).opened, 1);
}

static void nothing_is_run_before_the_mail_server_said_yes(void **state)
{
    (void)state;
    struct job job;
    memory_server_set_login(fixture.server, "user", "changed");
    start();
    assert_int_equal(job_run(&job, fixture.seat, NEED_NOTHING, LANE_INTERACTIVE, 0, NULL),
                     ERR_LOGIN);
    assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDERS, LANE_INTERACTIVE, 0, NULL),
                     ERR_LOGIN);
}

static void a_refused_login_later_shuts_the_seat(void **state)
{
    (void)state;
    struct job job;
    struct fault fault = {0};
    start();
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    memory_server_set_login(fixture.server, "user", "changed");
    memory_server_drop_connections(fixture.server);
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_BULK, 0, work_noop),
                     ERR_LOGIN);
    assert_int_equal(seat_check(fixture.seat, &fault), ERR_LOGIN);
    assert_int_equal(job_run(&job, fixture.seat, NEED_NOTHING, LANE_INTERACTIVE, 0, NULL),
                     ERR_LOGIN);
}

static void failed_sign_ins_are_throttled_and_only_for_that_address(void **state)
{
    (void)state;
    struct job job;
    struct session *session;
    struct seat *seat;
    start();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_sign_in(&fixture, "guess", &session, &seat), OK);
        assert_int_equal(job_run(&job, seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, NULL),
                         ERR_LOGIN);
        session_end(session);
        session_give(&session);
    }
    assert_int_equal(fixture_sign_in(&fixture, "secret", &session, &seat), ERR_THROTTLED);
    struct fault fault = {0};
    char token[SESSION_TOKEN_BYTES];
    struct credentials elsewhere = fixture_credentials("secret");
    elsewhere.remote_address = "192.0.2.2";
    assert_int_equal(session_open(fixture.sessions, &elsewhere, &fault, token, &session), OK);
    secret_wipe(&elsewhere.password);
    session_end(session);
    session_give(&session);
}

static void a_list_never_waits_for_a_download(void **state)
{
    (void)state;
    struct job downloads[4], list;
    fixture_deliver(&fixture, "big");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    assert_int_equal(job_run(&list, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_READ, .times = 4, .block = true});
    for (int i = 0; i < 4; i++)
        job_submit(&downloads[i], fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read);
    wait_blocked(2);
    assert_int_equal(job_run(&list, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    assert_false(atomic_load(&downloads[0].done));
    memory_server_release(fixture.server);
    for (int i = 0; i < 4; i++)
        assert_int_equal(job_wait(&downloads[i]), OK);
}

static void a_cancelled_download_ends_at_once_and_frees_its_lane(void **state)
{
    (void)state;
    struct job download, next;
    fixture_deliver(&fixture, "big");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    assert_int_equal(job_run(&next, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    memory_server_script(fixture.server, &(struct memory_fault){.op = MEMORY_READ, .block = true});
    job_submit(&download, fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read);
    wait_blocked(1);
    task_cancel(&download.task);
    assert_int_equal(job_wait(&download), ERR_CANCELLED);
    assert_int_equal(job_run(&next, fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read),
                     OK);
}

static void a_cancelled_task_in_the_queue_never_gets_a_connection(void **state)
{
    (void)state;
    struct job blocked[2], waiting, after;
    fixture_deliver(&fixture, "big");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    assert_int_equal(job_run(&after, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL), OK);
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_READ, .times = 2, .block = true});
    for (int i = 0; i < 2; i++)
        job_submit(&blocked[i], fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read);
    wait_blocked(2);
    job_submit(&waiting, fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read);
    task_cancel(&waiting.task);
    assert_int_equal(job_wait(&waiting), ERR_CANCELLED);
    assert_int_equal(memory_server_stats(fixture.server).calls[MEMORY_READ], 2);
    memory_server_release(fixture.server);
    for (int i = 0; i < 2; i++)
        assert_int_equal(job_wait(&blocked[i]), OK);
}

static void a_dead_pooled_connection_costs_a_reader_nothing(void **state)
{
    (void)state;
    struct job job;
    fixture_deliver(&fixture, "one");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(job_run(&job, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL),
                         OK);
        assert_int_equal(
            job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, inbox, work_read), OK);
        memory_server_drop_connections(fixture.server);
    }
}

static void a_host_that_does_not_answer_fails_fast_afterwards(void **state)
{
    (void)state;
    struct job job;
    struct sessions_config config = fixture_config(&fixture);
    config.connect_timeout_ms = 200;
    fixture_start(&fixture, &config);
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_OPEN, .times = 1, .block = true});
    enum err first = job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop);
    assert_int_equal(first, ERR_TIMEOUT);
    uint32_t opens = memory_server_stats(fixture.server).calls[MEMORY_OPEN];
    for (int i = 0; i < 5; i++) {
        assert_int_equal(
            job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
            ERR_TIMEOUT);
        assert_true(job.fault.retry_after_s > 0);
    }
    assert_int_equal(memory_server_stats(fixture.server).calls[MEMORY_OPEN], opens);
}

static void a_queue_that_is_full_says_busy(void **state)
{
    (void)state;
    struct job blocked, waiting[3];
    struct sessions_config config = fixture_config(&fixture);
    config.queue_max = 2;
    config.bulk_connections = 1;
    fixture_deliver(&fixture, "big");
    fixture_start(&fixture, &config);
    int64_t inbox = fixture_inbox(fixture.seat);
    assert_int_equal(job_run(&blocked, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL),
                     OK);
    memory_server_script(fixture.server, &(struct memory_fault){.op = MEMORY_READ, .block = true});
    job_submit(&blocked, fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read);
    wait_blocked(1);
    for (int i = 0; i < 3; i++)
        job_submit(&waiting[i], fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read);
    assert_int_equal(job_wait(&waiting[2]), ERR_BUSY);
    memory_server_release(fixture.server);
    assert_int_equal(job_wait(&blocked), OK);
    assert_int_equal(job_wait(&waiting[0]), OK);
    assert_int_equal(job_wait(&waiting[1]), OK);
}

static void a_task_that_waits_too_long_says_busy(void **state)
{
    (void)state;
    struct job blocked, late;
    struct sessions_config config = fixture_config(&fixture);
    config.bulk_connections = 1;
    fixture_deliver(&fixture, "big");
    fixture_start(&fixture, &config);
    int64_t inbox = fixture_inbox(fixture.seat);
    assert_int_equal(job_run(&blocked, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL),
                     OK);
    memory_server_script(fixture.server, &(struct memory_fault){.op = MEMORY_READ, .block = true});
    job_submit(&blocked, fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_read);
    wait_blocked(1);
    memset(&late, 0, sizeof late);
    arena_init(&late.arena);
    late.task = (struct task){.seat = fixture.seat,
                              .call = {.arena = &late.arena, .deadline_ms = clock_now_ms() + 300},
                              .need = NEED_CONNECTION,
                              .lane = LANE_BULK,
                              .step = job_step};
    task_submit(&late.task);
    assert_int_equal(job_wait(&late), ERR_BUSY);
    memory_server_release(fixture.server);
    assert_int_equal(job_wait(&blocked), OK);
}

static void a_server_that_bears_fewer_connections_is_not_an_error(void **state)
{
    (void)state;
    struct job first, second;
    start();
    assert_int_equal(job_run(&first, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_OPEN, .times = 9, .err = ERR_BUSY});
    job_submit(&first, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_sleep);
    job_submit(&second, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop);
    assert_int_equal(job_wait(&first), OK);
    assert_int_equal(job_wait(&second), OK);
}

static void an_idle_connection_gives_way_when_the_server_hangs_up_on_new_ones(void **state)
{
    (void)state;
    struct job job;
    struct session *other;
    struct seat *seat;
    start();
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    memory_server_script(
        fixture.server,
        &(struct memory_fault){.op = MEMORY_OPEN, .times = 1, .err = ERR_UNREACHABLE});
    assert_int_equal(fixture_sign_in(&fixture, "secret", &other, &seat), OK);
    assert_int_equal(job_run(&job, seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop), OK);
    for (int i = 0; i < 2000 && memory_server_stats(fixture.server).open > 1; i++)
        sleep_ms(1);
    assert_int_equal(memory_server_stats(fixture.server).open, 1);
    session_give(&other);
}

static void an_idle_connection_gives_way_when_the_host_is_full(void **state)
{
    (void)state;
    struct job job;
    struct session *other;
    struct seat *seat;
    struct sessions_config config = fixture_config(&fixture);
    config.host_connections_max = 1;
    fixture_start(&fixture, &config);
    assert_int_equal(fixture_sign_in(&fixture, "secret", &other, &seat), OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop), OK);
        assert_int_equal(job_run(&job, seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop), OK);
    }
    session_give(&other);
    assert_true(memory_server_stats(fixture.server).opened >= 6);
}

#define ELSEWHERE "elsewhere.example.test"

/* Five sign-ins hang; `hosts` and `addresses` are how many different ones they use. Gives how many
 * got as far as the mail server. */
static uint32_t hanging_sign_ins(uint32_t hosts, uint32_t addresses)
{
    struct session *sessions[5];
    struct seat *seat;
    struct job hanging[5], list;
    struct memory_server *other = memory_server_new(ELSEWHERE);
    struct memory_server *const servers[2] = {fixture.server, other};
    struct sessions_config config = fixture_config(&fixture);
    config.threads_max = 16; /* four for signing in */
    config.signin_failures_max = 100;
    fixture_start(&fixture, &config);
    assert_int_equal(job_run(&list, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    for (int i = 0; i < 2; i++)
        memory_server_script(servers[i],
                             &(struct memory_fault){.op = MEMORY_OPEN, .times = 5, .block = true});
    for (uint32_t i = 0; i < 5; i++) {
        struct credentials credentials = fixture_credentials("secret");
        struct fault fault = {0};
        char token[SESSION_TOKEN_BYTES], address[16];
        snprintf(address, sizeof address, "192.0.2.%u", i % addresses);
        credentials.remote_address = address;
        credentials.host = i % hosts ? ELSEWHERE : HOST;
        assert_int_equal(session_open(fixture.sessions, &credentials, &fault, token, &sessions[i]),
                         OK);
        secret_wipe(&credentials.password);
        assert_int_equal(session_seat(sessions[i], "me", &fault, &seat), OK);
        job_submit(&hanging[i], seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop);
    }
    wait_blocked(1);
    sleep_ms(50);
    uint32_t blocked = memory_server_stats(fixture.server).blocked;
    blocked += memory_server_stats(other).blocked;
    assert_int_equal(job_run(&list, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    memory_server_release(fixture.server);
    memory_server_release(other);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(job_wait(&hanging[i]), OK);
        session_end(sessions[i]);
        session_give(&sessions[i]);
    }
    for (int i = 0; i < 2000 && memory_server_stats(other).open; i++)
        sleep_ms(1);
    memory_server_free(&other);
    return blocked;
}

static atomic_bool held;
static atomic_uint holding;

static enum err work_hold(struct job *job)
{
    (void)job;
    holding++;
    while (held)
        sleep_ms(2);
    return OK;
}

/* Twelve sessions keep a worker each, if they are given one, at six hosts. Gives how many were. */
static uint32_t slow_sessions(const char *address)
{
    enum { SLOW = 12, HOSTS = 6 };
    struct session *sessions[SLOW];
    struct seat *seats[SLOW];
    struct job slow[SLOW], list;
    struct sessions_config config = fixture_config(&fixture);
    config.threads_max = 8;
    fixture_start(&fixture, &config);
    assert_int_equal(job_run(&list, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    holding = 0;
    held = true;
    for (uint16_t i = 0; i < SLOW; i++) {
        struct credentials credentials = fixture_credentials("secret");
        struct fault fault = {0};
        char token[SESSION_TOKEN_BYTES];
        credentials.remote_address = address;
        credentials.port = 1000 + i % HOSTS;
        assert_int_equal(session_open(fixture.sessions, &credentials, &fault, token, &sessions[i]),
                         OK);
        secret_wipe(&credentials.password);
        assert_int_equal(session_seat(sessions[i], "me", &fault, &seats[i]), OK);
        assert_int_equal(
            job_run(&slow[i], seats[i], NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop), OK);
    }
    for (int i = 0; i < SLOW; i++)
        job_submit(&slow[i], seats[i], NEED_CONNECTION, LANE_INTERACTIVE, 0, work_hold);
    sleep_ms(200);
    uint32_t given = holding;
    int64_t before_ms = clock_now_ms();
    enum err err = job_run(&list, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop);
    int64_t took_ms = clock_now_ms() - before_ms;
    held = false;
    for (int i = 0; i < SLOW; i++) {
        assert_int_equal(job_wait(&slow[i]), OK);
        session_end(sessions[i]);
        session_give(&sessions[i]);
    }
    assert_int_equal(err, OK);
    assert_in_range(took_ms, 0, 1000);
    return given;
}

static void one_client_leaves_workers_to_others_whatever_hosts_it_names(void **state)
{
    (void)state;
    assert_int_equal(slow_sessions("192.0.2.9"), 6);
}

static void those_who_sign_in_hold_a_share_of_the_workers_only(void **state)
{
    (void)state;
    assert_int_equal(hanging_sign_ins(2, 5), 4);
}

static void sign_ins_at_one_host_hold_half_of_that_share(void **state)
{
    (void)state;
    assert_int_equal(hanging_sign_ins(1, 5), 2);
}

static void sign_ins_from_one_address_hold_half_of_that_share(void **state)
{
    (void)state;
    assert_int_equal(hanging_sign_ins(2, 1), 2);
}

static void work_that_runs_is_cut_when_its_session_ends(void **state)
{
    (void)state;
    static const enum task_lane lanes[] = {LANE_BULK, LANE_INTERACTIVE};
    struct job running[2], opening;
    struct session *other;
    struct seat *seat;
    fixture_deliver(&fixture, "big");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    assert_int_equal(job_run(&running[0], fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL),
                     OK);
    assert_int_equal(fixture_sign_in(&fixture, "secret", &other, &seat), OK);
    assert_int_equal(job_run(&running[0], seat, NEED_CONNECTION, LANE_BULK, inbox, work_noop), OK);
    memory_server_script(fixture.server,
                         &(struct memory_fault){.op = MEMORY_READ, .times = 2, .block = true});
    for (int i = 0; i < 2; i++)
        job_submit(&running[i], fixture.seat, NEED_CONNECTION, lanes[i], inbox, work_read);
    wait_blocked(2);
    memory_server_script(fixture.server, &(struct memory_fault){.op = MEMORY_OPEN, .block = true});
    job_submit(&opening, fixture.seat, NEED_CONNECTION, LANE_BULK, inbox, work_noop);
    wait_blocked(3);
    session_end(fixture.session);
    for (int i = 0; i < 2; i++)
        assert_int_equal(job_wait(&running[i]), ERR_CANCELLED);
    assert_int_equal(job_wait(&opening), ERR_CANCELLED);
    /* another session of the same account goes on */
    assert_int_equal(job_run(&opening, seat, NEED_CONNECTION, LANE_BULK, inbox, work_noop), OK);
    session_give(&other);
}

static void an_ended_session_refuses_and_closes(void **state)
{
    (void)state;
    struct job job;
    start();
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    session_end(fixture.session);
    assert_int_equal(job_run(&job, fixture.seat, NEED_NOTHING, LANE_INTERACTIVE, 0, NULL),
                     ERR_UNAUTHORIZED);
    for (int i = 0; i < 2000 && memory_server_stats(fixture.server).open; i++)
        sleep_ms(1);
    assert_int_equal(memory_server_stats(fixture.server).open, 0);
}

static void a_session_nobody_uses_ends(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct session *session;
    char token[SESSION_TOKEN_BYTES];
    struct sessions_config config = fixture_config(&fixture);
    config.session_idle_ms = 300;
    fixture_start(&fixture, &config);
    struct credentials credentials = fixture_credentials("secret");
    assert_int_equal(session_open(fixture.sessions, &credentials, &fault, token, &session), OK);
    secret_wipe(&credentials.password);
    session_give(&session);
    assert_int_equal(session_find(fixture.sessions, token, &fault, &session), OK);
    session_give(&session);
    enum err err = OK;
    for (int i = 0; i < 20 && !err; i++) {
        sleep_ms(700);
        err = session_find(fixture.sessions, token, &fault, &session);
        if (!err)
            session_give(&session);
    }
    assert_int_equal(err, ERR_UNAUTHORIZED);
}

static void another_password_is_another_session(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct session *first, *again, *other;
    struct seat *seat;
    struct job job;
    start();
    struct credentials right = fixture_credentials("secret"), wrong = fixture_credentials("secreT");
    assert_int_equal(session_open_basic(fixture.sessions, &right, &fault, &first), OK);
    assert_int_equal(session_seat(first, "me", &fault, &seat), OK);
    assert_int_equal(job_run(&job, seat, NEED_NOTHING, LANE_INTERACTIVE, 0, NULL), OK);
    assert_int_equal(session_open_basic(fixture.sessions, &right, &fault, &again), OK);
    assert_ptr_equal(first, again);
    assert_int_equal(session_open_basic(fixture.sessions, &wrong, &fault, &other), OK);
    assert_ptr_not_equal(first, other);
    assert_int_equal(session_seat(other, "me", &fault, &seat), OK);
    assert_int_equal(job_run(&job, seat, NEED_NOTHING, LANE_INTERACTIVE, 0, NULL), ERR_LOGIN);
    secret_wipe(&right.password);
    secret_wipe(&wrong.password);
    session_give(&first);
    session_give(&again);
    session_give(&other);
}

static void stop_while_something_hangs(bool session_ended)
{
    struct job hanging;
    fixture_deliver(&fixture, "big");
    start();
    int64_t inbox = fixture_inbox(fixture.seat);
    assert_int_equal(job_run(&hanging, fixture.seat, NEED_FOLDER, LANE_INTERACTIVE, inbox, NULL),
                     OK);
    memory_server_script(fixture.server, &(struct memory_fault){.op = MEMORY_READ, .block = true});
    job_submit(&hanging, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, inbox, work_read);
    wait_blocked(1);
    if (session_ended)
        session_end(fixture.session);
    sessions_quiesce(fixture.sessions);
    struct job refused;
    assert_int_equal(job_run(&refused, fixture.seat, NEED_NOTHING, LANE_INTERACTIVE, 0, NULL),
                     ERR_SHUTTING_DOWN);
    session_give(&fixture.session);
    sessions_stop(&fixture.sessions, clock_now_ms() + 100);
    assert_true(atomic_load(&hanging.done));
    assert_int_equal(job_wait(&hanging), ERR_CANCELLED);
    struct sessions_config config = fixture_config(&fixture);
    fixture_start(&fixture, &config); /* for the teardown */
}

static void stopping_ends_what_hangs(void **state)
{
    (void)state;
    stop_while_something_hangs(false);
}

static void stopping_ends_what_hangs_of_an_ended_session_too(void **state)
{
    (void)state;
    stop_while_something_hangs(true);
}

static int64_t processor_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static void workers_without_work_use_no_processor(void **state)
{
    (void)state;
    struct job job;
    start();
    assert_int_equal(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop),
                     OK);
    int64_t before_ms = processor_ms();
    sleep_ms(7000); /* longer than a worker waits before it thinks of ending */
    assert_true(processor_ms() - before_ms < 500);
    assert_true(job_run(&job, fixture.seat, NEED_CONNECTION, LANE_INTERACTIVE, 0, work_noop) == OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_first_lease_signs_in),
        TEST(nothing_is_run_before_the_mail_server_said_yes),
        TEST(a_refused_login_later_shuts_the_seat),
        TEST(failed_sign_ins_are_throttled_and_only_for_that_address),
        TEST(a_list_never_waits_for_a_download),
        TEST(a_cancelled_download_ends_at_once_and_frees_its_lane),
        TEST(a_cancelled_task_in_the_queue_never_gets_a_connection),
        TEST(a_dead_pooled_connection_costs_a_reader_nothing),
        TEST(a_host_that_does_not_answer_fails_fast_afterwards),
        TEST(a_queue_that_is_full_says_busy),
        TEST(a_task_that_waits_too_long_says_busy),
        TEST(a_server_that_bears_fewer_connections_is_not_an_error),
        TEST(an_idle_connection_gives_way_when_the_server_hangs_up_on_new_ones),
        TEST(an_idle_connection_gives_way_when_the_host_is_full),
        TEST(one_client_leaves_workers_to_others_whatever_hosts_it_names),
        TEST(those_who_sign_in_hold_a_share_of_the_workers_only),
        TEST(sign_ins_at_one_host_hold_half_of_that_share),
        TEST(sign_ins_from_one_address_hold_half_of_that_share),
        TEST(work_that_runs_is_cut_when_its_session_ends),
        TEST(an_ended_session_refuses_and_closes),
        TEST(a_session_nobody_uses_ends),
        TEST(workers_without_work_use_no_processor),
        TEST(another_password_is_another_session),
        TEST(stopping_ends_what_hangs),
        TEST(stopping_ends_what_hangs_of_an_ended_session_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

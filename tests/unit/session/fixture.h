/* fixture.h - a session layer over the in-memory mail server: what every test here begins with. */
#ifndef POSTERN_SESSION_FIXTURE_H
#define POSTERN_SESSION_FIXTURE_H

#include "memory_backend.h"
#include "operations.h"
#include "reach.h"
#include "session.h"
#include "task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HOST "mail.example.test"

struct fixture {
    char data_dir[64];
    struct store *store;
    struct reach *reach;
    struct backend_world world;
    struct sessions *sessions;
    struct memory_server *server;
    struct session *session;
    struct seat *seat;
};

static inline void fixture_render(const char *id, const struct message *message, struct buf *out)
{
    buf_printf(out, "\"id\":\"%s\",\"uid\":%u", id, message->uid);
}

static inline struct sessions_config fixture_config(struct fixture *fixture)
{
    return (struct sessions_config){
        .store = fixture->store,
        .world = &fixture->world,
        .ops = {[PROTOCOL_IMAP] = &memory_backend},
        .threads_max = 16,
        .sessions_max = 100,
        .interactive_connections = 2,
        .bulk_connections = 2,
        .account_connections_max = 8,
        .host_connections_max = 16,
        .queue_max = 1000,
        .session_idle_ms = 60000,
        .connection_idle_ms = 60000,
        .connect_timeout_ms = 5000,
        .request_timeout_ms = 10000,
        .content_timeout_ms = 20000,
        .host_down_ms = 60000,
        .first_page = 10,
        .backfill_batch = 20,
        .signin_failures_max = 3,
        .signin_window_ms = 60000,
        .mirror_idle_ms = 60000,
        .mirror_days = 30,
    };
}

static inline void fixture_open_world(struct fixture *fixture)
{
    struct fault fault = {0};
    snprintf(fixture->data_dir, sizeof fixture->data_dir, "/tmp/postern-unit-XXXXXX");
    assert_non_null(mkdtemp(fixture->data_dir));
    struct store_options options = {
        .data_dir = fixture->data_dir, .memory = true, .render = fixture_render};
    assert_int_equal(store_open(&options, &fault, &fixture->store), OK);
    assert_int_equal(reach_new(HOST ",elsewhere.example.test", &fault, &fixture->reach), OK);
    fixture->world = (struct backend_world){.reach = fixture->reach};
    fixture->server = memory_server_new(HOST);
}

static inline struct credentials fixture_credentials(const char *password)
{
    struct credentials credentials = {
        .protocol = PROTOCOL_IMAP,
        .security = SECURITY_TLS,
        .host = HOST,
        .port = 993,
        .username = "user",
        .remote_address = "192.0.2.1",
    };
    secret_set(&credentials.password, password, strlen(password));
    return credentials;
}

static inline enum err fixture_sign_in(struct fixture *fixture, const char *password,
                                       struct session **session, struct seat **seat)
{
    struct fault fault = {0};
    char token[SESSION_TOKEN_BYTES];
    struct credentials credentials = fixture_credentials(password);
    enum err err = session_open(fixture->sessions, &credentials, &fault, token, session);
    secret_wipe(&credentials.password);
    if (!err)
        err = session_seat(*session, "me", &fault, seat);
    return err;
}

static inline void fixture_start(struct fixture *fixture, const struct sessions_config *config)
{
    fixture->sessions = sessions_new(config);
    assert_int_equal(fixture_sign_in(fixture, "secret", &fixture->session, &fixture->seat), OK);
}

static inline void fixture_stop(struct fixture *fixture)
{
    char command[128];
    if (fixture->session)
        session_give(&fixture->session);
    sessions_stop(&fixture->sessions, clock_now_ms() + 5000);
    if (fixture->server)
        memory_server_free(&fixture->server);
    store_close(&fixture->store);
    reach_free(&fixture->reach);
    snprintf(command, sizeof command, "%s/key", fixture->data_dir);
    unlink(command);
    snprintf(command, sizeof command, "%s/lock", fixture->data_dir);
    unlink(command);
    snprintf(command, sizeof command, "%s/mirrors", fixture->data_dir);
    rmdir(command);
    rmdir(fixture->data_dir);
}

/* ---- a task that a test can wait for ---- */
struct job {
    struct task task;
    struct arena arena;
    enum err (*work)(struct job *job); /* on the worker, without a fault; may be NULL */
    enum err result;
    struct fault fault;
    const void *argument;
    uint64_t number; /* whatever the work leaves */
    int64_t done_us;
    atomic_bool done;
};

static inline void job_step(struct task *task)
{
    struct job *job = (struct job *)task;
    job->result = task->call.fault.code;
    if (!job->result && job->work)
        job->result = job->work(job);
    job->fault = task->call.fault;
    job->done_us = clock_now_us();
    atomic_store(&job->done, true);
}

static inline void job_submit(struct job *job, struct seat *seat, enum task_need need,
                              enum task_lane lane, int64_t folder, enum err (*work)(struct job *))
{
    memset(job, 0, sizeof *job);
    arena_init(&job->arena);
    job->work = work;
    job->task = (struct task){.seat = seat,
                              .call = {.arena = &job->arena, .deadline_ms = clock_now_ms() + 10000},
                              .need = need,
                              .lane = lane,
                              .folder = folder,
                              .step = job_step};
    task_submit(&job->task);
}

static inline void sleep_ms(int ms)
{
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&span, NULL);
}

static inline enum err job_wait(struct job *job)
{
    int64_t until_ms = clock_now_ms() + 60000;
    while (!atomic_load(&job->done)) {
        assert_true(clock_now_ms() < until_ms);
        sleep_ms(1);
    }
    arena_clear(&job->arena);
    return job->result;
}

static inline enum err job_run(struct job *job, struct seat *seat, enum task_need need,
                               enum task_lane lane, int64_t folder, enum err (*work)(struct job *))
{
    job_submit(job, seat, need, lane, folder, work);
    return job_wait(job);
}

/* ---- the mirror, as a test asks it ---- */
static inline struct folder_row fixture_folder(struct seat *seat, const char *key)
{
    static struct arena arena;
    struct call call = {.arena = &arena, .deadline_ms = DEADLINE_NONE};
    struct folder_row row = {0};
    if (mirror_find_folder(seat_mirror(seat), &call, key, &row) != OK)
        row.number = 0;
    struct folder_row plain = row;
    plain.listing.remote = NULL;
    plain.listing.path = NULL;
    arena_clear(&arena);
    return plain;
}

static inline int64_t fixture_inbox(struct seat *seat)
{
    struct job job;
    struct folder_row row = fixture_folder(seat, "inbox");
    if (row.number == 0) {
        assert_int_equal(job_run(&job, seat, NEED_FOLDERS, LANE_INTERACTIVE, 0, NULL), OK);
        row = fixture_folder(seat, "inbox");
    }
    assert_true(row.number > 0);
    return row.number;
}

static uint32_t fixture_deliver(struct fixture *fixture, const char *subject)
{
    char raw[512];
    int length = snprintf(raw, sizeof raw,
                          "From: Ann <ann@example.org>\r\nTo: user@example.test\r\nSubject: %s\r\n"
                          "Date: Fri, 02 Oct 2026 10:00:00 +0000\r\n\r\nHello.\r\n",
                          subject);
    return memory_server_deliver(fixture->server, "INBOX", raw, (size_t)length);
}

struct row_count {
    struct row_sink sink;
    uint32_t count;
    uint32_t uids[5000];
    uint32_t flags[5000];
};

static inline enum err count_row(struct row_sink *sink, const struct message_row *row)
{
    struct row_count *self = (struct row_count *)sink;
    assert_true(self->count < 5000);
    self->uids[self->count] = row->uid;
    self->flags[self->count++] = row->flags;
    return OK;
}

static inline void fixture_list(struct seat *seat, int64_t folder, uint32_t limit,
                                struct row_count *out)
{
    struct arena arena;
    arena_init(&arena);
    struct call call = {.arena = &arena, .deadline_ms = DEADLINE_NONE};
    struct list_query query = {.folders = &folder, .folder_count = 1, .limit = limit};
    *out = (struct row_count){.sink = {.row = count_row}};
    assert_int_equal(mirror_list(seat_mirror(seat), &call, &query, &out->sink), OK);
    arena_clear(&arena);
}

#endif

/* lease.c - a handle lent for one reading or one writing, and the transaction around it. */
#include "inside.h"
#include "clock.h"

static enum err reader_take(struct mirror *mirror, struct fault *fault, struct handle **out)
{
    pthread_mutex_lock(&mirror->pool_lock);
    while (!mirror->readers && mirror->reader_count >= READERS_MAX)
        pthread_cond_wait(&mirror->reader_back, &mirror->pool_lock);
    *out = mirror->readers;
    if (*out)
        mirror->readers = (*out)->next;
    else
        mirror->reader_count++;
    pthread_mutex_unlock(&mirror->pool_lock);
    if (*out)
        return OK;
    enum err err = handle_open(mirror->path, HANDLE_READS, &mirror->damaged, fault, out);
    if (err) {
        pthread_mutex_lock(&mirror->pool_lock);
        mirror->reader_count--;
        pthread_cond_signal(&mirror->reader_back);
        pthread_mutex_unlock(&mirror->pool_lock);
    }
    return err;
}

static void reader_give(struct mirror *mirror, struct handle *reader)
{
    reader->used_ms = clock_now_ms();
    pthread_mutex_lock(&mirror->pool_lock);
    reader->next = mirror->readers;
    mirror->readers = reader;
    pthread_cond_signal(&mirror->reader_back);
    pthread_mutex_unlock(&mirror->pool_lock);
}

static enum err writer_take(struct mirror *mirror, struct fault *fault, struct handle **out)
{
    enum err err = OK;
    pthread_mutex_lock(&mirror->write_lock);
    if (!mirror->writer)
        err = handle_open(mirror->path, HANDLE_WRITES, &mirror->damaged, fault, &mirror->writer);
    *out = mirror->writer;
    if (err)
        pthread_mutex_unlock(&mirror->write_lock);
    return err;
}

static void writer_give(struct mirror *mirror)
{
    mirror->writer->used_ms = clock_now_ms();
    pthread_mutex_unlock(&mirror->write_lock);
}

/* The handle goes back, and the gate opens. In memory, reading lends the writer too. */
static void leave(struct mirror *mirror, struct call *call, struct handle *db, bool writes,
                  int64_t began_us)
{
    if (writes || !mirror->path)
        writer_give(mirror);
    else
        reader_give(mirror, db);
    pthread_rwlock_unlock(&mirror->gate);
    call->mirror_us += clock_now_us() - began_us;
}

static enum err enter(struct mirror *mirror, struct call *call, bool writes, struct handle **out)
{
    enum err err = mirror_enter(mirror, &call->fault);
    if (err)
        return err;
    err = writes || !mirror->path ? writer_take(mirror, &call->fault, out)
                                  : reader_take(mirror, &call->fault, out);
    if (err)
        pthread_rwlock_unlock(&mirror->gate);
    return err;
}

static void roll_back(struct handle *db)
{
    struct fault unheard = {0};
    if (!sqlite3_get_autocommit(db->sqlite))
        handle_do(db, &unheard, SQL_ROLLBACK, NULL);
}

enum err reading_begin(struct mirror *mirror, struct call *call, struct reading *out)
{
    *out = (struct reading){.mirror = mirror, .call = call, .began_us = clock_now_us()};
    enum err err = enter(mirror, call, false, &out->db);
    if (err)
        return err;
    err = handle_do(out->db, &call->fault, SQL_BEGIN_READ, NULL);
    if (err)
        reading_end(out);
    return err;
}

void reading_end(struct reading *reading)
{
    roll_back(reading->db);
    leave(reading->mirror, reading->call, reading->db, false, reading->began_us);
}

enum err writing_begin(struct mirror *mirror, struct call *call, struct writing *out)
{
    *out = (struct writing){
        .mirror = mirror, .call = call, .at_s = clock_unix_s(), .began_us = clock_now_us()};
    int64_t change;
    enum err err = enter(mirror, call, true, &out->db);
    if (err)
        return err;
    err = handle_do(out->db, &call->fault, SQL_BEGIN_WRITE, NULL);
    if (!err)
        err = handle_number(out->db, &call->fault, SQL_CHANGE, NULL, 0, &change);
    if (err)
        writing_abort(out);
    else
        out->change = out->change_begun = (uint64_t)change;
    return err;
}

enum err writing_commit(struct writing *writing)
{
    struct fault *fault = &writing->call->fault;
    enum err err = OK;
    if (writing->change != writing->change_begun)
        err = handle_do(writing->db, fault, SQL_SET_CHANGE, VALUES(V_INT(writing->change)));
    if (!err)
        err = handle_do(writing->db, fault, SQL_COMMIT, NULL);
    if (err)
        roll_back(writing->db);
    leave(writing->mirror, writing->call, writing->db, true, writing->began_us);
    return err;
}

void writing_abort(struct writing *writing)
{
    roll_back(writing->db);
    leave(writing->mirror, writing->call, writing->db, true, writing->began_us);
}

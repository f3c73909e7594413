/* pipe.c - a ring under a mutex; the writer waits on a condition, the reader is called back. */
#include "pipe.h"
#include "arena.h"
#include "clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pipe {
    pthread_mutex_t lock;
    pthread_cond_t drained;
    int references;
    size_t capacity, start, length; /* the ring */
    bool ended, left;
    enum err result;
    bool reader_waits; /* a read said EMPTY and nobody was called since */
    void (*on_ready)(void *);
    void *argument;
    char bytes[];
};

struct pipe *pipe_new(size_t capacity_bytes)
{
    struct pipe *pipe = xalloc(sizeof *pipe + capacity_bytes);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pipe->drained, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&pipe->lock, NULL);
    pipe->capacity = capacity_bytes;
    pipe->references = 2;
    return pipe;
}

void pipe_drop(struct pipe **pipe_at)
{
    struct pipe *pipe = *pipe_at;
    *pipe_at = NULL;
    if (!pipe)
        return;
    pthread_mutex_lock(&pipe->lock);
    int left = --pipe->references;
    pthread_mutex_unlock(&pipe->lock);
    if (left)
        return;
    pthread_cond_destroy(&pipe->drained);
    pthread_mutex_destroy(&pipe->lock);
    free(pipe);
}

static size_t ring_put(struct pipe *pipe, const char *data, size_t length)
{
    size_t room = pipe->capacity - pipe->length;
    size_t take = length < room ? length : room;
    size_t end = (pipe->start + pipe->length) % pipe->capacity;
    size_t straight = pipe->capacity - end < take ? pipe->capacity - end : take;
    memcpy(pipe->bytes + end, data, straight);
    memcpy(pipe->bytes, data + straight, take - straight);
    pipe->length += take;
    return take;
}

/* Waits for room. Any byte the reader takes starts the patience anew. Lock held. */
static enum err wait_for_room(struct pipe *pipe, int stall_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += stall_ms / 1000;
    until.tv_nsec += (long)(stall_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!pipe->left && pipe->length == pipe->capacity)
        if (pthread_cond_timedwait(&pipe->drained, &pipe->lock, &until) == ETIMEDOUT)
            break; /* but the reader may have come between the clock and the lock */
    if (pipe->left)
        return ERR_CANCELLED;
    return pipe->length == pipe->capacity ? ERR_TIMEOUT : OK;
}

/* Takes the right to wake the reader; the caller does so once the lock is released. */
static bool take_wake(struct pipe *pipe)
{
    bool wake = pipe->reader_waits && pipe->on_ready;
    pipe->reader_waits = false;
    return wake;
}

enum err pipe_write(struct pipe *pipe, const void *data, size_t length, int stall_ms)
{
    const char *at = data;
    while (length) {
        pthread_mutex_lock(&pipe->lock);
        assert(!pipe->ended);
        enum err err = pipe->left ? ERR_CANCELLED : OK;
        if (!err && pipe->length == pipe->capacity)
            err = wait_for_room(pipe, stall_ms);
        bool wake = false;
        if (!err) {
            size_t taken = ring_put(pipe, at, length);
            at += taken;
            length -= taken;
            wake = take_wake(pipe);
        }
        pthread_mutex_unlock(&pipe->lock);
        if (wake)
            pipe->on_ready(pipe->argument);
        if (err)
            return err;
    }
    return OK;
}

void pipe_end(struct pipe *pipe, enum err result)
{
    pthread_mutex_lock(&pipe->lock);
    assert(!pipe->ended);
    pipe->ended = true;
    pipe->result = result;
    bool wake = !pipe->left && take_wake(pipe);
    pthread_mutex_unlock(&pipe->lock);
    if (wake)
        pipe->on_ready(pipe->argument);
}

ssize_t pipe_read(struct pipe *pipe, void *out, size_t capacity)
{
    pthread_mutex_lock(&pipe->lock);
    ssize_t answer;
    if (pipe->length) {
        size_t take = pipe->length < capacity ? pipe->length : capacity;
        size_t tail = pipe->capacity - pipe->start;
        size_t straight = tail < take ? tail : take;
        memcpy(out, pipe->bytes + pipe->start, straight);
        memcpy((char *)out + straight, pipe->bytes, take - straight);
        pipe->start = (pipe->start + take) % pipe->capacity;
        pipe->length -= take;
        pthread_cond_signal(&pipe->drained);
        answer = (ssize_t)take;
    } else if (pipe->ended) {
        answer = pipe->result == OK ? PIPE_ENDED : PIPE_BROKEN;
    } else {
        pipe->reader_waits = true;
        answer = PIPE_EMPTY;
    }
    pthread_mutex_unlock(&pipe->lock);
    return answer;
}

void pipe_leave(struct pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    pipe->left = true;
    pipe->reader_waits = false;
    pthread_cond_signal(&pipe->drained);
    pthread_mutex_unlock(&pipe->lock);
}

void pipe_on_ready(struct pipe *pipe, void (*on_ready)(void *argument), void *argument)
{
    pthread_mutex_lock(&pipe->lock);
    pipe->on_ready = on_ready;
    pipe->argument = argument;
    pthread_mutex_unlock(&pipe->lock);
}

static enum err pipe_sink_write(struct sink *sink, const void *data, size_t length)
{
    struct pipe_sink *self = (struct pipe_sink *)sink;
    return pipe_write(self->pipe, data, length, self->stall_ms);
}

void pipe_sink_init(struct pipe_sink *self, struct pipe *pipe, int stall_ms)
{
    *self =
        (struct pipe_sink){.sink = {.write = pipe_sink_write}, .pipe = pipe, .stall_ms = stall_ms};
}

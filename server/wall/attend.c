/* attend.c - all connections of a worker in one epoll set, and the threads that take turns at it.
 *
 * Leader and followers: threads wait one event each; whoever is given a connection keeps it until
 * its call has been answered. Registrations fire once, and an event carries slot and generation of
 * its connection, so that one that comes late finds nothing. What fires while a call runs can only
 * be the near end's leaving: a cancel.
 *
 * One lock, held for a table's look-up, an epoll_ctl or a backend_cancel, never for a wait. One
 * thread more than threads_max, so that cancels are heard when all others serve.
 */
#include "attend_hung.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_BYTES (2048 * 1024) /* its frames are larger */
#else
#define STACK_BYTES (512 * 1024) /* libetpan's parser recurses, under our nesting cap */
#endif

#define THREAD_IDLE_MS 5000
#define THREADS_KEPT   2

#define GONE (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

struct attendance {
    struct attendance_config config;
    int epoll, wake;
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a thread */
    struct attend_slots slots;
    struct connection *queue, **queue_end;
    /* waiting: in epoll_wait, or about to be; running: with a connection */
    uint32_t threads, waiting, running;
    struct hung_watch hung;
    bool stopping;
};

static void lock(struct attendance *attendance)
{
    pthread_mutex_lock(&attendance->lock);
}

static void unlock(struct attendance *attendance)
{
    pthread_mutex_unlock(&attendance->lock);
}

static uint64_t token_of(const struct connection *connection, unsigned which)
{
    return attend_token(connection->slot, connection->generation, which);
}

/* ---- the epoll set ---- */

static bool arm_channel(struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT,
                                .data.u64 = token_of(connection, ATTEND_CHANNEL)};
    return epoll_ctl(connection->attendance->epoll, operation, connection->channel.fd, &event) == 0;
}

/* For the end of the mail server's connection; a socket that fired during a call fires again. */
static bool arm_socket_locked(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT,
                                .data.u64 = token_of(connection, ATTEND_SOCKET)};
    int fd = connection->backend ? backend_fd(connection->backend) : -1;
    if (fd < 0 || connection->socket_armed)
        return true;
    int operation = connection->watches_socket ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    connection->watches_socket = connection->socket_armed =
        epoll_ctl(connection->attendance->epoll, operation, fd, &event) == 0;
    return connection->socket_armed;
}

/* By hand: the near end may hold descriptors of the same sockets, and close() then leaves them in
 * the set. */
static void disarm_locked(struct connection *connection)
{
    int epoll = connection->attendance->epoll;
    (void)epoll_ctl(epoll, EPOLL_CTL_DEL, connection->channel.fd, NULL);
    if (connection->watches_socket)
        (void)epoll_ctl(epoll, EPOLL_CTL_DEL, backend_fd(connection->backend), NULL);
}

/* ---- a connection's life ---- */

static void connection_free(struct connection *connection)
{
    backend_close(&connection->backend);
    channel_clear(&connection->channel);
    if (connection->socket_fd >= 0)
        close(connection->socket_fd);
    free(connection->host);
    free(connection->told_selected);
    free(connection);
}

/* The mail server is told goodbye last: the near end need not wait for that. */
static void connection_close(struct connection *connection)
{
    struct attendance *attendance = connection->attendance;
    lock(attendance);
    disarm_locked(connection);
    attend_slots_give(&attendance->slots, connection);
    unlock(attendance); /* from here on no event leads to it, and so no cancel */
    channel_clear(&connection->channel);
    connection_free(connection);
}

/* Back into the set; false when it has to be closed. */
static bool connection_rest(struct connection *connection)
{
    struct attendance *attendance = connection->attendance;
    lock(attendance);
    bool rests = !attendance->stopping && !connection_is_cancelled(connection) &&
                 arm_socket_locked(connection);
    if (rests) {
        connection->state = CONNECTION_IDLE; /* anybody's, as soon as the lock is free */
        rests = arm_channel(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
        if (!rests)
            connection->state = CONNECTION_BUSY;
    }
    unlock(attendance);
    return rests;
}

bool connection_is_cancelled(const struct connection *connection)
{
    return __atomic_load_n(&connection->cancelled, __ATOMIC_RELAXED);
}

static void cancel_locked(struct connection *connection)
{
    __atomic_store_n(&connection->cancelled, true, __ATOMIC_RELAXED);
    if (connection->backend)
        backend_cancel(connection->backend);
}

void connection_cancel(struct connection *connection)
{
    lock(connection->attendance);
    cancel_locked(connection);
    unlock(connection->attendance);
}

void connection_set_backend(struct connection *connection, struct backend *backend)
{
    lock(connection->attendance);
    connection->backend = backend;
    unlock(connection->attendance);
}

/* ---- events ---- */

static void enqueue_locked(struct attendance *attendance, struct connection *connection)
{
    connection->state = CONNECTION_QUEUED;
    connection->next = NULL;
    *attendance->queue_end = connection;
    attendance->queue_end = &connection->next;
}

static struct connection *dequeue_locked(struct attendance *attendance)
{
    struct connection *connection = attendance->queue;
    if (!connection || attendance->running >= attendance->config.threads_max)
        return NULL;
    attendance->queue = connection->next;
    if (!attendance->queue)
        attendance->queue_end = &attendance->queue;
    connection->next = NULL;
    connection->state = CONNECTION_BUSY;
    return connection;
}

static int patience_locked(const struct attendance *attendance)
{
    int idle_ms = attendance->waiting >= THREADS_KEPT ? THREAD_IDLE_MS : -1;
    int hung_ms = hung_watch_left_ms(&attendance->hung);
    return idle_ms < 0 || (hung_ms >= 0 && hung_ms < idle_ms) ? hung_ms : idle_ms;
}

/* A connection that this thread has to serve now, or NULL. */
static struct connection *hear_locked(struct attendance *attendance,
                                      const struct epoll_event *event)
{
    struct connection *connection = attend_slots_find(&attendance->slots, event->data.u64);
    if (!connection)
        return NULL;
    bool of_socket = event->data.u64 & ATTEND_SOCKET, gone = event->events & GONE;
    if (of_socket)
        connection->socket_armed = false;
    if (connection->state != CONNECTION_IDLE) {
        if (!of_socket && gone) {
            cancel_locked(connection);
            hung_watch_note(&attendance->hung, connection);
        }
        return NULL; /* a server's end is seen by the call, and when the connection rests */
    }
    connection->state = CONNECTION_BUSY;
    connection->doomed = of_socket || gone;
    if (!connection->doomed && !arm_channel(connection, EPOLL_CTL_MOD, EPOLLRDHUP))
        connection->doomed = true;
    if (attendance->running < attendance->config.threads_max)
        return connection;
    enqueue_locked(attendance, connection);
    return NULL;
}

/* ---- threads ---- */

/* True: start_thread has to be called, without the lock. */
static bool reserve_thread_locked(struct attendance *attendance)
{
    if (attendance->stopping || attendance->waiting > 0 ||
        attendance->threads > attendance->config.threads_max)
        return false;
    attendance->threads++;
    attendance->waiting++;
    return true;
}

static struct connection *await_work_locked(struct attendance *attendance)
{
    while (!attendance->stopping) {
        struct connection *connection = dequeue_locked(attendance);
        if (connection)
            return connection;
        int most_ms = patience_locked(attendance);
        struct epoll_event event;
        attendance->waiting++;
        unlock(attendance);
        int count = epoll_wait(attendance->epoll, &event, 1, most_ms);
        lock(attendance);
        attendance->waiting--;
        hung_watch_look(&attendance->hung, &attendance->slots);
        if (count == 0 && attendance->waiting >= THREADS_KEPT)
            return NULL;
        if (count > 0 && event.data.u64 != ATTEND_WAKE)
            connection = hear_locked(attendance, &event);
        if (connection)
            return connection;
    }
    return NULL;
}

static void start_thread(struct attendance *attendance);

static void serve(struct attendance *attendance, struct connection *connection)
{
    bool lives = !connection->doomed && connection_serve(connection, &attendance->config);
    if (!lives || !connection_rest(connection))
        connection_close(connection);
}

static void *attend(void *argument)
{
    struct attendance *attendance = argument;
    struct connection *connection;
    lock(attendance);
    attendance->waiting--; /* it stood for the time that the start took */
    while ((connection = await_work_locked(attendance)) != NULL) {
        attendance->running++;
        bool follower = reserve_thread_locked(attendance);
        unlock(attendance);
        if (follower)
            start_thread(attendance);
        serve(attendance, connection);
        lock(attendance);
        attendance->running--;
        if (thread_gave_way() && attendance->waiting > 0 && !attendance->queue)
            break; /* somebody else is there for the next call, at full priority */
    }
    attendance->threads--;
    pthread_cond_broadcast(&attendance->ended);
    unlock(attendance);
    return NULL;
}

/* Without one, cancels are heard late and calls wait for each other; the next call tries again. */
static void start_thread(struct attendance *attendance)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, attend, attendance);
    pthread_attr_destroy(&attributes);
    if (!failed)
        return;
    log_event(LOG_WARN, "wall.thread", LOG_TEXT("error", strerror(failed)), LOG_END);
    lock(attendance);
    attendance->threads--;
    attendance->waiting--;
    pthread_cond_broadcast(&attendance->ended);
    unlock(attendance);
}

/* ---- the whole ---- */

struct attendance *attendance_new(const struct attendance_config *config)
{
    assert(config->world && config->ops && config->threads_max > 0);
    struct attendance *attendance = xalloc(sizeof *attendance);
    attendance->config = *config;
    attendance->hung.patience_ms = config->hung_ms;
    attend_slots_init(&attendance->slots);
    attendance->queue_end = &attendance->queue;
    pthread_mutex_init(&attendance->lock, NULL);
    pthread_cond_init(&attendance->ended, NULL);
    attendance->epoll = epoll_create1(EPOLL_CLOEXEC);
    attendance->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = ATTEND_WAKE};
    if (attendance->epoll < 0 || attendance->wake < 0 ||
        epoll_ctl(attendance->epoll, EPOLL_CTL_ADD, attendance->wake, &event) != 0) {
        log_event(LOG_ERROR, "wall.epoll", LOG_TEXT("error", strerror(errno)), LOG_END);
        abort(); /* at a process's start: nothing can be served without */
    }
    return attendance;
}

void attendance_adopt(struct attendance *attendance, int channel_fd, int socket_fd)
{
    struct connection *connection = xalloc(sizeof *connection);
    connection->attendance = attendance;
    connection->socket_fd = socket_fd;
    channel_init(&connection->channel, channel_fd);
    lock(attendance);
    attend_slots_take(&attendance->slots, connection);
    bool stands = arm_channel(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
    if (!stands)
        attend_slots_give(&attendance->slots, connection);
    bool first = reserve_thread_locked(attendance);
    unlock(attendance);
    if (first)
        start_thread(attendance);
    if (!stands)
        connection_free(connection);
}

void attendance_touch(struct attendance *attendance)
{
    lock(attendance);
    unlock(attendance);
}

void attendance_stop(struct attendance **attendance_at)
{
    struct attendance *attendance = *attendance_at;
    static const uint64_t one = 1;
    lock(attendance);
    attendance->stopping = true;
    for (uint32_t i = 0; i < attendance->slots.count; i++)
        if (attendance->slots.items[i].connection)
            cancel_locked(attendance->slots.items[i].connection);
    ssize_t written = write(attendance->wake, &one, sizeof one);
    (void)written; /* it was 0 */
    while (attendance->threads > 0)
        pthread_cond_wait(&attendance->ended, &attendance->lock);
    unlock(attendance);
    for (uint32_t i = 0; i < attendance->slots.count; i++)
        if (attendance->slots.items[i].connection)
            connection_close(attendance->slots.items[i].connection);
    close(attendance->epoll);
    close(attendance->wake);
    pthread_cond_destroy(&attendance->ended);
    pthread_mutex_destroy(&attendance->lock);
    attend_slots_clear(&attendance->slots);
    free(attendance);
    *attendance_at = NULL;
}

/* keeper.c - one thread that looks after what rests: idle connections whose server hangs up, tasks
 * that waited too long, sessions and files nobody uses.
 *
 * An idle connection costs no thread; it stands in an epoll set and is buried when its server goes.
 */
#include "internal.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TICK_MS       250
#define TIDY_EVERY_MS 5000
#define EVENTS_A_TURN 64

void keeper_watch_locked(struct sessions *sessions, struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = connection};
    int fd = backend_fd(connection->backend);
    if (fd >= 0)
        epoll_ctl(sessions->keeper_epoll, EPOLL_CTL_ADD, fd, &event);
}

void keeper_unwatch_locked(struct sessions *sessions, struct connection *connection)
{
    int fd = connection->backend && !connection->task ? backend_fd(connection->backend) : -1;
    if (fd >= 0)
        epoll_ctl(sessions->keeper_epoll, EPOLL_CTL_DEL, fd, NULL);
}

void keeper_wake(struct sessions *sessions)
{
    uint64_t one = 1;
    ssize_t written = write(sessions->keeper_wake, &one, sizeof one);
    (void)written; /* it is already awake when the counter is full */
}

/* An event may be about a connection that was leased or freed since: only a pointer that still
 * stands in some seat's list, idle, is believed. */
static void hung_up_locked(struct sessions *sessions, const struct connection *gone)
{
    struct seat *seat;
    DL_FOREACH2(sessions->seats, seat, all_next)
    {
        struct connection *connection;
        DL_FOREACH (seat->connections, connection) {
            if (connection != gone)
                continue;
            if (!connection->task)
                pool_bury_locked(connection);
            return;
        }
    }
}

static void tick(struct sessions *sessions)
{
    int64_t now_ms = clock_now_ms();
    sessions_lock(sessions);
    bool tidies = now_ms - sessions->tidied_ms >= TIDY_EVERY_MS;
    pool_expire_locked(sessions, now_ms);
    if (tidies) {
        sessions->tidied_ms = now_ms;
        throttle_sweep_locked(sessions, now_ms, false);
    }
    sessions_unlock(sessions);
    if (tidies)
        store_tidy(sessions->config.store, sessions->config.mirror_idle_ms,
                   sessions->config.mirror_days);
}

static void *keeper_main(void *argument)
{
    struct sessions *sessions = argument;
    struct epoll_event events[EVENTS_A_TURN];
    bool stopping = false;
    while (!stopping) {
        int count = epoll_wait(sessions->keeper_epoll, events, EVENTS_A_TURN, TICK_MS);
        sessions_lock(sessions);
        stopping = sessions->keeper_stops;
        for (int i = 0; i < count; i++) {
            uint64_t counter;
            if (events[i].data.ptr)
                hung_up_locked(sessions, events[i].data.ptr);
            else if (read(sessions->keeper_wake, &counter, sizeof counter) < 0)
                continue;
        }
        sessions_unlock(sessions);
        if (clock_now_ms() - sessions->swept_ms >= TICK_MS) {
            sessions->swept_ms = clock_now_ms();
            tick(sessions);
        }
        pool_close_buried(sessions);
    }
    return NULL;
}

void keeper_start(struct sessions *sessions)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    sessions->keeper_epoll = epoll_create1(EPOLL_CLOEXEC);
    sessions->keeper_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_ctl(sessions->keeper_epoll, EPOLL_CTL_ADD, sessions->keeper_wake, &event);
    sessions->tidied_ms = clock_now_ms();
    pthread_create(&sessions->keeper, NULL, keeper_main, sessions);
}

void keeper_stop(struct sessions *sessions)
{
    sessions_lock(sessions);
    sessions->keeper_stops = true;
    sessions_unlock(sessions);
    keeper_wake(sessions);
    pthread_join(sessions->keeper, NULL);
    close(sessions->keeper_epoll);
    close(sessions->keeper_wake);
}

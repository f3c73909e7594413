/* memory_server.c - the shared side: folders, messages, logins, faults. One lock for each server.
 */
#include "memory_server.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct memory_server *registry;

struct memory_server *memory_server_find(const char *name)
{
    pthread_mutex_lock(&registry_lock);
    struct memory_server *server = registry;
    while (server && strcmp(server->name, name) != 0)
        server = server->next;
    pthread_mutex_unlock(&registry_lock);
    return server;
}

static void set_text(char **at, const char *text)
{
    free(*at);
    *at = xstrdup(text);
}

struct memory_server *memory_server_new(const char *name)
{
    struct memory_server *server = xalloc(sizeof *server);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&server->lock, NULL);
    set_text(&server->name, name);
    set_text(&server->username, "user");
    set_text(&server->password, "secret");
    server->caps = CAP_FOLDERS | CAP_FLAGS | CAP_KEYWORDS | CAP_PARTIAL_FETCH | CAP_IDLE |
                   CAP_CONDSTORE | CAP_QUOTA | CAP_LIST_STATUS | CAP_UIDPLUS | CAP_SPECIAL_USE;
    server->next_validity = 1000;
    memory_server_add_folder(server, "INBOX");
    pthread_mutex_lock(&registry_lock);
    server->next = registry;
    registry = server;
    pthread_mutex_unlock(&registry_lock);
    return server;
}

static void message_clear(struct memory_message *message)
{
    for (uint32_t i = 0; i < message->keyword_count; i++)
        free(message->keywords[i]);
    free(message->raw);
}

void memory_server_free(struct memory_server **server_at)
{
    struct memory_server *server = *server_at, **link = &registry;
    *server_at = NULL;
    pthread_mutex_lock(&registry_lock);
    while (*link != server)
        link = &(*link)->next;
    *link = server->next;
    pthread_mutex_unlock(&registry_lock);
    while (server->folders) {
        struct memory_folder *folder = server->folders;
        server->folders = folder->next;
        for (uint32_t i = 0; i < folder->count; i++)
            message_clear(&folder->messages[i]);
        free(folder->messages);
        free(folder->gone);
        free(folder->path);
        free(folder);
    }
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server->name);
    free(server->username);
    free(server->password);
    free(server);
}

void memory_server_set_login(struct memory_server *server, const char *username,
                             const char *password)
{
    pthread_mutex_lock(&server->lock);
    set_text(&server->username, username);
    set_text(&server->password, password);
    pthread_mutex_unlock(&server->lock);
}

void memory_server_set_caps(struct memory_server *server, uint32_t caps)
{
    pthread_mutex_lock(&server->lock);
    server->caps = caps;
    pthread_mutex_unlock(&server->lock);
}

struct memory_folder *memory_folder_find(struct memory_server *server, const char *path)
{
    struct memory_folder *folder = server->folders;
    while (folder && strcmp(folder->path, path) != 0)
        folder = folder->next;
    return folder;
}

struct memory_message *memory_message_find(struct memory_folder *folder, uint32_t uid)
{
    for (uint32_t i = 0; i < folder->count; i++)
        if (folder->messages[i].uid == uid)
            return &folder->messages[i];
    return NULL;
}

void memory_server_add_folder(struct memory_server *server, const char *path)
{
    struct memory_folder *folder = xalloc(sizeof *folder), **end = &server->folders;
    pthread_mutex_lock(&server->lock);
    folder->path = xstrdup(path);
    folder->validity = server->next_validity++;
    folder->uid_next = 1;
    folder->modseq = 1;
    while (*end)
        end = &(*end)->next;
    *end = folder;
    pthread_mutex_unlock(&server->lock);
}

void memory_server_set_read_only(struct memory_server *server, const char *path, bool read_only)
{
    pthread_mutex_lock(&server->lock);
    memory_folder_find(server, path)->read_only = read_only;
    pthread_mutex_unlock(&server->lock);
}

void memory_folder_touch(struct memory_server *server, struct memory_folder *folder,
                         struct memory_message *message)
{
    static const uint64_t one = 1;
    folder->modseq++;
    if (message)
        message->modseq = folder->modseq;
    for (struct memory_connection *at = server->connections; at; at = at->next)
        if (at->selected && strcmp(at->selected, folder->path) == 0 &&
            write(at->news, &one, sizeof one) < 0)
            abort();
}

void memory_server_change_validity(struct memory_server *server, const char *path)
{
    pthread_mutex_lock(&server->lock);
    struct memory_folder *folder = memory_folder_find(server, path);
    folder->validity = server->next_validity++;
    folder->uid_next = 1;
    folder->gone_count = 0;
    memory_folder_touch(server, folder, NULL);
    for (uint32_t i = 0; i < folder->count; i++) {
        folder->messages[i].uid = folder->uid_next++;
        folder->messages[i].modseq = folder->modseq;
    }
    pthread_mutex_unlock(&server->lock);
}

uint32_t memory_server_deliver(struct memory_server *server, const char *path, const char *raw,
                               size_t length)
{
    pthread_mutex_lock(&server->lock);
    struct memory_folder *folder = memory_folder_find(server, path);
    if (folder->count == folder->capacity) {
        folder->capacity = folder->capacity ? folder->capacity * 2 : 16;
        folder->messages = xrealloc(folder->messages, folder->capacity * sizeof *folder->messages);
    }
    struct memory_message *message = &folder->messages[folder->count++];
    *message = (struct memory_message){.uid = folder->uid_next++,
                                       .received_s = clock_unix_s(),
                                       .raw = xalloc(length + 1),
                                       .length = length};
    memcpy(message->raw, raw, length);
    uint32_t uid = message->uid;
    memory_folder_touch(server, folder, message);
    pthread_mutex_unlock(&server->lock);
    return uid;
}

bool memory_keyword_has(const struct memory_message *message, const char *keyword)
{
    for (uint32_t i = 0; i < message->keyword_count; i++)
        if (strcasecmp(message->keywords[i], keyword) == 0)
            return true;
    return false;
}

void memory_keyword_set(struct memory_message *message, const char *keyword, bool on)
{
    if (on && !memory_keyword_has(message, keyword) && message->keyword_count < KEYWORDS_MOST) {
        uint32_t at = message->keyword_count++;
        for (; at > 0 && strcmp(message->keywords[at - 1], keyword) > 0; at--)
            message->keywords[at] = message->keywords[at - 1];
        message->keywords[at] = xstrdup(keyword);
    }
    for (uint32_t i = 0; !on && i < message->keyword_count; i++) {
        if (strcasecmp(message->keywords[i], keyword) != 0)
            continue;
        free(message->keywords[i]);
        message->keyword_count--;
        memmove(&message->keywords[i], &message->keywords[i + 1],
                (message->keyword_count - i) * sizeof message->keywords[0]);
    }
}

bool memory_server_flag(struct memory_server *server, const char *path, uint32_t uid,
                        uint32_t flags, const char *keyword)
{
    pthread_mutex_lock(&server->lock);
    struct memory_folder *folder = memory_folder_find(server, path);
    struct memory_message *message = memory_message_find(folder, uid);
    if (message) {
        message->flags = flags;
        if (keyword)
            memory_keyword_set(message, keyword, true);
        memory_folder_touch(server, folder, message);
    }
    pthread_mutex_unlock(&server->lock);
    return message != NULL;
}

bool memory_server_expunge(struct memory_server *server, const char *path, uint32_t uid)
{
    pthread_mutex_lock(&server->lock);
    struct memory_folder *folder = memory_folder_find(server, path);
    struct memory_message *message = memory_message_find(folder, uid);
    if (message) {
        uint32_t index = (uint32_t)(message - folder->messages);
        message_clear(message);
        folder->count--;
        memmove(message, message + 1, (folder->count - index) * sizeof *message);
        if (folder->gone_count == folder->gone_capacity) {
            folder->gone_capacity = folder->gone_capacity ? folder->gone_capacity * 2 : 16;
            folder->gone = xrealloc(folder->gone, folder->gone_capacity * sizeof *folder->gone);
        }
        memory_folder_touch(server, folder, NULL);
        folder->gone[folder->gone_count++] = (struct memory_gone){uid, folder->modseq};
    }
    pthread_mutex_unlock(&server->lock);
    return message != NULL;
}

/* ---- faults ---- */
void memory_server_script(struct memory_server *server, const struct memory_fault *fault)
{
    pthread_mutex_lock(&server->lock);
    if (server->fault_count == FAULTS_MOST)
        abort();
    server->faults[server->fault_count] = *fault;
    if (server->faults[server->fault_count].times == 0)
        server->faults[server->fault_count].times = 1;
    server->fault_count++;
    pthread_mutex_unlock(&server->lock);
}

void memory_server_release(struct memory_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->fault_count = 0;
    server->releases++;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

void memory_server_drop_connections(struct memory_server *server)
{
    static const uint64_t one = 1;
    pthread_mutex_lock(&server->lock);
    for (struct memory_connection *at = server->connections; at; at = at->next) {
        at->lost = true;
        if (write(at->news, &one, sizeof one) < 0)
            abort();
    }
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

struct memory_stats memory_server_stats(struct memory_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct memory_stats stats = server->stats;
    pthread_mutex_unlock(&server->lock);
    return stats;
}

static enum err why_not(const struct memory_connection *connection, const volatile bool *cancelled,
                        struct call *call)
{
    if (connection ? connection->cancelled
                   : cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
        return fault_set(&call->fault, ERR_CANCELLED, "cancelled");
    if (connection && connection->lost)
        return fault_set(&call->fault, ERR_UNREACHABLE, "the connection was lost");
    if (clock_now_ms() >= call->deadline_ms)
        return fault_set(&call->fault, ERR_TIMEOUT, "the mail server did not answer in time");
    return OK;
}

/* Until `until_ms`, a release, or a reason to end. Looks at least every 10 ms: a plain flag and a
 * deadline cannot signal. */
static enum err wait_until(struct memory_server *server, struct memory_connection *connection,
                           const volatile bool *cancelled, int64_t until_ms, struct call *call)
{
    uint32_t releases = server->releases;
    enum err err;
    server->stats.blocked++;
    while (!(err = why_not(connection, cancelled, call)) && releases == server->releases) {
        int left_ms = clock_left_ms(until_ms, 10);
        struct timespec until;
        if (left_ms == 0)
            break;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += left_ms * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&server->changed, &server->lock, &until);
    }
    server->stats.blocked--;
    return err;
}

enum err memory_server_suffer(struct memory_server *server, struct memory_connection *connection,
                              const volatile bool *cancelled, enum memory_op op, struct call *call)
{
    enum err err = why_not(connection, cancelled, call);
    for (uint32_t i = 0; i < server->fault_count && !err; i++) {
        struct memory_fault *fault = &server->faults[i];
        if ((fault->op != op && fault->op != MEMORY_ANY) || fault->times == 0)
            continue;
        if (fault->skip > 0) {
            fault->skip--;
            continue;
        }
        fault->times--;
        struct memory_fault now = *fault;
        if (now.delay_ms)
            err = wait_until(server, connection, cancelled, clock_now_ms() + now.delay_ms, call);
        if (!err && now.block)
            err = wait_until(server, connection, cancelled, DEADLINE_NONE, call);
        if (!err && now.err && now.late) {
            connection->late = now.err;
        } else if (!err && now.err) {
            if (connection && err_kills_connection(now.err))
                connection->lost = true;
            call->fault.retry_after_s = now.retry_after_s;
            err = fault_set(&call->fault, now.err, "scripted");
        }
        break;
    }
    return err;
}

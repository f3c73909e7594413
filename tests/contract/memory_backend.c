/* memory_backend.c - the operations of backend.h over a memory_server.
 *
 * Each copies what it needs under the server's lock and tells the sinks without it, as a socket
 * would: a sink may block, or come back with another call. */
#include "memory_server.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct memory_connection *connection_of(struct backend *backend)
{
    return (struct memory_connection *)backend;
}

/* The lock is held after OK, and only then. */
static enum err enter(struct backend *backend, struct call *call, enum memory_op op)
{
    struct memory_connection *self = connection_of(backend);
    struct memory_server *server = self->server;
    if (__atomic_exchange_n(&self->busy, 1, __ATOMIC_ACQUIRE)) {
        fprintf(stderr, "memory_backend: two threads use one connection\n");
        abort();
    }
    pthread_mutex_lock(&server->lock);
    server->stats.calls[op]++;
    if (++server->stats.running > server->stats.most_running)
        server->stats.most_running = server->stats.running;
    self->call = call;
    enum err err = memory_server_suffer(server, self, NULL, op, call);
    if (err) {
        server->stats.running--;
        pthread_mutex_unlock(&server->lock);
        __atomic_store_n(&self->busy, 0, __ATOMIC_RELEASE);
    }
    return err;
}

/* With the lock held; gives it up. The connection stays in use until leave. */
static void unlock(struct backend *backend)
{
    pthread_mutex_unlock(&connection_of(backend)->server->lock);
}

static enum err leave(struct backend *backend, enum err err)
{
    struct memory_connection *self = connection_of(backend);
    pthread_mutex_lock(&self->server->lock);
    if (self->late && !err) {
        self->lost |= err_kills_connection(self->late);
        err = fault_set(&self->call->fault, self->late, "scripted");
    }
    self->late = OK;
    self->server->stats.running--;
    pthread_mutex_unlock(&self->server->lock);
    __atomic_store_n(&self->busy, 0, __ATOMIC_RELEASE);
    return err;
}

static enum err leave_locked(struct backend *backend, enum err err)
{
    unlock(backend);
    return leave(backend, err);
}

static enum err gone(struct call *call, const char *what)
{
    return fault_set(&call->fault, ERR_GONE, "the %s is not there any more", what);
}

/* Selects; any validity will do when it is 0. */
static enum err folder_select(struct memory_connection *self, struct call *call, const char *remote,
                              uint32_t validity, struct memory_folder **out)
{
    *out = memory_folder_find(self->server, remote);
    if (!*out)
        return fault_set(&call->fault, ERR_NOT_FOUND, "no such folder");
    if (!self->selected || strcmp(self->selected, remote) != 0) {
        free(self->selected);
        self->selected = xstrdup(remote);
        self->backend.selected = self->selected;
    }
    return validity && (*out)->validity != validity ? gone(call, "folder") : OK;
}

/* ---- life ---- */
static enum err memory_open(const struct backend_target *target, struct call *call,
                            const volatile bool *cancelled, struct backend **out)
{
    struct memory_server *server = memory_server_find(target->host);
    if (!server)
        return fault_set(&call->fault, ERR_UNREACHABLE, "no such mail server");
    pthread_mutex_lock(&server->lock);
    server->stats.calls[MEMORY_OPEN]++;
    enum err err = memory_server_suffer(server, NULL, cancelled, MEMORY_OPEN, call);
    const struct secret *secret = target->password ? target->password : target->access_token;
    if (!err && (!secret || !secret->data || strcmp(target->username, server->username) != 0 ||
                 strcmp(secret->data, server->password) != 0)) {
        fault_reply(&call->fault, "imap", "Authentication failed.", 22);
        err = fault_set(&call->fault, ERR_LOGIN, "the mail server refused the credentials");
    }
    if (!err) {
        struct memory_connection *self = xalloc(sizeof *self);
        self->backend = (struct backend){.ops = &memory_backend, .protocol = target->protocol};
        self->server = server;
        self->news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        self->next = server->connections;
        server->connections = self;
        server->stats.opened++;
        if (++server->stats.open > server->stats.most_open)
            server->stats.most_open = server->stats.open;
        *out = &self->backend;
    }
    pthread_mutex_unlock(&server->lock);
    return err;
}

static void memory_close(struct backend *backend)
{
    struct memory_connection *self = connection_of(backend), **link;
    struct memory_server *server = self->server;
    if (__atomic_load_n(&self->busy, __ATOMIC_ACQUIRE)) {
        fprintf(stderr, "memory_backend: closed while in use\n");
        abort();
    }
    pthread_mutex_lock(&server->lock);
    for (link = &server->connections; *link != self;)
        link = &(*link)->next;
    *link = self->next;
    server->stats.open--;
    pthread_mutex_unlock(&server->lock);
    close(self->news);
    free(self->selected);
    free(self->told_remote);
    free(self);
}

static void memory_cancel(struct backend *backend)
{
    struct memory_connection *self = connection_of(backend);
    pthread_mutex_lock(&self->server->lock);
    self->cancelled = true;
    pthread_cond_broadcast(&self->server->changed);
    pthread_mutex_unlock(&self->server->lock);
}

static void memory_info(struct backend *backend, struct arena *arena, struct backend_info *out)
{
    struct memory_server *server = connection_of(backend)->server;
    pthread_mutex_lock(&server->lock);
    *out = (struct backend_info){.caps = server->caps,
                                 .capability_text = arena_strdup(arena, "MEMORY"),
                                 .server_name = arena_strdup(arena, server->name)};
    pthread_mutex_unlock(&server->lock);
}

static int memory_fd(struct backend *backend)
{
    return connection_of(backend)->news;
}

static void news_read(struct memory_connection *self)
{
    uint64_t count;
    if (!self->lost && read(self->news, &count, sizeof count) < 0)
        return; /* there was none */
}

static enum err memory_noop(struct backend *backend, struct call *call)
{
    enum err err = enter(backend, call, MEMORY_NOOP);
    if (err)
        return err;
    news_read(connection_of(backend));
    return leave_locked(backend, OK);
}

static enum err memory_list_folders(struct backend *backend, struct call *call, bool with_status,
                                    struct folder_sink *sink)
{
    struct folder_listing listings[64];
    uint32_t count = 0;
    enum err err = enter(backend, call, MEMORY_LIST);
    if (err)
        return err;
    for (struct memory_folder *at = connection_of(backend)->server->folders; at && count < 64;
         at = at->next) {
        char *path = arena_strdup(call->arena, at->path);
        enum folder_role role = strcmp(path, "INBOX") == 0    ? ROLE_INBOX
                                : strcmp(path, "Sent") == 0   ? ROLE_SENT
                                : strcmp(path, "Drafts") == 0 ? ROLE_DRAFTS
                                : strcmp(path, "Trash") == 0  ? ROLE_TRASH
                                                              : ROLE_NONE;
        struct folder_listing *listing = &listings[count++];
        *listing = (struct folder_listing){.remote = path,
                                           .path = path,
                                           .role = role,
                                           .role_source = ROLE_FROM_NAME,
                                           .subscribed = true,
                                           .selectable = true,
                                           .size = -1};
        if (!with_status)
            continue;
        listing->has_status = true;
        listing->messages = at->count;
        listing->uid_next = at->uid_next;
        listing->uid_validity = at->validity;
        listing->modseq = at->modseq;
        for (uint32_t i = 0; i < at->count; i++)
            listing->unseen += !(at->messages[i].flags & FLAG_SEEN);
    }
    unlock(backend);
    for (uint32_t i = 0; i < count && !err; i++)
        err = sink->folder(sink, &listings[i]);
    return leave(backend, err);
}

/* ---- sync ---- */
/* What one call will tell, copied under the lock. */
struct news {
    struct folder_facts facts;
    bool reset;
    struct message *messages, *flags;
    uint32_t message_count, flag_count;
    struct uid_range *removed, *present;
    uint32_t removed_count, present_count;
    bool tell_present;
};

static struct folder_facts facts_of(const struct memory_server *server,
                                    const struct memory_folder *folder)
{
    return (struct folder_facts){
        .validity = folder->validity,
        .uid_next = folder->uid_next,
        .exists = folder->count,
        .modseq = server->caps & CAP_CONDSTORE ? folder->modseq : 0,
        .read_only = folder->read_only,
        .keywords_allowed = (server->caps & CAP_KEYWORDS) != 0,
    };
}

static void news_begin(struct call *call, const struct memory_server *server,
                       const struct memory_folder *folder, struct news *news)
{
    *news = (struct news){
        .facts = facts_of(server, folder),
        .messages = arena_array(call->arena, struct message, folder->count + 1),
        .flags = arena_array(call->arena, struct message, folder->count + 1),
        .removed = arena_array(call->arena, struct uid_range, folder->gone_count + 1),
        .present = arena_array(call->arena, struct uid_range, folder->count + 1),
    };
}

static void news_compare(struct call *call, const struct memory_folder *folder,
                         const struct folder_known *known, uint64_t since, struct news *news)
{
    for (uint32_t i = 0; i < folder->count; i++) {
        const struct memory_message *message = &folder->messages[i];
        if (message->uid < known->floor)
            continue;
        if (message->uid >= known->uid_next)
            memory_message_describe(call->arena, message, &news->messages[news->message_count++]);
        else if (message->modseq > since)
            memory_message_describe(call->arena, message, &news->flags[news->flag_count++]);
        news->present[news->present_count++] = (struct uid_range){message->uid, message->uid};
    }
    news->tell_present = since == 0;
    for (uint32_t i = 0; i < folder->gone_count && since > 0; i++)
        if (folder->gone[i].modseq > since && folder->gone[i].uid >= known->floor &&
            folder->gone[i].uid < known->uid_next)
            news->removed[news->removed_count++] =
                (struct uid_range){folder->gone[i].uid, folder->gone[i].uid};
}

static enum err news_tell(const struct news *news, struct change_sink *sink)
{
    enum err err = sink->folder(sink, &news->facts, news->reset);
    for (uint32_t i = news->message_count; i > 0 && !err; i--)
        err = sink->message(sink, &news->messages[i - 1]);
    for (uint32_t i = 0; i < news->flag_count && !err; i++)
        err = sink->flags(sink, news->flags[i].uid, news->flags[i].flags, &news->flags[i].keywords,
                          news->flags[i].modseq);
    for (uint32_t i = 0; i < news->removed_count && !err; i++)
        err = sink->removed(sink, &news->removed[i], 1);
    return err;
}

/* Up to which modseq this view has been told; 0: compare all. */
static uint64_t told_since(const struct memory_connection *self, const struct folder_known *known)
{
    if (self->told_remote && strcmp(self->told_remote, known->remote) == 0 &&
        self->told_generation == known->generation && known->generation)
        return self->told_modseq;
    return self->server->caps & CAP_CONDSTORE ? known->modseq : 0;
}

static enum err memory_sync(struct backend *backend, struct call *call,
                            const struct folder_known *known, uint32_t first_page,
                            struct change_sink *sink)
{
    struct memory_connection *self = connection_of(backend);
    struct memory_folder *folder;
    struct news news;
    enum err err = enter(backend, call, MEMORY_SYNC);
    if (err)
        return err;
    news_read(self);
    err = folder_select(self, call, known->remote, 0, &folder);
    if (err)
        return leave_locked(backend, err);
    news_begin(call, self->server, folder, &news);
    uint64_t modseq = folder->modseq, since = told_since(self, known);
    if (known->compare || known->doubtful_count)
        since = 0;
    news.reset = known->validity != folder->validity;
    if (news.reset) {
        uint32_t skip = folder->count > first_page ? folder->count - first_page : 0;
        for (uint32_t i = skip; i < folder->count; i++)
            memory_message_describe(call->arena, &folder->messages[i],
                                    &news.messages[news.message_count++]);
    } else {
        news_compare(call, folder, known, since, &news);
    }
    unlock(backend);
    err = news_tell(&news, sink);
    if (!err && news.tell_present)
        err = sink->present(sink, known->floor, news.present, news.present_count);
    free(self->told_remote);
    self->told_remote = err ? NULL : xstrdup(known->remote);
    self->told_generation = known->generation;
    self->told_modseq = modseq;
    return leave(backend, err);
}

static enum err memory_fetch_older(struct backend *backend, struct call *call,
                                   const struct folder_known *known, uint32_t count,
                                   struct change_sink *sink, uint32_t *floor)
{
    struct memory_connection *self = connection_of(backend);
    struct memory_folder *folder;
    struct news news;
    enum err err = enter(backend, call, MEMORY_OLDER);
    if (err)
        return err;
    err = folder_select(self, call, known->remote, known->validity, &folder);
    if (err)
        return leave_locked(backend, err);
    news_begin(call, self->server, folder, &news);
    uint32_t below = 0;
    while (below < folder->count && folder->messages[below].uid < known->floor)
        below++;
    uint32_t skip = below > count ? below - count : 0;
    for (uint32_t i = skip; i < below; i++)
        memory_message_describe(call->arena, &folder->messages[i],
                                &news.messages[news.message_count++]);
    *floor = skip > 0 ? folder->messages[skip].uid : 1;
    unlock(backend);
    return leave(backend, news_tell(&news, sink));
}

/* Finds one message; on failure everything is left. */
static enum err enter_message(struct backend *backend, struct call *call, enum memory_op op,
                              const char *remote, uint32_t validity, uint32_t uid,
                              struct memory_folder **folder, struct memory_message **out)
{
    enum err err = enter(backend, call, op);
    if (err)
        return err;
    err = folder_select(connection_of(backend), call, remote, validity, folder);
    if (!err) {
        *out = memory_message_find(*folder, uid);
        if (!*out)
            err = gone(call, "message");
    }
    return err ? leave_locked(backend, err) : OK;
}

static enum err memory_fetch_one(struct backend *backend, struct call *call,
                                 const struct folder_known *known, uint32_t uid,
                                 struct change_sink *sink)
{
    struct memory_folder *folder;
    struct memory_message *found;
    struct message message;
    enum err err = enter_message(backend, call, MEMORY_ONE, known->remote, known->validity, uid,
                                 &folder, &found);
    if (err)
        return err;
    memory_message_describe(call->arena, found, &message);
    unlock(backend);
    return leave(backend, sink->message(sink, &message));
}

/* ---- content ---- */
static const char *preview_of(struct arena *arena, const struct memory_message *message,
                              const struct preview_wish *wish)
{
    const char *text;
    size_t length;
    bool html = wish->type && strcmp(wish->type, "text/html") == 0;
    if (!wish->part || !memory_message_read(arena, message->raw, message->length, wish->part,
                                            html ? READ_HTML_TEXT : READ_TEXT, &text, &length))
        return "";
    char *folded = text_clean(arena, text, length, true);
    size_t keep = text_cut_chars(folded, strlen(folded), 200);
    while (keep && folded[keep - 1] == ' ')
        keep--;
    folded[keep] = '\0';
    return folded;
}

static enum err memory_previews(struct backend *backend, struct call *call,
                                const struct folder_known *known, const struct preview_wish *wishes,
                                uint32_t count, struct preview_sink *sink)
{
    struct memory_folder *folder;
    const char **texts = arena_array(call->arena, const char *, count + 1);
    enum err err = enter(backend, call, MEMORY_PREVIEWS);
    if (err)
        return err;
    err = folder_select(connection_of(backend), call, known->remote, known->validity, &folder);
    for (uint32_t i = 0; i < count && !err; i++) {
        struct memory_message *message = memory_message_find(folder, wishes[i].uid);
        texts[i] = message ? preview_of(call->arena, message, &wishes[i]) : NULL;
    }
    unlock(backend);
    for (uint32_t i = 0; i < count && !err; i++)
        if (texts[i])
            err = sink->preview(sink, wishes[i].uid, texts[i]);
    return leave(backend, err);
}

/* The whole part; everything is left. */
static enum err part_get(struct backend *backend, struct call *call, enum memory_op op,
                         const struct part_wish *wish, const char **out, size_t *length)
{
    struct memory_folder *folder;
    struct memory_message *message;
    enum err err = enter_message(backend, call, op, wish->remote, wish->validity, wish->uid,
                                 &folder, &message);
    if (err)
        return err;
    const char *raw = arena_strndup(call->arena, message->raw, message->length);
    size_t raw_length = message->length;
    if (!memory_message_read(call->arena, raw, raw_length, wish->part, wish->mode, out, length))
        err = fault_set(&call->fault, ERR_NOT_FOUND, "no such part");
    unlock(backend);
    return err ? leave(backend, err) : OK; /* still in use after OK */
}

static enum err memory_read_part(struct backend *backend, struct call *call,
                                 const struct part_wish *wish, struct sink *sink)
{
    const char *data;
    size_t length;
    enum err err = part_get(backend, call, MEMORY_READ, wish, &data, &length);
    if (err)
        return err;
    size_t at = wish->first < length ? (size_t)wish->first : length;
    size_t end = wish->last < length ? (size_t)wish->last + 1 : length;
    while (at < end && !err) {
        size_t take = end - at < 4096 ? end - at : 4096;
        err = sink_write(sink, data + at, take);
        at += take;
    }
    return leave(backend, err ? err : sink_finish(sink));
}

static enum err memory_part_size(struct backend *backend, struct call *call,
                                 const struct part_wish *wish, uint64_t *out)
{
    struct part_wish decoded = *wish;
    const char *data;
    size_t length;
    if (decoded.mode == READ_RAW)
        decoded.mode = READ_DECODED;
    enum err err = part_get(backend, call, MEMORY_SIZE, &decoded, &data, &length);
    if (err)
        return err;
    *out = length;
    return leave(backend, OK);
}

static enum err memory_read_headers(struct backend *backend, struct call *call,
                                    const struct part_wish *wish, struct header_sink *sink)
{
    struct part_wish whole = *wish;
    const char *data;
    size_t length;
    whole.part = "";
    whole.mode = READ_RAW;
    enum err err = part_get(backend, call, MEMORY_HEADERS, &whole, &data, &length);
    if (err)
        return err;
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    end = end ? end + 2 : data + length;
    while (data < end && !err) {
        const char *stop = memmem(data, (size_t)(end - data), "\r\n", 2);
        char *line = arena_strndup(call->arena, data, (size_t)((stop ? stop : end) - data));
        char *colon = strchr(line, ':');
        if (colon) {
            *colon = '\0';
            err = sink->header(sink, line, colon + 1 + strspn(colon + 1, " "));
        }
        data = stop ? stop + 2 : end;
    }
    return leave(backend, err);
}

/* ---- apply ---- */
static enum err memory_change_flags(struct backend *backend, struct call *call,
                                    const struct folder_known *known, uint32_t uid,
                                    const struct flag_change *change, struct change_sink *sink)
{
    struct memory_server *server = connection_of(backend)->server;
    struct memory_folder *folder;
    struct memory_message *found;
    struct message message;
    enum err err = enter_message(backend, call, MEMORY_FLAGS, known->remote, known->validity, uid,
                                 &folder, &found);
    if (err)
        return err;
    if (folder->read_only)
        return leave_locked(backend,
                            fault_set(&call->fault, ERR_REFUSED, "the folder is read-only"));
    if (change->add_keywords.count > 0 && !(server->caps & CAP_KEYWORDS))
        return leave_locked(backend, fault_set(&call->fault, ERR_REFUSED, "no keywords here"));
    found->flags = (found->flags | change->add) & ~change->remove;
    for (uint32_t i = 0; i < change->add_keywords.count; i++)
        memory_keyword_set(found, change->add_keywords.items[i], true);
    for (uint32_t i = 0; i < change->remove_keywords.count; i++)
        memory_keyword_set(found, change->remove_keywords.items[i], false);
    memory_folder_touch(server, folder, found);
    memory_message_describe(call->arena, found, &message);
    unlock(backend);
    return leave(backend, sink->flags(sink, uid, message.flags, &message.keywords, message.modseq));
}

static enum err memory_quota(struct backend *backend, struct call *call,
                             struct quota_resource **out, uint32_t *count)
{
    struct memory_server *server = connection_of(backend)->server;
    enum err err = enter(backend, call, MEMORY_QUOTA);
    if (err)
        return err;
    if (!(server->caps & CAP_QUOTA))
        return leave_locked(backend,
                            fault_set(&call->fault, ERR_UNSUPPORTED, "the server has no quota"));
    *out = arena_new(call->arena, struct quota_resource);
    **out = (struct quota_resource){.root = "User quota", .name = "STORAGE", .limit = 64 << 20};
    for (struct memory_folder *at = server->folders; at; at = at->next)
        for (uint32_t i = 0; i < at->count; i++)
            (*out)->used += at->messages[i].length;
    *count = 1;
    return leave_locked(backend, OK);
}

const struct backend_ops memory_backend = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .cancel = memory_cancel,
    .info = memory_info,
    .fd = memory_fd,
    .noop = memory_noop,
    .list_folders = memory_list_folders,
    .sync = memory_sync,
    .fetch_older = memory_fetch_older,
    .fetch_one = memory_fetch_one,
    .previews = memory_previews,
    .read_part = memory_read_part,
    .part_size = memory_part_size,
    .read_headers = memory_read_headers,
    .change_flags = memory_change_flags,
    .quota = memory_quota,
};

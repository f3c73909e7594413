/* operations.c - reads and changes of single messages, each under a task's lease.
 *
 * A read is tried once more on a fresh connection when lease_may_retry says so. A change never is:
 * the server may have done it. */
#include "internal.h"

#include "text.h"

#include <string.h>

/* ---- the one retry ---- */

struct counting_sink {
    struct sink sink;
    struct sink *next;
    uint64_t delivered;
};

static enum err counting_write(struct sink *sink, const void *data, size_t length)
{
    struct counting_sink *self = (struct counting_sink *)sink;
    self->delivered += length;
    return sink_write(self->next, data, length);
}

static void counting_expect(struct sink *sink, uint64_t length)
{
    sink_expect(((struct counting_sink *)sink)->next, length);
}

static enum err counting_finish(struct sink *sink)
{
    return sink_finish(((struct counting_sink *)sink)->next);
}

static struct part_wish wish_for(struct task *task, const struct folder_row *row, uint32_t uid)
{
    task->connection->folder = row->number;
    return (struct part_wish){
        .remote = row->listing.remote,
        .validity = row->validity,
        .uid = uid,
        .part = "",
        .encoding = "binary",
        .mode = READ_RAW,
        .last = UINT64_MAX,
    };
}

static enum err read_with_retry(struct task *task, const struct part_wish *wish, struct sink *sink)
{
    struct counting_sink counting = {
        .sink = {.write = counting_write, .finish = counting_finish, .expect = counting_expect},
        .next = sink};
    enum err err;
    do {
        err = backend_read_part(task->backend, &task->call, wish, &counting.sink);
    } while (lease_retry(task, err, counting.delivered > 0));
    return task->call.fault.code ? task->call.fault.code : err;
}

static void wish_part(struct part_wish *wish, const struct part *part)
{
    wish->part = part->id;
    wish->encoding = part->encoding;
    wish->charset = part->charset;
    wish->encoded_size = part->encoded_size;
}

enum err operation_read_part(struct task *task, const struct folder_row *row, uint32_t uid,
                             const struct part *part, enum read_mode mode, uint64_t first,
                             uint64_t last, struct sink *sink)
{
    struct part_wish wish = wish_for(task, row, uid);
    wish_part(&wish, part);
    wish.mode = mode;
    wish.first = first;
    wish.last = last;
    return read_with_retry(task, &wish, sink);
}

enum err operation_read_raw(struct task *task, const struct folder_row *row, uint32_t uid,
                            uint64_t size, uint64_t first, uint64_t last, struct sink *sink)
{
    struct part_wish wish = wish_for(task, row, uid);
    wish.encoded_size = size;
    wish.first = first;
    wish.last = last;
    return read_with_retry(task, &wish, sink);
}

enum err operation_part_size(struct task *task, const struct folder_row *row, uint32_t uid,
                             const struct part *part, uint64_t *out)
{
    struct part_wish wish = wish_for(task, row, uid);
    enum err err;
    wish_part(&wish, part);
    wish.mode = READ_DECODED;
    do {
        err = backend_part_size(task->backend, &task->call, &wish, out);
    } while (lease_retry(task, err, false));
    if (task->call.fault.code)
        return task->call.fault.code;
    return mirror_put_part_size(seat_mirror(task->seat), &task->call, row->number, uid, part->id,
                                *out);
}

struct header_count {
    struct header_sink sink;
    struct header_sink *next;
    uint32_t told;
};

static enum err count_header(struct header_sink *sink, const char *name, const char *value)
{
    struct header_count *self = (struct header_count *)sink;
    self->told++;
    return self->next->header(self->next, name, value);
}

enum err operation_read_headers(struct task *task, const struct folder_row *row, uint32_t uid,
                                struct header_sink *sink)
{
    struct part_wish wish = wish_for(task, row, uid);
    struct header_count counting = {.sink = {.header = count_header}, .next = sink};
    enum err err;
    do {
        err = backend_read_headers(task->backend, &task->call, &wish, &counting.sink);
    } while (lease_retry(task, err, counting.told > 0));
    sink->limited = counting.sink.limited;
    return task->call.fault.code ? task->call.fault.code : err;
}

enum err operation_quota(struct task *task, struct quota_resource **out, uint32_t *count)
{
    enum err err;
    do {
        err = backend_quota(task->backend, &task->call, out, count);
    } while (lease_retry(task, err, false));
    return task->call.fault.code;
}

/* ---- what goes into the mirror ---- */

struct record_sink {
    struct change_sink sink;
    struct mirror_sync *into;
    struct fault *fault;
    uint32_t validity;
    bool told;
};

static enum err record_folder(struct change_sink *sink, const struct folder_facts *facts,
                              bool reset)
{
    struct record_sink *self = (struct record_sink *)sink;
    if (reset || facts->validity != self->validity)
        return fault_set(self->fault, ERR_GONE, "the folder's UIDVALIDITY changed");
    return OK;
}

static enum err record_message(struct change_sink *sink, const struct message *message)
{
    struct record_sink *self = (struct record_sink *)sink;
    self->told = true;
    return mirror_sync_message(self->into, message);
}

static enum err record_flags(struct change_sink *sink, uint32_t uid, uint32_t flags,
                             const struct string_list *keywords, uint64_t modseq)
{
    struct record_sink *self = (struct record_sink *)sink;
    self->told = true;
    return mirror_sync_flags(self->into, uid, flags, keywords, modseq);
}

/* What the two calls below do upstream, given the sink that records. */
typedef enum err record_upstream(struct task *task, const struct folder_known *known, uint32_t uid,
                                 const void *argument, struct change_sink *sink);

/* Under the folder's gate: upstream, then into the mirror; the folder's own state stays. */
static enum err record(struct task *task, int64_t folder, uint32_t validity, uint32_t uid,
                       record_upstream *upstream, const void *argument)
{
    struct call *call = &task->call;
    struct mirror *mirror = seat_mirror(task->seat);
    struct folder_row row;
    struct folder_known known;
    struct record_sink sink = {
        .sink = {.folder = record_folder, .message = record_message, .flags = record_flags},
        .fault = &call->fault,
        .validity = validity,
    };
    bool changed;
    enum err err = mirror_folder(mirror, call, folder, &row);
    if (!err && (row.validity == 0 || row.validity != validity))
        err = fault_set(&call->fault, ERR_GONE, "the folder's UIDVALIDITY changed");
    if (!err)
        err = mirror_sync_begin(mirror, call, folder, &sink.into);
    if (err)
        return err;
    folder_known_of(&row, &known);
    err = upstream(task, &known, uid, argument, &sink.sink);
    if (err) {
        mirror_sync_abort(&sink.into);
        return err;
    }
    struct mirror_sync_state state = {
        .validity = row.validity,
        .uid_next = row.uid_next,
        .exists = row.exists,
        .modseq = row.modseq,
        .floor = row.floor,
    };
    return mirror_sync_commit(&sink.into, &state, &changed);
}

static enum err record_gated(struct task *task, const struct folder_row *row, uint32_t uid,
                             record_upstream *upstream, const void *argument)
{
    struct account *account = task->seat->account;
    enum err err = account_enter(account, row->number, &task->call);
    if (err)
        return err;
    task->connection->folder = row->number;
    err = record(task, row->number, row->validity, uid, upstream, argument);
    account_leave(account, row->number, true);
    return err;
}

static enum err upstream_flags(struct task *task, const struct folder_known *known, uint32_t uid,
                               const void *argument, struct change_sink *sink)
{
    return backend_change_flags(task->backend, &task->call, known, uid, argument, sink);
}

/* A connection that died with a command under way: the server may have done it. The mirror keeps
 * what it knew, and learns what came of it by the next look: another connection is told, or, being
 * new, compares. */
static void outcome_unknown(struct fault *fault)
{
    static const char addition[] = "; it is not known whether the change was made";
    size_t length = strlen(fault->detail), most = sizeof fault->detail - sizeof addition;
    if (length > most)
        length = text_cut_bytes(fault->detail, length, most);
    memcpy(fault->detail + length, addition, sizeof addition);
}

enum err operation_change_flags(struct task *task, const struct folder_row *row, uint32_t uid,
                                const struct flag_change *change)
{
    enum err err = record_gated(task, row, uid, upstream_flags, change);
    if (err && task->backend->dead)
        outcome_unknown(&task->call.fault);
    return err;
}

static enum err upstream_one(struct task *task, const struct folder_known *known, uint32_t uid,
                             const void *argument, struct change_sink *sink)
{
    (void)argument;
    return backend_fetch_one(task->backend, &task->call, known, uid, sink);
}

enum err operation_fetch_message(struct task *task, const struct folder_row *row, uint32_t uid,
                                 struct message *out)
{
    struct message_row found;
    enum err err;
    do {
        err = record_gated(task, row, uid, upstream_one, NULL);
    } while (lease_retry(task, err, false));
    if (task->call.fault.code)
        return task->call.fault.code;
    return mirror_message(seat_mirror(task->seat), &task->call, row->number, uid, &found, out);
}

enum err operation_fetch_older(struct task *task, const struct folder_row *row, uint32_t count)
{
    uint32_t floor;
    enum err err;
    do {
        err = backfill_batch(task, row->number, count, true, &floor);
    } while (lease_retry(task, err, false));
    return task->call.fault.code;
}

/* ---- previews ---- */

struct preview_gather {
    struct preview_sink sink;
    struct arena *arena;
    uint32_t *uids;
    const char **previews;
    uint32_t count, capacity;
};

static enum err gather_preview(struct preview_sink *sink, uint32_t uid, const char *text)
{
    struct preview_gather *self = (struct preview_gather *)sink;
    if (self->count < self->capacity) {
        self->uids[self->count] = uid;
        self->previews[self->count++] = arena_strdup(self->arena, text);
    }
    return OK;
}

enum err operation_previews(struct task *task, const struct folder_row *row, const uint32_t *uids,
                            uint32_t count)
{
    struct call *call = &task->call;
    struct mirror *mirror = seat_mirror(task->seat);
    struct preview_source *sources;
    struct folder_known known;
    uint32_t missing;
    enum err err =
        mirror_missing_previews(mirror, call, row->number, uids, count, &sources, &missing);
    if (err || missing == 0)
        return err;
    struct preview_wish *wishes = arena_array(call->arena, struct preview_wish, missing);
    for (uint32_t i = 0; i < missing; i++)
        wishes[i] = (struct preview_wish){.uid = sources[i].uid,
                                          .part = sources[i].part,
                                          .type = sources[i].type,
                                          .charset = sources[i].charset,
                                          .encoding = sources[i].encoding};
    folder_known_of(row, &known);
    task->connection->folder = row->number;
    struct preview_gather gather;
    do {
        gather = (struct preview_gather){
            .sink = {.preview = gather_preview},
            .arena = call->arena,
            .uids = arena_array(call->arena, uint32_t, missing),
            .previews = arena_array(call->arena, const char *, missing),
            .capacity = missing,
        };
        err = backend_previews(task->backend, call, &known, wishes, missing, &gather.sink);
    } while (lease_retry(task, err, false));
    if (call->fault.code)
        return call->fault.code;
    return mirror_put_previews(mirror, call, row->number, gather.uids, gather.previews,
                               gather.count);
}

/* attend_sinks.c - where the backend tells what it found: each thing a frame, written at once.
 *
 * Frames are held until there is a send()'s worth of them, or until the thread is about to wait for
 * the mail server. While the near end does not read, the thread waits for that, and so in the end
 * does the mail server.
 */
#include "attend_inner.h"

#include "crash.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define POUR_BYTES   (64u * 1024u) /* as many are sent at a time */
#define DIRECT_BYTES (16u * 1024u) /* as much content goes from where it lies */

static struct buf *held_by(struct serving *serving)
{
    return &serving->connection->channel.out;
}

static enum err give_up(struct serving *serving, enum err err)
{
    serving->failure = err == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_CANCELLED;
    connection_cancel(serving->connection); /* nobody else may have heard of it */
    return serving->failure;
}

struct buf *serving_out(struct serving *serving)
{
    struct buf *out = held_by(serving);
    if (serving->gathers)
        frame_end(out, serving->gathered_at);
    serving->gathers = false;
    return out;
}

enum err serving_flush(struct serving *serving)
{
    if (serving_out(serving)->length == 0 || serving->failure)
        return serving->failure;
    enum err err = channel_flush(&serving->connection->channel, &serving->wait);
    return err ? give_up(serving, err) : OK;
}

/* ---- giving way ---- */

#define GIVE_WAY_US   20000 /* of the processor, in one call */
#define GIVE_WAY_NICE 10

static _Thread_local bool gave_way;

bool thread_gave_way(void)
{
    return gave_way;
}

int64_t thread_cpu_us(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* What computes for long steps behind what is asked in between. On Linux this is one thread's. */
static void give_way(const struct serving *serving)
{
    if (gave_way || thread_cpu_us() - serving->cpu_began_us < GIVE_WAY_US)
        return;
    gave_way = true;
    (void)setpriority(PRIO_PROCESS, 0, GIVE_WAY_NICE);
}

enum err serving_pour(struct serving *serving)
{
    return held_by(serving)->length < POUR_BYTES ? serving->failure : serving_flush(serving);
}

void connection_before_wait(void *connection)
{
    struct serving *serving = ((struct connection *)connection)->serving;
    if (!serving)
        return;
    give_way(serving);
    (void)serving_flush(serving); /* a failure cancels the backend, which is about to look */
}

/* ---- refusing, and the crash switch ---- */

/* What every sink answers. */
static enum err verdict(struct serving *serving, enum err err)
{
    if (err == ERR_TIMEOUT)
        return fault_set(&serving->call.fault, err, "the answer was not taken in time");
    return err ? fault_set(&serving->call.fault, err, "nobody takes the answer") : OK;
}

void serving_lie(struct serving *serving)
{
    struct buf *out = serving_out(serving);
    size_t began = frame_begin(out, FRAME_MESSAGE, serving->request.call);
    pack_u32(out, 0); /* a uid */
    frame_end(out, began);
}

static void pass_point(struct serving *serving, const char *point, bool *passed)
{
    const char *host = serving->connection->host;
    if (*passed)
        return;
    *passed = true;
    if (!crash_awaits(point, host))
        return;
    (void)serving_flush(serving); /* so that it was not only written, but has arrived */
    if (crash_point(point, host))
        serving_lie(serving);
}

static enum err wrote_record(struct serving *serving)
{
    pass_point(serving, "record", &serving->recorded);
    return verdict(serving, serving_pour(serving));
}

/* ---- changes ---- */

static enum err tell_facts(struct change_sink *sink, const struct folder_facts *facts, bool reset)
{
    struct serving *serving = ((struct change_serving *)sink)->serving;
    put_facts(serving_out(serving), serving->request.call, facts, reset);
    return wrote_record(serving);
}

static enum err tell_message(struct change_sink *sink, const struct message *message)
{
    struct serving *serving = ((struct change_serving *)sink)->serving;
    put_message(serving_out(serving), serving->request.call, message);
    return wrote_record(serving);
}

static enum err tell_flags(struct change_sink *sink, uint32_t uid, uint32_t flags,
                           const struct string_list *keywords, uint64_t modseq)
{
    struct serving *serving = ((struct change_serving *)sink)->serving;
    put_flags(serving_out(serving), serving->request.call, uid, flags, keywords, modseq);
    return wrote_record(serving);
}

static enum err tell_ranges(struct change_sink *sink, uint16_t kind, uint32_t from,
                            const struct uid_range *ranges, uint32_t count)
{
    struct serving *serving = ((struct change_serving *)sink)->serving;
    enum err err =
        put_ranges(serving_out(serving), serving->request.call, kind, from, ranges, count);
    if (err)
        return fault_set(&serving->call.fault, err, "the folder has too many gaps");
    return wrote_record(serving);
}

static enum err tell_present(struct change_sink *sink, uint32_t from,
                             const struct uid_range *ranges, uint32_t count)
{
    return tell_ranges(sink, FRAME_PRESENT, from, ranges, count);
}

static enum err tell_removed(struct change_sink *sink, const struct uid_range *ranges,
                             uint32_t count)
{
    return tell_ranges(sink, FRAME_REMOVED, 0, ranges, count);
}

/* ---- listings, previews, headers ---- */

static enum err tell_listing(struct folder_sink *sink, const struct folder_listing *listing)
{
    struct serving *serving = ((struct folder_serving *)sink)->serving;
    put_listing(serving_out(serving), serving->request.call, listing);
    return wrote_record(serving);
}

static enum err tell_preview(struct preview_sink *sink, uint32_t uid, const char *text)
{
    struct serving *serving = ((struct preview_serving *)sink)->serving;
    put_preview(serving_out(serving), serving->request.call, uid, text);
    return wrote_record(serving);
}

static enum err tell_header(struct header_sink *sink, const char *name, const char *value)
{
    struct serving *serving = ((struct header_serving *)sink)->serving;
    put_header(serving_out(serving), serving->request.call, name, value);
    return wrote_record(serving);
}

/* ---- content ---- */

static void tell_expected(struct sink *sink, uint64_t length)
{
    struct serving *serving = ((struct content_serving *)sink)->serving;
    put_expect(serving_out(serving), serving->request.call, length);
}

static enum err gather(struct serving *serving, const char *data, size_t length)
{
    struct buf *out = held_by(serving);
    if (serving->gathers && frame_size(out, serving->gathered_at) + length > FRAME_STREAM_BYTES)
        serving_out(serving);
    if (!serving->gathers)
        serving->gathered_at = frame_begin(out, FRAME_BYTES, serving->request.call);
    serving->gathers = true;
    buf_append(out, data, length);
    return serving_pour(serving);
}

static size_t send_some(const struct serving *serving, const char *data, size_t length)
{
    int fd = serving->connection->channel.fd;
    ssize_t moved = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    return moved > 0 ? (size_t)moved : 0;
}

/* One frame without a copy: what is held and a header, then the bytes from where they lie; what the
 * socket does not take is held after all. Two calls, for a worker has no sendmsg(), see
 * confine_syscalls.c. */
static enum err send_direct(struct serving *serving, const char *data, size_t length)
{
    struct buf *out = serving_out(serving);
    put_bytes_header(out, serving->request.call, length);
    buf_consume(out, send_some(serving, out->data, out->length));
    size_t sent = out->length ? 0 : send_some(serving, data, length);
    buf_append(out, data + sent, length - sent);
    return out->length > 0 ? serving_flush(serving) : OK;
}

static enum err tell_content(struct sink *sink, const void *data, size_t length)
{
    struct serving *serving = ((struct content_serving *)sink)->serving;
    const char *at = data;
    enum err err = serving->failure;
    while (length > 0 && !err) {
        size_t piece = length < FRAME_STREAM_BYTES ? length : FRAME_STREAM_BYTES;
        err = piece < DIRECT_BYTES ? gather(serving, at, piece) : send_direct(serving, at, piece);
        at += piece;
        length -= piece;
    }
    pass_point(serving, "bytes", &serving->streamed);
    return verdict(serving, err ? err : serving->failure);
}

void serving_init_sinks(struct serving *serving)
{
    serving->changes = (struct change_serving){
        .sink = {.folder = tell_facts,
                 .message = tell_message,
                 .flags = tell_flags,
                 .present = tell_present,
                 .removed = tell_removed},
        .serving = serving,
    };
    serving->folders =
        (struct folder_serving){.sink = {.folder = tell_listing}, .serving = serving};
    serving->previews =
        (struct preview_serving){.sink = {.preview = tell_preview}, .serving = serving};
    serving->headers = (struct header_serving){.sink = {.header = tell_header}, .serving = serving};
    serving->content = (struct content_serving){
        .sink = {.write = tell_content, .expect = tell_expected}, .serving = serving};
}

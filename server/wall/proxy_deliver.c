/* proxy_deliver.c - one answer of a worker to the sink that waits for it, judged by what was asked
 * and by what came before; what a single frame can be judged by was judged in verdict.c. */
#include "proxy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RESOURCES_MAX    100u
#define HEADER_BYTES_MAX (16u << 20) /* a section of 1 MiB, decoded as badly as can be */

/* Notes what a sink said. */
static enum err told(struct exchange *exchange, enum err err)
{
    exchange->refused = err;
    return OK;
}

/* ---- of a folder ---- */

static enum err deliver_facts(struct exchange *exchange, const struct answer *answer)
{
    uint32_t known = exchange->request.known.validity;
    bool is_new = known == 0 || known != answer->facts.validity;
    if (exchange->has_facts)
        return proxy_accuse(exchange, "a folder's facts twice");
    if (answer->reset != (exchange->request.kind == FRAME_SYNC && is_new))
        return proxy_accuse(exchange, "a reset without reason, or none");
    exchange->has_facts = true;
    return told(exchange,
                exchange->changes->folder(exchange->changes, &answer->facts, answer->reset));
}

/* A mail server may put in a message nobody asked for; an honest worker passes it on. */
static bool was_asked_for(const struct exchange *exchange, uint32_t uid)
{
    const struct request *request = &exchange->request;
    switch (request->kind) {
    case FRAME_FETCH_OLDER: return uid < request->known.floor;
    case FRAME_FETCH_ONE: return uid == request->uid;
    default: return true;
    }
}

static enum err deliver_message(struct exchange *exchange, const struct answer *answer)
{
    const struct request *request = &exchange->request;
    if (!was_asked_for(exchange, answer->message.uid))
        return OK;
    if (request->kind == FRAME_FETCH_OLDER && exchange->told == request->count)
        return fault_set(&exchange->call->fault, ERR_PROTOCOL,
                         "the mail server told of more messages than it was asked for");
    exchange->told++;
    return told(exchange, exchange->changes->message(exchange->changes, &answer->message));
}

static enum err deliver_flags(struct exchange *exchange, const struct answer *answer)
{
    const struct message *message = &answer->message;
    if (exchange->request.kind == FRAME_CHANGE_FLAGS &&
        (message->uid != exchange->request.uid || exchange->told > 0))
        return proxy_accuse(exchange, "flags that were not changed");
    exchange->told++;
    return told(exchange, exchange->changes->flags(exchange->changes, message->uid, message->flags,
                                                   &message->keywords, message->modseq));
}

static enum err deliver_ranges(struct exchange *exchange, const struct answer *answer)
{
    uint32_t held = exchange->range_count, more = answer->range_count;
    if (more > BACKEND_RANGES_MAX - held)
        return proxy_accuse(exchange, "too many ranges");
    if (held > 0 && more > 0 && answer->ranges[0].first <= exchange->ranges[held - 1].last)
        return proxy_accuse(exchange, "ranges that do not ascend");
    if (held + more > exchange->range_capacity) {
        exchange->range_capacity = held + more + held / 2;
        exchange->ranges =
            xrealloc(exchange->ranges, exchange->range_capacity * sizeof *exchange->ranges);
    }
    if (more > 0)
        memcpy(exchange->ranges + held, answer->ranges, more * sizeof *answer->ranges);
    exchange->range_count += more;
    return OK;
}

static enum err deliver_presence(struct exchange *exchange, const struct answer *answer)
{
    struct change_sink *sink = exchange->changes;
    enum err err = answer->kind == FRAME_PRESENT
                       ? sink->present(sink, answer->from, exchange->ranges, exchange->range_count)
                       : sink->removed(sink, exchange->ranges, exchange->range_count);
    free(exchange->ranges);
    exchange->ranges = NULL;
    exchange->range_count = exchange->range_capacity = 0;
    return told(exchange, err);
}

/* ---- of other things ---- */

static enum err deliver_listing(struct exchange *exchange, const struct answer *answer)
{
    if (exchange->told == exchange->self->folders_max)
        return proxy_accuse(exchange, "too many folders");
    exchange->told++;
    return told(exchange, exchange->folders->folder(exchange->folders, &answer->listing));
}

static enum err deliver_preview(struct exchange *exchange, const struct answer *answer)
{
    const struct request *request = &exchange->request;
    uint32_t at = 0;
    while (at < request->wish_count && request->wishes[at].uid != answer->uid)
        at++;
    if (at == request->wish_count || exchange->told == request->wish_count)
        return proxy_accuse(exchange, "a preview nobody wished for");
    exchange->told++;
    return told(exchange,
                exchange->previews->preview(exchange->previews, answer->uid, answer->text));
}

static enum err deliver_header(struct exchange *exchange, const struct answer *answer)
{
    exchange->passed += strlen(answer->text) + strlen(answer->value);
    if (exchange->told == BACKEND_HEADERS_MAX || exchange->passed > HEADER_BYTES_MAX)
        return proxy_accuse(exchange, "too many header fields");
    exchange->told++;
    return told(exchange,
                exchange->headers->header(exchange->headers, answer->text, answer->value));
}

/* Bytes that were asked for and have not come; a mail server that sends more than the range it was
 * asked for is passed on by an honest worker. */
static bool fits_wish(const struct exchange *exchange, uint64_t more)
{
    const struct part_wish *wish = &exchange->request.wish;
    uint64_t last = wish->last - wish->first; /* one less than their number, which may not fit */
    return more == 0 || (exchange->passed <= last && more - 1 <= last - exchange->passed);
}

static enum err too_many_bytes(struct exchange *exchange)
{
    return fault_set(&exchange->call->fault, ERR_PROTOCOL,
                     "the mail server sent more bytes than it was asked for");
}

static enum err deliver_expect(struct exchange *exchange, const struct answer *answer)
{
    if (exchange->has_expect)
        return proxy_accuse(exchange, "a length twice");
    exchange->has_expect = true;
    if (exchange->passed > 0) /* a second literal in one answer: it comes too late to be told */
        return OK;
    if (!fits_wish(exchange, answer->number))
        return too_many_bytes(exchange);
    sink_expect(exchange->bytes, answer->number);
    return OK;
}

static enum err deliver_bytes(struct exchange *exchange, const struct answer *answer)
{
    if (!fits_wish(exchange, answer->length))
        return too_many_bytes(exchange);
    exchange->passed += answer->length;
    return told(exchange, sink_write(exchange->bytes, answer->bytes, answer->length));
}

static enum err deliver_resource(struct exchange *exchange, const struct answer *answer)
{
    struct arena *arena = exchange->call->arena;
    const struct quota_resource *from = &answer->resource;
    if (exchange->told == RESOURCES_MAX)
        return proxy_accuse(exchange, "too many resources");
    if (!exchange->resources)
        exchange->resources = arena_array(arena, struct quota_resource, RESOURCES_MAX);
    exchange->resources[exchange->told++] = (struct quota_resource){
        .root = arena_strdup(arena, from->root),
        .name = arena_strdup(arena, from->name),
        .used = from->used,
        .limit = from->limit,
    };
    return OK;
}

/* ---- of the connection ---- */

static char *copy_text(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static enum err deliver_info(struct exchange *exchange, const struct answer *answer)
{
    struct walled *self = exchange->self;
    if (exchange->has_info)
        return proxy_accuse(exchange, "what the server offers twice");
    exchange->has_info = true;
    self->caps = answer->info.caps;
    self->capability_text = copy_text(answer->info.capability_text);
    self->server_name = copy_text(answer->info.server_name);
    return OK;
}

static enum err deliver_selected(struct exchange *exchange, const struct answer *answer)
{
    struct walled *self = exchange->self;
    self->backend.selected = NULL;
    free(self->selected);
    self->selected = copy_text(answer->value);
    self->backend.selected = self->selected;
    return OK;
}

/* ---- by kind ---- */

static enum err (*const deliveries[FRAME_END])(struct exchange *, const struct answer *) = {
    [FRAME_FACTS] = deliver_facts,      [FRAME_MESSAGE] = deliver_message,
    [FRAME_FLAGS] = deliver_flags,      [FRAME_RANGES] = deliver_ranges,
    [FRAME_PRESENT] = deliver_presence, [FRAME_REMOVED] = deliver_presence,
    [FRAME_LISTING] = deliver_listing,  [FRAME_PREVIEW] = deliver_preview,
    [FRAME_HEADER] = deliver_header,    [FRAME_EXPECT] = deliver_expect,
    [FRAME_BYTES] = deliver_bytes,      [FRAME_RESOURCE] = deliver_resource,
    [FRAME_INFO] = deliver_info,        [FRAME_SELECTED] = deliver_selected,
};

/* What a call that goes well cannot be without. */
enum need {
    NEED_FACTS = 1 << 0, /* before any record */
    NEED_RECORD = 1 << 1,
    NEED_INFO = 1 << 2,
};

static const unsigned needs[FRAME_CALLS_END] = {
    [FRAME_OPEN] = NEED_INFO,           [FRAME_SYNC] = NEED_FACTS,
    [FRAME_FETCH_OLDER] = NEED_FACTS,   [FRAME_FETCH_ONE] = NEED_RECORD,
    [FRAME_CHANGE_FLAGS] = NEED_RECORD,
};

enum err proxy_deliver(struct exchange *exchange, const struct answer *answer)
{
    assert(answer->kind >= FRAME_FACTS && answer->kind < FRAME_END);
    if ((needs[exchange->request.kind] & NEED_FACTS) && !exchange->has_facts &&
        answer->kind != FRAME_FACTS && answer->kind != FRAME_SELECTED)
        return proxy_accuse(exchange, "records before the folder's facts");
    return deliveries[answer->kind](exchange, answer);
}

enum err proxy_conclude(struct exchange *exchange, uint64_t value)
{
    const struct request *request = &exchange->request;
    unsigned need = needs[request->kind];
    if ((need & NEED_FACTS) && !exchange->has_facts)
        return proxy_accuse(exchange, "no facts of the folder");
    if ((need & NEED_RECORD) && exchange->told == 0)
        return proxy_accuse(exchange, "not what was asked for");
    if ((need & NEED_INFO) && !exchange->has_info)
        return proxy_accuse(exchange, "nothing about the mail server");
    if (exchange->range_count > 0)
        return proxy_accuse(exchange, "ranges of nothing");
    if (request->kind == FRAME_FETCH_OLDER && value != 1 && value >= request->known.floor)
        return proxy_accuse(exchange, "a floor that did not sink");
    exchange->value = value;
    return exchange->bytes ? sink_finish(exchange->bytes) : OK;
}

/* imap_preview.c - the first bytes of many text parts in one pipelined exchange. */
#include "imap.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN_WINDOW_BYTES 2048u
#define HTML_WINDOW_BYTES  8192u /* style sheets stand in front of the text */

struct previews {
    struct imapc_handler handler;
    struct imapc *imap;
    struct arena arena;
    const struct preview_wish *wishes;
    uint32_t count;
    bool *done;
    struct preview_sink *sink;
};

static const struct preview_wish *find_wish(struct previews *previews, uint32_t uid)
{
    for (uint32_t i = 0; i < previews->count; i++) {
        if (previews->wishes[i].uid != uid)
            continue;
        if (previews->done[i])
            return NULL;
        previews->done[i] = true;
        return &previews->wishes[i];
    }
    return NULL;
}

static enum err take_window(struct imapc_handler *handler, const struct imapc_response *response,
                            bool *mine)
{
    struct previews *previews = (struct previews *)handler;
    struct imapc_fetch fetch;
    size_t length;
    if (!response->has_number || !imapc_span_is(response->word, "FETCH"))
        return OK;
    arena_clear(&previews->arena);
    imapc_fetch_read(&previews->arena, response, &fetch);
    if (!fetch.has_section)
        return OK;
    *mine = true;
    if (fetch.has_flags)
        imapc_touch(previews->imap, fetch.sequence);
    const struct preview_wish *wish = find_wish(previews, fetch.uid);
    if (!wish)
        return OK;
    const struct backend_world *world = previews->imap->wire.world;
    struct decode_budget budget;
    decode_budget_begin(&budget, &previews->arena, world->message_cpu_ms_max,
                        world->message_bytes_max);
    char *raw = imapc_token_copy(&previews->arena, &fetch.content, &length);
    const char *text = raw ? decode_preview(&previews->arena, &budget, wish->type, wish->charset,
                                            wish->encoding, raw, length)
                           : "";
    return previews->sink->preview(previews->sink, wish->uid, text ? text : "");
}

static bool is_html(const struct preview_wish *wish)
{
    return wish->type && text_casecmp(wish->type, "text/html") == 0;
}

static bool same_question(const struct preview_wish *a, const struct preview_wish *b)
{
    return b->part && strcmp(a->part, b->part) == 0 && is_html(a) == is_html(b);
}

/* All wishes for the section of wishes[at], which is the first with it, as one command. */
static void ask_section(struct previews *previews, uint32_t at, bool *asked)
{
    struct imapc *imap = previews->imap;
    const struct preview_wish *first = &previews->wishes[at];
    struct imapc_set set = {0};
    struct buf text;
    for (uint32_t i = at; i < previews->count; i++) {
        if (asked[i] || !same_question(first, &previews->wishes[i]))
            continue;
        asked[i] = true;
        imapc_set_add(&set, previews->wishes[i].uid, previews->wishes[i].uid);
    }
    imapc_set_sort(&set);
    buf_init(&text, 1024 * 1024);
    imapc_set_print(&text, set.ranges, set.count);
    imapc_command_tolerant(imap, "UID FETCH");
    imapc_word(imap, text.data);
    imapc_word(imap, arena_printf(&imap->scratch, "(UID BODY.PEEK[%s]<0.%u>)", first->part,
                                  is_html(first) ? HTML_WINDOW_BYTES : PLAIN_WINDOW_BYTES));
    imapc_command_end(imap);
    buf_clear(&text);
    imapc_set_clear(&set);
}

static bool section_is_valid(const char *part)
{
    return *part && strlen(part) < 256 && part[strspn(part, "0123456789.")] == '\0';
}

static enum err run_wishes(struct previews *previews, struct call *call, bool *asked)
{
    struct imapc *imap = previews->imap;
    for (uint32_t at = 0; at < previews->count;) {
        enum err err = imapc_begin(imap, call, &previews->handler);
        for (; at < previews->count && imap->sent_count < IMAPC_PIPELINE_MAX && !err; at++)
            if (!asked[at])
                ask_section(previews, at, asked);
        if (!err && imap->sent_count > 0)
            err = imapc_run(imap);
        if (err)
            return err;
    }
    return OK;
}

enum err imapc_previews(struct backend *backend, struct call *call,
                        const struct folder_known *known, const struct preview_wish *wishes,
                        uint32_t count, struct preview_sink *sink)
{
    struct imapc *imap = (struct imapc *)backend;
    struct previews previews = {
        .handler = {.untagged = take_window},
        .imap = imap,
        .wishes = wishes,
        .count = count,
        .done = arena_array(call->arena, bool, count ? count : 1),
        .sink = sink,
    };
    bool *asked = arena_array(call->arena, bool, count ? count : 1);
    enum err err = imapc_select(imap, call, known->remote, known->validity);
    for (uint32_t i = 0; i < count && !err; i++) {
        if (wishes[i].part && section_is_valid(wishes[i].part))
            continue;
        asked[i] = previews.done[i] = true;
        err = sink->preview(sink, wishes[i].uid, "");
    }
    if (err)
        return err;
    arena_init(&previews.arena);
    err = run_wishes(&previews, call, asked);
    arena_clear(&previews.arena);
    return err;
}

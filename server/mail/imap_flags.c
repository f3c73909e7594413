/* imap_flags.c - UID STORE, and the server's own word on what came of it. */
#include "imap.h"

#include <string.h>

struct flag_name {
    uint32_t flag;
    const char *name;
};

static const struct flag_name flag_names[] = {
    {FLAG_SEEN, "\\Seen"},   {FLAG_FLAGGED, "\\Flagged"}, {FLAG_ANSWERED, "\\Answered"},
    {FLAG_DRAFT, "\\Draft"}, {FLAG_DELETED, "\\Deleted"},
};

struct word {
    struct imapc_handler handler;
    struct imapc *imap;
    struct arena arena;
    uint32_t uid;
    bool told; /* the last answer is kept: it is the one after both STOREs */
    uint32_t flags;
    struct string_list keywords;
    uint64_t modseq;
};

static enum err take_flags(struct imapc_handler *handler, const struct imapc_response *response,
                           bool *mine)
{
    struct word *word = (struct word *)handler;
    struct imapc_fetch fetch;
    if (!response->has_number || !imapc_span_is(response->word, "FETCH"))
        return OK;
    imapc_fetch_read(&word->imap->reply, response, &fetch);
    if (!fetch.has_flags || fetch.uid != word->uid)
        return OK;
    *mine = true;
    arena_clear(&word->arena); /* only the last one stays */
    imapc_fetch_read(&word->arena, response, &fetch);
    word->told = true;
    word->flags = fetch.flags;
    word->keywords = fetch.keywords;
    word->modseq = fetch.modseq;
    return OK;
}

static void put_flag(struct buf *list, const char *name)
{
    if (list->length)
        buf_char(list, ' ');
    buf_text(list, name);
}

static void ask_store(struct imapc *imap, uint32_t uid, const char *how, uint32_t flags,
                      const struct string_list *keywords)
{
    struct buf list;
    buf_init(&list, 64 * 1024);
    for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
        if (flags & flag_names[i].flag)
            put_flag(&list, flag_names[i].name);
    for (uint32_t i = 0; i < keywords->count; i++)
        put_flag(&list, keywords->items[i]);
    if (list.length) {
        imapc_command(imap, "UID STORE");
        imapc_word(imap, arena_printf(&imap->scratch, "%u %s (%s)", uid, how, list.data));
        imapc_command_end(imap);
    }
    buf_clear(&list);
}

static bool lists_hold(const struct string_list *all, const struct string_list *some, bool wanted)
{
    for (uint32_t i = 0; i < some->count; i++) {
        bool found = false;
        for (uint32_t k = 0; k < all->count && !found; k++)
            found = strcasecmp(all->items[k], some->items[i]) == 0;
        if (found != wanted)
            return false;
    }
    return true;
}

static enum err ask_flags(struct imapc *imap, struct call *call, struct word *word)
{
    enum err err = imapc_begin(imap, call, &word->handler);
    if (err)
        return err;
    word->told = false;
    imapc_command(imap, "UID FETCH");
    imapc_word(imap, arena_printf(&imap->scratch, "%u (UID FLAGS)", word->uid));
    imapc_command_end(imap);
    return imapc_run(imap);
}

/* A server may answer OK and not keep a flag (PERMANENTFLAGS). */
static bool was_done(const struct word *word, const struct flag_change *change)
{
    return (word->flags & change->add) == change->add && !(word->flags & change->remove) &&
           lists_hold(&word->keywords, &change->add_keywords, true) &&
           lists_hold(&word->keywords, &change->remove_keywords, false);
}

static enum err run_change(struct imapc *imap, struct call *call, struct word *word,
                           const struct flag_change *change)
{
    enum err err = imapc_begin(imap, call, &word->handler);
    if (err)
        return err;
    ask_store(imap, word->uid, "+FLAGS", change->add, &change->add_keywords);
    ask_store(imap, word->uid, "-FLAGS", change->remove, &change->remove_keywords);
    imapc_command(imap, "UID FETCH");
    imapc_word(imap, arena_printf(&imap->scratch, "%u (UID FLAGS)", word->uid));
    imapc_command_end(imap);
    return imapc_run(imap);
}

enum err imapc_change_flags(struct backend *backend, struct call *call,
                            const struct folder_known *known, uint32_t uid,
                            const struct flag_change *change, struct change_sink *sink)
{
    struct imapc *imap = (struct imapc *)backend;
    struct word word = {.handler = {.untagged = take_flags}, .imap = imap, .uid = uid};
    enum err err = imapc_select(imap, call, known->remote, known->validity);
    if (err)
        return err;
    if (imap->facts.read_only)
        return fault_set(&call->fault, ERR_REFUSED, "the folder is read-only");
    arena_init(&word.arena);
    err = run_change(imap, call, &word, change);
    if (!err && word.told && !was_done(&word, change)) /* refused, or expunged in a view behind */
        err = ask_flags(imap, call, &word);
    if (!err && !word.told)
        err = fault_set(&call->fault, ERR_GONE, "the message is not there any more");
    if (!err || (err == ERR_REFUSED && word.told)) { /* half of it may have been done */
        enum err told = sink->flags(sink, uid, word.flags, &word.keywords, word.modseq);
        err = err ? err : told;
    }
    if (!err && !was_done(&word, change))
        err = fault_set(&call->fault, ERR_REFUSED, "the mail server did not keep the change");
    arena_clear(&word.arena);
    return err;
}

/* imap_folders.c - LIST, with everything else about folders that fits into the same exchange.
 *
 * Names are kept byte for byte as the server spells them (`remote`); paths are for people. All
 * listings are gathered before the first is told: subscriptions, status and roles come later in
 * the exchange than the names.
 */
#include "imap_listed.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define STATUS_BATCH   64u
#define NAME_BYTES_MAX 4096u

/* What STATUS and LSUB say of a name; they may come before its LIST line. */
struct remark {
    struct folder_listing of;
    struct remark *next;
};

struct listing {
    struct imapc_handler handler;
    struct imapc *imap;
    struct arena *arena;
    struct listed *items; /* owned */
    uint32_t count, capacity;
    struct listed **by_name; /* sorted; owned; made by listing_index */
    struct remark *remarks;
    uint32_t remark_count;
    uint64_t name_bytes;
};

struct flag_role {
    const char *flag;
    enum folder_role role;
};

/* RFC 6154, and what Gmail's XLIST calls the same. */
static const struct flag_role flag_roles[] = {
    {"\\Sent", ROLE_SENT},       {"\\Drafts", ROLE_DRAFTS},   {"\\Trash", ROLE_TRASH},
    {"\\Junk", ROLE_JUNK},       {"\\Archive", ROLE_ARCHIVE}, {"\\All", ROLE_ALL},
    {"\\Flagged", ROLE_FLAGGED}, {"\\AllMail", ROLE_ALL},     {"\\Spam", ROLE_JUNK},
    {"\\Starred", ROLE_FLAGGED}, {"\\Inbox", ROLE_INBOX},
};

static void take_flag(struct folder_listing *folder, struct imapc_span flag)
{
    if (imapc_span_is(flag, "\\Noselect") || imapc_span_is(flag, "\\NonExistent"))
        folder->selectable = false;
    else if (imapc_span_is(flag, "\\Subscribed"))
        folder->subscribed = true;
    for (size_t i = 0; i < sizeof flag_roles / sizeof *flag_roles; i++)
        if (imapc_span_is(flag, flag_roles[i].flag))
            folder->role = flag_roles[i].role;
}

static int compare_names(const void *a, const void *b)
{
    const struct listed *x = *(struct listed *const *)a, *y = *(struct listed *const *)b;
    int order = strcmp(x->listing.remote, y->listing.remote);
    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

/* After LIST: by name, doubles merged into the first. */
static void listing_index(struct listing *listing)
{
    if (listing->by_name || listing->count == 0)
        return;
    listing->by_name = xalloc(listing->count * sizeof *listing->by_name);
    for (uint32_t i = 0; i < listing->count; i++)
        listing->by_name[i] = &listing->items[i];
    qsort(listing->by_name, listing->count, sizeof *listing->by_name, compare_names);
    struct listed *kept = listing->by_name[0];
    for (uint32_t i = 1; i < listing->count; i++) {
        struct listed *next = listing->by_name[i];
        if (strcmp(next->listing.remote, kept->listing.remote) == 0) {
            kept->listing.subscribed |= next->listing.subscribed;
            next->listing.path = NULL; /* not told */
        } else {
            kept = next;
        }
    }
}

static struct listed *find_name(struct listing *listing, const char *remote)
{
    listing_index(listing);
    uint32_t low = 0, high = listing->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(listing->by_name[middle]->listing.remote, remote) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < listing->count && strcmp(listing->by_name[low]->listing.remote, remote) == 0)
        return listing->by_name[low];
    return NULL;
}

/* The mailbox name next in the scan; NULL when it could never be sent back. */
static char *read_name(struct listing *listing, struct imapc_scan *scan)
{
    struct imapc_token token;
    size_t length;
    if (!imapc_scan_next(scan, &token))
        return NULL;
    if (token.kind == TOKEN_NIL)
        token.kind = TOKEN_ATOM; /* a folder named "nil" */
    if (token.span.length > NAME_BYTES_MAX)
        return NULL;
    char *name = imapc_token_copy(&listing->imap->reply, &token, &length);
    if (!name || length == 0 || strlen(name) != length || strpbrk(name, "\r\n"))
        return NULL;
    listing->name_bytes += length;
    return arena_strdup(listing->arena, name);
}

/* (\HasNoChildren) "/" "Name" */
static bool read_listing(struct listing *listing, struct imapc_span rest, struct listed *out)
{
    struct imapc_scan scan = imapc_scan_of(rest, 20);
    struct imapc_token token;
    size_t length;
    *out = (struct listed){.listing = {.selectable = true, .size = -1}};
    if (!imapc_scan_next(&scan, &token) || token.kind != TOKEN_OPEN)
        return false;
    while (imapc_scan_next(&scan, &token) && token.kind != TOKEN_CLOSE)
        take_flag(&out->listing, token.span);
    if (!imapc_scan_next(&scan, &token))
        return false;
    const char *delimiter = imapc_token_copy(&listing->imap->reply, &token, &length);
    out->delimiter = delimiter ? *delimiter : '\0';
    out->listing.remote = read_name(listing, &scan);
    return out->listing.remote != NULL;
}

static void take_list(struct listing *listing, struct imapc_span rest)
{
    struct listed item;
    if (!read_listing(listing, rest, &item))
        return;
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity ? listing->capacity * 2 : 64;
        listing->items = xrealloc(listing->items, listing->capacity * sizeof *listing->items);
    }
    item.order = listing->count;
    item.listing.path = imapc_name_path(listing->arena, item.listing.remote, item.delimiter);
    listing->name_bytes += strlen(item.listing.path);
    if (strcmp(item.listing.path, "INBOX") == 0)
        item.listing.role = ROLE_INBOX;
    listing->items[listing->count++] = item;
}

static struct folder_listing *add_remark(struct listing *listing, const char *remote)
{
    struct remark *remark = arena_new(listing->arena, struct remark);
    listing->remark_count++;
    *remark = (struct remark){.of = {.remote = remote, .size = -1}, .next = listing->remarks};
    listing->remarks = remark;
    return &remark->of;
}

static void take_lsub(struct listing *listing, struct imapc_span rest)
{
    struct listed item;
    if (read_listing(listing, rest, &item))
        add_remark(listing, item.listing.remote)->subscribed = true;
}

static void take_status_item(struct folder_listing *folder, struct imapc_span name, uint64_t value)
{
    uint32_t small = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    if (imapc_span_is(name, "MESSAGES"))
        folder->messages = small;
    else if (imapc_span_is(name, "UNSEEN"))
        folder->unseen = small;
    else if (imapc_span_is(name, "UIDNEXT"))
        folder->uid_next = small;
    else if (imapc_span_is(name, "UIDVALIDITY"))
        folder->uid_validity = small;
    else if (imapc_span_is(name, "HIGHESTMODSEQ"))
        folder->modseq = value;
    else if (imapc_span_is(name, "SIZE") && value <= INT64_MAX)
        folder->size = (int64_t)value;
}

/* "Name" (MESSAGES 3 UNSEEN 0) */
static void take_status(struct listing *listing, struct imapc_span rest)
{
    struct imapc_scan scan = imapc_scan_of(rest, 4);
    struct imapc_token name, value;
    uint64_t number;
    char *remote = read_name(listing, &scan);
    if (!remote || !imapc_scan_next(&scan, &name) || name.kind != TOKEN_OPEN)
        return;
    struct folder_listing *folder = add_remark(listing, remote);
    folder->has_status = true;
    while (imapc_scan_next(&scan, &name) && imapc_scan_next(&scan, &value))
        if (imapc_span_number(value.span, INT64_MAX, &number))
            take_status_item(folder, name.span, number);
}

static void apply_remarks(struct listing *listing)
{
    for (const struct remark *remark = listing->remarks; remark; remark = remark->next) {
        const struct folder_listing *of = &remark->of;
        struct listed *found = find_name(listing, of->remote);
        if (!found)
            continue;
        struct folder_listing *folder = &found->listing;
        folder->subscribed |= of->subscribed;
        if (!of->has_status)
            continue;
        folder->has_status = true;
        folder->messages = of->messages;
        folder->unseen = of->unseen;
        folder->uid_next = of->uid_next;
        folder->uid_validity = of->uid_validity;
        folder->modseq = of->modseq;
        folder->size = of->size;
    }
}

/* LSUB and STATUS have a remark each for every folder. */
static enum err check_listing(struct listing *listing)
{
    struct imapc_wire *wire = &listing->imap->wire;
    struct fault *fault = &listing->imap->call->fault;
    uint64_t most = wire->world->folders_max;
    if (listing->count > most || listing->remark_count > 2 * most)
        return imapc_limit_passed(wire, fault, LIMIT_FOLDERS);
    if (listing->name_bytes > IMAPC_NAMES_BYTES_MAX)
        return imapc_limit_passed(wire, fault, LIMIT_NAMES);
    return OK;
}

static enum err listing_untagged(struct imapc_handler *handler,
                                 const struct imapc_response *response, bool *mine)
{
    struct listing *listing = (struct listing *)handler;
    *mine = true;
    if (imapc_span_is(response->word, "LIST") || imapc_span_is(response->word, "XLIST")) {
        if (!listing->by_name) /* told unasked during STATUS: it comes with the next listing */
            take_list(listing, response->rest);
    } else if (imapc_span_is(response->word, "LSUB")) {
        take_lsub(listing, response->rest);
    } else if (imapc_span_is(response->word, "STATUS")) {
        take_status(listing, response->rest);
    } else {
        *mine = false;
    }
    return *mine ? check_listing(listing) : OK;
}

static const char *status_items(struct imapc *imap)
{
    return arena_printf(&imap->scratch, "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY%s%s)",
                        imap->caps & CAP_CONDSTORE ? " HIGHESTMODSEQ" : "",
                        imap->extra & EXTRA_STATUS_SIZE ? " SIZE" : "");
}

/* One command for all of it: RFC 5258, 6154, 5819. */
static enum err list_extended(struct listing *listing, struct call *call, bool with_status)
{
    struct imapc *imap = listing->imap;
    enum err err = imapc_begin(imap, call, &listing->handler);
    if (err)
        return err;
    imapc_command(imap, "LIST");
    imapc_word(imap,
               arena_printf(&imap->scratch, "\"\" \"*\" RETURN (%sSUBSCRIBED%s%s)",
                            imap->caps & CAP_SPECIAL_USE ? "SPECIAL-USE " : "",
                            with_status ? " STATUS " : "", with_status ? status_items(imap) : ""));
    imapc_command_end(imap);
    return imapc_run(imap);
}

static enum err list_plain(struct listing *listing, struct call *call)
{
    struct imapc *imap = listing->imap;
    bool xlist = (imap->extra & EXTRA_XLIST) && !(imap->caps & CAP_SPECIAL_USE);
    enum err err = imapc_begin(imap, call, &listing->handler);
    if (err)
        return err;
    imapc_command(imap, xlist ? "XLIST" : "LIST");
    imapc_word(imap, "\"\" \"*\"");
    imapc_command_end(imap);
    imapc_command_tolerant(imap, "LSUB");
    imapc_word(imap, "\"\" \"*\"");
    imapc_command_end(imap);
    return imapc_run(imap);
}

/* Asked one by one, many at a time; a folder that refuses has no status. */
static enum err ask_status(struct listing *listing, struct call *call)
{
    struct imapc *imap = listing->imap;
    listing_index(listing);
    for (uint32_t at = 0; at < listing->count;) {
        enum err err = imapc_begin(imap, call, &listing->handler);
        const char *items = status_items(imap);
        for (; at < listing->count && imap->sent_count < STATUS_BATCH && !err; at++) {
            const struct folder_listing *folder = &listing->items[at].listing;
            if (!folder->path || !folder->selectable ||
                (imap->selected && strcmp(imap->selected, folder->remote) == 0))
                continue;
            imapc_command_tolerant(imap, "STATUS");
            err = imapc_astring(imap, folder->remote, strlen(folder->remote));
            if (err == ERR_REFUSED && call->fault.code == OK) {
                err = OK; /* that one has no status */
                continue;
            }
            if (err)
                return err;
            imapc_word(imap, items);
            imapc_command_end(imap);
        }
        if (!err && imap->sent_count > 0)
            err = imapc_run(imap);
        if (err)
            return err;
    }
    return OK;
}

static enum err tell_all(struct listing *listing, struct folder_sink *sink)
{
    listing_index(listing);
    apply_remarks(listing);
    imapc_assign_roles(listing->arena, listing->imap->personal.prefix, listing->items,
                       listing->count);
    imapc_part_equal_paths(listing->arena, listing->by_name, listing->count);
    enum err err = OK;
    for (uint32_t i = 0; i < listing->count && !err; i++)
        if (listing->items[i].listing.path)
            err = sink->folder(sink, &listing->items[i].listing);
    return err;
}

enum err imapc_list_folders(struct backend *backend, struct call *call, bool with_status,
                            struct folder_sink *sink)
{
    struct imapc *imap = (struct imapc *)backend;
    struct listing listing = {
        .handler = {.untagged = listing_untagged}, .imap = imap, .arena = call->arena};
    bool extended = (imap->extra & EXTRA_LIST_EXTENDED) != 0;
    bool at_once = extended && with_status && (imap->caps & CAP_LIST_STATUS);
    imap->view_is_new = false;
    /* STATUS of the folder selected here is its view's. */
    enum err err = at_once ? imapc_renew_view(imap, call) : OK;
    if (!err)
        err = extended ? list_extended(&listing, call, at_once) : list_plain(&listing, call);
    if (!err && with_status && !at_once)
        err = ask_status(&listing, call);
    if (!err)
        err = tell_all(&listing, sink);
    free(listing.items);
    free(listing.by_name);
    return err;
}

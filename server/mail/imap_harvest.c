/* imap_harvest.c - what the server tells unasked: kept until the next sync makes use of it.
 *
 * EXISTS, EXPUNGE and FETCH may come with the answer to any command; losing one would make the
 * mirror wrong for ever. Sequence numbers are kept as they stand after every EXPUNGE.
 */
#include "imap.h"

#include <stdlib.h>
#include <string.h>

void imapc_forget_selected(struct imapc *imap)
{
    free(imap->selected);
    imap->selected = NULL;
    imap->backend.selected = NULL;
    imap->facts = (struct folder_facts){0};
    imap->pending = (struct imapc_pending){0};
    imap->reported = 0;
    imap->older_floor = 0;
    imapc_set_clear(&imap->older);
}

void imapc_touch(struct imapc *imap, uint32_t sequence)
{
    struct imapc_pending *pending = &imap->pending;
    if (sequence == 0 || sequence > imap->facts.exists)
        return;
    for (uint32_t i = 0; i < pending->touched_count; i++)
        if (pending->touched[i] == sequence)
            return;
    if (pending->touched_count == TOUCHED_MAX)
        pending->flags_all = true;
    else
        pending->touched[pending->touched_count++] = sequence;
}

static void take_expunge(struct imapc *imap, uint32_t sequence)
{
    struct imapc_pending *pending = &imap->pending;
    uint32_t kept = 0;
    pending->expunged = true;
    if (imap->facts.exists > 0)
        imap->facts.exists--;
    for (uint32_t i = 0; i < pending->touched_count; i++) {
        uint32_t touched = pending->touched[i];
        if (touched != sequence)
            pending->touched[kept++] = touched > sequence ? touched - 1 : touched;
    }
    pending->touched_count = kept;
}

static void take_exists(struct imapc *imap, uint32_t exists)
{
    if (exists > imap->facts.exists) {
        imap->pending.grown = true;
        imap->facts.uid_next = 0; /* what SELECT said is over; the next sync asks */
    } else if (exists < imap->facts.exists) {
        imap->pending.expunged = true; /* a server that shrinks without a word */
    }
    imap->facts.exists = exists;
}

static void take_code(struct imapc *imap, struct imapc_span text)
{
    struct imapc_span name, arguments;
    uint64_t number = 0;
    if (!imapc_code_find(text, &name, &arguments))
        return;
    bool is_number = imapc_span_number(arguments, INT64_MAX, &number);
    if (imapc_span_is(name, "CAPABILITY"))
        imapc_read_capabilities(imap, arguments);
    else if (imapc_span_is(name, "UIDVALIDITY") && is_number && number <= UINT32_MAX)
        imap->facts.validity = (uint32_t)number;
    else if (imapc_span_is(name, "UIDNEXT") && is_number && number <= UINT32_MAX)
        imap->facts.uid_next = (uint32_t)number;
    else if (imapc_span_is(name, "HIGHESTMODSEQ") && is_number)
        imap->facts.modseq = number;
    else if (imapc_span_is(name, "READ-ONLY"))
        imap->facts.read_only = true;
    else if (imapc_span_is(name, "READ-WRITE"))
        imap->facts.read_only = false;
    else if (imapc_span_is(name, "PERMANENTFLAGS"))
        imap->facts.keywords_allowed = memmem(arguments.text, arguments.length, "\\*", 2) != NULL;
}

void imapc_harvest(struct imapc *imap, const struct imapc_response *response)
{
    if (response->has_number) {
        if (imapc_span_is(response->word, "EXISTS"))
            take_exists(imap, response->number);
        else if (imapc_span_is(response->word, "EXPUNGE"))
            take_expunge(imap, response->number);
    } else if (imapc_span_is(response->word, "OK") || imapc_span_is(response->word, "NO")) {
        take_code(imap, response->rest);
    } else if (imapc_span_is(response->word, "CAPABILITY")) {
        imapc_read_capabilities(imap, response->rest);
    } else if (imapc_span_is(response->word, "VANISHED")) {
        imap->pending.expunged = true;
    }
}

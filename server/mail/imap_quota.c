/* imap_quota.c - GETQUOTAROOT INBOX (RFC 2087). */
#include "imap.h"
#include "text.h"

#include <string.h>

#define RESOURCES_MAX  64u
#define TEXT_BYTES_MAX 255u

struct quota_answer {
    struct imapc_handler handler;
    struct imapc *imap;
    struct arena *arena;
    struct quota_resource *items;
    uint32_t count;
};

static char *clean_token(struct arena *arena, const struct imapc_token *token)
{
    size_t length = 0;
    struct imapc_token front = *token;
    if (front.span.length > TEXT_BYTES_MAX)
        front.span.length = TEXT_BYTES_MAX;
    char *raw = imapc_token_copy(arena, &front, &length);
    return text_clean(arena, raw ? raw : "", length, true);
}

/* "User quota" (STORAGE 10 512 MESSAGE 3 1000) */
static enum err take_quota(struct imapc_handler *handler, const struct imapc_response *response,
                           bool *mine)
{
    struct quota_answer *answer = (struct quota_answer *)handler;
    struct imapc_token root, name, used, limit;
    *mine = imapc_span_is(response->word, "QUOTA") || imapc_span_is(response->word, "QUOTAROOT");
    if (!imapc_span_is(response->word, "QUOTA"))
        return OK;
    struct imapc_scan scan = imapc_scan_of(response->rest, 2);
    if (!imapc_scan_next(&scan, &root) || !imapc_scan_next(&scan, &name) || name.kind != TOKEN_OPEN)
        return OK;
    while (answer->count < RESOURCES_MAX && imapc_scan_next(&scan, &name) &&
           imapc_scan_next(&scan, &used) && imapc_scan_next(&scan, &limit)) {
        struct quota_resource *item = &answer->items[answer->count];
        if (!imapc_span_number(used.span, UINT64_MAX / 1024, &item->used) ||
            !imapc_span_number(limit.span, UINT64_MAX / 1024, &item->limit))
            break;
        item->root = clean_token(answer->arena, &root);
        item->name = clean_token(answer->arena, &name);
        if (text_casecmp(item->name, "STORAGE") == 0) { /* KiB */
            item->used *= 1024;
            item->limit *= 1024;
        }
        answer->count++;
    }
    return OK;
}

enum err imapc_quota(struct backend *backend, struct call *call, struct quota_resource **out,
                     uint32_t *count)
{
    struct imapc *imap = (struct imapc *)backend;
    struct quota_answer answer = {
        .handler = {.untagged = take_quota},
        .imap = imap,
        .arena = call->arena,
        .items = arena_array(call->arena, struct quota_resource, RESOURCES_MAX),
    };
    if (!(imap->caps & CAP_QUOTA))
        return fault_set(&call->fault, ERR_UNSUPPORTED, "the mail server does not tell quotas");
    enum err err = imapc_simple(imap, call, &answer.handler, "GETQUOTAROOT", "\"INBOX\"");
    if (err)
        return err;
    *out = answer.items;
    *count = answer.count;
    return OK;
}

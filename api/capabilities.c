/* capabilities.c - who does what: the mail server, this service in its place, or nobody. */
#include "accounts.h"
#include "operations.h"
#include "put.h"
#include "routes.h"
#include "text.h"

#include <string.h>

#define NOT_YET "this version of the service does not offer it"

/* cap 0: the mail server's ability does not matter. A row with `by` is supplied where the server
 * lacks it; one without says why not. */
static const struct {
    const char *feature;
    uint32_t cap;
    const char *by, *reason;
} feature_rows[] = {
    {"folders", CAP_FOLDERS, "mirror", NULL},
    {"folderEdit", 0, NULL, NOT_YET},
    {"flags", CAP_FLAGS, "mirror", NULL},
    {"keywords", CAP_KEYWORDS, NULL, "the mail server keeps none"},
    {"partialFetch", CAP_PARTIAL_FETCH, "stream", NULL},
    {"search", 0, NULL, NOT_YET},
    {"bodySearch", 0, NULL, NOT_YET},
    {"sort", 0, "mirror", NULL},
    {"threads", 0, NULL, NOT_YET},
    {"move", 0, NULL, NOT_YET},
    {"append", 0, NULL, NOT_YET},
    {"push", 0, NULL, NOT_YET},
    {"delta", 0, NULL, NOT_YET},
    {"quota", CAP_QUOTA, NULL, "the mail server tells none"},
};

/* The server's capability line as a list of words. */
static void put_words(struct buf *out, const char *text)
{
    char word[128];
    put_open(out, '[');
    for (const char *at = text ? text : ""; *at;) {
        at += strspn(at, " ");
        size_t length = strcspn(at, " ");
        if (length && length < sizeof word) {
            memcpy(word, at, length);
            word[length] = '\0';
            put_text(out, word);
        }
        at += length;
    }
    put_close(out, ']');
}

void capabilities_put(struct buf *out, const struct account_facts *facts)
{
    put_key(out, "features");
    put_open(out, '{');
    for (size_t i = 0; i < sizeof feature_rows / sizeof feature_rows[0]; i++) {
        bool native = facts->info.caps & feature_rows[i].cap;
        const char *by = native ? NULL : feature_rows[i].by;
        put_key(out, feature_rows[i].feature);
        put_open(out, '{');
        put_member_text(out, "support", native ? "native" : by ? "emulated" : "none");
        if (by)
            put_member_text(out, "by", by);
        if (!native && !by)
            put_member_text(out, "reason", feature_rows[i].reason);
        put_close(out, '}');
    }
    put_close(out, '}');
    put_key(out, "server");
    put_open(out, '{');
    put_member_text(out, "name", facts->info.server_name);
    put_key(out, "capabilities");
    put_words(out, facts->info.capability_text);
    put_close(out, '}');
}

void handle_capabilities_get(struct request *request)
{
    struct account_facts facts = {.id = NULL};
    struct buf body;
    seat_facts(request->seat, &request->arena, &facts);
    buf_init(&body, 1024 * 1024);
    put_open(&body, '{');
    put_member_text(&body, "accountId", facts.id);
    capabilities_put(&body, &facts);
    put_close(&body, '}');
    request_set_header(request, "Cache-Control", CACHE_REVALIDATE);
    request_reply_json(request, 200, &body);
}

static void quota_answer(struct request *request)
{
    struct quota_resource *resources = NULL;
    uint32_t count = 0;
    struct buf body;
    if (operation_quota(&request->task, &resources, &count)) {
        request_fail(request);
        return;
    }
    buf_init(&body, 1024 * 1024);
    put_open(&body, '{');
    put_key(&body, "items");
    put_open(&body, '[');
    for (uint32_t i = 0; i < count; i++) {
        char *name = arena_strdup(&request->arena, resources[i].name);
        text_lower(name);
        put_open(&body, '{');
        put_member_text(&body, "root", resources[i].root);
        put_member_text(&body, "resource", name);
        put_member_int(&body, "used", (int64_t)resources[i].used);
        put_member_int(&body, "limit", (int64_t)resources[i].limit);
        put_close(&body, '}');
    }
    put_close(&body, ']');
    put_member_null(&body, "nextCursor");
    put_close(&body, '}');
    request_source(request, SOURCE_LIVE, 0);
    request_set_header(request, "Cache-Control", CACHE_REVALIDATE);
    request_reply_json(request, 200, &body);
}

void handle_quota_get(struct request *request)
{
    struct account_facts facts = {.id = NULL};
    struct fault *fault = &request_call(request)->fault;
    seat_facts(request->seat, &request->arena, &facts);
    if (!(facts.info.caps & CAP_QUOTA)) {
        fault_set(fault, ERR_UNSUPPORTED, "this mail server tells no quota");
        request_fail(request);
    } else if (request->freshness.only_if_cached) {
        fault_set(fault, ERR_NOT_CACHED, "a quota is not remembered");
        request_fail(request);
    } else {
        request_need(request, NEED_CONNECTION, 0, quota_answer);
    }
}

/* accounts.c - accounts as their session sees them; never a secret. */
#include "accounts.h"
#include "problem.h"
#include "put.h"
#include "routes.h"

static const char *const state_names[] = {
    [ACCOUNT_CONNECTING] = "connecting",
    [ACCOUNT_OK] = "ok",
    [ACCOUNT_LOGIN_FAILED] = "login-failed",
    [ACCOUNT_UNREACHABLE] = "unreachable",
};

/* Nothing of the mirror is told to a seat that may not see it. */
static void put_sync(struct buf *out, struct request *request, struct seat *seat)
{
    struct mirror_totals totals = {0};
    struct call call = {.arena = &request->arena, .deadline_ms = DEADLINE_NONE};
    put_key(out, "sync");
    if (seat_check(seat, &call.fault) || mirror_totals(seat_mirror(seat), &call, &totals)) {
        put_null(out);
        return;
    }
    put_open(out, '{');
    put_member_int(out, "folders", totals.folders);
    put_member_int(out, "messages", (int64_t)totals.messages);
    put_member_bool(out, "complete", totals.complete);
    put_close(out, '}');
}

void account_put(struct buf *out, struct request *request, struct seat *seat)
{
    struct account_facts facts = {.id = NULL};
    seat_facts(seat, &request->arena, &facts);
    put_open(out, '{');
    put_member_text(out, "id", facts.id);
    put_member_text(out, "protocol", backend_protocol_name(facts.protocol));
    put_member_text(out, "host", facts.host);
    put_member_int(out, "port", facts.port);
    put_member_text(out, "security", backend_security_name(facts.security));
    put_member_text(out, "username", facts.username);
    put_member_null(out, "name");
    put_member_text(out, "state", state_names[facts.state]);
    put_member_bool(out, "stored", false);
    put_key(out, "lastError");
    if (facts.last_error.code)
        problem_put(out, &facts.last_error, NULL);
    else
        put_null(out);
    put_sync(out, request, seat);
    put_close(out, '}');
}

void accounts_put(struct buf *out, struct request *request)
{
    struct seat **seats = NULL;
    uint32_t count = session_seats(request->session, &request->arena, &seats);
    put_open(out, '[');
    for (uint32_t i = 0; i < count; i++)
        account_put(out, request, seats[i]);
    put_close(out, ']');
}

void handle_accounts_list(struct request *request)
{
    struct buf body;
    buf_init(&body, 4 * 1024 * 1024);
    put_open(&body, '{');
    put_key(&body, "items");
    accounts_put(&body, request);
    put_member_null(&body, "nextCursor");
    put_close(&body, '}');
    request_set_header(request, "Cache-Control", "no-store");
    request_reply_json(request, 200, &body);
}

void handle_accounts_get(struct request *request)
{
    struct buf body;
    buf_init(&body, 1024 * 1024);
    account_put(&body, request, request->seat);
    request_set_header(request, "Cache-Control", "no-store");
    request_reply_json(request, 200, &body);
}

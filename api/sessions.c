/* sessions.c - the session that a token or a Basic sign-in stands for. */
#include "accounts.h"
#include "clock.h"
#include "put.h"
#include "routes.h"

void handle_sessions_get(struct request *request)
{
    struct buf body;
    buf_init(&body, 4 * 1024 * 1024);
    put_open(&body, '{');
    put_member_text(&body, "signIn", session_is_basic(request->session) ? "basic" : "token");
    put_key(&body, "expiresAt");
    put_time(&body, session_expires_s(request->session));
    put_key(&body, "accounts");
    accounts_put(&body, request);
    put_close(&body, '}');
    request_set_header(request, "Cache-Control", "no-store");
    request_reply_json(request, 200, &body);
}

void handle_sessions_delete(struct request *request)
{
    session_end(request->session);
    request_reply_empty(request, 204);
}

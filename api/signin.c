/* signin.c - credentials in a body: a new session, one more mailbox, or only a try.
 *
 * The login is tried on the mail server before the answer. What was parsed is wiped as soon as the
 * session layer has its copy: jansson's blocks (body.c), our secret, and the body itself. */
#include "accounts.h"
#include "body.h"
#include "put.h"
#include "routes.h"

#include <string.h>

static const struct member signin_members[] = {
    {"protocol", MEMBER_TEXT, true, 1, 16},
    {"host", MEMBER_TEXT, true, 1, 255},
    {"port", MEMBER_INT, false, 1, 65535},
    {"security", MEMBER_TEXT, false, 1, 16},
    {"username", MEMBER_TEXT, true, 1, BACKEND_USERNAME_BYTES_MAX},
    {"password", MEMBER_TEXT, false, 1, BACKEND_PASSWORD_BYTES_MAX},
    {"accessToken", MEMBER_TEXT, false, 1, BACKEND_TOKEN_BYTES_MAX},
    {NULL, MEMBER_TEXT, false, 0, 0},
};

struct signin {
    char token[SESSION_TOKEN_BYTES];
    struct seat *seat; /* the one that is tried */
};

static enum err protocol_parse(const char *text, struct fault *fault, enum backend_protocol *out)
{
    for (*out = 0; *out < PROTOCOL_COUNT; (*out)++)
        if (strcmp(backend_protocol_name(*out), text) == 0)
            return OK;
    return fault_at(fault, ERR_INVALID, "/protocol", "protocol is imap or pop3");
}

static enum err security_parse(const char *text, struct fault *fault, enum backend_security *out)
{
    *out = SECURITY_TLS;
    if (!text)
        return OK;
    for (*out = 0; *out < SECURITY_COUNT; (*out)++)
        if (strcmp(backend_security_name(*out), text) == 0)
            return OK;
    return fault_at(fault, ERR_INVALID, "/security", "security is tls, starttls or none");
}

static enum err credentials_read(const json_t *body, struct fault *fault, struct credentials *out)
{
    const char *password = body_text(body, "password"), *token = body_text(body, "accessToken");
    enum err err = protocol_parse(body_text(body, "protocol"), fault, &out->protocol);
    if (!err)
        err = security_parse(body_text(body, "security"), fault, &out->security);
    if (!err && !password && !token)
        err = fault_at(fault, ERR_INVALID, "/password", "password or accessToken is missing");
    if (!err && password && token)
        err = fault_at(fault, ERR_INVALID, "/accessToken", "one of password and accessToken");
    if (err)
        return err;
    out->host = body_text(body, "host");
    out->username = body_text(body, "username");
    out->port = (uint16_t)body_int(body, "port", backend_usual_port(out->protocol, out->security));
    if (password)
        secret_set(&out->password, password, strlen(password));
    else
        secret_set(&out->access_token, token, strlen(token));
    return OK;
}

/* Opens what the body asks for, unproven: a session, a seat in one, a session without a token. */
typedef enum err signin_open(struct request *request, const struct credentials *credentials,
                             struct signin *signin);

static enum err body_open(struct request *request, signin_open *open, struct signin *signin)
{
    struct fault *fault = &request_call(request)->fault;
    struct credentials credentials = {.remote_address = exchange_remote(request->exchange)};
    json_t *body = NULL;
    size_t length;
    const char *data = exchange_body(request->exchange, &length);
    enum err err = body_parse(exchange_header(request->exchange, "Content-Type"), data, length,
                              signin_members, fault, &body);
    if (length)
        explicit_bzero((char *)(uintptr_t)data, length); /* nobody reads it again */
    if (!err)
        err = credentials_read(body, fault, &credentials);
    if (!err)
        err = open(request, &credentials, signin);
    secret_wipe(&credentials.password);
    secret_wipe(&credentials.access_token);
    json_decref(body);
    return err;
}

static void point_at_host(struct fault *fault)
{
    if (fault->code == ERR_HOST_NOT_ALLOWED || fault->code == ERR_UNREACHABLE)
        fault_point(fault, "/host");
}

static void signin_try(struct request *request, signin_open *open, request_step *tried)
{
    struct signin *signin = arena_new(&request->arena, struct signin);
    request->state = signin;
    if (body_open(request, open, signin)) {
        point_at_host(&request_call(request)->fault);
        request_fail(request);
        return;
    }
    request->seat = signin->seat;
    memccpy(request->account_id, seat_account_id(signin->seat), '\0', ACCOUNT_ID_BYTES - 1);
    request->takes_fault = true;
    request_need(request, NEED_CONNECTION, 0, tried);
}

static enum err first_seat(struct request *request, struct signin *signin)
{
    return session_seat(request->session, "me", &request_call(request)->fault, &signin->seat);
}

static enum err open_session(struct request *request, const struct credentials *credentials,
                             struct signin *signin)
{
    enum err err = session_open(request->api->config.sessions, credentials,
                                &request_call(request)->fault, signin->token, &request->session);
    return err ? err : first_seat(request, signin);
}

static enum err open_trial(struct request *request, const struct credentials *credentials,
                           struct signin *signin)
{
    enum err err = session_open(request->api->config.sessions, credentials,
                                &request_call(request)->fault, NULL, &request->session);
    return err ? err : first_seat(request, signin);
}

static enum err open_seat(struct request *request, const struct credentials *credentials,
                          struct signin *signin)
{
    return session_add_seat(request->session, credentials, &request_call(request)->fault,
                            &signin->seat);
}

static bool trial_failed(struct request *request)
{
    struct fault *fault = &request_call(request)->fault;
    if (exchange_left(request->exchange)) /* a token nobody got is a session nobody ends */
        fault_set(fault, ERR_CANCELLED, "the client has gone");
    point_at_host(fault);
    return fault->code != OK;
}

static void created_answer(struct request *request)
{
    struct signin *signin = request->state;
    struct buf body;
    if (trial_failed(request)) {
        session_end(request->session);
        request_fail(request);
        return;
    }
    buf_init(&body, 1024 * 1024);
    put_open(&body, '{');
    put_member_text(&body, "token", signin->token);
    put_key(&body, "expiresAt");
    put_time(&body, session_expires_s(request->session));
    put_key(&body, "account");
    account_put(&body, request, signin->seat);
    put_close(&body, '}');
    explicit_bzero(signin->token, sizeof signin->token);
    request_set_header(request, "Location", "/v1/sessions/current");
    request_set_header(request, "Cache-Control", "no-store");
    request_reply_json(request, 201, &body);
}

static void added_answer(struct request *request)
{
    struct signin *signin = request->state;
    struct buf body;
    if (trial_failed(request)) {
        session_remove_seat(request->session, signin->seat);
        request_fail(request);
        return;
    }
    buf_init(&body, 1024 * 1024);
    account_put(&body, request, signin->seat);
    request_set_header(request, "Location",
                       arena_printf(&request->arena, "/v1/accounts/%s", request->account_id));
    request_set_header(request, "Cache-Control", "no-store");
    request_reply_json(request, 201, &body);
}

static void verified_answer(struct request *request)
{
    struct signin *signin = request->state;
    struct account_facts facts = {.id = NULL};
    struct buf body;
    buf_init(&body, 1024 * 1024);
    if (!trial_failed(request)) {
        seat_facts(signin->seat, &request->arena, &facts);
        put_open(&body, '{');
        put_key(&body, "account");
        account_put(&body, request, signin->seat);
        capabilities_put(&body, &facts);
        put_close(&body, '}');
    }
    session_end(request->session);
    if (!body.length) {
        request_fail(request);
        return;
    }
    request_set_header(request, "Cache-Control", "no-store");
    request_reply_json(request, 200, &body);
}

void handle_sessions_create(struct request *request)
{
    signin_try(request, open_session, created_answer);
}

void handle_accounts_verify(struct request *request)
{
    signin_try(request, open_trial, verified_answer);
}

void handle_sessions_accounts_add(struct request *request)
{
    if (session_is_basic(request->session)) {
        fault_set(&request_call(request)->fault, ERR_FORBIDDEN,
                  "an HTTP Basic sign-in has one account; open a session for several");
        request_fail(request);
        return;
    }
    signin_try(request, open_seat, added_answer);
}

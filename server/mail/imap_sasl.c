/* imap_sasl.c - signing in: LOGIN, AUTHENTICATE PLAIN, OAUTHBEARER (RFC 7628), XOAUTH2.
 *
 * Credentials live in the wire's out buffer and in buffers wiped here, never in an arena. What the
 * server answers is shown to the user only when it does not echo them.
 */
#include "imap.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES (64u * 1024u)

static bool echoes(const char *text, size_t length, const struct secret *secret)
{
    return secret && secret->length > 0 &&
           memmem(text, length, secret->data, secret->length) != NULL;
}

/* Keeps what the server said, unless it repeats the password or token. */
static void keep_reply(struct fault *fault, const struct backend_target *target, const char *text,
                       size_t length)
{
    if (!echoes(text, length, target->password) && !echoes(text, length, target->access_token))
        fault_reply(fault, "imap", text, (uint32_t)length);
}

static enum err refuse(struct imapc *imap, const struct backend_target *target)
{
    struct fault *fault = &imap->call->fault;
    const char *text = imap->refusal ? imap->refusal : "";
    struct imapc_span all = {text, strlen(text)}, human = imapc_code_skip(all);
    int retry_after_s = 0;
    enum err err = imapc_code_error(all, ERR_LOGIN, &retry_after_s);
    keep_reply(fault, target, human.text, human.length);
    imap->wire.dead = true;
    err = fault_set(fault, err, "%s",
                    err == ERR_LOGIN ? "the mail server did not accept the credentials"
                                     : "the mail server does not let anyone sign in now");
    fault->retry_after_s = retry_after_s;
    return err;
}

/* LOGIN user pass */
static enum err sign_in_plainly(struct imapc *imap, const struct backend_target *target)
{
    imapc_command_tolerant(imap, "LOGIN");
    enum err err = imapc_astring(imap, target->username, strlen(target->username));
    if (!err)
        err = imapc_astring(imap, target->password->data, target->password->length);
    if (err == ERR_REFUSED)
        return OK; /* the caller sees how it went */
    if (err)
        return err;
    imapc_command_end(imap);
    return imapc_run(imap);
}

/* The server's error document (RFC 7628 3.2.3) says more than its NO. */
static void keep_challenge(struct imapc *imap, const struct backend_target *target)
{
    char decoded[1024];
    struct imapc_span text = {imap->challenge, strlen(imap->challenge)};
    while (text.length > 0 && *text.text == ' ') {
        text.text++;
        text.length--;
    }
    if (text.length == 0 || text.length > 1024)
        return;
    long length = text_base64_decode(text.text, text.length, decoded, sizeof decoded);
    if (length > 0)
        keep_reply(&imap->call->fault, target, decoded, (size_t)length);
}

struct mechanism {
    const char *command;     /* "AUTHENTICATE PLAIN" */
    const char *after_error; /* what answers the server's error document */
};

static enum err authenticate(struct imapc *imap, const struct backend_target *target,
                             const struct mechanism *mechanism, const struct buf *message)
{
    bool challenged = false, at_once = (imap->extra & EXTRA_SASL_IR) != 0;
    char *encoded = text_base64(message->data, message->length);
    imapc_command_tolerant(imap, mechanism->command);
    if (at_once)
        imapc_word(imap, encoded);
    imapc_command_end(imap);
    enum err err = imapc_run_to_challenge(imap, &challenged);
    if (!err && challenged && !at_once) {
        imapc_reply(imap, encoded);
        err = imapc_run_to_challenge(imap, &challenged);
    }
    explicit_bzero(encoded, strlen(encoded));
    free(encoded);
    if (err || !challenged)
        return err;
    keep_challenge(imap, target); /* a continuation now is an error document */
    imapc_reply(imap, mechanism->after_error);
    return imapc_run(imap);
}

static enum err sign_in_by_sasl_plain(struct imapc *imap, const struct backend_target *target)
{
    static const struct mechanism plain = {"AUTHENTICATE PLAIN", "*"};
    struct buf message;
    buf_init_secret(&message, SECRET_BYTES);
    buf_char(&message, '\0');
    buf_append(&message, target->username, strlen(target->username));
    buf_char(&message, '\0');
    buf_append(&message, target->password->data, target->password->length);
    enum err err = authenticate(imap, target, &plain, &message);
    buf_clear(&message);
    return err;
}

/* A user name in GS2 form: "," and "=" are escaped (RFC 5801). */
static void put_gs2_name(struct buf *out, const char *name)
{
    for (; *name; name++) {
        if (*name == ',')
            buf_text(out, "=2C");
        else if (*name == '=')
            buf_text(out, "=3D");
        else
            buf_char(out, *name);
    }
}

static enum err sign_in_by_token(struct imapc *imap, const struct backend_target *target)
{
    static const struct mechanism bearer = {"AUTHENTICATE OAUTHBEARER", "AQ=="};
    static const struct mechanism xoauth2 = {"AUTHENTICATE XOAUTH2", ""};
    struct buf message;
    bool is_bearer = (imap->extra & EXTRA_OAUTHBEARER) != 0;
    if (!is_bearer && !(imap->extra & EXTRA_XOAUTH2))
        return imapc_die(imap, ERR_UNSUPPORTED,
                         "the mail server offers no sign-in with an access token");
    buf_init_secret(&message, SECRET_BYTES);
    if (is_bearer) {
        buf_text(&message, "n,a=");
        put_gs2_name(&message, target->username);
        buf_printf(&message, ",\001host=%s\001port=%u\001auth=Bearer ", target->host, target->port);
    } else {
        buf_printf(&message, "user=%s\001auth=Bearer ", target->username);
    }
    buf_append(&message, target->access_token->data, target->access_token->length);
    buf_text(&message, "\001\001");
    enum err err = authenticate(imap, target, is_bearer ? &bearer : &xoauth2, &message);
    buf_clear(&message);
    return err;
}

enum err imapc_sasl(struct imapc *imap, const struct backend_target *target, struct call *call)
{
    enum err err = imapc_begin(imap, call, NULL);
    if (err)
        return err;
    if (target->security != SECURITY_NONE && !stream_is_tls(imap->wire.stream))
        return imapc_die(imap, ERR_TLS, "the connection to the mail server is not encrypted");
    imap->caps_known = false; /* signing in may change them */
    if (target->access_token)
        err = sign_in_by_token(imap, target);
    else if (imap->extra & EXTRA_AUTH_PLAIN)
        err = sign_in_by_sasl_plain(imap, target);
    else if (imap->extra & EXTRA_LOGINDISABLED)
        err = imapc_die(imap, ERR_TLS, "the mail server takes no password on this connection");
    else
        err = sign_in_plainly(imap, target);
    if (err)
        return err;
    return imapc_status_of(imap, 0) == STATUS_OK ? OK : refuse(imap, target);
}

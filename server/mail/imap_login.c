/* imap_login.c - from the greeting to the authenticated state.
 *
 * Nothing the server says before TLS is believed after it: capabilities are thrown away and asked
 * for again, and bytes waiting behind its OK to STARTTLS are an attack. PREAUTH is refused always:
 * with STARTTLS it would leave the session in cleartext, and otherwise it is somebody's mailbox
 * but not proven to be this user's.
 */
#include "imap.h"
#include "text.h"

#include <string.h>

struct capability_row {
    const char *name;
    uint32_t caps, extra;
};

static const struct capability_row capability_rows[] = {
    {"IDLE", CAP_IDLE, 0},
    {"SORT", CAP_SORT, 0},
    {"THREAD=REFERENCES", CAP_THREADS, 0},
    {"THREAD=REFS", CAP_THREADS, 0},
    {"MOVE", CAP_MOVE, 0},
    {"CONDSTORE", CAP_CONDSTORE, 0},
    {"QRESYNC", CAP_QRESYNC | CAP_CONDSTORE, 0},
    {"QUOTA", CAP_QUOTA, 0},
    {"SPECIAL-USE", CAP_SPECIAL_USE, 0},
    {"LIST-STATUS", CAP_LIST_STATUS, 0},
    {"LIST-EXTENDED", 0, EXTRA_LIST_EXTENDED},
    {"UIDPLUS", CAP_UIDPLUS, 0},
    {"BINARY", CAP_BINARY, 0},
    {"PREVIEW", CAP_PREVIEW, 0},
    {"OBJECTID", CAP_OBJECTID, 0},
    {"NAMESPACE", CAP_NAMESPACE, 0},
    {"ESEARCH", CAP_ESEARCH, 0},
    {"ID", CAP_ID, 0},
    {"STARTTLS", 0, EXTRA_STARTTLS},
    {"LOGINDISABLED", 0, EXTRA_LOGINDISABLED},
    {"SASL-IR", 0, EXTRA_SASL_IR},
    {"AUTH=PLAIN", 0, EXTRA_AUTH_PLAIN},
    {"AUTH=XOAUTH2", 0, EXTRA_XOAUTH2},
    {"AUTH=OAUTHBEARER", 0, EXTRA_OAUTHBEARER},
    {"LITERAL+", 0, EXTRA_LITERAL_PLUS},
    {"LITERAL-", 0, EXTRA_LITERAL_MINUS},
    {"STATUS=SIZE", 0, EXTRA_STATUS_SIZE},
    {"XLIST", 0, EXTRA_XLIST},
    {"X-GM-EXT-1", 0, EXTRA_GMAIL},
    /* RFC 9051 includes these. */
    {"IMAP4REV2",
     CAP_IDLE | CAP_MOVE | CAP_SPECIAL_USE | CAP_LIST_STATUS | CAP_UIDPLUS | CAP_NAMESPACE |
         CAP_ESEARCH,
     EXTRA_LIST_EXTENDED | EXTRA_SASL_IR | EXTRA_LITERAL_MINUS | EXTRA_STATUS_SIZE},
};

#define CAPABILITY_TEXT_BYTES 4096u
#define PREFIX_BYTES_MAX      1024u

void imapc_read_capabilities(struct imapc *imap, struct imapc_span words)
{
    imap->caps =
        CAP_FOLDERS | CAP_FLAGS | CAP_KEYWORDS | CAP_PARTIAL_FETCH | CAP_SEARCH | CAP_APPEND;
    imap->extra = 0;
    imap->caps_known = true;
    if (words.length > CAPABILITY_TEXT_BYTES)
        words.length = CAPABILITY_TEXT_BYTES;
    arena_clear(&imap->offers);
    imap->capability_text = text_clean(&imap->offers, words.text, words.length, true);
    struct imapc_scan scan = imapc_scan_of(words, 1);
    struct imapc_token token;
    while (imapc_scan_next(&scan, &token))
        for (size_t i = 0; i < sizeof capability_rows / sizeof *capability_rows; i++)
            if (imapc_span_is(token.span, capability_rows[i].name)) {
                imap->caps |= capability_rows[i].caps;
                imap->extra |= capability_rows[i].extra;
            }
}

static enum err take_greeting(struct imapc *imap)
{
    struct imapc_response greeting;
    struct fault *fault = &imap->call->fault;
    enum err err = imapc_wire_read(&imap->wire, fault, &greeting);
    if (err)
        return err;
    if (greeting.kind == RESPONSE_UNTAGGED && imapc_span_is(greeting.word, "OK")) {
        imapc_harvest(imap, &greeting);
        return OK;
    }
    if (greeting.kind == RESPONSE_UNTAGGED && imapc_span_is(greeting.word, "PREAUTH"))
        return imapc_die(imap, ERR_PROTOCOL,
                         "the mail server let the connection in without a sign-in (PREAUTH)");
    if (greeting.kind == RESPONSE_UNTAGGED && imapc_span_is(greeting.word, "BYE")) {
        int retry_after_s = 0;
        struct imapc_span human = imapc_code_skip(greeting.rest);
        fault_reply(fault, "imap", human.text, (uint32_t)human.length);
        err = imapc_die(imap, imapc_code_error(greeting.rest, ERR_REFUSED, &retry_after_s),
                        "the mail server turned the connection away");
        fault->retry_after_s = retry_after_s;
        return err;
    }
    return imapc_die(imap, ERR_PROTOCOL, "the server does not greet like an IMAP server");
}

static enum err ask_capabilities(struct imapc *imap, struct call *call)
{
    enum err err = imap->caps_known ? OK : imapc_simple(imap, call, NULL, "CAPABILITY", NULL);
    if (!err && !imap->caps_known)
        return imapc_die(imap, ERR_PROTOCOL, "the mail server does not say what it offers");
    return err;
}

static enum err start_tls(struct imapc *imap, struct call *call)
{
    enum err err = ask_capabilities(imap, call);
    if (err)
        return err;
    if (!(imap->extra & EXTRA_STARTTLS))
        return imapc_die(imap, ERR_TLS, "the mail server does not offer STARTTLS");
    err = imapc_begin(imap, call, NULL);
    if (err)
        return err;
    imapc_command_tolerant(imap, "STARTTLS");
    imapc_command_end(imap);
    err = imapc_run(imap);
    if (err)
        return err;
    if (imapc_status_of(imap, 0) != STATUS_OK)
        return imapc_die(imap, ERR_TLS, "the mail server refused STARTTLS");
    if (imap->wire.in_start != imap->wire.in_end)
        return imapc_die(imap, ERR_TLS, "the mail server sent data ahead of the TLS handshake");
    err = stream_start_tls(imap->wire.stream, &call->fault);
    if (err) {
        imap->wire.dead = true;
        return err;
    }
    imap->caps = imap->extra = 0; /* said in cleartext: void */
    imap->caps_known = false;
    imapc_forget_selected(imap);
    return OK;
}

/* ---- after sign-in: who the server is, and where our folders live ---- */

struct hello {
    struct imapc_handler handler;
    struct imapc *imap;
};

/* ID ("name" "Dovecot" "version" ...) */
static void read_id(struct imapc *imap, struct imapc_span list)
{
    struct imapc_scan scan = imapc_scan_of(list, 1);
    struct imapc_token key, value;
    if (imap->server_name || !imapc_scan_next(&scan, &key) || key.kind != TOKEN_OPEN)
        return;
    while (imapc_scan_next(&scan, &key) && imapc_scan_next(&scan, &value)) {
        if (!imapc_span_is(key.span, "name") || value.kind != TOKEN_STRING)
            continue;
        size_t length;
        char *name = imapc_token_copy(&imap->reply, &value, &length);
        imap->server_name = text_clean(&imap->arena, name, length < 100 ? length : 100, true);
        return;
    }
}

/* NAMESPACE (("INBOX." ".")) ... : the first personal one. */
static void read_namespace(struct imapc *imap, struct imapc_span lists)
{
    struct imapc_scan scan = imapc_scan_of(lists, 10);
    struct imapc_token token, prefix, delimiter;
    if (imap->personal.prefix)
        return;
    for (int i = 0; i < 2; i++)
        if (!imapc_scan_next(&scan, &token) || token.kind != TOKEN_OPEN)
            return;
    if (!imapc_scan_next(&scan, &prefix) || !imapc_scan_next(&scan, &delimiter))
        return;
    size_t length;
    if (prefix.span.length > PREFIX_BYTES_MAX)
        return;
    imap->personal.prefix = imapc_token_copy(&imap->arena, &prefix, &length);
    const char *mark = imapc_token_copy(&imap->reply, &delimiter, &length);
    imap->personal.delimiter = mark ? *mark : '\0';
}

static enum err take_hello(struct imapc_handler *handler, const struct imapc_response *response,
                           bool *mine)
{
    struct hello *hello = (struct hello *)handler;
    *mine = true;
    if (imapc_span_is(response->word, "ID"))
        read_id(hello->imap, response->rest);
    else if (imapc_span_is(response->word, "NAMESPACE"))
        read_namespace(hello->imap, response->rest);
    else
        *mine = false;
    return OK;
}

static enum err say_hello(struct imapc *imap, struct call *call)
{
    struct hello hello = {.handler = {.untagged = take_hello}, .imap = imap};
    enum err err = imapc_begin(imap, call, &hello.handler);
    if (err)
        return err;
    if (!imap->caps_known) {
        imapc_command(imap, "CAPABILITY");
        imapc_command_end(imap);
        err = imapc_run(imap);
        if (!err)
            err = imapc_begin(imap, call, &hello.handler);
        if (err)
            return err;
    }
    if (imap->caps & CAP_ID) {
        imapc_command_tolerant(imap, "ID");
        imapc_word(imap, "(\"name\" \"postern\" \"version\" \"" POSTERN_VERSION "\")");
        imapc_command_end(imap);
    }
    if (imap->caps & CAP_NAMESPACE) {
        imapc_command_tolerant(imap, "NAMESPACE");
        imapc_command_end(imap);
    }
    return imap->sent_count ? imapc_run(imap) : OK;
}

/* What one message record is made of, on this server. */
static void choose_record_items(struct imapc *imap)
{
    const char *id = imap->extra & EXTRA_GMAIL   ? " X-GM-MSGID"
                     : imap->caps & CAP_OBJECTID ? " EMAILID"
                                                 : "";
    imap->record_items =
        arena_printf(&imap->arena,
                     "(UID FLAGS INTERNALDATE RFC822.SIZE%s ENVELOPE BODYSTRUCTURE "
                     "BODY.PEEK[HEADER.FIELDS (REFERENCES)])",
                     id);
}

enum err imapc_login(struct imapc *imap, const struct backend_target *target, struct call *call)
{
    enum err err = imapc_begin(imap, call, NULL);
    if (!err)
        err = take_greeting(imap);
    if (!err && target->security == SECURITY_STARTTLS)
        err = start_tls(imap, call);
    if (!err)
        err = ask_capabilities(imap, call);
    if (!err)
        err = imapc_sasl(imap, target, call);
    if (!err)
        err = say_hello(imap, call);
    if (!err)
        choose_record_items(imap);
    return err;
}

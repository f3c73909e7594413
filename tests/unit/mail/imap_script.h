/* imap_script.h - a mail server that reads its part from a script, on a loopback thread.
 *
 * One line a step:
 *   S: text    send text and CRLF. '|' is CRLF; '$' the tag of the client's last command, '$1' of
 *              the one before it, and so on; before a capital it is itself; '^@' is NUL
 *   C: text    the client's next line must be "<tag> text"; a '*' at the end matches anything
 *   c: text    the same for a line without a tag (SASL, literals)
 *   N: n text  send text n times, '#' being 1 to n
 *   R: n text  the same without CRLF: one line
 *   T: ms text send text byte by byte, ms milliseconds apart, and CRLF
 *   W: ms      wait
 *   X:         close the connection
 * After the last step everything the client sends is read away until it leaves. A step that does
 * not match is kept in `wrong`, and the connection is closed.
 */
#ifndef POSTERN_IMAP_SCRIPT_H
#define POSTERN_IMAP_SCRIPT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend.h"
#include "clock.h"
#include "reach.h"
#include "stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRIPT_TAGS 64

struct script {
    char *text;
    int listener, peer;
    uint16_t port;
    pthread_t thread;
    char tags[SCRIPT_TAGS][16];
    int tag_count;
    char in[65536];
    size_t in_length;
    char wrong[600];
};

static void script_send(struct script *script, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(script->peer, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        length -= (size_t)sent;
    }
}

/* The bytes that `text` stands for, without the last CRLF; to be freed. */
static char *script_expand(struct script *script, const char *text, int number, size_t *length)
{
    char *out = malloc(strlen(text) * 16 + 16), *put = out;
    for (; *text; text++) {
        if (*text == '|') {
            *put++ = '\r';
            *put++ = '\n';
        } else if (*text == '#' && number) {
            put += snprintf(put, 12, "%d", number);
        } else if (*text == '$' && !(text[1] >= 'A' && text[1] <= 'Z')) {
            int back = text[1] >= '1' && text[1] <= '9' ? *++text - '0' : 0;
            const char *tag =
                script->tag_count > back ? script->tags[script->tag_count - 1 - back] : "?";
            put = stpcpy(put, tag);
        } else if (*text == '^' && text[1] == '@') {
            *put++ = '\0';
            text++;
        } else {
            *put++ = *text;
        }
    }
    *length = (size_t)(put - out);
    return out;
}

static void script_say(struct script *script, const char *text, int number, const char *end)
{
    size_t length;
    char *out = script_expand(script, text, number, &length);
    memcpy(out + length, end, strlen(end));
    script_send(script, out, length + strlen(end));
    free(out);
}

static void script_drip(struct script *script, const char *text, useconds_t pause_us)
{
    size_t length;
    char *out = script_expand(script, text, 0, &length);
    memcpy(out + length, "\r\n", 2);
    for (size_t i = 0; i < length + 2 && send(script->peer, out + i, 1, MSG_NOSIGNAL) == 1; i++)
        usleep(pause_us);
    free(out);
}

/* The client's next line without CRLF; false when it left. */
static bool script_hear(struct script *script, char *line, size_t size)
{
    for (;;) {
        char *end = memmem(script->in, script->in_length, "\r\n", 2);
        if (end) {
            size_t length = (size_t)(end - script->in);
            snprintf(line, size, "%.*s", (int)length, script->in);
            script->in_length -= length + 2;
            memmove(script->in, end + 2, script->in_length);
            return true;
        }
        ssize_t got = recv(script->peer, script->in + script->in_length,
                           sizeof script->in - script->in_length, 0);
        if (got <= 0)
            return false;
        script->in_length += (size_t)got;
    }
}

static bool script_matches(const char *want, const char *got)
{
    size_t length = strlen(want);
    if (length > 0 && want[length - 1] == '*')
        return strncmp(want, got, length - 1) == 0;
    return strcmp(want, got) == 0;
}

static bool script_expect(struct script *script, const char *want, bool tagged)
{
    char line[65536];
    if (!script_hear(script, line, sizeof line)) {
        snprintf(script->wrong, sizeof script->wrong, "client left before: %.200s", want);
        return false;
    }
    char *command = line;
    if (tagged) {
        command = strchr(line, ' ');
        command = command ? command + 1 : line;
        if (script->tag_count < SCRIPT_TAGS)
            snprintf(script->tags[script->tag_count++], 16, "%.*s",
                     (int)(command > line ? command - line - 1 : 0), line);
    }
    if (script_matches(want, command))
        return true;
    snprintf(script->wrong, sizeof script->wrong, "wanted: %.250s\ngot: %.250s", want, command);
    return false;
}

static bool script_step(struct script *script, char kind, char *text)
{
    switch (kind) {
    case 'S': script_say(script, text, 0, "\r\n"); return true;
    case 'C': return script_expect(script, text, true);
    case 'c': return script_expect(script, text, false);
    case 'N':
    case 'R': {
        char *rest;
        long count = strtol(text, &rest, 10);
        for (int i = 1; i <= count; i++)
            script_say(script, rest + 1, i, kind == 'N' ? "\r\n" : "");
        return true;
    }
    case 'T': {
        char *rest;
        long pause_ms = strtol(text, &rest, 10);
        script_drip(script, rest + 1, (useconds_t)pause_ms * 1000);
        return true;
    }
    case 'W': usleep((useconds_t)strtol(text, NULL, 10) * 1000); return true;
    default: return false; /* X */
    }
}

static void *script_run(void *argument)
{
    struct script *script = argument;
    char *save = NULL;
    char byte[4096];
    bool open = true;
    script->peer = accept(script->listener, NULL, NULL);
    if (script->peer < 0)
        return NULL;
    for (char *line = strtok_r(script->text, "\n", &save); line && open;
         line = strtok_r(NULL, "\n", &save))
        if (line[0] && line[1] == ':')
            open = script_step(script, line[0], line[2] == ' ' ? line + 3 : line + 2);
    while (open && recv(script->peer, byte, sizeof byte, 0) > 0)
        continue;
    close(script->peer);
    return NULL;
}

static void script_start(struct script *script, const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    memset(script, 0, sizeof *script);
    script->text = strdup(text);
    script->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(bind(script->listener, (struct sockaddr *)&address, length), 0);
    assert_return_code(listen(script->listener, 1), 0);
    assert_return_code(getsockname(script->listener, (struct sockaddr *)&address, &length), 0);
    script->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&script->thread, NULL, script_run, script), 0);
}

static void script_stop(struct script *script)
{
    shutdown(script->listener, SHUT_RDWR);
    pthread_join(script->thread, NULL);
    close(script->listener);
    free(script->text);
    if (script->wrong[0])
        fail_msg("%s", script->wrong);
}

/* ---- the client's side ---- */

struct desk {
    struct script script;
    struct backend_world world;
    struct reach *reach;
    struct arena arena;
    struct call call;
    struct backend *backend;
};

static struct tls_trust *desk_trust; /* one for all tests of a program */

static struct call desk_call(struct desk *desk)
{
    return (struct call){.arena = &desk->arena, .deadline_ms = clock_now_ms() + 5000};
}

static void desk_prepare(struct desk *desk, const char *text)
{
    struct fault fault = {0};
    memset(desk, 0, sizeof *desk);
    backend_init();
    arena_init(&desk->arena);
    assert_int_equal(reach_new("*", &fault, &desk->reach), OK);
    if (!desk_trust) /* the system's store takes its time */
        assert_int_equal(tls_trust_new(NULL, &fault, &desk_trust), OK);
    desk->world = (struct backend_world){
        .reach = desk->reach,
        .trust = desk_trust,
        BACKEND_WORLD_LIMITS,
    };
    desk->world.untagged_max = desk->world.folders_max = 1000; /* soon reached */
    desk->world.command_bytes_max = 64u << 20;
    script_start(&desk->script, text);
}

struct desk_login {
    enum backend_security security;
    const char *username, *password, *token;
};

static enum err desk_sign_in(struct desk *desk, struct desk_login login)
{
    struct secret secret = {0};
    const char *word = login.password ? login.password : login.token;
    secret_set(&secret, word, strlen(word));
    struct backend_target target = {
        .world = &desk->world,
        .protocol = PROTOCOL_IMAP,
        .security = login.security,
        .host = "127.0.0.1",
        .port = desk->script.port,
        .username = login.username,
        .password = login.password ? &secret : NULL,
        .access_token = login.token ? &secret : NULL,
    };
    desk->call = desk_call(desk);
    enum err err = backend_open(&backend_imap, &target, &desk->call, NULL, &desk->backend);
    secret_wipe(&secret);
    return err;
}

/* The server says `greeting` steps until signed in, then `text`. */
#define SCRIPT_SIGNED_IN(capabilities)                                                             \
    "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\n"                                    \
    "C: AUTHENTICATE PLAIN AHVzZXIAcGFzcw==\n"                                                     \
    "S: $ OK [CAPABILITY IMAP4rev1" capabilities "] in\n"

static void desk_open(struct desk *desk, const char *text)
{
    desk_prepare(desk, text);
    enum err err = desk_sign_in(desk, (struct desk_login){SECURITY_NONE, "user", "pass", NULL});
    if (err) {
        script_stop(&desk->script);
        fail_msg("sign-in: %s: %s", err_name(err), desk->call.fault.detail);
    }
    desk->call = desk_call(desk);
}

static void desk_close(struct desk *desk)
{
    backend_close(&desk->backend);
    script_stop(&desk->script);
    arena_clear(&desk->arena);
    reach_free(&desk->reach);
}

/* ---- what sinks were told, as one readable line an event ---- */

struct told {
    struct change_sink sink;
    struct folder_sink folders;
    struct preview_sink previews;
    struct sink bytes;
    struct buf log;
    struct buf content;
    enum err refuse; /* returned by message */
};

static struct told *told_of(void *sink, size_t offset)
{
    return (struct told *)(void *)((char *)sink - offset);
}

static enum err told_folder(struct change_sink *sink, const struct folder_facts *facts, bool reset)
{
    struct told *told = told_of(sink, offsetof(struct told, sink));
    buf_printf(&told->log, "folder exists=%u%s%s\n", facts->exists, reset ? " reset" : "",
               facts->read_only ? " read-only" : "");
    return OK;
}

static void told_address(struct buf *log, const char *what, const struct address_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        buf_printf(log, " %s=%s<%s>%s%s", what, list->items[i].name ? list->items[i].name : "",
                   list->items[i].email ? list->items[i].email : "",
                   list->items[i].group ? " in " : "",
                   list->items[i].group ? list->items[i].group : "");
}

static enum err told_message(struct change_sink *sink, const struct message *message)
{
    struct told *told = told_of(sink, offsetof(struct told, sink));
    const struct envelope *envelope = &message->envelope;
    buf_printf(&told->log, "message %u flags=%x size=%llu subject=%s", message->uid, message->flags,
               (unsigned long long)message->size, envelope->subject ? envelope->subject : "-");
    told_address(&told->log, "from", &envelope->from);
    told_address(&told->log, "to", &envelope->to);
    if (envelope->message_id)
        buf_printf(&told->log, " id=%s", envelope->message_id);
    for (uint32_t i = 0; i < envelope->references.count; i++)
        buf_printf(&told->log, " ref=%s", envelope->references.items[i]);
    for (uint32_t i = 0; i < message->keywords.count; i++)
        buf_printf(&told->log, " keyword=%s", message->keywords.items[i]);
    if (message->remote_id)
        buf_printf(&told->log, " remote=%s", message->remote_id);
    if (message->limited)
        buf_printf(&told->log, " limited=%x", message->limited);
    for (uint32_t i = 0; i < message->part_count; i++)
        buf_printf(&told->log, " [%s]%s%s%s", message->parts[i].id, message->parts[i].type,
                   message->parts[i].name ? ":" : "",
                   message->parts[i].name ? message->parts[i].name : "");
    buf_char(&told->log, '\n');
    return told->refuse;
}

static enum err told_flags(struct change_sink *sink, uint32_t uid, uint32_t flags,
                           const struct string_list *keywords, uint64_t modseq)
{
    struct told *told = told_of(sink, offsetof(struct told, sink));
    (void)modseq;
    buf_printf(&told->log, "flags %u=%x", uid, flags);
    for (uint32_t i = 0; i < keywords->count; i++)
        buf_printf(&told->log, " %s", keywords->items[i]);
    buf_char(&told->log, '\n');
    return OK;
}

static enum err told_ranges(struct change_sink *sink, const char *what, uint32_t from,
                            const struct uid_range *ranges, uint32_t count)
{
    struct told *told = told_of(sink, offsetof(struct told, sink));
    buf_printf(&told->log, "%s from %u:", what, from);
    for (uint32_t i = 0; i < count; i++)
        buf_printf(&told->log, " %u-%u", ranges[i].first, ranges[i].last);
    buf_char(&told->log, '\n');
    return OK;
}

static enum err told_present(struct change_sink *sink, uint32_t from,
                             const struct uid_range *ranges, uint32_t count)
{
    return told_ranges(sink, "present", from, ranges, count);
}

static enum err told_removed(struct change_sink *sink, const struct uid_range *ranges,
                             uint32_t count)
{
    return told_ranges(sink, "removed", 0, ranges, count);
}

static enum err told_listing(struct folder_sink *sink, const struct folder_listing *folder)
{
    struct told *told = told_of(sink, offsetof(struct told, folders));
    buf_printf(&told->log, "%s", folder->path);
    if (folder->role)
        buf_printf(&told->log, " %s%s", folder_role_name(folder->role),
                   folder->role_source == ROLE_FROM_NAME ? "?" : "");
    buf_printf(&told->log, "%s%s", folder->subscribed ? " subscribed" : "",
               folder->selectable ? "" : " noselect");
    if (folder->has_status)
        buf_printf(&told->log, " %u/%u", folder->unseen, folder->messages);
    buf_char(&told->log, '\n');
    return OK;
}

static enum err told_preview(struct preview_sink *sink, uint32_t uid, const char *text)
{
    struct told *told = told_of(sink, offsetof(struct told, previews));
    buf_printf(&told->log, "preview %u: %s\n", uid, text);
    return OK;
}

static enum err told_bytes(struct sink *sink, const void *data, size_t length)
{
    struct told *told = told_of(sink, offsetof(struct told, bytes));
    buf_append(&told->content, data, length);
    return told->refuse;
}

static void told_init(struct told *told)
{
    memset(told, 0, sizeof *told);
    told->sink = (struct change_sink){.folder = told_folder,
                                      .message = told_message,
                                      .flags = told_flags,
                                      .present = told_present,
                                      .removed = told_removed};
    told->folders.folder = told_listing;
    told->previews.preview = told_preview;
    told->bytes.write = told_bytes;
    buf_init(&told->log, 1 << 20);
    buf_init(&told->content, 1 << 26);
}

static void told_clear(struct told *told)
{
    buf_clear(&told->log);
    buf_clear(&told->content);
}

/* What was told since the last look. */
static void assert_told(struct told *told, const char *expected)
{
    assert_string_equal(told->log.data ? told->log.data : "", expected);
    buf_reset(&told->log);
    if (told->log.data)
        told->log.data[0] = '\0';
}

/* Keeps the compiler quiet about the helpers a program does not use. */
static inline void script_unused(void)
{
    (void)desk_open;
    (void)desk_close;
    (void)told_init;
    (void)told_clear;
    (void)assert_told;
}

#endif

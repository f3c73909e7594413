/* What a mail server may say, from the wire up to the sinks: a whole session whose other side is
 * the fuzzer's.
 *
 * The first byte chooses what is asked for. After a small letter a sign-in that goes well stands in
 * front of the fuzzer's bytes (its commands were a1; the next is a2); after a capital the bytes
 * begin with the greeting. All of them are there at once, then the connection ends, so nothing ever
 * waits. What reaches a sink is held to the promises of backend.h and mailbox.h.
 */
#include "backend.h"
#include "clock.h"
#include "decode.h"
#include "stream.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_BYTES_MAX (64u * 1024u)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            __builtin_trap();                                                                      \
    } while (0)

static const char welcome[] =
    "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\r\n"
    "a1 OK [CAPABILITY IMAP4rev1 ESEARCH CONDSTORE QUOTA BINARY OBJECTID LITERAL+] in\r\n";
static const char welcome_extended[] =
    "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\r\n"
    "a1 OK [CAPABILITY IMAP4rev1 LIST-EXTENDED LIST-STATUS SPECIAL-USE STATUS=SIZE] in\r\n";

/* Small enough that an input can pass each of them. */
static const struct backend_world world = {
    .line_bytes_max = 4096,
    .literal_bytes_max = 16384,
    .nesting_max = 100,
    .untagged_max = 60,
    .folders_max = 30,
    .command_bytes_max = 48 * 1024,
    .answer_bytes_max = 32 * 1024,
    .command_ms_max = 5000,
    .parts_max = 100,
    .message_cpu_ms_max = 250,
    .message_bytes_max = 64ull << 20,
};

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libetpan\n"; /* what a refused structure costs it; counted in the notes */
}

/* ---- sinks that hold what they are told to its promises ---- */

static void check_text(const char *text)
{
    if (!text)
        return;
    CHECK(text_is_utf8(text, strlen(text)));
    for (; *text; text++)
        CHECK((unsigned char)*text >= 0x20 || *text == '\t' || *text == '\n');
}

static void check_texts(const struct string_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        CHECK(list->items[i]);
        check_text(list->items[i]);
    }
}

static void check_addresses(const struct address_list *list)
{
    CHECK(list->count <= BACKEND_ADDRESSES_MAX);
    for (uint32_t i = 0; i < list->count; i++) {
        check_text(list->items[i].name);
        check_text(list->items[i].email);
        check_text(list->items[i].group);
    }
}

static void check_ranges(const struct uid_range *ranges, uint32_t count)
{
    CHECK(count <= BACKEND_RANGES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(ranges[i].first <= ranges[i].last);
        CHECK(i == 0 || ranges[i - 1].last < ranges[i].first);
    }
}

static enum err see_folder(struct change_sink *sink, const struct folder_facts *facts, bool reset)
{
    (void)sink;
    (void)facts;
    (void)reset;
    return OK;
}

static enum err see_message(struct change_sink *sink, const struct message *message)
{
    const struct envelope *envelope = &message->envelope;
    const struct address_list *lists[] = {&envelope->from, &envelope->sender, &envelope->reply_to,
                                          &envelope->to,   &envelope->cc,     &envelope->bcc};
    (void)sink;
    CHECK(message->uid != 0 && (message->flags & ~(uint32_t)FLAG_ALL) == 0);
    CHECK(message->part_count <= world.parts_max);
    check_texts(&message->keywords);
    check_text(message->remote_id);
    check_text(envelope->subject);
    check_text(envelope->message_id);
    check_texts(&envelope->in_reply_to);
    check_texts(&envelope->references);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        check_addresses(lists[i]);
    for (uint32_t i = 0; i < message->part_count; i++) {
        const struct part *part = &message->parts[i];
        CHECK(part->id && part->type && part->encoding);
        CHECK(part->parent < (int32_t)i && part->parent >= (i ? 0 : -1));
        check_text(part->id);
        check_text(part->type);
        check_text(part->charset);
        check_text(part->name);
        check_text(part->disposition);
        check_text(part->content_id);
        check_text(part->encoding);
    }
    return OK;
}

static enum err see_flags(struct change_sink *sink, uint32_t uid, uint32_t flags,
                          const struct string_list *keywords, uint64_t modseq)
{
    (void)sink;
    (void)modseq;
    CHECK(uid != 0 && (flags & ~(uint32_t)FLAG_ALL) == 0);
    check_texts(keywords);
    return OK;
}

static enum err see_present(struct change_sink *sink, uint32_t from, const struct uid_range *ranges,
                            uint32_t count)
{
    (void)sink;
    check_ranges(ranges, count);
    CHECK(count == 0 || ranges[0].first >= from);
    return OK;
}

static enum err see_removed(struct change_sink *sink, const struct uid_range *ranges,
                            uint32_t count)
{
    (void)sink;
    check_ranges(ranges, count);
    return OK;
}

static enum err see_listing(struct folder_sink *sink, const struct folder_listing *folder)
{
    (void)sink;
    CHECK(folder->remote && *folder->remote && !strpbrk(folder->remote, "\r\n"));
    CHECK(folder->path && *folder->path);
    check_text(folder->path);
    return OK;
}

static enum err see_preview(struct preview_sink *sink, uint32_t uid, const char *text)
{
    (void)sink;
    (void)uid;
    CHECK(text);
    check_text(text);
    return OK;
}

static enum err see_bytes(struct sink *sink, const void *data, size_t length)
{
    volatile unsigned char last = length ? ((const unsigned char *)data)[length - 1] : 0;
    (void)sink;
    (void)last;
    return OK;
}

static enum err see_header(struct header_sink *sink, const char *name, const char *value)
{
    (void)sink;
    CHECK(name && value);
    check_text(name);
    check_text(value);
    return OK;
}

/* ---- what is asked for ---- */

static struct change_sink changes = {.folder = see_folder,
                                     .message = see_message,
                                     .flags = see_flags,
                                     .present = see_present,
                                     .removed = see_removed};

typedef enum err asks(struct backend *, struct call *);

static enum err ask_folders(struct backend *backend, struct call *call)
{
    struct folder_sink sink = {.folder = see_listing};
    return backend_list_folders(backend, call, true, &sink);
}

static struct folder_known inbox(uint32_t validity)
{
    return (struct folder_known){
        .remote = "INBOX", .generation = 3, .validity = validity, .uid_next = 10, .floor = 2};
}

static enum err ask_first_page(struct backend *backend, struct call *call)
{
    struct folder_known known = inbox(0);
    return backend_sync(backend, call, &known, 50, &changes);
}

static enum err ask_changes(struct backend *backend, struct call *call)
{
    static const uint32_t doubtful[] = {3, 5};
    struct folder_known known = inbox(7);
    enum err err = backend_sync(backend, call, &known, 50, &changes);
    known.doubtful = doubtful;
    known.doubtful_count = 2;
    return err ? err : backend_sync(backend, call, &known, 50, &changes);
}

static enum err ask_older(struct backend *backend, struct call *call)
{
    struct folder_known known = inbox(7);
    uint32_t floor;
    known.floor = 9;
    return backend_fetch_older(backend, call, &known, 5, &changes, &floor);
}

static enum err ask_one(struct backend *backend, struct call *call)
{
    struct folder_known known = inbox(7);
    return backend_fetch_one(backend, call, &known, 4, &changes);
}

static enum err ask_previews(struct backend *backend, struct call *call)
{
    static const struct preview_wish wishes[] = {
        {4, "1", "text/plain", "utf-8", "quoted-printable"},
        {5, "1", "text/html", "iso-2022-jp", "base64"},
    };
    struct folder_known known = inbox(7);
    struct preview_sink sink = {.preview = see_preview};
    return backend_previews(backend, call, &known, wishes, 2, &sink);
}

static struct part_wish wish(enum read_mode mode)
{
    return (struct part_wish){.remote = "INBOX",
                              .validity = 7,
                              .uid = 4,
                              .part = "1",
                              .encoding = "base64",
                              .charset = "utf-16",
                              .mode = mode,
                              .last = mode == READ_HTML_TEXT ? 99 : UINT64_MAX};
}

static enum err ask_content(struct backend *backend, struct call *call)
{
    struct part_wish raw = wish(READ_RAW), text = wish(READ_HTML_TEXT);
    struct sink sink = {.write = see_bytes};
    enum err err = backend_read_part(backend, call, &raw, &sink);
    return err ? err : backend_read_part(backend, call, &text, &sink);
}

static enum err ask_size(struct backend *backend, struct call *call)
{
    struct part_wish decoded = wish(READ_DECODED);
    uint64_t size;
    return backend_part_size(backend, call, &decoded, &size);
}

static enum err ask_headers(struct backend *backend, struct call *call)
{
    struct part_wish whole = wish(READ_RAW);
    struct header_sink sink = {.header = see_header};
    whole.part = "";
    return backend_read_headers(backend, call, &whole, &sink);
}

static enum err ask_flags(struct backend *backend, struct call *call)
{
    static const char *const words[] = {"$Work"};
    struct flag_change change = {.add = FLAG_SEEN, .add_keywords = {words, 1}};
    struct folder_known known = inbox(7);
    return backend_change_flags(backend, call, &known, 4, &change, &changes);
}

static enum err ask_quota(struct backend *backend, struct call *call)
{
    struct quota_resource *items;
    uint32_t count;
    enum err err = backend_quota(backend, call, &items, &count);
    for (uint32_t i = 0; !err && i < count; i++) {
        check_text(items[i].root);
        check_text(items[i].name);
    }
    return err;
}

static asks *const table[] = {
    ask_folders, ask_first_page, ask_changes, ask_older, ask_one,   ask_previews,
    ask_content, ask_size,       ask_headers, ask_flags, ask_quota, ask_folders /* extended */,
};
#define ASKS     (sizeof table / sizeof *table)
#define EXTENDED (ASKS - 1)

/* ---- the session ---- */

static struct call call_of(struct arena *arena)
{
    return (struct call){.arena = arena, .deadline_ms = clock_now_ms() + 5000};
}

static void run_session(int socket_fd, size_t which)
{
    struct arena arena;
    struct secret password = {0};
    struct backend *backend = NULL;
    struct backend_info info;
    arena_init(&arena);
    secret_set(&password, "pass", 4);
    struct backend_target target = {.world = &world,
                                    .protocol = PROTOCOL_IMAP,
                                    .security = SECURITY_NONE,
                                    .host = "mail.example.com",
                                    .username = "user",
                                    .password = &password,
                                    .connected = true,
                                    .socket = socket_fd};
    struct call call = call_of(&arena);
    if (backend_open(&backend_imap, &target, &call, NULL, &backend) == OK) {
        backend_info_get(backend, &arena, &info);
        check_text(info.capability_text);
        check_text(info.server_name);
        enum err err = OK;
        for (int turn = 0; turn < 2 && !err && !backend->dead; turn++) {
            call = call_of(&arena);
            err = table[which](backend, &call);
            CHECK(!err || call.fault.code == err || err == ERR_CANCELLED);
        }
    }
    check_text(call.fault.detail);
    check_text(call.fault.reply);
    backend_close(&backend);
    secret_wipe(&password);
    arena_clear(&arena);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    backend_init();
    return 0;
}

static void say(int fd, const void *data, size_t length)
{
    CHECK(length == 0 || send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    if (size < 1 || size > INPUT_BYTES_MAX)
        return 0;
    bool signed_in = (data[0] & 0x20) != 0;
    size_t which = (data[0] & 0x1fu) % ASKS;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    if (signed_in && which == EXTENDED)
        say(ends[1], welcome_extended, sizeof welcome_extended - 1);
    else if (signed_in)
        say(ends[1], welcome, sizeof welcome - 1);
    say(ends[1], data + 1, size - 1);
    shutdown(ends[1], SHUT_WR);
    run_session(ends[0], which);
    close(ends[1]);
    return 0;
}

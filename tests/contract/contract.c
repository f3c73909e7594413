/* contract.c - the contract of backend.h as tests, the same for every backend.
 *
 * Each test has a folder of its own, and what sync tells goes into a small mirror, as it would
 * above. */
#include "contract.h"
#include "text.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE    3u
#define CALL_MS 20000
#define MANY    64u

static const struct fixture *fixture;

/* ---- a mirror ---- */
struct row {
    uint32_t uid, flags;
    char subject[64], keywords[64];
};

struct mirror {
    struct change_sink sink;
    struct folder_known known;
    struct row rows[MANY];
    uint32_t count;
    uint32_t told_folder, told_message, told_flags, told_other; /* since the last call */
    bool reset;
    struct folder_facts facts;
    enum err refuse; /* what message() answers */
};

struct scene {
    char folder[64];
    struct backend *backend;
    struct arena arena;
    struct call call;
    struct mirror mirror;
};

static struct row *row_of(struct mirror *self, uint32_t uid)
{
    for (uint32_t i = 0; i < self->count; i++)
        if (self->rows[i].uid == uid)
            return &self->rows[i];
    return NULL;
}

static void row_drop(struct mirror *self, struct row *row)
{
    *row = self->rows[--self->count];
}

static void row_flags(struct row *row, uint32_t flags, const struct string_list *keywords)
{
    row->flags = flags;
    row->keywords[0] = '\0';
    for (uint32_t i = 0; i < keywords->count; i++) {
        size_t used = strlen(row->keywords);
        snprintf(row->keywords + used, sizeof row->keywords - used, "%s%s", used ? " " : "",
                 keywords->items[i]);
    }
}

static enum err told_folder(struct change_sink *sink, const struct folder_facts *facts, bool reset)
{
    struct mirror *self = (struct mirror *)sink;
    assert_int_equal(self->told_message + self->told_flags + self->told_other, 0); /* first */
    self->told_folder++;
    self->facts = *facts;
    self->reset = reset;
    if (reset)
        self->count = 0;
    return OK;
}

static enum err told_message(struct change_sink *sink, const struct message *message)
{
    struct mirror *self = (struct mirror *)sink;
    self->told_message++;
    if (self->refuse)
        return self->refuse;
    struct row *row = row_of(self, message->uid);
    if (!row) {
        assert_true(self->count < MANY);
        row = &self->rows[self->count++];
    }
    row->uid = message->uid;
    snprintf(row->subject, sizeof row->subject, "%s",
             message->envelope.subject ? message->envelope.subject : "");
    row_flags(row, message->flags, &message->keywords);
    assert_true(message->size > 0 && message->part_count > 0);
    return OK;
}

static enum err told_flags(struct change_sink *sink, uint32_t uid, uint32_t flags,
                           const struct string_list *keywords, uint64_t modseq)
{
    struct mirror *self = (struct mirror *)sink;
    struct row *row = row_of(self, uid);
    (void)modseq;
    self->told_flags++;
    if (row)
        row_flags(row, flags, keywords);
    return OK;
}

static bool in_ranges(uint32_t uid, const struct uid_range *ranges, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (uid >= ranges[i].first && uid <= ranges[i].last)
            return true;
    return false;
}

static enum err told_present(struct change_sink *sink, uint32_t from,
                             const struct uid_range *ranges, uint32_t count)
{
    struct mirror *self = (struct mirror *)sink;
    self->told_other++;
    for (uint32_t i = self->count; i > 0; i--)
        if (self->rows[i - 1].uid >= from && !in_ranges(self->rows[i - 1].uid, ranges, count))
            row_drop(self, &self->rows[i - 1]);
    return OK;
}

static enum err told_removed(struct change_sink *sink, const struct uid_range *ranges,
                             uint32_t count)
{
    struct mirror *self = (struct mirror *)sink;
    self->told_other++;
    for (uint32_t i = self->count; i > 0; i--)
        if (in_ranges(self->rows[i - 1].uid, ranges, count))
            row_drop(self, &self->rows[i - 1]);
    return OK;
}

/* ---- calls ---- */
static struct call *fresh_call(struct scene *scene)
{
    arena_clear(&scene->arena);
    scene->call = (struct call){.arena = &scene->arena, .deadline_ms = clock_now_ms() + CALL_MS};
    return &scene->call;
}

static struct change_sink *fresh_sink(struct scene *scene)
{
    struct mirror *mirror = &scene->mirror;
    mirror->told_folder = mirror->told_message = mirror->told_flags = mirror->told_other = 0;
    return &mirror->sink;
}

static void open_backend(struct scene *scene)
{
    enum err err = fixture->ops->open(&fixture->target, fresh_call(scene), NULL, &scene->backend);
    if (err)
        print_error("open: %s: %s\n", err_name(err), scene->call.fault.detail);
    assert_int_equal(err, OK);
    assert_ptr_equal(scene->backend->ops, fixture->ops);
}

static void reopen_backend(struct scene *scene)
{
    fixture->ops->close(scene->backend);
    open_backend(scene);
}

static enum err sync_err(struct scene *scene)
{
    struct mirror *mirror = &scene->mirror;
    enum err err = fixture->ops->sync(scene->backend, fresh_call(scene), &mirror->known, PAGE,
                                      fresh_sink(scene));
    if (err)
        return err;
    assert_int_equal(mirror->told_folder, 1);
    if (mirror->reset) {
        mirror->known.floor = mirror->facts.uid_next;
        for (uint32_t i = 0; i < mirror->count; i++)
            if (mirror->rows[i].uid < mirror->known.floor)
                mirror->known.floor = mirror->rows[i].uid;
        if (mirror->count == mirror->facts.exists)
            mirror->known.floor = 1;
    }
    mirror->known.validity = mirror->facts.validity;
    mirror->known.uid_next = mirror->facts.uid_next;
    mirror->known.modseq = mirror->facts.modseq;
    mirror->known.count = mirror->count;
    return OK;
}

static void sync_folder(struct scene *scene)
{
    enum err err = sync_err(scene);
    if (err)
        print_error("sync: %s: %s\n", err_name(err), scene->call.fault.detail);
    assert_int_equal(err, OK);
}

static uint32_t deliver(struct scene *scene, const char *subject)
{
    char raw[512];
    snprintf(raw, sizeof raw,
             "From: Ada <ada@example.org>\r\nTo: bob@example.com\r\nSubject: %s\r\n"
             "Message-ID: <%s@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
             "Hello %s.\r\nSecond line.\r\n",
             subject, subject, subject);
    return fixture->deliver(scene->folder, raw);
}

static const char with_attachment[] =
    "From: Ada <ada@example.org>\r\nSubject: two parts\r\nX-First: 1\r\nX-Second: 2\r\n"
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n"
    "--b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nLine one\r\nLine two"
    "\r\n--b1\r\nContent-Type: application/octet-stream\r\n"
    "Content-Disposition: attachment; filename=\"a.bin\"\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nMDEyMzQ1Njc4\r\nOUFCQ0RFRg==\r\n\r\n--b1--\r\n";
#define ATTACHED "0123456789ABCDEF"

static int scene_start(void **state)
{
    static unsigned scenes;
    struct scene *scene = calloc(1, sizeof *scene);
    *state = scene;
    snprintf(scene->folder, sizeof scene->folder, "contract-%ld-%u", (long)getpid(), scenes++);
    arena_init(&scene->arena);
    scene->mirror.sink = (struct change_sink){.folder = told_folder,
                                              .message = told_message,
                                              .flags = told_flags,
                                              .present = told_present,
                                              .removed = told_removed};
    scene->mirror.known = (struct folder_known){.remote = scene->folder, .generation = scenes};
    fixture->make_folder(scene->folder);
    open_backend(scene);
    return 0;
}

static int scene_end(void **state)
{
    struct scene *scene = *state;
    if (scene->backend)
        fixture->ops->close(scene->backend);
    arena_clear(&scene->arena);
    free(scene);
    return 0;
}

/* ---- sync ---- */
static void a_new_folder_tells_its_newest_page_only(void **state)
{
    struct scene *scene = *state;
    uint32_t uids[5];
    for (int i = 0; i < 5; i++)
        uids[i] = deliver(scene, (const char *[]){"one", "two", "three", "four", "five"}[i]);
    sync_folder(scene);
    assert_true(scene->mirror.reset);
    assert_int_equal(scene->mirror.count, PAGE);
    assert_int_equal(scene->mirror.facts.exists, 5);
    assert_null(row_of(&scene->mirror, uids[1]));
    assert_string_equal(row_of(&scene->mirror, uids[2])->subject, "three");
    assert_string_equal(row_of(&scene->mirror, uids[4])->subject, "five");
}

static void an_empty_folder_is_told_as_empty(void **state)
{
    struct scene *scene = *state;
    sync_folder(scene);
    assert_int_equal(scene->mirror.facts.exists, 0);
    assert_int_equal(scene->mirror.told_message, 0);
    uint32_t uid = deliver(scene, "first");
    sync_folder(scene);
    assert_non_null(row_of(&scene->mirror, uid));
}

static void older_messages_are_told_down_to_the_first(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < 8; i++)
        deliver(scene, "old");
    sync_folder(scene);
    uint32_t rounds = 0;
    while (scene->mirror.known.floor > 1) {
        uint32_t floor = 0;
        assert_int_equal(fixture->ops->fetch_older(scene->backend, fresh_call(scene),
                                                   &scene->mirror.known, 2, fresh_sink(scene),
                                                   &floor),
                         OK);
        assert_int_equal(scene->mirror.told_folder, 1);
        assert_true(scene->mirror.told_message <= 2);
        assert_true(floor < scene->mirror.known.floor);
        scene->mirror.known.floor = floor;
        assert_true(++rounds < 10);
    }
    assert_int_equal(scene->mirror.count, 8);
}

static void nothing_is_told_when_nothing_changed(void **state)
{
    struct scene *scene = *state;
    deliver(scene, "a");
    deliver(scene, "b");
    sync_folder(scene);
    sync_folder(scene);
    sync_folder(scene);
    assert_false(scene->mirror.reset);
    assert_int_equal(scene->mirror.told_message + scene->mirror.told_flags, 0);
    assert_int_equal(scene->mirror.count, 2);
}

static void a_new_message_is_told(void **state)
{
    struct scene *scene = *state;
    deliver(scene, "a");
    sync_folder(scene);
    uint32_t uid = deliver(scene, "b");
    sync_folder(scene);
    assert_int_equal(scene->mirror.told_message, 1);
    assert_string_equal(row_of(&scene->mirror, uid)->subject, "b");
}

static void an_expunged_message_is_reported(void **state)
{
    struct scene *scene = *state;
    uint32_t first = deliver(scene, "a"), second = deliver(scene, "b");
    sync_folder(scene);
    fixture->expunge(scene->folder, first);
    sync_folder(scene);
    assert_null(row_of(&scene->mirror, first));
    assert_non_null(row_of(&scene->mirror, second));
    assert_int_equal(scene->mirror.facts.exists, 1);
}

static void flags_set_elsewhere_are_reported(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = deliver(scene, "a");
    sync_folder(scene);
    assert_int_equal(row_of(&scene->mirror, uid)->flags, 0);
    fixture->flag(scene->folder, uid, FLAG_SEEN | FLAG_FLAGGED, "$Forwarded");
    sync_folder(scene);
    assert_int_equal(row_of(&scene->mirror, uid)->flags, FLAG_SEEN | FLAG_FLAGGED);
    assert_string_equal(row_of(&scene->mirror, uid)->keywords, "$Forwarded");
}

static void a_fresh_connection_finds_all_that_changed(void **state)
{
    struct scene *scene = *state;
    uint32_t a = deliver(scene, "a"), b = deliver(scene, "b"), c = deliver(scene, "c");
    sync_folder(scene);
    fixture->expunge(scene->folder, b);
    fixture->flag(scene->folder, c, FLAG_ANSWERED, NULL);
    uint32_t d = deliver(scene, "d");
    reopen_backend(scene);
    sync_folder(scene);
    assert_false(scene->mirror.reset);
    assert_int_equal(scene->mirror.count, 3);
    assert_non_null(row_of(&scene->mirror, a));
    assert_int_equal(row_of(&scene->mirror, c)->flags, FLAG_ANSWERED);
    assert_string_equal(row_of(&scene->mirror, d)->subject, "d");
}

static void a_changed_validity_resets(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = deliver(scene, "a");
    sync_folder(scene);
    uint32_t validity = scene->mirror.known.validity;
    fixture->change_validity(scene->folder);
    reopen_backend(scene);
    struct folder_known old = scene->mirror.known;
    sync_folder(scene);
    assert_true(scene->mirror.reset);
    assert_int_not_equal(scene->mirror.known.validity, validity);
    assert_int_equal(scene->mirror.count, 1);
    assert_int_equal(
        fixture->ops->fetch_one(scene->backend, fresh_call(scene), &old, uid, fresh_sink(scene)),
        ERR_GONE);
}

/* ---- single messages ---- */
static struct part_wish wish_for(struct scene *scene, uint32_t uid, const char *part,
                                 enum read_mode mode)
{
    return (struct part_wish){.remote = scene->folder,
                              .validity = scene->mirror.known.validity,
                              .uid = uid,
                              .part = part,
                              .mode = mode,
                              .last = UINT64_MAX};
}

static enum err read_into(struct scene *scene, const struct part_wish *wish, struct buf *out)
{
    struct buf_sink end;
    buf_init(out, 1 << 20);
    buf_sink_init(&end, out);
    return fixture->ops->read_part(scene->backend, fresh_call(scene), wish, &end.sink);
}

static void a_gone_message_is_gone(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = deliver(scene, "a");
    deliver(scene, "b");
    sync_folder(scene);
    fixture->expunge(scene->folder, uid);
    sync_folder(scene);
    const struct backend_ops *ops = fixture->ops;
    struct part_wish wish = wish_for(scene, uid, "1", READ_RAW);
    struct flag_change change = {.add = FLAG_SEEN};
    struct buf out;
    assert_int_equal(read_into(scene, &wish, &out), ERR_GONE);
    assert_int_equal(out.length, 0);
    buf_clear(&out);
    assert_int_equal(scene->call.fault.code, ERR_GONE);
    assert_int_equal(ops->fetch_one(scene->backend, fresh_call(scene), &scene->mirror.known, uid,
                                    fresh_sink(scene)),
                     ERR_GONE);
    assert_int_equal(ops->change_flags(scene->backend, fresh_call(scene), &scene->mirror.known, uid,
                                       &change, fresh_sink(scene)),
                     ERR_GONE);
    assert_int_equal(ops->noop(scene->backend, fresh_call(scene)), OK); /* it lives */
}

static void one_message_is_told_anew(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = deliver(scene, "a");
    sync_folder(scene);
    fixture->flag(scene->folder, uid, FLAG_DRAFT, NULL);
    assert_int_equal(fixture->ops->fetch_one(scene->backend, fresh_call(scene),
                                             &scene->mirror.known, uid, fresh_sink(scene)),
                     OK);
    assert_int_equal(scene->mirror.told_message, 1);
    assert_int_equal(row_of(&scene->mirror, uid)->flags, FLAG_DRAFT);
}

static void changed_flags_are_told_as_they_are_now(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = deliver(scene, "a"), other = deliver(scene, "b");
    sync_folder(scene);
    fixture->flag(scene->folder, uid, FLAG_FLAGGED, NULL); /* which we were not told of */
    struct flag_change change = {.add = FLAG_SEEN,
                                 .add_keywords = {(const char *const[]){"$Label1"}, 1}};
    assert_int_equal(fixture->ops->change_flags(scene->backend, fresh_call(scene),
                                                &scene->mirror.known, uid, &change,
                                                fresh_sink(scene)),
                     OK);
    assert_int_equal(row_of(&scene->mirror, uid)->flags, FLAG_SEEN | FLAG_FLAGGED);
    assert_string_equal(row_of(&scene->mirror, uid)->keywords, "$Label1");
    change = (struct flag_change){.remove = FLAG_SEEN | FLAG_FLAGGED,
                                  .remove_keywords = {(const char *const[]){"$Label1"}, 1}};
    assert_int_equal(fixture->ops->change_flags(scene->backend, fresh_call(scene),
                                                &scene->mirror.known, uid, &change,
                                                fresh_sink(scene)),
                     OK);
    assert_int_equal(row_of(&scene->mirror, uid)->flags, 0);
    assert_string_equal(row_of(&scene->mirror, uid)->keywords, "");
    assert_int_equal(row_of(&scene->mirror, other)->flags, 0);
}

static void reading_does_not_mark_as_read(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = deliver(scene, "a");
    struct buf out;
    sync_folder(scene);
    struct part_wish wish = wish_for(scene, uid, "1", READ_TEXT);
    assert_int_equal(read_into(scene, &wish, &out), OK);
    buf_clear(&out);
    reopen_backend(scene);
    sync_folder(scene);
    assert_int_equal(row_of(&scene->mirror, uid)->flags & FLAG_SEEN, 0);
}

/* ---- content ---- */
static void assert_reads(struct scene *scene, const struct part_wish *wish, const char *expected,
                         size_t length)
{
    struct buf out;
    enum err err = read_into(scene, wish, &out);
    if (err)
        print_error("read: %s: %s\n", err_name(err), scene->call.fault.detail);
    assert_int_equal(err, OK);
    assert_int_equal(out.length, length);
    if (length)
        assert_memory_equal(out.data, expected, length);
    buf_clear(&out);
}

static void parts_are_read_in_every_mode(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = fixture->deliver(scene->folder, with_attachment);
    sync_folder(scene);
    struct part_wish wish = wish_for(scene, uid, "", READ_RAW);
    assert_reads(scene, &wish, with_attachment, sizeof with_attachment - 1);
    wish = wish_for(scene, uid, "1", READ_RAW);
    assert_reads(scene, &wish, "Line one\r\nLine two", 18);
    wish.mode = READ_TEXT;
    wish.charset = "utf-8";
    wish.encoding = "7bit";
    assert_reads(scene, &wish, "Line one\nLine two", 17);
    wish = wish_for(scene, uid, "2", READ_DECODED);
    wish.encoding = "base64";
    assert_reads(scene, &wish, ATTACHED, 16);
}

static void a_range_is_exactly_its_bytes(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = fixture->deliver(scene->folder, with_attachment);
    sync_folder(scene);
    static const uint64_t ranges[][2] = {{0, 0}, {3, 7}, {15, 15}, {10, UINT64_MAX}, {0, 999}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        uint64_t first = ranges[i][0], last = ranges[i][1] > 15 ? 15 : ranges[i][1];
        struct part_wish wish = wish_for(scene, uid, "2", READ_DECODED);
        wish.encoding = "base64";
        wish.first = first;
        wish.last = ranges[i][1];
        assert_reads(scene, &wish, ATTACHED + first, (size_t)(last - first + 1));
        wish = wish_for(scene, uid, "", READ_RAW);
        wish.first = first;
        wish.last = last;
        assert_reads(scene, &wish, with_attachment + first, (size_t)(last - first + 1));
    }
}

static void the_decoded_size_is_exact(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = fixture->deliver(scene->folder, with_attachment);
    uint64_t size = 0;
    sync_folder(scene);
    struct part_wish wish = wish_for(scene, uid, "2", READ_DECODED);
    wish.encoding = "base64";
    assert_int_equal(fixture->ops->part_size(scene->backend, fresh_call(scene), &wish, &size), OK);
    assert_int_equal(size, 16);
}

struct headers {
    struct header_sink sink;
    char text[1024];
};

static enum err told_header(struct header_sink *sink, const char *name, const char *value)
{
    struct headers *self = (struct headers *)sink;
    size_t used = strlen(self->text);
    snprintf(self->text + used, sizeof self->text - used, "%s=%s|", name, value);
    return OK;
}

static void headers_are_told_in_order(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = fixture->deliver(scene->folder, with_attachment);
    struct headers headers = {.sink = {told_header}};
    sync_folder(scene);
    struct part_wish wish = wish_for(scene, uid, "", READ_RAW);
    assert_int_equal(
        fixture->ops->read_headers(scene->backend, fresh_call(scene), &wish, &headers.sink), OK);
    assert_string_equal(headers.text,
                        "From=Ada <ada@example.org>|Subject=two parts|X-First=1|X-Second=2|"
                        "MIME-Version=1.0|Content-Type=multipart/mixed; boundary=\"b1\"|");
}

struct previews {
    struct preview_sink sink;
    uint32_t count;
    struct {
        uint32_t uid;
        char text[900];
    } rows[8];
};

static enum err told_preview(struct preview_sink *sink, uint32_t uid, const char *text)
{
    struct previews *self = (struct previews *)sink;
    assert_true(self->count < 8);
    self->rows[self->count].uid = uid;
    snprintf(self->rows[self->count++].text, 900, "%s", text);
    return OK;
}

static void previews_are_folded_text(void **state)
{
    struct scene *scene = *state;
    uint32_t a = deliver(scene, "a"), b = fixture->deliver(scene->folder, with_attachment);
    struct previews previews = {.sink = {told_preview}};
    sync_folder(scene);
    const struct preview_wish wishes[] = {
        {.uid = a, .part = "1", .type = "text/plain", .charset = "utf-8", .encoding = "7bit"},
        {.uid = b, .part = "1", .type = "text/plain", .charset = "utf-8", .encoding = "7bit"},
    };
    assert_int_equal(fixture->ops->previews(scene->backend, fresh_call(scene), &scene->mirror.known,
                                            wishes, 2, &previews.sink),
                     OK);
    assert_int_equal(previews.count, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_string_equal(previews.rows[i].text, previews.rows[i].uid == a
                                                       ? "Hello a. Second line."
                                                       : "Line one Line two");
}

static void a_message_without_text_has_an_empty_preview(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = deliver(scene, "a");
    struct previews previews = {.sink = {told_preview}};
    sync_folder(scene);
    const struct preview_wish wish = {.uid = uid};
    assert_int_equal(fixture->ops->previews(scene->backend, fresh_call(scene), &scene->mirror.known,
                                            &wish, 1, &previews.sink),
                     OK);
    assert_int_equal(previews.count, 1);
    assert_string_equal(previews.rows[0].text, "");
}

/* ---- folders, quota, login ---- */
struct listing {
    struct folder_sink sink;
    const char *wanted;
    uint32_t inboxes, found;
    struct folder_listing last;
};

static enum err told_listing(struct folder_sink *sink, const struct folder_listing *listing)
{
    struct listing *self = (struct listing *)sink;
    self->inboxes += listing->role == ROLE_INBOX;
    if (strcmp(listing->path, self->wanted) == 0) {
        self->found++;
        self->last = *listing;
    }
    return OK;
}

static void folders_are_listed_with_their_status(void **state)
{
    struct scene *scene = *state;
    struct listing listing = {.sink = {told_listing}, .wanted = scene->folder};
    uint32_t seen = deliver(scene, "a");
    deliver(scene, "b");
    fixture->flag(scene->folder, seen, FLAG_SEEN, NULL);
    assert_int_equal(
        fixture->ops->list_folders(scene->backend, fresh_call(scene), true, &listing.sink), OK);
    assert_int_equal(listing.inboxes, 1);
    assert_int_equal(listing.found, 1);
    assert_true(listing.last.has_status && listing.last.selectable);
    assert_int_equal(listing.last.messages, 2);
    assert_int_equal(listing.last.unseen, 1);
    assert_int_equal(listing.last.uid_next, seen + 2);
}

static void a_missing_folder_leaves_the_connection_usable(void **state)
{
    struct scene *scene = *state;
    scene->mirror.known.remote = "contract-nobody-made-this";
    enum err err = sync_err(scene);
    assert_true(err == ERR_NOT_FOUND || err == ERR_GONE || err == ERR_REFUSED);
    assert_int_equal(scene->call.fault.code, err);
    assert_false(err_kills_connection(err));
    scene->mirror.known.remote = scene->folder;
    deliver(scene, "a");
    sync_folder(scene);
    assert_int_equal(scene->mirror.count, 1);
}

static void the_quota_is_told_or_unsupported(void **state)
{
    struct scene *scene = *state;
    struct backend_info info;
    struct quota_resource *resources = NULL;
    uint32_t count = 0;
    fixture->ops->info(scene->backend, &scene->arena, &info);
    bool offered = info.caps & CAP_QUOTA;
    enum err err = fixture->ops->quota(scene->backend, fresh_call(scene), &resources, &count);
    assert_int_equal(err, offered ? OK : ERR_UNSUPPORTED);
    for (uint32_t i = 0; i < count; i++)
        assert_true(resources[i].name && resources[i].root);
}

static void a_server_says_what_it_offers(void **state)
{
    struct scene *scene = *state;
    struct backend_info info;
    fixture->ops->info(scene->backend, &scene->arena, &info);
    assert_true((info.caps & CAP_FOLDERS) && (info.caps & CAP_FLAGS));
    assert_true(info.capability_text && *info.capability_text);
    assert_true(fixture->ops->fd(scene->backend) >= 0);
}

static void a_wrong_password_is_refused(void **state)
{
    struct scene *scene = *state;
    struct secret wrong = {0};
    struct backend_target target = fixture->target;
    struct backend *backend = NULL;
    secret_set(&wrong, "not-the-password", 16);
    target.password = &wrong;
    assert_int_equal(fixture->ops->open(&target, fresh_call(scene), NULL, &backend), ERR_LOGIN);
    assert_null(strstr(scene->call.fault.detail, "not-the-password"));
    assert_null(strstr(scene->call.fault.reply, "not-the-password"));
    secret_wipe(&wrong);
}

/* ---- failure ---- */
static void a_sinks_refusal_passes_through(void **state)
{
    struct scene *scene = *state;
    deliver(scene, "a");
    scene->mirror.refuse = ERR_STORE;
    assert_int_equal(sync_err(scene), ERR_STORE);
    assert_int_equal(scene->mirror.told_message, 1); /* and nothing is told after it */
    scene->mirror.refuse = OK;
    if (fixture->ops->noop(scene->backend, fresh_call(scene)) != OK)
        reopen_backend(scene);
    sync_folder(scene);
    assert_int_equal(scene->mirror.count, 1);
}

static enum err refuse_bytes(struct sink *sink, const void *data, size_t length)
{
    (void)sink, (void)data, (void)length;
    return ERR_STORE;
}

static void a_reader_that_refuses_ends_the_read(void **state)
{
    struct scene *scene = *state;
    uint32_t uid = deliver(scene, "a");
    struct sink sink = {.write = refuse_bytes};
    sync_folder(scene);
    struct part_wish wish = wish_for(scene, uid, "1", READ_RAW);
    enum err err = fixture->ops->read_part(scene->backend, fresh_call(scene), &wish, &sink);
    assert_true(err == ERR_STORE || err == ERR_CANCELLED);
    if (err == ERR_CANCELLED)
        reopen_backend(scene);
    assert_int_equal(fixture->ops->noop(scene->backend, fresh_call(scene)), OK);
}

static void a_deadline_that_passed_ends_the_call(void **state)
{
    struct scene *scene = *state;
    struct call *call = fresh_call(scene);
    call->deadline_ms = clock_now_ms() - 1;
    assert_int_equal(fixture->ops->noop(scene->backend, call), ERR_TIMEOUT);
    assert_int_equal(call->fault.code, ERR_TIMEOUT);
}

static void *cancel_later(void *argument)
{
    usleep(50000);
    fixture->ops->cancel(argument);
    return NULL;
}

static void cancel_ends_a_blocked_call(void **state)
{
    struct scene *scene = *state;
    pthread_t thread;
    if (!fixture->block_next) /* then at least the calls after it */
        fixture->ops->cancel(scene->backend);
    else
        fixture->block_next();
    int64_t start_ms = clock_now_ms();
    pthread_create(&thread, NULL, cancel_later, scene->backend);
    assert_int_equal(fixture->ops->noop(scene->backend, fresh_call(scene)), ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_true(clock_now_ms() - start_ms < 5000);
    assert_int_equal(sync_err(scene), ERR_CANCELLED);
}

static void a_cancelled_open_ends(void **state)
{
    struct scene *scene = *state;
    volatile bool cancelled = true;
    struct backend *backend = NULL;
    assert_int_equal(fixture->ops->open(&fixture->target, fresh_call(scene), &cancelled, &backend),
                     ERR_CANCELLED);
    assert_null(backend);
}

static void *set_later(void *argument)
{
    usleep(50000);
    __atomic_store_n((volatile bool *)argument, true, __ATOMIC_RELAXED);
    return NULL;
}

static void cancel_ends_an_open_that_hangs(void **state)
{
    struct scene *scene = *state;
    struct backend_target target = fixture->silent();
    static volatile bool cancelled;
    struct backend *backend = NULL;
    pthread_t thread;
    int64_t start_ms = clock_now_ms();
    pthread_create(&thread, NULL, set_later, (void *)&cancelled);
    assert_int_equal(fixture->ops->open(&target, fresh_call(scene), &cancelled, &backend),
                     ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_null(backend);
    assert_true(clock_now_ms() - start_ms < 5000);
}

static void the_deadline_ends_an_open_that_hangs(void **state)
{
    struct scene *scene = *state;
    struct backend_target target = fixture->silent();
    struct backend *backend = NULL;
    struct call *call = fresh_call(scene);
    int64_t start_ms = clock_now_ms();
    call->deadline_ms = start_ms + 150;
    assert_int_equal(fixture->ops->open(&target, call, NULL, &backend), ERR_TIMEOUT);
    assert_null(backend);
    int64_t took_ms = clock_now_ms() - start_ms;
    assert_true(took_ms >= 140 && took_ms < 5000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_start, scene_end)
    const struct CMUnitTest tests[] = {
        TEST(a_new_folder_tells_its_newest_page_only),
        TEST(an_empty_folder_is_told_as_empty),
        TEST(older_messages_are_told_down_to_the_first),
        TEST(nothing_is_told_when_nothing_changed),
        TEST(a_new_message_is_told),
        TEST(an_expunged_message_is_reported),
        TEST(flags_set_elsewhere_are_reported),
        TEST(a_fresh_connection_finds_all_that_changed),
        TEST(a_changed_validity_resets),
        TEST(a_gone_message_is_gone),
        TEST(one_message_is_told_anew),
        TEST(changed_flags_are_told_as_they_are_now),
        TEST(reading_does_not_mark_as_read),
        TEST(parts_are_read_in_every_mode),
        TEST(a_range_is_exactly_its_bytes),
        TEST(the_decoded_size_is_exact),
        TEST(headers_are_told_in_order),
        TEST(previews_are_folded_text),
        TEST(a_message_without_text_has_an_empty_preview),
        TEST(folders_are_listed_with_their_status),
        TEST(a_missing_folder_leaves_the_connection_usable),
        TEST(the_quota_is_told_or_unsupported),
        TEST(a_server_says_what_it_offers),
        TEST(a_wrong_password_is_refused),
        TEST(a_sinks_refusal_passes_through),
        TEST(a_reader_that_refuses_ends_the_read),
        TEST(a_deadline_that_passed_ends_the_call),
        TEST(cancel_ends_a_blocked_call),
        TEST(a_cancelled_open_ends),
        TEST(cancel_ends_an_open_that_hangs),
        TEST(the_deadline_ends_an_open_that_hangs),
    };
    fixture = fixture_start();
    if (fixture->skip) {
        printf("1..0 # SKIP %s: %s\n", fixture->ops->name, fixture->skip);
        return 0;
    }
    int failed = cmocka_run_group_tests_name(fixture->ops->name, tests, NULL, NULL);
    fixture->stop();
    return failed;
}

/* samples.h - one answer of each kind, with what is odd and yet honest. */
#ifndef POSTERN_TEST_SAMPLES_H
#define POSTERN_TEST_SAMPLES_H

#include "promises.h"

#define ARRAY(list) (list), sizeof(list) / sizeof *(list)

static struct arena sample_arena; /* init and clear it around its use */

static const char *const keywords[] = {"$Forwarded", "NonJunk", "with blank", "\xef\xbf\xbd"};
static const struct address addresses[] = {
    {"J\xc3\xb6rg, \"the\" \\ one", "j@example.org", NULL},
    {NULL, NULL, "empty group"},
    {"", "", ""},
    {"only a name", NULL, NULL},
};
static const char *const ids[] = {"a@b", "no at sign", "\xc3\xa4@\xc3\xb6"};
static const struct part parts[] = {
    {"", "multipart/mixed", NULL, NULL, NULL, NULL, "7bit", 0, -1, -1},
    {"1", "text/plain", "utf-8", NULL, "inline", NULL, "x-odd one", UINT64_MAX, 5, 0},
    {"2", "message/rfc822", NULL, "a letter.eml", "attachment", "id@x", "8bit", 9, -1, 0},
    {"2.TEXT", "multipart/x-\xc3\xa4", NULL, NULL, NULL, NULL, "7bit", 0, -1, 2},
    {"2.1", "/", "", "trailing dots stay..", "", "", "", 0, INT64_MAX, 3},
    {"3", "image/png", NULL, NULL, NULL, NULL, "base64", 1, 0, 0},
};

static inline struct message message_of(void)
{
    struct part *copy = arena_array(&sample_arena, struct part, 6);
    memcpy(copy, parts, sizeof parts);
    struct message message = {
        .uid = UINT32_MAX,
        .remote_id = "M\xc3\xa4",
        .modseq = INT64_MAX,
        .flags = FLAG_ALL,
        .keywords = {ARRAY(keywords)},
        .received_s = -62167219200 - 99 * 3600,
        .size = INT64_MAX,
        .envelope = {.subject = "\xe2\x80\xae turned \xf0\x9f\x98\x80",
                     .from = {ARRAY(addresses)},
                     .cc = {ARRAY(addresses)},
                     .has_date = true,
                     .date_s = 253402300799 + 99 * 3600,
                     .message_id = "not an id",
                     .in_reply_to = {ids, 1},
                     .references = {ARRAY(ids)}},
        .parts = copy,
        .part_count = 6,
        .has_attachment = true,
        .limited = LIMITED_DEPTH | LIMITED_MEMORY,
    };
    return message;
}

static inline struct fault fault_of(void)
{
    struct fault fault = {.code = ERR_LOGIN,
                          .retry_after_s = 60,
                          .pointed = true,
                          .pointer = "/password",
                          .detail = "the mail server refused LOGIN",
                          .reply = "No \xc3\xa4 way",
                          .protocol = "imap"};
    return fault;
}

static const struct uid_range ranges[] = {{1, 1}, {3, 9}, {10, 10}, {12, UINT32_MAX}};
static const struct folder_listing listing = {.remote = "a\xff/\x01",
                                              .path = "a\xef\xbf\xbd/_",
                                              .role = ROLE_FLAGGED,
                                              .role_source = ROLE_FROM_NAME,
                                              .subscribed = true,
                                              .has_status = true,
                                              .messages = 1,
                                              .unseen = 2,
                                              .uid_next = 3,
                                              .uid_validity = 4,
                                              .modseq = INT64_MAX,
                                              .size = -1};

struct sample {
    uint16_t asked, kind;
};

static const struct sample samples[] = {
    {FRAME_SYNC, FRAME_FACTS},
    {FRAME_SYNC, FRAME_MESSAGE},
    {FRAME_CHANGE_FLAGS, FRAME_FLAGS},
    {FRAME_SYNC, FRAME_RANGES},
    {FRAME_SYNC, FRAME_PRESENT},
    {FRAME_SYNC, FRAME_REMOVED},
    {FRAME_LIST_FOLDERS, FRAME_LISTING},
    {FRAME_PREVIEWS, FRAME_PREVIEW},
    {FRAME_READ_HEADERS, FRAME_HEADER},
    {FRAME_READ_PART, FRAME_EXPECT},
    {FRAME_READ_PART, FRAME_BYTES},
    {FRAME_QUOTA, FRAME_RESOURCE},
    {FRAME_OPEN, FRAME_INFO},
    {FRAME_NOOP, FRAME_SELECTED},
    {FRAME_NOOP, FRAME_END},
    {FRAME_FETCH_OLDER, FRAME_END},
};

/* Everything is set; each kind uses its own. */
static inline struct answer answer_of(const struct sample *sample)
{
    struct answer answer = {
        .kind = sample->kind,
        .reset = true,
        .facts = {1, 2, 3, 4, true, true},
        .message = message_of(),
        .from = 7,
        .ranges = (struct uid_range *)(uintptr_t)ranges,
        .range_count = 4,
        .listing = listing,
        .uid = 9,
        .text = sample->kind == FRAME_HEADER ? "X-Odd!" : "caf\xc3\xa9 & co",
        .value = "\xff/INBOX",
        .number = 1,
        .bytes = "a\0\xff",
        .length = 3,
        .resource = {"", "STORAGE", UINT64_MAX, 0},
        .info = {CAP_ID | CAP_FOLDERS, "", "Dovecot"},
        .fault = fault_of(),
    };
    if (sample->kind == FRAME_HEADER)
        answer.value = "";
    if (sample->asked == FRAME_NOOP)
        answer.err = ERR_LOGIN;
    return answer;
}

#define SAMPLES (sizeof samples / sizeof *samples)

#endif

/* record.h - calls and answers of backend.h as frames, and back again with a sceptical eye.
 *
 * put_ functions append one whole frame to `out`. take_ functions return false for anything that
 * an honest sender would not have written; then *out means nothing. What they return points into
 * the frame or is allocated in the arena. Neither side touches a socket here, so that both can be
 * tested, and fuzzed, byte by byte.
 */
#ifndef POSTERN_RECORD_H
#define POSTERN_RECORD_H

#include "backend.h"
#include "frame.h"

#define RANGES_A_FRAME 8192u /* of uids */

/* The longest texts that cross, beside BACKEND_*_MAX. Answers are cut to them, at a code point; a
 * call that passes one is too large. Cleaning makes three bytes of one that is no UTF-8. */
enum {
    RECORD_TEXT_BYTES = BACKEND_HEADER_VALUE_BYTES_MAX, /* subjects, names, header values */
    RECORD_NAME_BYTES = 4096,                           /* mailboxes, as `remote` and as path */
    RECORD_ID_BYTES = 3 * BACKEND_MESSAGE_ID_BYTES_MAX, /* message, content and remote ids */
    RECORD_TOKEN_BYTES = 1536,                          /* media types and their like */
    RECORD_SECTION_BYTES = 1024,
    RECORD_KEYWORD_BYTES = 255, /* of a mail server's; longer ones are left out */
    RECORD_FILE_NAME_BYTES = 255,
    RECORD_USERNAME_BYTES = BACKEND_USERNAME_BYTES_MAX,
    RECORD_HOST_BYTES = 255,
    RECORD_RETRY_MAX_S = 3600,
};

/* ---- calls: request.c ---- */

/* One call's arguments; each kind uses its own, see the table in request.c. */
struct request {
    uint16_t kind, call;
    int64_t deadline_ms; /* CLOCK_MONOTONIC is one for all processes */
    /* FRAME_OPEN; target.world is not carried, secrets point into the frame */
    struct backend_target target;
    struct secret secret; /* the one that target.password or .access_token points to, when taken */
    /* the others */
    struct folder_known known;
    uint32_t uid, count; /* count: messages; first_page for FRAME_SYNC */
    bool with_status;
    struct part_wish wish;
    const struct preview_wish *wishes;
    uint32_t wish_count;
    struct flag_change change;
};

/* ERR_TOO_LARGE when it does not fit a frame (more uids or wishes than any caller sends). */
enum err put_request(struct buf *out, const struct request *request);
bool take_request(const struct frame *frame, struct arena *arena, struct request *out);

/* ---- answers: answer.c (writing), verdict.c (reading) ---- */

void put_facts(struct buf *out, uint16_t call, const struct folder_facts *facts, bool reset);
/* Cuts what does not fit a frame, and says so in `limited`. */
void put_message(struct buf *out, uint16_t call, const struct message *message);
void put_flags(struct buf *out, uint16_t call, uint32_t uid, uint32_t flags,
               const struct string_list *keywords, uint64_t modseq);
/* FRAME_RANGES, as many as needed, then `kind`, FRAME_PRESENT (with `from`) or FRAME_REMOVED.
 * ERR_TOO_LARGE above BACKEND_RANGES_MAX, 8 MB in the main process. */
enum err put_ranges(struct buf *out, uint16_t call, uint16_t kind, uint32_t from,
                    const struct uid_range *ranges, uint32_t count);
void put_listing(struct buf *out, uint16_t call, const struct folder_listing *listing);
void put_preview(struct buf *out, uint16_t call, uint32_t uid, const char *text);
void put_header(struct buf *out, uint16_t call, const char *name, const char *value);
void put_expect(struct buf *out, uint16_t call, uint64_t length);
/* Only the header of FRAME_BYTES: so many bytes, at most FRAME_STREAM_BYTES, have to follow. */
void put_bytes_header(struct buf *out, uint16_t call, size_t length);
void put_resource(struct buf *out, uint16_t call, const struct quota_resource *resource);
void put_info(struct buf *out, uint16_t call, const struct backend_info *info);
void put_selected(struct buf *out, uint16_t call, const char *remote);
/* `value`: the floor of FRAME_FETCH_OLDER, the size of FRAME_PART_SIZE, header_sink.limited. */
void put_end(struct buf *out, uint16_t call, enum err err, const struct fault *fault,
             uint64_t value);

struct answer {
    uint16_t kind;
    bool reset; /* FACTS */
    struct folder_facts facts;
    struct message message;   /* MESSAGE; FLAGS uses uid, flags, keywords, modseq of it */
    uint32_t from;            /* PRESENT */
    struct uid_range *ranges; /* RANGES: a piece, in the arena; ascending, disjoint in itself */
    uint32_t range_count;
    struct folder_listing listing;
    uint32_t uid;      /* PREVIEW */
    const char *text;  /* PREVIEW; HEADER: its name */
    const char *value; /* HEADER; SELECTED: remote or NULL */
    uint64_t number;   /* EXPECT; END: value */
    const char *bytes; /* BYTES */
    size_t length;
    struct quota_resource resource;
    struct backend_info info;
    enum err err; /* END */
    struct fault fault;
};

/* What may stand in an answer to the call of that kind: whether this kind of frame belongs there,
 * and whether each value keeps backend.h's and mailbox.h's promises. */
bool take_answer(const struct frame *frame, uint16_t asked, struct arena *arena,
                 struct answer *out);

#endif

/* imap.h - what the files of the IMAP backend share. Nothing here is seen outside server/mail.
 *
 * From the socket up: imap_wire.c moves bytes and cuts them into responses under caps; imap_run.c
 * sends commands, awaits their tags and keeps account of what the server tells unasked;
 * imap_token.c and imap_fetch.c read responses flat; imap_etpan.c gives the two nested things,
 * ENVELOPE and BODYSTRUCTURE, to libetpan's parser in a form that cannot hurt it; the other files
 * are the operations of backend.h.
 */
#ifndef POSTERN_IMAP_H
#define POSTERN_IMAP_H

#include "backend.h"
#include "buf.h"
#include "decode.h"
#include "sink.h"
#include "stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- imap_token.c: one pass over the bytes of a response ---- */

enum imapc_token_kind { TOKEN_END, TOKEN_ATOM, TOKEN_STRING, TOKEN_NIL, TOKEN_OPEN, TOKEN_CLOSE };

struct imapc_span { /* bytes inside a response buffer; text NULL: absent */
    const char *text;
    size_t length;
};

struct imapc_token {
    enum imapc_token_kind kind;
    struct imapc_span span; /* what is inside the quotes or the literal; atoms as they stand */
    bool escaped;           /* a quoted string with backslashes in it */
};

struct imapc_scan {
    const char *at, *end;
    uint32_t depth, depth_max;
    bool broken; /* sticky: unbalanced, too deep, a lying literal or an open quote */
};

struct imapc_scan imapc_scan_of(struct imapc_span span, uint32_t depth_max);
/* False at the end or when broken. */
bool imapc_scan_next(struct imapc_scan *scan, struct imapc_token *out);
/* One whole value: an atom, a string or a balanced list, its bytes in *out. */
bool imapc_scan_value(struct imapc_scan *scan, struct imapc_span *out);
/* A name such as FLAGS or BODY[HEADER.FIELDS (X "Y")]<0>, brackets and all. */
bool imapc_scan_name(struct imapc_scan *scan, struct imapc_span *out);
bool imapc_span_is(struct imapc_span span, const char *word); /* ASCII case aside */
bool imapc_span_begins(struct imapc_span span, const char *prefix);
bool imapc_span_number(struct imapc_span span, uint64_t max, uint64_t *out);
/* Unescaped bytes, NUL-terminated; NULL for NIL. */
char *imapc_token_copy(struct arena *arena, const struct imapc_token *token, size_t *length);
/* As a command wants it: "1,4:7"; a range up to UINT32_MAX is written with "*". */
void imapc_set_print(struct buf *out, const struct uid_range *ranges, uint32_t count);

/* A growing list of numbers that becomes ranges. */
struct imapc_set {
    struct uid_range *ranges; /* owned */
    uint32_t count, capacity;
    bool sorted; /* false once something was added below the last */
    bool full;   /* more was added than BACKEND_RANGES_MAX let in, and is not in it */
};
void imapc_set_add(struct imapc_set *set, uint32_t first, uint32_t last);
void imapc_set_sort(struct imapc_set *set); /* ascending, disjoint */
void imapc_set_clear(struct imapc_set *set);
bool imapc_set_read(struct imapc_set *set, struct imapc_span text); /* adds "1,4:7" */
bool imapc_set_has(const struct imapc_set *set, uint32_t number);   /* of a sorted set */

/* ---- imap_limit.c: the limits of backend_world, and the words for them ---- */

enum imapc_limit {
    LIMIT_LINE,
    LIMIT_NUMBERS, /* SEARCH and its like: as long as a folder has messages */
    LIMIT_LITERAL,
    LIMIT_ANSWER,
    LIMIT_CONTENT,
    LIMIT_TIME,
    LIMIT_UNASKED,
    LIMIT_FOLDERS,
    LIMIT_NAMES,
    LIMIT_RANGES,
};

#define IMAPC_NAMES_BYTES_MAX (16u * 1024u * 1024u) /* names and paths of one listing */

struct imapc_wire;
/* Marks the wire dead, says so in the fault, returns its code. */
enum err imapc_limit_passed(struct imapc_wire *wire, struct fault *fault, enum imapc_limit limit);
/* Time and bytes for one exchange: an answer without content, unless the second is called too. */
void imapc_limit_begin(struct imapc_wire *wire, int64_t deadline_ms);
void imapc_limit_content(struct imapc_wire *wire);
/* What the stream failed of; marks the wire dead. */
enum err imapc_limit_explain(struct imapc_wire *wire, struct fault *fault);

/* ---- imap_wire.c ---- */

#define WIRE_READ_BYTES (16u * 1024u)

enum imapc_response_kind { RESPONSE_UNTAGGED, RESPONSE_TAGGED, RESPONSE_CONTINUE };

struct imapc_response {
    enum imapc_response_kind kind;
    uint32_t tag;
    bool has_number; /* "* 12 EXISTS" */
    uint32_t number;
    struct imapc_span word; /* EXISTS, FETCH, OK, LIST */
    struct imapc_span rest; /* behind it */
    bool cut;               /* longer than the caps let in: rest is only its beginning */
    bool streamed;          /* its last literal went to the wire's sink; `""` stands there */
    uint64_t streamed_bytes;
};

struct imapc_wire {
    struct stream *stream; /* owned */
    const struct backend_world *world;
    char *in; /* owned: bytes read and not used yet, [in_start, in_end) */
    size_t in_start, in_end;
    struct buf response;    /* the bytes of the response being read */
    struct buf out;         /* commands not sent yet; may hold credentials */
    struct sink *body_sink; /* when set, the literal of a BODY[..] or BINARY[..] item goes there */
    enum err sink_error;    /* what it refused with */
    const struct range_sink
        *range; /* when set and done, the refusal was ours: read the rest away */
    bool dead;  /* the exchange can no longer be followed */
    /* the exchange under way */
    bool time_is_ours;   /* its deadline is the limit's, not the caller's */
    bool brings_content; /* its bytes are counted against the larger limit */
    int64_t began_ms;
    uint64_t began_bytes;
};

void imapc_wire_init(struct imapc_wire *wire, struct stream *stream,
                     const struct backend_world *world);
void imapc_wire_clear(struct imapc_wire *wire);
enum err imapc_wire_flush(struct imapc_wire *wire, struct fault *fault);
/* The spans of *out live until the next read. */
enum err imapc_wire_read(struct imapc_wire *wire, struct fault *fault, struct imapc_response *out);

/* ---- imap_run.c ---- */

/* What offers decide; the columns of the capability table in imap_login.c. */
enum imapc_extra {
    EXTRA_STARTTLS = 1 << 0,
    EXTRA_LOGINDISABLED = 1 << 1,
    EXTRA_SASL_IR = 1 << 2,
    EXTRA_AUTH_PLAIN = 1 << 3,
    EXTRA_XOAUTH2 = 1 << 4,
    EXTRA_OAUTHBEARER = 1 << 5,
    EXTRA_LIST_EXTENDED = 1 << 6,
    EXTRA_LITERAL_PLUS = 1 << 7,
    EXTRA_LITERAL_MINUS = 1 << 8,
    EXTRA_STATUS_SIZE = 1 << 9,
    EXTRA_XLIST = 1 << 10,
    EXTRA_GMAIL = 1 << 11,
};

struct imapc_handler {
    /* Told every untagged response; a refusal ends the exchange. *mine: it was asked for. */
    enum err (*untagged)(struct imapc_handler *, const struct imapc_response *, bool *mine);
};

enum imapc_status { STATUS_PENDING, STATUS_OK, STATUS_NO };

struct imapc_sent {
    const char *name; /* "UID FETCH": the command without its arguments */
    uint32_t tag;
    bool tolerant; /* a NO is an answer, not a failure */
    enum imapc_status status;
};

#define IMAPC_PIPELINE_MAX 128
#define TOUCHED_MAX        200

/* What the server told unasked about the selected folder since the last sync. */
struct imapc_pending {
    bool grown, expunged, flags_all;
    uint32_t touched[TOUCHED_MAX]; /* sequence numbers, as they are now */
    uint32_t touched_count;
};

struct imapc_namespace {
    char *prefix; /* remote bytes */
    char delimiter;
};

struct imapc {
    struct backend backend;
    struct imapc_wire wire;
    struct arena arena;   /* lives as long as the connection */
    struct arena scratch; /* one exchange */
    struct arena reply;   /* one response: for handlers, which a server may call without end */
    struct arena offers;  /* capability_text */
    uint32_t caps, extra;
    bool caps_known;
    char *capability_text, *server_name;
    struct imapc_namespace personal;
    const char *record_items; /* what a message record is made of, for this server */

    /* the exchange under way */
    struct call *call;
    struct imapc_handler *handler;
    struct imapc_sent sent[IMAPC_PIPELINE_MAX];
    uint32_t sent_count, open_count;
    uint32_t next_tag;
    uint32_t unasked; /* untagged responses of this exchange that nobody asked for */
    uint32_t asked;   /* and those that somebody did ask for */
    bool unsendable;  /* a command of this exchange holds what none may */
    enum err failure; /* the first tagged NO of the exchange */
    char *refusal;    /* text of the last NO or BAD, in scratch; may echo what was sent */
    char *challenge;  /* text of the last continuation, in scratch */

    /* the selected folder */
    char *selected;   /* owned; backend.selected points here */
    uint32_t selects; /* how often SELECT was sent: tells a new view from an old one */
    int64_t selected_ms;
    bool view_is_new; /* selected within the running call: no news can be missing */
    struct folder_facts facts;
    struct imapc_pending pending;
    uint64_t reported;      /* generation of the view that was reported in full; 0: none */
    struct imapc_set older; /* uids below older_floor */
    uint32_t older_floor;   /* 0: not known */
};

/* An exchange: begin, add commands with their arguments, run until every tag has come back. When
 * one of them holds a byte that it may not, CR, LF or NUL in the first place, none is sent: running
 * them gives ERR_INTERNAL, because every caller has checked. */
enum err imapc_begin(struct imapc *imap, struct call *call, struct imapc_handler *handler);
void imapc_command(struct imapc *imap, const char *name); /* literal text, "UID FETCH" */
void imapc_command_tolerant(struct imapc *imap, const char *name);
void imapc_word(struct imapc *imap, const char *text); /* printable ASCII, behind a blank */
/* A mailbox name or credential behind a blank: quoted, or a literal. May have to wait for the
 * server; ERR_REFUSED without a fault when that said NO to a tolerant command already. */
enum err imapc_astring(struct imapc *imap, const char *text, size_t length);
void imapc_command_end(struct imapc *imap);
void imapc_reply(struct imapc *imap, const char *text); /* to a challenge: printable ASCII */
enum err imapc_run(struct imapc *imap);
/* After run: how the n-th command went. */
enum imapc_status imapc_status_of(const struct imapc *imap, uint32_t index);
/* Sends, and waits for a continuation (imap->challenge) or a tagged answer. */
enum err imapc_run_to_challenge(struct imapc *imap, bool *challenged);
/* A command without arguments that need care, alone. */
enum err imapc_simple(struct imapc *imap, struct call *call, struct imapc_handler *handler,
                      const char *name, const char *arguments);
/* The connection cannot be followed any more: marks it dead. */
enum err imapc_die(struct imapc *imap, enum err err, const char *detail);
void imapc_forget_selected(struct imapc *imap);
/* The flags of this message (by sequence number) changed and nobody was told yet. */
void imapc_touch(struct imapc *imap, uint32_t sequence);
/* Takes account of one untagged response, whoever asked for it. */
void imapc_harvest(struct imapc *imap, const struct imapc_response *response);

/* ---- imap_codes.c ---- */
/* "[OVERQUOTA] Mailbox is full" to the error it means; `fallback` when it says nothing known. */
enum err imapc_code_error(struct imapc_span text, enum err fallback, int *retry_after_s);
/* The bracketed code at the front, without brackets; false when there is none. */
bool imapc_code_find(struct imapc_span text, struct imapc_span *name, struct imapc_span *arguments);
struct imapc_span imapc_code_skip(struct imapc_span text); /* the human text behind it */

/* ---- imap_login.c, imap_sasl.c ---- */
enum err imapc_login(struct imapc *imap, const struct backend_target *target, struct call *call);
void imapc_read_capabilities(struct imapc *imap, struct imapc_span words);
enum err imapc_sasl(struct imapc *imap, const struct backend_target *target, struct call *call);

/* ---- imap_fetch.c: a FETCH response, flat ---- */
struct imapc_fetch {
    uint32_t sequence, uid; /* uid 0: not told */
    bool has_flags, has_date, has_size, has_section, broken, cut;
    uint32_t flags;
    struct string_list keywords;
    uint64_t modseq, size;
    int64_t received_s;
    struct imapc_span envelope, structure; /* with their parentheses */
    bool structure_cut;                    /* only its beginning came */
    struct imapc_span section;             /* inside the brackets of BODY[..] or BINARY[..] */
    struct imapc_token content;            /* its value */
    bool has_binary_size;
    uint64_t binary_size;
    char *remote_id;
};
/* Reads what it can; `broken` says that there was more, `cut` that it was too long. Strings in the
 * arena. */
void imapc_fetch_read(struct arena *arena, const struct imapc_response *response,
                      struct imapc_fetch *out);
bool imapc_date_parse(struct imapc_span text, int64_t *unix_s); /* INTERNALDATE */

/* ---- imap_etpan.c, imap_envelope.c, imap_structure.c: the nested items ---- */
struct mailimap_body;
struct mailimap_envelope;
struct mailimap_response_data;
void imapc_etpan_init(void); /* once, before threads */
/* Either may be absent. NULL when libetpan refuses. Free with imapc_etpan_free. */
struct mailimap_response_data *imapc_etpan_parse(struct imapc_span envelope,
                                                 struct imapc_span structure, uint32_t depth_max);
void imapc_etpan_free(struct mailimap_response_data *parsed);
struct mailimap_envelope *imapc_etpan_envelope(struct mailimap_response_data *parsed);
struct mailimap_body *imapc_etpan_body(struct mailimap_response_data *parsed);
/* What is left out is in the budget. */
void imapc_envelope_convert(struct arena *arena, struct decode_budget *budget,
                            const struct mailimap_envelope *from, struct envelope *out);
void imapc_structure_convert(struct arena *arena, struct decode_budget *budget,
                             const struct mailimap_body *body, uint32_t parts_max,
                             struct message *out);
/* BODYSTRUCTURE that libetpan refuses, or of which only the beginning came: read as far as it makes
 * sense, at most depth_max parts within each other. */
struct imapc_structure {
    struct imapc_span text;
    bool is_cut; /* the rest did not come */
    uint32_t depth_max, parts_max;
};
bool imapc_structure_salvage(struct arena *arena, struct decode_budget *budget,
                             const struct imapc_structure *structure, struct message *out);

/* How both readers of BODYSTRUCTURE write the tree (imap_tree.c). */
struct imapc_tree {
    struct arena *arena;
    struct decode_budget *budget;
    struct part *parts;
    uint32_t count, capacity;
    uint32_t count_max; /* and never more than BACKEND_PARTS_MAX */
    bool full;          /* one more was to be added */
};
/* No part can be added any more. */
bool imapc_tree_is_full(const struct imapc_tree *tree);
/* The pointer is good until the next add; NULL when there are too many. */
struct part *imapc_tree_add(struct imapc_tree *tree, int32_t parent, const char *id);
/* Section number of the n-th child (from 1) of the container `id`. */
const char *imapc_tree_child_id(struct imapc_tree *tree, const char *id, uint32_t nth);
/* And of what the message/rfc822 at `id` holds. */
const char *imapc_tree_inner_id(struct imapc_tree *tree, const char *id, bool multipart);
struct imapc_parameters {
    struct raw_parameter items[64];
    uint32_t count;
    bool is_cut; /* there were more */
};
void imapc_parameters_add(struct imapc_parameters *list, const char *name, const char *value,
                          size_t value_length);
void imapc_tree_describe(struct imapc_tree *tree, struct part *part,
                         const struct imapc_parameters *parameters, const char *disposition,
                         const struct imapc_parameters *of_disposition, const char *content_id);
char *imapc_lower(struct arena *arena, const char *text, const char *otherwise);
char *imapc_media_type(struct arena *arena, const char *type, const char *subtype);
void imapc_tree_finish(struct imapc_tree *tree, struct message *out);

/* ---- imap_record.c: FETCH responses to messages ---- */
struct imapc_records {
    struct imapc_handler handler;
    struct imapc *imap;
    struct change_sink *sink; /* NULL: FETCH responses are not for us */
    struct arena arena;       /* one record */
    uint32_t uid_min;         /* below: not told at all */
    uint32_t record_min;      /* below: no record, nobody asked ("n:*" always has an answer) */
    bool flags_wanted;        /* answers without an envelope are told through sink->flags */
    bool mending;             /* answers are to the simpler question */
    bool lost;                /* an answer was too broken to say which message it is about */
    uint32_t ask_index;       /* which command of the exchange asks for records; UINT32_MAX: none */
    char *ask_key;            /* the same messages, as a search key; owned */
    struct imapc_set told;    /* uids whose record was told */
    struct imapc_set exist;   /* uids seen to exist, whatever was told of them */
    struct imapc_set broken;  /* uids to be asked for again in a simpler way */
    struct imapc_set cut;     /* those of them whose answer was too long */
    struct imapc_set found;   /* answers of SEARCH */
};
void imapc_records_init(struct imapc_records *records, struct imapc *imap, struct change_sink *sink,
                        uint32_t uid_min);
void imapc_records_clear(struct imapc_records *records);
/* Adds the command for whole records to the exchange: "UID FETCH" or "FETCH" of a set. */
void imapc_records_ask(struct imapc_records *records, const char *command, const char *set);
/* Runs the exchange, then asks again, more simply, for what could not be read; and when the server
 * refused the records as a whole, for each one it did not tell. */
enum err imapc_records_run(struct imapc_records *records, struct call *call);
/* Begin, ask for these uids, run. */
enum err imapc_records_fetch(struct imapc_records *records, struct call *call,
                             const struct uid_range *uids, uint32_t count);

/* ---- imap_names.c ---- */
/* The path a person sees; never fails: what cannot be decoded is shown cleaned. */
char *imapc_name_path(struct arena *arena, const char *remote, char delimiter);
enum folder_role imapc_name_role(const char *path);

/* ---- imap_select.c ---- */
/* Selects the folder unless it is selected; no news are asked for. ERR_GONE when the validity is
 * another than `validity` (0: any). */
enum err imapc_select(struct imapc *imap, struct call *call, const char *remote, uint32_t validity);
/* Makes the view current, unless it is: what another client has expunged is not shown after it. */
enum err imapc_renew_view(struct imapc *imap, struct call *call);

/* ---- the operations ---- */
enum err imapc_list_folders(struct backend *, struct call *, bool with_status,
                            struct folder_sink *);
enum err imapc_sync(struct backend *, struct call *, const struct folder_known *,
                    uint32_t first_page, struct change_sink *);
enum err imapc_fetch_older(struct backend *, struct call *, const struct folder_known *,
                           uint32_t count, struct change_sink *, uint32_t *floor);
enum err imapc_fetch_one(struct backend *, struct call *, const struct folder_known *, uint32_t uid,
                         struct change_sink *);
enum err imapc_previews(struct backend *, struct call *, const struct folder_known *,
                        const struct preview_wish *, uint32_t count, struct preview_sink *);
enum err imapc_read_part(struct backend *, struct call *, const struct part_wish *, struct sink *);
enum err imapc_part_size(struct backend *, struct call *, const struct part_wish *, uint64_t *out);
enum err imapc_read_headers(struct backend *, struct call *, const struct part_wish *,
                            struct header_sink *);
enum err imapc_change_flags(struct backend *, struct call *, const struct folder_known *,
                            uint32_t uid, const struct flag_change *, struct change_sink *);
enum err imapc_quota(struct backend *, struct call *, struct quota_resource **out, uint32_t *count);

#endif

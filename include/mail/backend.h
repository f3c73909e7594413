/* backend.h - the seam to the mail servers: one live, signed-in connection behind a table of calls.
 *
 * The contract, for every implementation:
 *  - Threads: one thread uses a backend at a time; backend_cancel alone may come from another.
 *  - Calls block, at most until call->deadline_ms. What a call returns lives in call->arena; what a
 *    sink is shown lives only during that callback.
 *  - Failure: an err_kills_connection() code means the connection must be closed; every other
 * leaves it usable. call->fault is set by whoever fails first; a sink's own refusal passes through
 *    unchanged.
 *  - Memory: records go out one by one; 100,000 messages never exist at once.
 *  - Names: `remote` is opaque to the caller. Sequence numbers, modified UTF-7 and libetpan's types
 *    stay below. Everything crosses as plain data and streams, so that the far side may be another
 * process.
 *  - No command that could change anything is ever sent twice.
 */
#ifndef POSTERN_BACKEND_H
#define POSTERN_BACKEND_H

#include "call.h"
#include "mailbox.h"
#include "secret.h"
#include "sink.h"

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct reach;
struct tls_trust;
struct wall;

enum backend_protocol { PROTOCOL_IMAP, PROTOCOL_POP3, PROTOCOL_COUNT };
enum backend_security { SECURITY_TLS, SECURITY_STARTTLS, SECURITY_NONE, SECURITY_COUNT };
/* "imap", "starttls": the words of settings, JSON, metrics and of what account ids are made. */
const char *backend_protocol_name(enum backend_protocol protocol);
const char *backend_security_name(enum backend_security security);
uint16_t backend_usual_port(enum backend_protocol protocol, enum backend_security security);

/* Limits of this layer that no setting changes; GET /v1 shows them. What is over one of the second
 * group is left out or cut, see enum message_limit. */
enum {
    BACKEND_USERNAME_BYTES_MAX = 512,
    BACKEND_PASSWORD_BYTES_MAX = 1024,
    BACKEND_TOKEN_BYTES_MAX = 16384, /* access tokens are long */
    BACKEND_KEYWORD_BYTES_MAX = 64,

    BACKEND_KEYWORDS_MAX = 256,         /* of a message */
    BACKEND_PARTS_MAX = 10000,          /* of a message, whatever the setting */
    BACKEND_ADDRESSES_MAX = 5000,       /* of a header */
    BACKEND_MESSAGE_IDS_MAX = 1000,     /* of a header */
    BACKEND_MESSAGE_ID_BYTES_MAX = 998, /* RFC 5322 2.1.1: what fits on a line */
    BACKEND_RANGES_MAX = 1000000,       /* of uids, in one present() or removed() */
    BACKEND_HEADERS_MAX = 10000,        /* of a header section */
    BACKEND_HEADER_SECTION_BYTES_MAX = 1024 * 1024,
    BACKEND_HEADER_NAME_BYTES_MAX = 256,
    BACKEND_HEADER_VALUE_BYTES_MAX = 64 * 1024, /* decoded */
    BACKEND_PREVIEW_CHARS_MAX = 200,
};

/* What all connections of a process share. Immutable. */
struct backend_world {
    const struct reach *reach;
    const struct tls_trust *trust;
    /* Limits on what a server may send, see the settings table. */
    uint32_t line_bytes_max;    /* one line outside literals: 64 KiB */
    uint32_t literal_bytes_max; /* a literal outside streamed content: 8 MiB */
    uint32_t nesting_max;       /* parentheses: 100 */
    uint32_t untagged_max; /* responses one command may bring besides what it asked for: 200,000 */
    uint32_t folders_max;  /* 100,000 */
    uint64_t command_bytes_max; /* one command's answer, content included: 4 GiB */
    uint64_t answer_bytes_max;  /* one command's answer that brings no content: 256 MiB */
    uint32_t command_ms_max;    /* one command, however long its caller would wait: 30 minutes */
    uint32_t parts_max;         /* parts of a message that are described: 10,000 */
    /* One message's structure, headers and preview: what is over is left out, see LIMITED_TIME. */
    uint32_t message_cpu_ms_max; /* 250 */
    uint64_t message_bytes_max;  /* memory: 64 MiB */
    struct wall *wall;           /* the workers that backend_walled speaks to; NULL elsewhere */
};

/* The settings' defaults, for a world that no settings make. Every limit has to be set: 0 is none
 * at all, not no limit. */
#define BACKEND_WORLD_LIMITS                                                                       \
    .line_bytes_max = 64u << 10, .literal_bytes_max = 8u << 20, .nesting_max = 100,                \
    .untagged_max = 200000, .folders_max = 100000, .command_bytes_max = 4ull << 30,                \
    .answer_bytes_max = 256ull << 20, .command_ms_max = 30u * 60 * 1000, .parts_max = 10000,       \
    .message_cpu_ms_max = 250, .message_bytes_max = 64ull << 20

struct backend_target {
    const struct backend_world *world; /* borrowed for the connection's life */
    enum backend_protocol protocol;
    enum backend_security security;
    const char *host;
    uint16_t port;
    const char *username;
    const struct secret *password;     /* one of the two; borrowed, used only during open */
    const struct secret *access_token; /* XOAUTH2 / OAUTHBEARER */
    /* Connected by somebody who may do so: `socket` is used, and owned by open from the first
     * moment. */
    bool connected;
    int socket;
    /* Called when the thread is about to wait for the mail server: time to send on what is held. */
    void (*before_wait)(void *argument);
    void *before_wait_argument;
};

enum backend_cap { /* what this very server offers */
                   CAP_FOLDERS = 1 << 0,
                   CAP_FLAGS = 1 << 1,
                   CAP_KEYWORDS = 1 << 2,
                   CAP_PARTIAL_FETCH = 1 << 3,
                   CAP_SEARCH = 1 << 4,
                   CAP_SORT = 1 << 5,
                   CAP_THREADS = 1 << 6,
                   CAP_MOVE = 1 << 7,
                   CAP_APPEND = 1 << 8,
                   CAP_IDLE = 1 << 9,
                   CAP_CONDSTORE = 1 << 10,
                   CAP_QRESYNC = 1 << 11,
                   CAP_QUOTA = 1 << 12,
                   CAP_SPECIAL_USE = 1 << 13,
                   CAP_LIST_STATUS = 1 << 14,
                   CAP_UIDPLUS = 1 << 15,
                   CAP_BINARY = 1 << 16,
                   CAP_PREVIEW = 1 << 17,
                   CAP_OBJECTID = 1 << 18,
                   CAP_NAMESPACE = 1 << 19,
                   CAP_ESEARCH = 1 << 20,
                   CAP_ID = 1 << 21,
};

/* What the mirror knows of a folder, so that the backend can tell the difference cheaply. */
struct folder_known {
    const char *remote;
    uint64_t generation; /* changes whenever the mirror forgot the folder; 0 is never used */
    uint32_t validity;   /* 0: nothing is known */
    uint32_t uid_next;
    uint32_t floor; /* every message with uid >= floor is mirrored, none below; 1: all */
    uint32_t count; /* mirrored messages */
    /* For sync. What the server tells this connection is what changed since it last told this
     * connection; the mirror may have heard of other states meanwhile, through others, that this
     * one never saw come and go. So these uids (ascending) are asked for whatever the server tells;
     * with `compare` there are too many, or it is not known which. */
    const uint32_t *doubtful;
    uint32_t doubtful_count;
    bool compare;
    uint64_t modseq;
};

/* The folder as it is now. */
struct folder_facts {
    uint32_t validity, uid_next, exists;
    uint64_t modseq;
    bool read_only;
    bool keywords_allowed; /* PERMANENTFLAGS has \* */
};

/* Where sync tells what differs. Each may refuse (non-OK), which ends the call. */
struct change_sink {
    /* First, once. `reset`: the validity is new; whatever was known is void and the floor above
     * all. */
    enum err (*folder)(struct change_sink *, const struct folder_facts *, bool reset);
    enum err (*message)(struct change_sink *, const struct message *); /* new, or all of it anew */
    /* Its flags as they are now; need not differ from what is known. */
    enum err (*flags)(struct change_sink *, uint32_t uid, uint32_t flags,
                      const struct string_list *keywords, uint64_t modseq);
    /* All uids that exist from `from` up: what is known there and not among them is gone. */
    enum err (*present)(struct change_sink *, uint32_t from, const struct uid_range *,
                        uint32_t count);
    enum err (*removed)(struct change_sink *, const struct uid_range *, uint32_t count);
};

struct folder_sink {
    enum err (*folder)(struct folder_sink *, const struct folder_listing *);
};

struct preview_sink {
    /* At most BACKEND_PREVIEW_CHARS_MAX characters, white space folded; "" when the message has no
     * text. */
    enum err (*preview)(struct preview_sink *, uint32_t uid, const char *text);
};

/* Which section of which message a preview is made of. */
struct preview_wish {
    uint32_t uid;
    const char *part, *type, *charset, *encoding; /* of the text leaf; part NULL: no text */
};

struct header_sink {
    /* In order; the value unfolded and decoded. */
    enum err (*header)(struct header_sink *, const char *name, const char *value);
    uint32_t limited; /* set by the call: what was left out, enum message_limit */
};

enum read_mode {
    READ_RAW,       /* the bytes as they stand in the message */
    READ_DECODED,   /* transfer encoding undone */
    READ_TEXT,      /* and the charset made UTF-8, line ends LF, no NUL */
    READ_HTML_TEXT, /* and HTML made plain text */
};

struct part_wish {
    const char *remote; /* folder */
    uint32_t validity;  /* the folder's, as known; another one now is ERR_GONE */
    uint32_t uid;
    const char *part;      /* section number; "" for the whole message (READ_RAW only) */
    const char *encoding;  /* of the part, from its structure */
    const char *charset;   /* for READ_TEXT */
    uint64_t encoded_size; /* a hint for choosing partial fetches; 0: unknown */
    enum read_mode mode;
    uint64_t first, last; /* wanted bytes of the result; UINT64_MAX: to the end */
};

struct flag_change {
    uint32_t add, remove; /* enum message_flag; disjoint */
    struct string_list add_keywords, remove_keywords;
};

struct backend_info {
    uint32_t caps;
    const char *capability_text; /* as the server lists them after sign-in, cleaned */
    const char *server_name;     /* from ID, cleaned, or NULL */
};

struct backend_ops {
    const char *name; /* "imap" */
    enum err (*open)(const struct backend_target *, struct call *, const volatile bool *cancelled,
                     struct backend **out);
    void (*close)(struct backend *); /* says goodbye without waiting */
    void (*cancel)(
        struct backend *); /* any thread: the running and all later calls ERR_CANCELLED */
    void (*info)(struct backend *, struct arena *, struct backend_info *out);
    int (*fd)(struct backend *); /* for poll() while idle: readable means news or end */
    enum err (*noop)(struct backend *, struct call *); /* keeps it alive, finds out whether it is */
    /* All folders, with status where `with_status` (one command with LIST-STATUS, else one STATUS a
     * folder, never for the one selected here). */
    enum err (*list_folders)(struct backend *, struct call *, bool with_status,
                             struct folder_sink *);
    /* Makes the view current (one round trip when nothing changed and the folder is selected here),
     * then reports what differs. A folder of which nothing is known reports its `first_page` newest
     * messages only; otherwise everything new since known->uid_next. Once it returned OK everything
     * reported is taken as recorded. */
    enum err (*sync)(struct backend *, struct call *, const struct folder_known *,
                     uint32_t first_page, struct change_sink *);
    /* The `count` newest messages below known->floor, newest first by uid, through sink->message
     * only (sink->folder comes first). *floor: the floor after that; 1 when all are told. Begins by
     * making the view current (NOOP), as fetch_one does: what it tells is never older
     * than the call; news it learns that way stay pending for the next sync. */
    enum err (*fetch_older)(struct backend *, struct call *, const struct folder_known *,
                            uint32_t count, struct change_sink *, uint32_t *floor);
    /* One message anew, whole record; ERR_GONE when it does not exist any more. */
    enum err (*fetch_one)(struct backend *, struct call *, const struct folder_known *,
                          uint32_t uid, struct change_sink *);
    /* All wishes in one pipelined exchange. */
    enum err (*previews)(struct backend *, struct call *, const struct folder_known *,
                         const struct preview_wish *, uint32_t count, struct preview_sink *);
    /* ERR_GONE when the message is not there any more. After a sink's refusal the backend may have
     * to kill the connection; it then says so by ERR_CANCELLED. */
    enum err (*read_part)(struct backend *, struct call *, const struct part_wish *, struct sink *);
    /* The exact decoded size (BINARY.SIZE where offered, else by reading it). */
    enum err (*part_size)(struct backend *, struct call *, const struct part_wish *, uint64_t *out);
    /* The header section of the message (part "") or of a message/rfc822 part. */
    enum err (*read_headers)(struct backend *, struct call *, const struct part_wish *,
                             struct header_sink *);
    /* Tells sink->flags what the server says the flags are now. ERR_GONE; ERR_REFUSED when the
     * server would not (read-only folder, keyword not allowed). */
    enum err (*change_flags)(struct backend *, struct call *, const struct folder_known *,
                             uint32_t uid, const struct flag_change *, struct change_sink *);
    /* ERR_UNSUPPORTED without CAP_QUOTA. */
    enum err (*quota)(struct backend *, struct call *, struct quota_resource **out,
                      uint32_t *count);
};

/* Every implementation begins its object with this. */
struct backend {
    const struct backend_ops *ops;
    enum backend_protocol protocol;
    bool dead;            /* set by the wrappers below: the last call ended the connection */
    uint8_t host_class;   /* backend.c's own, for metrics */
    const char *selected; /* remote name of the folder selected now, or NULL: for affinity */
};

extern const struct backend_ops backend_imap; /* RFC 3501 and friends, on libetpan */
/* In this process, by protocol; NULL: not offered. */
extern const struct backend_ops *const backend_direct[PROTOCOL_COUNT];

/* Once, before threads: GMime, libetpan's extension table, debug hooks off. */
void backend_init(void);
/* Loads what this layer would else load from files while it works: charset converters. Afterwards
 * no call opens a file. About 5 ms and 1 MiB. */
void backend_preload(void);

/* ---- the only callers of ops: each checks arguments, counts and times (call->upstream_us) ---- */
enum err backend_open(const struct backend_ops *ops, const struct backend_target *target,
                      struct call *call, const volatile bool *cancelled, struct backend **out);
void backend_close(struct backend **backend);
void backend_cancel(struct backend *backend);
void backend_info_get(struct backend *backend, struct arena *arena, struct backend_info *out);
int backend_fd(struct backend *backend);
enum err backend_noop(struct backend *backend, struct call *call);
enum err backend_list_folders(struct backend *backend, struct call *call, bool with_status,
                              struct folder_sink *sink);
enum err backend_sync(struct backend *backend, struct call *call, const struct folder_known *known,
                      uint32_t first_page, struct change_sink *sink);
enum err backend_fetch_older(struct backend *backend, struct call *call,
                             const struct folder_known *known, uint32_t count,
                             struct change_sink *sink, uint32_t *floor);
enum err backend_fetch_one(struct backend *backend, struct call *call,
                           const struct folder_known *known, uint32_t uid,
                           struct change_sink *sink);
enum err backend_previews(struct backend *backend, struct call *call,
                          const struct folder_known *known, const struct preview_wish *wishes,
                          uint32_t count, struct preview_sink *sink);
enum err backend_read_part(struct backend *backend, struct call *call, const struct part_wish *wish,
                           struct sink *sink);
enum err backend_part_size(struct backend *backend, struct call *call, const struct part_wish *wish,
                           uint64_t *out);
enum err backend_read_headers(struct backend *backend, struct call *call,
                              const struct part_wish *wish, struct header_sink *sink);
enum err backend_change_flags(struct backend *backend, struct call *call,
                              const struct folder_known *known, uint32_t uid,
                              const struct flag_change *change, struct change_sink *sink);
enum err backend_quota(struct backend *backend, struct call *call, struct quota_resource **out,
                       uint32_t *count);

/* Before any traffic: is the host's name well formed (ERR_INVALID at /host), and may it be
 * connected to (ERR_HOST_NOT_ALLOWED)? */
enum err backend_check_host(const struct backend_world *world, const char *host, uint16_t port,
                            struct fault *fault);

/* Strings that reach a mail server: ERR_INVALID at `pointer` for CR, LF, NUL and over-long ones;
 * for control characters, too, in user names; and in tokens for all but printable ASCII (RFC 6749
 * A.12), because 0x01 parts the fields of the messages that carry them. */
enum err backend_check_username(const char *text, const char *pointer, struct fault *fault);
enum err backend_check_password(const struct secret *password, const char *pointer,
                                struct fault *fault);
enum err backend_check_token(const struct secret *token, const char *pointer, struct fault *fault);
/* A keyword: an atom (RFC 3501 flag-keyword), 1 to BACKEND_KEYWORD_BYTES_MAX bytes, not beginning
 * with a backslash. */
bool backend_keyword_is_valid(const char *keyword);

#endif

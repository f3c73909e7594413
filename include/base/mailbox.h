/* mailbox.h - the nouns that mail, store, session and api share, as plain data.
 *
 * All text is valid UTF-8 without control characters (decoded per RFC 2047, RFC 2231, or by guess
 * for raw 8-bit) unless it is called `remote`: those are the mail server's own bytes, opaque,
 * handed back to it as they came. NULL text is absent, "" is present and empty. Everything is owned
 * by the arena it was made in.
 */
#ifndef POSTERN_MAILBOX_H
#define POSTERN_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_flag {
    FLAG_SEEN = 1 << 0,
    FLAG_FLAGGED = 1 << 1,
    FLAG_ANSWERED = 1 << 2,
    FLAG_DRAFT = 1 << 3,
    FLAG_DELETED = 1 << 4,
};
#define FLAG_ALL 0x1f

struct address {
    const char *name;  /* NULL or "" when none */
    const char *email; /* NULL for a group without members */
    const char
        *group; /* the group's name when the address stood in one (RFC 5322 3.4), else NULL */
};

struct address_list {
    const struct address *items;
    uint32_t count;
};

struct string_list {
    const char *const *items;
    uint32_t count;
};

struct envelope {
    const char *subject;
    struct address_list from, sender, reply_to, to, cc, bcc;
    bool has_date; /* the Date header could be read */
    int64_t date_s;
    const char *message_id; /* without angle brackets, as are the next two */
    struct string_list in_reply_to, references;
};

/* One node of the MIME tree, in pre-order; [0] is the root. */
struct part {
    const char *id;          /* section number, RFC 3501 6.4.5: "1.2"; "" for a root multipart */
    const char *type;        /* lower case, "text/html" */
    const char *charset;     /* as declared, lower case, or NULL */
    const char *name;        /* file name without path parts, or NULL */
    const char *disposition; /* "inline" "attachment", lower case, or NULL */
    const char *content_id;  /* without angle brackets, or NULL */
    const char *encoding;  /* lower case: "base64" "quoted-printable" "7bit" "8bit" "binary" ... */
    uint64_t encoded_size; /* bytes on the wire; 0 for a multipart */
    int64_t size;          /* decoded bytes, exact, or -1 while not known */
    int32_t parent;        /* index of the containing node, -1 for the root */
};

enum message_limit {                              /* why a message is only partly described */
                     LIMITED_UNREADABLE = 1 << 0, /* structure or envelope could not be parsed */
                     LIMITED_DEPTH = 1 << 1,
                     LIMITED_PARTS = 1 << 2,
                     LIMITED_HEADERS = 1 << 3,
                     LIMITED_ADDRESSES = 1 << 4,
                     LIMITED_TIME = 1 << 5, /* of the processor */
                     LIMITED_MEMORY = 1 << 6,
};
#define LIMITED_ALL 0x7fu

struct message {
    uint32_t uid;          /* within the folder's current validity */
    const char *remote_id; /* EMAILID, X-GM-MSGID or UIDL when the server has one, else NULL */
    uint64_t modseq;       /* 0: unknown */
    uint32_t flags;        /* enum message_flag */
    struct string_list keywords; /* as the server spells them, sorted, without system flags */
    int64_t received_s;          /* INTERNALDATE */
    uint64_t size;               /* RFC822.SIZE */
    struct envelope envelope;
    const struct part *parts;
    uint32_t part_count; /* 0 when unreadable */
    bool has_attachment; /* see parts_have_attachment */
    uint32_t limited;    /* enum message_limit */
};

enum folder_role {
    ROLE_NONE,
    ROLE_INBOX,
    ROLE_SENT,
    ROLE_DRAFTS,
    ROLE_TRASH,
    ROLE_JUNK,
    ROLE_ARCHIVE,
    ROLE_ALL,
    ROLE_FLAGGED,
    ROLE_COUNT
};
enum role_source { ROLE_FROM_SERVER, ROLE_FROM_NAME, ROLE_FROM_USER };

const char *folder_role_name(enum folder_role role);  /* "inbox"; NULL for none */
enum folder_role folder_role_parse(const char *name); /* ROLE_NONE when it is none */

/* One folder as the mail server lists it. */
struct folder_listing {
    const char *remote; /* the mailbox name as the server spells it */
    const char *path;   /* levels joined by '/'; a '/' inside a level stands as U+2215 */
    enum folder_role role;
    enum role_source role_source;
    bool subscribed, selectable;
    bool has_status; /* the next six are known */
    uint32_t messages, unseen;
    uint32_t uid_next, uid_validity;
    uint64_t modseq; /* HIGHESTMODSEQ, 0: not offered */
    int64_t size;    /* bytes in the folder, -1: unknown */
};

/* [first, last], ascending and disjoint in any list of them. */
struct uid_range {
    uint32_t first, last;
};

struct quota_resource {
    const char *root, *name; /* "STORAGE" (KiB on the wire, bytes here) or "MESSAGE" */
    uint64_t used, limit;
};

/* ---- questions about a MIME tree ---- */
/* A part a person would call an attachment: disposition attachment, or a named or non-text leaf
 * that is no inline image of a multipart/related, no signature of a multipart/signed. */
bool part_is_attachment(const struct part *parts, uint32_t count, uint32_t index);
bool parts_have_attachment(const struct part *parts, uint32_t count);
/* The leaf that best shows the message as "text/plain" or "text/html": the first such one outside
 * attachments, preferring within multipart/alternative; -1 when there is none. */
int32_t parts_find_text(const struct part *parts, uint32_t count, const char *type);
int32_t parts_find(const struct part *parts, uint32_t count, const char *id); /* -1: no such part */

#endif

/* err.h - the one vocabulary of failure, for all layers, free of HTTP.
 *
 * A `struct fault` travels in the call. It is written once, by the function that knows what
 * happened (fault_set), and passed up untouched: `if (err) return err;`. api/problem.c alone turns
 * it into a status and a problem document. A fault holds no credential, no subject and no address.
 */
#ifndef POSTERN_ERR_H
#define POSTERN_ERR_H

#include <stdbool.h>
#include <stdint.h>

/* Ordered by who can mend it: the caller, the account's owner, the mail server, ourselves. */
enum err {
    OK = 0,
    /* the request */
    ERR_INVALID,          /* malformed, out of range, unknown member; `pointer` says where */
    ERR_INVALID_CURSOR,   /* altered, or made for another list */
    ERR_UNAUTHORIZED,     /* no valid token or login of ours */
    ERR_FORBIDDEN,        /* the token's scope is too small */
    ERR_HOST_NOT_ALLOWED, /* policy forbids connecting to that mail host or port */
    ERR_NOT_FOUND,        /* no such thing, or not this caller's */
    ERR_METHOD,           /* the path exists, not with this method; `allow` in the route table */
    ERR_NOT_ACCEPTABLE,
    ERR_REQUEST_TIMEOUT, /* the client was too slow */
    ERR_CONFLICT,
    ERR_ALREADY_EXISTS,
    ERR_LENGTH_REQUIRED,
    ERR_GONE,         /* was here once and never comes back */
    ERR_PRECONDITION, /* If-Match does not match */
    ERR_TOO_LARGE,    /* over a limit of ours */
    ERR_URI_TOO_LONG,
    ERR_MEDIA_TYPE,
    ERR_RANGE,
    ERR_EXPECTATION,
    ERR_HEADERS_TOO_LARGE,
    ERR_UNSUPPORTED, /* the server or protocol lacks it and we cannot supply it */
    ERR_THROTTLED,
    /* the account */
    ERR_LOGIN,  /* the mail server refused the credentials */
    ERR_LOCKED, /* POP3 [IN-USE] */
    /* the mail server */
    ERR_UNREACHABLE, /* name not found, connection refused or lost */
    ERR_TLS,         /* handshake or certificate */
    ERR_PROTOCOL,    /* it sent what it must not; the connection is dead */
    ERR_REFUSED,     /* a tagged NO; the connection lives */
    ERR_TIMEOUT,     /* the deadline passed; the connection is dead */
    ERR_WORKER,      /* the process that spoke with it ended; the connection is dead */
    ERR_OVER_QUOTA,
    ERR_NOT_CACHED, /* only-if-cached, and the mirror does not know */
    /* ourselves */
    ERR_BUSY,          /* queue full, no connection free */
    ERR_SHUTTING_DOWN, /* draining */
    ERR_CANCELLED,     /* the client left, or we stop; nobody reads the answer */
    ERR_STORE,         /* our disk or database */
    ERR_INTERNAL,
    ERR_COUNT
};

/* err_name: the identifier without prefix, lower case with dashes ("not-found"); for logs and
 * metrics. */
const char *err_name(enum err err);

/* True when a connection on which this happened must not be used again. */
bool err_kills_connection(enum err err);

struct fault {
    enum err code;
    int retry_after_s; /* 0: nothing known */
    bool pointed;      /* `pointer` says what it is about */
    char pointer[96];  /* RFC 6901 pointer or parameter name; "": the whole body */
    char detail[256];  /* one line for a person, no "failed to" in front */
    char reply[304];   /* the mail server's own text, cleaned of control characters; may be "" */
    char protocol[8];  /* "imap", "pop3": who said `reply` */
};

/* Sets code and detail unless a fault is already set (the lowest layer knows best); returns the
 * code that stands. */
enum err fault_set(struct fault *fault, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, about one member of the request: pointer is "/limit" for a body, "" for all of
 * it, "limit" for a query. */
enum err fault_at(struct fault *fault, enum err code, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What a fault from further below is about, by one who knows the request; the first to say so wins.
 */
void fault_point(struct fault *fault, const char *pointer);

/* Keeps what the mail server said: control characters become blanks, invalid UTF-8 U+FFFD, cut to
 * 300 bytes. Call before fault_set; never with a line that may echo a credential. */
void fault_reply(struct fault *fault, const char *protocol, const char *text, uint32_t length);

void fault_clear(struct fault *fault);

#endif

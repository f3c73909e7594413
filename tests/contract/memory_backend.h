/* memory_backend.h - a third implementation of backend.h: a mail server in memory, with scripted
 * faults.
 *
 * It keeps the contract honest (tests/contract runs the same suite over it and over IMAP) and lets
 * the session layer be tested, under ThreadSanitizer too, without a network. A server is found by
 * its name: open() connects to the one whose name is target->host. Everything here may be called
 * from any thread; a connection used by two threads at once aborts the program and says so.
 *
 * It reads only the mail that tests write: one part, or multipart/mixed of one level, base64 or
 * not.
 */
#ifndef POSTERN_MEMORY_BACKEND_H
#define POSTERN_MEMORY_BACKEND_H

#include "backend.h"

enum memory_op {
    MEMORY_OPEN,
    MEMORY_NOOP,
    MEMORY_LIST,
    MEMORY_SYNC,
    MEMORY_OLDER,
    MEMORY_ONE,
    MEMORY_PREVIEWS,
    MEMORY_READ,
    MEMORY_SIZE,
    MEMORY_HEADERS,
    MEMORY_FLAGS,
    MEMORY_QUOTA,
    MEMORY_OPS,
    MEMORY_ANY = MEMORY_OPS /* in a fault: whichever comes */
};

struct memory_fault {
    enum memory_op op;
    uint32_t skip;  /* so many calls go well before */
    uint32_t times; /* so many go wrong; 0: one */
    int delay_ms;   /* first; a cancel or the deadline ends it early */
    bool block;     /* then, until cancelled, the deadline, or memory_server_release */
    enum err err;   /* then; OK: the call goes on as if nothing had been */
    bool late;      /* err only after all was done and told, as when the process that did it dies */
    int retry_after_s; /* what the fault says of it */
};

struct memory_stats {
    uint32_t calls[MEMORY_OPS];
    uint32_t opened, open, most_open; /* connections */
    uint32_t running, most_running;   /* calls inside the server at one moment */
    uint32_t blocked;                 /* calls that a fault holds now */
};

struct memory_server;

extern const struct backend_ops memory_backend;

/* One login, "user" with "secret"; an empty INBOX; all caps it can honour. */
struct memory_server *memory_server_new(const char *name);
void memory_server_free(struct memory_server **server); /* all connections closed before */
void memory_server_set_login(struct memory_server *server, const char *username,
                             const char *password);
void memory_server_set_caps(struct memory_server *server, uint32_t caps);

void memory_server_add_folder(struct memory_server *server, const char *path);
void memory_server_set_read_only(struct memory_server *server, const char *path, bool read_only);
/* The folder is deleted and made again: same messages, new validity, new uids. */
void memory_server_change_validity(struct memory_server *server, const char *path);
uint32_t memory_server_deliver(struct memory_server *server, const char *path, const char *raw,
                               size_t length); /* its uid */
/* False when there is no such message. keyword may be NULL. */
bool memory_server_flag(struct memory_server *server, const char *path, uint32_t uid,
                        uint32_t flags, const char *keyword);
bool memory_server_expunge(struct memory_server *server, const char *path, uint32_t uid);

void memory_server_script(struct memory_server *server, const struct memory_fault *fault);
void memory_server_release(struct memory_server *server); /* ends all faults and all blocking */
/* Every open connection is lost: its next call, and the running blocked ones, are ERR_UNREACHABLE.
 */
void memory_server_drop_connections(struct memory_server *server);
struct memory_stats memory_server_stats(struct memory_server *server);

#endif

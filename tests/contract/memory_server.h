/* memory_server.h - what memory_server.c, memory_message.c and memory_backend.c share. */
#ifndef POSTERN_MEMORY_SERVER_H
#define POSTERN_MEMORY_SERVER_H

#include "memory_backend.h"

#include <pthread.h>

#define FAULTS_MOST   32
#define KEYWORDS_MOST 16

struct memory_message {
    uint32_t uid, flags;
    uint64_t modseq;
    int64_t received_s;
    char *keywords[KEYWORDS_MOST];
    uint32_t keyword_count;
    char *raw;
    size_t length;
};

struct memory_gone {
    uint32_t uid;
    uint64_t modseq;
};

struct memory_folder {
    struct memory_folder *next;
    char *path;
    uint32_t validity, uid_next;
    uint64_t modseq;
    bool read_only;
    struct memory_message *messages; /* by uid */
    uint32_t count, capacity;
    struct memory_gone *gone;
    uint32_t gone_count, gone_capacity;
};

struct memory_connection {
    struct backend backend;
    struct memory_server *server;
    struct memory_connection *next;
    char *selected;
    bool cancelled, lost;
    struct call *call;                     /* the running one */
    enum err late;                         /* how it ends after all was done */
    int busy;                              /* atomic: 1 while a thread is inside */
    int news;                              /* eventfd: readable when the selected folder changed */
    uint64_t told_generation, told_modseq; /* what sync said last, and to which view */
    char *told_remote;
};

struct memory_server {
    struct memory_server *next;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *name, *username, *password;
    uint32_t caps, next_validity;
    struct memory_folder *folders;
    struct memory_connection *connections;
    struct memory_fault faults[FAULTS_MOST];
    uint32_t fault_count;
    uint32_t releases; /* how often memory_server_release was called */
    struct memory_stats stats;
};

struct memory_server *memory_server_find(const char *name);
struct memory_folder *memory_folder_find(struct memory_server *server, const char *path);
struct memory_message *memory_message_find(struct memory_folder *folder, uint32_t uid);
bool memory_keyword_has(const struct memory_message *message, const char *keyword);
void memory_keyword_set(struct memory_message *message, const char *keyword, bool on);
/* The message changed: a new modseq, and news for who has the folder selected. Lock held. */
void memory_folder_touch(struct memory_server *server, struct memory_folder *folder,
                         struct memory_message *message);
/* Applies the faults scripted for this call. Lock held, given up while it waits. `connection` NULL:
 * `cancelled` is polled instead. */
enum err memory_server_suffer(struct memory_server *server, struct memory_connection *connection,
                              const volatile bool *cancelled, enum memory_op op, struct call *call);

/* ---- memory_message.c ---- */
void memory_message_describe(struct arena *arena, const struct memory_message *from,
                             struct message *out);
/* The bytes of a part as `mode` wants them, in the arena; false when there is no such part. */
bool memory_message_read(struct arena *arena, const char *raw, size_t length, const char *part,
                         enum read_mode mode, const char **out, size_t *out_length);

#endif

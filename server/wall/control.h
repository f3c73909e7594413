/* control.h - what the main process and a worker say to each other beside the connections.
 *
 * One SOCK_SEQPACKET pair for each worker. Down: START, once; then BOARD, each with two descriptors
 * (a channel's far end, a connected mail socket), and PING. Up: READY or FAILED, once; then PONG
 * for each PING, and nothing else. Its end is the worker's end.
 */
#ifndef POSTERN_CONTROL_H
#define POSTERN_CONTROL_H

#include "frame.h"
#include "log.h"
#include "wall.h"

#define CONTROL_FD        3 /* in the worker */
#define CONTROL_BYTES_MAX 8192
#define CONTROL_TEXT_MAX  255

enum control_kind {
    CONTROL_START = 1,
    CONTROL_READY,
    CONTROL_FAILED,
    CONTROL_BOARD,
    CONTROL_PING, /* is anybody there? */
    CONTROL_PONG,
    CONTROL_KINDS_END,
};

struct control_start {
    struct backend_world limits; /* only its limits */
    const char *ca_file;         /* NULL: the system's; points into the message when taken */
    enum wall_sandbox sandbox;
    uint64_t memory_max;
    uint32_t threads_max;
    enum log_level log_level;
};

/* Sending never waits: 0 or errno. */
int control_send_start(int socket, const struct control_start *start);
int control_send_ready(int socket, uint32_t confinement);
int control_send_failed(int socket, const char *detail);
int control_send_board(int socket, int channel_fd, int mail_fd); /* both stay the caller's */
int control_send_sign(int socket, enum control_kind kind);       /* PING, PONG */

struct control_message {
    enum control_kind kind;
    struct control_start start;      /* START */
    uint32_t confinement;            /* READY */
    char text[CONTROL_TEXT_MAX + 1]; /* FAILED; clean */
    int channel_fd, mail_fd;         /* BOARD: the receiver's */
    char bytes[CONTROL_BYTES_MAX];   /* what `start` points into */
};

/* Descriptors that come with anything but BOARD are closed. ERR_WORKER: the other end is gone.
 * ERR_BUSY: nothing there, on a socket that does not wait, or for once no descriptor to be had: the
 * message is lost, the next may do. ERR_PROTOCOL. */
enum err control_receive(int socket, struct control_message *out);

#endif

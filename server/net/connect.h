/* connect.h - from a list of addresses to one connected socket. */
#ifndef POSTERN_CONNECT_H
#define POSTERN_CONNECT_H

#include "err.h"
#include "resolve.h"

#include <stdbool.h>
#include <stdint.h>

/* Tries the addresses in order, each with a fair share of the time that is left. The socket is
 * non-blocking, close-on-exec, without Nagle's delay, with keep-alive; *peer is the address that
 * answered. ERR_UNREACHABLE, ERR_TIMEOUT, ERR_CANCELLED, ERR_BUSY (no descriptors left). */
enum err connect_any(const struct address_list *list, int64_t deadline_ms,
                     const volatile bool *cancelled, struct fault *fault, int *fd_out,
                     union ip_socket *peer);

#endif

/* resolve.h - getaddrinfo() that can be left.
 *
 * The C library's resolver neither knows deadlines nor can be interrupted, so it runs in at most
 * RESOLVE_THREADS helper threads (256 KiB of stack, gone after ten idle seconds). A caller that
 * stops waiting walks away; the lookup it leaves ends by itself and frees itself. Callers that ask
 * for the same name at once share one lookup. At most RESOLVE_LOOKUPS_MAX distinct names are in
 * flight; above that ERR_BUSY. Nothing is cached: that is the local resolver's work.
 *
 * Weak spot: names whose DNS servers never answer hold a thread each for as long as resolv.conf's
 * timeouts say; with all threads so held, other names wait and may meet their deadline.
 */
#ifndef POSTERN_RESOLVE_H
#define POSTERN_RESOLVE_H

#include "err.h"
#include "ip.h"

#include <stdbool.h>
#include <stdint.h>

#define RESOLVE_THREADS       16
#define RESOLVE_LOOKUPS_MAX   256
#define RESOLVE_ADDRESSES_MAX 16

struct address_list {
    unsigned count;
    union ip_socket addresses[RESOLVE_ADDRESSES_MAX]; /* in the order to try, port set */
};

/* Numeric hosts answer at once. Families alternate (RFC 8305 section 4), beginning with the one the
 * system prefers. ERR_UNREACHABLE, ERR_TIMEOUT, ERR_CANCELLED, ERR_BUSY. */
enum err resolve_host(const char *host, uint16_t port, int64_t deadline_ms,
                      const volatile bool *cancelled, struct fault *fault,
                      struct address_list *out);

#endif

/* reach.h - which mail hosts may be connected to.
 *
 * By default: no loopback, private, link-local, multicast, documentation or other special addresses
 * (IPv4, IPv6, and IPv4 embedded in IPv6), and only the ports 110, 143, 993, 995. The address that
 * was checked is the address that is connected to, so a name that resolves differently the second
 * time gains nothing. Immutable after start: safe from every thread.
 */
#ifndef POSTERN_REACH_H
#define POSTERN_REACH_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct reach;

/* `allowed` adds to the default: a comma or blank separated list of names, addresses or networks
 * (10.0.0.0/8, fd00::/8), each with an optional :port ([fd00::1]:143 for IPv6); `*` for all; a name
 * may begin with "*." for its subdomains. An entry without a port allows all ports of that host.
 * ERR_INVALID names the bad entry. */
enum err reach_new(const char *allowed, struct fault *fault, struct reach **out);
void reach_free(struct reach **reach);

/* Syntax of a host: a DNS name (IDNA A-labels or plain ASCII LDH, at most 253), an IPv4 or IPv6
 * literal without brackets or zone. */
bool reach_host_is_valid(const char *host);

/* Before DNS: may this host and port be tried at all? ERR_HOST_NOT_ALLOWED. */
enum err reach_check_host(const struct reach *reach, const char *host, uint16_t port,
                          struct fault *fault);
/* After DNS: may this very address be connected to under that name? */
bool reach_permits(const struct reach *reach, const char *host, const struct sockaddr *address,
                   uint16_t port);

#endif

/* ip.h - an IPv4 or IPv6 address as bytes. An IPv4-mapped IPv6 address is IPv4 here, because that
 * is what the kernel makes of it. */
#ifndef POSTERN_IP_H
#define POSTERN_IP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct ip {
    int family;        /* AF_INET or AF_INET6 */
    uint8_t bytes[16]; /* network order; IPv4 uses the first four */
};

/* What connect() takes, without the 128 bytes of a sockaddr_storage. */
union ip_socket {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Strict literals: four decimal numbers, or IPv6 without brackets and zone. */
bool ip_parse(const char *text, struct ip *out);
bool ip_from_socket(const struct sockaddr *address, struct ip *out); /* false: another family */
void ip_to_socket(const struct ip *ip, uint16_t port, union ip_socket *out);
socklen_t ip_socket_length(const union ip_socket *address);

unsigned ip_bits(const struct ip *ip); /* 32 or 128 */
bool ip_is_within(const struct ip *ip, const struct ip *network, unsigned prefix_bits);

#endif

/* ip.c - addresses as bytes: parsing, prefixes, and the one place that unfolds IPv4-mapped IPv6. */
#include "ip.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void unfold_mapped(struct ip *ip)
{
    if (ip->family != AF_INET6 || memcmp(ip->bytes, mapped_prefix, sizeof mapped_prefix) != 0)
        return;
    ip->family = AF_INET;
    memmove(ip->bytes, ip->bytes + 12, 4);
    memset(ip->bytes + 4, 0, 12);
}

bool ip_parse(const char *text, struct ip *out)
{
    memset(out, 0, sizeof *out);
    out->family = AF_INET;
    if (inet_pton(AF_INET, text, out->bytes) == 1)
        return true;
    out->family = AF_INET6;
    if (inet_pton(AF_INET6, text, out->bytes) != 1)
        return false;
    unfold_mapped(out);
    return true;
}

bool ip_from_socket(const struct sockaddr *address, struct ip *out)
{
    memset(out, 0, sizeof *out);
    out->family = address->sa_family;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        memcpy(out->bytes, &v4.sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        memcpy(out->bytes, &v6.sin6_addr, 16);
        unfold_mapped(out);
        return true;
    }
    return false;
}

void ip_to_socket(const struct ip *ip, uint16_t port, union ip_socket *out)
{
    memset(out, 0, sizeof *out);
    if (ip->family == AF_INET) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        memcpy(&out->v4.sin_addr, ip->bytes, 4);
    } else {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        memcpy(&out->v6.sin6_addr, ip->bytes, 16);
    }
}

socklen_t ip_socket_length(const union ip_socket *address)
{
    return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

unsigned ip_bits(const struct ip *ip)
{
    return ip->family == AF_INET ? 32 : 128;
}

bool ip_is_within(const struct ip *ip, const struct ip *network, unsigned prefix_bits)
{
    if (ip->family != network->family)
        return false;
    unsigned whole = prefix_bits / 8, rest = prefix_bits % 8;
    if (memcmp(ip->bytes, network->bytes, whole) != 0)
        return false;
    return rest == 0 || ((ip->bytes[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}

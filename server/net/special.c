/* special.c - the IANA special-purpose address registries (IPv4 and IPv6, RFC 6890) as rows.
 *
 * The first row that holds the address decides, so longer prefixes stand before shorter ones.
 * Blocks that IANA calls globally reachable are refused too: they hold anycast services, no mail
 * servers. Where an IPv6 prefix only carries an IPv4 address to a translator or tunnel, the IPv4
 * address inside is judged. IPv6 outside 2000::/3 is not global unicast, whatever it may become.
 */
#include "special.h"

#include <stddef.h>
#include <string.h>

struct block4 {
    uint8_t bytes[4];
    uint8_t prefix_bits;
    const char *name;
};

static const struct block4 blocks4[] = {
    {{0}, 8, "this network"},
    {{10}, 8, "private"},
    {{100, 64}, 10, "carrier-grade NAT"},
    {{127}, 8, "loopback"},
    {{169, 254}, 16, "link-local"},
    {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "IETF protocol assignments"},
    {{192, 0, 2}, 24, "documentation"},
    {{192, 31, 196}, 24, "AS112"},
    {{192, 52, 193}, 24, "multicast tunneling"},
    {{192, 88, 99}, 24, "6to4 relay"},
    {{192, 168}, 16, "private"},
    {{192, 175, 48}, 24, "AS112"},
    {{198, 18}, 15, "benchmarking"},
    {{198, 51, 100}, 24, "documentation"},
    {{203, 0, 113}, 24, "documentation"},
    {{224}, 4, "multicast"},
    {{255, 255, 255, 255}, 32, "broadcast"},
    {{240}, 4, "reserved"},
};

enum verdict { REFUSED, PLAIN, INNER_LAST, INNER_6TO4, INNER_TEREDO };

struct block6 {
    uint8_t bytes[16];
    uint8_t prefix_bits;
    enum verdict verdict;
    const char *name;
};

/* clang-format off */
static const struct block6 blocks6[] = {
    {{[15] = 1}, 128, REFUSED, "loopback"},
    {{0}, 128, REFUSED, "unspecified"},
    {{0}, 96, REFUSED, "IPv4-compatible"},
    {{[10] = 0xff, 0xff}, 96, REFUSED, "IPv4-mapped"}, /* unfolded by ip.c; here for the reader */
    {{0x00, 0x64, 0xff, 0x9b}, 96, INNER_LAST, "IPv4 translation"},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, REFUSED, "local IPv4 translation"},
    {{0x01, 0x00}, 64, REFUSED, "discard-only"},
    {{0x01, 0x00, [7] = 1}, 64, REFUSED, "dummy prefix"},
    {{0x20, 0x01}, 32, INNER_TEREDO, "Teredo"},
    {{0x20, 0x01, 0x00, 0x01, [15] = 1}, 128, REFUSED, "port control anycast"},
    {{0x20, 0x01, 0x00, 0x01, [15] = 2}, 128, REFUSED, "TURN anycast"},
    {{0x20, 0x01, 0x00, 0x01, [15] = 3}, 128, REFUSED, "DNS-SD anycast"},
    {{0x20, 0x01, 0x00, 0x02}, 48, REFUSED, "benchmarking"},
    {{0x20, 0x01, 0x00, 0x03}, 32, REFUSED, "multicast tunneling"},
    {{0x20, 0x01, 0x00, 0x04, 0x01, 0x12}, 48, REFUSED, "AS112"},
    {{0x20, 0x01, 0x00, 0x10}, 28, REFUSED, "ORCHID"},
    {{0x20, 0x01, 0x00, 0x20}, 28, REFUSED, "ORCHIDv2"},
    {{0x20, 0x01, 0x00, 0x30}, 28, REFUSED, "drone identification"},
    {{0x20, 0x01}, 23, REFUSED, "IETF protocol assignments"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, REFUSED, "documentation"},
    {{0x20, 0x02}, 16, INNER_6TO4, "6to4"},
    {{0x26, 0x20, 0x00, 0x4f, 0x80}, 48, REFUSED, "AS112"},
    {{0x3f, 0xff}, 20, REFUSED, "documentation"},
    {{0x5f, 0x00}, 16, REFUSED, "segment routing"},
    {{0xfc}, 7, REFUSED, "private"},
    {{0xfe, 0x80}, 10, REFUSED, "link-local"},
    {{0xfe, 0xc0}, 10, REFUSED, "site-local"},
    {{0xff}, 8, REFUSED, "multicast"},
    {{0x20}, 3, PLAIN, NULL},
    {{0}, 0, REFUSED, "not global unicast"},
};
/* clang-format on */

static const char *special_v4(const struct ip *ip)
{
    for (size_t i = 0; i < sizeof blocks4 / sizeof blocks4[0]; i++) {
        struct ip network = {.family = AF_INET};
        memcpy(network.bytes, blocks4[i].bytes, 4);
        if (ip_is_within(ip, &network, blocks4[i].prefix_bits))
            return blocks4[i].name;
    }
    return NULL;
}

static const char *special_inside(const struct ip *ip, unsigned offset, uint8_t invert)
{
    struct ip inner = {.family = AF_INET};
    for (unsigned i = 0; i < 4; i++)
        inner.bytes[i] = ip->bytes[offset + i] ^ invert;
    return special_v4(&inner);
}

static const char *special_by_row(const struct ip *ip, const struct block6 *row)
{
    const char *name;
    switch (row->verdict) {
    case PLAIN: return NULL;
    case INNER_LAST: return special_inside(ip, 12, 0);
    case INNER_6TO4: return special_inside(ip, 2, 0);
    case INNER_TEREDO: /* RFC 4380 section 4: the server, then the client with all bits turned */
        name = special_inside(ip, 4, 0);
        return name ? name : special_inside(ip, 12, 0xff);
    case REFUSED: break;
    }
    return row->name;
}

const char *special_name(const struct ip *ip)
{
    if (ip->family == AF_INET)
        return special_v4(ip);
    for (size_t i = 0; i < sizeof blocks6 / sizeof blocks6[0]; i++) {
        struct ip network = {.family = AF_INET6};
        memcpy(network.bytes, blocks6[i].bytes, 16);
        if (ip_is_within(ip, &network, blocks6[i].prefix_bits))
            return special_by_row(ip, &blocks6[i]);
    }
    return "not an address";
}

/* reach.c - the verdict on a host, before and after DNS.
 *
 * A rule with a name trusts whoever answers for that name in DNS; a rule with a network trusts only
 * the addresses. Addresses decide last: a name passes reach_check_host when some address of it
 * might be permitted, and each address then passes reach_permits alone.
 */
#include "reach.h"

#include "allow.h"
#include "arena.h"
#include "ip.h"
#include "special.h"

#include <stdlib.h>
#include <string.h>

struct reach {
    struct allow_list allowed;
};

static const uint16_t mail_ports[] = {110, 143, 993, 995};

enum err reach_new(const char *allowed, struct fault *fault, struct reach **out)
{
    struct reach *reach = xalloc(sizeof *reach);
    enum err err = allow_parse(allowed, fault, &reach->allowed);
    if (err) {
        free(reach);
        return err;
    }
    *out = reach;
    return OK;
}

void reach_free(struct reach **reach)
{
    if (!*reach)
        return;
    allow_clear(&(*reach)->allowed);
    free(*reach);
    *reach = NULL;
}

static bool is_label(const char *label, size_t length)
{
    if (length == 0 || length > 63 || label[0] == '-' || label[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = label[i];
        bool ldh = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '-' || c == '_'; /* not LDH, but found in the names of real hosts */
        if (!ldh)
            return false;
    }
    return true;
}

/* getaddrinfo reads "127.1", "0x7f000001" and "2130706433" as IPv4: such are no names. */
static bool reads_as_number(const char *label, size_t length)
{
    if (length >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return strspn(label + 2, "0123456789abcdefABCDEF") >= length - 2;
    return strspn(label, "0123456789") >= length;
}

bool reach_host_is_valid(const char *host)
{
    struct ip ignored;
    if (ip_parse(host, &ignored))
        return true;
    size_t length = strlen(host);
    if (length > 0 && host[length - 1] == '.')
        length--;
    if (length == 0 || length > 253)
        return false;
    for (const char *label = host, *end = host + length;;) {
        const char *dot = memchr(label, '.', (size_t)(end - label));
        size_t size = (size_t)((dot ? dot : end) - label);
        if (!is_label(label, size))
            return false;
        if (!dot)
            return !reads_as_number(label, size);
        label = dot + 1;
    }
}

static bool is_mail_port(uint16_t port)
{
    for (size_t i = 0; i < sizeof mail_ports / sizeof mail_ports[0]; i++)
        if (mail_ports[i] == port)
            return true;
    return false;
}

static bool rule_takes_port(const struct allow_rule *rule, uint16_t port)
{
    return rule->port == 0 || rule->port == port;
}

static bool is_allowed(const struct reach *reach, const char *canonical, const struct ip *ip,
                       uint16_t port)
{
    for (size_t i = 0; i < reach->allowed.count; i++) {
        const struct allow_rule *rule = &reach->allowed.rules[i];
        if (rule_takes_port(rule, port) &&
            (allow_rule_matches_name(rule, canonical) || allow_rule_matches_ip(rule, ip)))
            return true;
    }
    return false;
}

static bool name_may_be_tried(const struct reach *reach, const char *canonical, uint16_t port)
{
    if (is_mail_port(port))
        return true;
    for (size_t i = 0; i < reach->allowed.count; i++) {
        const struct allow_rule *rule = &reach->allowed.rules[i];
        if (rule_takes_port(rule, port) &&
            (rule->kind == ALLOW_NETWORK || allow_rule_matches_name(rule, canonical)))
            return true;
    }
    return false;
}

enum err reach_check_host(const struct reach *reach, const char *host, uint16_t port,
                          struct fault *fault)
{
    char canonical[ALLOW_HOST_BYTES];
    struct ip ip;
    if (port == 0 || !reach_host_is_valid(host) || !allow_host_canonical(host, canonical))
        return fault_set(fault, ERR_HOST_NOT_ALLOWED, "not a mail host's name and port");
    bool numeric = ip_parse(canonical, &ip);
    const char *special = numeric ? special_name(&ip) : NULL;
    if (numeric ? (is_mail_port(port) && !special) || is_allowed(reach, canonical, &ip, port)
                : name_may_be_tried(reach, canonical, port))
        return OK;
    if (special)
        return fault_set(fault, ERR_HOST_NOT_ALLOWED, "mail host %s is not allowed: %s address",
                         canonical, special);
    return fault_set(fault, ERR_HOST_NOT_ALLOWED, "port %u of mail host \"%.100s\" is not allowed",
                     (unsigned)port, canonical);
}

bool reach_permits(const struct reach *reach, const char *host, const struct sockaddr *address,
                   uint16_t port)
{
    char canonical[ALLOW_HOST_BYTES];
    struct ip ip;
    if (port == 0 || !allow_host_canonical(host, canonical) || !ip_from_socket(address, &ip))
        return false;
    return (is_mail_port(port) && !special_name(&ip)) || is_allowed(reach, canonical, &ip, port);
}

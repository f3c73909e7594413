/* allow.c - the grammar of `allowed_hosts`.
 *
 *   entry   = "*" [port] | name [port] | "*." name [port] | network [port]
 *   network = IPv4 ["/" bits] | "[" IPv6 ["/" bits] "]" | IPv6 ["/" bits]
 *   port    = ":" 1..65535
 *
 * An IPv6 address without brackets takes its colons for itself, so a port there needs brackets or a
 * prefix length in front of it.
 */
#include "allow.h"

#include "arena.h"
#include "reach.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define ENTRY_BYTES 320

static const char separators[] = ", \t\r\n";

bool allow_host_canonical(const char *host, char out[ALLOW_HOST_BYTES])
{
    size_t length = strlen(host);
    if (length > 0 && host[length - 1] == '.')
        length--;
    if (length == 0 || length >= ALLOW_HOST_BYTES)
        return false;
    memcpy(out, host, length);
    out[length] = '\0';
    text_lower(out);
    return true;
}

static enum err refuse(struct fault *fault, const char *entry, const char *why)
{
    char shown[65];
    size_t used = 0;
    for (; entry[used] && used < sizeof shown - 1; used++)
        shown[used] = (entry[used] >= ' ' && entry[used] <= '~') ? entry[used] : '?';
    shown[used] = '\0';
    return fault_set(fault, ERR_INVALID, "allowed host \"%s\": %s", shown, why);
}

/* `text` is behind the colon. */
static bool parse_port(const char *text, uint16_t *out)
{
    uint64_t port;
    if (!text_to_u64(text, strlen(text), 65535, &port) || port == 0)
        return false;
    *out = (uint16_t)port;
    return true;
}

static bool is_aligned(const struct ip *network, unsigned prefix_bits)
{
    for (unsigned bit = prefix_bits; bit < ip_bits(network); bit++)
        if (network->bytes[bit / 8] & (0x80 >> (bit % 8)))
            return false;
    return true;
}

/* NULL, or what is wrong. `address` has neither brackets nor port; `bits` may be NULL. */
static const char *parse_network(const char *address, const char *bits, struct allow_rule *rule)
{
    uint64_t prefix_bits;
    if (!ip_parse(address, &rule->network))
        return "not an address";
    rule->kind = ALLOW_NETWORK;
    rule->prefix_bits = ip_bits(&rule->network);
    if (!bits)
        return NULL;
    /* ::ffff:10.0.0.0/104 became 10.0.0.0; its length counts the 96 bits that went. */
    unsigned mapped = rule->prefix_bits == 32 && strchr(address, ':') ? 96 : 0;
    if (!text_to_u64(bits, strlen(bits), rule->prefix_bits + mapped, &prefix_bits) ||
        prefix_bits < mapped)
        return "the prefix length is out of range";
    rule->prefix_bits = (unsigned)prefix_bits - mapped;
    if (!is_aligned(&rule->network, rule->prefix_bits))
        return "the address has bits set behind its prefix length";
    return NULL;
}

static const char *parse_name(char *name, struct allow_rule *rule)
{
    char canonical[ALLOW_HOST_BYTES];
    rule->kind = ALLOW_NAME;
    if (strncmp(name, "*.", 2) == 0) {
        rule->kind = ALLOW_SUBDOMAINS;
        name += 2;
    }
    if (!reach_host_is_valid(name) || !allow_host_canonical(name, canonical))
        return "not a host name, address or network";
    rule->name = xstrdup(canonical);
    return NULL;
}

/* Cuts "[...]" [/bits] [:port]; the parts point into `entry`. */
static bool split_brackets(char *entry, char **bits, char **port)
{
    char *end = strchr(entry, ']');
    if (!end)
        return false;
    *end++ = '\0';
    if (*end == '/') {
        *end++ = '\0';
        *bits = end;
        end += strspn(end, "0123456789");
    }
    if (*end == '\0')
        return true;
    if (*end != ':')
        return false;
    *end++ = '\0';
    *port = end;
    return true;
}

static const char *parse_entry(char *entry, struct allow_rule *rule)
{
    char *host = entry, *bits = NULL, *port = NULL, *slash;
    bool bracketed = entry[0] == '[';
    if (bracketed) {
        host = entry + 1;
        if (!split_brackets(host, &bits, &port))
            return "the brackets are not closed, or something stands behind them";
    }
    if ((slash = strchr(host, '/')) != NULL) {
        if (bits)
            return "two prefix lengths";
        *slash = '\0';
        bits = slash + 1;
    }
    char *first = strchr(host, ':');
    if (!bracketed && bits && (port = strchr(bits, ':')) != NULL)
        *port++ = '\0';
    else if (!bracketed && first && !strchr(first + 1, ':') && !bits) {
        *first = '\0';
        port = first + 1;
    }
    if (port && !parse_port(port, &rule->port))
        return "the port is not a number from 1 to 65535";

    struct ip ignored;
    if (bracketed || bits || ip_parse(host, &ignored))
        return parse_network(host, bits, rule);
    if (strcmp(host, "*") == 0) {
        rule->kind = ALLOW_ALL;
        return NULL;
    }
    return parse_name(host, rule);
}

enum err allow_parse(const char *text, struct fault *fault, struct allow_list *out)
{
    *out = (struct allow_list){0};
    for (const char *at = text ? text : ""; *(at += strspn(at, separators));) {
        size_t length = strcspn(at, separators);
        char entry[ENTRY_BYTES], cut[ENTRY_BYTES];
        size_t copied = length < sizeof entry - 1 ? length : sizeof entry - 1;
        memcpy(entry, at, copied);
        entry[copied] = '\0';
        memcpy(cut, entry, copied + 1);

        struct allow_rule rule = {.kind = ALLOW_ALL};
        const char *wrong = copied < length ? "too long" : parse_entry(cut, &rule);
        if (wrong) {
            allow_clear(out);
            return refuse(fault, entry, wrong);
        }
        out->rules = xrealloc(out->rules, (out->count + 1) * sizeof out->rules[0]);
        out->rules[out->count++] = rule;
        at += length;
    }
    return OK;
}

void allow_clear(struct allow_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->rules[i].name);
    free(list->rules);
    *list = (struct allow_list){0};
}

bool allow_rule_matches_name(const struct allow_rule *rule, const char *canonical_host)
{
    if (rule->kind == ALLOW_NAME)
        return strcmp(rule->name, canonical_host) == 0;
    if (rule->kind != ALLOW_SUBDOMAINS)
        return rule->kind == ALLOW_ALL;
    size_t whole = strlen(canonical_host), tail = strlen(rule->name);
    return whole > tail + 1 && canonical_host[whole - tail - 1] == '.' &&
           strcmp(canonical_host + whole - tail, rule->name) == 0;
}

bool allow_rule_matches_ip(const struct allow_rule *rule, const struct ip *ip)
{
    if (rule->kind != ALLOW_NETWORK)
        return rule->kind == ALLOW_ALL;
    return ip_is_within(ip, &rule->network, rule->prefix_bits);
}

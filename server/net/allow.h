/* allow.h - the setting that lets more hosts be reached, parsed into rules. */
#ifndef POSTERN_ALLOW_H
#define POSTERN_ALLOW_H

#include "err.h"
#include "ip.h"

#include <stddef.h>

enum allow_kind { ALLOW_ALL, ALLOW_NAME, ALLOW_SUBDOMAINS, ALLOW_NETWORK };

struct allow_rule {
    enum allow_kind kind;
    uint16_t port;     /* 0: every port */
    char *name;        /* owned; lower case, no trailing dot; "example.com" for "*.example.com" */
    struct ip network; /* ALLOW_NETWORK */
    unsigned prefix_bits;
};

struct allow_list {
    struct allow_rule *rules; /* owned */
    size_t count;
};

/* A host as rules compare it: lower case, no trailing dot. False when it does not fit. */
#define ALLOW_HOST_BYTES 256
bool allow_host_canonical(const char *host, char out[ALLOW_HOST_BYTES]);

/* ERR_INVALID names the first bad entry; `out` is then empty. */
enum err allow_parse(const char *text, struct fault *fault, struct allow_list *out);
void allow_clear(struct allow_list *list);

bool allow_rule_matches_name(const struct allow_rule *rule, const char *canonical_host);
bool allow_rule_matches_ip(const struct allow_rule *rule, const struct ip *ip);

#endif

/* decode_chain.c - owns the links of a chain of sinks, so that one call frees them all. */
#include "decode_private.h"

#include <stdlib.h>

struct chain_link {
    struct chain_link *next;
    void (*clear)(void *memory);
    _Alignas(16) char memory[];
};

struct decode_chain {
    struct chain_link *newest;
};

struct decode_chain *decode_chain_new(void)
{
    return xalloc(sizeof(struct decode_chain));
}

void *decode_chain_own(struct decode_chain *chain, size_t size, void (*clear)(void *))
{
    struct chain_link *link = xalloc(sizeof *link + size);
    link->clear = clear;
    link->next = chain->newest;
    chain->newest = link;
    return link->memory;
}

void decode_chain_free(struct decode_chain **chain)
{
    if (!*chain)
        return;
    struct chain_link *link = (*chain)->newest;
    while (link) {
        struct chain_link *next = link->next;
        if (link->clear)
            link->clear(link->memory);
        free(link);
        link = next;
    }
    free(*chain);
    *chain = NULL;
}

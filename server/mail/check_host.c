/* check_host.c - may a mail host be tried at all? Asked before any traffic. */
#include "backend.h"

#include "reach.h"

enum err backend_check_host(const struct backend_world *world, const char *host, uint16_t port,
                            struct fault *fault)
{
    if (!reach_host_is_valid(host))
        return fault_at(fault, ERR_INVALID, "/host", "not a host name or address");
    return reach_check_host(world->reach, host, port, fault);
}

/* confine_files.c - Landlock: no file and no directory, no TCP port, no signal to others.
 *
 * A ruleset that handles everything and allows nothing. The kernel tells which version of the
 * interface it speaks, and refuses rights it does not know, so each version names its own. Debian
 * 12's headers know the second; the numbers of the later ones stand here.
 */
#include "confine_inside.h"

#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct landlock_ruleset_attr as of the sixth version. */
struct ruleset {
    uint64_t files, network, scoped;
};

enum {
    RIGHT_REFER = 13,
    RIGHT_TRUNCATE = 14,
    RIGHT_IOCTL_DEV = 15,
    TCP_BIND_AND_CONNECT = 3,
    SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3,
};

#define RIGHTS_TO(last) ((UINT64_C(1) << ((last) + 1)) - 1)

static const struct abi {
    struct ruleset denied;
    size_t size; /* of the struct that this version knows */
} abis[] = {
    [1] = {{.files = RIGHTS_TO(RIGHT_REFER - 1)}, 8},
    [2] = {{.files = RIGHTS_TO(RIGHT_REFER)}, 8},
    [3] = {{.files = RIGHTS_TO(RIGHT_TRUNCATE)}, 8},
    [4] = {{.files = RIGHTS_TO(RIGHT_TRUNCATE), .network = TCP_BIND_AND_CONNECT}, 16},
    [5] = {{.files = RIGHTS_TO(RIGHT_IOCTL_DEV), .network = TCP_BIND_AND_CONNECT}, 16},
    [6] = {{.files = RIGHTS_TO(RIGHT_IOCTL_DEV),
            .network = TCP_BIND_AND_CONNECT,
            .scoped = SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS},
           24}, /* the seventh adds nothing to deny; a later one is told no more than this */
};

bool confine_files(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    long last = (long)(sizeof abis / sizeof *abis) - 1;
    if (version < 1)
        return false;
    const struct abi *abi = &abis[version < last ? version : last];
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &abi->denied, abi->size, 0);
    if (ruleset < 0)
        return false;
    bool done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return done;
}

/* contract.h - what the suite needs of a backend under test: a way to open it, and a second way to
 * the same mailbox that makes changes behind its back. */
#ifndef POSTERN_CONTRACT_H
#define POSTERN_CONTRACT_H

#include "backend.h"

struct fixture {
    const struct backend_ops *ops;
    struct backend_target target;
    const char *skip; /* why the suite cannot run, or NULL */
    void (*make_folder)(const char *path);
    uint32_t (*deliver)(const char *path, const char *raw);                            /* the uid */
    void (*flag)(const char *path, uint32_t uid, uint32_t flags, const char *keyword); /* sets */
    void (*expunge)(const char *path, uint32_t uid);
    void (*change_validity)(const char *path); /* connections that have it selected may be lost */
    void (*block_next)(void); /* the next call of the backend hangs; NULL: cannot be had */
    struct backend_target (*silent)(void); /* where the next open hangs */
    void (*stop)(void);
};

/* Each program links one of these. */
const struct fixture *fixture_start(void);

#endif

/* problem.h - the one place where an error becomes a status and a document (RFC 9457). Pure. */
#ifndef POSTERN_API_PROBLEM_H
#define POSTERN_API_PROBLEM_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>

#define PROBLEM_TYPE "application/problem+json"

struct problem_row {
    int status;
    const char *code, *title;
    bool retryable;
    int retry_after_s; /* when the fault knows none; 0: no header */
};

const struct problem_row *problem_row(enum err err);
/* request_id NULL: left out, for a problem that is a member of something else. */
void problem_put(struct buf *out, const struct fault *fault, const char *request_id);

#endif

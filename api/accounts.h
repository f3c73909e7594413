/* accounts.h - an account as JSON. */
#ifndef POSTERN_API_ACCOUNTS_H
#define POSTERN_API_ACCOUNTS_H

#include "request.h"

void account_put(struct buf *out, struct request *request, struct seat *seat);
/* An array of the session's accounts. */
void accounts_put(struct buf *out, struct request *request);
/* The members "features" and "server". */
void capabilities_put(struct buf *out, const struct account_facts *facts);

#endif

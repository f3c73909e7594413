/* auth.h - who asks: a session's token, or HTTP Basic with the mailbox's own password. */
#ifndef POSTERN_API_AUTH_H
#define POSTERN_API_AUTH_H

#include "request.h"

#define BASIC_BYTES_MOST 4096 /* of the base64 */

/* Finds or opens request->session. The fault is in the call. */
enum err auth_session(struct request *request);

#endif

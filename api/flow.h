/* flow.h - the ways that handlers share: making sure the mirror knows enough, then going on.
 *
 * Each function below is the last act of a step and goes on with `next`, at once when the mirror
 * may be believed, else after the mail server was asked. On any failure the request is answered.
 */
#ifndef POSTERN_API_FLOW_H
#define POSTERN_API_FLOW_H

#include "request.h"

/* The list of folders, fresh as the client wants it. */
void flow_folders(struct request *request, request_step *next);
/* True when the row may be shown without asking; else ask by NEED_FOLDER, or *fail*:
 * only-if-cached.
 */
bool flow_folder_is_fresh(struct request *request, const struct folder_row *row);
/* After NEED_FOLDER: the row afresh. False: answered. */
bool flow_folder_reload(struct request *request, int64_t number, struct folder_row *row);
/* request->folder's mirror alone answers: X-Mail-Source and Age say so unless something was asked.
 */
void flow_remembered(struct request *request);
/* Answers 504 when the client wants only what is remembered. */
bool flow_may_ask(struct request *request);

#define FLOW_FRESH 1u /* flags are to be current */
#define FLOW_FULL  2u /* request->message is wanted: structure and all */
/* {message}: fills request->place, ->folder, ->row, and with FLOW_FULL ->message. */
void flow_message(struct request *request, unsigned wants, request_step *next);
/* Reads it again, after a change. */
void flow_message_reload(struct request *request, request_step *next);

/* True when the mirror may learn the preview of request->row and has not yet. */
bool flow_lacks_preview(const struct request *request);
/* Reads that preview on the connection the task has; without one, or when it fails, it stays NULL:
 * a preview is never worth failing for. A need that failed before is forgiven too. False: answered,
 * for the work was cancelled, or the connection broke and `goes_on` says that more is to be read.
 */
bool flow_read_preview(struct request *request, bool goes_on);

#endif

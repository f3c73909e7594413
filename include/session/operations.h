/* operations.h - what can be done with an account, in terms that neither HTTP nor JSON appear in.
 *
 * All of these run within a task's step. Those marked [connection] need task->backend; they retry
 * once, on a fresh connection, when a used one turned out dead or a worker died, and nothing was
 * delivered yet (never a change). Faults are in task->call.fault, which is also their result.
 */
#ifndef POSTERN_OPERATIONS_H
#define POSTERN_OPERATIONS_H

#include "task.h"

/* [connection] Bytes of a part. `row` is the folder it is in. */
enum err operation_read_part(struct task *task, const struct folder_row *row, uint32_t uid,
                             const struct part *part, enum read_mode mode, uint64_t first,
                             uint64_t last, struct sink *sink);
/* [connection] The whole message as it stands. */
enum err operation_read_raw(struct task *task, const struct folder_row *row, uint32_t uid,
                            uint64_t size, uint64_t first, uint64_t last, struct sink *sink);
/* [connection] The exact decoded size; remembered in the mirror. */
enum err operation_part_size(struct task *task, const struct folder_row *row, uint32_t uid,
                             const struct part *part, uint64_t *out);
/* [connection] */
enum err operation_read_headers(struct task *task, const struct folder_row *row, uint32_t uid,
                                struct header_sink *sink);
/* [connection] Applied on the server, then recorded as the server says it now is. No retry; when
 * the connection dies the detail says that the outcome is not known. */
enum err operation_change_flags(struct task *task, const struct folder_row *row, uint32_t uid,
                                const struct flag_change *change);
/* [connection] Previews of these messages where the mirror lacks them. */
enum err operation_previews(struct task *task, const struct folder_row *row, const uint32_t *uids,
                            uint32_t count);
/* [connection] The next older messages of a folder that is not complete, now, for a page that
 * reaches beyond what is mirrored. */
enum err operation_fetch_older(struct task *task, const struct folder_row *row, uint32_t count);
/* [connection] One message that is not mirrored (yet): ERR_GONE when the server has it no more. */
enum err operation_fetch_message(struct task *task, const struct folder_row *row, uint32_t uid,
                                 struct message *out);
/* [connection] */
enum err operation_quota(struct task *task, struct quota_resource **out, uint32_t *count);

#endif

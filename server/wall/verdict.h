/* verdict.h - what the verdict_*.c files share: rules that stand in more than one record. */
#ifndef POSTERN_VERDICT_H
#define POSTERN_VERDICT_H

#include "record.h"

/* modseq, sizes of messages: what the mirror stores has a sign. */
bool verdict_number(struct unpack *from, uint64_t *out);
/* Flags, then keywords: clean, ascending, each once, none empty or like a system flag. They need
 * not be ones that we would send: those are the mail server's. */
bool verdict_flags(struct unpack *from, struct arena *arena, uint32_t *flags,
                   struct string_list *keywords);
/* Whether `count` things of at least so many bytes can still come. */
bool verdict_fits(const struct unpack *from, uint32_t count, size_t bytes_least);
bool verdict_message(struct unpack *from, struct arena *arena, struct message *out);

#endif

/* record.h - what is counted and logged of a request. */
#ifndef POSTERN_API_RECORD_H
#define POSTERN_API_RECORD_H

#include "request.h"

/* HTTP thread only. `request` may be NULL: refused before it became one. */
void record_request(const struct exchange *exchange, const struct request *request, int status,
                    uint64_t bytes, int64_t duration_us);
void record_source(enum mail_source source); /* any thread */
/* Sets the gauges that are read at the moment of rendering. */
void record_gauges(struct api *api);

#endif

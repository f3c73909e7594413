/* limits.h - the limits that no setting changes; GET /v1 shows them with those that settings make.
 */
#ifndef POSTERN_API_LIMITS_H
#define POSTERN_API_LIMITS_H

#include "api.h"

extern const struct api_limit fixed_limits[]; /* ends with a NULL name */

#endif

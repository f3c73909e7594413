/* serve.h - the running server: put together, run until a signal, taken apart. */
#ifndef POSTERN_SERVE_H
#define POSTERN_SERVE_H

#include "settings.h"

/* Returns the exit code: 0 after a clean stop, 1 when it could not start. */
int serve(const struct settings *settings);

#endif

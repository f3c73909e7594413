/* health.h - asks the server that runs under these settings whether it is ready: for containers. */
#ifndef POSTERN_HEALTH_H
#define POSTERN_HEALTH_H

#include "settings.h"

/* Exit code: 0 when /readyz says 200, else 1 with a line on stderr. */
int health_ask(const struct settings *settings);

#endif

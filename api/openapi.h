/* openapi.h - the interface's description, as it was built in. */
#ifndef POSTERN_API_OPENAPI_H
#define POSTERN_API_OPENAPI_H

const char *openapi_text(void); /* YAML */

#endif

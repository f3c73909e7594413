/* limits.c - the table. */
#include "limits.h"
#include "body.h"
#include "fields.h"
#include "messages_list.h"
#include "params.h"

const struct api_limit fixed_limits[] = {
    {"listLimit", LIMIT_MOST},
    {"listFolders", LIST_FOLDERS_MOST},
    {"textBytes", TEXT_BYTES_MOST},
    {"singleHeaders", FIELDS_HEADERS_MAX},
    {"keywordChanges", KEYWORDS_MOST},
    {"accountsPerSession", SESSION_SEATS_MOST},
    {"parameterBytes", PARAM_BYTES_MOST},
    {"bodyBytes", BODY_MAX_BYTES},
    {"targetBytes", HTTP_URI_MAX_BYTES},
    {"headerLines", HTTP_HEADERS_MAX},
    {NULL, 0},
};

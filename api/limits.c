/* limits.c - the table. */
#include "limits.h"
#include "auth.h"
#include "backend.h"
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
    {"basicCredentialsBytes", BASIC_BYTES_MOST},
    {"usernameBytes", BACKEND_USERNAME_BYTES_MAX},
    {"passwordBytes", BACKEND_PASSWORD_BYTES_MAX},
    {"accessTokenBytes", BACKEND_TOKEN_BYTES_MAX},
    {"keywordBytes", BACKEND_KEYWORD_BYTES_MAX},
    {"keywordsPerMessage", BACKEND_KEYWORDS_MAX},
    {"addressesPerHeader", BACKEND_ADDRESSES_MAX},
    {"messageIdsPerHeader", BACKEND_MESSAGE_IDS_MAX},
    {"messageIdBytes", BACKEND_MESSAGE_ID_BYTES_MAX},
    {"mailHeaders", BACKEND_HEADERS_MAX},
    {"mailHeaderSectionBytes", BACKEND_HEADER_SECTION_BYTES_MAX},
    {"mailHeaderNameBytes", BACKEND_HEADER_NAME_BYTES_MAX},
    {"mailHeaderValueBytes", BACKEND_HEADER_VALUE_BYTES_MAX},
    {"previewCharacters", BACKEND_PREVIEW_CHARS_MAX},
    {"mirrorBytes", MIRROR_MOST_BYTES},
    {NULL, 0},
};

/* sql.h - every statement the mirror runs, by name. The texts are in sql.c, the tables in
 * schema.c. */
#ifndef POSTERN_SQL_H
#define POSTERN_SQL_H

enum sql {
    SQL_BEGIN_READ,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_ROLLBACK,
    /* the account's one row */
    SQL_CHANGE,
    SQL_SET_CHANGE,
    SQL_LISTED,
    SQL_SET_LISTED,
    SQL_RENDERED,
    SQL_SET_RENDERED,
    SQL_TOTALS,
    /* folders */
    SQL_FOLDERS,
    SQL_FOLDER,
    SQL_FOLDER_BY_ID,
    SQL_FOLDER_BY_ROLE,
    SQL_FOLDER_BY_PATH,
    SQL_FOLDER_INBOX,
    SQL_FOLDER_BY_TAG,
    SQL_FOLDER_TAKEN,
    SQL_FOLDER_ADD,
    SQL_FOLDER_SET,
    SQL_FOLDER_DROP,
    SQL_FOLDER_FORGET,
    SQL_FOLDER_COUNT,
    SQL_FOLDER_COMMIT,
    SQL_FOLDER_SYNCED,
    /* messages, one */
    SQL_MESSAGE_ADD,
    SQL_BODY_ADD,
    SQL_MESSAGE_STATE,
    SQL_MESSAGE_SET,
    SQL_MESSAGE_FLAGS,
    SQL_MESSAGE_TOUCH,
    SQL_MESSAGE_ROW,
    SQL_MESSAGE_THERE,
    SQL_FOLDER_FLOOR,
    SQL_FACTS,
    SQL_PREVIEW_SET,
    SQL_PART_SIZES,
    SQL_PART_SIZE_SET,
    SQL_ALIAS,
    /* messages, by the range of their keys */
    SQL_COUNT_RANGE,
    SQL_KEYS,
    SQL_FLAGS,
    SQL_JOURNAL_RANGE,
    SQL_DROP_MESSAGES,
    SQL_DROP_BODIES,
    SQL_DROP_PART_SIZES,
    SQL_DROP_ALIASES,
    /* lists */
    SQL_LIST,
    SQL_WALK,
    SQL_STALE,
    SQL_RENDER_SET,
    /* journal */
    SQL_JOURNAL_ADD,
    SQL_JOURNAL_CUT,
    SQL_JOURNAL_PRUNE,
    SQL_JOURNAL_FLOOR,
    SQL_JOURNAL_REACH,
    SQL_JOURNAL_TOUCHED,
    SQL_COUNT
};

extern const char *const sql_texts[SQL_COUNT];

#endif

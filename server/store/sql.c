/* sql.c - the texts. Parameters are numbered; the columns of folders and list rows are read in the
 * order in which they stand here by folder_read (folders.c) and row_read (rows.c).
 */
#include "sql.h"

#define FOLDER_COLUMNS                                                                             \
    "number, id, parent_id, remote, path, role, role_source, subscribed, selectable, has_status, " \
    "messages, unseen, status_uid_next, status_validity, status_modseq, size, generation, "        \
    "validity, uid_next, known_exists, floor, modseq, mirrored, unread, change, synced_ms, tag, "  \
    "row_validity"
#define ROW_COLUMNS                                                                                \
    "m.key, m.id, m.flags, m.keywords, m.received_s, m.size, m.change, b.preview, b.render, "      \
    "b.json"

const char *const sql_texts[SQL_COUNT] = {
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",

    [SQL_CHANGE] = "SELECT change FROM account",
    [SQL_SET_CHANGE] = "UPDATE account SET change = ?1",
    [SQL_LISTED] = "SELECT listed_ms FROM account",
    [SQL_SET_LISTED] = "UPDATE account SET listed_ms = ?1",
    [SQL_RENDERED] = "SELECT render, render_at FROM account",
    [SQL_SET_RENDERED] = "UPDATE account SET render = ?1, render_at = ?2",
    [SQL_TOTALS] = "SELECT count(*), total(mirrored), "
                   "coalesce(min(validity = 0 OR floor <= 1), 1), "
                   "(SELECT change FROM account) FROM folder",

    [SQL_FOLDERS] = "SELECT " FOLDER_COLUMNS " FROM folder",
    [SQL_FOLDER] = "SELECT " FOLDER_COLUMNS " FROM folder WHERE number = ?1",
    [SQL_FOLDER_BY_ID] = "SELECT " FOLDER_COLUMNS " FROM folder WHERE id = ?1",
    [SQL_FOLDER_BY_ROLE] = "SELECT " FOLDER_COLUMNS " FROM folder WHERE role = ?1 "
                           "ORDER BY role_source, path LIMIT 1",
    [SQL_FOLDER_BY_PATH] = "SELECT " FOLDER_COLUMNS " FROM folder WHERE path = ?1 "
                           "ORDER BY remote LIMIT 1",
    [SQL_FOLDER_INBOX] = "SELECT " FOLDER_COLUMNS " FROM folder WHERE path = 'INBOX' "
                         "COLLATE NOCASE ORDER BY role <> 1, remote LIMIT 1",
    [SQL_FOLDER_BY_TAG] = "SELECT " FOLDER_COLUMNS " FROM folder WHERE tag = ?1",
    [SQL_FOLDER_TAKEN] = "SELECT 1 FROM folder WHERE id = ?1 OR tag = ?2",
    [SQL_FOLDER_ADD] = "INSERT INTO folder(id, tag, remote, path, generation) "
                       "VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_FOLDER_SET] =
        "UPDATE folder SET path = ?2, parent_id = ?3, role = ?4, role_source = ?5, "
        "subscribed = ?6, selectable = ?7, has_status = ?8, messages = ?9, unseen = ?10, "
        "status_uid_next = ?11, status_validity = ?12, status_modseq = ?13, size = ?14 "
        "WHERE number = ?1",
    [SQL_FOLDER_DROP] = "DELETE FROM folder WHERE number = ?1",
    [SQL_FOLDER_FORGET] =
        "UPDATE folder SET generation = ?2, row_validity = ?3, validity = 0, uid_next = 0, "
        "known_exists = 0, floor = 4294967295, modseq = 0, mirrored = 0, unread = 0, "
        "change = ?4, synced_ms = 0 WHERE number = ?1",
    [SQL_FOLDER_COUNT] = "UPDATE folder SET mirrored = mirrored + ?2, unread = unread + ?3, "
                         "change = ?4 WHERE number = ?1",
    [SQL_FOLDER_COMMIT] = "UPDATE folder SET validity = ?2, row_validity = ?2, uid_next = ?3, "
                          "known_exists = ?4, modseq = ?5, floor = ?6 "
                          "WHERE number = ?1",
    [SQL_FOLDER_SYNCED] = "UPDATE folder SET synced_ms = ?2 WHERE number = ?1",

    [SQL_MESSAGE_ADD] =
        "INSERT OR IGNORE INTO message(key, folder, uid, received_s, date_s, size, flags, modseq, "
        "change, keywords, id) VALUES(?1, ?2, ?1 & 4294967295, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [SQL_BODY_ADD] = "INSERT OR REPLACE INTO body(key, render, json, facts) "
                     "VALUES(?1, ?2, ?3, ?4)",
    [SQL_MESSAGE_STATE] = "SELECT m.flags, m.keywords, m.id, b.facts FROM message m "
                          "LEFT JOIN body b ON b.key = m.key WHERE m.key = ?1",
    [SQL_MESSAGE_SET] = "UPDATE message SET received_s = ?2, date_s = ?3, size = ?4 "
                        "WHERE key = ?1",
    [SQL_MESSAGE_FLAGS] = "UPDATE message SET flags = ?2, keywords = ?3, modseq = ?4, "
                          "change = ?5 WHERE key = ?1",
    [SQL_MESSAGE_TOUCH] = "UPDATE message SET change = ?2 WHERE key = ?1",
    [SQL_MESSAGE_ROW] = "SELECT " ROW_COLUMNS ", m.modseq FROM message m "
                        "JOIN body b ON b.key = m.key WHERE m.key = ?1",
    [SQL_MESSAGE_THERE] = "SELECT 1 FROM message WHERE key = ?1",
    [SQL_FOLDER_FLOOR] = "SELECT floor FROM folder WHERE number = ?1",
    [SQL_FACTS] = "SELECT facts, preview IS NULL FROM body WHERE key = ?1",
    [SQL_PREVIEW_SET] = "UPDATE body SET preview = ?2 WHERE key = ?1 AND preview IS NOT ?2",
    [SQL_PART_SIZES] = "SELECT part, size FROM part_size WHERE key = ?1",
    [SQL_PART_SIZE_SET] = "INSERT OR REPLACE INTO part_size(key, part, size) "
                          "SELECT key, ?2, ?3 FROM message WHERE key = ?1",
    [SQL_ALIAS] = "SELECT key FROM alias WHERE id = ?1",

    [SQL_COUNT_RANGE] = "SELECT count(*), coalesce(sum(flags & 1 = 0), 0) FROM message "
                        "WHERE key BETWEEN ?1 AND ?2",
    [SQL_KEYS] = "SELECT key FROM message WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
    [SQL_FLAGS] = "SELECT key, flags, keywords FROM message WHERE key BETWEEN ?1 AND ?2 "
                  "ORDER BY key",
    [SQL_JOURNAL_RANGE] =
        "INSERT INTO journal(seq, at_s, kind, folder, uid, id, fields) "
        "SELECT ?3 + row_number() OVER (ORDER BY key), ?4, ?5, folder, uid, id, 0 "
        "FROM message WHERE key BETWEEN ?1 AND ?2",
    [SQL_DROP_MESSAGES] = "DELETE FROM message WHERE key BETWEEN ?1 AND ?2",
    [SQL_DROP_BODIES] = "DELETE FROM body WHERE key BETWEEN ?1 AND ?2",
    [SQL_DROP_PART_SIZES] = "DELETE FROM part_size WHERE key BETWEEN ?1 AND ?2",
    [SQL_DROP_ALIASES] = "DELETE FROM alias WHERE key BETWEEN ?1 AND ?2",

    /* Walks of message_newest from the place on. It holds the uid although the key does: SQLite
       3.40 does not seek by a row value that ends in the key. */
    [SQL_LIST] = "SELECT " ROW_COLUMNS " FROM message m JOIN body b ON b.key = m.key "
                 "WHERE m.folder = ?1 AND (m.received_s, m.uid) < (?2, ?3) AND m.uid >= ?4 "
                 "ORDER BY m.received_s DESC, m.uid DESC LIMIT ?5",
    [SQL_WALK] = "SELECT received_s, uid FROM message "
                 "WHERE folder = ?1 AND (received_s, uid) < (?2, ?3) AND uid >= ?4 "
                 "ORDER BY received_s DESC, uid DESC LIMIT ?5",
    [SQL_STALE] = "SELECT key FROM body WHERE key > ?1 AND render <> ?2 ORDER BY key LIMIT ?3",
    [SQL_RENDER_SET] = "UPDATE body SET render = ?2, json = ?3 WHERE key = ?1",

    [SQL_JOURNAL_REACH] = "SELECT journal_floor FROM account",
    /* Created or updated, and not in its preview alone. */
    [SQL_JOURNAL_TOUCHED] = "SELECT DISTINCT uid FROM journal WHERE seq > ?1 AND folder = ?2 "
                            "AND uid >= ?3 AND (kind = 1 OR (kind = 2 AND fields & ~?4)) "
                            "ORDER BY uid LIMIT ?5",
    [SQL_JOURNAL_ADD] = "INSERT INTO journal(seq, at_s, kind, folder, uid, id, fields) "
                        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    /* The last row to go: too many rows lie above it, or it is among the oldest and too old. */
    [SQL_JOURNAL_CUT] =
        "SELECT max(coalesce((SELECT max(seq) - ?2 FROM journal), 0), "
        "coalesce((SELECT max(seq) FROM (SELECT seq, at_s FROM journal ORDER BY seq LIMIT ?3) "
        "WHERE at_s < ?1), 0))",
    [SQL_JOURNAL_PRUNE] = "DELETE FROM journal WHERE seq IN "
                          "(SELECT seq FROM journal WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",
    [SQL_JOURNAL_FLOOR] = "UPDATE account SET journal_floor = max(journal_floor, ?1)",
};

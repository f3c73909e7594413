/* find.c - where a message id leads. */
#include "inside.h"

static enum err gone(struct call *call)
{
    return fault_set(&call->fault, ERR_GONE, "the message is gone");
}

static enum err unknown(struct call *call)
{
    return fault_set(&call->fault, ERR_NOT_FOUND, "no such message");
}

/* A message that kept its id when it moved. */
static enum err find_alias(struct reading *reading, const uint8_t raw[ID_RAW_BYTES],
                           struct message_place *out, bool *found)
{
    struct call *call = reading->call;
    struct folder_row folder;
    struct folder_inner inner;
    int64_t key;
    enum err err = handle_number(reading->db, &call->fault, SQL_ALIAS,
                                 VALUES(V_BLOB(raw, ID_RAW_BYTES)), 0, &key);
    *found = false;
    if (err || key == 0)
        return err;
    err = folder_load(reading->db, call, SQL_FOLDER, VALUES(V_INT(key >> 32)), &folder, &inner);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    *found = true;
    *out = (struct message_place){.found = true,
                                  .folder = folder.number,
                                  .validity = inner.row_validity,
                                  .uid = (uint32_t)key};
    return OK;
}

/* Its folder is not there. Before the first listing that says nothing about the message. */
static enum err no_folder(struct reading *reading)
{
    int64_t listed_ms;
    enum err err =
        handle_number(reading->db, &reading->call->fault, SQL_LISTED, NULL, 0, &listed_ms);
    if (err)
        return err;
    return listed_ms ? gone(reading->call) : unknown(reading->call);
}

static enum err find_place(struct reading *reading, const struct id_place *place,
                           struct message_place *out)
{
    struct call *call = reading->call;
    struct folder_row folder;
    struct folder_inner inner;
    int64_t there;
    enum err err = folder_load(reading->db, call, SQL_FOLDER_BY_TAG, VALUES(V_INT(place->tag)),
                               &folder, &inner);
    if (err)
        return err == ERR_NOT_FOUND ? no_folder(reading) : err;
    if (inner.row_validity != 0 && inner.row_validity != place->validity)
        return gone(call);
    *out = (struct message_place){
        .folder = folder.number, .validity = place->validity, .uid = place->uid};
    err = handle_number(reading->db, &call->fault, SQL_MESSAGE_THERE,
                        VALUES(V_INT(message_key(folder.number, place->uid))), 0, &there);
    out->found = there != 0;
    if (err || out->found)
        return err;
    bool known_range =
        folder.validity != 0 && place->uid >= folder.floor && place->uid < folder.uid_next;
    return known_range ? gone(call) : OK;
}

enum err mirror_find_message(struct mirror *mirror, struct call *call, const char *id,
                             struct message_place *out)
{
    uint8_t raw[ID_RAW_BYTES];
    struct id_place place;
    struct reading reading;
    bool found;
    *out = (struct message_place){0};
    if (!id_parse(id, raw))
        return unknown(call);
    enum err err = reading_begin(mirror, call, &reading);
    if (err)
        return err;
    err = find_alias(&reading, raw, out, &found);
    if (!err && !found)
        err = id_open(&mirror->id_key, raw, &place) ? find_place(&reading, &place, out)
                                                    : unknown(call);
    reading_end(&reading);
    return err;
}

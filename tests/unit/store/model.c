/* model.c - thousands of random operations on the mirror and on a plain array, compared.
 *
 * The array knows nothing of batches, floors in SQL or counters: it counts afresh every time.
 */
#include "support.h"
#include "sync.h"

#define UIDS   400
#define ROUNDS 900

struct slot {
    bool there;
    uint32_t flags;
    int64_t received_s;
    unsigned subject;
};

struct model {
    struct slot slots[UIDS];
    uint32_t validity, uid_next, floor;
    uint32_t seed;
};

static uint32_t draw(struct model *model, uint32_t below)
{
    model->seed = model->seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)model->seed * below) >> 32);
}

static void put(struct desk *desk, struct mirror_sync *sync, struct model *model, uint32_t uid)
{
    struct slot *slot = &model->slots[uid];
    char subject[32];
    *slot = (struct slot){.there = true,
                          .flags = draw(model, FLAG_ALL + 1),
                          .received_s = draw(model, 40),
                          .subject = draw(model, 3)};
    snprintf(subject, sizeof subject, "subject %u", slot->subject);
    struct message message = desk_message(uid, slot->received_s, slot->flags, subject);
    must(mirror_sync_message(sync, &message));
}

static void step_messages(struct desk *desk, struct mirror_sync *sync, struct model *model)
{
    for (uint32_t n = draw(model, 12); n > 0 && model->uid_next < UIDS; n--)
        put(desk, sync, model, model->uid_next++);
    /* And one again that is there. */
    uint32_t uid = 1 + draw(model, UIDS - 1);
    if (model->slots[uid].there)
        put(desk, sync, model, uid);
}

static void step_flags(struct desk *desk, struct mirror_sync *sync, struct model *model)
{
    uint32_t one_in = draw(model, 2) ? 1 : 30; /* a flood, or a few */
    for (uint32_t uid = 1; uid < UIDS; uid++) {
        struct slot *slot = &model->slots[uid];
        if (draw(model, one_in) != 0)
            continue;
        uint32_t flags = draw(model, 4) ? slot->flags : draw(model, FLAG_ALL + 1);
        must(mirror_sync_flags(sync, uid, flags, NULL, 0));
        if (slot->there)
            slot->flags = flags;
    }
}

static void step_removed(struct desk *desk, struct mirror_sync *sync, struct model *model)
{
    struct uid_range range = {.first = 1 + draw(model, UIDS - 1)};
    range.last = range.first + draw(model, 9);
    must(mirror_sync_removed(sync, &range, 1));
    for (uint32_t uid = range.first; uid <= range.last && uid < UIDS; uid++)
        model->slots[uid].there = false;
}

static void step_present(struct desk *desk, struct mirror_sync *sync, struct model *model)
{
    struct uid_range ranges[UIDS];
    uint32_t count = 0, from = 1 + draw(model, UIDS - 1);
    for (uint32_t uid = from; uid < UIDS; uid++) {
        struct slot *slot = &model->slots[uid];
        if (slot->there && draw(model, 25) == 0)
            slot->there = false;
        if (!slot->there)
            continue;
        if (count > 0 && ranges[count - 1].last + 1 == uid)
            ranges[count - 1].last = uid;
        else
            ranges[count++] = (struct uid_range){uid, uid};
    }
    must(mirror_sync_present(sync, from, ranges, count));
}

static void step_reset(struct desk *desk, struct mirror_sync *sync, struct model *model)
{
    memset(model->slots, 0, sizeof model->slots);
    must(mirror_sync_reset(sync, ++model->validity));
    model->floor = 1 + draw(model, 50);
    model->uid_next = model->floor;
}

/* The window grows downwards: everything in it is told. */
static void step_older(struct desk *desk, struct mirror_sync *sync, struct model *model)
{
    uint32_t floor = model->floor > 20 ? model->floor - draw(model, 20) : 1;
    for (uint32_t uid = model->floor - 1; uid >= floor && uid > 0; uid--)
        if (model->slots[uid].there || draw(model, 3))
            put(desk, sync, model, uid);
    model->floor = floor;
}

typedef void step(struct desk *, struct mirror_sync *, struct model *);
static step *const steps[] = {step_messages, step_messages, step_messages, step_flags,
                              step_flags,    step_removed,  step_present,  step_older};

struct listed {
    struct row_sink sink;
    const struct model *model;
    uint32_t count;
    int64_t last_s;
    uint32_t last_uid;
};

static enum err check_row(struct row_sink *sink, const struct message_row *row)
{
    struct listed *listed = (struct listed *)sink;
    const struct slot *slot = &listed->model->slots[row->uid];
    char subject[48];
    assert_true(slot->there && row->uid >= listed->model->floor);
    assert_int_equal(row->flags, slot->flags);
    assert_int_equal(row->received_s, slot->received_s);
    snprintf(subject, sizeof subject, "\"subject %u\"", slot->subject);
    assert_non_null(strstr(row->json, subject));
    if (listed->count++ > 0)
        assert_true(row->received_s < listed->last_s ||
                    (row->received_s == listed->last_s && row->uid < listed->last_uid));
    listed->last_s = row->received_s;
    listed->last_uid = row->uid;
    return OK;
}

static void compare(struct desk *desk, const struct model *model)
{
    uint32_t mirrored = 0, unread = 0;
    for (uint32_t uid = model->floor; uid < UIDS; uid++) {
        mirrored += model->slots[uid].there;
        unread += model->slots[uid].there && !(model->slots[uid].flags & FLAG_SEEN);
    }
    struct folder_row row = desk_row(desk, desk->inbox);
    assert_int_equal(row.mirrored, mirrored);
    assert_int_equal(row.unread, unread);
    assert_int_equal(row.floor, model->floor);
    assert_int_equal(row.uid_next, model->uid_next);
    assert_true(row.change <= desk_change(desk));
    struct listed listed = {.sink.row = check_row, .model = model};
    struct list_query query = {.folders = &desk->inbox, .folder_count = 1, .limit = UIDS};
    must(mirror_list(desk->mirror, &desk->call, &query, &listed.sink));
    assert_int_equal(listed.count, mirrored);
}

/* The journal, replayed, gives the messages that are there. */
static void replay(struct desk *desk)
{
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM (SELECT uid, sum(CASE kind WHEN 1 THEN 1 "
                                    "WHEN 3 THEN -1 ELSE 0 END) AS there FROM journal "
                                    "WHERE kind < 4 GROUP BY id) WHERE there NOT IN (0, 1)"),
                     0);
    assert_int_equal(
        desk_sql(desk, "SELECT (SELECT sum(CASE kind WHEN 1 THEN 1 WHEN 3 THEN -1 ELSE 0 END) "
                       "FROM journal WHERE kind < 4) = (SELECT count(*) FROM message)"),
        1);
    assert_int_equal(desk_sql(desk, "SELECT count(*) FROM message m WHERE m.change <> "
                                    "(SELECT max(seq) FROM journal j WHERE j.id = m.id)"),
                     0);
    assert_int_equal(
        desk_sql(desk, "SELECT (SELECT count(*) FROM body) = (SELECT count(*) FROM message)"), 1);
    assert_int_equal(desk_sql(desk, "SELECT (SELECT change FROM account) = "
                                    "(SELECT max(seq) FROM journal)"),
                     1);
}

static void the_mirror_agrees_with_a_plain_model(void **state)
{
    struct desk *desk = *state;
    struct model model = {.validity = 1, .uid_next = 1, .floor = 1, .seed = 20240229};
    for (int round = 0; round < ROUNDS; round++) {
        struct mirror_sync *sync = desk_begin(desk, desk->inbox);
        if (round % 150 == 0)
            step_reset(desk, sync, &model);
        for (uint32_t n = 1 + draw(&model, 4); n > 0; n--)
            steps[draw(&model, sizeof steps / sizeof *steps)](desk, sync, &model);
        must(mirror_sync_commit(&sync,
                                &(struct mirror_sync_state){.validity = model.validity,
                                                            .uid_next = model.uid_next,
                                                            .exists = 1,
                                                            .floor = model.floor},
                                NULL));
        compare(desk, &model);
        if (round % 100 == 0) {
            store_tidy(desk->store, -1, 0);
            arena_clear(&desk->arena);
        }
    }
    replay(desk);
}

/* A sync that is cut at any report, and then done whole, gives what one that was never cut does. */
static void a_cut_sync_done_again_is_as_if_it_never_was_cut(void **state)
{
    struct desk *desk = *state;
    struct model model = {.validity = 1, .uid_next = 1, .floor = 1, .seed = 77};
    for (int round = 0; round < 60; round++) {
        struct mirror_sync *sync = desk_begin(desk, desk->inbox);
        if (round == 0)
            step_reset(desk, sync, &model);
        struct model cut = model;
        steps[draw(&model, sizeof steps / sizeof *steps)](desk, sync, &model);
        sync_apply(sync, NULL);
        if (round % 3 == 0 && round > 0) {
            /* The server says it all again, from what the mirror still states. */
            uint32_t floor = model.floor, uid_next = model.uid_next;
            mirror_sync_abort(&sync);
            sync = desk_begin(desk, desk->inbox);
            uint32_t low = floor < cut.floor ? floor : cut.floor;
            struct uid_range ranges[UIDS];
            uint32_t count = 0;
            for (uint32_t uid = low; uid < uid_next; uid++) {
                if (!model.slots[uid].there)
                    continue;
                ranges[count++] = (struct uid_range){uid, uid};
                if (uid < cut.floor || uid >= cut.uid_next)
                    put(desk, sync, &model, uid);
                else
                    must(mirror_sync_flags(sync, uid, model.slots[uid].flags, NULL, 0));
            }
            must(mirror_sync_present(sync, low, ranges, count));
        }
        must(mirror_sync_commit(&sync,
                                &(struct mirror_sync_state){.validity = model.validity,
                                                            .uid_next = model.uid_next,
                                                            .exists = 1,
                                                            .floor = model.floor},
                                NULL));
        compare(desk, &model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(the_mirror_agrees_with_a_plain_model),
        BOTH(a_cut_sync_done_again_is_as_if_it_never_was_cut),
    };
    return RUN_TESTS(tests);
}

/* Cursors, bodies and messages: what is made, and what is taken apart. */
#include "body.h"
#include "cursor.h"
#include "put.h"
#include "render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct arena arena;
static struct fault fault;

static int fresh(void **state)
{
    (void)state;
    arena_clear(&arena);
    fault_clear(&fault);
    return 0;
}

/* ---- cursors ---- */
static const struct crypto_key key = {.bytes = {1, 2, 3}};
static const struct cursor place = {
    .place = {.received_s = -12345678901, .folder = 1LL << 40, .uid = 4000000000u},
    .binding = {9, 8, 7, 6, 5, 4, 3, 2},
};

static enum err reopen(const char *text, const char *account, struct cursor *out)
{
    fault_clear(&fault);
    return cursor_open(&key, account, text, &fault, out);
}

static void a_cursor_keeps_its_place(void **state)
{
    char text[CURSOR_BYTES];
    struct cursor out;
    (void)state;
    cursor_seal(&key, "a_1", &place, text);
    assert_int_equal(reopen(text, "a_1", &out), OK);
    assert_true(out.place.received_s == place.place.received_s);
    assert_true(out.place.folder == place.place.folder);
    assert_int_equal(out.place.uid, place.place.uid);
    assert_memory_equal(out.binding, place.binding, sizeof out.binding);
}

static void a_cursor_altered_in_any_character_is_refused(void **state)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=. ";
    char text[CURSOR_BYTES];
    struct cursor out;
    (void)state;
    cursor_seal(&key, "a_1", &place, text);
    for (size_t i = 0; text[i]; i++) {
        char kept = text[i];
        for (const char *letter = letters; *letter; letter++) {
            text[i] = *letter;
            if (*letter != kept) {
                assert_int_equal(reopen(text, "a_1", &out), ERR_INVALID_CURSOR);
                assert_string_equal(fault.pointer, "cursor");
            }
        }
        text[i] = '\0'; /* cut short */
        assert_int_equal(reopen(text, "a_1", &out), ERR_INVALID_CURSOR);
        text[i] = kept;
    }
    assert_int_equal(reopen(text, "a_1", &out), OK);
}

static void a_cursor_is_one_accounts_and_one_keys(void **state)
{
    static const struct crypto_key other = {.bytes = {1, 2, 4}};
    char text[CURSOR_BYTES], longer[CURSOR_BYTES + 4];
    struct cursor out;
    (void)state;
    cursor_seal(&key, "a_1", &place, text);
    assert_int_equal(reopen(text, "a_2", &out), ERR_INVALID_CURSOR);
    assert_int_equal(cursor_open(&other, "a_1", text, &fault, &out), ERR_INVALID_CURSOR);
    snprintf(longer, sizeof longer, "%sAAAA", text);
    assert_int_equal(reopen(longer, "a_1", &out), ERR_INVALID_CURSOR);
    assert_int_equal(reopen("", "a_1", &out), ERR_INVALID_CURSOR);
}

static void different_lists_bind_differently(void **state)
{
    uint8_t a[CURSOR_BINDING_BYTES], b[CURSOR_BINDING_BYTES];
    (void)state;
    cursor_bind("f_1,", a);
    cursor_bind("f_1,f_2,", b);
    assert_memory_not_equal(a, b, sizeof a);
}

/* ---- bodies ---- */
static const struct member members[] = {
    {"name", MEMBER_TEXT, true, 1, 8}, {"port", MEMBER_INT, false, 1, 65535},
    {"on", MEMBER_BOOL, false, 0, 0},  {"map", MEMBER_OBJECT, false, 0, 0},
    {NULL, MEMBER_TEXT, false, 0, 0},
};

static enum err take(const char *type, const char *text, size_t length)
{
    json_t *body = NULL;
    fault_clear(&fault);
    enum err err = body_parse(type, text, length, members, &fault, &body);
    if (!err)
        json_decref(body);
    return err;
}

static void a_good_body_is_taken(void **state)
{
    static const char text[] = "{\"name\":\"a\",\"port\":993,\"on\":false,\"map\":{}}";
    json_t *body = NULL;
    (void)state;
    assert_int_equal(
        body_parse("Application/JSON; charset=utf-8", text, strlen(text), members, &fault, &body),
        OK);
    assert_string_equal(body_text(body, "name"), "a");
    assert_int_equal(body_int(body, "port", 1), 993);
    assert_int_equal(body_int(body, "absent", 7), 7);
    json_decref(body);
}

static void a_bad_body_is_refused_where_it_is_bad(void **state)
{
    static const struct {
        const char *text, *pointer;
    } rows[] = {
        {"", ""},
        {"{", ""},
        {"[]", ""},
        {"null", ""},
        {"\"name\"", ""},
        {"{\"name\":\"a\"} x", ""},
        {"{\"name\":\"a\",\"name\":\"a\"}", "/name"},
        {" {\"on\":true,\"name\":\"on\",\"map\":{\"on\":[1]},\"on\":1}", "/on"},
        {"{\"name\":\"\\\",\\\"\",\"port\":1,\"port\":2}", "/port"},
        {"{\"map\":{\"on\":1,\"on\":2},\"on\":true}", ""},
        {"{\"name\":\"a\",\"other\":1,\"other\":1}", ""},
        {"{\"name\":\"a\",\"n\\u0061me\":\"b\"}", ""},
        {"[\"name\",\"name\",{\"a\":1,\"a\":1}]", ""},
        {"{\"name\":\"\xff\"}", ""},
        {"{\"name\":\"\xed\xa0\x80\"}", ""},
        {"{\"name\":\"a\\u0000\"}", ""},
        {"{\"n\\u0000\":\"a\"}", ""},
        {"{\"port\":99999999999999999999}", ""},
        {"{}", "/name"},
        {"{\"name\":1}", "/name"},
        {"{\"name\":null}", "/name"},
        {"{\"name\":\"\"}", "/name"},
        {"{\"name\":\"123456789\"}", "/name"},
        {"{\"name\":\"a\\r\"}", "/name"},
        {"{\"name\":\"a\\nb\"}", "/name"},
        {"{\"name\":\"a\",\"port\":\"993\"}", "/port"},
        {"{\"name\":\"a\",\"port\":0}", "/port"},
        {"{\"name\":\"a\",\"port\":-1}", "/port"},
        {"{\"name\":\"a\",\"port\":65536}", "/port"},
        {"{\"name\":\"a\",\"port\":1.5}", "/port"},
        {"{\"name\":\"a\",\"on\":1}", "/on"},
        {"{\"name\":\"a\",\"map\":[]}", "/map"},
        {"{\"name\":\"a\",\"a/b~c\":1}", "/a~1b~0c"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(take("application/json", rows[i].text, strlen(rows[i].text)), ERR_INVALID);
        assert_true(fault.pointed);
        assert_string_equal(fault.pointer, rows[i].pointer);
    }
    assert_int_equal(take("application/json", "{\"name\":\"a\"}\0", 13), ERR_INVALID);
    assert_true(fault.pointed);
}

static void a_body_of_another_type_is_refused(void **state)
{
    static const char *const types[] = {NULL, "", "text/plain", "application/jsonx",
                                        "application/x-www-form-urlencoded"};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        assert_int_equal(take(types[i], "{\"name\":\"a\"}", 12), ERR_MEDIA_TYPE);
}

static void a_fault_never_quotes_the_body(void **state)
{
    static const char text[] = "{\"name\":\"hunter2\" hunter2}";
    (void)state;
    assert_int_equal(take("application/json", text, strlen(text)), ERR_INVALID);
    assert_null(strstr(fault.detail, "hunter2"));
    assert_int_equal(take("application/json", "{\"name\":\"hunter2hunter2\"}", 25), ERR_INVALID);
    assert_null(strstr(fault.detail, "hunter2"));
}

static void deep_nesting_ends_at_a_limit(void **state)
{
    char *text = malloc(BODY_MAX_BYTES);
    (void)state;
    memset(text, '[', BODY_MAX_BYTES);
    assert_int_equal(take("application/json", text, BODY_MAX_BYTES), ERR_INVALID);
    free(text);
}

/* ---- messages ---- */
static const struct address from[] = {
    {.name = "A \"quoted\", \\ name", .email = "a@example.org"},
    {.name = "", .email = "b@example.org", .group = "Team"},
    {.name = NULL, .email = NULL, .group = "undisclosed-recipients"},
};
static const char *const references[] = {"1@example.org", "two,[{\"@example.org"};

static struct message hostile_message(void)
{
    return (struct message){
        .uid = 7,
        .received_s = 1772271004,
        .size = 3000000000u,
        .has_attachment = true,
        .envelope = {.subject = "},{\"id\":\"m_evil\",\"x\":[\t\n\xff \\\" é",
                     .from = {from, 3},
                     .message_id = "x@example.org",
                     .references = {references, 2}},
    };
}

static struct message_row row_of(const struct message *message)
{
    struct buf text;
    buf_init(&text, 65536);
    api_render_message("m_1", message, &text);
    struct message_row row = {.id = "m_1",
                              .folder = 3,
                              .uid = message->uid,
                              .flags = FLAG_SEEN | FLAG_DRAFT,
                              .keywords_json = "[\"$Forwarded\"]",
                              .json = arena_strndup(&arena, text.data, text.length),
                              .json_length = text.length};
    buf_clear(&text);
    return row;
}

static json_t *render(const struct message_row *row, uint32_t mask)
{
    struct buf out;
    buf_init(&out, 65536);
    put_open(&out, '{');
    render_row(&out, row, "f_1", mask);
    put_close(&out, '}');
    json_t *object = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, NULL);
    buf_clear(&out);
    assert_non_null(object);
    return object;
}

static void a_list_row_has_every_member_of_the_list(void **state)
{
    struct message message = hostile_message();
    struct message_row row = row_of(&message);
    (void)state;
    json_t *object = render(&row, FIELDS_LIST);
    for (int field = 0; field < FIELD_LIMITED; field++)
        assert_non_null(json_object_get(object, field_name((enum field)field)));
    assert_int_equal(json_object_size(object), FIELD_LIMITED);
    assert_string_equal(json_string_value(json_object_get(object, "id")), "m_1");
    assert_true(json_integer_value(json_object_get(object, "size")) == 3000000000);
    assert_true(json_is_null(json_object_get(object, "date")));
    assert_true(json_is_null(json_object_get(object, "preview")));
    assert_string_equal(json_string_value(json_object_get(object, "receivedAt")),
                        "2026-02-28T09:30:04Z");
    assert_true(json_is_true(json_object_get(object, "seen")));
    assert_true(json_is_false(json_object_get(object, "flagged")));
    assert_true(json_is_true(json_object_get(object, "draft")));
    assert_string_equal(json_string_value(json_object_get(object, "folderId")), "f_1");
    json_t *sender = json_array_get(json_object_get(object, "from"), 0);
    assert_string_equal(json_string_value(json_object_get(sender, "name")), from[0].name);
    assert_null(json_object_get(sender, "group"));
    json_t *member = json_array_get(json_object_get(object, "from"), 1);
    assert_true(json_is_null(json_object_get(member, "name")));
    assert_string_equal(json_string_value(json_object_get(member, "group")), "Team");
    assert_string_equal(json_string_value(json_array_get(json_object_get(object, "references"), 1)),
                        references[1]);
    json_decref(object);
}

/* A selection is cut out of the ready row: it must be what parsing the whole row would give. */
static void every_selection_equals_the_same_members_of_the_whole(void **state)
{
    struct message message = hostile_message();
    struct message_row row = row_of(&message);
    row.preview = "look, \"here\": ]}";
    (void)state;
    json_t *whole = render(&row, FIELDS_LIST);
    for (uint32_t seed = 1; seed <= 400; seed++) {
        uint32_t mask = (seed * 2654435761u >> 8) & FIELDS_LIST;
        json_t *part = render(&row, mask);
        for (int field = 0; field < FIELD_LIMITED; field++) {
            json_t *wanted = mask & FIELD_BIT(field)
                                 ? json_object_get(whole, field_name((enum field)field))
                                 : NULL;
            json_t *given = json_object_get(part, field_name((enum field)field));
            assert_true(wanted == NULL ? given == NULL : json_equal(wanted, given));
        }
        json_decref(part);
    }
    json_decref(whole);
}

static void an_empty_message_renders_with_nulls_and_empty_arrays(void **state)
{
    struct message message = {.uid = 1, .limited = LIMITED_UNREADABLE};
    struct message_row row = row_of(&message);
    struct buf out;
    row.keywords_json = NULL;
    (void)state;
    json_t *object = render(&row, FIELDS_LIST);
    assert_true(json_is_null(json_object_get(object, "subject")));
    assert_true(json_is_null(json_object_get(object, "messageId")));
    assert_int_equal(json_array_size(json_object_get(object, "from")), 0);
    assert_int_equal(json_array_size(json_object_get(object, "keywords")), 0);
    json_decref(object);
    buf_init(&out, 1024);
    render_parts(&out, &message);
    render_limited(&out, message.limited);
    assert_string_equal(out.data, "[],[\"unreadable\"]");
    buf_clear(&out);
}

static void rendering_twice_gives_the_same_bytes(void **state)
{
    struct message message = hostile_message();
    struct message_row a = row_of(&message), b = row_of(&message);
    (void)state;
    assert_string_equal(a.json, b.json);
}

#define PART(ID, TYPE, PARENT, NAME)                                                               \
    {                                                                                              \
        .id = ID, .type = TYPE, .parent = PARENT, .name = NAME, .encoding = "7bit", .size = -1     \
    }

static void the_mime_tree_nests_as_its_parents_say(void **state)
{
    static const struct part parts[] = {
        PART("", "multipart/mixed", -1, NULL),    PART("1", "multipart/alternative", 0, NULL),
        PART("1.1", "text/plain", 1, NULL),       PART("1.2", "text/html", 1, NULL),
        PART("2", "application/pdf", 0, "a.pdf"),
    };
    struct message message = {.parts = parts, .part_count = 5};
    struct buf out;
    (void)state;
    buf_init(&out, 65536);
    render_parts(&out, &message);
    json_t *tree = json_loads(out.data, 0, NULL);
    assert_non_null(tree);
    assert_int_equal(json_array_size(tree), 1);
    json_t *children = json_object_get(json_array_get(tree, 0), "children");
    assert_int_equal(json_array_size(children), 2);
    json_t *alternative = json_object_get(json_array_get(children, 0), "children");
    assert_int_equal(json_array_size(alternative), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(alternative, 1), "id")),
                        "1.2");
    assert_true(json_is_null(json_object_get(json_array_get(children, 1), "size")));
    json_decref(tree);
    buf_reset(&out);
    render_attachments(&out, &message);
    json_t *attachments = json_loads(out.data, 0, NULL);
    assert_int_equal(json_array_size(attachments), 1);
    json_decref(attachments);
    buf_clear(&out);
}

static void a_deep_tree_closes_as_often_as_it_opens(void **state)
{
    enum { DEPTH = 100 };
    struct part parts[DEPTH];
    struct buf out;
    (void)state;
    for (int i = 0; i < DEPTH; i++)
        parts[i] = (struct part)PART("1", "multipart/mixed", i - 1, NULL);
    buf_init(&out, 1024 * 1024);
    render_parts(&out, &(struct message){.parts = parts, .part_count = DEPTH});
    json_t *tree = json_loads(out.data, 0, NULL);
    assert_non_null(tree);
    json_decref(tree);
    buf_clear(&out);
}

static void an_etag_changes_with_what_may_change(void **state)
{
    struct message message = hostile_message();
    struct message_row row = row_of(&message);
    char before[ETAG_BYTES], after[ETAG_BYTES];
    (void)state;
    render_message_etag(&row, "f_1", before);
    assert_memory_equal(before, "W/\"", 3);
    row.change = 99; /* a rebuilt mirror counts anew */
    render_message_etag(&row, "f_1", after);
    assert_string_equal(before, after);
    render_message_etag(&row, "f_2", after);
    assert_string_not_equal(before, after);
    row.flags ^= FLAG_SEEN;
    render_message_etag(&row, "f_1", after);
    assert_string_not_equal(before, after);
    row.flags ^= FLAG_SEEN;
    row.keywords_json = "[]";
    render_message_etag(&row, "f_1", after);
    assert_string_not_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_cursor_keeps_its_place, fresh),
        cmocka_unit_test_setup(a_cursor_altered_in_any_character_is_refused, fresh),
        cmocka_unit_test_setup(a_cursor_is_one_accounts_and_one_keys, fresh),
        cmocka_unit_test_setup(different_lists_bind_differently, fresh),
        cmocka_unit_test_setup(a_good_body_is_taken, fresh),
        cmocka_unit_test_setup(a_bad_body_is_refused_where_it_is_bad, fresh),
        cmocka_unit_test_setup(a_body_of_another_type_is_refused, fresh),
        cmocka_unit_test_setup(a_fault_never_quotes_the_body, fresh),
        cmocka_unit_test_setup(deep_nesting_ends_at_a_limit, fresh),
        cmocka_unit_test_setup(a_list_row_has_every_member_of_the_list, fresh),
        cmocka_unit_test_setup(every_selection_equals_the_same_members_of_the_whole, fresh),
        cmocka_unit_test_setup(an_empty_message_renders_with_nulls_and_empty_arrays, fresh),
        cmocka_unit_test_setup(rendering_twice_gives_the_same_bytes, fresh),
        cmocka_unit_test_setup(the_mime_tree_nests_as_its_parents_say, fresh),
        cmocka_unit_test_setup(a_deep_tree_closes_as_often_as_it_opens, fresh),
        cmocka_unit_test_setup(an_etag_changes_with_what_may_change, fresh),
    };
    body_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_clear(&arena);
    return failed;
}

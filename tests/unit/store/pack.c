/* pack.c - the packed record and the keywords, and what is not one. */
#include "support.h"

static void texts_equal(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a)
        assert_string_equal(a, b);
}

static struct message full_message(void)
{
    static const struct address several[] = {
        {.name = NULL, .email = "x@example.org"},
        {.name = "", .email = NULL, .group = "team"},
        {.name = "Zo\xc3\xab", .email = "zoe@example.org", .group = "team"},
    };
    static const char *const references[] = {"a@example.com", "", "c@example.com"};
    struct message message = desk_message(9, -3, FLAG_SEEN, "");
    message.remote_id = "\xff raw";
    message.size = UINT64_MAX;
    message.limited = LIMITED_PARTS | LIMITED_DEPTH;
    message.envelope.date_s = INT64_MIN;
    message.envelope.to = (struct address_list){.items = several, .count = 3};
    message.envelope.references = (struct string_list){.items = references, .count = 3};
    return message;
}

static void a_record_comes_back_as_it_was(void **state)
{
    struct desk *desk = *state;
    struct message message = full_message(), back = {0};
    struct buf packed;
    buf_init(&packed, SIZE_MAX / 4);
    pack_message(&message, &packed);
    assert_true(unpack_message(&desk->arena, packed.data, packed.length, &back));
    assert_string_equal(back.remote_id, message.remote_id);
    assert_int_equal(back.received_s, message.received_s);
    assert_true(back.size == message.size);
    assert_int_equal(back.limited, message.limited);
    assert_true(back.has_attachment && back.envelope.has_date);
    assert_true(back.envelope.date_s == INT64_MIN);
    assert_string_equal(back.envelope.subject, "");
    assert_int_equal(back.envelope.to.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        texts_equal(back.envelope.to.items[i].name, message.envelope.to.items[i].name);
        texts_equal(back.envelope.to.items[i].email, message.envelope.to.items[i].email);
        texts_equal(back.envelope.to.items[i].group, message.envelope.to.items[i].group);
        texts_equal(back.envelope.references.items[i], message.envelope.references.items[i]);
    }
    assert_int_equal(back.envelope.cc.count, 0);
    assert_int_equal(back.part_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        texts_equal(back.parts[i].id, desk_parts[i].id);
        texts_equal(back.parts[i].type, desk_parts[i].type);
        texts_equal(back.parts[i].name, desk_parts[i].name);
        texts_equal(back.parts[i].charset, desk_parts[i].charset);
        texts_equal(back.parts[i].encoding, desk_parts[i].encoding);
        assert_true(back.parts[i].encoded_size == desk_parts[i].encoded_size);
        assert_true(back.parts[i].size == desk_parts[i].size);
        assert_int_equal(back.parts[i].parent, desk_parts[i].parent);
    }
    buf_clear(&packed);
}

/* Exact allocations, so that one byte read too far is seen by the sanitizer. */
static bool unpack_copy(struct desk *desk, const char *data, size_t length)
{
    struct message back = {0};
    char *copy = xalloc(length);
    memcpy(copy, data, length);
    bool good = unpack_message(&desk->arena, copy, length, &back);
    free(copy);
    return good;
}

static void a_record_that_is_cut_or_grown_is_refused(void **state)
{
    struct desk *desk = *state;
    struct message message = full_message();
    struct buf packed;
    buf_init(&packed, SIZE_MAX / 4);
    pack_message(&message, &packed);
    for (size_t length = 0; length < packed.length; length++)
        assert_false(unpack_copy(desk, packed.data, length));
    assert_true(unpack_copy(desk, packed.data, packed.length));
    buf_char(&packed, '\0');
    assert_false(unpack_copy(desk, packed.data, packed.length));
    buf_clear(&packed);
}

static void noise_is_refused_or_harmless(void **state)
{
    struct desk *desk = *state;
    struct message message = full_message();
    struct buf packed;
    buf_init(&packed, SIZE_MAX / 4);
    pack_message(&message, &packed);
    uint32_t seed = 12345, refused = 0;
    for (int round = 0; round < 20000; round++) {
        char copy[1024];
        assert_true(packed.length < sizeof copy);
        memcpy(copy, packed.data, packed.length);
        for (int i = 0; i < 1 + round % 4; i++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % packed.length] ^= (char)(1 + (seed >> 24) % 255);
        }
        refused += !unpack_copy(desk, copy, packed.length);
        arena_clear(&desk->arena);
    }
    assert_true(refused > 5000);
    /* A count of two thousand million in a record of a few bytes. */
    static const char huge[] = "\1\0\0\0\0\0\0\0\0\xff\xff\xff\xff\7";
    assert_false(unpack_copy(desk, huge, sizeof huge - 1));
    buf_clear(&packed);
}

static void keywords_are_sorted_once_each_and_come_back(void **state)
{
    struct desk *desk = *state;
    static const char *const items[] = {"b", "$Forwarded", "a\"\\x", "b", "tab\tand\x01", ","};
    struct string_list back, list = {.items = items, .count = 6};
    struct buf json;
    buf_init(&json, 4096);
    pack_keywords(&list, &json);
    assert_string_equal(json.data,
                        "[\"$Forwarded\",\",\",\"a\\\"\\\\x\",\"b\",\"tab\\tand\\u0001\"]");
    assert_true(unpack_keywords(&desk->arena, json.data, &back));
    assert_int_equal(back.count, 5);
    assert_string_equal(back.items[0], "$Forwarded");
    assert_string_equal(back.items[2], "a\"\\x");
    assert_string_equal(back.items[4], "tab\tand\x01");
    buf_clear(&json);
    pack_keywords(&(struct string_list){0}, &json);
    assert_string_equal(json.data, "[]");
    assert_true(unpack_keywords(&desk->arena, "[]", &back));
    assert_int_equal(back.count, 0);
    buf_clear(&json);
}

static void what_is_no_keyword_array_is_refused(void **state)
{
    struct desk *desk = *state;
    static const char *const wrong[] = {
        "",         "[",        "]",     "[\"",      "[\"a",          "[\"a\"",        "[a]",
        "[\"a\",]", "[\"a\"]x", "[\"\\", "[\"\\u00", "[\"\\u0000\"]", "[\"\\u00e4\"]", "[\"\\q\"]",
        "\"a\"",    "[,]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct string_list back;
        char *copy = xstrdup(wrong[i]);
        assert_false(unpack_keywords(&desk->arena, copy, &back));
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_MEMORY(a_record_comes_back_as_it_was),
        IN_MEMORY(a_record_that_is_cut_or_grown_is_refused),
        IN_MEMORY(noise_is_refused_or_harmless),
        IN_MEMORY(keywords_are_sorted_once_each_and_come_back),
        IN_MEMORY(what_is_no_keyword_array_is_refused),
    };
    return RUN_TESTS(tests);
}

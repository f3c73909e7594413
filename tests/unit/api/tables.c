/* Parameters, fields, problems, routes and dispositions: what the tables promise. */
#include "disposition.h"
#include "fields.h"
#include "http.h"
#include "limits.h"
#include "negotiate.h"
#include "openapi.h"
#include "params.h"
#include "problem.h"
#include "routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
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

#define LIST_PARAMS                                                                                \
    (ACCEPTS(PARAM_FOLDER) | ACCEPTS(PARAM_LIMIT) | ACCEPTS(PARAM_CURSOR) |                        \
     ACCEPTS(PARAM_FIELDS) | ACCEPTS(PARAM_TOTAL) | ACCEPTS(PARAM_SORT))

static enum err parse(const char *query, struct params *out)
{
    fault_clear(&fault);
    return params_parse(query, LIST_PARAMS, &arena, &fault, out);
}

/* ---- parameters ---- */
static void left_out_parameters_have_their_defaults(void **state)
{
    struct params params;
    (void)state;
    assert_int_equal(parse("", &params), OK);
    assert_int_equal(params.number[PARAM_LIMIT], 50);
    assert_int_equal(params.number[PARAM_TOTAL], TOTAL_NONE);
    assert_null(params.text[PARAM_FOLDER]);
}

static void parameters_are_decoded_by_kind(void **state)
{
    struct params params;
    (void)state;
    assert_int_equal(parse("limit=500&folder=path:a%2Cb,inbox&total=exact&sort=-receivedAt&"
                           "fields=id%2Csubject",
                           &params),
                     OK);
    assert_int_equal(params.number[PARAM_LIMIT], 500);
    assert_int_equal(params.number[PARAM_TOTAL], TOTAL_EXACT);
    assert_string_equal(params.text[PARAM_FOLDER], "path:a%2Cb,inbox");
    assert_string_equal(params.text[PARAM_FIELDS], "id,subject");
}

static void a_bad_parameter_is_refused_where_it_stands(void **state)
{
    static const struct {
        const char *query, *pointer;
    } rows[] = {
        {"limit=0", "limit"},
        {"limit=501", "limit"},
        {"limit=", "limit"},
        {"limit", "limit"},
        {"limit=+5", "limit"},
        {"limit=5.0", "limit"},
        {"limit=99999999999999999999", "limit"},
        {"limit=5&limit=5", "limit"},
        {"total=yes", "total"},
        {"sort=subject", "sort"},
        {"lmit=5", "lmit"},
        {"subject=x", "subject"},
        {"q=x", "q"},
        {"Limit=5", "Limit"},
        {"as=plain", "as"},
        {"folder=%ff", "folder"},
        {"folder=%00", "folder"},
        {"folder=%2", "folder"},
        {"%ff=1", "%ff"},
        {"cursor=", "cursor"},
        {"limit=5&from=a", "from"},
    };
    struct params params;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(parse(rows[i].query, &params), ERR_INVALID);
        assert_string_equal(fault.pointer, rows[i].pointer);
    }
}

static void an_unknown_name_is_cut_between_characters(void **state)
{
    struct params params;
    char query[400] = "";
    (void)state;
    for (int i = 0; i < 60; i++)
        memcpy(query + 6 * i, "%C3%A9", 7);
    assert_int_equal(parse(query, &params), ERR_INVALID);
    assert_int_equal(strlen(fault.pointer), 64);
    assert_int_equal((unsigned char)fault.pointer[63], 0xa9);
}

/* ---- fields ---- */
static enum err fields(const char *text, bool is_list, struct fields *out)
{
    fault_clear(&fault);
    return fields_parse(text, is_list, &arena, &fault, out);
}

static void fields_default_to_their_group(void **state)
{
    struct fields out;
    (void)state;
    assert_int_equal(fields(NULL, true, &out), OK);
    assert_int_equal(out.mask, FIELDS_LIST);
    assert_int_equal(fields(NULL, false, &out), OK);
    assert_int_equal(out.mask, FIELDS_FULL);
    assert_int_equal(out.header_count, 0);
}

static void fields_select_members_groups_and_headers(void **state)
{
    struct fields out;
    (void)state;
    assert_int_equal(fields("id,subject,id", true, &out), OK);
    assert_int_equal(out.mask, FIELD_BIT(FIELD_ID) | FIELD_BIT(FIELD_SUBJECT));
    assert_int_equal(fields("@list,parts,header.List-Id,header.list-ID", false, &out), OK);
    assert_int_equal(out.mask, FIELDS_LIST | FIELD_BIT(FIELD_PARTS));
    assert_int_equal(out.header_count, 1);
    assert_string_equal(out.headers[0], "List-Id");
    assert_int_equal(fields("header.X", false, &out), OK);
    assert_int_equal(out.mask, 0);
}

static void bad_fields_are_refused(void **state)
{
    static const char *const bad[] = {
        "",         ",",       "id,",        "Id",         "@all",
        "subject ", "header.", "header.a b", "header.a:b", "header.\xc3\xa9",
        "id,,size"};
    static const char *const not_in_lists[] = {"@full", "parts", "html", "header.X", "id,headers"};
    struct fields out;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fields(bad[i], false, &out), ERR_INVALID);
        assert_string_equal(fault.pointer, "fields");
    }
    for (size_t i = 0; i < sizeof not_in_lists / sizeof not_in_lists[0]; i++)
        assert_int_equal(fields(not_in_lists[i], true, &out), ERR_INVALID);
}

static void too_many_single_headers_are_refused(void **state)
{
    struct fields out;
    char text[600] = "id";
    (void)state;
    for (int i = 0; i < FIELDS_HEADERS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",header.X%d", i);
    assert_int_equal(fields(text, false, &out), OK);
    snprintf(text + strlen(text), sizeof text - strlen(text), ",header.One-More");
    assert_int_equal(fields(text, false, &out), ERR_INVALID);
}

/* ---- problems ---- */
static void every_error_has_a_status_a_code_and_a_title(void **state)
{
    (void)state;
    for (int err = 0; err < ERR_COUNT; err++) {
        const struct problem_row *row = problem_row((enum err)err);
        assert_in_range(row->status, 400, 599);
        assert_non_null(row->code);
        assert_true(strspn(row->code, "abcdefghijklmnopqrstuvwxyz-") == strlen(row->code));
        assert_true(strlen(row->title) > 5);
    }
    assert_int_equal(problem_row(ERR_COUNT)->status, 500);
}

/* A worker's death is our name for what a client sees as the mail server's fault. */
static void no_two_errors_share_a_code_but_a_workers_death(void **state)
{
    (void)state;
    for (int a = 1; a < ERR_COUNT; a++)
        for (int b = 1; b < a; b++)
            if (a != ERR_WORKER || b != ERR_PROTOCOL)
                assert_string_not_equal(problem_row((enum err)a)->code,
                                        problem_row((enum err)b)->code);
    const struct problem_row *worker = problem_row(ERR_WORKER),
                             *protocol = problem_row(ERR_PROTOCOL);
    assert_int_equal(worker->status, protocol->status);
    assert_string_equal(worker->code, protocol->code);
    assert_string_equal(worker->title, protocol->title);
}

static void a_problem_is_a_whole_document(void **state)
{
    struct buf out;
    (void)state;
    fault_reply(&fault, "imap", "NO \"quoted\" \x01 text", 18);
    fault_at(&fault, ERR_LOGIN, "/password", "the mail server said no");
    buf_init(&out, 65536);
    problem_put(&out, &fault, "r-1");
    json_t *problem = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(problem);
    assert_string_equal(json_string_value(json_object_get(problem, "type")),
                        "https://postern.dev/problems/upstream-login-failed");
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), 424);
    assert_string_equal(json_string_value(json_object_get(problem, "requestId")), "r-1");
    json_t *upstream = json_object_get(problem, "upstream");
    assert_string_equal(json_string_value(json_object_get(upstream, "protocol")), "imap");
    json_t *error = json_array_get(json_object_get(problem, "errors"), 0);
    assert_string_equal(json_string_value(json_object_get(error, "pointer")), "/password");
    json_decref(problem);
    buf_clear(&out);
}

static json_t *problem_of(const struct fault *told)
{
    struct buf out;
    buf_init(&out, 65536);
    problem_put(&out, told, NULL);
    json_t *problem = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
    buf_clear(&out);
    assert_non_null(problem);
    return problem;
}

static void the_whole_body_has_the_empty_pointer_and_no_place_none(void **state)
{
    (void)state;
    fault_at(&fault, ERR_INVALID, "", "the body is not JSON");
    json_t *problem = problem_of(&fault);
    json_t *error = json_array_get(json_object_get(problem, "errors"), 0);
    assert_string_equal(json_string_value(json_object_get(error, "pointer")), "");
    json_decref(problem);
    fault_clear(&fault);
    fault_set(&fault, ERR_BUSY, "too many");
    problem = problem_of(&fault);
    assert_null(json_object_get(problem, "errors"));
    json_decref(problem);
}

static void a_pointer_of_broken_utf8_still_makes_json(void **state)
{
    struct buf out;
    (void)state;
    fault_at(&fault, ERR_INVALID, "/\xc3", "\xff");
    buf_init(&out, 65536);
    problem_put(&out, &fault, NULL);
    json_t *problem = json_loads(out.data, 0, NULL);
    assert_non_null(problem);
    assert_null(json_object_get(problem, "requestId"));
    json_decref(problem);
    buf_clear(&out);
}

/* ---- routes ---- */
static enum route_match find(enum http_method method, const char *path, const char **operation,
                             const char *values[PATH_VALUE_COUNT], char allow[ALLOW_BYTES])
{
    const struct route *route = NULL;
    enum route_match match = route_find(method, path, &arena, &route, values, allow);
    *operation = route ? route->operation : "";
    return match;
}

static void paths_lead_to_their_operation(void **state)
{
    static const struct {
        enum http_method method;
        const char *path, *operation;
    } rows[] = {
        {HTTP_GET, "/v1", "service.get"},
        {HTTP_HEAD, "/v1", "service.get"},
        {HTTP_POST, "/v1/accounts:verify", "accounts.verify"},
        {HTTP_GET, "/v1/accounts", "accounts.list"},
        {HTTP_GET, "/v1/accounts/me", "accounts.get"},
        {HTTP_GET, "/v1/accounts/me/folders/path:Work%2FInvoices", "folders.get"},
        {HTTP_PATCH, "/v1/accounts/me/messages/m_1", "messages.update"},
        {HTTP_GET, "/v1/accounts/me/messages/m_1/parts/1.2", "parts.get"},
        {HTTP_GET, "/openapi.yaml", "openapi.get"},
    };
    const char *operation, *values[PATH_VALUE_COUNT];
    char allow[ALLOW_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(find(rows[i].method, rows[i].path, &operation, values, allow),
                         ROUTE_FOUND);
        assert_string_equal(operation, rows[i].operation);
    }
}

static void an_escaped_slash_stays_inside_its_segment(void **state)
{
    const char *operation, *values[PATH_VALUE_COUNT];
    char allow[ALLOW_BYTES];
    (void)state;
    assert_int_equal(
        find(HTTP_GET, "/v1/accounts/me/folders/path:a%2Fb%2Fmessages", &operation, values, allow),
        ROUTE_FOUND);
    assert_string_equal(operation, "folders.get");
    assert_string_equal(values[PATH_FOLDER], "path:a/b/messages");
    assert_string_equal(values[PATH_ACCOUNT], "me");
    assert_null(values[PATH_PART]);
    /* and one escaped slash is no way to another route */
    assert_int_equal(find(HTTP_GET, "/v1/accounts/me%2Ffolders", &operation, values, allow),
                     ROUTE_FOUND);
    assert_string_equal(operation, "accounts.get");
}

static void a_path_that_is_nearly_right_is_no_path(void **state)
{
    static const char *const paths[] = {"/",
                                        "",
                                        "/v1/",
                                        "//v1",
                                        "/V1",
                                        "/v1/accounts/",
                                        "/v1/accounts/me/",
                                        "/v1/accounts//folders",
                                        "/v1/accounts/me/folders/",
                                        "/v1/accounts/me/folders/a/b",
                                        "/v1/sessions/currents",
                                        "/v1%2Faccounts",
                                        "/%76%31",
                                        "/v1/accounts:verify/x",
                                        "v1"};
    const char *operation, *values[PATH_VALUE_COUNT];
    char allow[ALLOW_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(find(HTTP_GET, paths[i], &operation, values, allow), ROUTE_NO_PATH);
}

static void a_bad_escape_in_a_value_is_told_from_an_unknown_path(void **state)
{
    const char *operation, *values[PATH_VALUE_COUNT];
    char allow[ALLOW_BYTES];
    (void)state;
    assert_int_equal(find(HTTP_GET, "/v1/accounts/%zz", &operation, values, allow),
                     ROUTE_BAD_ESCAPE);
    assert_int_equal(find(HTTP_GET, "/v1/accounts/a%00b", &operation, values, allow),
                     ROUTE_BAD_ESCAPE);
}

static void another_method_learns_what_is_allowed(void **state)
{
    const char *operation, *values[PATH_VALUE_COUNT];
    char allow[ALLOW_BYTES];
    (void)state;
    assert_int_equal(find(HTTP_PUT, "/v1/accounts/me/messages/m_1", &operation, values, allow),
                     ROUTE_NO_METHOD);
    assert_string_equal(allow, "GET, HEAD, PATCH, OPTIONS");
    assert_int_equal(find(HTTP_GET, "/v1/sessions", &operation, values, allow), ROUTE_NO_METHOD);
    assert_string_equal(allow, "POST, OPTIONS");
    assert_int_equal(find(HTTP_OPTIONS, "/v1/sessions/current", &operation, values, allow),
                     ROUTE_NO_METHOD);
    assert_string_equal(allow, "GET, HEAD, DELETE, OPTIONS");
}

static void every_route_is_whole_and_has_its_own_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < routes_count; i++) {
        assert_non_null(routes[i].handle);
        assert_non_null(routes[i].summary);
        assert_true(routes[i].body_max_bytes == 0 || routes[i].method != HTTP_GET);
        /* nobody forgets to ask who it is */
        assert_true(!strstr(routes[i].template, "{account}") || routes[i].access >= ACCESS_ACCOUNT);
        for (unsigned j = 0; j < i; j++)
            assert_true(strcmp(routes[i].operation, routes[j].operation) != 0);
    }
}

static void every_fixed_limit_is_told_once(void **state)
{
    (void)state;
    for (const struct api_limit *limit = fixed_limits; limit->name; limit++) {
        assert_true(limit->value > 0);
        for (const struct api_limit *other = limit + 1; other->name; other++)
            assert_string_not_equal(limit->name, other->name);
    }
}

static int64_t fixed_limit(const char *name)
{
    for (const struct api_limit *limit = fixed_limits; limit->name; limit++)
        if (strcmp(limit->name, name) == 0)
            return limit->value;
    return -1;
}

static void limits_of_the_mail_layer_are_told_as_it_keeps_them(void **state)
{
    (void)state;
    assert_int_equal(fixed_limit("addressesPerHeader"), BACKEND_ADDRESSES_MAX);
    assert_int_equal(fixed_limit("mailHeaders"), BACKEND_HEADERS_MAX);
    assert_int_equal(fixed_limit("mailHeaderSectionBytes"), BACKEND_HEADER_SECTION_BYTES_MAX);
    assert_int_equal(fixed_limit("mailHeaderNameBytes"), BACKEND_HEADER_NAME_BYTES_MAX);
    assert_int_equal(fixed_limit("mailHeaderValueBytes"), BACKEND_HEADER_VALUE_BYTES_MAX);
    assert_int_equal(fixed_limit("previewCharacters"), BACKEND_PREVIEW_CHARS_MAX);
    assert_int_equal(fixed_limit("keywordBytes"), BACKEND_KEYWORD_BYTES_MAX);
    assert_int_equal(fixed_limit("usernameBytes"), BACKEND_USERNAME_BYTES_MAX);
    assert_int_equal(fixed_limit("passwordBytes"), BACKEND_PASSWORD_BYTES_MAX);
    assert_int_equal(fixed_limit("accessTokenBytes"), BACKEND_TOKEN_BYTES_MAX);
    assert_true(fixed_limit("basicCredentialsBytes") >
                (BACKEND_USERNAME_BYTES_MAX + BACKEND_PASSWORD_BYTES_MAX + 3) / 3 * 4);
}

static void the_description_is_built_in(void **state)
{
    (void)state;
    assert_memory_equal(openapi_text(), "openapi: 3.1", 12);
    for (unsigned i = 0; i < routes_count; i++)
        assert_non_null(strstr(openapi_text(), routes[i].operation));
}

/* ---- dispositions ---- */
static void hostile_names_make_harmless_headers(void **state)
{
    static const struct {
        const char *type, *name, *value;
    } rows[] = {
        {"application/pdf", "report.pdf", "attachment; filename=\"report.pdf\""},
        {"image/png", "a.png", "inline; filename=\"a.png\""},
        {"text/html", NULL, "attachment"},
        {"image/svg+xml", "", "attachment"},
        {"text/plain", "../../etc/passwd", "inline; filename=\"passwd\""},
        {"a/b", "C:\\boot.ini", "attachment; filename=\"boot.ini\""},
        {"a/b", "x/..", "attachment"},
        {"a/b", "a\r\nSet-Cookie: x=1", "attachment; filename=\"a Set-Cookie_ x=1\""},
        {"a/b", "a\"b;c%d", "attachment; filename=\"a_b_c_d\"; filename*=UTF-8''a%22b%3Bc%25d"},
        {"a/b", "Überweisung €.pdf",
         "attachment; filename=\"_berweisung _.pdf\"; "
         "filename*=UTF-8''%C3%9Cberweisung%20%E2%82%AC.pdf"},
        {"a/b", "\xff.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%EF%BF%BD.txt"},
        /* what is served decides, not what the mail says it was */
        {"text/plain; charset=utf-8", "a.txt", "inline; filename=\"a.txt\""},
        {"text/plain-evil", "a.txt", "attachment; filename=\"a.txt\""},
        {"application/octet-stream", "a.png", "attachment; filename=\"a.png\""},
        {"application/xhtml+xml", "a.xhtml", "attachment; filename=\"a.xhtml\""},
        {"application/pdf", "a.pdf", "attachment; filename=\"a.pdf\""},
        /* other order than it shows, line ends of Unicode */
        {"a/b", "photo\xe2\x80\xaegpj.exe", "attachment; filename=\"photogpj.exe\""},
        {"a/b",
         "\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f"
         "a\xe2\x80\xa8"
         "b\xe2\x81\xa9.txt",
         "attachment; filename=\"ab.txt\""},
        {"a/b", "\xc2\x85x\xc2\x9f\x7f.txt", "attachment; filename=\"x.txt\""},
        /* what a file system drops or hides */
        {"a/b", "setup.exe. . .", "attachment; filename=\"setup.exe\""},
        {"a/b", "  .bashrc", "attachment; filename=\"bashrc\""},
        {"a/b", "...", "attachment"},
        {"a/b", " \t ", "attachment"},
        {"a/b", "a.txt:stream", "attachment; filename=\"a.txt_stream\""},
        {"a/b", "C:evil.exe", "attachment; filename=\"C_evil.exe\""},
        /* devices */
        {"a/b", "CON", "attachment; filename=\"_CON\""},
        {"a/b", "nul .txt", "attachment; filename=\"_nul .txt\""},
        {"a/b", "Com1.tar.gz", "attachment; filename=\"_Com1.tar.gz\""},
        {"a/b", "LPT\xc2\xb9.x", "attachment; filename=\"_LPT_.x\"; filename*=UTF-8''_LPT%C2%B9.x"},
        {"a/b",
         "\xe2\x80\xae"
         "aux",
         "attachment; filename=\"_aux\""},
        {"a/b", "COM.txt", "attachment; filename=\"COM.txt\""},
        {"a/b", "COM12", "attachment; filename=\"COM12\""},
        {"a/b", "console", "attachment; filename=\"console\""},
        {"a/b", "a'b*c.txt", "attachment; filename=\"a'b*c.txt\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(disposition_value(&arena, rows[i].type, rows[i].name), rows[i].value);
}

static void a_long_name_is_cut_between_characters(void **state)
{
    char name[601] = "";
    (void)state;
    for (int i = 0; i < 300; i++)
        memcpy(name + 2 * i, "\xc3\xa9", 3);
    const char *value = disposition_value(&arena, "a/b", name);
    assert_int_equal(strlen(value),
                     strlen("attachment; filename=\"\"; filename*=UTF-8''") + 127 + 127 * 6);
}

static void a_type_is_two_tokens_or_unknown(void **state)
{
    (void)state;
    assert_string_equal(content_type_value(&arena, "text/plain", "utf-8"),
                        "text/plain; charset=utf-8");
    assert_string_equal(content_type_value(&arena, "text/plain", "a;b"), "text/plain");
    assert_string_equal(content_type_value(&arena, "image/png", "utf-8"), "image/png");
    static const char *const bad_charsets[] = {"",          "utf-7", "UNICODE-1-1-UTF-7", "a b",
                                               "a\r\nX: y", "a\"b",  "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad_charsets / sizeof bad_charsets[0]; i++)
        assert_string_equal(content_type_value(&arena, "text/html", bad_charsets[i]), "text/html");
    static const char *const bad[] = {
        "text", "text/", "/x", "text/a b", "text/a\r\nX: y", "a/b/c", "text/html;x", "\xc3/x", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_string_equal(content_type_value(&arena, bad[i], NULL), "application/octet-stream");
    assert_string_equal(content_type_value(&arena, NULL, NULL), "application/octet-stream");
}

/* ---- freshness ---- */
static void cache_control_says_how_old_an_answer_may_be(void **state)
{
    struct freshness out;
    (void)state;
    freshness_parse(NULL, &out);
    assert_false(freshness_allows(&out, 1000, 1000));
    freshness_parse("no-transform, Max-Stale=\"60\" , stale-if-error", &out);
    assert_true(freshness_allows(&out, 1000, 61000));
    assert_false(freshness_allows(&out, 1000, 62000));
    assert_false(freshness_allows(&out, 0, 1000)); /* never synced is never fresh */
    assert_true(out.stale_if_error_s == INT64_MAX);
    freshness_parse("max-stale", &out);
    assert_true(freshness_allows(&out, 1, INT64_MAX - 5000));
    assert_false(out.only_if_cached);
    freshness_parse("only-if-cached", &out);
    assert_true(freshness_allows(&out, 1, 1000000));
    freshness_parse("only-if-cached, max-stale=5", &out);
    assert_false(freshness_allows(&out, 1, 1000000));
    freshness_parse("max-stale=x, max-stalefoo, stale-if-error=-1", &out);
    assert_false(freshness_allows(&out, 1, 2));
    assert_true(out.stale_if_error_s < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(left_out_parameters_have_their_defaults, fresh),
        cmocka_unit_test_setup(parameters_are_decoded_by_kind, fresh),
        cmocka_unit_test_setup(a_bad_parameter_is_refused_where_it_stands, fresh),
        cmocka_unit_test_setup(an_unknown_name_is_cut_between_characters, fresh),
        cmocka_unit_test_setup(fields_default_to_their_group, fresh),
        cmocka_unit_test_setup(fields_select_members_groups_and_headers, fresh),
        cmocka_unit_test_setup(bad_fields_are_refused, fresh),
        cmocka_unit_test_setup(too_many_single_headers_are_refused, fresh),
        cmocka_unit_test_setup(every_error_has_a_status_a_code_and_a_title, fresh),
        cmocka_unit_test_setup(no_two_errors_share_a_code_but_a_workers_death, fresh),
        cmocka_unit_test_setup(a_problem_is_a_whole_document, fresh),
        cmocka_unit_test_setup(the_whole_body_has_the_empty_pointer_and_no_place_none, fresh),
        cmocka_unit_test_setup(a_pointer_of_broken_utf8_still_makes_json, fresh),
        cmocka_unit_test_setup(paths_lead_to_their_operation, fresh),
        cmocka_unit_test_setup(an_escaped_slash_stays_inside_its_segment, fresh),
        cmocka_unit_test_setup(a_path_that_is_nearly_right_is_no_path, fresh),
        cmocka_unit_test_setup(a_bad_escape_in_a_value_is_told_from_an_unknown_path, fresh),
        cmocka_unit_test_setup(another_method_learns_what_is_allowed, fresh),
        cmocka_unit_test_setup(every_route_is_whole_and_has_its_own_name, fresh),
        cmocka_unit_test_setup(every_fixed_limit_is_told_once, fresh),
        cmocka_unit_test_setup(limits_of_the_mail_layer_are_told_as_it_keeps_them, fresh),
        cmocka_unit_test_setup(the_description_is_built_in, fresh),
        cmocka_unit_test_setup(hostile_names_make_harmless_headers, fresh),
        cmocka_unit_test_setup(a_long_name_is_cut_between_characters, fresh),
        cmocka_unit_test_setup(a_type_is_two_tokens_or_unknown, fresh),
        cmocka_unit_test_setup(cache_control_says_how_old_an_answer_may_be, fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_clear(&arena);
    return failed;
}

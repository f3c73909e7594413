/* wall_request.c - any bytes as a call: what a worker takes trips no assertion of backend.c, and
 * says the same when it is written again.
 *
 * Input: the kind of call, the payload. `wall_request --seeds DIR` writes one input for each kind.
 */
#include "../unit/wall/promises.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WHOLE_BYTES (FRAME_BYTES_MAX / 4)

static void check_target(const struct backend_target *target)
{
    struct fault fault = {0};
    const struct secret *secret = target->password ? target->password : target->access_token;
    PROMISE((target->password != NULL) != (target->access_token != NULL));
    PROMISE(target->host && target->username && target->port != 0);
    PROMISE(target->protocol < PROTOCOL_COUNT && target->security < SECURITY_COUNT);
    PROMISE(secret->length > 0 && secret->length <= BACKEND_TOKEN_BYTES_MAX);
    PROMISE(memchr(secret->data, '\0', secret->length + 1) == secret->data + secret->length);
    PROMISE(strlen(target->username) <= BACKEND_USERNAME_BYTES_MAX);
    (void)backend_check_username(target->username, "/username", &fault);
}

static void check_known(const struct request *request)
{
    const struct folder_known *known = &request->known;
    PROMISE(known->remote && strlen(known->remote) <= RECORD_NAME_BYTES);
    PROMISE(request->kind != FRAME_SYNC || known->generation != 0);
    PROMISE(request->kind != FRAME_FETCH_OLDER ||
            (known->generation && known->floor && request->count));
    for (uint32_t i = 0; i < known->doubtful_count; i++)
        PROMISE(known->doubtful[i] > (i ? known->doubtful[i - 1] : 0));
}

static void check_change(const struct flag_change *change)
{
    PROMISE(!(change->add & change->remove) && !((change->add | change->remove) & ~FLAG_ALL));
    for (uint32_t i = 0; i < change->add_keywords.count; i++)
        PROMISE(backend_keyword_is_valid(change->add_keywords.items[i]));
    for (uint32_t i = 0; i < change->remove_keywords.count; i++)
        PROMISE(backend_keyword_is_valid(change->remove_keywords.items[i]));
}

static void check_wish(uint16_t kind, const struct part_wish *wish)
{
    PROMISE(wish->remote && wish->part && wish->uid != 0 && wish->mode <= READ_HTML_TEXT);
    PROMISE(is_clean(wish->part, RECORD_SECTION_BYTES));
    PROMISE(is_clean(wish->encoding, RECORD_TOKEN_BYTES));
    PROMISE(is_clean(wish->charset, RECORD_TOKEN_BYTES));
    PROMISE(kind != FRAME_READ_PART ||
            (wish->first <= wish->last && (*wish->part || wish->mode == READ_RAW)));
}

static void check_request(const struct request *request)
{
    switch (request->kind) {
    case FRAME_OPEN: check_target(&request->target); break;
    case FRAME_NOOP:
    case FRAME_LIST_FOLDERS:
    case FRAME_QUOTA: break;
    case FRAME_READ_PART:
    case FRAME_PART_SIZE:
    case FRAME_READ_HEADERS: check_wish(request->kind, &request->wish); break;
    default: check_known(request); break;
    }
    PROMISE((request->kind != FRAME_FETCH_ONE && request->kind != FRAME_CHANGE_FLAGS) ||
            request->uid != 0);
    check_change(&request->change);
    for (uint32_t i = 0; i < request->wish_count; i++)
        PROMISE(request->wishes[i].uid != 0 && is_clean(request->wishes[i].type, 1536));
}

static void check_same(const struct frame *frame, const struct request *request)
{
    struct buf again;
    buf_init(&again, 2u * FRAME_BYTES_MAX);
    PROMISE(put_request(&again, request) == OK);
    struct frame other = frame_at(again.data);
    PROMISE(other.kind == frame->kind && other.length == frame->length &&
            memcmp(other.payload, frame->payload, frame->length) == 0);
    buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct request request;
    if (size < 1 || size > WHOLE_BYTES)
        return 0;
    struct frame frame = {.kind = data[0], .call = 1, .length = (uint32_t)size - 1};
    frame.payload = malloc(size > 1 ? size - 1 : 1); /* its own, see wall_answer.c */
    memcpy(frame.payload, data + 1, frame.length);
    arena_init(&arena);
    if (take_request(&frame, &arena, &request)) {
        check_request(&request);
        check_same(&frame, &request);
    }
    arena_clear(&arena);
    free(frame.payload);
    return 0;
}

static struct request sample_of(uint16_t kind)
{
    static struct secret password = {.data = (char *)(uintptr_t) "secret", .length = 6};
    static const uint32_t doubtful[] = {3, 5};
    static const struct preview_wish wishes[] = {{5, "1.2", "text/html", "utf-8", "base64"},
                                                 {6, NULL, NULL, NULL, NULL}};
    static const char *const keywords[] = {"$Forwarded"};
    struct request request = {
        .kind = kind,
        .call = 1,
        .target = {.host = "localhost", .port = 143, .username = "joe", .password = &password},
        .known = {.remote = "INBOX",
                  .generation = 1,
                  .floor = 1,
                  .doubtful = doubtful,
                  .doubtful_count = 2},
        .uid = 1,
        .count = 1,
        .wish = {.remote = "INBOX", .uid = 1, .part = "1", .encoding = "7bit", .last = 9},
        .wishes = wishes,
        .wish_count = 2,
        .change = {.add = FLAG_SEEN, .add_keywords = {keywords, 1}},
    };
    return request;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc != 3 || strcmp((*argv)[1], "--seeds") != 0)
        return 0;
    for (uint16_t kind = FRAME_OPEN; kind < FRAME_CALLS_END; kind++) {
        struct request request = sample_of(kind);
        struct buf out;
        char path[512];
        buf_init(&out, FRAME_BYTES_MAX);
        PROMISE(put_request(&out, &request) == OK);
        snprintf(path, sizeof path, "%s/%u", (*argv)[2], kind);
        FILE *file = fopen(path, "wb");
        PROMISE(file);
        fputc(kind, file);
        fwrite(out.data + FRAME_HEADER_BYTES, 1, out.length - FRAME_HEADER_BYTES, file);
        PROMISE(fclose(file) == 0);
        buf_clear(&out);
    }
    exit(0);
}

/* wall_answer.c - any bytes as the answer of a worker: what is believed keeps its promises, and
 * says the same when it is written again.
 *
 * Input: the kind of call, the kind of answer, the payload. `wall_answer --seeds DIR` writes one
 * input for each kind.
 */
#include "../unit/wall/samples.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing that small is cut. */
#define WHOLE_BYTES (FRAME_BYTES_MAX / 4)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct answer answer;
    if (size < 2 || size > WHOLE_BYTES)
        return 0;
    uint16_t asked = (uint16_t)(FRAME_OPEN + data[0] % (FRAME_CALLS_END - FRAME_OPEN));
    struct frame frame = {.kind = data[1], .call = 1, .length = (uint32_t)size - 2};
    frame.payload = malloc(size - 1); /* its own, so that a step beyond its end is seen */
    memcpy(frame.payload, data + 2, frame.length);
    frame.payload = realloc(frame.payload, frame.length ? frame.length : 1);
    arena_init(&arena);
    if (take_answer(&frame, asked, &arena, &answer)) {
        check_answer(&answer);
        check_rewritten(&frame, &answer);
    }
    arena_clear(&arena);
    free(frame.payload);
    return 0;
}

static void write_seed(const char *directory, const struct sample *sample)
{
    struct buf out;
    char path[512];
    struct answer answer = answer_of(sample);
    buf_init(&out, FRAME_BYTES_MAX);
    put_answer(&out, 1, &answer);
    struct frame frame = frame_at(out.data);
    snprintf(path, sizeof path, "%s/%u-%u", directory, sample->asked, sample->kind);
    FILE *file = fopen(path, "wb");
    PROMISE(file);
    fputc(sample->asked - FRAME_OPEN, file);
    fputc(sample->kind, file);
    fwrite(frame.payload, 1, frame.length, file);
    PROMISE(fclose(file) == 0);
    buf_clear(&out);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc != 3 || strcmp((*argv)[1], "--seeds") != 0)
        return 0;
    arena_init(&sample_arena);
    for (size_t i = 0; i < SAMPLES; i++)
        write_seed((*argv)[2], &samples[i]);
    arena_clear(&sample_arena);
    exit(0);
}

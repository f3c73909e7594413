/* pack.c - values in frames: integers, texts, and the judge of texts.
 *
 * A message is some fifty values and a mailbox some thousands of messages, so nothing is copied
 * that can be pointed to, and clean ASCII, which nearly all text is, is judged eight bytes at a
 * time.
 */
#include "frame.h"
#include "text.h"

#include <assert.h>
#include <string.h>

#define TEXT_IS_NULL UINT32_MAX

/* ---- writing ---- */

static void store(char *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (char)(value >> (8 * i) & 0xff);
}

size_t frame_begin(struct buf *out, uint16_t kind, uint16_t call)
{
    size_t began = out->length;
    char header[FRAME_HEADER_BYTES] = {0};
    store(header + 4, kind, 2);
    store(header + 6, call, 2);
    buf_append(out, header, sizeof header);
    return began;
}

size_t frame_size(const struct buf *out, size_t began)
{
    return out->length < began + FRAME_HEADER_BYTES ? 0 : out->length - began - FRAME_HEADER_BYTES;
}

void frame_end(struct buf *out, size_t began)
{
    if (out->overflowed) { /* half a frame must never be sent */
        out->length = began;
        return;
    }
    size_t size = frame_size(out, began);
    assert(size <= FRAME_BYTES_MAX);
    store(out->data + began, size, 4);
}

void pack_u8(struct buf *out, uint8_t value)
{
    buf_char(out, (char)value);
}

void pack_u32(struct buf *out, uint32_t value)
{
    char bytes[4];
    store(bytes, value, sizeof bytes);
    buf_append(out, bytes, sizeof bytes);
}

void pack_u64(struct buf *out, uint64_t value)
{
    char bytes[8];
    store(bytes, value, sizeof bytes);
    buf_append(out, bytes, sizeof bytes);
}

void pack_i64(struct buf *out, int64_t value)
{
    pack_u64(out, (uint64_t)value);
}

void pack_text(struct buf *out, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    assert(length < TEXT_IS_NULL);
    pack_u32(out, text ? (uint32_t)length : TEXT_IS_NULL);
    if (text)
        buf_append(out, text, length + 1);
}

void pack_bytes(struct buf *out, const void *data, size_t length)
{
    assert(length < TEXT_IS_NULL);
    pack_u32(out, (uint32_t)length);
    buf_append(out, data, length);
    buf_char(out, '\0');
}

/* ---- reading ---- */

struct unpack unpack_of(const struct frame *frame)
{
    return (struct unpack){.at = frame->payload, .end = frame->payload + frame->length};
}

static bool has(struct unpack *from, size_t bytes)
{
    if (!from->broken && (size_t)(from->end - from->at) >= bytes)
        return true;
    from->broken = true;
    return false;
}

static uint64_t load(struct unpack *from, size_t bytes)
{
    uint64_t value = 0;
    if (!has(from, bytes))
        return 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)(unsigned char)from->at[i] << (8 * i);
    from->at += bytes;
    return value;
}

static uint64_t bounded(struct unpack *from, uint64_t value, uint64_t max)
{
    if (value <= max)
        return value;
    from->broken = true;
    return 0;
}

uint8_t unpack_u8(struct unpack *from, uint8_t max)
{
    return (uint8_t)bounded(from, load(from, 1), max);
}

bool unpack_bool(struct unpack *from)
{
    return unpack_u8(from, 1) != 0;
}

uint32_t unpack_u32(struct unpack *from, uint32_t max)
{
    return (uint32_t)bounded(from, load(from, 4), max);
}

uint64_t unpack_u64(struct unpack *from)
{
    return load(from, 8);
}

int64_t unpack_i64(struct unpack *from)
{
    uint64_t raw = load(from, 8);
    int64_t value;
    memcpy(&value, &raw, sizeof value);
    return value;
}

static const char *take_run(struct unpack *from, size_t length, size_t bytes_max)
{
    if (length > bytes_max || !has(from, length + 1) || from->at[length] != '\0') {
        from->broken = true;
        return NULL;
    }
    const char *run = from->at;
    from->at += length + 1;
    return run;
}

const char *unpack_bytes(struct unpack *from, size_t bytes_max, size_t *length)
{
    size_t announced = unpack_u32(from, TEXT_IS_NULL);
    const char *run = from->broken ? NULL : take_run(from, announced, bytes_max);
    *length = run ? announced : 0;
    return run;
}

static const char *take_text(struct unpack *from, size_t bytes_max, size_t *length)
{
    uint32_t announced = unpack_u32(from, TEXT_IS_NULL);
    if (from->broken || announced == TEXT_IS_NULL)
        return NULL;
    *length = announced;
    return take_run(from, announced, bytes_max);
}

const char *unpack_remote(struct unpack *from, size_t bytes_max)
{
    size_t length = 0;
    const char *text = take_text(from, bytes_max, &length);
    if (!text || !memchr(text, '\0', length))
        return text;
    from->broken = true;
    return NULL;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Bytes at the front that are printable ASCII. */
static size_t plain_run(const char *text, size_t length)
{
    size_t at = 0;
    for (uint64_t word; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        uint64_t high = word & EACH_BYTE(0x80);
        uint64_t below_blank = (word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80);
        uint64_t is_del = ((word ^ EACH_BYTE(0x7f)) - EACH_BYTE(1)) & EACH_BYTE(0x80);
        if (high | below_blank | is_del)
            break;
    }
    while (at < length && text[at] >= 0x20 && text[at] < 0x7f)
        at++;
    return at;
}

/* The bytes of valid UTF-8 behind the first that is not ASCII. C1 is C2 80 to C2 9F. */
static bool has_control(const char *text, size_t length)
{
    for (size_t at = 0; at < length; at++) {
        unsigned char byte = (unsigned char)text[at];
        if (byte < 0x20 || byte == 0x7f)
            return true;
        if (byte == 0xc2 && at + 1 < length && (unsigned char)text[at + 1] < 0xa0)
            return true;
    }
    return false;
}

const char *unpack_text(struct unpack *from, size_t bytes_max)
{
    size_t length = 0;
    const char *text = take_text(from, bytes_max, &length);
    if (!text)
        return NULL;
    size_t plain = plain_run(text, length);
    if (plain == length ||
        (text_is_utf8(text + plain, length - plain) && !has_control(text + plain, length - plain)))
        return text;
    from->broken = true;
    return NULL;
}

bool unpack_done(const struct unpack *from)
{
    return !from->broken && from->at == from->end;
}

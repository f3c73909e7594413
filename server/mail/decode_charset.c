/* decode_charset.c - any charset to UTF-8 as it flows by, with LF line ends and without NUL.
 *
 * Two machines. Declared UTF-8 and ASCII, and what nobody declared or we do not know, are watched:
 * UTF-8 as long as it is valid; when the first thing that is not ASCII is no UTF-8 either, it was
 * windows-1252 all along. Everything else goes through iconv. Both decide by what has been seen,
 * never by how it was cut into writes. */
#include "decode_private.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#define OUT_BYTES  4096
#define WORK_BYTES 2048
#define NO_ICONV   ((iconv_t)-1)

struct charset {
    struct sink sink;
    struct sink *next; /* borrowed */
    iconv_t converter; /* NO_ICONV: the watching machine */
    size_t unit;       /* bytes to skip at an invalid one */
    bool forgets;      /* glibc's UTF-7 has an undefined state behind an invalid byte */
    size_t work_length;
    enum { SEEN_ASCII, SEEN_UTF8, SEEN_OTHER } seen;
    size_t held, wanted; /* of a UTF-8 sequence, in `work` */
    bool started;        /* the first character, perhaps a byte order mark, has gone */
    bool after_cr;
    size_t out_length;
    char work[WORK_BYTES]; /* not yet converted */
    char out[OUT_BYTES];
};

static enum err charset_flush(struct charset *self)
{
    size_t length = self->out_length;
    self->out_length = 0;
    return sink_write(self->next, self->out, length);
}

/* Whole characters of UTF-8; line ends and NUL are dealt with here. */
static enum err charset_emit(struct charset *self, const char *text, size_t length)
{
    if (!self->started && length) {
        self->started = true;
        if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
            text += 3;
            length -= 3;
        }
    }
    for (size_t i = 0; i < length; i++) {
        char byte = text[i];
        if (byte == '\0')
            continue;
        bool second = byte == '\n' && self->after_cr;
        self->after_cr = byte == '\r';
        if (second)
            continue;
        self->out[self->out_length++] = byte == '\r' ? '\n' : byte;
        if (self->out_length == OUT_BYTES) {
            enum err err = charset_flush(self);
            if (err)
                return err;
        }
    }
    return OK;
}

static enum err charset_emit_code(struct charset *self, uint32_t code)
{
    char text[4];
    return charset_emit(self, text, charset_put_utf8(code, text));
}

/* ---- the watching machine ---- */
static size_t sequence_wants(unsigned char first)
{
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Whether the byte may follow the held ones (Unicode 15, table 3-7). */
static bool sequence_takes(const struct charset *self, unsigned char byte)
{
    unsigned char first = (unsigned char)self->work[0], low = 0x80, high = 0xbf;
    if (self->held == 1) {
        low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    }
    return byte >= low && byte <= high;
}

/* The held bytes are no UTF-8. */
static enum err watch_give_up(struct charset *self)
{
    size_t held = self->held;
    enum err err = OK;
    self->held = 0;
    if (self->seen == SEEN_UTF8)
        return charset_emit_code(self, 0xfffd);
    self->seen = SEEN_OTHER;
    for (size_t i = 0; i < held && !err; i++)
        err = charset_emit_code(self, charset_windows_1252((unsigned char)self->work[i]));
    return err;
}

static enum err watch_high(struct charset *self, unsigned char byte)
{
    if (self->held && !sequence_takes(self, byte)) {
        enum err err = watch_give_up(self);
        if (err)
            return err;
    }
    if (self->seen == SEEN_OTHER)
        return charset_emit_code(self, charset_windows_1252(byte));
    if (self->held == 0)
        self->wanted = sequence_wants(byte);
    self->work[self->held++] = (char)byte;
    if (self->wanted == 0)
        return watch_give_up(self);
    if (self->held < self->wanted)
        return OK;
    self->held = 0;
    self->seen = SEEN_UTF8;
    return charset_emit(self, self->work, self->wanted);
}

static enum err watch_write(struct charset *self, const char *data, size_t length)
{
    enum err err = OK;
    for (size_t i = 0; i < length && !err;) {
        size_t run = i;
        while (run < length && (unsigned char)data[run] < 0x80)
            run++;
        if (run > i) {
            err = self->held ? watch_give_up(self) : OK;
            err = err ? err : charset_emit(self, data + i, run - i);
            i = run;
        } else {
            err = watch_high(self, (unsigned char)data[i++]);
        }
    }
    return err;
}

/* ---- iconv ---- */
/* Converts what is in `work`; what stays there is the beginning of a character. */
static enum err convert_work(struct charset *self)
{
    char text[WORK_BYTES], *in = self->work;
    size_t left = self->work_length;
    enum err err = OK;
    while (!err) {
        char *put = text;
        size_t room = sizeof text;
        size_t result = iconv(self->converter, &in, &left, &put, &room);
        int why = result == (size_t)-1 ? errno : 0;
        err = charset_emit(self, text, (size_t)(put - text));
        if (why == E2BIG && put > text)
            continue;
        bool stuck = why == EINVAL && left == sizeof self->work;
        if (why == 0 || (why == EINVAL && !stuck))
            break;
        size_t skip = left < self->unit ? left : self->unit;
        if (self->forgets)
            iconv(self->converter, NULL, NULL, NULL, NULL);
        in += skip;
        left -= skip;
        err = err ? err : charset_emit_code(self, 0xfffd);
    }
    memmove(self->work, in, left);
    self->work_length = left;
    return err;
}

static enum err convert_write(struct charset *self, const char *data, size_t length)
{
    enum err err = OK;
    while (length && !err) {
        size_t room = sizeof self->work - self->work_length;
        size_t take = length < room ? length : room;
        memcpy(self->work + self->work_length, data, take);
        self->work_length += take;
        data += take;
        length -= take;
        err = convert_work(self);
    }
    return err;
}

static enum err convert_end(struct charset *self)
{
    char text[64], *put = text;
    size_t room = sizeof text;
    iconv(self->converter, NULL, NULL, &put, &room);
    enum err err = charset_emit(self, text, (size_t)(put - text));
    if (!err && self->work_length)
        err = charset_emit_code(self, 0xfffd);
    return err;
}

/* ---- the sink ---- */
static enum err charset_write(struct sink *sink, const void *data, size_t length)
{
    struct charset *self = (struct charset *)sink;
    enum err err = self->converter == NO_ICONV ? watch_write(self, data, length)
                                               : convert_write(self, data, length);
    return err ? err : charset_flush(self);
}

static enum err charset_finish(struct sink *sink)
{
    struct charset *self = (struct charset *)sink;
    enum err err = OK;
    if (self->converter != NO_ICONV)
        err = convert_end(self);
    else if (self->held)
        err = watch_give_up(self);
    if (!err)
        err = charset_flush(self);
    return err ? err : sink_finish(self->next);
}

static void charset_clear(void *memory)
{
    struct charset *self = memory;
    if (self->converter != NO_ICONV)
        iconv_close(self->converter);
}

struct sink *decode_charset(struct decode_chain *chain, const char *charset, struct sink *next)
{
    const char *from = charset ? charset_find(charset, strlen(charset)) : NULL;
    struct charset *self = decode_chain_own(chain, sizeof *self, charset_clear);
    self->sink = (struct sink){.write = charset_write, .finish = charset_finish};
    self->next = next;
    self->converter =
        from && strcmp(from, CHARSET_UTF8) != 0 ? iconv_open(CHARSET_UTF8, from) : NO_ICONV;
    self->unit = !from                             ? 1
                 : strncmp(from, "UTF-16", 6) == 0 ? 2
                 : strncmp(from, "UTF-32", 6) == 0 ? 4
                                                   : 1;
    self->forgets = from && strcmp(from, "UTF-7") == 0;
    return &self->sink;
}

char *charset_to_utf8(struct arena *arena, const char *charset, const char *data, size_t length)
{
    struct buf text;
    struct buf_sink end;
    struct decode_chain *chain = decode_chain_new();
    buf_init(&text, length * 4 + 16);
    buf_sink_init(&end, &text);
    struct sink *sink = decode_charset(chain, charset, &end.sink);
    if (sink_write(sink, data, length) == OK)
        sink_finish(sink);
    char *copy = arena_strndup(arena, text.data ? text.data : "", text.length);
    buf_clear(&text);
    decode_chain_free(&chain);
    return copy;
}

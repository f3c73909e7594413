/* decode_transfer.c - base64 and quoted-printable undone as they flow by.
 *
 * Both are machines fed one byte at a time, so chunk borders cannot matter. Broken input gives as
 * much as can be: base64 skips what is not its alphabet and starts anew after padding (mailers
 * concatenate encoded files); quoted-printable keeps an escape it cannot read as it stands. */
#include "decode_private.h"
#include "text.h"

#include <string.h>

#define OUT_BYTES   32768 /* given on at a time: each is a change of threads and back */
#define BLANKS_MOST 256   /* trailing blanks held back; a longer run cannot be padding of a line */

struct transfer {
    struct sink sink;
    struct sink *next; /* borrowed */
    enum err (*step)(struct transfer *, const unsigned char *, size_t);
    enum err (*end)(struct transfer *); /* NULL: nothing can be held back */
    size_t out_length;
    uint32_t bits; /* base64: sextets not yet given out */
    unsigned held_bits;
    enum { QP_TEXT, QP_EQUALS, QP_HEX, QP_SOFT, QP_SOFT_CR } state;
    unsigned char first_digit;
    size_t blank_count;
    bool after_cr; /* a CR was held back: it belongs to a line end only when LF follows */
    char blanks[BLANKS_MOST];
    char out[OUT_BYTES];
};

static enum err transfer_flush(struct transfer *self)
{
    size_t length = self->out_length;
    self->out_length = 0;
    return sink_write(self->next, self->out, length);
}

static enum err transfer_put(struct transfer *self, char byte)
{
    self->out[self->out_length++] = byte;
    return self->out_length == OUT_BYTES ? transfer_flush(self) : OK;
}

/* Sextet + 1 of each byte of the alphabet; 0 for all others. */
static const unsigned char sextets[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

static enum err base64_byte(struct transfer *self, unsigned char byte)
{
    if (byte == '=')
        self->bits = self->held_bits = 0;
    if (!sextets[byte])
        return OK;
    self->bits = self->bits << 6 | (uint32_t)(sextets[byte] - 1);
    self->held_bits += 6;
    if (self->held_bits < 8)
        return OK;
    self->held_bits -= 8;
    char done = (char)(self->bits >> self->held_bits);
    self->bits &= (1u << self->held_bits) - 1;
    return transfer_put(self, done);
}

/* Whole groups of four, as long as they are nothing but alphabet and there is room: what nearly all
 * of a part is. Returns how many bytes were taken. */
static size_t base64_groups(struct transfer *self, const unsigned char *at, size_t length)
{
    const unsigned char *from = at, *end = at + length;
    char *out = self->out + self->out_length, *out_end = self->out + OUT_BYTES - 3;
    while (end - at >= 4 && out < out_end) {
        unsigned a = sextets[at[0]], b = sextets[at[1]], c = sextets[at[2]], d = sextets[at[3]];
        if (!a || !b || !c || !d)
            break;
        uint32_t bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        out[0] = (char)(bits >> 16);
        out[1] = (char)(bits >> 8);
        out[2] = (char)bits;
        out += 3;
        at += 4;
    }
    self->out_length = (size_t)(out - self->out);
    return (size_t)(at - from);
}

static enum err base64_bytes(struct transfer *self, const unsigned char *at, size_t length)
{
    const unsigned char *end = at + length;
    enum err err = OK;
    while (at < end && !err) {
        if (self->held_bits == 0)
            at += base64_groups(self, at, (size_t)(end - at));
        if (at < end)
            err = base64_byte(self, *at++);
    }
    return err;
}

static enum err blanks_release(struct transfer *self)
{
    enum err err = OK;
    for (size_t i = 0; i < self->blank_count && !err; i++)
        err = transfer_put(self, self->blanks[i]);
    self->blank_count = 0;
    return err;
}

static enum err qp_text(struct transfer *self, unsigned char byte)
{
    enum err err = OK;
    if (self->after_cr) {
        self->after_cr = false;
        if (byte == '\n') { /* blanks before a line end were added on the way (RFC 2045 6.7) */
            self->blank_count = 0;
            err = transfer_put(self, '\r');
            return err ? err : transfer_put(self, '\n');
        }
        err = blanks_release(self);
        if (!err)
            err = transfer_put(self, '\r');
        if (err)
            return err;
    }
    if (byte == ' ' || byte == '\t') {
        if (self->blank_count == BLANKS_MOST)
            err = blanks_release(self);
        self->blanks[self->blank_count++] = (char)byte;
        return err;
    }
    if (byte == '\r') {
        self->after_cr = true;
        return OK;
    }
    if (byte == '\n')
        self->blank_count = 0;
    err = blanks_release(self);
    if (err)
        return err;
    if (byte == '=') {
        self->state = QP_EQUALS;
        return OK;
    }
    return transfer_put(self, (char)byte);
}

static int hex_value(unsigned char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The escape was none: gives back what was held, then reads the byte as text. */
static enum err qp_literal(struct transfer *self, unsigned char byte)
{
    bool digit = self->state == QP_HEX;
    self->state = QP_TEXT;
    enum err err = transfer_put(self, '=');
    if (!err && digit)
        err = transfer_put(self, (char)self->first_digit);
    return err ? err : qp_text(self, byte);
}

static enum err qp_byte(struct transfer *self, unsigned char byte)
{
    switch (self->state) {
    case QP_TEXT: return qp_text(self, byte);
    case QP_EQUALS:
        if (hex_value(byte) >= 0) {
            self->first_digit = byte;
            self->state = QP_HEX;
        } else if (byte == ' ' || byte == '\t') {
            self->state = QP_SOFT; /* a soft line break with blanks added behind it */
        } else if (byte == '\r') {
            self->state = QP_SOFT_CR;
        } else if (byte == '\n') {
            self->state = QP_TEXT;
        } else {
            return qp_literal(self, byte);
        }
        return OK;
    case QP_HEX:
        if (hex_value(byte) < 0)
            return qp_literal(self, byte);
        self->state = QP_TEXT;
        return transfer_put(self, (char)(hex_value(self->first_digit) * 16 + hex_value(byte)));
    case QP_SOFT:
        if (byte == ' ' || byte == '\t')
            return OK;
        if (byte == '\r') {
            self->state = QP_SOFT_CR;
            return OK;
        }
        if (byte == '\n') {
            self->state = QP_TEXT;
            return OK;
        }
        self->blanks[self->blank_count++] = ' '; /* "= x": an equals sign that nobody escaped */
        return qp_literal(self, byte);
    case QP_SOFT_CR: self->state = QP_TEXT; return byte == '\n' ? OK : qp_text(self, byte);
    }
    return OK;
}

static enum err qp_bytes(struct transfer *self, const unsigned char *at, size_t length)
{
    enum err err = OK;
    for (size_t i = 0; i < length && !err; i++)
        err = qp_byte(self, at[i]);
    return err;
}

static enum err qp_end(struct transfer *self)
{
    enum err err = OK;
    if (self->state == QP_HEX) {
        err = transfer_put(self, '=');
        if (!err)
            err = transfer_put(self, (char)self->first_digit);
    }
    if (!err && self->after_cr) {
        err = blanks_release(self);
        if (!err)
            err = transfer_put(self, '\r');
    }
    return err; /* blanks at the end of the last line go, as at any line's end */
}

static enum err transfer_write(struct sink *sink, const void *data, size_t length)
{
    struct transfer *self = (struct transfer *)sink;
    enum err err = self->step(self, data, length);
    return err ? err : transfer_flush(self);
}

static enum err transfer_finish(struct sink *sink)
{
    struct transfer *self = (struct transfer *)sink;
    enum err err = self->end ? self->end(self) : OK;
    if (!err)
        err = transfer_flush(self);
    return err ? err : sink_finish(self->next);
}

static bool encoding_is(const char *encoding, const char *name)
{
    while (*encoding == ' ' || *encoding == '\t' || *encoding == '"')
        encoding++;
    size_t length = strcspn(encoding, " \t\";(");
    return text_case_equal(encoding, length, name);
}

struct sink *decode_transfer(struct decode_chain *chain, const char *encoding, struct sink *next)
{
    bool base64 = encoding && encoding_is(encoding, "base64");
    if (!base64 && !(encoding && encoding_is(encoding, "quoted-printable")))
        return next;
    struct transfer *self = decode_chain_own(chain, sizeof *self, NULL);
    self->sink = (struct sink){.write = transfer_write, .finish = transfer_finish};
    self->next = next;
    self->step = base64 ? base64_bytes : qp_bytes;
    self->end = base64 ? NULL : qp_end;
    return &self->sink;
}

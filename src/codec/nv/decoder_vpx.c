/* The front of frame headers of VP8 (RFC 6386, 9.1 and 9.2) and VP9 (bitstream specification 0.6,
 * 7.2 and annex B). */
#include "codec/nv/decoder_stream.h"

#include "media/bits.h"

#define MATRIX_BT470BG 5
#define VP8_KEY_HEADER 10 /* bytes before the first partition of a key frame */

void nv_vp8_look(struct nv_stream *s, const uint8_t *data, size_t size, struct nv_facts *facts)
{
    if (size < 3) {
        facts->failed = true;
        return;
    }
    const bool key = !(data[0] & 1);
    facts->pictures = 1;
    facts->hidden = !(data[0] & 0x10);
    facts->failed = !key && !s->started;
    if (key && size > VP8_KEY_HEADER) {
        s->started = true;
        /* The first two flags of the arithmetic coder, each as likely as not: the second one says
         * that values need no clamping. */
        const uint8_t first = data[VP8_KEY_HEADER];
        s->color.matrix = MATRIX_BT470BG;
        s->color.range = first >= 64 && first < 128 ? RANGE_FULL : RANGE_LIMITED;
    }
    facts->picture.color = s->color;
}

static void read_vp9_color(struct nv_stream *s, struct bits *b, unsigned profile)
{
    /* color_space: unknown, BT.601, BT.709, SMPTE 170, SMPTE 240, BT.2020, reserved, RGB */
    static const uint8_t matrices[] = {0, 5, 1, 6, 7, 9, 0, MATRIX_RGB};
    if (profile >= 2)
        bits_skip(b, 1); /* ten_or_twelve_bit */
    const uint8_t matrix = matrices[bits_read(b, 3)];
    const bool full = matrix == MATRIX_RGB || bits_flag(b);
    if (b->error)
        return;
    s->color.matrix = matrix;
    s->color.range = full ? RANGE_FULL : RANGE_LIMITED;
}

void nv_vp9_look(struct nv_stream *s, const uint8_t *data, size_t size, struct nv_facts *facts)
{
    struct bits b;
    bits_init(&b, data, size);
    const bool marked = bits_read(&b, 2) == 2;
    unsigned profile = bits_read(&b, 1);
    profile |= bits_read(&b, 1) << 1;
    if (profile == 3)
        bits_skip(&b, 1);
    const bool repeats = bits_flag(&b);
    const bool key = !repeats && !bits_flag(&b);
    const bool shown = repeats || bits_flag(&b);
    if (!marked || b.error) {
        facts->failed = true;
        return;
    }
    /* A superframe shows its last frame. */
    const bool super = (data[size - 1] & 0xe0) == 0xc0;
    facts->pictures = super ? 2 : 1;
    facts->hidden = !shown && !super;
    facts->failed = !key && !s->started;
    if (key) {
        s->started = true;
        bits_skip(&b, 1 + 24); /* error_resilient_mode, frame_sync_code */
        read_vp9_color(s, &b, profile);
    }
    facts->picture.color = s->color;
}

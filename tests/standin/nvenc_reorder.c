/* libnvidia-encode: pictures that were encoded in the order of decoding, without B-frames, given
 * their order of display, and that of their fields: the parameter sets say that there is one, each
 * slice has its place in it.
 * Only the syntax that libx264 and libx265 write as nvenc_codec.c sets them is known here; what
 * does not come out even is refused.
 *
 * Threads: any. Memory: the caller's. */
#include "nvenc.h"

#define POC_BITS 8 /* of a picture's place in display, as x265 has them */

/* ---- bits ----------------------------------------------------------------------------------- */

/* From one to the other; behind the end come zeros, and `over` is set. */
struct bits {
    const uint8_t *data;
    size_t size, at; /* bytes; bits */
    bool over;
    struct nvenc_bytes *to;
    uint8_t partial;
    int partial_bits;
    bool full; /* out of memory */
};

static unsigned get_bit(struct bits *b)
{
    if (b->at >= 8 * b->size) {
        b->over = true;
        return 0;
    }
    const unsigned bit = b->data[b->at / 8] >> (7 - b->at % 8) & 1u;
    b->at++;
    return bit;
}

static void put_bit(struct bits *b, unsigned bit)
{
    b->partial = (uint8_t)(b->partial << 1 | (bit & 1u));
    if (++b->partial_bits < 8)
        return;
    b->full = b->full || !nvenc_append(b->to, &b->partial, 1);
    b->partial_bits = 0;
}

static uint32_t get(struct bits *b, int count)
{
    uint32_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 1 | get_bit(b);
    return value;
}

static void put(struct bits *b, uint32_t value, int count)
{
    for (int i = count - 1; i >= 0; i--)
        put_bit(b, value >> i & 1u);
}

static uint32_t get_ue(struct bits *b)
{
    int zeros = 0;
    while (zeros < 32 && !b->over && get_bit(b) == 0)
        zeros++;
    return (uint32_t)((UINT64_C(1) << zeros) - 1 + get(b, zeros));
}

static void put_ue(struct bits *b, uint32_t value)
{
    int length = 0;
    while (((uint64_t)value + 1) >> (length + 1))
        length++;
    put(b, 0, length);
    put(b, value + 1, length + 1);
}

/* Both at once. */
static uint32_t copy(struct bits *b, int count)
{
    const uint32_t value = get(b, count);
    put(b, value, count);
    return value;
}

static uint32_t copy_ue(struct bits *b)
{
    const uint32_t value = get_ue(b);
    put_ue(b, value);
    return value;
}

/* What is left, which ends with a bit that is set, and the zeros behind it. */
static bool copy_rest(struct bits *b)
{
    size_t end = 8 * b->size;
    while (end > b->at && !(b->data[(end - 1) / 8] >> (7 - (end - 1) % 8) & 1u))
        end--;
    while (b->at < end)
        put_bit(b, get_bit(b));
    while (b->partial_bits != 0)
        put_bit(b, 0);
    return !b->over && !b->full;
}

/* Both sides to a byte's begin, with the bits that belong there; then bytes. */
static bool copy_aligned(struct bits *b, bool ones)
{
    bool even = true;
    for (bool first = true; b->at % 8 != 0 || (!ones && first); first = false)
        even = get_bit(b) == (ones || first) && even;
    for (bool first = true; b->partial_bits != 0 || (!ones && first); first = false)
        put_bit(b, ones || first);
    if (!even || b->over || b->full)
        return false;
    return nvenc_append(b->to, b->data + b->at / 8, b->size - b->at / 8);
}

/* ---- H.264 ---------------------------------------------------------------------------------- */

static bool is_high(uint32_t profile)
{
    return profile == 100 || profile == 110 || profile == 122 || profile == 244;
}

/* Up to the restrictions, which x264 always writes. */
static void copy_h264_vui(struct bits *b)
{
    if (copy(b, 1) && copy(b, 8) == 255) /* the shape of samples */
        copy(b, 32);
    if (copy(b, 1)) /* overscan */
        copy(b, 1);
    if (copy(b, 1)) { /* format, range, colours */
        copy(b, 4);
        if (copy(b, 1))
            copy(b, 24);
    }
    if (copy(b, 1)) { /* where chroma lies */
        copy_ue(b);
        copy_ue(b);
    }
    if (copy(b, 1)) { /* timing */
        copy(b, 32);
        copy(b, 32);
        copy(b, 1);
    }
}

static bool h264_sequence(struct bits *b, struct nvenc_syntax *ret)
{
    copy(b, 8);
    const uint32_t profile = copy(b, 8);
    copy(b, 16);
    copy_ue(b);
    if (is_high(profile)) {
        copy_ue(b); /* chroma, depths */
        copy_ue(b);
        copy_ue(b);
        copy(b, 2);
    }
    ret->frame_num_bits = 4 + (int)copy_ue(b);
    if (get_ue(b) != (ret->fields ? 0 : 2))
        return false;
    ret->order_bits = ret->fields ? 4 + (int)get_ue(b) : 0;
    put_ue(b, 0);
    put_ue(b, POC_BITS - 4);
    copy_ue(b); /* references */
    copy(b, 1);
    copy_ue(b); /* size */
    copy_ue(b);
    if (copy(b, 1) == ret->fields) /* only frames */
        return false;
    copy(b, ret->fields ? 2 : 1);
    for (int i = 0, n = copy(b, 1) ? 4 : 0; i < n; i++) /* cropping */
        copy_ue(b);
    if (!copy(b, 1))
        return false;
    copy_h264_vui(b);
    /* No models of buffers, but restrictions; timing of pictures, whose SEI is left out. */
    const unsigned flags = get(b, 4);
    if (flags != (ret->fields || ret->timing ? 3 : 1))
        return false;
    put(b, ret->timing ? 3 : 1, 4);
    copy(b, 1);
    for (int i = 0; i < 4; i++)
        copy_ue(b);
    if (ret->reorder) { /* reordered, buffered */
        get_ue(b);
        get_ue(b);
        put_ue(b, 1);
        put_ue(b, 2);
    }
    return copy_rest(b);
}

/* Of both fields, where there are two: the later one is the next in order. */
static void h264_order(struct bits *b, const struct nvenc_syntax *syntax,
                       const struct nvenc_place *place)
{
    const bool bottom_first = syntax->fields && place->bottom_first;
    get(b, syntax->order_bits);
    put(b, (uint32_t)(2 * place->order + bottom_first), POC_BITS);
    if (!syntax->fields)
        return;
    get_ue(b);
    put_ue(b, bottom_first ? 2 : 1); /* -1 or 1 */
}

static bool h264_slice(struct bits *b, const struct nvenc_syntax *syntax,
                       const struct nvenc_place *place)
{
    const uint32_t head = copy(b, 8);
    const bool idr = (head & 31) == 5;
    copy_ue(b); /* first macroblock */
    const bool intra = copy_ue(b) % 5 == 2;
    copy_ue(b); /* PPS */
    copy(b, syntax->frame_num_bits);
    if (syntax->fields && copy(b, 1) != 0) /* both fields in one */
        return false;
    if (idr)
        copy_ue(b);
    h264_order(b, syntax, place);
    if (!syntax->cabac)
        return copy_rest(b);
    if (!intra && copy(b, 1)) /* the count of references */
        copy_ue(b);
    if (!intra && copy(b, 1)) /* their order: x264 without pyramids has no other */
        return false;
    if (idr)
        copy(b, 2);
    else if ((head >> 5 & 3) && copy(b, 1)) /* marking */
        return false;
    if (!intra)
        copy_ue(b); /* contexts */
    copy_ue(b);     /* quantiser */
    if (copy_ue(b) != 1) {
        copy_ue(b); /* deblocking */
        copy_ue(b);
    }
    return copy_aligned(b, true);
}

/* ---- HEVC ----------------------------------------------------------------------------------- */

/* How many pictures a decoder holds: the one before, one to be shown later, this one. */
static void hevc_buffering(struct bits *b)
{
    copy(b, 1);
    for (int i = 0; i < 3; i++)
        get_ue(b);
    put_ue(b, 2);
    put_ue(b, 1);
    put_ue(b, 0);
}

static bool hevc_video(struct bits *b)
{
    copy(b, 16);
    copy(b, 12);
    if (copy(b, 3) != 0) /* layers in time */
        return false;
    copy(b, 17);
    for (int i = 0; i < 3; i++) /* profile, tier, level */
        copy(b, 32);
    hevc_buffering(b);
    return copy_rest(b);
}

static bool hevc_sequence(struct bits *b)
{
    copy(b, 16);
    copy(b, 4);
    if (copy(b, 3) != 0)
        return false;
    copy(b, 1);
    for (int i = 0; i < 3; i++)
        copy(b, 32);
    copy_ue(b);
    if (copy_ue(b) != 1) /* 4:2:0 */
        return false;
    copy_ue(b);
    copy_ue(b);
    for (int i = 0, n = copy(b, 1) ? 4 : 0; i < n; i++)
        copy_ue(b);
    copy_ue(b); /* depths */
    copy_ue(b);
    if (copy_ue(b) != POC_BITS - 4)
        return false;
    hevc_buffering(b);
    return copy_rest(b);
}

/* The one reference is the picture before in decoding, wherever it is shown. */
static void put_reference(struct bits *b, int step)
{
    put_ue(b, step > 0);
    put_ue(b, step < 0);
    put_ue(b, (uint32_t)(step > 0 ? step : -step) - 1);
    put(b, 1, 1);
}

static bool hevc_slice(struct bits *b, const struct nvenc_place *place)
{
    const uint32_t type = copy(b, 16) >> 9 & 63;
    const bool idr = type == 19 || type == 20;
    if (idr)
        return copy_rest(b);
    if (copy(b, 1) != 1 || place->step == 0) /* one slice */
        return false;
    copy_ue(b); /* PPS */
    if (copy_ue(b) != 1)
        return false;
    get(b, POC_BITS);
    put(b, (uint32_t)place->order, POC_BITS);
    if (copy(b, 1) != 0) /* references are in the slice */
        return false;
    const uint32_t before = get_ue(b), behind = get_ue(b);
    for (uint32_t i = 0; i < before && !b->over; i++) {
        if ((get_ue(b) != 0 || get(b, 1) != 1) && i == 0)
            return false;
    }
    if (before == 0 || behind != 0)
        return false;
    put_reference(b, place->step);
    if (copy(b, 1) != 0) /* one of them is used */
        return false;
    copy_ue(b); /* candidates to merge */
    copy_ue(b); /* quantiser */
    copy(b, 1); /* the filter across slices */
    return copy_aligned(b, false);
}

/* ---- units ---------------------------------------------------------------------------------- */

bool nvenc_reorder(const uint8_t *unit, size_t size, struct nvenc_syntax *syntax,
                   const struct nvenc_place *place, struct nvenc_bytes *to)
{
    struct bits b = {.data = unit, .size = size, .to = to};
    const int type = syntax->hevc ? unit[0] >> 1 & 63 : unit[0] & 31;
    if (syntax->hevc)
        return type == 32   ? hevc_video(&b)
               : type == 33 ? hevc_sequence(&b)
               : type < 32  ? hevc_slice(&b, place)
                            : copy_rest(&b);
    return type == 7                ? h264_sequence(&b, syntax)
           : type == 1 || type == 5 ? h264_slice(&b, syntax, place)
                                    : copy_rest(&b);
}

/* Sources: H.264 D.1.3, H.265 D.2.27, ATSC A/53 part 4, 6.2.3. */
#include "codec/nv/decoder_sei.h"

#include <string.h>

#include "media/bits.h"
#include "media/h26x.h"

#define T35_USA 0xb5
#define T35_ATSC 0x31
#define ATSC_GA94 0x47413934u
#define CC_DATA 3 /* user_data_type_code */
#define HEVC_NAL_RPU 62

void nv_sides_init(struct nv_sides *sides)
{
    *sides = (struct nv_sides){.timing.pic_struct = -1};
}

void nv_sides_done(struct nv_sides *sides)
{
    buffer_unref(&sides->rpu);
    nv_sides_init(sides);
}

/* From user_data_type_code on. */
static void read_captions(struct bits *b, struct nv_sides *sides)
{
    if (bits_read(b, 8) != CC_DATA)
        return;
    bits_skip(b, 1);
    const bool process = bits_flag(b);
    bits_skip(b, 1);
    const size_t bytes = (size_t)bits_read(b, 5) * 3;
    bits_skip(b, 8);
    if (!process || bytes > sizeof(sides->captions) - sides->captions_size)
        return;
    uint8_t *to = sides->captions + sides->captions_size;
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)bits_read(b, 8);
    if (!b->error)
        sides->captions_size += bytes;
}

static void read_t35(struct bits b, struct nv_sides *sides)
{
    if (bits_read(&b, 8) == T35_USA && bits_read(&b, 16) == T35_ATSC &&
        bits_read(&b, 32) == ATSC_GA94)
        read_captions(&b, sides);
}

void nv_sides_h264(struct nv_sides *sides, struct nal nal, const struct h264_sps *sps)
{
    struct bits b;
    struct sei sei;
    bits_init_rbsp(&b, nal.data + 1, nal.size - 1);
    while (sei_next(&b, &sei)) {
        if (sei.type == SEI_USER_DATA_T35)
            read_t35(sei.payload, sides);
        else
            timecode_read_h264(&sei, sps, &sides->timing);
    }
}

int nv_sides_hevc(struct nv_sides *sides, struct nal nal)
{
    const unsigned type = hevc_nal_type(nal);
    if (type == HEVC_NAL_RPU && nal.size > 2 && !(nal.data[0] & 1) && nal.data[1] == 1) {
        buffer_unref(&sides->rpu);
        sides->rpu = buffer_copy(nal.data + 2, nal.size - 2);
        return sides->rpu ? 0 : RGPU_ERROR_MEMORY;
    }
    if (type != HEVC_NAL_SEI_PREFIX || nal.size < 3)
        return 0;
    struct bits b;
    struct sei sei;
    bits_init_rbsp(&b, nal.data + 2, nal.size - 2);
    while (sei_next(&b, &sei)) {
        if (sei.type == SEI_USER_DATA_T35)
            read_t35(sei.payload, sides);
        else
            timecode_read_hevc(&sei, &sides->timing);
    }
    return 0;
}

void nv_sides_mpeg2(struct nv_sides *sides, const uint8_t *data, size_t size)
{
    struct bits b;
    bits_init(&b, data, size);
    if (bits_read(&b, 32) == ATSC_GA94)
        read_captions(&b, sides);
}

int nv_sides_give(struct nv_sides *sides, struct frame *frame)
{
    int at = 0;
    if (sides->captions_size > 0) {
        struct buffer *captions = buffer_copy(sides->captions, sides->captions_size);
        if (!captions)
            return RGPU_ERROR_MEMORY;
        frame->side[at++] = (struct frame_side){SIDE_A53_CC, captions};
        sides->captions_size = 0;
    }
    if (sides->rpu)
        frame->side[at++] = (struct frame_side){SIDE_DOVI_RPU, sides->rpu};
    sides->rpu = NULL;
    const struct frame_timecode *code = &sides->timing.code;
    if (code->count > 0) {
        struct buffer *timecode = buffer_copy(code, sizeof(*code));
        if (!timecode)
            return RGPU_ERROR_MEMORY;
        frame->side[at] = (struct frame_side){SIDE_TIMECODE, timecode};
    }
    return 0;
}

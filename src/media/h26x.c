#include "media/h26x.h"

#define EXTENDED_SAR 255

struct rational h26x_read_aspect(struct bits *b)
{
    /* H.264 table E-1, H.265 table E.1. */
    static const struct rational table[] = {
        {0, 0},   {1, 1},   {12, 11}, {10, 11}, {16, 11},  {40, 33}, {24, 11}, {20, 11}, {32, 11},
        {80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3},   {3, 2},   {2, 1},
    };
    if (!bits_flag(b))
        return (struct rational){0, 0};
    const uint32_t idc = bits_read(b, 8);
    if (idc == EXTENDED_SAR) {
        const uint32_t width = bits_read(b, 16), height = bits_read(b, 16);
        return width && height ? rational_reduce(width, height) : (struct rational){0, 0};
    }
    return idc < sizeof(table) / sizeof(table[0]) ? table[idc] : (struct rational){0, 0};
}

void h26x_color_points(struct color *color, unsigned primaries, unsigned transfer, unsigned matrix)
{
    color->primaries = (uint8_t)(primaries == 2 || primaries == 3 ? 0 : primaries);
    color->transfer = (uint8_t)(transfer == 2 || transfer == 3 ? 0 : transfer);
    color->matrix = (uint8_t)(matrix == 0 ? MATRIX_RGB : matrix == 2 || matrix == 3 ? 0 : matrix);
}

void h26x_read_color(struct bits *b, struct color *ret)
{
    struct color color = {0};
    if (bits_flag(b)) /* overscan_info_present_flag */
        bits_skip(b, 1);
    if (bits_flag(b)) {  /* video_signal_type_present_flag */
        bits_skip(b, 3); /* video_format */
        color.range = bits_flag(b) ? RANGE_FULL : RANGE_LIMITED;
        if (bits_flag(b)) {
            const uint32_t primaries = bits_read(b, 8), transfer = bits_read(b, 8);
            h26x_color_points(&color, primaries, transfer, bits_read(b, 8));
        }
    }
    if (bits_flag(b)) { /* chroma_loc_info_present_flag */
        color.chroma = (uint8_t)(bits_ue_max(b, 5) + 1);
        bits_ue_max(b, 5); /* of the bottom field */
    }
    *ret = color;
}

/* payloadType and payloadSize: bytes of 255 and a last one. */
static uint32_t read_sei_number(struct bits *b)
{
    uint32_t value = 0, byte;
    do {
        byte = bits_read(b, 8);
        value += byte;
    } while (byte == 255 && !b->error && value < UINT32_MAX / 2);
    return value;
}

bool sei_next(struct bits *b, struct sei *ret)
{
    if (!bits_more_rbsp(b))
        return false;
    struct sei sei;
    sei.type = read_sei_number(b);
    sei.size = read_sei_number(b);
    const uint64_t bits = (uint64_t)sei.size * 8;
    sei.payload = bits_sub(b, bits);
    bits_skip(b, bits);
    if (b->error)
        return false;
    *ret = sei;
    return true;
}

void sei_read_hdr(const struct sei *sei, struct hdr *hdr)
{
    struct bits b = sei->payload;
    struct hdr h = *hdr;
    if (sei->type == SEI_MASTERING_DISPLAY) {
        /* The message's order is green, blue, red (H.265 D.3.28). */
        static const uint8_t order[3] = {1, 2, 0};
        for (int i = 0; i < 3; i++) {
            h.primary_x[order[i]] = (uint16_t)bits_read(&b, 16);
            h.primary_y[order[i]] = (uint16_t)bits_read(&b, 16);
        }
        h.white_x = (uint16_t)bits_read(&b, 16);
        h.white_y = (uint16_t)bits_read(&b, 16);
        h.luminance_max = bits_read(&b, 32);
        h.luminance_min = bits_read(&b, 32);
        h.has_mastering = true;
    } else if (sei->type == SEI_CONTENT_LIGHT) {
        h.max_content_light = (uint16_t)bits_read(&b, 16);
        h.max_average_light = (uint16_t)bits_read(&b, 16);
        h.has_light_level = true;
    }
    if (!b.error)
        *hdr = h;
}

void sei_read_transfer(const struct sei *sei, uint8_t *transfer)
{
    struct bits b = sei->payload;
    struct color color = {0};
    if (sei->type != SEI_ALTERNATIVE_TRANSFER)
        return;
    h26x_color_points(&color, 0, bits_read(&b, 8), 0);
    if (!b.error && color.transfer)
        *transfer = color.transfer;
}

#include "media/av1.h"

#include "media/bits.h"
#include "media/h26x.h"

#define SELECT_SCREEN_CONTENT_TOOLS 2

/* ---- OBUs (5.3) --------------------------------------------------------------------------------
 */

void av1_iter_init(struct av1_iter *it, const void *data, size_t size)
{
    const uint8_t *p = data;
    *it = (struct av1_iter){.pos = p, .end = size ? p + size : p};
}

/* leb128 (4.10.5): at most 8 bytes, value below 2^32. */
static uint64_t read_leb128(struct byte_reader *r)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        const uint8_t byte = byte_u8(r);
        value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (!(byte & 0x80))
            break;
        if (i == 7)
            r->error = true;
    }
    if (value > UINT32_MAX)
        r->error = true;
    return r->error ? 0 : value;
}

bool av1_next(struct av1_iter *it, struct av1_obu *ret)
{
    if (it->error || it->pos >= it->end)
        return false;
    struct byte_reader r = byte_reader(it->pos, (size_t)(it->end - it->pos));
    const uint8_t header = byte_u8(&r);
    struct av1_obu obu = {.type = header >> 3 & 15, .has_extension = header >> 2 & 1};
    if (obu.has_extension) {
        const uint8_t extension = byte_u8(&r);
        obu.temporal_id = extension >> 5;
        obu.spatial_id = extension >> 3 & 3;
    }
    /* Without a size the OBU goes to the end (the last one of an MP4 sample may). */
    obu.payload_size = header & 2 ? (size_t)read_leb128(&r) : byte_left(&r);
    obu.payload = byte_take(&r, obu.payload_size);
    if (r.error || header & 0x80) {
        it->error = true;
        return false;
    }
    obu.data = it->pos;
    obu.size = r.pos;
    it->pos += r.pos;
    *ret = obu;
    return true;
}

/* ---- sequence header (5.5)
 * ----------------------------------------------------------------------- */

/* 5.5.3 and 5.5.4; gives the length of buffer delays, 0 where there is no decoder model. */
static unsigned read_timing(struct bits *b, struct av1_sequence *s)
{
    s->has_timing = bits_flag(b);
    if (!s->has_timing)
        return 0;
    const int64_t units = bits_read(b, 32), scale = bits_read(b, 32);
    if (bits_flag(b)) { /* equal_picture_interval */
        const int64_t ticks = (int64_t)bits_ue(b) + 1;
        if (units && scale && units <= INT64_MAX / ticks)
            s->frame_rate = rational_reduce(scale, units * ticks);
    }
    if (!bits_flag(b)) /* decoder_model_info_present_flag */
        return 0;
    const unsigned length = bits_read(b, 5) + 1;
    bits_skip(b, 32 + 5 + 5);
    return length;
}

static void read_operating_points(struct bits *b, struct av1_sequence *s)
{
    const unsigned delay_length = read_timing(b, s);
    const bool display_delay = bits_flag(b);
    const unsigned count = bits_read(b, 5) + 1;
    for (unsigned i = 0; i < count && !b->error; i++) {
        bits_skip(b, 12); /* operating_point_idc */
        const uint8_t level = (uint8_t)bits_read(b, 5);
        const bool tier = level > 7 && bits_flag(b);
        if (i == 0) {
            s->level = level;
            s->high_tier = tier;
        }
        if (delay_length && bits_flag(b))
            bits_skip(b, 2 * delay_length + 1);
        if (display_delay && bits_flag(b))
            bits_skip(b, 4);
    }
}

/* From use_128x128_superblock to order_hint_bits. */
static void read_tools(struct bits *b, bool reduced)
{
    bits_skip(b, 3);
    if (reduced)
        return;
    bits_skip(b, 4);
    const bool order_hint = bits_flag(b);
    if (order_hint)
        bits_skip(b, 2);
    const unsigned screen_content = bits_flag(b) ? SELECT_SCREEN_CONTENT_TOOLS : bits_read(b, 1);
    if (screen_content > 0 && !bits_flag(b)) /* seq_choose_integer_mv */
        bits_skip(b, 1);
    if (order_hint)
        bits_skip(b, 3);
}

/* 5.5.2 */
static void read_color(struct bits *b, struct av1_sequence *s)
{
    const bool high = bits_flag(b);
    const bool twelve = s->profile == 2 && high && bits_flag(b);
    s->bit_depth = twelve ? 12 : high ? 10 : 8;
    s->monochrome = s->profile != 1 && bits_flag(b);
    uint32_t primaries = 2, transfer = 2, matrix = 2;
    if (bits_flag(b)) {
        primaries = bits_read(b, 8);
        transfer = bits_read(b, 8);
        matrix = bits_read(b, 8);
    }
    h26x_color_points(&s->color, primaries, transfer, matrix);
    if (!s->monochrome && primaries == 1 && transfer == 13 && matrix == 0) {
        s->color.range = RANGE_FULL; /* sRGB: always 4:4:4 */
        bits_skip(b, 1);
        return;
    }
    s->color.range = bits_flag(b) ? RANGE_FULL : RANGE_LIMITED;
    if (s->monochrome) {
        s->subsampling_x = s->subsampling_y = 1;
        return;
    }
    if (s->profile == 0) {
        s->subsampling_x = s->subsampling_y = 1;
    } else if (s->profile == 2 && s->bit_depth == 12) {
        s->subsampling_x = bits_flag(b);
        s->subsampling_y = s->subsampling_x && bits_flag(b);
    } else if (s->profile == 2) {
        s->subsampling_x = 1;
    }
    if (s->subsampling_x && s->subsampling_y) {
        s->chroma_position = (uint8_t)bits_read(b, 2);
        s->color.chroma = s->chroma_position == 1   ? CHROMA_LEFT
                          : s->chroma_position == 2 ? CHROMA_TOP_LEFT
                                                    : CHROMA_UNKNOWN;
    }
    bits_skip(b, 1); /* separate_uv_delta_q */
}

int av1_parse_sequence(const void *data, size_t size, struct av1_sequence *ret, struct error *err)
{
    struct bits b;
    bits_init(&b, data, size);
    struct av1_sequence s = {.valid = true};
    s.profile = (uint8_t)bits_read(&b, 3);
    s.still_picture = bits_flag(&b);
    s.reduced_still_picture = bits_flag(&b);
    if (s.reduced_still_picture)
        s.level = (uint8_t)bits_read(&b, 5);
    else
        read_operating_points(&b, &s);
    const unsigned width_bits = bits_read(&b, 4) + 1, height_bits = bits_read(&b, 4) + 1;
    s.width = (int32_t)bits_read(&b, width_bits) + 1;
    s.height = (int32_t)bits_read(&b, height_bits) + 1;
    if (!s.reduced_still_picture && bits_flag(&b)) /* frame_id_numbers_present_flag */
        bits_skip(&b, 7);
    read_tools(&b, s.reduced_still_picture);
    bits_skip(&b, 3); /* superres, cdef, restoration */
    read_color(&b, &s);
    s.film_grain = bits_flag(&b);
    if (b.error || s.profile > 2)
        return error_set(err, RGPU_ERROR_INPUT,
                         "AV1: the sequence header (%zu bytes) is cut short or out of range", size);
    *ret = s;
    return 0;
}

/* ---- temporal unit
 * ---------------------------------------------------------------------------------- */

/* The front of uncompressed_header (5.9.2). */
static void add_frame(const struct av1_sequence *sequence, const struct av1_obu *obu,
                      struct av1_temporal_unit *tu)
{
    struct bits b;
    bits_init(&b, obu->payload, obu->payload_size);
    bool repeated = false, shown = true;
    uint32_t type = AV1_FRAME_KEY;
    if (!sequence->reduced_still_picture) {
        repeated = bits_flag(&b);
        if (!repeated) {
            type = bits_read(&b, 2);
            shown = bits_flag(&b);
        }
    }
    if (b.error) {
        tu->damaged++;
        return;
    }
    if (tu->frames == 0) {
        tu->key = !repeated && type == AV1_FRAME_KEY && shown;
        tu->repeats_key = repeated;
        tu->first_type = (uint8_t)type;
        tu->temporal_id = obu->temporal_id;
    } else if (tu->frames == 1 && tu->repeats_key) {
        tu->first_type = (uint8_t)type;
    }
    tu->frames++;
    tu->shown += shown;
}

/* 5.8.3 and 5.8.4, with their fixed-point numbers (6.7.3, 6.7.4) turned into those of struct hdr.
 */
static void add_metadata(const struct av1_obu *obu, struct hdr *hdr)
{
    enum { METADATA_LIGHT_LEVEL = 1, METADATA_MASTERING = 2 };
    struct byte_reader r = byte_reader(obu->payload, obu->payload_size);
    const uint64_t type = read_leb128(&r);
    struct hdr h = *hdr;
    if (type == METADATA_LIGHT_LEVEL) {
        h.max_content_light = byte_u16(&r);
        h.max_average_light = byte_u16(&r);
        h.has_light_level = true;
    } else if (type == METADATA_MASTERING) {
        for (int i = 0; i < 4; i++) {
            const uint32_t x = (byte_u16(&r) * 50000u + 32768) >> 16;
            const uint32_t y = (byte_u16(&r) * 50000u + 32768) >> 16;
            *(i < 3 ? &h.primary_x[i] : &h.white_x) = (uint16_t)x;
            *(i < 3 ? &h.primary_y[i] : &h.white_y) = (uint16_t)y;
        }
        /* A 24.8 value may be up to 2^24 cd/m2, which does not fit: keep the highest there is. */
        const uint64_t max = (byte_u32(&r) * 10000ULL + 128) >> 8;
        h.luminance_max = max > UINT32_MAX ? UINT32_MAX : (uint32_t)max;
        h.luminance_min = (uint32_t)((byte_u32(&r) * 10000ULL + 8192) >> 14);
        h.has_mastering = true;
    }
    if (!r.error)
        *hdr = h;
}

int av1_temporal_unit(struct av1_sequence *sequence, const void *data, size_t size,
                      struct av1_temporal_unit *ret, struct error *err)
{
    struct av1_temporal_unit tu = {0};
    struct av1_iter it;
    struct av1_obu obu;
    av1_iter_init(&it, data, size);
    while (av1_next(&it, &obu)) {
        if (obu.type == AV1_OBU_SEQUENCE_HEADER) {
            tu.has_sequence = true;
            tu.damaged += av1_parse_sequence(obu.payload, obu.payload_size, sequence, NULL) != 0;
        } else if (obu.type == AV1_OBU_FRAME || obu.type == AV1_OBU_FRAME_HEADER) {
            add_frame(sequence, &obu, &tu);
        } else if (obu.type == AV1_OBU_METADATA) {
            add_metadata(&obu, &tu.hdr);
        }
    }
    if (it.error)
        return error_set(err, RGPU_ERROR_INPUT,
                         "AV1: an OBU is broken or points past the end of its %zu byte packet",
                         size);
    *ret = tu;
    return 0;
}

/* ---- av1C
 * -------------------------------------------------------------------------------------------- */

static int find_sequence(const void *data, size_t size, struct av1_obu *ret_obu,
                         struct av1_sequence *ret, struct error *err)
{
    struct av1_iter it;
    struct av1_obu obu;
    av1_iter_init(&it, data, size);
    while (av1_next(&it, &obu))
        if (obu.type == AV1_OBU_SEQUENCE_HEADER) {
            *ret_obu = obu;
            return av1_parse_sequence(obu.payload, obu.payload_size, ret, err);
        }
    return error_set(err, RGPU_ERROR_INPUT, "AV1: no sequence header in %zu bytes", size);
}

static struct av1_config config_of(const struct av1_sequence *s, const struct av1_obu *obu)
{
    return (struct av1_config){
        .profile = s->profile,
        .level = s->level,
        .high_tier = s->high_tier,
        .bit_depth = s->bit_depth,
        .monochrome = s->monochrome,
        .subsampling_x = s->subsampling_x,
        .subsampling_y = s->subsampling_y,
        .chroma_position = s->chroma_position,
        .obus = obu->data,
        .obus_size = obu->size,
    };
}

int av1_config_read(const void *data, size_t size, struct av1_config *ret, struct error *err)
{
    struct byte_reader r = byte_reader(data, size);
    const uint8_t version = byte_u8(&r);
    /* 0x81 cannot begin an OBU: its forbidden bit is set. */
    if (version != 0x81) {
        struct av1_obu obu;
        struct av1_sequence sequence;
        const int code = find_sequence(data, size, &obu, &sequence, err);
        if (code == 0)
            *ret = config_of(&sequence, &obu);
        return code;
    }
    const uint8_t profile = byte_u8(&r), format = byte_u8(&r), delay = byte_u8(&r);
    if (r.error)
        return error_set(err, RGPU_ERROR_INPUT, "AV1: the av1C record is cut short");
    const bool high = format & 0x40, twelve = format & 0x20;
    *ret = (struct av1_config){
        .profile = profile >> 5,
        .level = profile & 31,
        .high_tier = format >> 7,
        .bit_depth = high && twelve ? 12
                     : high         ? 10
                                    : 8,
        .monochrome = format & 0x10,
        .subsampling_x = format >> 3 & 1,
        .subsampling_y = format >> 2 & 1,
        .chroma_position = format & 3,
        .initial_delay = delay & 0x10 ? (uint8_t)((delay & 15) + 1) : 0,
        .obus = r.data + r.pos,
        .obus_size = byte_left(&r),
    };
    return 0;
}

int av1_config_write(const void *obus, size_t size, void *out, size_t capacity, size_t *ret_size,
                     struct error *err)
{
    struct av1_obu obu;
    struct av1_sequence s;
    const int code = find_sequence(obus, size, &obu, &s, err);
    if (code)
        return code;
    struct byte_writer w = byte_writer(out, capacity);
    byte_write(&w, 0x81, 1);
    byte_write(&w, (unsigned)s.profile << 5 | s.level, 1);
    byte_write(&w,
               (unsigned)s.high_tier << 7 | (unsigned)(s.bit_depth > 8) << 6 |
                   (unsigned)(s.bit_depth > 10) << 5 | (unsigned)s.monochrome << 4 |
                   (unsigned)s.subsampling_x << 3 | (unsigned)s.subsampling_y << 2 |
                   s.chroma_position,
               1);
    byte_write(&w, 0, 1);
    /* The record's OBUs must have a size field (AV1 in ISOBMFF, 2.3.4). */
    byte_write(&w, (uint8_t)(obu.data[0] | 2), 1);
    if (obu.has_extension)
        byte_write(&w, obu.data[1], 1);
    size_t left = obu.payload_size;
    do {
        byte_write(&w, (left & 0x7f) | (left > 0x7f ? 0x80 : 0), 1);
        left >>= 7;
    } while (left > 0);
    byte_put(&w, obu.payload, obu.payload_size);
    *ret_size = w.size;
    if (w.size > capacity)
        return error_set(err, RGPU_ERROR_LIMIT, "AV1: the codec header needs %zu bytes", w.size);
    return 0;
}

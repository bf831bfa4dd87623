/* Sources: H.264 D.1.3 and D.2.3, H.265 D.2.27 and D.3.27, AV1 5.8.7 and 6.7.7. */
#include "media/timecode.h"

#include <string.h>

#include "media/bits.h"
#include "media/nal.h"

#define PIC_STRUCT_MAX 8
#define CT_TYPE_UNKNOWN 2    /* what the picture is, its coding says */
#define COUNTING_TYPE_DROP 4 /* 0 and 1 are passed over but in each tenth minute (table D-3) */
#define COUNTING_TYPE_LAST 6 /* of those that drop numbers at all, from 2 on */
#define FRAMES_END 80        /* libavcodec has no numbers from there on */
#define AV1_METADATA_TIMECODE 5

static const uint8_t clocks_of[PIC_STRUCT_MAX + 1] = {1, 1, 1, 2, 2, 3, 3, 2, 3};

/* ---- in -------------------------------------------------------------------------------------- */

/* From full_timestamp_flag on; what is common to both. */
static struct frame_clock read_clock(struct bits *b, unsigned frames_bits, bool *partial)
{
    struct frame_clock c = {0};
    const bool full = bits_flag(b);
    bits_skip(b, 1); /* discontinuity_flag */
    c.drop = bits_flag(b);
    const uint32_t frames = bits_read(b, frames_bits);
    static const unsigned lengths[] = {6, 6, 5};
    uint8_t *const fields[] = {&c.seconds, &c.minutes, &c.hours};
    int i = 0;
    for (; i < 3 && (full || bits_flag(b)); i++)
        *fields[i] = (uint8_t)bits_read(b, lengths[i]);
    *partial = *partial || i < 3;
    /* Out of range is damage, which is brought into it as libavcodec does. */
    c.hours = (uint8_t)(c.hours % 24);
    c.minutes = c.minutes < 60 ? c.minutes : 59;
    c.seconds = c.seconds < 60 ? c.seconds : 59;
    c.frames = (uint8_t)(frames % FRAMES_END);
    *partial = *partial || frames >= FRAMES_END;
    return c;
}

bool timecode_read_hevc(const struct sei *sei, struct timecode_sei *ret)
{
    if (sei->type != SEI_TIME_CODE)
        return false;
    struct timecode_sei t = {.pic_struct = -1};
    struct bits b = sei->payload;
    const uint32_t count = bits_read(&b, 2);
    for (uint32_t i = 0; i < count; i++) {
        if (!bits_flag(&b)) {
            t.partial = true;
            continue;
        }
        bits_skip(&b, 1); /* units_field_based_flag */
        const uint32_t counting_type = bits_read(&b, 5);
        const struct frame_clock clock = read_clock(&b, 9, &t.partial);
        t.code.clocks[t.code.count++] = clock;
        t.drop = t.drop || clock.drop || counting_type == COUNTING_TYPE_DROP;
        bits_skip(&b, bits_read(&b, 5)); /* time_offset_value */
    }
    if (b.error)
        return false;
    *ret = t;
    return true;
}

bool timecode_read_h264(const struct sei *sei, const struct h264_sps *sps, struct timecode_sei *ret)
{
    if (sei->type != SEI_PIC_TIMING || !sps->pic_struct_present)
        return false;
    struct timecode_sei t = {0};
    struct bits b = sei->payload;
    if (sps->has_nal_hrd || sps->has_vcl_hrd)
        bits_skip(&b, (uint64_t)sps->cpb_removal_delay_bits + sps->dpb_output_delay_bits);
    t.pic_struct = (int)bits_read(&b, 4);
    if (b.error || t.pic_struct > PIC_STRUCT_MAX)
        return false;
    bool absent = false;
    for (int i = 0; i < clocks_of[t.pic_struct]; i++) {
        if (!bits_flag(&b)) {
            absent = true;
            continue;
        }
        const uint32_t ct_type = bits_read(&b, 2);
        bits_skip(&b, 1); /* nuit_field_based_flag */
        const uint32_t counting_type = bits_read(&b, 5);
        struct frame_clock clock = read_clock(&b, 8, &t.partial);
        clock.drop = clock.drop && counting_type >= 2 && counting_type <= COUNTING_TYPE_LAST;
        bits_skip(&b, sps->time_offset_bits);
        if (b.error)
            break;
        t.ct_types |= (uint8_t)(1u << ct_type);
        t.code.clocks[t.code.count++] = clock;
        t.drop = t.drop || clock.drop || counting_type == COUNTING_TYPE_DROP;
        t.partial = t.partial || absent;
    }
    *ret = t;
    return true;
}

/* ---- out ------------------------------------------------------------------------------------- */

/* Bits into zeroed bytes that are known to suffice. */
struct sink {
    uint8_t *data;
    size_t bits;
};

static void put(struct sink *s, uint32_t value, unsigned count)
{
    for (; count > 0; count--, s->bits++)
        s->data[s->bits / 8] |= (uint8_t)((value >> (count - 1) & 1) << (7 - s->bits % 8));
}

/* The stop bit, where it is to stand; gives the bytes. */
static size_t finish(struct sink *s, bool always)
{
    if (always || s->bits % 8)
        put(s, 1, 1);
    return (s->bits + 7) / 8;
}

/* From counting_type to hours_value. */
static void put_clock(struct sink *s, const struct frame_clock *c, unsigned frames_bits)
{
    put(s, c->drop ? COUNTING_TYPE_DROP : 0, 5);
    put(s, 1, 1); /* full_timestamp_flag */
    put(s, 0, 1); /* discontinuity_flag */
    put(s, c->drop, 1);
    put(s, c->frames, frames_bits);
    put(s, c->seconds, 6);
    put(s, c->minutes, 6);
    put(s, c->hours, 5);
}

size_t timecode_write_hevc(const struct frame_timecode *code, uint8_t ret[TIMECODE_PAYLOAD_MAX])
{
    memset(ret, 0, TIMECODE_PAYLOAD_MAX);
    struct sink s = {.data = ret};
    put(&s, code->count, 2);
    for (int i = 0; i < code->count; i++) {
        put(&s, 1, 1); /* clock_timestamp_flag */
        put(&s, 0, 1); /* units_field_based_flag */
        put_clock(&s, &code->clocks[i], 9);
        put(&s, 0, 5); /* time_offset_length */
    }
    return finish(&s, false);
}

size_t timecode_write_av1(const struct frame_timecode *code, uint8_t ret[TIMECODE_PAYLOAD_MAX])
{
    memset(ret, 0, TIMECODE_PAYLOAD_MAX);
    struct sink s = {.data = ret};
    put(&s, AV1_METADATA_TIMECODE, 8);
    put_clock(&s, &code->clocks[0], 9);
    put(&s, 0, 5); /* time_offset_length */
    return finish(&s, true);
}

/* ---- into H.264 ------------------------------------------------------------------------------ */

/* A picture timing with its clocks. 0: it says no pic_struct. */
static size_t write_timing(const struct frame_timecode *code, const struct h264_sps *sps,
                           const struct sei *sei, int message, uint8_t ret[TIMECODE_PAYLOAD_MAX])
{
    struct timecode_sei said;
    if (!timecode_read_h264(sei, sps, &said))
        return 0;
    memset(ret, 0, TIMECODE_PAYLOAD_MAX);
    struct sink s = {.data = ret};
    struct bits b = sei->payload;
    if (sps->has_nal_hrd || sps->has_vcl_hrd) {
        put(&s, bits_read(&b, sps->cpb_removal_delay_bits), sps->cpb_removal_delay_bits);
        put(&s, bits_read(&b, sps->dpb_output_delay_bits), sps->dpb_output_delay_bits);
    }
    put(&s, (uint32_t)said.pic_struct, 4);
    /* A field of its own has one clock. */
    const int slots = clocks_of[said.pic_struct];
    const int first = slots > 1 ? 0 : message < code->count ? message : code->count - 1;
    for (int i = 0; i < slots; i++) {
        const bool has = first + i < code->count;
        put(&s, has, 1); /* clock_timestamp_flag */
        if (!has)
            continue;
        put(&s, CT_TYPE_UNKNOWN, 2);
        put(&s, 1, 1); /* nuit_field_based_flag: a frame is two ticks */
        put_clock(&s, &code->clocks[first + i], 8);
        put(&s, 0, sps->time_offset_bits);
    }
    return finish(&s, false);
}

static void put_number(struct byte_writer *w, size_t value)
{
    for (; value >= 255; value -= 255)
        byte_write(w, 255, 1);
    byte_write(w, value, 1);
}

/* The rest of a payload, whole bytes. */
static void copy_payload(struct byte_writer *w, struct bits b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        byte_write(w, bits_read(&b, 8), 1);
}

size_t timecode_rewrite_h264(const struct frame_timecode *code, const struct h264_sps *sps,
                             struct nal unit, int *messages, uint8_t ret[TIMECODE_REWRITTEN_MAX])
{
    if (code->count == 0 || unit.size < 2 || unit.size > TIMECODE_UNIT_MAX)
        return 0;
    uint8_t plain[TIMECODE_UNIT_MAX + 2 * TIMECODE_PAYLOAD_MAX];
    struct byte_writer w = byte_writer(plain, sizeof(plain));
    byte_write(&w, unit.data[0], 1);
    struct bits b;
    struct sei sei;
    int found = 0;
    bits_init_rbsp(&b, unit.data + 1, unit.size - 1);
    while (sei_next(&b, &sei)) {
        uint8_t timing[TIMECODE_PAYLOAD_MAX];
        const size_t size = write_timing(code, sps, &sei, *messages + found, timing);
        put_number(&w, sei.type);
        put_number(&w, size ? size : sei.size);
        if (size)
            byte_put(&w, timing, size);
        else
            copy_payload(&w, sei.payload, sei.size);
        found += size > 0;
    }
    byte_write(&w, 0x80, 1);
    if (b.error || found == 0 || w.size > sizeof(plain))
        return 0;
    const size_t size = nal_escape(plain, w.size, ret, TIMECODE_REWRITTEN_MAX);
    if (size > TIMECODE_REWRITTEN_MAX)
        return 0;
    *messages += found;
    return size;
}

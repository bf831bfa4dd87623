/* Sources: ISO/IEC 11172-2 2.4.2 and 2.4.3.2, ISO/IEC 13818-2 6.2.2 and 6.2.3. */
#include "codec/nv/decoder_stream.h"

#include <libavutil/rational.h>

#include "media/bits.h"
#include "media/h26x.h"

enum {
    CODE_PICTURE = 0x00,
    CODE_SLICE_FIRST = 0x01,
    CODE_SLICE_LAST = 0xaf,
    CODE_USER_DATA = 0xb2,
    CODE_SEQUENCE = 0xb3,
    CODE_EXTENSION = 0xb5,
    CODE_GROUP = 0xb8,
};

enum { EXTENSION_SEQUENCE = 1, EXTENSION_DISPLAY = 2, EXTENSION_PICTURE = 8 };
enum { STRUCTURE_TOP = 1, STRUCTURE_FRAME = 3 };
enum { TYPE_I = 1, TYPE_P = 2, TYPE_B = 3 };

/* Of the picture whose headers were read last. */
struct picture {
    uint32_t type, structure;
    bool top_first, progressive;
    bool slices; /* of it have come */
};

static void read_sequence(struct nv_mpeg2 *m, struct bits *b)
{
    const uint32_t width = bits_read(b, 12), height = bits_read(b, 12);
    const uint32_t aspect = bits_read(b, 4);
    if (b->error)
        return;
    m->width = (int)width;
    m->height = (int)height;
    m->aspect = (uint8_t)aspect;
    m->mpeg1 = true; /* until a sequence extension comes */
    m->progressive_sequence = true;
    m->pan_width = m->pan_height = 0;
    m->color = (struct color){.range = RANGE_LIMITED, .chroma = CHROMA_CENTER};
}

static void read_sequence_extension(struct nv_mpeg2 *m, struct bits *b)
{
    bits_skip(b, 8); /* profile and level */
    const bool progressive = bits_flag(b);
    const uint32_t chroma = bits_read(b, 2), width = bits_read(b, 2), height = bits_read(b, 2);
    if (b->error)
        return;
    m->mpeg1 = false;
    m->progressive_sequence = progressive;
    m->chroma_format = (uint8_t)chroma;
    m->width |= (int)width << 12;
    m->height |= (int)height << 12;
    m->color.chroma = CHROMA_LEFT;
}

static void read_display_extension(struct nv_mpeg2 *m, struct bits *b)
{
    struct color color = m->color;
    bits_skip(b, 3); /* video_format */
    if (bits_flag(b)) {
        const uint32_t primaries = bits_read(b, 8), transfer = bits_read(b, 8);
        h26x_color_points(&color, primaries, transfer, bits_read(b, 8));
    }
    const uint32_t width = bits_read(b, 14);
    bits_skip(b, 1);
    const uint32_t height = bits_read(b, 14);
    if (b->error)
        return;
    m->color = color;
    m->pan_width = (int)width;
    m->pan_height = (int)height;
}

static void read_picture_extension(struct bits *b, struct picture *p)
{
    bits_skip(b, 18); /* f_code, intra_dc_precision */
    const uint32_t structure = bits_read(b, 2);
    const bool top_first = bits_flag(b);
    bits_skip(b, 7); /* frame_pred_frame_dct to chroma_420_type */
    const bool progressive = bits_flag(b);
    if (b->error)
        return;
    p->structure = structure == 0 || progressive ? STRUCTURE_FRAME : structure;
    p->top_first = top_first;
    p->progressive = progressive;
}

static void read_extension(struct nv_mpeg2 *m, struct bits *b, struct picture *p)
{
    switch (bits_read(b, 4)) {
    case EXTENSION_SEQUENCE:
        read_sequence_extension(m, b);
        break;
    case EXTENSION_DISPLAY:
        read_display_extension(m, b);
        break;
    case EXTENSION_PICTURE:
        read_picture_extension(b, p);
        break;
    default:
        break;
    }
}

/* MPEG-1: height by width of a sample, of which libavcodec makes a ratio of small numbers. */
static struct rational sample_aspect_mpeg1(unsigned code)
{
    static const double heights[] = {0,      1,      0.6735, 0.7031, 0.7615, 0.8055, 0.8437, 0.8935,
                                     0.9157, 0.9815, 1.0255, 1.0695, 1.0950, 1.1575, 1.2015};
    if (code == 0 || code >= sizeof(heights) / sizeof(heights[0]))
        return (struct rational){0, 1};
    const AVRational inverse = av_d2q(heights[code], 255);
    return (struct rational){inverse.den, inverse.num};
}

/* Table 6-3, with the display size where it gives a shape of television, as libavcodec has it. */
static struct rational sample_aspect(const struct nv_mpeg2 *m)
{
    static const struct rational display[] = {{0, 1}, {1, 1}, {4, 3}, {16, 9}, {221, 100}};
    if (m->mpeg1)
        return sample_aspect_mpeg1(m->aspect);
    if (m->aspect >= sizeof(display) / sizeof(display[0]) || m->width <= 0 || m->height <= 0)
        return (struct rational){0, 1};
    const struct rational a = display[m->aspect];
    if (m->aspect <= 1)
        return a;
    int64_t width = m->width, height = m->height;
    if (m->pan_width > 0 && m->pan_height > 0) {
        const int64_t num = a.num * m->pan_height * width, den = a.den * m->pan_width * height;
        if (num * 3 == den * 4 || num * 9 == den * 16) {
            width = m->pan_width;
            height = m->pan_height;
        }
    }
    return rational_reduce(a.num * height, a.den * width);
}

static void begin_picture(struct nv_mpeg2 *m, struct picture *p, struct nv_facts *facts)
{
    p->slices = true;
    const bool field = p->structure != STRUCTURE_FRAME;
    m->first_field = field && !m->first_field;
    const bool begins = !field || m->first_field;
    if (facts->pictures++ == 0) {
        facts->second_field = !begins;
        if (m->references == 0)
            facts->skip = p->type != TYPE_I;
        else
            facts->skip = p->type == TYPE_B && m->references < 2 && !m->closed_gop;
        if (!m->mpeg1 && !p->progressive && !m->progressive_sequence)
            facts->picture.flags |= FRAME_INTERLACED;
        if (facts->picture.flags & FRAME_INTERLACED &&
            (field ? (p->structure == STRUCTURE_TOP) == m->first_field : p->top_first))
            facts->picture.flags |= FRAME_TOP_FIRST;
    }
    if (begins && p->type != TYPE_B && !facts->skip && m->references < 2)
        m->references++;
    facts->picture.color = m->color;
    facts->picture.sample_aspect = sample_aspect(m);
}

void nv_mpeg2_look(struct nv_mpeg2 *m, const uint8_t *data, size_t size, struct nv_facts *facts)
{
    const uint8_t *p = data, *end = data + size;
    struct picture picture = {.structure = STRUCTURE_FRAME, .progressive = true};
    while ((p = nal_find_start_code(p, end)) < end && end - p > 4) {
        const uint8_t code = p[3];
        p += 4;
        struct bits b;
        bits_init(&b, p, (size_t)(end - p));
        if (code == CODE_PICTURE) {
            bits_skip(&b, 10); /* temporal_reference */
            picture = (struct picture){
                .type = bits_read(&b, 3), .structure = STRUCTURE_FRAME, .progressive = true};
        } else if (code == CODE_SEQUENCE) {
            read_sequence(m, &b);
        } else if (code == CODE_EXTENSION) {
            read_extension(m, &b, &picture);
        } else if (code == CODE_GROUP) {
            bits_skip(&b, 25); /* time_code */
            m->closed_gop = bits_flag(&b);
            m->first_field = false;
        } else if (code == CODE_USER_DATA && facts) {
            const uint8_t *stop = nal_find_start_code(p, end);
            nv_sides_mpeg2(&facts->picture.sides, p, (size_t)(stop - p));
        } else if (code >= CODE_SLICE_FIRST && code <= CODE_SLICE_LAST && facts &&
                   !picture.slices && picture.type >= TYPE_I && picture.type <= TYPE_B) {
            begin_picture(m, &picture, facts);
        }
    }
    if (facts && facts->pictures == 0)
        facts->failed = true;
}

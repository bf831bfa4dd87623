#include "codec/cpu/avframe.h"

#include <libavutil/imgutils.h>
#include <libavutil/mastering_display_metadata.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(AV_NOPTS_VALUE == PTS_NONE, "no time stamp is the same value on both sides");
_Static_assert(AV_INPUT_BUFFER_PADDING_SIZE <= BUFFER_PADDING, "padding suffices for libavcodec");
_Static_assert((int)AVCHROMA_LOC_LEFT == CHROMA_LEFT && (int)AVCHROMA_LOC_BOTTOM == CHROMA_BOTTOM,
               "chroma locations are the same numbers");
_Static_assert((int)AVCOL_RANGE_MPEG == RANGE_LIMITED && (int)AVCOL_RANGE_JPEG == RANGE_FULL,
               "ranges are the same numbers");

/* ---- formats --------------------------------------------------------------------------------- */

static const struct {
    enum AVPixelFormat av;
    enum pixel_format format;
} formats[] = {
    {AV_PIX_FMT_GRAY8, PIXEL_GRAY8},
    {AV_PIX_FMT_GRAY10LE, PIXEL_GRAY10},
    {AV_PIX_FMT_GRAY12LE, PIXEL_GRAY12},
    {AV_PIX_FMT_YUV420P, PIXEL_YUV420P},
    {AV_PIX_FMT_YUV422P, PIXEL_YUV422P},
    {AV_PIX_FMT_YUV444P, PIXEL_YUV444P},
    {AV_PIX_FMT_YUV440P, PIXEL_YUV440P},
    {AV_PIX_FMT_YUV411P, PIXEL_YUV411P},
    {AV_PIX_FMT_YUV410P, PIXEL_YUV410P},
    {AV_PIX_FMT_YUV420P10LE, PIXEL_YUV420P10},
    {AV_PIX_FMT_YUV422P10LE, PIXEL_YUV422P10},
    {AV_PIX_FMT_YUV444P10LE, PIXEL_YUV444P10},
    {AV_PIX_FMT_YUV420P12LE, PIXEL_YUV420P12},
    {AV_PIX_FMT_YUV422P12LE, PIXEL_YUV422P12},
    {AV_PIX_FMT_YUV444P12LE, PIXEL_YUV444P12},
    {AV_PIX_FMT_GBRP, PIXEL_GBRP},
    {AV_PIX_FMT_GBRP10LE, PIXEL_GBRP10},
    {AV_PIX_FMT_GBRP12LE, PIXEL_GBRP12},
    {AV_PIX_FMT_NV12, PIXEL_NV12},
    {AV_PIX_FMT_P010LE, PIXEL_P010},
    /* From here on: one way only, the same planes under another name. */
    {AV_PIX_FMT_YUVJ420P, PIXEL_YUV420P},
    {AV_PIX_FMT_YUVJ422P, PIXEL_YUV422P},
    {AV_PIX_FMT_YUVJ444P, PIXEL_YUV444P},
    {AV_PIX_FMT_YUVJ440P, PIXEL_YUV440P},
    {AV_PIX_FMT_YUVJ411P, PIXEL_YUV411P},
    {AV_PIX_FMT_YUVA420P, PIXEL_YUV420P},
    {AV_PIX_FMT_YUVA422P, PIXEL_YUV422P},
    {AV_PIX_FMT_YUVA444P, PIXEL_YUV444P},
    {AV_PIX_FMT_YUVA420P10LE, PIXEL_YUV420P10},
    {AV_PIX_FMT_YUVA422P10LE, PIXEL_YUV422P10},
    {AV_PIX_FMT_YUVA444P10LE, PIXEL_YUV444P10},
    {AV_PIX_FMT_YUVA422P12LE, PIXEL_YUV422P12},
    {AV_PIX_FMT_YUVA444P12LE, PIXEL_YUV444P12},
    {AV_PIX_FMT_GBRAP, PIXEL_GBRP},
    {AV_PIX_FMT_GBRAP10LE, PIXEL_GBRP10},
    {AV_PIX_FMT_GBRAP12LE, PIXEL_GBRP12},
};
#define FORMATS_COUNT (sizeof(formats) / sizeof(formats[0]))

enum pixel_format avframe_format(enum AVPixelFormat av)
{
    for (size_t i = 0; i < FORMATS_COUNT; i++)
        if (formats[i].av == av)
            return formats[i].format;
    return PIXEL_NONE;
}

enum AVPixelFormat avframe_av_format(enum pixel_format format)
{
    for (size_t i = 0; i < FORMATS_COUNT; i++)
        if (formats[i].format == format)
            return formats[i].av;
    return AV_PIX_FMT_NONE;
}

static enum pixel_format by_depth(int depth, enum pixel_format d8, enum pixel_format d10,
                                  enum pixel_format d12)
{
    return depth <= 8 ? d8 : depth <= 10 ? d10 : d12;
}

enum pixel_format avframe_nearest(enum AVPixelFormat av)
{
    const enum pixel_format exact = avframe_format(av);
    if (exact != PIXEL_NONE)
        return exact;
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(av);
    if (!desc || desc->flags & AV_PIX_FMT_FLAG_HWACCEL || !sws_isSupportedInput(av))
        return PIXEL_NONE;
    int depth = 0;
    for (int i = 0; i < desc->nb_components; i++)
        depth = desc->comp[i].depth > depth ? desc->comp[i].depth : depth;
    if (desc->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BAYER) ||
        av == AV_PIX_FMT_XYZ12LE || av == AV_PIX_FMT_XYZ12BE)
        return by_depth(depth, PIXEL_GBRP, PIXEL_GBRP10, PIXEL_GBRP12);
    if (desc->nb_components <= 2)
        return by_depth(depth, PIXEL_GRAY8, PIXEL_GRAY10, PIXEL_GRAY12);
    switch (desc->log2_chroma_w * 4 + desc->log2_chroma_h) {
    case 0:
        return by_depth(depth, PIXEL_YUV444P, PIXEL_YUV444P10, PIXEL_YUV444P12);
    case 1:
        return by_depth(depth, PIXEL_YUV440P, PIXEL_YUV444P10, PIXEL_YUV444P12);
    case 4:
        return by_depth(depth, PIXEL_YUV422P, PIXEL_YUV422P10, PIXEL_YUV422P12);
    case 5:
        return by_depth(depth, PIXEL_YUV420P, PIXEL_YUV420P10, PIXEL_YUV420P12);
    case 8:
        return PIXEL_YUV411P;
    default:
        return PIXEL_YUV410P;
    }
}

/* ---- colour and HDR -------------------------------------------------------------------------- */

/* H.273's 2 ("unspecified") and the reserved 0 are both our 0. */
static uint8_t from_code_point(int value)
{
    return value == 2 || value < 0 || value > 254 ? 0 : (uint8_t)value;
}

struct color avframe_color(const AVFrame *av)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(av->format);
    const bool rgb = desc && desc->flags & AV_PIX_FMT_FLAG_RGB;
    struct color color = {
        .primaries = from_code_point(av->color_primaries),
        .transfer = from_code_point(av->color_trc),
        .matrix =
            rgb || av->colorspace == AVCOL_SPC_RGB ? MATRIX_RGB : from_code_point(av->colorspace),
        .range = (uint8_t)av->color_range,
        .chroma = (uint8_t)av->chroma_location,
    };
    switch ((int)av->format) {
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ444P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ411P:
        color.range = RANGE_FULL;
        break;
    default:
        break;
    }
    return color;
}

void avframe_set_color(AVCodecContext *ctx, const struct color *color)
{
    ctx->color_primaries = color->primaries ? color->primaries : AVCOL_PRI_UNSPECIFIED;
    ctx->color_trc = color->transfer ? color->transfer : AVCOL_TRC_UNSPECIFIED;
    ctx->colorspace = color->matrix == MATRIX_RGB ? AVCOL_SPC_RGB
                      : color->matrix             ? color->matrix
                                                  : AVCOL_SPC_UNSPECIFIED;
    ctx->color_range = color->range;
    ctx->chroma_sample_location = color->chroma;
}

/* q in units of 1/`scale`, to nearest, within 0..max. */
static uint32_t in_units(AVRational q, int64_t scale, int64_t max)
{
    if (q.den <= 0 || q.num <= 0)
        return 0;
    const int64_t value = ((int64_t)q.num * scale + q.den / 2) / q.den;
    return (uint32_t)(value > max ? max : value);
}

struct hdr avframe_hdr(const AVFrame *av, const struct hdr *fallback)
{
    struct hdr hdr = fallback ? *fallback : (struct hdr){0};
    const AVFrameSideData *sd =
        av_frame_get_side_data(av, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA);
    if (sd) {
        const AVMasteringDisplayMetadata *m = (const AVMasteringDisplayMetadata *)(void *)sd->data;
        hdr.has_mastering = m->has_primaries || m->has_luminance;
        for (int i = 0; i < 3; i++) {
            hdr.primary_x[i] = (uint16_t)in_units(m->display_primaries[i][0], 50000, UINT16_MAX);
            hdr.primary_y[i] = (uint16_t)in_units(m->display_primaries[i][1], 50000, UINT16_MAX);
        }
        hdr.white_x = (uint16_t)in_units(m->white_point[0], 50000, UINT16_MAX);
        hdr.white_y = (uint16_t)in_units(m->white_point[1], 50000, UINT16_MAX);
        hdr.luminance_max = in_units(m->max_luminance, 10000, UINT32_MAX);
        hdr.luminance_min = in_units(m->min_luminance, 10000, UINT32_MAX);
    }
    sd = av_frame_get_side_data(av, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL);
    if (sd) {
        const AVContentLightMetadata *light = (const AVContentLightMetadata *)(void *)sd->data;
        hdr.has_light_level = true;
        hdr.max_content_light = (uint16_t)(light->MaxCLL > UINT16_MAX ? UINT16_MAX : light->MaxCLL);
        hdr.max_average_light =
            (uint16_t)(light->MaxFALL > UINT16_MAX ? UINT16_MAX : light->MaxFALL);
    }
    return hdr;
}

/* ---- frames in ------------------------------------------------------------------------------- */

static const struct {
    enum AVFrameSideDataType av;
    enum frame_side_type type;
} sides[] = {
    {AV_FRAME_DATA_A53_CC, SIDE_A53_CC},
    {AV_FRAME_DATA_DYNAMIC_HDR_PLUS, SIDE_HDR10_PLUS},
    {AV_FRAME_DATA_DOVI_RPU_BUFFER, SIDE_DOVI_RPU},
};
_Static_assert(sizeof(sides) / sizeof(sides[0]) < FRAME_SIDE_MAX,
               "a frame holds one of each, and a time code");

/* Two digits, the tens in the upper four bits of which some are flags. */
static uint8_t digits(uint32_t word, unsigned shift, uint32_t tens_mask)
{
    return (uint8_t)((word >> (shift + 4) & tens_mask) * 10 + (word >> shift & 15));
}

/* One word as SMPTE ST 12-1 lays it out: at more than 30/s it counts pairs of frames, and a bit
 * tells which of the two (av_timecode_get_smpte). */
static struct frame_clock take_clock(uint32_t word, AVRational rate)
{
    struct frame_clock c = {.hours = digits(word, 0, 3),
                            .minutes = digits(word, 8, 7),
                            .seconds = digits(word, 16, 7),
                            .frames = digits(word, 24, 3),
                            .drop = word >> 30 & 1};
    if (av_cmp_q(rate, (AVRational){30, 1}) == 1) {
        const unsigned second = av_cmp_q(rate, (AVRational){50, 1}) == 0 ? 7 : 23;
        c.frames = (uint8_t)(2 * c.frames + (word >> second & 1));
    }
    return c;
}

static int take_timecode(const AVFrame *av, AVRational rate, struct frame_side *ret)
{
    const AVFrameSideData *sd = av_frame_get_side_data(av, AV_FRAME_DATA_S12M_TIMECODE);
    uint32_t words[1 + FRAME_CLOCKS_MAX] = {0};
    if (!sd || sd->size < sizeof(words))
        return 0;
    memcpy(words, sd->data, sizeof(words));
    if (words[0] < 1 || words[0] > FRAME_CLOCKS_MAX)
        return 0;
    struct frame_timecode code = {.count = (uint8_t)words[0]};
    for (int i = 0; i < code.count; i++)
        code.clocks[i] = take_clock(words[1 + i], rate);
    struct buffer *buf = buffer_copy(&code, sizeof(code));
    if (!buf)
        return RGPU_ERROR_MEMORY;
    *ret = (struct frame_side){SIDE_TIMECODE, buf};
    return 0;
}

/* Side data is copied: it is small, and libavutil's buffers lack our padding. */
static int take_sides(const AVFrame *av, AVRational rate, struct frame *frame)
{
    int count = 0;
    for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
        const AVFrameSideData *sd = av_frame_get_side_data(av, sides[i].av);
        if (!sd)
            continue;
        struct buffer *buf = buffer_copy(sd->data, sd->size);
        if (!buf)
            return RGPU_ERROR_MEMORY;
        frame->side[count++] = (struct frame_side){sides[i].type, buf};
    }
    return take_timecode(av, rate, &frame->side[count]);
}

static uint32_t take_flags(const AVFrame *av)
{
    uint32_t flags = 0;
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    if (av->flags & AV_FRAME_FLAG_INTERLACED)
        flags |= FRAME_INTERLACED;
    if (av->flags & AV_FRAME_FLAG_INTERLACED && av->flags & AV_FRAME_FLAG_TOP_FIELD_FIRST)
        flags |= FRAME_TOP_FIRST;
#else
    if (av->interlaced_frame)
        flags |= FRAME_INTERLACED;
    if (av->interlaced_frame && av->top_field_first)
        flags |= FRAME_TOP_FIRST;
#endif
    if (av->decode_error_flags || av->flags & AV_FRAME_FLAG_CORRUPT)
        flags |= FRAME_CORRUPT;
    return flags;
}

static void release_avframe(void *opaque, struct frame *frame)
{
    AVFrame *av = opaque;
    av_frame_free(&av);
    free(frame);
}

/* A frame that points into `av`, which becomes its own. NULL: no memory. */
static struct frame *point_into(AVFrame *av, enum pixel_format format)
{
    struct frame *frame = calloc(1, sizeof(*frame));
    AVFrame *kept = av_frame_alloc();
    if (!frame || !kept) {
        free(frame);
        av_frame_free(&kept);
        return NULL;
    }
    av_frame_move_ref(kept, av);
    *frame = (struct frame){.refs = 1,
                            .format = format,
                            .width = kept->width,
                            .height = kept->height,
                            .pts = PTS_NONE,
                            .release = release_avframe,
                            .opaque = kept};
    for (int p = 0; p < pixel_info(format)->planes; p++) {
        frame->data[p] = kept->data[p];
        frame->stride[p] = kept->linesize[p];
    }
    return frame;
}

static bool strides_positive(const AVFrame *av, enum pixel_format format)
{
    for (int p = 0; p < pixel_info(format)->planes; p++)
        if (av->linesize[p] <= 0)
            return false;
    return true;
}

static void copy_planes(const AVFrame *av, struct frame *to)
{
    const int bytes = pixel_info(to->format)->depth > 8 ? 2 : 1;
    for (int p = 0; p < pixel_info(to->format)->planes; p++) {
        const size_t line = (size_t)pixel_plane_width(to->format, p, to->width) * (size_t)bytes;
        const int lines = pixel_plane_height(to->format, p, to->height);
        for (int y = 0; y < lines; y++)
            memcpy(to->data[p] + y * to->stride[p], av->data[p] + (ptrdiff_t)y * av->linesize[p],
                   line);
    }
}

/* libswscale would take palettes through YUV, which is not exact. */
static void expand_palette(const AVFrame *av, struct frame *to)
{
    for (int y = 0; y < to->height; y++) {
        const uint8_t *line = av->data[0] + (ptrdiff_t)y * av->linesize[0];
        for (int x = 0; x < to->width; x++) {
            uint32_t color = 0;
            memcpy(&color, av->data[1] + 4 * (size_t)line[x], 4);
            to->data[0][y * to->stride[0] + x] = (uint8_t)(color >> 8);
            to->data[1][y * to->stride[1] + x] = (uint8_t)color;
            to->data[2][y * to->stride[2] + x] = (uint8_t)(color >> 16);
        }
    }
}

/* The component that alone fills plane `p` with 16-bit words, or NULL. */
static const AVComponentDescriptor *word_plane(const AVPixFmtDescriptor *desc, int p)
{
    const AVComponentDescriptor *found = NULL;
    for (int i = 0; i < desc->nb_components; i++) {
        const AVComponentDescriptor *c = &desc->comp[i];
        if (c->plane != p)
            continue;
        if (found || c->step != 2 || c->offset != 0 || c->depth <= 8)
            return NULL;
        found = c;
    }
    return found;
}

/* Whether all of the source's planes are such words, and differ from ours only in the order of
 * their bytes and their depth. */
static bool is_words(enum AVPixelFormat from, enum pixel_format to)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(from);
    const struct pixel_info *info = pixel_info(to);
    if (desc->flags & (AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BAYER) || info->depth <= 8 ||
        (info->planes == 3 &&
         (desc->log2_chroma_w != info->shift_x || desc->log2_chroma_h != info->shift_y)))
        return false;
    for (int p = 0; p < info->planes; p++)
        if (!word_plane(desc, p))
            return false;
    return true;
}

static void convert_words(const uint8_t *from, uint8_t *to, int count, bool swap, int from_depth,
                          int to_depth, int shift)
{
    const int down = from_depth > to_depth ? from_depth - to_depth : 0;
    const int up = to_depth > from_depth ? to_depth - from_depth : 0;
    const unsigned half = down ? 1u << (down - 1) : 0;
    const unsigned max = (1u << to_depth) - 1;
    for (int i = 0; i < count; i++) {
        uint16_t word;
        memcpy(&word, from + (size_t)2 * (unsigned)i, 2);
        if (swap)
            word = (uint16_t)(word << 8 | word >> 8);
        const unsigned value = ((unsigned)word >> shift << up) + half;
        word = (uint16_t)(value >> down < max ? value >> down : max);
        memcpy(to + (size_t)2 * (unsigned)i, &word, 2);
    }
}

/* libswscale is off by one here and there. */
static void convert_planes(const AVFrame *av, struct frame *to)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(av->format);
    const bool swap = desc->flags & AV_PIX_FMT_FLAG_BE;
    for (int p = 0; p < pixel_info(to->format)->planes; p++) {
        const AVComponentDescriptor *c = word_plane(desc, p);
        const int width = pixel_plane_width(to->format, p, to->width);
        const int height = pixel_plane_height(to->format, p, to->height);
        for (int y = 0; y < height; y++)
            convert_words(av->data[p] + (ptrdiff_t)y * av->linesize[p],
                          to->data[p] + y * to->stride[p], width, swap, c->depth,
                          pixel_info(to->format)->depth, c->shift);
    }
}

static int scale_planes(struct avframe_converter *cv, const AVFrame *av, struct frame *to)
{
    const enum AVPixelFormat format = avframe_av_format(to->format);
    const int flags =
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
    cv->sws = sws_getCachedContext(cv->sws, av->width, av->height, av->format, av->width,
                                   av->height, format, flags, NULL, NULL, NULL);
    if (!cv->sws)
        return RGPU_ERROR_MEMORY;
    /* The range stays what it is. */
    const int full = av->color_range == AVCOL_RANGE_JPEG;
    const int *table = sws_getCoefficients(SWS_CS_DEFAULT);
    sws_setColorspaceDetails(cv->sws, table, full, table, full, 0, 1 << 16, 1 << 16);
    int strides[FRAME_PLANES] = {0};
    for (int p = 0; p < FRAME_PLANES; p++)
        strides[p] = (int)to->stride[p];
    if (sws_scale(cv->sws, (const uint8_t *const *)av->data, av->linesize, 0, av->height, to->data,
                  strides) < 0)
        return RGPU_ERROR_MEMORY;
    return 0;
}

/* A frame of the converter's pool, with the pool made anew where the shape has changed. */
static struct frame *pooled(struct avframe_converter *cv, enum pixel_format format, int width,
                            int height)
{
    if (!cv->pool || cv->format != format || cv->width != width || cv->height != height) {
        frame_pool_free(&cv->pool);
        cv->pool = frame_pool_new(format, width, height);
        cv->format = format;
        cv->width = width;
        cv->height = height;
    }
    return cv->pool ? frame_pool_get(cv->pool) : NULL;
}

static struct frame *convert(struct avframe_converter *cv, const AVFrame *av,
                             enum pixel_format format)
{
    struct frame *frame = pooled(cv, format, av->width, av->height);
    if (!frame)
        return NULL;
    const enum AVPixelFormat from = av->format;
    if (avframe_format(from) != PIXEL_NONE)
        copy_planes(av, frame);
    else if (from == AV_PIX_FMT_PAL8)
        expand_palette(av, frame);
    else if (is_words(from, format))
        convert_planes(av, frame);
    else if (scale_planes(cv, av, frame) != 0)
        frame_unref(&frame);
    return frame;
}

static void say_converted(struct avframe_converter *cv, enum AVPixelFormat from,
                          enum pixel_format to)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(from);
    const bool alpha = desc->flags & AV_PIX_FMT_FLAG_ALPHA && from != AV_PIX_FMT_PAL8;
    if (cv->said == from && cv->note[0])
        return;
    if (avframe_format(from) != PIXEL_NONE && !alpha)
        return;
    cv->said = from;
    snprintf(cv->note, sizeof(cv->note), "%s converted to %s%s", desc->name, pixel_info(to)->name,
             alpha ? ", transparency dropped" : "");
}

static int take(struct avframe_converter *cv, AVFrame *av, struct frame **ret, struct error *err)
{
    const char *name = av_get_pix_fmt_name(av->format);
    const enum pixel_format format = avframe_nearest(av->format);
    if (format == PIXEL_NONE)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "pixel format %s cannot be handled",
                         name ? name : "(unknown)");
    if (av->width < 1 || av->height < 1 || av->width > FRAME_SIZE_MAX ||
        av->height > FRAME_SIZE_MAX)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "a picture of %dx%d is outside 1x1 to %dx%d",
                         av->width, av->height, FRAME_SIZE_MAX, FRAME_SIZE_MAX);
    const struct color color = avframe_color(av);
    const struct hdr hdr = avframe_hdr(av, NULL);
    const struct rational aspect = {av->sample_aspect_ratio.num, av->sample_aspect_ratio.den};
    const uint32_t flags = take_flags(av);
    const bool zero_copy = avframe_format(av->format) == format && strides_positive(av, format);
    struct frame made = {0};
    int rc = take_sides(av, cv->frame_rate, &made);
    struct frame *frame = NULL;
    if (rc == 0) {
        say_converted(cv, av->format, format);
        frame = zero_copy ? point_into(av, format) : convert(cv, av, format);
    }
    if (!frame) {
        for (int i = 0; i < FRAME_SIDE_MAX; i++)
            buffer_unref(&made.side[i].buf);
        return error_memory(err, "a decoded picture");
    }
    memcpy(frame->side, made.side, sizeof(made.side));
    frame->color = color;
    frame->hdr = hdr;
    frame->sample_aspect = aspect.num > 0 && aspect.den > 0 ? aspect : (struct rational){0};
    frame->flags = flags;
    *ret = frame;
    return 0;
}

int avframe_take(struct avframe_converter *cv, AVFrame *av, struct frame **ret, struct error *err)
{
    const int rc = take(cv, av, ret, err);
    av_frame_unref(av);
    return rc;
}

void avframe_converter_done(struct avframe_converter *cv)
{
    sws_freeContext(cv->sws);
    frame_pool_free(&cv->pool);
    *cv = (struct avframe_converter){0};
}

/* ---- frames out ------------------------------------------------------------------------------ */

static void drop_frame(void *opaque, uint8_t *data)
{
    (void)data;
    struct frame *frame = opaque;
    frame_unref(&frame);
}

int avframe_wrap(AVFrame *to, struct frame *from, struct error *err)
{
    struct frame *kept = frame_ref(from);
    const size_t size = (size_t)from->stride[0] * (size_t)from->height;
    to->buf[0] = av_buffer_create(from->data[0], size, drop_frame, kept, AV_BUFFER_FLAG_READONLY);
    if (!to->buf[0]) {
        frame_unref(&kept);
        return error_memory(err, "a frame reference");
    }
    to->format = avframe_av_format(from->format);
    to->width = from->width;
    to->height = from->height;
    for (int p = 0; p < pixel_info(from->format)->planes; p++) {
        to->data[p] = from->data[p];
        to->linesize[p] = (int)from->stride[p];
    }
    to->sample_aspect_ratio = (AVRational){from->sample_aspect.num, from->sample_aspect.den};
    return 0;
}

static void drop_buffer(void *opaque, uint8_t *data)
{
    (void)data;
    struct buffer *buf = opaque;
    buffer_unref(&buf);
}

/* One of libavutil's references to the first `size` bytes of a buffer. NULL: no memory. */
static AVBufferRef *wrap_buffer(struct buffer *from, size_t size)
{
    struct buffer *kept = buffer_ref(from);
    AVBufferRef *ref =
        av_buffer_create(from->data, size, drop_buffer, kept, AV_BUFFER_FLAG_READONLY);
    if (!ref)
        buffer_unref(&kept);
    return ref;
}

int avframe_wrap_captions(AVFrame *to, const struct frame *from, struct error *err)
{
    for (int i = 0; i < FRAME_SIDE_MAX; i++) {
        if (from->side[i].type != SIDE_A53_CC)
            continue;
        AVBufferRef *ref = wrap_buffer(from->side[i].buf, from->side[i].buf->size);
        AVFrameSideData *sd =
            ref ? av_frame_new_side_data_from_buf(to, AV_FRAME_DATA_A53_CC, ref) : NULL;
        if (!sd) {
            av_buffer_unref(&ref);
            return error_memory(err, "closed captions");
        }
    }
    return 0;
}

/* ---- packets --------------------------------------------------------------------------------- */

static int wrap_palette(AVPacket *to, const struct buffer *palette)
{
    uint8_t *data = av_packet_new_side_data(to, AV_PKT_DATA_PALETTE, PALETTE_BYTES);
    if (!data)
        return RGPU_ERROR_MEMORY;
    for (size_t i = 0; i < PALETTE_BYTES; i += 4) {
        const uint8_t *c = palette->data + i;
        const uint32_t argb =
            (uint32_t)c[3] << 24 | (uint32_t)c[2] << 16 | (uint32_t)c[1] << 8 | c[0];
        memcpy(data + i, &argb, 4); /* in the machine's byte order */
    }
    return 0;
}

int avpacket_wrap(AVPacket *to, const struct packet *from, struct error *err)
{
    if (from->buf) {
        to->buf = wrap_buffer(from->buf, from->buf->size + BUFFER_PADDING);
        if (!to->buf)
            return error_memory(err, "a packet reference");
        to->data = (uint8_t *)(uintptr_t)from->data;
        to->size = (int)from->size;
    } else if (av_new_packet(to, (int)from->size) < 0) {
        return error_memory(err, "a packet");
    } else {
        memcpy(to->data, from->data, from->size);
    }
    if (from->extradata && from->extradata->size) {
        uint8_t *data =
            av_packet_new_side_data(to, AV_PKT_DATA_NEW_EXTRADATA, from->extradata->size);
        if (!data) {
            av_packet_unref(to);
            return error_memory(err, "codec headers");
        }
        memcpy(data, from->extradata->data, from->extradata->size);
    }
    if (from->palette && from->palette->size >= PALETTE_BYTES &&
        wrap_palette(to, from->palette) != 0) {
        av_packet_unref(to);
        return error_memory(err, "a palette");
    }
    to->pts = from->pts;
    to->dts = from->dts;
    to->duration = from->duration;
    to->flags = (from->flags & PACKET_KEY ? AV_PKT_FLAG_KEY : 0) |
                (from->flags & PACKET_DISCARD ? AV_PKT_FLAG_DISCARD : 0) |
                (from->flags & PACKET_CORRUPT ? AV_PKT_FLAG_CORRUPT : 0);
    return 0;
}

static void drop_packet(void *opaque, uint8_t *data)
{
    (void)data;
    AVPacket *av = opaque;
    av_packet_free(&av);
}

int avpacket_take(AVPacket *av, struct packet *ret, struct error *err)
{
    AVPacket *kept = av_packet_alloc();
    if (!kept) {
        av_packet_unref(av);
        return error_memory(err, "a packet");
    }
    av_packet_move_ref(kept, av);
    struct buffer *buf = buffer_wrap(kept->data, (size_t)kept->size, drop_packet, kept);
    if (!buf) {
        av_packet_free(&kept);
        return error_memory(err, "a packet");
    }
    ret->buf = buf;
    ret->data = buf->data;
    ret->size = buf->size;
    return 0;
}

int avframe_error_code(int av, int other)
{
    switch (av) {
    case AVERROR(ENOMEM):
        return RGPU_ERROR_MEMORY;
    case AVERROR(EAGAIN):
        return RGPU_ERROR_AGAIN;
    case AVERROR_EOF:
        return RGPU_ERROR_END;
    default:
        return other;
    }
}

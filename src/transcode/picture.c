/* Code points: ITU-T H.273. */
#include "transcode/picture.h"

#include <string.h>

#define MATRIX_BT709 1
#define MATRIX_BT470BG 5 /* the same coefficients as */
#define MATRIX_BT601 6
#define MATRIX_BT2020 9
#define PRIMARIES_BT2020 9
#define TRANSFER_BT709 1
#define TRANSFER_PQ 16
#define TRANSFER_HLG 18
#define AREA_PART_MIN 8 /* an area is no smaller than this part of its output */

static bool is_rgb(enum pixel_format format)
{
    return format == PIXEL_GBRP || format == PIXEL_GBRP10 || format == PIXEL_GBRP12;
}

bool picture_ratios_near(int128 a_num, int128 a_den, int128 b_num, int128 b_den)
{
    int128 a = a_num * b_den;
    int128 b = b_num * a_den;
    int128 difference = a > b ? a - b : b - a;
    return difference * 200 <= b;
}

/* ---- the picture ---------------------------------------------------------------------------- */

/* `color` with the other's where it does not say. */
static struct color fill_color(struct color color, const struct color *from)
{
    color.primaries = color.primaries ? color.primaries : from->primaries;
    color.transfer = color.transfer ? color.transfer : from->transfer;
    color.matrix = color.matrix ? color.matrix : from->matrix;
    color.range = color.range ? color.range : from->range;
    color.chroma = color.chroma ? color.chroma : from->chroma;
    return color;
}

static struct hdr fill_hdr(struct hdr hdr, const struct hdr *from)
{
    if (!hdr.has_mastering && from->has_mastering) {
        struct hdr merged = *from;
        if (hdr.has_light_level) {
            merged.has_light_level = true;
            merged.max_content_light = hdr.max_content_light;
            merged.max_average_light = hdr.max_average_light;
        }
        return merged;
    }
    if (!hdr.has_light_level && from->has_light_level) {
        hdr.has_light_level = true;
        hdr.max_content_light = from->max_content_light;
        hdr.max_average_light = from->max_average_light;
    }
    return hdr;
}

struct track picture_of(const struct track *source, const struct frame *first)
{
    struct track picture = *source;
    picture.extradata = NULL;
    picture.width = first->width;
    picture.height = first->height;
    picture.format = first->format;
    if (first->sample_aspect.num > 0 && first->sample_aspect.den > 0)
        picture.sample_aspect = first->sample_aspect;
    picture.color = fill_color(first->color, &source->color);
    picture.hdr = fill_hdr(first->hdr, &source->hdr);
    if (first->flags & FRAME_INTERLACED)
        picture.field_order = first->flags & FRAME_TOP_FIRST ? FIELD_TOP_FIRST : FIELD_BOTTOM_FIRST;
    return picture;
}

static uint8_t default_matrix(const struct track *picture)
{
    if (picture->color.primaries == PRIMARIES_BT2020)
        return MATRIX_BT2020;
    return picture->height >= 720 ? MATRIX_BT709 : MATRIX_BT601;
}

struct color picture_color(const struct track *picture)
{
    struct color c = picture->color;
    if (!is_rgb(picture->format))
        return c;
    c.matrix = default_matrix(picture);
    c.range = RANGE_LIMITED;
    c.chroma = c.chroma ? c.chroma : CHROMA_LEFT;
    return c;
}

/* ---- colours -------------------------------------------------------------------------------- */

static bool has(const uint8_t *codes, size_t count, uint8_t code)
{
    return memchr(codes, code, count) != NULL;
}

static bool matrix_converts(uint8_t code)
{
    static const uint8_t codes[] = {1, 4, 5, 6, 7, 9};
    return has(codes, sizeof(codes), code);
}

static bool transfer_converts(uint8_t code)
{
    static const uint8_t codes[] = {0, 1, 4, 5, 6, 7, 8, 11, 13, 14, 15};
    return has(codes, sizeof(codes), code);
}

static bool primaries_convert(uint8_t code)
{
    static const uint8_t codes[] = {1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22};
    return has(codes, sizeof(codes), code);
}

/* One name for those that are the same curve. */
static uint8_t curve(uint8_t transfer)
{
    static const uint8_t codes[] = {6, 14, 15};
    return has(codes, sizeof(codes), transfer) ? TRANSFER_BT709 : transfer;
}

/* Light: primaries and transfer, which are converted together or not at all. */
static uint32_t match_light(struct color *from, struct color *to)
{
    const bool transfers =
        from->transfer && to->transfer && curve(from->transfer) != curve(to->transfer);
    const bool primaries = from->primaries && to->primaries && from->primaries != to->primaries;
    const bool possible =
        transfer_converts(from->transfer) && transfer_converts(to->transfer) &&
        (!primaries || (primaries_convert(from->primaries) && primaries_convert(to->primaries)));
    if (!transfers || !possible)
        from->transfer = to->transfer;
    if (!primaries || !possible)
        from->primaries = to->primaries;
    if (!transfers && !primaries)
        return 0;
    return possible ? PICTURE_COLOR : PICTURE_COLOR_KEPT;
}

static uint32_t match_matrix(struct color *from, struct color *to, const struct track *picture)
{
    from->matrix = from->matrix ? from->matrix : to->matrix;
    if (from->matrix && !to->matrix)
        to->matrix = default_matrix(picture);
    if (from->matrix == MATRIX_BT470BG && to->matrix == MATRIX_BT601)
        from->matrix = MATRIX_BT601;
    if (from->matrix == MATRIX_BT601 && to->matrix == MATRIX_BT470BG)
        from->matrix = MATRIX_BT470BG;
    if (from->matrix == to->matrix)
        return 0;
    if (matrix_converts(from->matrix) && matrix_converts(to->matrix))
        return PICTURE_COLOR;
    from->matrix = to->matrix;
    return PICTURE_COLOR_KEPT;
}

/* The colours of a frame and of what it is to become, so that all that is different is to be
 * converted and can be. Unknown is what the picture has. */
static uint32_t match_color(const struct track *picture, const struct frame *frame,
                            struct color *from, struct color *to)
{
    uint32_t changes = 0;
    *to = picture_color(picture);
    *from = frame->color;
    from->chroma = from->chroma ? from->chroma : to->chroma;
    if (from->chroma && !to->chroma)
        to->chroma = CHROMA_LEFT;
    if (is_rgb(frame->format)) {
        if (!from->range && is_rgb(picture->format))
            from->range = picture->color.range;
        from->matrix = MATRIX_RGB;
        to->matrix = matrix_converts(to->matrix) ? to->matrix : default_matrix(picture);
        to->range = to->range ? to->range : RANGE_LIMITED;
    } else {
        from->range = from->range ? from->range : to->range;
        if (from->range && !to->range)
            to->range = RANGE_LIMITED;
        changes |= from->range != to->range ? PICTURE_COLOR : 0;
        if (pixel_info(frame->format)->planes > 1)
            changes |= match_matrix(from, to, picture);
        else
            from->matrix = to->matrix;
    }
    return changes | match_light(from, to);
}

/* ---- shapes --------------------------------------------------------------------------------- */

static int fitted(int size, int128 num, int128 den, int step)
{
    const int128 doubled = (2 * size * num / den + step) / (2 * step);
    return doubled * step > size ? size : (int)doubled * step;
}

/* Puts a picture that is num : den times as wide as the output's into the middle of it. */
static bool set_area(struct scaler_output *out, int128 num, int128 den, bool interlaced)
{
    const struct pixel_info *info = pixel_info(out->format);
    const int step_x = info->shift_x > 1 ? 1 << info->shift_x : 2;
    const int step_y = (interlaced ? 2 : 1) << (info->shift_y > 1 ? info->shift_y : 1);
    int width = out->width, height = out->height;
    if (num > den)
        height = fitted(height, den, num, step_y); /* NOLINT(readability-suspicious-call-argument):
                                                      the inverse factor */
    else
        width = fitted(width, num, den, step_x);
    if ((width == out->width && height == out->height) || width < out->width / AREA_PART_MIN ||
        height < out->height / AREA_PART_MIN)
        return false;
    out->area.width = width;
    out->area.height = height;
    out->area.x = (out->width - width) / 2 / step_x * step_x;
    out->area.y = (out->height - height) / 2 / step_y * step_y;
    return true;
}

static uint32_t match_shape(const struct track *picture, const struct frame *frame,
                            struct scaler_params *params)
{
    const struct rational square = {1, 1};
    struct rational a = frame->sample_aspect, b = picture->sample_aspect;
    if (b.num <= 0 || b.den <= 0)
        b = square;
    if (a.num <= 0 || a.den <= 0)
        a = b;
    /* Sizes are at most 2^14, so these are at most 2^90. */
    const int128 num = (int128)a.num * frame->width * b.den * picture->height;
    const int128 den = (int128)a.den * frame->height * b.num * picture->width;
    bool other = false;
    for (int i = 0; i < params->outputs_count; i++)
        if (!picture_ratios_near(num, den, 1, 1))
            other |= set_area(&params->outputs[i], num, den, params->interlaced);
    return other ? PICTURE_SHAPE : 0;
}

/* ---- all ------------------------------------------------------------------------------------ */

/* NV12 and P010 hold the same samples as their planar twins. */
static bool same_samples(enum pixel_format from, enum pixel_format to)
{
    const struct pixel_info *a = pixel_info(from), *b = pixel_info(to);
    return a->depth == b->depth && a->shift_x == b->shift_x && a->shift_y == b->shift_y &&
           (a->planes == 1) == (b->planes == 1) && is_rgb(from) == is_rgb(to);
}

uint32_t picture_fit(const struct track *picture, const struct frame *frame,
                     struct scaler_params *params)
{
    params->width = frame->width;
    params->height = frame->height;
    params->format = frame->format;
    uint32_t changes = match_color(picture, frame, &params->color, &params->target);
    changes |= match_shape(picture, frame, params);
    if (frame->width != picture->width || frame->height != picture->height)
        changes |= PICTURE_SIZE;
    if (!same_samples(frame->format, picture->format))
        changes |= PICTURE_FORMAT;
    const struct hdr hdr = fill_hdr(frame->hdr, &picture->hdr);
    if (!hdr_same(&hdr, &picture->hdr))
        changes |= PICTURE_HDR;
    const bool fields =
        picture->field_order == FIELD_TOP_FIRST || picture->field_order == FIELD_BOTTOM_FIRST;
    if (frame->flags & FRAME_INTERLACED && !fields)
        changes |= PICTURE_FIELDS;
    return changes;
}

static bool same_color(const struct color *a, const struct color *b)
{
    return a->primaries == b->primaries && a->transfer == b->transfer && a->matrix == b->matrix &&
           a->range == b->range && a->chroma == b->chroma;
}

static bool same_output(const struct scaler_output *a, const struct scaler_output *b)
{
    return a->width == b->width && a->height == b->height && a->format == b->format &&
           a->area.x == b->area.x && a->area.y == b->area.y && a->area.width == b->area.width &&
           a->area.height == b->area.height;
}

bool picture_same_fit(const struct scaler_params *a, const struct scaler_params *b)
{
    for (int i = 0; i < a->outputs_count; i++)
        if (!same_output(&a->outputs[i], &b->outputs[i]))
            return false;
    return a->outputs_count == b->outputs_count && a->width == b->width && a->height == b->height &&
           a->format == b->format && a->interlaced == b->interlaced &&
           same_color(&a->color, &b->color) && same_color(&a->target, &b->target);
}

const char *picture_note(enum picture_change change)
{
    switch (change) {
    case PICTURE_SIZE:
        return "the source changes in its course: pictures of another size are scaled to that of "
               "the first";
    case PICTURE_SHAPE:
        return "the source changes in its course: pictures of another shape than the first get "
               "black bars";
    case PICTURE_FORMAT:
        return "the source changes in its course: pictures of another pixel format are converted "
               "to that of the first";
    case PICTURE_COLOR:
        return "the source changes in its course: pictures of another colour description are "
               "converted to that of the first";
    case PICTURE_COLOR_KEPT:
        return "the source changes in its course to colours that cannot be converted to the "
               "first ones': they are coded as if they were those";
    case PICTURE_HDR:
        return "the source changes in its course: of its static HDR metadata only the first are "
               "kept";
    case PICTURE_FIELDS:
        return "the source changes in its course: interlaced pictures are coded as progressive, "
               "as the first are";
    }
    return "";
}

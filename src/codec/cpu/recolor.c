/* zimg's numbers for matrices, transfers and primaries are those of H.273. */
#include "codec/cpu/recolor.h"

#include <stdlib.h>
#include <string.h>

#include <zimg.h>

#include "codec/cpu/scaler_plan.h"
#include "codec/cpu/scaler_rows.h"

#define ALIGN 64
#define TRANSFER_BT709 1

struct recolor {
    struct scaler_params from; /* of the source */
    struct color to;
    enum pixel_format format; /* of the result */
    int fields;
    struct frame *planes; /* owned; the source's, one component each, padded to whole samples */
    struct frame_pool *pool;
    zimg_filter_graph *graph[2]; /* of each field */
    void *tmp;
};

static bool differ(uint8_t a, uint8_t b)
{
    return a && b && a != b;
}

bool recolor_needed(const struct scaler_params *params)
{
    const struct color *a = &params->color, *b = &params->target;
    if (differ(a->primaries, b->primaries) || differ(a->transfer, b->transfer))
        return true;
    /* The scaler itself makes limited YUV of RGB. */
    if (scaler_is_rgb(params->format))
        return b->range == RANGE_FULL;
    return differ(a->range, b->range) ||
           (pixel_info(params->format)->planes > 1 && differ(a->matrix, b->matrix));
}

/* ---- open ------------------------------------------------------------------------------------ */

static enum pixel_format planar(enum pixel_format format)
{
    return format == PIXEL_NV12 ? PIXEL_YUV420P : format == PIXEL_P010 ? PIXEL_YUV420P10 : format;
}

static enum pixel_format result_format(enum pixel_format format)
{
    switch (format) {
    case PIXEL_GBRP:
        return PIXEL_YUV444P;
    case PIXEL_GBRP10:
        return PIXEL_YUV444P10;
    case PIXEL_GBRP12:
        return PIXEL_YUV444P12;
    default:
        return planar(format);
    }
}

static int round_up(int n, int step)
{
    return (n + step - 1) / step * step;
}

static zimg_image_format describe(const struct recolor *r, enum pixel_format format,
                                  const struct color *color, int field)
{
    const struct pixel_info *info = pixel_info(format);
    const bool rgb = scaler_is_rgb(format);
    zimg_image_format f;
    zimg_image_format_default(&f, ZIMG_API_VERSION);
    f.width = (unsigned)r->planes->width;
    f.height = (unsigned)(r->planes->height / r->fields);
    f.pixel_type = info->depth > 8 ? ZIMG_PIXEL_WORD : ZIMG_PIXEL_BYTE;
    f.depth = info->depth;
    f.subsample_w = info->shift_x;
    f.subsample_h = info->shift_y;
    f.color_family = rgb ? ZIMG_COLOR_RGB : info->planes == 1 ? ZIMG_COLOR_GREY : ZIMG_COLOR_YUV;
    const bool full = color->range ? color->range == RANGE_FULL : rgb;
    f.pixel_range = full ? ZIMG_RANGE_FULL : ZIMG_RANGE_LIMITED;
    if (rgb)
        f.matrix_coefficients = ZIMG_MATRIX_RGB;
    else if (color->matrix)
        f.matrix_coefficients = (zimg_matrix_coefficients_e)color->matrix;
    if (color->chroma && (info->shift_x || info->shift_y))
        f.chroma_location = (zimg_chroma_location_e)(color->chroma - CHROMA_LEFT);
    if (r->fields == 2)
        f.field_parity = field ? ZIMG_FIELD_BOTTOM : ZIMG_FIELD_TOP;
    return f;
}

static int build(struct recolor *r, int field, size_t *tmp, struct error *err)
{
    const struct color *a = &r->from.color, *b = &r->to;
    zimg_image_format from = describe(r, r->planes->format, a, field);
    zimg_image_format to = describe(r, r->format, b, field);
    if (differ(a->primaries, b->primaries) || differ(a->transfer, b->transfer)) {
        from.color_primaries = (zimg_color_primaries_e)(a->primaries ? a->primaries : b->primaries);
        to.color_primaries = (zimg_color_primaries_e)(b->primaries ? b->primaries : a->primaries);
        const uint8_t transfer = b->transfer ? b->transfer : TRANSFER_BT709;
        from.transfer_characteristics =
            (zimg_transfer_characteristics_e)(a->transfer ? a->transfer : transfer);
        to.transfer_characteristics = (zimg_transfer_characteristics_e)transfer;
    }
    zimg_graph_builder_params params;
    zimg_graph_builder_params_default(&params, ZIMG_API_VERSION);
    params.resample_filter_uv = ZIMG_RESIZE_BICUBIC;
    params.filter_param_a_uv = 0; /* Catmull-Rom, as the scaler's */
    params.filter_param_b_uv = 0.5;
    params.cpu_type = ZIMG_CPU_AUTO_64B;
    params.allow_approximate_gamma = 1; /* tables: several times as fast */
    size_t size = 0;
    r->graph[field] = zimg_filter_graph_build(&from, &to, &params);
    if (!r->graph[field] || zimg_filter_graph_get_tmp_size(r->graph[field], &size)) {
        char text[128] = "";
        const zimg_error_code_e code = zimg_get_last_error(text, sizeof(text));
        if (code == ZIMG_ERROR_OUT_OF_MEMORY)
            return error_memory(err, "a colour conversion");
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "colours of the source cannot be converted (matrix %d to %d, primaries %d "
                         "to %d, transfer %d to %d): %s",
                         a->matrix, b->matrix, a->primaries, b->primaries, a->transfer, b->transfer,
                         text);
    }
    *tmp = size > *tmp ? size : *tmp;
    return 0;
}

static int set_up(struct recolor *r, struct error *err)
{
    const enum pixel_format format = planar(r->from.format);
    const struct pixel_info *info = pixel_info(format);
    const int width = round_up(r->from.width, 1 << info->shift_x);
    const int height = round_up(r->from.height, r->fields << info->shift_y);
    r->planes = frame_new(format, width, height);
    r->pool = frame_pool_new(r->format, width, height);
    if (!r->planes || !r->pool)
        return error_memory(err, "a colour conversion");
    size_t tmp = 0;
    for (int field = 0; field < r->fields; field++) {
        const int rc = build(r, field, &tmp, err);
        if (rc)
            return rc;
    }
    if (posix_memalign(&r->tmp, ALIGN, tmp + ALIGN)) {
        r->tmp = NULL;
        return error_memory(err, "a colour conversion");
    }
    return 0;
}

int recolor_open(struct recolor **ret, struct scaler_params *params, struct error *err)
{
    struct recolor *r = calloc(1, sizeof(*r));
    if (!r)
        return error_memory(err, "a colour conversion");
    r->from = *params;
    r->format = result_format(params->format);
    r->fields = params->interlaced ? 2 : 1;
    const struct color *a = &params->color, *b = &params->target;
    r->to = (struct color){
        .primaries = b->primaries ? b->primaries : a->primaries,
        .transfer = b->transfer ? b->transfer : a->transfer,
        .matrix = b->matrix ? b->matrix : a->matrix,
        .range = b->range ? b->range : a->range,
        .chroma = b->chroma ? b->chroma : a->chroma,
    };
    const int rc = set_up(r, err);
    if (rc) {
        recolor_close(r);
        return rc;
    }
    params->format = r->format;
    params->color = params->target = r->to;
    *ret = r;
    return 0;
}

void recolor_close(struct recolor *r)
{
    if (!r)
        return;
    for (int field = 0; field < 2; field++)
        zimg_filter_graph_free(r->graph[field]);
    frame_unref(&r->planes);
    if (r->pool)
        frame_pool_free(&r->pool);
    free(r->tmp);
    free(r);
}

/* ---- run ------------------------------------------------------------------------------------- */

/* Repeats the last sample up to the padded width, and the last line of each field downwards. */
static void pad(const struct recolor *r, int plane, int width, int height)
{
    struct frame *f = r->planes;
    const int bytes = pixel_info(f->format)->depth > 8 ? 2 : 1;
    const int full_width = pixel_plane_width(f->format, plane, f->width);
    const int full_height = pixel_plane_height(f->format, plane, f->height);
    const ptrdiff_t stride = f->stride[plane];
    for (int y = 0; y < height; y++) {
        uint8_t *line = f->data[plane] + stride * y;
        for (int x = width; x < full_width; x++)
            memcpy(line + (ptrdiff_t)x * bytes, line + (ptrdiff_t)(width - 1) * bytes,
                   (size_t)bytes);
    }
    for (int y = height; y < full_height; y++) {
        const int from = y >= r->fields ? y - r->fields : 0;
        memcpy(f->data[plane] + stride * y, f->data[plane] + stride * from,
               (size_t)full_width * (size_t)bytes);
    }
}

static void lower(uint16_t *line, int count, int shift)
{
    for (int i = 0; i < count; i++)
        line[i] = (uint16_t)(line[i] >> shift);
}

/* The source's samples, component by component, in aligned lines. */
static void load(const struct recolor *r, const struct frame *source)
{
    const struct row_ops *rows = row_ops();
    struct frame *f = r->planes;
    const bool pairs = source->format != f->format;
    const bool words = pixel_info(f->format)->depth > 8;
    for (int p = 0; p < pixel_info(f->format)->planes; p++) {
        const int width = pixel_plane_width(f->format, p, source->width);
        const int height = pixel_plane_height(f->format, p, source->height);
        for (int y = 0; y < height; y++) {
            if (pairs && p == 2)
                break; /* came with plane 1 */
            uint8_t *to = f->data[p] + f->stride[p] * y;
            const uint8_t *from = source->data[p] + source->stride[p] * y;
            uint8_t *other = pairs && p == 1 ? f->data[2] + f->stride[2] * y : NULL;
            if (!other)
                memcpy(to, from, (size_t)width << words);
            else if (words)
                rows->split16((const void *)from, (void *)to, (void *)other, width);
            else
                rows->split8(from, to, other, width);
        }
        for (int y = 0; pairs && words && y < height; y++)
            lower((void *)(f->data[p] + f->stride[p] * y), width, 6);
        pad(r, p, width, height);
    }
}

static int convert(const struct recolor *r, struct frame *out, int field)
{
    /* zimg takes R, G, B. */
    static const int rgb_planes[3] = {2, 0, 1};
    const bool rgb = scaler_is_rgb(r->planes->format);
    zimg_image_buffer_const src = {.version = ZIMG_API_VERSION};
    zimg_image_buffer dst = {.version = ZIMG_API_VERSION};
    for (int p = 0; p < pixel_info(r->planes->format)->planes; p++) {
        const int from = rgb && p < 3 ? rgb_planes[p] : p;
        src.plane[p].data = r->planes->data[from] + r->planes->stride[from] * field;
        src.plane[p].stride = r->planes->stride[from] * r->fields;
        src.plane[p].mask = ZIMG_BUFFER_MAX;
    }
    for (int p = 0; p < pixel_info(out->format)->planes; p++) {
        dst.plane[p].data = out->data[p] + out->stride[p] * field;
        dst.plane[p].stride = out->stride[p] * r->fields;
        dst.plane[p].mask = ZIMG_BUFFER_MAX;
    }
    return zimg_filter_graph_process(r->graph[field], &src, &dst, r->tmp, NULL, NULL, NULL, NULL);
}

int recolor_run(struct recolor *r, const struct frame *source, struct frame **ret,
                struct error *err)
{
    struct frame *out = frame_pool_get(r->pool);
    if (!out)
        return error_memory(err, "a frame of other colours");
    load(r, source);
    int rc = 0;
    for (int field = 0; field < r->fields && !rc; field++)
        rc = convert(r, out, field);
    if (rc) {
        frame_unref(&out);
        return error_set(err, RGPU_ERROR_INTERNAL, "zimg failed to convert the colours of a frame");
    }
    frame_copy_props(out, source);
    out->color = r->to;
    out->width = source->width;
    out->height = source->height;
    *ret = out;
    return 0;
}

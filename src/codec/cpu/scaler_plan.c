#include "codec/cpu/scaler_plan.h"

#include <stdlib.h>

#define BAND_LINES 128     /* source lines a band, about: 250 KB of 1080p, within L2 */
#define STRIPE_LINES_MIN 8 /* lines of an output a band; zimg needs more than 2 */
#define FILTER_REACH 2     /* samples either way where nothing shrinks */

/* Where the samples of a plane (of a field) lie along one axis, in luma samples of the frame from
 * the picture's edge: sample i is at step * i + offset2 / 2. */
struct axis {
    int samples; /* of the plane (of the field) */
    int step, offset2;
};

/* One axis of a group from source to an output: destination position v (sample j spans j..j+1)
 * is at source position (slope * v + start) / den. Whole numbers, so that equal phases are equal
 * and the phase of a stripe is exact. */
struct mapping {
    int64_t slope, start, den;
};

/* All that a graph is built from; graphs with equal keys are one. */
struct graph_key {
    int src_width, src_lines, dst_width, dst_lines;
    int src_bytes, dst_bytes;
    double left, top, width, height; /* of the source, in its samples */
};

struct scaler_graph {
    struct scaler_graph *next;
    struct graph_key key;
    zimg_filter_graph *graph;
};

bool scaler_is_rgb(enum pixel_format format)
{
    return format == PIXEL_GBRP || format == PIXEL_GBRP10 || format == PIXEL_GBRP12;
}

/* Twice the offset of the first chroma sample of blocks of `step` luma samples. */
static int siting_x(enum chroma_location at, int step)
{
    bool center = at == CHROMA_CENTER || at == CHROMA_TOP || at == CHROMA_BOTTOM;
    return center ? step : 1;
}

static int siting_y(enum chroma_location at, int step)
{
    if (at == CHROMA_TOP_LEFT || at == CHROMA_TOP)
        return 1;
    if (at == CHROMA_BOTTOM_LEFT || at == CHROMA_BOTTOM)
        return 2 * step - 1;
    return step;
}

static struct axis axis_x(enum pixel_format format, int group, int width, enum chroma_location at)
{
    int shift = group == GROUP_CHROMA ? pixel_info(format)->shift_x : 0;
    int step = 1 << shift;
    return (struct axis){(width + step - 1) >> shift, step, siting_x(at, step)};
}

static struct axis axis_y(enum pixel_format format, int group, int height, enum chroma_location at,
                          int fields, int field)
{
    int shift = group == GROUP_CHROMA ? pixel_info(format)->shift_y : 0;
    int step = 1 << shift;
    /* A field's lines are every second of the frame's, the bottom field's from the second on. */
    return (struct axis){scaler_field_lines((height + step - 1) >> shift, fields, field),
                         step * fields, siting_y(at, step) + 2 * step * field};
}

/* Sample centres are at v = j + 1/2, hence the steps taken off and added. */
static struct mapping map_axis(struct axis src, int src_size, struct axis dst, int dst_size)
{
    return (struct mapping){
        .slope = 2 * (int64_t)src_size * dst.step,
        .start = (int64_t)src_size * (dst.offset2 - dst.step) -
                 (int64_t)dst_size * (src.offset2 - src.step),
        .den = 2 * (int64_t)dst_size * src.step,
    };
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Whether samples map 1:1, with no filter needed. */
static bool is_identity(const struct mapping *m)
{
    return m->slope == m->den && m->start == 0;
}

static zimg_filter_graph *build(const struct graph_key *key)
{
    zimg_image_format src, dst;
    zimg_image_format_default(&src, ZIMG_API_VERSION);
    zimg_image_format_default(&dst, ZIMG_API_VERSION);
    /* Planes go one by one as grey, limited range: for zimg that means "shift", which is exact
     * for every plane of whatever range. */
    src.color_family = dst.color_family = ZIMG_COLOR_GREY;
    src.pixel_range = dst.pixel_range = ZIMG_RANGE_LIMITED;
    src.width = (unsigned)key->src_width;
    src.height = (unsigned)key->src_lines;
    src.pixel_type = key->src_bytes == 1 ? ZIMG_PIXEL_BYTE : ZIMG_PIXEL_WORD;
    src.depth = 8 * (unsigned)key->src_bytes;
    src.active_region.left = key->left;
    src.active_region.top = key->top;
    src.active_region.width = key->width;
    src.active_region.height = key->height;
    dst.width = (unsigned)key->dst_width;
    dst.height = (unsigned)key->dst_lines;
    dst.pixel_type = key->dst_bytes == 1 ? ZIMG_PIXEL_BYTE : ZIMG_PIXEL_WORD;
    dst.depth = 8 * (unsigned)key->dst_bytes;

    zimg_graph_builder_params params;
    zimg_graph_builder_params_default(&params, ZIMG_API_VERSION);
    params.resample_filter = ZIMG_RESIZE_BICUBIC; /* Catmull-Rom: b = 0, c = 1/2 */
    params.filter_param_a = 0;
    params.filter_param_b = 0.5;
    params.dither_type = ZIMG_DITHER_NONE;
    params.cpu_type = ZIMG_CPU_AUTO_64B;
    return zimg_filter_graph_build(&src, &dst, &params);
}

static bool same_key(const struct graph_key *a, const struct graph_key *b)
{
    return a->src_width == b->src_width && a->src_lines == b->src_lines &&
           a->dst_width == b->dst_width && a->dst_lines == b->dst_lines &&
           a->src_bytes == b->src_bytes && a->dst_bytes == b->dst_bytes && a->left == b->left &&
           a->top == b->top && a->width == b->width && a->height == b->height;
}

/* Graph for the key, built at its first use. */
static int graph_get(struct scaler_plan *plan, const struct graph_key *key,
                     const zimg_filter_graph **ret, struct error *err)
{
    for (struct scaler_graph *g = plan->graphs; g; g = g->next)
        if (same_key(&g->key, key)) {
            *ret = g->graph;
            return 0;
        }
    struct scaler_graph *g = calloc(1, sizeof(*g));
    if (!g)
        return error_memory(err, "a scaler graph");
    size_t tmp = 0;
    g->key = *key;
    g->graph = build(key);
    if (!g->graph || zimg_filter_graph_get_tmp_size(g->graph, &tmp) != ZIMG_ERROR_SUCCESS) {
        char text[200] = "no reason given";
        zimg_error_code_e code = zimg_get_last_error(text, sizeof(text));
        zimg_clear_last_error();
        zimg_filter_graph_free(g->graph);
        free(g);
        /* Also "unknown", which is what zimg makes of a failed new in most places. */
        if (code < ZIMG_ERROR_LOGIC)
            return error_memory(err, "a scaler graph");
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "cannot scale a plane of %dx%d to %dx%d: %s; choose a size nearer to the "
                         "source's",
                         key->src_width, key->src_lines, key->dst_width, key->dst_lines, text);
    }
    g->next = plan->graphs;
    plan->graphs = g;
    if (tmp > plan->graph_tmp_bytes)
        plan->graph_tmp_bytes = tmp;
    *ret = g->graph;
    return 0;
}

/* Fills the source lines of a stripe and gives the key's vertical part. */
static void window(struct scaler_stripe *s, struct graph_key *key, const struct mapping *y,
                   int src_samples)
{
    int64_t from = y->slope * s->dst_line + y->start;
    int64_t to = y->slope * (s->dst_line + s->dst_lines) + y->start;
    int64_t shrink = y->slope > y->den ? y->slope : y->den;
    int64_t reach = floor_div(FILTER_REACH * shrink + y->den - 1, y->den) + 1;
    if (is_identity(y))
        reach = 0;
    int64_t first = floor_div(from, y->den) - reach;
    int64_t end = floor_div(to + y->den - 1, y->den) + reach;
    first = first < 0 ? 0 : first;
    end = end > src_samples ? src_samples : end;
    s->src_line = (int)first;
    s->src_lines = (int)(end - first);
    key->src_lines = s->src_lines;
    key->dst_lines = s->dst_lines;
    key->top = (double)(from - first * y->den) / (double)y->den;
    key->height = (double)(y->slope * s->dst_lines) / (double)y->den;
}

/* Number of bands near `lines / band_lines` in which most outputs have stripes of equal phase, so
 * that they share graphs. */
static int count_bands(const struct mapping *y, const int *dst_samples, int count, int src_samples,
                       int band_lines)
{
    int limit = src_samples;
    for (int i = 0; i < count; i++)
        if (dst_samples[i] / STRIPE_LINES_MIN < limit)
            limit = dst_samples[i] / STRIPE_LINES_MIN;
    int target = (src_samples + band_lines / 2) / band_lines;
    target = target > limit ? limit : target;
    int best = target < 1 ? 1 : target;
    int best_shared = 0;
    for (int bands = target * 3 / 4; bands <= target * 5 / 4 && bands <= limit; bands++) {
        int shared = 0;
        for (int i = 0; bands > 0 && i < count; i++)
            shared += dst_samples[i] % bands == 0 &&
                      y[i].slope * (dst_samples[i] / bands) % y[i].den == 0;
        if (shared > best_shared || (shared == best_shared && shared && bands <= target)) {
            best_shared = shared;
            best = bands;
        }
    }
    return best;
}

static bool has_group(enum pixel_format format, int group)
{
    return group == GROUP_LUMA || pixel_info(format)->planes > 1;
}

/* Cuts one output's part of a group into the bands. */
static int plan_stripes(struct scaler_plan *plan, struct scaler_stripe *stripes, int bands,
                        const struct mapping *x, const struct mapping *y, struct axis src_y,
                        struct axis dst_y, struct graph_key *key, struct error *err)
{
    for (int b = 0; b < bands; b++) {
        struct scaler_stripe *s = &stripes[b];
        s->dst_line = (int)((int64_t)dst_y.samples * b / bands);
        s->dst_lines = (int)((int64_t)dst_y.samples * (b + 1) / bands) - s->dst_line;
        if (s->dst_lines > plan->dst_lines_max)
            plan->dst_lines_max = s->dst_lines;
        if (!s->dst_lines)
            continue;
        window(s, key, y, src_y.samples);
        if (is_identity(x) && is_identity(y))
            continue;
        int rc = graph_get(plan, key, &s->graph, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* The most source lines that the stripes of one band reach over. */
static void measure_bands(struct scaler_plan *plan, int group, int field)
{
    for (int b = 0; b < plan->bands[group][field].count; b++) {
        int first = INT32_MAX;
        int end = 0;
        for (int i = 0; i < plan->outputs_count; i++) {
            const struct scaler_stripe *s = scaler_stripe_get(plan, group, field, i, b);
            if (!s->dst_lines)
                continue;
            first = s->src_line < first ? s->src_line : first;
            end = s->src_line + s->src_lines > end ? s->src_line + s->src_lines : end;
        }
        if (end - first > plan->src_lines_max)
            plan->src_lines_max = end - first;
    }
}

static int plan_group(struct scaler_plan *plan, const struct scaler_params *params, int group,
                      int field, int band_lines, struct error *err)
{
    enum chroma_location at = (enum chroma_location)params->color.chroma;
    enum chroma_location out_at =
        params->target.chroma ? (enum chroma_location)params->target.chroma : at;
    struct axis src_x = axis_x(params->format, group, params->width, at);
    struct axis src_y = axis_y(params->format, group, params->height, at, plan->fields, field);
    struct mapping map_x[RENDITIONS_MAX], map_y[RENDITIONS_MAX], cut[RENDITIONS_MAX];
    struct axis dst_x[RENDITIONS_MAX], dst_y[RENDITIONS_MAX];
    int samples[RENDITIONS_MAX];
    int count = 0;
    for (int i = 0; i < params->outputs_count; i++) {
        const struct scaler_output *out = &params->outputs[i];
        if (!(plan->active >> i & 1) || !has_group(out->format, group))
            continue;
        dst_x[i] = axis_x(out->format, group, out->width, out_at);
        dst_y[i] = axis_y(out->format, group, out->height, out_at, plan->fields, field);
        map_x[i] = map_axis(src_x, params->width, dst_x[i], out->width);
        map_y[i] = map_axis(src_y, params->height, dst_y[i], out->height);
        cut[count] = map_y[i];
        samples[count++] = dst_y[i].samples;
    }
    if (!count)
        return 0;
    struct scaler_bands *bands = &plan->bands[group][field];
    int bands_count = count_bands(cut, samples, count, src_y.samples, band_lines);
    bands->stripes =
        calloc((size_t)bands_count * (size_t)params->outputs_count, sizeof(*bands->stripes));
    if (!bands->stripes)
        return error_memory(err, "the scaler's plan");
    bands->count = bands_count;
    for (int i = 0; i < params->outputs_count; i++) {
        const struct scaler_output *out = &params->outputs[i];
        if (!(plan->active >> i & 1) || !has_group(out->format, group))
            continue;
        struct graph_key key = {0};
        key.src_width = src_x.samples;
        key.dst_width = dst_x[i].samples;
        key.src_bytes = plan->sample_bytes;
        key.dst_bytes = plan->sample_bytes == 1 && pixel_info(out->format)->depth == 8 ? 1 : 2;
        key.left = (double)map_x[i].start / (double)map_x[i].den;
        key.width = (double)(map_x[i].slope * dst_x[i].samples) / (double)map_x[i].den;
        int rc = plan_stripes(plan, &bands->stripes[i * bands_count], bands_count, &map_x[i],
                              &map_y[i], src_y, dst_y[i], &key, err);
        if (rc)
            return rc;
    }
    measure_bands(plan, group, field);
    return 0;
}

int scaler_plan_init(struct scaler_plan *plan, const struct scaler_params *params, uint32_t active,
                     int band_lines, struct error *err)
{
    const struct pixel_info *info = pixel_info(params->format);
    *plan = (struct scaler_plan){
        .outputs_count = params->outputs_count,
        .fields = params->interlaced ? 2 : 1,
        .active = active,
        .sample_bytes = info->depth > 8 || scaler_is_rgb(params->format) ? 2 : 1,
    };
    for (int group = 0; group < GROUP_COUNT; group++) {
        if (!has_group(params->format, group))
            continue;
        for (int field = 0; field < plan->fields; field++) {
            int rc =
                plan_group(plan, params, group, field, band_lines ? band_lines : BAND_LINES, err);
            if (rc) {
                scaler_plan_done(plan);
                return rc;
            }
        }
    }
    return 0;
}

void scaler_plan_done(struct scaler_plan *plan)
{
    while (plan->graphs) {
        struct scaler_graph *g = plan->graphs;
        plan->graphs = g->next;
        zimg_filter_graph_free(g->graph);
        free(g);
    }
    for (int group = 0; group < GROUP_COUNT; group++)
        for (int field = 0; field < 2; field++)
            free(plan->bands[group][field].stripes);
    *plan = (struct scaler_plan){0};
}

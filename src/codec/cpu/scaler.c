#include "codec/cpu/scaler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/backend.h"
#include "codec/cpu/recolor.h"
#include "codec/cpu/scaler_plan.h"
#include "codec/cpu/scaler_pool.h"
#include "codec/cpu/scaler_rows.h"

#define ALIGN 64 /* bytes; what zimg's AVX-512 code asks of lines */

#define PRIMARIES_BT2020 9
#define MATRIX_BT709 1
#define MATRIX_FCC 4
#define MATRIX_BT601 6
#define MATRIX_ST240M 7
#define MATRIX_BT2020 9

/* A run of lines of one component in memory. */
struct lines {
    uint8_t *data;
    ptrdiff_t stride;
};

struct task {
    uint8_t group, field; /* group GROUP_COUNT: fill the chroma of a grey source */
    int band;
};

/* Memory of one worker, in one block. */
struct worker {
    void *block;                 /* owned */
    void *tmp;                   /* zimg's */
    struct lines src[2], dst[2]; /* components on their way to and from zimg */
    uint8_t *row[3];
};

struct target {
    struct frame_pool *pool; /* NULL: the source itself is passed on */
    struct pack_params pack[GROUP_COUNT];
    bool dither;
};

struct scaler {
    struct scaler_params params; /* behind `recolor`; outputs have the size of their areas */
    enum pixel_format format;    /* of the source */
    struct recolor *recolor;     /* NULL: the colours stay */
    struct scaler_plan plan;
    struct target targets[RENDITIONS_MAX];
    struct rgb_weights weights[3]; /* of Y, U, V where the source is RGB */
    const struct row_ops *rows;
    struct scaler_pool *pool;
    struct worker *workers;
    int workers_count;
    struct task *tasks;
    int tasks_count;
    /* The call of run in progress. */
    const struct frame *source;
    struct frame *out[RENDITIONS_MAX];
    uint32_t mask;
    int failed; /* atomic */
};

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* ---- source lines in ------------------------------------------------------------------------ */

static int component_width(enum pixel_format format, int group, int width)
{
    int shift = group == GROUP_CHROMA ? pixel_info(format)->shift_x : 0;
    return (width + (1 << shift) - 1) >> shift;
}

/* Line `line` of a field of a plane. */
static uint8_t *plane_line(const struct frame *f, int plane, int fields, int field, int line)
{
    return f->data[plane] + f->stride[plane] * ((ptrdiff_t)line * fields + field);
}

/* Line `line` of a field of what the picture takes up of an output's plane. */
static uint8_t *area_line(const struct scaler *s, int output, int plane, int field, int line)
{
    const struct scaler_output *out = &s->params.outputs[output];
    const struct frame *f = s->out[output];
    const struct pixel_info *info = pixel_info(f->format);
    const int x = plane ? out->area.x >> info->shift_x : out->area.x;
    const int y = plane ? out->area.y >> info->shift_y : out->area.y;
    const int bytes = (info->depth > 8 ? 2 : 1) * (plane && info->planes == 2 ? 2 : 1);
    return plane_line(f, plane, s->plan.fields, field, line) + f->stride[plane] * y +
           (ptrdiff_t)x * bytes;
}

static void unpack_rgb(const struct scaler *s, int group, int field, int first, int count,
                       const struct lines *ret)
{
    const struct frame *f = s->source;
    const int fields = s->plan.fields;
    for (int c = 0; c < (group == GROUP_CHROMA ? 2 : 1); c++) {
        const struct rgb_weights *w = &s->weights[group == GROUP_CHROMA ? 1 + c : 0];
        for (int y = 0; y < count; y++) {
            const void *g = plane_line(f, 0, fields, field, first + y);
            const void *b = plane_line(f, 1, fields, field, first + y);
            const void *r = plane_line(f, 2, fields, field, first + y);
            void *to = ret[c].data + ret[c].stride * y;
            if (pixel_info(f->format)->depth == 8)
                s->rows->rgb8(g, b, r, to, f->width, w);
            else
                s->rows->rgb16(g, b, r, to, f->width, w);
        }
    }
}

static void unpack_pairs(const struct scaler *s, int field, int first, int count,
                         const struct lines *ret)
{
    const struct frame *f = s->source;
    const int n = component_width(f->format, GROUP_CHROMA, f->width);
    for (int y = 0; y < count; y++) {
        const void *from = plane_line(f, 1, s->plan.fields, field, first + y);
        void *a = ret[0].data + ret[0].stride * y;
        void *b = ret[1].data + ret[1].stride * y;
        if (s->plan.sample_bytes == 1)
            s->rows->split8(from, a, b, n);
        else
            s->rows->split16(from, a, b, n);
    }
}

static void unpack_plane(const struct scaler *s, int plane, int field, int first, int count,
                         const struct lines *ret)
{
    const struct frame *f = s->source;
    const struct pixel_info *info = pixel_info(f->format);
    const int n = pixel_plane_width(f->format, plane, f->width);
    for (int y = 0; y < count; y++) {
        const void *from = plane_line(f, plane, s->plan.fields, field, first + y);
        void *to = ret->data + ret->stride * y;
        if (info->depth > 8 && info->planes != 2)
            s->rows->raise16(from, to, n, 16 - info->depth);
        else
            memcpy(to, from, (size_t)n * (size_t)s->plan.sample_bytes);
    }
}

/* Lines first.. of the group's components into the worker's memory, as zimg takes them. Also where
 * they could be read in place: one pass in order brings them into the cache for all outputs, while
 * zimg goes down in columns (8 % less time for three rungs of 1080p). */
static void unpack(const struct scaler *s, const struct worker *w, int group, int field, int first,
                   int count)
{
    const struct lines *ret = w->src;
    const struct pixel_info *info = pixel_info(s->source->format);
    if (scaler_is_rgb(s->source->format))
        unpack_rgb(s, group, field, first, count, ret);
    else if (group == GROUP_LUMA)
        unpack_plane(s, 0, field, first, count, &ret[0]);
    else if (info->planes == 2)
        unpack_pairs(s, field, first, count, ret);
    else
        for (int c = 0; c < 2; c++)
            unpack_plane(s, 1 + c, field, first, count, &ret[c]);
}

/* ---- output lines out ----------------------------------------------------------------------- */

/* One line of `bytes`-sized samples into the output's depth. */
static void pack_line(const struct scaler *s, const struct worker *w, int output, int component,
                      int bytes, int line, const uint8_t *from, uint8_t *to, int n)
{
    const struct target *t = &s->targets[output];
    const struct pack_params *pack = &t->pack[component ? GROUP_CHROMA : GROUP_LUMA];
    const int depth = pixel_info(s->params.outputs[output].format)->depth;
    if (bytes == 1 && depth == 8) {
        memcpy(to, from, (size_t)n);
        return;
    }
    if (bytes == 1) {
        s->rows->raise8(from, (uint16_t *)(void *)w->row[2], n);
        from = w->row[2];
    }
    int32_t bias[DITHER_SIZE];
    row_bias(bias, line, component, pack->shift, t->dither);
    if (depth == 8)
        s->rows->pack8((const void *)from, to, n, pack, bias);
    else
        s->rows->pack16((const void *)from, (void *)to, n, pack, bias);
}

/* The stripe's lines of the group's components into the output frame. */
static void pack(const struct scaler *s, const struct worker *w, int output, int group, int field,
                 const struct scaler_stripe *stripe, int bytes, const struct lines from[2])
{
    const struct frame *f = s->out[output];
    const struct pixel_info *info = pixel_info(f->format);
    const int n = component_width(f->format, group, s->params.outputs[output].width);
    for (int y = 0; y < stripe->dst_lines; y++) {
        const int line = stripe->dst_line + y;
        const uint8_t *a = from[0].data + from[0].stride * y;
        if (group != GROUP_CHROMA) {
            pack_line(s, w, output, 0, bytes, line, a, area_line(s, output, 0, field, line), n);
            continue;
        }
        const uint8_t *b = from[1].data + from[1].stride * y;
        if (info->planes != 2) {
            pack_line(s, w, output, 1, bytes, line, a, area_line(s, output, 1, field, line), n);
            pack_line(s, w, output, 2, bytes, line, b, area_line(s, output, 2, field, line), n);
            continue;
        }
        pack_line(s, w, output, 1, bytes, line, a, w->row[0], n);
        pack_line(s, w, output, 2, bytes, line, b, w->row[1], n);
        uint8_t *to = area_line(s, output, 1, field, line);
        if (info->depth == 8)
            s->rows->merge8(w->row[0], w->row[1], to, n);
        else
            s->rows->merge16((const void *)w->row[0], (const void *)w->row[1], (void *)to, n);
    }
}

static int resample(const struct worker *w, const struct scaler_stripe *stripe, struct lines from,
                    struct lines to)
{
    zimg_image_buffer_const src = {.version = ZIMG_API_VERSION};
    zimg_image_buffer dst = {.version = ZIMG_API_VERSION};
    src.plane[0].data = from.data;
    src.plane[0].stride = from.stride;
    src.plane[0].mask = ZIMG_BUFFER_MAX;
    dst.plane[0].data = to.data;
    dst.plane[0].stride = to.stride;
    dst.plane[0].mask = ZIMG_BUFFER_MAX;
    return zimg_filter_graph_process(stripe->graph, &src, &dst, w->tmp, NULL, NULL, NULL, NULL);
}

/* One output's stripe from the worker's source lines, which start at line `first`. */
static int scale_stripe(const struct scaler *s, const struct worker *w, int output,
                        const struct task *t, int first)
{
    const struct scaler_stripe *stripe =
        scaler_stripe_get(&s->plan, t->group, t->field, output, t->band);
    const struct frame *f = s->out[output];
    const struct pixel_info *info = pixel_info(f->format);
    const int fields = s->plan.fields;
    const int bytes = s->plan.sample_bytes;
    /* zimg writes to aligned lines only. */
    const bool direct = bytes == 1 && info->depth == 8 && !s->params.outputs[output].area.width &&
                        (t->group == GROUP_LUMA || info->planes != 2);
    struct lines lines[2];
    for (int c = 0; c < (t->group == GROUP_CHROMA ? 2 : 1); c++) {
        lines[c] = w->src[c];
        lines[c].data += lines[c].stride * (stripe->src_line - first);
        if (!stripe->graph)
            continue;
        struct lines to = w->dst[c];
        if (direct) {
            int plane = t->group == GROUP_CHROMA ? 1 + c : 0;
            to.data = plane_line(f, plane, fields, t->field, stripe->dst_line);
            to.stride = f->stride[plane] * fields;
        }
        int rc = resample(w, stripe, lines[c], to);
        if (rc)
            return rc;
        lines[c] = to;
    }
    if (!stripe->graph || !direct) {
        int out_bytes = stripe->graph && info->depth > 8 ? 2 : bytes;
        pack(s, w, output, t->group, t->field, stripe, out_bytes, lines);
    }
    return 0;
}

/* Chroma of outputs whose source has none: the middle value. */
static void fill_neutral(const struct scaler *s)
{
    for (int i = 0; i < s->params.outputs_count; i++) {
        const struct frame *f = s->out[i];
        if (!(s->mask >> i & 1) || !s->targets[i].pool)
            continue;
        const struct pixel_info *info = pixel_info(f->format);
        const uint16_t neutral =
            (uint16_t)(1 << (info->depth - 1) << s->targets[i].pack[GROUP_CHROMA].left);
        for (int p = 1; p < info->planes; p++) {
            const int n = pixel_plane_width(f->format, p, f->width);
            for (int y = 0; y < pixel_plane_height(f->format, p, f->height); y++) {
                uint8_t *to = plane_line(f, p, 1, 0, y);
                if (info->depth == 8)
                    memset(to, neutral, (size_t)n);
                for (int x = 0; info->depth > 8 && x < n; x++)
                    ((uint16_t *)(void *)to)[x] = neutral;
            }
        }
    }
}

static void run_task(void *opaque, int worker, int index)
{
    struct scaler *s = opaque;
    const struct task *t = &s->tasks[index];
    if (t->group == GROUP_COUNT) {
        fill_neutral(s);
        return;
    }
    const struct worker *w = &s->workers[worker];
    uint32_t wanted = 0;
    int first = 0;
    int end = 0;
    for (int i = 0; i < s->params.outputs_count; i++) {
        const struct scaler_stripe *stripe =
            scaler_stripe_get(&s->plan, t->group, t->field, i, t->band);
        if (!(s->mask >> i & 1) || !stripe->dst_lines)
            continue;
        first = !wanted || stripe->src_line < first ? stripe->src_line : first;
        end =
            stripe->src_line + stripe->src_lines > end ? stripe->src_line + stripe->src_lines : end;
        wanted |= 1U << i;
    }
    if (!wanted)
        return;
    unpack(s, w, t->group, t->field, first, end - first);
    for (int i = 0; i < s->params.outputs_count; i++)
        if ((wanted >> i & 1) && scale_stripe(s, w, i, t, first))
            __atomic_store_n(&s->failed, 1, __ATOMIC_RELAXED);
}

/* ---- open ----------------------------------------------------------------------------------- */

static int check_params(const struct scaler_params *p, struct error *err)
{
    const struct pixel_info *info = pixel_info(p->format);
    if (!info || p->width < 1 || p->height < 1 || p->width > FRAME_SIZE_MAX ||
        p->height > FRAME_SIZE_MAX)
        return error_set(
            err, RGPU_ERROR_PARAM,
            "scaler: a source of %dx%d in format %d is not possible; sizes go up to %d", p->width,
            p->height, (int)p->format, FRAME_SIZE_MAX);
    if (p->outputs_count < 1 || p->outputs_count > RENDITIONS_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "scaler: %d outputs; 1 to %d are possible",
                         p->outputs_count, RENDITIONS_MAX);
    if (p->threads < 0)
        return error_set(err, RGPU_ERROR_PARAM, "scaler: %d threads", p->threads);
    return 0;
}

static bool is_same(const struct scaler_params *p, const struct scaler_output *out)
{
    const struct pixel_info *info = pixel_info(p->format);
    const bool sited = info->shift_x || info->shift_y;
    if (sited && p->target.chroma && p->color.chroma && p->target.chroma != p->color.chroma)
        return false;
    return out->width == p->width && out->height == p->height && out->format == p->format &&
           !out->area.width;
}

static bool area_fits(const struct scaler_output *out, bool interlaced)
{
    const struct pixel_info *info = pixel_info(out->format);
    const int step_x = 1 << info->shift_x, step_y = (interlaced ? 2 : 1) << info->shift_y;
    return !out->area.width ||
           (out->area.x >= 0 && out->area.y >= 0 && out->area.width > 0 && out->area.height > 0 &&
            out->area.width <= out->width - out->area.x &&
            out->area.height <= out->height - out->area.y && out->area.x % step_x == 0 &&
            out->area.width % step_x == 0 && out->area.y % step_y == 0 &&
            out->area.height % step_y == 0);
}

static int check_output(const struct scaler_params *p, int i, struct error *err)
{
    const struct scaler_output *out = &p->outputs[i];
    const struct pixel_info *info = pixel_info(out->format);
    if (!info || out->width < 2 || out->height < 2 || out->width > FRAME_SIZE_MAX ||
        out->height > FRAME_SIZE_MAX || out->width % 2 || out->height % 2)
        return error_set(err, RGPU_ERROR_PARAM,
                         "scaler: output %d of %dx%d in format %d is not possible; sizes must be "
                         "even and at most %d",
                         i, out->width, out->height, (int)out->format, FRAME_SIZE_MAX);
    if (!area_fits(out, p->interlaced))
        return error_set(err, RGPU_ERROR_PARAM, "scaler: output %d has no area of %dx%d at %d, %d",
                         i, out->area.width, out->area.height, out->area.x, out->area.y);
    if (scaler_is_rgb(out->format))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "scaler: output %d would be %s; YUV or grey is possible, such as yuv420p",
                         i, info->name);
    return 0;
}

/* H.273 matrix for a source that is RGB. */
static uint8_t rgb_matrix(const struct scaler_params *p)
{
    if (p->target.matrix)
        return p->target.matrix;
    if (p->color.primaries == PRIMARIES_BT2020)
        return MATRIX_BT2020;
    return p->height >= 720 ? MATRIX_BT709 : MATRIX_BT601;
}

/* Weights of red and blue; BT.601's are those of all other codes. */
static const struct {
    uint8_t code;
    double kr, kb;
} matrices[] = {{MATRIX_BT709, 0.2126, 0.0722},
                {MATRIX_FCC, 0.3, 0.11},
                {MATRIX_ST240M, 0.212, 0.087},
                {MATRIX_BT2020, 0.2627, 0.0593}};

static int32_t fixed(double v)
{
    return (int32_t)lrint(v * (1 << 14));
}

/* Weights that take RGB to limited range YUV of 16 bits; each row sums exactly to what white and
 * grey need. */
static void set_weights(struct scaler *s)
{
    const struct scaler_params *p = &s->params;
    const int depth = pixel_info(p->format)->depth;
    const uint8_t matrix = rgb_matrix(p);
    double kr = 0.299, kb = 0.114;
    for (size_t i = 0; i < sizeof(matrices) / sizeof(matrices[0]); i++) {
        if (matrices[i].code == matrix) {
            kr = matrices[i].kr;
            kb = matrices[i].kb;
        }
    }
    const bool limited = p->color.range == RANGE_LIMITED;
    const int black = limited ? 16 << (depth - 8) : 0;
    const double unit = limited ? 219 << (depth - 8) : (1 << depth) - 1;
    const double luma = 219 * 256 / unit;
    const double chroma = 112 * 256 / unit;
    const int32_t half = 1 << 13;

    struct rgb_weights *y = &s->weights[0], *u = &s->weights[1], *v = &s->weights[2];
    y->red = fixed(kr * luma);
    y->blue = fixed(kb * luma);
    y->green = fixed(luma) - y->red - y->blue;
    y->offset = (16 << 8 << 14) + half - black * fixed(luma);
    u->blue = fixed(chroma);
    u->red = fixed(-kr / (1 - kb) * chroma);
    u->green = -u->blue - u->red;
    u->offset = (128 << 8 << 14) + half;
    v->red = fixed(chroma);
    v->blue = fixed(-kb / (1 - kr) * chroma);
    v->green = -v->red - v->blue;
    v->offset = (128 << 8 << 14) + half;
}

static void set_pack(const struct scaler_params *p, struct target *t, enum pixel_format format)
{
    const int from = pixel_info(p->format)->depth;
    const int to = pixel_info(format)->depth;
    const bool stretch = p->color.range == RANGE_FULL && !scaler_is_rgb(p->format) && from != to;
    t->dither = to < from;
    for (int group = 0; group < GROUP_COUNT; group++) {
        struct pack_params *k = &t->pack[group];
        k->shift = 16 - to + 14;
        k->scale = 1 << 14;
        k->offset = 0;
        k->max = (1 << to) - 1;
        k->left = format == PIXEL_P010 ? 6 : 0;
        if (!stretch)
            continue;
        /* Full range: the highest value of one depth is that of the other, and the middle value
         * of chroma stays in the middle. */
        double ratio = ((1 << to) - 1) / (double)((1 << from) - 1) / (1 << (16 - from));
        k->scale = (int32_t)lrint(ratio * (1 << k->shift));
        if (group == GROUP_CHROMA)
            k->offset = (1 << (to - 1) << k->shift) - (1 << 15) * k->scale;
    }
}

static int add_tasks(struct scaler *s, struct error *err)
{
    const struct scaler_plan *plan = &s->plan;
    int count = 1;
    for (int group = 0; group < GROUP_COUNT; group++)
        for (int field = 0; field < plan->fields; field++)
            count += plan->bands[group][field].count;
    s->tasks = calloc((size_t)count, sizeof(*s->tasks));
    if (!s->tasks)
        return error_memory(err, "the scaler's tasks");
    for (int group = 0; group < GROUP_COUNT; group++)
        for (int field = 0; field < plan->fields; field++)
            for (int b = 0; b < plan->bands[group][field].count; b++)
                s->tasks[s->tasks_count++] = (struct task){(uint8_t)group, (uint8_t)field, b};
    if (pixel_info(s->params.format)->planes == 1)
        s->tasks[s->tasks_count++] = (struct task){.group = GROUP_COUNT};
    return 0;
}

static int add_worker(struct scaler *s, struct worker *w, struct error *err)
{
    const struct scaler_params *p = &s->params;
    int dst_width = p->width;
    for (int i = 0; i < p->outputs_count; i++)
        if (p->outputs[i].width > dst_width)
            dst_width = p->outputs[i].width;
    const size_t tmp = round_up(s->plan.graph_tmp_bytes);
    const size_t src_stride = round_up((size_t)p->width * (size_t)s->plan.sample_bytes);
    const size_t dst_stride = round_up((size_t)dst_width * 2);
    const size_t src = src_stride * (size_t)s->plan.src_lines_max;
    const size_t dst = dst_stride * (size_t)s->plan.dst_lines_max;
    if (posix_memalign(&w->block, ALIGN, tmp + 2 * src + 2 * dst + 3 * dst_stride)) {
        w->block = NULL;
        return error_memory(err, "the scaler's line buffers");
    }
    uint8_t *at = w->block;
    w->tmp = at;
    at += tmp;
    for (int c = 0; c < 2; c++, at += src)
        w->src[c] = (struct lines){at, (ptrdiff_t)src_stride};
    for (int c = 0; c < 2; c++, at += dst)
        w->dst[c] = (struct lines){at, (ptrdiff_t)dst_stride};
    for (int r = 0; r < 3; r++, at += dst_stride)
        w->row[r] = at;
    return 0;
}

static int count_workers(const struct scaler *s)
{
    int count = s->params.threads ? s->params.threads : cpu_cores();
    count = count > SCALER_THREADS_MAX ? SCALER_THREADS_MAX : count;
    count = count > s->tasks_count ? s->tasks_count : count;
    return count < 1 ? 1 : count;
}

static int set_up(struct scaler *s, int band_lines, struct error *err)
{
    const struct scaler_params *p = &s->params;
    uint32_t active = 0;
    for (int i = 0; i < p->outputs_count; i++) {
        if (is_same(p, &p->outputs[i]))
            continue;
        int rc = check_output(p, i, err);
        if (rc)
            return rc;
        struct scaler_output *out = &s->params.outputs[i];
        s->targets[i].pool = frame_pool_new(out->format, out->width, out->height);
        if (!s->targets[i].pool)
            return error_memory(err, "the scaler's frames");
        set_pack(p, &s->targets[i], out->format);
        if (out->area.width) {
            out->width = out->area.width;
            out->height = out->area.height;
        }
        active |= 1U << i;
    }
    if (scaler_is_rgb(p->format))
        set_weights(s);
    s->rows = row_ops();
    int rc = scaler_plan_init(&s->plan, p, active, band_lines, err);
    if (!rc)
        rc = add_tasks(s, err);
    if (rc)
        return rc;
    const int workers = count_workers(s);
    s->workers = calloc((size_t)workers, sizeof(*s->workers));
    if (!s->workers)
        return error_memory(err, "the scaler's workers");
    for (; s->workers_count < workers; s->workers_count++) {
        rc = add_worker(s, &s->workers[s->workers_count], err);
        if (rc)
            return rc;
    }
    return scaler_pool_new(&s->pool, workers, err);
}

static void scaler_close(void *handle)
{
    struct scaler *s = handle;
    if (!s)
        return;
    scaler_pool_free(&s->pool);
    recolor_close(s->recolor);
    for (int i = 0; i < s->workers_count; i++)
        free(s->workers[i].block);
    free(s->workers);
    free(s->tasks);
    scaler_plan_done(&s->plan);
    for (int i = 0; i < RENDITIONS_MAX; i++)
        if (s->targets[i].pool)
            frame_pool_free(&s->targets[i].pool);
    free(s);
}

int cpu_scaler_open_banded(void **ret, const struct scaler_params *params, int band_lines,
                           struct error *err)
{
    int rc = check_params(params, err);
    if (rc)
        return rc;
    struct scaler *s = calloc(1, sizeof(*s));
    if (!s)
        return error_memory(err, "the scaler");
    s->params = *params;
    s->format = params->format;
    if (recolor_needed(params))
        rc = recolor_open(&s->recolor, &s->params, err);
    if (!rc)
        rc = set_up(s, band_lines, err);
    if (rc) {
        scaler_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

static int scaler_open(void **ret, const struct scaler_params *params, struct error *err)
{
    return cpu_scaler_open_banded(ret, params, 0, err);
}

/* ---- run ------------------------------------------------------------------------------------ */

static void fill_line(const struct frame *f, int plane, int line, int from, int to, uint16_t value)
{
    uint8_t *at = plane_line(f, plane, 1, 0, line);
    if (pixel_info(f->format)->depth == 8)
        memset(at + from, value, (size_t)(to - from));
    for (int x = from; pixel_info(f->format)->depth > 8 && x < to; x++)
        ((uint16_t *)(void *)at)[x] = value;
}

/* Black around the area of an output. */
static void fill_bars(const struct scaler *s, int output)
{
    const struct scaler_output *out = &s->params.outputs[output];
    const struct frame *f = s->out[output];
    const struct pixel_info *info = pixel_info(f->format);
    const int left = s->targets[output].pack[GROUP_LUMA].left;
    const int black = f->color.range == RANGE_FULL ? 0 : 16 << (info->depth - 8);
    const int x_end = out->area.x + out->area.width, y_end = out->area.y + out->area.height;
    for (int p = 0; p < info->planes; p++) {
        const uint16_t value = (uint16_t)((p ? 1 << (info->depth - 1) : black) << left);
        const int width = pixel_plane_width(f->format, p, f->width);
        const int from = pixel_plane_width(f->format, p, out->area.x);
        const int to = pixel_plane_width(f->format, p, x_end);
        const int top = pixel_plane_height(f->format, p, out->area.y);
        const int bottom = pixel_plane_height(f->format, p, y_end);
        for (int y = 0; y < pixel_plane_height(f->format, p, f->height); y++) {
            const bool beside = y >= top && y < bottom;
            fill_line(f, p, y, 0, beside ? from : width, value);
            if (beside)
                fill_line(f, p, y, to, width, value);
        }
    }
}

static void set_props(const struct scaler *s, int output, const struct frame *source)
{
    const struct color *target = &s->params.target;
    struct frame *f = s->out[output];
    frame_copy_props(f, source);
    f->sample_aspect = (struct rational){0};
    if (target->chroma)
        f->color.chroma = target->chroma;
    if (!scaler_is_rgb(s->params.format))
        return;
    f->color.matrix = rgb_matrix(&s->params);
    f->color.range = RANGE_LIMITED;
    if (f->color.chroma == CHROMA_UNKNOWN)
        f->color.chroma = CHROMA_LEFT;
}

static void drop_outputs(struct scaler *s)
{
    for (int i = 0; i < RENDITIONS_MAX; i++)
        frame_unref(&s->out[i]);
}

/* Makes the outputs in `mask` of a frame as the graphs take it. */
static int run(struct scaler *s, struct frame *source, uint32_t mask, struct error *err)
{
    const struct scaler_params *p = &s->params;
    bool work = false;
    for (int i = 0; i < p->outputs_count; i++) {
        if (!(mask >> i & 1))
            continue;
        if (!s->targets[i].pool) {
            s->out[i] = frame_ref(source);
            continue;
        }
        s->out[i] = frame_pool_get(s->targets[i].pool);
        if (!s->out[i]) {
            drop_outputs(s);
            return error_memory(err, "a scaled frame");
        }
        set_props(s, i, source);
        if (p->outputs[i].area.width)
            fill_bars(s, i);
        work = true;
    }
    if (!work)
        return 0;
    s->source = source;
    s->mask = mask;
    __atomic_store_n(&s->failed, 0, __ATOMIC_RELAXED);
    scaler_pool_run(s->pool, s->tasks_count, run_task, s);
    s->source = NULL;
    if (__atomic_load_n(&s->failed, __ATOMIC_RELAXED)) {
        drop_outputs(s);
        return error_set(err, RGPU_ERROR_INTERNAL, "scaler: zimg failed on a frame of %dx%d",
                         p->width, p->height);
    }
    return 0;
}

static int scaler_run(void *handle, struct frame *source, uint32_t mask, struct frame **ret,
                      struct error *err)
{
    struct scaler *s = handle;
    const struct scaler_params *p = &s->params;
    if (source->place != PLACE_HOST || source->format != s->format || source->width != p->width ||
        source->height != p->height) {
        const struct pixel_info *info = pixel_info(source->format);
        return error_set(err, RGPU_ERROR_PARAM,
                         "scaler: opened for %dx%d %s in host memory, but the frame is %dx%d %s%s; "
                         "open a new one for it",
                         p->width, p->height, pixel_info(s->format)->name, source->width,
                         source->height, info ? info->name : "of no format",
                         source->place == PLACE_HOST ? "" : " on a device");
    }
    struct frame *recolored = NULL;
    int rc = s->recolor ? recolor_run(s->recolor, source, &recolored, err) : 0;
    if (!rc)
        rc = run(s, recolored ? recolored : source, mask, err);
    frame_unref(&recolored);
    if (rc)
        return rc;
    for (int i = 0; i < p->outputs_count; i++)
        if (mask >> i & 1)
            ret[i] = s->out[i];
    memset(s->out, 0, sizeof(s->out));
    return 0;
}

const struct scaler_ops cpu_scaler_ops = {
    .open = scaler_open,
    .run = scaler_run,
    .close = scaler_close,
};

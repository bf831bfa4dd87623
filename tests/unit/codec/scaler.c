/* The CPU's scaler: close to the reference, the same however it is cut and shared out, and true to
 * what travels with a frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/scaler.h"
#include "pictures.h"
#include "reference.h"

#define UNCUT (1 << 28) /* band lines that make one band of any picture */
#define SEED 7

static const struct scaler_ops *const ops = &cpu_scaler_ops;

static struct scaler_params params_for(const struct frame *src, int width, int height,
                                       enum pixel_format format)
{
    return (struct scaler_params){
        .width = src->width,
        .height = src->height,
        .format = src->format,
        .color = src->color,
        .outputs_count = 1,
        .outputs = {{width, height, format}},
        .threads = 1,
    };
}

/* Scales one frame to outputs 0..count-1. */
static void scale(const struct scaler_params *params, int band_lines, struct frame *src,
                  struct frame **ret)
{
    struct error err = {0};
    void *scaler = NULL;
    if (cpu_scaler_open_banded(&scaler, params, band_lines, &err))
        fail_msg("open: %s", err.text);
    if (ops->run(scaler, src, (1U << params->outputs_count) - 1, ret, &err))
        fail_msg("run: %s", err.text);
    ops->close(scaler);
}

static struct frame *scale_one(struct frame *src, int width, int height, enum pixel_format format)
{
    struct scaler_params params = params_for(src, width, height, format);
    struct frame *ret = NULL;
    scale(&params, 0, src, &ret);
    return ret;
}

/* ---- quality -------------------------------------------------------------------------------- */

struct quality_case {
    enum pixel_format from;
    int width, height;
    enum pixel_format to;
    int out_width, out_height;
    enum picture what;
    bool full, interlaced;
    enum chroma_location chroma;
};

static void check_quality(const struct quality_case *q, struct frame *src, const struct frame *out)
{
    const struct scaler_output to = {q->out_width, q->out_height, q->to};
    const bool grey = pixel_info(q->from)->planes == 1 || pixel_info(q->to)->planes == 1;
    for (int c = 0; c < (grey ? 1 : 3); c++) {
        double exact;
        double *reference = reference_scale(src, q->interlaced, &to, c);
        double psnr = reference_psnr(out, reference, c, &exact);
        free(reference);
        if (psnr < 60 || exact < 0.95)
            fail_msg(
                "%s %dx%d -> %s %dx%d, picture %d, full %d, interlaced %d, siting %d, seed %d: "
                "component %d has %.1f dB, %.4f exact",
                pixel_info(q->from)->name, q->width, q->height, pixel_info(q->to)->name,
                q->out_width, q->out_height, q->what, q->full, q->interlaced, q->chroma, SEED, c,
                psnr, exact);
    }
}

static void run_quality(const struct quality_case *q)
{
    struct frame *src = picture_new(q->from, q->width, q->height, q->what, q->full, SEED);
    src->color.chroma = (uint8_t)q->chroma;
    struct scaler_params params = params_for(src, q->out_width, q->out_height, q->to);
    params.interlaced = q->interlaced;
    struct frame *out = NULL;
    scale(&params, 0, src, &out);
    check_quality(q, src, out);
    frame_unref(&out);
    frame_unref(&src);
}

static void test_ladder_against_reference(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1280, 720}, {854, 480}, {640, 360}, {426, 240}};
    static const enum pixel_format formats[] = {PIXEL_YUV420P, PIXEL_YUV420P10};
    for (int f = 0; f < 2; f++)
        for (enum picture what = PICTURE_DETAIL; what <= PICTURE_SMOOTH; what++) {
            struct quality_case q = {formats[f], 1920, 1080, formats[f], .what = what};
            struct frame *src = picture_new(q.from, q.width, q.height, what, false, SEED);
            struct scaler_params params = params_for(src, 0, 0, q.to);
            params.outputs_count = 4;
            for (int i = 0; i < 4; i++)
                params.outputs[i] = (struct scaler_output){sizes[i][0], sizes[i][1], q.to};
            struct frame *out[4] = {0};
            scale(&params, 0, src, out);
            for (int i = 0; i < 4; i++) {
                q.out_width = sizes[i][0];
                q.out_height = sizes[i][1];
                check_quality(&q, src, out[i]);
                frame_unref(&out[i]);
            }
            frame_unref(&src);
        }
}

static void test_sizes_against_reference(void **state)
{
    (void)state;
    static const int sizes[][4] = {
        {641, 361, 426, 240}, {641, 361, 1000, 700}, {1279, 719, 640, 360}, {33, 1079, 32, 540},
        {640, 360, 640, 180}, {640, 360, 320, 360},  {320, 180, 1280, 720}, {426, 240, 640, 360},
        {16, 16, 32, 32},     {16, 16, 8, 8},        {720, 576, 1024, 576}, {8192, 20, 64, 20},
        {64, 64, 2, 2},
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct quality_case q = {.from = PIXEL_YUV420P,
                                 .width = sizes[i][0],
                                 .height = sizes[i][1],
                                 .to = PIXEL_YUV420P,
                                 .out_width = sizes[i][2],
                                 .out_height = sizes[i][3]};
        /* 32x the width down has the widest filter, whose 14-bit weights sum up their rounding. */
        q.what = sizes[i][0] == 8192 ? PICTURE_SMOOTH : PICTURE_DETAIL;
        run_quality(&q);
        q.from = q.to = PIXEL_YUV420P10;
        run_quality(&q);
    }
}

static void test_formats_against_reference(void **state)
{
    (void)state;
    static const enum pixel_format targets[] = {
        PIXEL_YUV420P,   PIXEL_YUV422P,   PIXEL_YUV444P,   PIXEL_NV12, PIXEL_GRAY8,
        PIXEL_YUV420P10, PIXEL_YUV422P10, PIXEL_YUV444P10, PIXEL_P010, PIXEL_GRAY10};
    for (enum pixel_format from = PIXEL_NONE + 1; from < PIXEL_COUNT; from++)
        for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++) {
            const enum pixel_format to = targets[t];
            if (pixel_info(to)->depth < pixel_info(from)->depth)
                continue; /* dithered: test_dither_* */
            for (int full = 0; full < 2; full++) {
                run_quality(&(struct quality_case){from, 322, 182, to, 212, 120, .full = full});
                run_quality(&(struct quality_case){from, 322, 182, to, 322, 182, .full = full});
            }
        }
}

static void test_siting_against_reference(void **state)
{
    (void)state;
    static const enum pixel_format formats[][2] = {{PIXEL_YUV420P, PIXEL_YUV420P},
                                                   {PIXEL_YUV422P, PIXEL_YUV420P},
                                                   {PIXEL_YUV444P, PIXEL_YUV420P},
                                                   {PIXEL_YUV420P, PIXEL_YUV444P},
                                                   {PIXEL_YUV410P, PIXEL_YUV420P}};
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++)
        for (int at = CHROMA_UNKNOWN; at <= CHROMA_BOTTOM; at++)
            for (int interlaced = 0; interlaced < 2; interlaced++)
                run_quality(&(struct quality_case){formats[f][0], 320, 180, formats[f][1], 214, 120,
                                                   PICTURE_DETAIL, false, interlaced,
                                                   (enum chroma_location)at});
}

/* A reference that always agreed would prove nothing: a siting that is off must show. */
static void test_reference_tells_sitings_apart(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_YUV420P, 320, 180, PICTURE_DETAIL, false, SEED);
    src->color.chroma = CHROMA_CENTER;
    struct frame *out = scale_one(src, 214, 120, PIXEL_YUV420P);
    const struct scaler_output to = {214, 120, PIXEL_YUV420P};
    src->color.chroma = CHROMA_LEFT;
    double exact;
    double *reference = reference_scale(src, false, &to, 1);
    assert_true(reference_psnr(out, reference, 1, &exact) < 50);
    free(reference);
    frame_unref(&out);
    frame_unref(&src);
}

/* ---- the same however it is done ------------------------------------------------------------ */

struct sameness_case {
    enum pixel_format from, to;
    int width, height;
    bool interlaced;
};

static void test_bands_and_threads_change_nothing(void **state)
{
    (void)state;
    static const struct sameness_case cases[] = {
        {PIXEL_YUV420P, PIXEL_YUV420P, 1920, 1080, false},
        {PIXEL_YUV420P10, PIXEL_YUV420P, 1280, 720, false},
        {PIXEL_NV12, PIXEL_NV12, 1278, 718, false},
        {PIXEL_P010, PIXEL_P010, 640, 480, true},
        {PIXEL_YUV422P10, PIXEL_YUV420P10, 719, 577, true},
        {PIXEL_YUV444P, PIXEL_YUV420P, 1001, 999, false},
        {PIXEL_GBRP, PIXEL_YUV420P, 640, 360, false},
        {PIXEL_GRAY8, PIXEL_YUV420P, 640, 360, false},
    };
    static const int sizes[][2] = {{1280, 720}, {854, 480}, {640, 360}, {426, 240}, {1000, 1002}};
    static const int threads[] = {1, 2, 3, 7};
    static const int band_lines[] = {0, 16, 50};
    const int count = sizeof(sizes) / sizeof(sizes[0]);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const struct sameness_case *s = &cases[c];
        struct frame *src = picture_new(s->from, s->width, s->height, PICTURE_NOISE, false, SEED);
        struct scaler_params params = params_for(src, 0, 0, s->to);
        params.interlaced = s->interlaced;
        params.outputs_count = count;
        for (int i = 0; i < count; i++)
            params.outputs[i] = (struct scaler_output){sizes[i][0], sizes[i][1], s->to};
        struct frame *whole[8] = {0};
        scale(&params, UNCUT, src, whole);
        for (int t = 0; t < 4; t++)
            for (int b = 0; b < (t == 0 ? 3 : 1); b++) {
                struct frame *cut[8] = {0};
                params.threads = threads[t];
                scale(&params, band_lines[b], src, cut);
                for (int i = 0; i < count; i++) {
                    if (!picture_equal(cut[i], whole[i]))
                        fail_msg("case %zu, output %d: %d threads and bands of %d differ from the "
                                 "whole (seed %d)",
                                 c, i, threads[t], band_lines[b], SEED);
                    frame_unref(&cut[i]);
                }
            }
        for (int i = 0; i < count; i++)
            frame_unref(&whole[i]);
        frame_unref(&src);
    }
}

static void check_layouts(enum pixel_format planar, enum pixel_format paired)
{
    struct frame *src = picture_new(planar, 642, 359, PICTURE_NOISE, false, SEED);
    struct frame *pairs = picture_repack(src, paired);
    static const int sizes[][2] = {{426, 240}, {1000, 600}, {642, 358}};
    for (int i = 0; i < 3; i++) {
        struct frame *want = scale_one(src, sizes[i][0], sizes[i][1], planar);
        struct frame *from_pairs = scale_one(pairs, sizes[i][0], sizes[i][1], planar);
        struct frame *to_pairs = scale_one(src, sizes[i][0], sizes[i][1], paired);
        struct frame *want_pairs = picture_repack(want, paired);
        assert_true(picture_equal(want, from_pairs));
        assert_true(picture_equal(want_pairs, to_pairs));
        frame_unref(&want);
        frame_unref(&from_pairs);
        frame_unref(&to_pairs);
        frame_unref(&want_pairs);
    }
    frame_unref(&pairs);
    frame_unref(&src);
}

static void test_paired_chroma_equals_planar(void **state)
{
    (void)state;
    check_layouts(PIXEL_YUV420P, PIXEL_NV12);
    check_layouts(PIXEL_YUV420P10, PIXEL_P010);
}

static void test_unaligned_source(void **state)
{
    (void)state;
    static const enum pixel_format formats[] = {PIXEL_YUV420P, PIXEL_NV12, PIXEL_P010,
                                                PIXEL_YUV420P10, PIXEL_GBRP10};
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
        struct frame *src = picture_new(formats[f], 640, 360, PICTURE_NOISE, false, SEED);
        struct frame *odd = picture_unaligned(src, 2);
        const enum pixel_format to =
            pixel_info(formats[f])->depth > 8 ? PIXEL_YUV420P10 : PIXEL_YUV420P;
        struct frame *a = scale_one(src, 426, 240, to);
        struct frame *b = scale_one(odd, 426, 240, to);
        assert_true(picture_equal(a, b));
        frame_unref(&a);
        frame_unref(&b);
        frame_unref(&odd);
        frame_unref(&src);
    }
}

/* ---- depth and range ------------------------------------------------------------------------ */

static void test_more_bits_are_shifted(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_YUV420P, 64, 64, PICTURE_NOISE, false, SEED);
    struct frame *out = scale_one(src, 64, 64, PIXEL_YUV420P10);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < (c ? 32 : 64); y++)
            for (int x = 0; x < (c ? 32 : 64); x++)
                assert_int_equal(reference_sample(out, c, x, y), reference_sample(src, c, x, y)
                                                                     << 2);
    frame_unref(&out);
    /* Full range is stretched: white stays white, and no colour stays none. */
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < (c ? 32 : 64); y++)
            for (int x = 0; x < (c ? 32 : 64); x++)
                picture_store(src, c, x, y, c ? 128 : 255);
    src->color.range = RANGE_FULL;
    out = scale_one(src, 64, 64, PIXEL_YUV420P10);
    assert_int_equal(reference_sample(out, 0, 5, 5), 1023);
    assert_int_equal(reference_sample(out, 1, 5, 5), 512);
    assert_int_equal(out->color.range, RANGE_FULL);
    frame_unref(&out);
    frame_unref(&src);
}

/* A slow 10-bit ramp to 8 bits: over a cell of the pattern, the mean is the ramp's, and both
 * neighbouring values are used. */
static void check_dither(int width, int height, enum pixel_format to)
{
    struct frame *src = frame_new(PIXEL_YUV420P10, 512, 512);
    src->color.range = RANGE_LIMITED;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < (c ? 256 : 512); y++)
            for (int x = 0; x < (c ? 256 : 512); x++)
                picture_store(src, c, x, y, 400 + y / (c ? 16 : 32));
    struct frame *out = scale_one(src, width, height, to);
    double bias = 0;
    for (int c = 0; c < 3; c++) {
        const int w = c ? width / 2 : width;
        const int h = c ? height / 2 : height;
        int cells = 0;
        for (int y = 0; y + 16 <= h; y += 16)
            for (int x = 0; x + 16 <= w; x += 16, cells++) {
                double sum = 0;
                double want = 0;
                for (int i = 0; i < 256; i++) {
                    sum += reference_sample(out, c, x + i % 16, y + i / 16);
                    const int line = y + i / 16;
                    want += (400 + floor(line * 16.0 / h)) / 4;
                }
                bias += (sum - want) / 256;
                /* Where the source steps inside the cell, the cell need not be exact. */
                assert_true(fabs(sum - want) / 256 < 0.07);
            }
        assert_true(fabs(bias / cells) < 0.01);
    }
    frame_unref(&out);
    frame_unref(&src);
}

static void test_dither_is_unbiased(void **state)
{
    (void)state;
    check_dither(512, 512, PIXEL_YUV420P);
    check_dither(256, 256, PIXEL_YUV420P);
    check_dither(512, 256, PIXEL_NV12);
}

static void test_rgb_becomes_limited_yuv(void **state)
{
    (void)state;
    static const struct {
        int height;
        uint8_t primaries, matrix;
    } cases[] = {{720, 0, 1}, {480, 0, 6}, {480, 9, 9}};
    for (int i = 0; i < 3; i++) {
        struct frame *src =
            picture_new(PIXEL_GBRP, 640, cases[i].height, PICTURE_SMOOTH, true, SEED);
        src->color = (struct color){.primaries = cases[i].primaries, .matrix = MATRIX_RGB};
        for (int c = 0; c < 3; c++) /* one white corner */
            for (int y = 0; y < 64; y++)
                for (int x = 0; x < 64; x++)
                    picture_store(src, c, x, y, 255);
        struct frame *out = scale_one(src, 320, 180, PIXEL_YUV420P);
        assert_int_equal(out->color.matrix, cases[i].matrix);
        assert_int_equal(out->color.range, RANGE_LIMITED);
        assert_int_equal(out->color.chroma, CHROMA_LEFT);
        assert_int_equal(out->color.primaries, cases[i].primaries);
        assert_int_equal(reference_sample(out, 0, 2, 2), 235);
        assert_int_equal(reference_sample(out, 1, 2, 2), 128);
        assert_int_equal(reference_sample(out, 2, 2, 2), 128);
        frame_unref(&out);
        frame_unref(&src);
    }
}

static void test_grey_source_gets_neutral_chroma(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_GRAY10, 640, 360, PICTURE_NOISE, false, SEED);
    struct frame *out = scale_one(src, 320, 180, PIXEL_P010);
    struct frame *out8 = scale_one(src, 320, 180, PIXEL_YUV420P);
    for (int c = 1; c < 3; c++)
        for (int y = 0; y < 90; y++)
            for (int x = 0; x < 160; x++) {
                assert_int_equal(reference_sample(out, c, x, y), 512);
                assert_int_equal(reference_sample(out8, c, x, y), 128);
            }
    frame_unref(&out8);
    frame_unref(&out);
    frame_unref(&src);
}

/* ---- fields --------------------------------------------------------------------------------- */

static void test_fields_do_not_mix(void **state)
{
    (void)state;
    struct frame *src = frame_new(PIXEL_YUV420P, 320, 240);
    src->color.range = RANGE_LIMITED;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < (c ? 120 : 240); y++)
            for (int x = 0; x < (c ? 160 : 320); x++)
                picture_store(src, c, x, y, y % 2 ? 60 + c : 180 + c);
    static const int sizes[][2] = {{214, 160}, {160, 122}, {640, 480}};
    for (int i = 0; i < 3; i++) {
        struct scaler_params params = params_for(src, sizes[i][0], sizes[i][1], PIXEL_YUV420P);
        params.interlaced = true;
        struct frame *out = NULL;
        scale(&params, 0, src, &out);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < sizes[i][1] >> (c > 0); y++)
                for (int x = 0; x < sizes[i][0] >> (c > 0); x++)
                    assert_int_equal(reference_sample(out, c, x, y), y % 2 ? 60 + c : 180 + c);
        frame_unref(&out);
    }
    frame_unref(&src);
}

/* ---- frames --------------------------------------------------------------------------------- */

static void test_properties_travel(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_YUV420P, 720, 576, PICTURE_SMOOTH, true, SEED);
    src->pts = -12345;
    src->duration = 40;
    src->flags = FRAME_KEY | FRAME_CORRUPT;
    src->sample_aspect = (struct rational){16, 15};
    src->color = (struct color){9, 16, 9, RANGE_FULL, CHROMA_TOP_LEFT};
    src->hdr.has_light_level = true;
    src->hdr.max_content_light = 1000;
    src->side[0] = (struct frame_side){SIDE_A53_CC, buffer_copy("cc", 2)};
    struct frame *out = scale_one(src, 512, 288, PIXEL_YUV420P);
    assert_int_equal(out->pts, -12345);
    assert_int_equal(out->duration, 40);
    assert_int_equal(out->flags, FRAME_KEY | FRAME_CORRUPT);
    assert_memory_equal(&out->color, &src->color, sizeof(src->color));
    assert_memory_equal(&out->hdr, &src->hdr, sizeof(src->hdr));
    assert_ptr_equal(out->side[0].buf, src->side[0].buf);
    assert_int_equal(out->sample_aspect.num, 0); /* the sizes tell it */
    frame_unref(&out);
    frame_unref(&src);
}

/* The picture lies in its area as it would alone; all around is black. */
static void check_area(enum pixel_format from, enum pixel_format to, bool interlaced, bool full)
{
    const struct scaler_output out = {128, 96, to,
                                      .area = {.x = 12, .y = 16, .width = 100, .height = 60}};
    struct frame *src = picture_new(from, 160, 120, PICTURE_DETAIL, full, SEED);
    src->color.range = full ? RANGE_FULL : RANGE_LIMITED;
    struct scaler_params params = params_for(src, out.area.width, out.area.height, to);
    struct frame *alone = NULL, *dst = NULL;
    params.interlaced = interlaced;
    scale(&params, 0, src, &alone);
    params.outputs[0] = out;
    params.threads = 3;
    scale(&params, 40, src, &dst);
    const struct pixel_info *info = pixel_info(to);
    const int bytes = info->depth > 8 ? 2 : 1, left = to == PIXEL_P010 ? 6 : 0;
    for (int p = 0; p < info->planes; p++) {
        const int x = pixel_plane_width(to, p, out.area.x), y = pixel_plane_height(to, p, 16);
        const int width = pixel_plane_width(to, p, 100), height = pixel_plane_height(to, p, 60);
        const int black = full ? 0 : 16 << (info->depth - 8);
        const int value = (p ? 1 << (info->depth - 1) : black) << left;
        for (int line = 0; line < pixel_plane_height(to, p, 96); line++) {
            const uint8_t *have = dst->data[p] + dst->stride[p] * line;
            const bool inside = line >= y && line < y + height;
            if (inside)
                assert_memory_equal(have + (ptrdiff_t)x * bytes,
                                    alone->data[p] + alone->stride[p] * (line - y),
                                    (size_t)width * (size_t)bytes);
            for (int i = 0; i < pixel_plane_width(to, p, 128); i++) {
                const int sample = bytes == 1 ? have[i] : have[2 * i] | have[2 * i + 1] << 8;
                if (!inside || i < x || i >= x + width)
                    assert_int_equal(sample, value);
            }
        }
    }
    frame_unref(&alone);
    frame_unref(&dst);
    frame_unref(&src);
}

static void test_area_between_black_bars(void **state)
{
    (void)state;
    check_area(PIXEL_YUV420P, PIXEL_YUV420P, false, false);
    check_area(PIXEL_YUV420P, PIXEL_YUV420P, true, true);
    check_area(PIXEL_YUV420P, PIXEL_NV12, false, true);
    check_area(PIXEL_YUV422P10, PIXEL_P010, true, false);
    check_area(PIXEL_YUV420P10, PIXEL_YUV420P10, false, false);
    check_area(PIXEL_YUV444P, PIXEL_YUV420P, false, false);
    check_area(PIXEL_GBRP, PIXEL_YUV420P, false, false);
    check_area(PIXEL_GRAY8, PIXEL_YUV420P, false, false);
}

static void test_areas_that_do_not_fit(void **state)
{
    (void)state;
    static const int areas[][4] = {{0, 0, 130, 96}, {2, 0, 128, 96}, {-2, 0, 64, 48},
                                   {1, 0, 64, 48},  {0, 0, 63, 48},  {0, 2, 64, 48},
                                   {0, 0, 64, 46},  {0, 0, 64, 0},   {0, 1 << 30, 64, 48}};
    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
        const int *a = areas[i];
        const struct scaler_params params = {
            .width = 160,
            .height = 120,
            .format = PIXEL_YUV420P,
            .interlaced = true,
            .outputs_count = 1,
            .outputs = {{128, 96, PIXEL_YUV420P, .area = {a[0], a[1], a[2], a[3]}}}};
        struct error err = {0};
        void *scaler = NULL;
        assert_int_equal(ops->open(&scaler, &params, &err), RGPU_ERROR_PARAM);
        assert_non_null(strstr(err.text, "area"));
    }
}

static void test_same_shape_is_a_reference(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_YUV420P, 641, 361, PICTURE_SMOOTH, false, SEED);
    struct scaler_params params = params_for(src, 641, 361, PIXEL_YUV420P);
    params.outputs_count = 2;
    params.outputs[1] = (struct scaler_output){320, 180, PIXEL_YUV420P};
    struct error err = {0};
    void *scaler = NULL;
    assert_int_equal(ops->open(&scaler, &params, &err), 0);
    struct frame other = {0};
    struct frame *const mark = &other;
    struct frame *out[2] = {mark, mark};
    assert_int_equal(ops->run(scaler, src, 1, out, &err), 0);
    assert_ptr_equal(out[0], src);
    assert_ptr_equal(out[1], mark); /* its bit was clear */
    assert_int_equal(src->refs, 2);
    frame_unref(&out[0]);
    assert_int_equal(ops->run(scaler, src, 3, out, &err), 0);
    assert_ptr_equal(out[0], src);
    assert_int_equal(out[1]->width, 320);
    frame_unref(&out[0]);
    frame_unref(&out[1]);
    assert_int_equal(src->refs, 1);
    ops->close(scaler);
    frame_unref(&src);
}

static void test_frames_come_from_pools(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_YUV420P, 640, 360, PICTURE_SMOOTH, false, SEED);
    struct scaler_params params = params_for(src, 320, 180, PIXEL_YUV420P);
    params.outputs_count = 2;
    params.outputs[1] = (struct scaler_output){160, 90, PIXEL_NV12};
    params.threads = 2;
    struct error err = {0};
    void *scaler = NULL;
    assert_int_equal(ops->open(&scaler, &params, &err), 0);
    struct frame *out[2] = {0};
    uint8_t *planes[2] = {0};
    for (int n = 0; n < 20; n++) {
        assert_int_equal(ops->run(scaler, src, 3, out, &err), 0);
        for (int i = 0; i < 2; i++) {
            assert_true(n == 0 || out[i]->data[0] == planes[i]);
            planes[i] = out[i]->data[0];
            frame_unref(&out[i]);
        }
    }
    /* A frame may outlive its scaler. */
    assert_int_equal(ops->run(scaler, src, 1, out, &err), 0);
    ops->close(scaler);
    assert_int_equal(out[0]->height, 180);
    frame_unref(&out[0]);
    frame_unref(&src);
}

static void test_errors_say_what(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_YUV420P, 64, 64, PICTURE_SMOOTH, false, SEED);
    struct error err = {0};
    void *scaler = NULL;
    struct scaler_params params = params_for(src, 33, 32, PIXEL_YUV420P);
    assert_int_equal(ops->open(&scaler, &params, &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "33x32"));
    params = params_for(src, 32, 32, PIXEL_GBRP);
    assert_int_equal(ops->open(&scaler, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "gbrp"));
    params = params_for(src, 32, 32, PIXEL_YUV420P);
    params.outputs_count = RENDITIONS_MAX + 1;
    assert_int_equal(ops->open(&scaler, &params, &err), RGPU_ERROR_PARAM);
    params.outputs_count = 1;
    params.width = 0;
    assert_int_equal(ops->open(&scaler, &params, &err), RGPU_ERROR_PARAM);
    params.width = 64;
    params.format = PIXEL_NONE;
    assert_int_equal(ops->open(&scaler, &params, NULL), RGPU_ERROR_PARAM);
    assert_null(scaler);

    params.format = PIXEL_YUV420P;
    assert_int_equal(ops->open(&scaler, &params, &err), 0);
    struct frame *other = picture_new(PIXEL_YUV420P, 66, 64, PICTURE_SMOOTH, false, SEED);
    struct frame *out = NULL;
    assert_int_equal(ops->run(scaler, other, 1, &out, &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "66x64"));
    assert_null(out);
    frame_unref(&other);
    ops->close(scaler);
    ops->close(NULL);
    frame_unref(&src);
}

static void test_largest_size(void **state)
{
    (void)state;
    struct frame *src = frame_new(PIXEL_YUV420P, 8192, 4320);
    for (int p = 0; p < 3; p++)
        memset(src->data[p], 100 + p,
               (size_t)src->stride[p] * (size_t)pixel_plane_height(src->format, p, 4320));
    struct frame *out = scale_one(src, 1920, 1080, PIXEL_YUV420P);
    for (int c = 0; c < 3; c++) {
        assert_int_equal(reference_sample(out, c, 0, 0), 100 + c);
        assert_int_equal(reference_sample(out, c, 959, 539), 100 + c);
    }
    frame_unref(&out);
    frame_unref(&src);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ladder_against_reference),
        cmocka_unit_test(test_sizes_against_reference),
        cmocka_unit_test(test_formats_against_reference),
        cmocka_unit_test(test_siting_against_reference),
        cmocka_unit_test(test_reference_tells_sitings_apart),
        cmocka_unit_test(test_bands_and_threads_change_nothing),
        cmocka_unit_test(test_paired_chroma_equals_planar),
        cmocka_unit_test(test_unaligned_source),
        cmocka_unit_test(test_more_bits_are_shifted),
        cmocka_unit_test(test_dither_is_unbiased),
        cmocka_unit_test(test_rgb_becomes_limited_yuv),
        cmocka_unit_test(test_grey_source_gets_neutral_chroma),
        cmocka_unit_test(test_fields_do_not_mix),
        cmocka_unit_test(test_properties_travel),
        cmocka_unit_test(test_area_between_black_bars),
        cmocka_unit_test(test_areas_that_do_not_fit),
        cmocka_unit_test(test_same_shape_is_a_reference),
        cmocka_unit_test(test_frames_come_from_pools),
        cmocka_unit_test(test_errors_say_what),
        cmocka_unit_test(test_largest_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

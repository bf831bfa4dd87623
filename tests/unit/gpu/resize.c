/* The resize's plan and its twin on the host: close to the reference for all ratios, formats and
 * sitings, exact where nothing is scaled, and within its memory for whatever sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../codec/pictures.h"
#include "../codec/reference.h"
#include "gpu/resize.h"

#define SEED 11
#define FUZZ_RUNS 150

static enum resize_format format_of(enum pixel_format format)
{
    return format == PIXEL_NV12      ? RESIZE_NV12
           : format == PIXEL_P010    ? RESIZE_P010
           : format == PIXEL_YUV420P ? RESIZE_I420
                                     : RESIZE_I420P10;
}

static struct resize_picture picture_of(const struct frame *f)
{
    struct resize_picture p = {0};
    for (int i = 0; i < pixel_info(f->format)->planes; i++) {
        p.plane[i] = (uint64_t)(uintptr_t)f->data[i];
        p.pitch[i] = (int32_t)f->stride[i];
    }
    return p;
}

static struct resize_siting siting_of(int at)
{
    const bool middle = at == CHROMA_CENTER || at == CHROMA_TOP || at == CHROMA_BOTTOM;
    return (struct resize_siting){middle, at == CHROMA_TOP_LEFT || at == CHROMA_TOP         ? 0
                                          : at == CHROMA_BOTTOM_LEFT || at == CHROMA_BOTTOM ? 2
                                                                                            : 1};
}

static struct resize_params params_for(const struct frame *src, bool interlaced)
{
    return (struct resize_params){
        .width = src->width,
        .height = src->height,
        .format = format_of(src->format),
        .siting = siting_of(src->color.chroma),
        .interlaced = interlaced,
        .full_range = src->color.range == RANGE_FULL,
    };
}

/* New frames for all rungs, of noise before they are filled. */
static void scale(const struct resize_params *params, const struct frame *src, uint32_t mask,
                  struct frame **ret)
{
    static const enum pixel_format formats[] = {PIXEL_NV12, PIXEL_P010, PIXEL_YUV420P,
                                                PIXEL_YUV420P10};
    struct error err = {0};
    struct resize *resize = NULL;
    if (resize_open(&resize, NULL, params, &err))
        fail_msg("open: %s", err.text);
    struct resize_picture out[RESIZE_RUNGS_MAX] = {0};
    for (int i = 0; i < params->rungs_count; i++) {
        const struct resize_rung *r = &params->rungs[i];
        ret[i] = picture_new(formats[r->format], r->width, r->height, PICTURE_NOISE, true, SEED);
        ret[i]->color = src->color;
        out[i] = picture_of(ret[i]);
    }
    const struct resize_picture in = picture_of(src);
    resize_host(resize, &in, out, mask);
    resize_close(&resize);
    assert_null(resize);
}

/* Part of a frame as a frame. */
static struct frame *crop(const struct frame *f, int x, int y, int width, int height)
{
    struct frame *ret = picture_new(f->format, width, height, PICTURE_SMOOTH, false, SEED);
    for (int c = 0; c < 3; c++) {
        const int half = c > 0;
        for (int j = 0; j < height >> half; j++)
            for (int i = 0; i < width >> half; i++)
                picture_store(ret, c, i, j,
                              reference_sample(f, c, (x >> half) + i, (y >> half) + j));
    }
    return ret;
}

/* ---- quality -------------------------------------------------------------------------------- */

struct quality_case {
    enum pixel_format from;
    int width, height;
    enum pixel_format to;
    int out_width, out_height;
    enum picture what;
    bool interlaced;
    enum chroma_location chroma;
};

static void check_quality(const struct quality_case *q, const struct frame *src,
                          const struct frame *out)
{
    const struct scaler_output to = {out->width, out->height, q->to};
    for (int c = 0; c < 3; c++) {
        double exact;
        double *reference = reference_scale(src, q->interlaced, &to, c);
        const double psnr = reference_psnr(out, reference, c, &exact);
        free(reference);
        if (psnr < 60 || exact < 0.95)
            fail_msg("%s %dx%d -> %s %dx%d, picture %d, interlaced %d, siting %d, seed %d: "
                     "component %d has %.1f dB, %.4f exact",
                     pixel_info(q->from)->name, q->width, q->height, pixel_info(q->to)->name,
                     out->width, out->height, q->what, q->interlaced, q->chroma, SEED, c, psnr,
                     exact);
    }
}

static void run_quality(const struct quality_case *q)
{
    struct frame *src = picture_new(q->from, q->width, q->height, q->what, false, SEED);
    src->color.chroma = (uint8_t)q->chroma;
    struct resize_params params = params_for(src, q->interlaced);
    params.rungs_count = 1;
    params.rungs[0] = (struct resize_rung){q->out_width, q->out_height, format_of(q->to), {0}};
    struct frame *out = NULL;
    scale(&params, src, 1, &out);
    check_quality(q, src, out);
    frame_unref(&out);
    frame_unref(&src);
}

static void test_ladder_against_reference(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1280, 720}, {854, 480}, {640, 360}, {426, 240}};
    static const enum pixel_format formats[][2] = {{PIXEL_NV12, PIXEL_YUV420P},
                                                   {PIXEL_P010, PIXEL_YUV420P10}};
    for (int f = 0; f < 2; f++) {
        struct quality_case q = {formats[f][0],  1920,  1080,          formats[f][1], 0, 0,
                                 PICTURE_DETAIL, false, CHROMA_UNKNOWN};
        struct frame *src = picture_new(q.from, q.width, q.height, q.what, false, SEED);
        struct resize_params params = params_for(src, false);
        params.rungs_count = 4;
        for (int i = 0; i < 4; i++)
            params.rungs[i] = (struct resize_rung){sizes[i][0], sizes[i][1], format_of(q.to), {0}};
        struct frame *out[4] = {0};
        scale(&params, src, 15, out);
        for (int i = 0; i < 4; i++) {
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
        {641, 361, 426, 240}, {641, 361, 1000, 700},  {1279, 719, 640, 360}, {33, 1079, 32, 540},
        {640, 360, 640, 180}, {640, 360, 320, 360},   {320, 180, 1280, 720}, {426, 240, 640, 360},
        {16, 16, 32, 32},     {16, 16, 8, 8},         {720, 576, 1024, 576}, {2048, 20, 256, 20},
        {64, 64, 4, 4},       {512, 256, 34, 16},     {640, 480, 80, 60},    {3, 3, 64, 64},
        {1, 1, 2, 2},         {480, 270, 1920, 1080}, {1600, 900, 100, 56},
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct quality_case q = {PIXEL_NV12,     sizes[i][0], sizes[i][1],
                                 PIXEL_NV12,     sizes[i][2], sizes[i][3],
                                 PICTURE_DETAIL, false,       CHROMA_UNKNOWN};
        run_quality(&q);
        q.from = q.to = PIXEL_P010;
        run_quality(&q);
    }
}

static void test_formats_and_sitings_against_reference(void **state)
{
    (void)state;
    static const enum pixel_format formats[][2] = {
        {PIXEL_NV12, PIXEL_NV12},      {PIXEL_NV12, PIXEL_YUV420P}, {PIXEL_NV12, PIXEL_P010},
        {PIXEL_NV12, PIXEL_YUV420P10}, {PIXEL_P010, PIXEL_P010},    {PIXEL_P010, PIXEL_YUV420P10}};
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++)
        for (int at = CHROMA_UNKNOWN; at <= CHROMA_BOTTOM; at++)
            for (int interlaced = 0; interlaced < 2; interlaced++)
                run_quality(&(struct quality_case){formats[f][0], 322, 182, formats[f][1], 214, 122,
                                                   PICTURE_DETAIL, interlaced,
                                                   (enum chroma_location)at});
}

/* A reference that always agreed would prove nothing: a siting that is off must show. */
static void test_reference_tells_sitings_apart(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_NV12, 320, 180, PICTURE_DETAIL, false, SEED);
    src->color.chroma = CHROMA_CENTER;
    struct resize_params params = params_for(src, false);
    params.rungs_count = 1;
    params.rungs[0] = (struct resize_rung){214, 120, RESIZE_NV12, {0}};
    struct frame *out = NULL;
    scale(&params, src, 1, &out);
    src->color.chroma = CHROMA_LEFT;
    const struct scaler_output to = {214, 120, PIXEL_NV12};
    double exact;
    double *reference = reference_scale(src, false, &to, 1);
    assert_true(reference_psnr(out, reference, 1, &exact) < 50);
    free(reference);
    frame_unref(&out);
    frame_unref(&src);
}

/* ---- exact ---------------------------------------------------------------------------------- */

static void check_samples(const struct frame *src, const struct frame *out, int shift)
{
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < reference_height(out->format, c, out->height); y++)
            for (int x = 0; x < reference_width(out->format, c, out->width); x++)
                if (reference_sample(out, c, x, y) != reference_sample(src, c, x, y) << shift)
                    fail_msg("%s %dx%d to %s: component %d, %d,%d: %d, not %d << %d",
                             pixel_info(src->format)->name, src->width, src->height,
                             pixel_info(out->format)->name, c, x, y, reference_sample(out, c, x, y),
                             reference_sample(src, c, x, y), shift);
}

/* Every code value, among rungs that are scaled. */
static void test_equal_size_is_copied(void **state)
{
    (void)state;
    static const enum pixel_format from[] = {PIXEL_NV12, PIXEL_P010};
    for (int f = 0; f < 2; f++)
        for (int interlaced = 0; interlaced < 2; interlaced++) {
            struct frame *src = picture_new(from[f], 326, 182, PICTURE_NOISE, true, SEED);
            struct resize_params params = params_for(src, interlaced);
            params.rungs_count = 4;
            for (int i = 0; i < 4; i++)
                params.rungs[i] = (struct resize_rung){326, 182, (enum resize_format)i, {0}};
            params.rungs[f ? RESIZE_NV12 : RESIZE_I420P10].width = 200;
            struct frame *out[4] = {0};
            scale(&params, src, 15, out);
            if (!f) {
                check_samples(src, out[RESIZE_NV12], 0);
                check_samples(src, out[RESIZE_I420], 0);
            }
            check_samples(src, out[RESIZE_P010], f ? 0 : 2);
            if (f)
                check_samples(src, out[RESIZE_I420P10], 0);
            for (int i = 0; i < 4; i++)
                frame_unref(&out[i]);
            frame_unref(&src);
        }
}

/* Layout changes nothing but the layout. */
static void test_layouts_agree(void **state)
{
    (void)state;
    static const enum pixel_format from[] = {PIXEL_NV12, PIXEL_P010};
    for (int f = 0; f < 2; f++) {
        struct frame *src = picture_new(from[f], 322, 181, PICTURE_NOISE, false, SEED);
        struct resize_params params = params_for(src, false);
        params.rungs_count = 4;
        for (int i = 0; i < 4; i++)
            params.rungs[i] = (struct resize_rung){214, 122, (enum resize_format)i, {0}};
        struct frame *out[4] = {0};
        scale(&params, src, 15, out);
        check_samples(out[RESIZE_NV12], out[RESIZE_I420], 0);
        check_samples(out[RESIZE_P010], out[RESIZE_I420P10], 0);
        for (int i = 0; i < 4; i++)
            frame_unref(&out[i]);
        frame_unref(&src);
    }
}

/* A level between two of 8 bits: over each cell of the pattern the mean is the level's. */
static void test_fewer_bits_are_dithered(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_P010, 256, 128, PICTURE_SMOOTH, false, SEED);
    for (int level = 400; level < 404; level++) {
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < (c ? 64 : 128); y++)
                for (int x = 0; x < (c ? 128 : 256); x++)
                    picture_store(src, c, x, y, level);
        struct resize_params params = params_for(src, false);
        params.rungs_count = 2;
        params.rungs[0] = (struct resize_rung){256, 128, RESIZE_NV12, {0}};
        params.rungs[1] = (struct resize_rung){160, 96, RESIZE_I420, {0}};
        struct frame *out[2] = {0};
        scale(&params, src, 3, out);
        for (int i = 0; i < 2; i++) {
            for (int c = 0; c < 3; c++)
                for (int y = 0; y + 8 <= reference_height(out[i]->format, c, out[i]->height);
                     y += 8)
                    for (int x = 0; x + 8 <= reference_width(out[i]->format, c, out[i]->width);
                         x += 8) {
                        int sum = 0;
                        for (int k = 0; k < 64; k++)
                            sum += reference_sample(out[i], c, x + k % 8, y + k / 8);
                        assert_int_equal(sum, level * 16);
                    }
            frame_unref(&out[i]);
        }
    }
    frame_unref(&src);
}

/* ---- areas and masks ------------------------------------------------------------------------ */

static bool in_area(const struct resize_rung *r, int c, int x, int y)
{
    const int half = c > 0;
    return x >= r->area.x >> half && x < (r->area.x + r->area.width) >> half &&
           y >= r->area.y >> half && y < (r->area.y + r->area.height) >> half;
}

static void check_black(const struct frame *f, const struct resize_rung *r, bool full)
{
    const int shift = pixel_info(f->format)->depth - 8;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < r->height >> (c > 0); y++)
            for (int x = 0; x < r->width >> (c > 0); x++)
                if (!in_area(r, c, x, y))
                    assert_int_equal(reference_sample(f, c, x, y), (c      ? 128
                                                                    : full ? 0
                                                                           : 16)
                                                                       << shift);
}

static void test_area_and_black_around(void **state)
{
    (void)state;
    static const struct resize_rung rungs[] = {
        {426, 240, RESIZE_I420, {54, 0, 320, 240}},   {426, 240, RESIZE_NV12, {0, 28, 426, 180}},
        {426, 242, RESIZE_I420P10, {2, 8, 260, 234}}, {200, 200, RESIZE_P010, {50, 100, 98, 100}},
        {326, 180, RESIZE_NV12, {4, 40, 322, 120}},   {96, 96, RESIZE_I420, {84, 88, 12, 8}},
        {400, 300, RESIZE_NV12, {200, 148, 16, 16}},
    };
    const int count = sizeof(rungs) / sizeof(rungs[0]);
    for (int interlaced = 0; interlaced < 2; interlaced++)
        for (int full = 0; full < 2; full++) {
            struct frame *src = picture_new(PIXEL_NV12, 64, 60, PICTURE_DETAIL, full, SEED);
            src->color.range = RANGE_LIMITED; /* the reference is to shift, as the resize does */
            struct resize_params params = params_for(src, interlaced);
            params.full_range = full;
            params.rungs_count = count;
            memcpy(params.rungs, rungs, sizeof(rungs));
            struct frame *out[RESIZE_RUNGS_MAX] = {0};
            scale(&params, src, (1u << count) - 1, out);
            for (int i = 0; i < count; i++) {
                const struct resize_rung *r = &rungs[i];
                check_black(out[i], r, full);
                struct frame *part =
                    crop(out[i], r->area.x, r->area.y, r->area.width, r->area.height);
                check_quality(&(struct quality_case){.from = src->format,
                                                     .width = src->width,
                                                     .height = src->height,
                                                     .to = part->format,
                                                     .interlaced = interlaced},
                              src, part);
                frame_unref(&part);
                frame_unref(&out[i]);
            }
            frame_unref(&src);
        }
}

/* A rung's bytes do not depend on which others are made, and one not asked for stays as it is. */
static void test_mask(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_NV12, 322, 182, PICTURE_DETAIL, false, SEED);
    struct resize_params params = params_for(src, false);
    params.rungs_count = 3;
    params.rungs[0] = (struct resize_rung){160, 90, RESIZE_I420, {0}};
    params.rungs[1] = (struct resize_rung){322, 182, RESIZE_NV12, {0}};
    params.rungs[2] = (struct resize_rung){40, 22, RESIZE_I420, {0}};
    struct frame *all[3], *some[3], *none[3];
    scale(&params, src, 7, all);
    scale(&params, src, 0, none);
    for (uint32_t mask = 1; mask < 7; mask++) {
        scale(&params, src, mask, some);
        for (int i = 0; i < 3; i++) {
            assert_true(picture_equal(some[i], mask >> i & 1 ? all[i] : none[i]));
            assert_false(picture_equal(all[i], none[i]));
            frame_unref(&some[i]);
        }
    }
    for (int i = 0; i < 3; i++) {
        frame_unref(&all[i]);
        frame_unref(&none[i]);
    }
    frame_unref(&src);
}

/* ---- memory --------------------------------------------------------------------------------- */

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* Mostly small, now and then a long side. */
static int random_size(uint32_t *state, int max)
{
    const int limit = next(state) % 8 == 0 ? max : 130;
    return 1 + (int)(next(state) % (uint32_t)limit);
}

/* A picture in blocks of just its size, so that the sanitizer sees what lies beyond. */
static void picture_alloc(struct resize_picture *ret, enum resize_format format, int width,
                          int height)
{
    const bool words = format == RESIZE_P010 || format == RESIZE_I420P10;
    const bool paired = format == RESIZE_NV12 || format == RESIZE_P010;
    *ret = (struct resize_picture){0};
    for (int p = 0; p < (paired ? 2 : 3); p++) {
        const int columns = !p ? width : paired ? (width + 1) / 2 * 2 : (width + 1) / 2;
        const int lines = p ? (height + 1) / 2 : height;
        const size_t bytes = (size_t)columns * (words ? 2 : 1) * (size_t)lines;
        uint8_t *data = malloc(bytes);
        assert_non_null(data);
        for (size_t i = 0; i < bytes; i++)
            data[i] = (uint8_t)(i * 37 + bytes);
        ret->plane[p] = (uint64_t)(uintptr_t)data;
        ret->pitch[p] = columns * (words ? 2 : 1);
    }
}

static void picture_free(struct resize_picture *p)
{
    for (int i = 0; i < 3; i++)
        free((void *)(uintptr_t)p->plane[i]);
}

static int random_area(uint32_t *state, int size, int unit, int *ret_at)
{
    const int units = size / unit;
    const int length = 1 + (int)(next(state) % (uint32_t)units);
    *ret_at = (int)(next(state) % (uint32_t)(units - length + 1)) * unit;
    return length * unit;
}

static void random_params(uint32_t *state, struct resize_params *p)
{
    const int max = 16384;
    *p = (struct resize_params){
        .width = random_size(state, max),
        .height = random_size(state, 300),
        .format = next(state) % 2 ? RESIZE_NV12 : RESIZE_P010,
        .siting = {(int)(next(state) % 3), (int)(next(state) % 3)},
        .interlaced = next(state) % 2,
        .full_range = next(state) % 2,
        .rungs_count = 1 + (int)(next(state) % 3),
    };
    if (next(state) % 4 == 0) {
        const int width = p->width;
        p->width = p->height;
        p->height = width;
    }
    if (p->interlaced && p->height < 3)
        p->height = 3;
    for (int i = 0; i < p->rungs_count; i++) {
        struct resize_rung *r = &p->rungs[i];
        r->format = (enum resize_format)(next(state) % 4);
        r->width = (p->width / 31 + 2 + random_size(state, 400)) & ~1;
        r->height = (p->height / 31 + 2 + random_size(state, 400)) & ~1;
        const int unit = p->interlaced ? 4 : 2;
        if (next(state) % 2 || r->height < unit)
            continue;
        r->area.width = random_area(state, r->width, 2, &r->area.x);
        r->area.height = random_area(state, r->height, unit, &r->area.y);
    }
}

static void run_params(const struct resize_params *params, int *opened)
{
    struct resize *resize = NULL;
    struct error err = {0};
    const int rc = resize_open(&resize, NULL, params, &err);
    if (rc == RGPU_ERROR_UNSUPPORTED) /* an area that is too small */
        return;
    if (rc)
        fail_msg("%dx%d: %s", params->width, params->height, err.text);
    struct resize_picture in, out[RESIZE_RUNGS_MAX];
    picture_alloc(&in, params->format, params->width, params->height);
    for (int i = 0; i < params->rungs_count; i++)
        picture_alloc(&out[i], params->rungs[i].format, params->rungs[i].width,
                      params->rungs[i].height);
    resize_host(resize, &in, out, (1u << params->rungs_count) - 1);
    for (int i = 0; i < params->rungs_count; i++)
        picture_free(&out[i]);
    picture_free(&in);
    resize_close(&resize);
    ++*opened;
}

static void test_random_sizes_stay_in_memory(void **state)
{
    (void)state;
    uint32_t seed = SEED;
    int opened = 0;
    for (int i = 0; i < FUZZ_RUNS; i++) {
        struct resize_params params;
        random_params(&seed, &params);
        run_params(&params, &opened);
    }
    print_message("seed %d: %d of %d were resized\n", SEED, opened, FUZZ_RUNS);
    assert_true(opened > FUZZ_RUNS / 2);
}

static void test_extreme_sizes(void **state)
{
    (void)state;
    static const int sizes[][4] = {{2, 2, 2, 2},        {1, 1, 16384, 2},    {16384, 16, 16384, 16},
                                   {16384, 16, 512, 2}, {16, 16384, 2, 512}, {64, 64, 2, 2},
                                   {2, 2, 2, 16384},    {16384, 3, 1024, 64}};
    int opened = 0;
    int runs = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (int deep = 0; deep < 2; deep++, runs++) {
            struct resize_params params = {
                .width = sizes[i][0],
                .height = sizes[i][1],
                .format = deep ? RESIZE_P010 : RESIZE_NV12,
                .rungs_count = 1,
                .rungs = {{sizes[i][2], sizes[i][3], deep ? RESIZE_I420 : RESIZE_P010, {0}}},
            };
            run_params(&params, &opened);
        }
    assert_int_equal(opened, runs);
}

/* ---- errors --------------------------------------------------------------------------------- */

static void check_refused(const struct resize_params *params, int code, const char *part)
{
    struct resize *resize = NULL;
    struct error err = {0};
    assert_int_equal(resize_open(&resize, NULL, params, &err), code);
    assert_null(resize);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void test_bad_params_are_refused(void **state)
{
    (void)state;
    const struct resize_params good = {.width = 1920,
                                       .height = 1080,
                                       .format = RESIZE_NV12,
                                       .rungs_count = 1,
                                       .rungs = {{640, 360, RESIZE_NV12, {0}}}};
    struct resize_params p = good;
    p.width = 16385;
    check_refused(&p, RGPU_ERROR_PARAM, "16385x1080");
    p = good;
    p.height = 2;
    p.interlaced = true;
    check_refused(&p, RGPU_ERROR_PARAM, "interlaced");
    p = good;
    p.format = RESIZE_I420;
    check_refused(&p, RGPU_ERROR_PARAM, "NV12 and P010");
    p = good;
    p.rungs_count = RESIZE_RUNGS_MAX + 1;
    check_refused(&p, RGPU_ERROR_PARAM, "17 rungs");
    p = good;
    p.siting.x2 = 3;
    check_refused(&p, RGPU_ERROR_PARAM, "3/2");
    p = good;
    p.rungs[0].width = 641;
    check_refused(&p, RGPU_ERROR_PARAM, "641x360");
    p = good;
    p.rungs[0].area.width = p.rungs[0].area.height = 362;
    check_refused(&p, RGPU_ERROR_PARAM, "362x362");
    p = good;
    p.interlaced = true;
    p.rungs[0].area.width = p.rungs[0].area.height = 200;
    p.rungs[0].area.y = 2;
    check_refused(&p, RGPU_ERROR_PARAM, "at 0,2");
    p = good;
    p.rungs[0].width = 58;
    check_refused(&p, RGPU_ERROR_UNSUPPORTED, "nearer");
    struct resize *none = NULL;
    resize_close(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ladder_against_reference),
        cmocka_unit_test(test_sizes_against_reference),
        cmocka_unit_test(test_formats_and_sitings_against_reference),
        cmocka_unit_test(test_reference_tells_sitings_apart),
        cmocka_unit_test(test_equal_size_is_copied),
        cmocka_unit_test(test_layouts_agree),
        cmocka_unit_test(test_fewer_bits_are_dithered),
        cmocka_unit_test(test_area_and_black_around),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_random_sizes_stay_in_memory),
        cmocka_unit_test(test_extreme_sizes),
        cmocka_unit_test(test_bad_params_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

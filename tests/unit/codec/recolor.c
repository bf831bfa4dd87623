/* Colours that the scaler is asked to convert, against the formulas of ITU-T H.273. */
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

static const struct scaler_ops *const ops = &cpu_scaler_ops;

/* ---- formulas ------------------------------------------------------------------------------- */

struct sample {
    double v[3];
};

static void weights(int matrix, double *kr, double *kb)
{
    *kr = matrix == 1 ? 0.2126 : matrix == 9 ? 0.2627 : 0.299;
    *kb = matrix == 1 ? 0.0722 : matrix == 9 ? 0.0593 : 0.114;
}

/* Code values of YUV, or of RGB in the order G, B, R, to R', G', B' of 0..1. */
static struct sample decode(struct sample in, const struct color *c, int depth)
{
    const double unit = 1 << (depth - 8), max = (1 << depth) - 1;
    const bool full = c->range == RANGE_FULL;
    if (c->matrix == MATRIX_RGB)
        return (struct sample){{in.v[2] / max, in.v[0] / max, in.v[1] / max}};
    double kr, kb;
    weights(c->matrix, &kr, &kb);
    const double y = full ? in.v[0] / max : (in.v[0] / unit - 16) / 219;
    const double chroma = full ? max : 224 * unit;
    const double u = (in.v[1] - 128 * unit) / chroma, v = (in.v[2] - 128 * unit) / chroma;
    const double r = y + 2 * (1 - kr) * v, b = y + 2 * (1 - kb) * u;
    return (struct sample){{r, (y - kr * r - kb * b) / (1 - kr - kb), b}};
}

static struct sample encode(struct sample rgb, const struct color *c, int depth)
{
    const double unit = 1 << (depth - 8), max = (1 << depth) - 1;
    const bool full = c->range == RANGE_FULL;
    double kr, kb;
    weights(c->matrix, &kr, &kb);
    const double y = kr * rgb.v[0] + (1 - kr - kb) * rgb.v[1] + kb * rgb.v[2];
    const double u = (rgb.v[2] - y) / (2 * (1 - kb)), v = (rgb.v[0] - y) / (2 * (1 - kr));
    const double chroma = full ? max : 224 * unit;
    return (struct sample){
        {full ? y * max : (219 * y + 16) * unit, 128 * unit + u * chroma, 128 * unit + v * chroma}};
}

/* BT.709 to BT.601's primaries (525 lines), from their chromaticities. */
static struct sample to_smpte_c(struct sample rgb)
{
    static const double m[3][3] = {
        {1.06538, -0.05540, -0.00997}, {-0.01963, 1.03636, -0.01673}, {0.00163, 0.00441, 0.99396}};
    struct sample out;
    double linear[3];
    for (int i = 0; i < 3; i++)
        linear[i] = pow(rgb.v[i], 2.4); /* as displayed, BT.1886 */
    for (int i = 0; i < 3; i++)
        out.v[i] = pow(m[i][0] * linear[0] + m[i][1] * linear[1] + m[i][2] * linear[2], 1 / 2.4);
    return out;
}

/* ---- frames --------------------------------------------------------------------------------- */

static struct frame *flat(enum pixel_format format, int width, int height, const struct color *c,
                          const int *even, const int *odd)
{
    struct frame *f = frame_new(format, width, height);
    assert_non_null(f);
    f->color = *c;
    const struct pixel_info *info = pixel_info(format);
    for (int k = 0; k < (info->planes == 1 ? 1 : 3); k++) {
        const int shift_x = k ? info->shift_x : 0, shift_y = k ? info->shift_y : 0;
        for (int y = 0; y < (height + (1 << shift_y) - 1) >> shift_y; y++)
            for (int x = 0; x < (width + (1 << shift_x) - 1) >> shift_x; x++)
                picture_store(f, k, x, y, y % 2 ? odd[k] : even[k]);
    }
    return f;
}

static int load(const struct frame *f, int plane, int x, int y)
{
    const uint8_t *line = f->data[plane] + f->stride[plane] * y;
    uint16_t word;
    if (pixel_info(f->format)->depth == 8)
        return line[x];
    memcpy(&word, line + (size_t)2 * (unsigned)x, 2);
    return word;
}

static void check_near(const struct frame *f, const struct sample *even, const struct sample *odd,
                       double most)
{
    for (int p = 0; p < pixel_info(f->format)->planes; p++)
        for (int y = 0; y < pixel_plane_height(f->format, p, f->height); y++)
            for (int x = 0; x < pixel_plane_width(f->format, p, f->width); x++) {
                const double want = y % 2 ? odd->v[p] : even->v[p];
                if (fabs(load(f, p, x, y) - want) > most)
                    fail_msg("%s, plane %d at %d, %d: %d instead of %.2f",
                             pixel_info(f->format)->name, p, x, y, load(f, p, x, y), want);
            }
}

static struct frame *convert(struct frame *src, const struct color *target,
                             enum pixel_format format, bool interlaced)
{
    const struct scaler_params params = {.width = src->width,
                                         .height = src->height,
                                         .format = src->format,
                                         .color = src->color,
                                         .target = *target,
                                         .interlaced = interlaced,
                                         .outputs_count = 1,
                                         .outputs = {{src->width, src->height, format}},
                                         .threads = 1};
    struct error err = {0};
    void *scaler = NULL;
    struct frame *out = NULL;
    if (ops->open(&scaler, &params, &err))
        fail_msg("open: %s", err.text);
    for (int i = 0; i < 2; i++) { /* the second one is a frame that came back */
        frame_unref(&out);
        if (ops->run(scaler, src, 1, &out, &err))
            fail_msg("run: %s", err.text);
    }
    ops->close(scaler);
    return out;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void matrix_and_range(void **state)
{
    (void)state;
    static const struct {
        enum pixel_format from, to;
        struct color color, target;
        int width, height;
        bool interlaced;
    } cases[] = {
        {PIXEL_YUV420P, PIXEL_YUV420P, {1, 1, 1, 1, 1}, {1, 1, 6, 1, 1}, 64, 48, false},
        {PIXEL_YUV420P, PIXEL_YUV420P, {1, 1, 6, 1, 1}, {1, 1, 1, 1, 1}, 61, 47, false},
        {PIXEL_YUV420P, PIXEL_YUV420P, {1, 1, 1, 2, 1}, {1, 1, 1, 1, 1}, 64, 48, false},
        {PIXEL_YUV420P, PIXEL_YUV420P, {1, 1, 1, 1, 1}, {1, 1, 9, 2, 1}, 64, 48, false},
        {PIXEL_YUV420P, PIXEL_YUV420P, {1, 1, 1, 1, 1}, {1, 1, 6, 1, 1}, 64, 48, true},
        {PIXEL_YUV420P, PIXEL_YUV420P, {1, 1, 1, 1, 1}, {1, 1, 6, 1, 1}, 62, 46, true},
        {PIXEL_NV12, PIXEL_YUV420P, {1, 1, 1, 1, 1}, {1, 1, 6, 1, 1}, 61, 47, false},
        {PIXEL_P010, PIXEL_YUV420P10, {1, 1, 1, 1, 1}, {1, 1, 6, 1, 1}, 61, 47, false},
        {PIXEL_YUV422P12, PIXEL_YUV422P12, {1, 1, 1, 1, 1}, {1, 1, 6, 2, 1}, 64, 48, false},
        {PIXEL_YUV444P, PIXEL_YUV444P, {1, 1, 1, 1, 1}, {1, 1, 6, 1, 1}, 63, 47, false},
        {PIXEL_GBRP, PIXEL_YUV444P, {1, 1, MATRIX_RGB, 2, 1}, {1, 1, 1, 2, 1}, 63, 47, false},
        {PIXEL_GBRP, PIXEL_YUV444P, {1, 1, MATRIX_RGB, 2, 1}, {1, 1, 1, 1, 1}, 64, 48, false},
        {PIXEL_GRAY8, PIXEL_GRAY8, {1, 1, 0, 2, 0}, {1, 1, 0, 1, 0}, 63, 47, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int depth = pixel_info(cases[i].from)->depth, out = pixel_info(cases[i].to)->depth;
        const int even[3] = {100 << (depth - 8), 110 << (depth - 8), 140 << (depth - 8)};
        const int odd[3] = {150 << (depth - 8), 135 << (depth - 8), 120 << (depth - 8)};
        struct frame *src = flat(cases[i].from, cases[i].width, cases[i].height, &cases[i].color,
                                 even, cases[i].interlaced ? odd : even);
        /* Odd sizes are not for outputs: they are made even, which flat pictures do not mind. */
        struct frame *dst = NULL;
        if (src->width % 2 || src->height % 2) {
            struct scaler_params params = {
                .width = src->width,
                .height = src->height,
                .format = src->format,
                .color = src->color,
                .target = cases[i].target,
                .outputs_count = 1,
                .outputs = {{src->width + 1, src->height + 1, cases[i].to}},
                .threads = 1};
            struct error err = {0};
            void *scaler = NULL;
            assert_int_equal(ops->open(&scaler, &params, &err), 0);
            assert_int_equal(ops->run(scaler, src, 1, &dst, &err), 0);
            ops->close(scaler);
        } else {
            dst = convert(src, &cases[i].target, cases[i].to, cases[i].interlaced);
        }
        struct sample want[2];
        for (int k = 0; k < 2; k++) {
            const int *v = k && cases[i].interlaced ? odd : even;
            const bool grey = cases[i].from == PIXEL_GRAY8;
            const struct sample in = {{v[0], grey ? 128 : v[1], grey ? 128 : v[2]}};
            want[k] = encode(decode(in, &cases[i].color, depth), &cases[i].target, out);
        }
        check_near(dst, &want[0], &want[1], 1.01);
        assert_int_equal(dst->color.range, cases[i].target.range);
        if (cases[i].target.matrix)
            assert_int_equal(dst->color.matrix, cases[i].target.matrix);
        frame_unref(&dst);
        frame_unref(&src);
    }
}

static void primaries(void **state)
{
    (void)state;
    const struct color bt709 = {1, 1, 1, RANGE_LIMITED, CHROMA_LEFT};
    const struct color bt601 = {6, 6, 6, RANGE_LIMITED, CHROMA_LEFT};
    static const int values[][3] = {{120, 120, 140}, {150, 100, 130}, {90, 140, 110}};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const int *v = values[i];
        struct frame *src = flat(PIXEL_YUV420P, 64, 48, &bt709, v, v);
        struct frame *dst = convert(src, &bt601, PIXEL_YUV420P, false);
        const struct sample in = {{v[0], v[1], v[2]}};
        const struct sample want = encode(to_smpte_c(decode(in, &bt709, 8)), &bt601, 8);
        check_near(dst, &want, &want, 1.5);
        assert_int_equal(dst->color.primaries, 6);
        frame_unref(&dst);
        frame_unref(&src);
    }
}

/* What is not known, or is the same, is left alone. */
static void nothing_to_convert(void **state)
{
    (void)state;
    struct frame *src = picture_new(PIXEL_YUV420P, 64, 48, PICTURE_NOISE, true, 1);
    const struct color targets[] = {{0}, {1, 1, 1, 1, 1}, {0, 0, 1, 0, 0}};
    const struct color colors[] = {{1, 1, 1, 1, 1}, {0}, {9, 16, 1, 2, 1}};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        src->color = colors[i];
        struct frame *dst = convert(src, &targets[i], PIXEL_YUV420P, false);
        assert_ptr_equal(dst->data[0], src->data[0]);
        frame_unref(&dst);
    }
    frame_unref(&src);
}

static void impossible_colours_are_named(void **state)
{
    (void)state;
    const struct scaler_params params = {.width = 64,
                                         .height = 48,
                                         .format = PIXEL_YUV420P,
                                         .color = {1, 1, 1, 1, 1},
                                         .target = {1, 1, 99, 1, 1},
                                         .outputs_count = 1,
                                         .outputs = {{64, 48, PIXEL_YUV420P}}};
    struct error err = {0};
    void *scaler = NULL;
    assert_int_equal(ops->open(&scaler, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "matrix 1 to 99"));
    assert_null(scaler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrix_and_range),
        cmocka_unit_test(primaries),
        cmocka_unit_test(nothing_to_convert),
        cmocka_unit_test(impossible_colours_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

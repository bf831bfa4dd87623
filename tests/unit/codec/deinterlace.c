/* The deinterlacer: one frame out for each in, combing gone, still pictures and progressive frames
 * as they were. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"

#define W 96
#define H 64
#define FRAMES_MAX 16

static const struct filter_ops *ops;

static void set_sample(struct frame *f, int plane, int x, int y, int value)
{
    uint8_t *line = f->data[plane] + y * f->stride[plane];
    if (pixel_info(f->format)->depth > 8) {
        uint16_t word = (uint16_t)(value * 4);
        memcpy(line + (ptrdiff_t)2 * x, &word, 2);
    } else {
        line[x] = (uint8_t)value;
    }
}

static int sample(const struct frame *f, int x, int y)
{
    const uint8_t *line = f->data[0] + y * f->stride[0];
    if (pixel_info(f->format)->depth <= 8)
        return line[x];
    uint16_t word;
    memcpy(&word, line + (ptrdiff_t)2 * x, 2);
    return word / 4;
}

/* A bar that moves `speed` pixels a field, the top field being the earlier. */
static struct frame *picture(enum pixel_format format, int i, int speed, uint32_t flags)
{
    struct frame *f = frame_new(format, W, H);
    assert_non_null(f);
    for (int p = 0; p < pixel_info(format)->planes; p++)
        for (int y = 0; y < pixel_plane_height(format, p, H); y++)
            for (int x = 0; x < pixel_plane_width(format, p, W); x++) {
                const int at = 20 + speed * (2 * i + y % 2);
                const bool bar = p == 0 && x >= at && x < at + 16;
                set_sample(f, p, x, y, bar ? 200 : 60 + x / 2 + y / 4);
            }
    f->pts = 1000 + 7 * i * i; /* opaque */
    f->duration = 100 + i;
    f->flags = flags;
    f->side[0] = (struct frame_side){SIDE_A53_CC, buffer_copy(&i, sizeof(i))};
    return f;
}

/* How much neighbouring lines differ from the mean of those around. */
static int64_t combing(const struct frame *f)
{
    int64_t sum = 0;
    for (int y = 4; y < H - 4; y++)
        for (int x = 0; x < W; x++)
            sum += abs(2 * sample(f, x, y) - sample(f, x, y - 1) - sample(f, x, y + 1));
    return sum;
}

/* Runs `in` through a filter; how many came out. */
static int run(enum pixel_format format, struct frame *const *in, int count, struct frame **out)
{
    void *filter = NULL;
    struct error err = {0};
    const struct filter_params params = {.width = W, .height = H, .format = format, .threads = 2};
    int got = 0, r = 0;
    if (ops->open(&filter, &params, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i <= count; i++) {
        assert_int_equal(ops->send(filter, i < count ? in[i] : NULL, &err), 0);
        while ((r = ops->receive(filter, &out[got], &err)) == 0)
            assert_true(++got <= count);
        assert_int_equal(r, i < count ? RGPU_ERROR_AGAIN : RGPU_ERROR_END);
    }
    ops->close(filter);
    return got;
}

static void drop(struct frame **frames, int count)
{
    for (int i = 0; i < count; i++)
        frame_unref(&frames[i]);
}

static const enum pixel_format formats[] = {PIXEL_YUV420P, PIXEL_YUV422P10};

static void one_for_each(void **state)
{
    (void)state;
    for (int f = 0; f < 2; f++)
        for (int count = 0; count <= 5; count++) {
            struct frame *in[FRAMES_MAX], *out[FRAMES_MAX + 1];
            for (int i = 0; i < count; i++)
                in[i] = picture(formats[f], i, 3, FRAME_INTERLACED | FRAME_TOP_FIRST);
            assert_int_equal(run(formats[f], in, count, out), count);
            for (int i = 0; i < count; i++) {
                assert_int_equal(out[i]->pts, in[i]->pts);
                assert_int_equal(out[i]->duration, in[i]->duration);
                assert_int_equal(out[i]->flags, 0);
                assert_int_equal(out[i]->format, formats[f]);
                assert_ptr_equal(out[i]->side[0].buf, in[i]->side[0].buf);
                assert_int_equal(in[i]->flags, FRAME_INTERLACED | FRAME_TOP_FIRST);
            }
            drop(in, count);
            drop(out, count);
        }
}

static void combing_goes(void **state)
{
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct frame *in[8], *out[9];
        for (int i = 0; i < 8; i++)
            in[i] = picture(formats[f], i, 3, FRAME_INTERLACED | FRAME_TOP_FIRST);
        assert_int_equal(run(formats[f], in, 8, out), 8);
        for (int i = 1; i < 7; i++) {
            print_message("combing %d -> %d\n", (int)combing(in[i]), (int)combing(out[i]));
            assert_true(combing(out[i]) * 5 < combing(in[i]));
        }
        drop(in, 8);
        drop(out, 8);
    }
}

static bool same_luma(const struct frame *a, const struct frame *b)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            if (sample(a, x, y) != sample(b, x, y))
                return false;
    return true;
}

/* A smooth still picture is not touched, nor are progressive frames among interlaced ones. */
static void nothing_else_changes(void **state)
{
    (void)state;
    struct frame *in[8], *out[9];
    for (int i = 0; i < 8; i++)
        in[i] = picture(PIXEL_YUV420P, i, 0, FRAME_INTERLACED);
    assert_int_equal(run(PIXEL_YUV420P, in, 8, out), 8);
    for (int i = 1; i < 7; i++)
        assert_true(same_luma(in[i], out[i]));
    drop(in, 8);
    drop(out, 8);
    for (int i = 0; i < 8; i++)
        in[i] = picture(PIXEL_YUV420P, i, 3, i % 2 ? FRAME_INTERLACED : 0);
    assert_int_equal(run(PIXEL_YUV420P, in, 8, out), 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(same_luma(in[i], out[i]), i % 2 == 0);
        assert_int_equal(out[i]->flags, 0);
    }
    drop(in, 8);
    drop(out, 8);
}

static void closed_in_the_middle(void **state)
{
    (void)state;
    void *filter = NULL;
    struct error err;
    const struct filter_params params = {.width = W, .height = H, .format = PIXEL_YUV420P};
    assert_int_equal(ops->open(&filter, &params, &err), 0);
    int taken = 0, r = 0;
    /* Frames that nobody takes out are refused in time. */
    for (int i = 0; i < 100 && !r; i++) {
        struct frame *f = picture(PIXEL_YUV420P, i, 1, FRAME_INTERLACED);
        r = ops->send(filter, f, &err);
        taken += !r;
        frame_unref(&f);
    }
    assert_int_equal(r, RGPU_ERROR_AGAIN);
    assert_in_range(taken, 2, 16);
    ops->close(filter);
}

static void what_cannot_be_done(void **state)
{
    (void)state;
    void *filter = NULL;
    struct error err = {0};
    struct filter_params params = {.width = W, .height = H, .format = PIXEL_NV12};
    assert_int_equal(ops->open(&filter, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "nv12"));
    assert_non_null(strstr(err.text, "--deinterlace off"));
    assert_null(filter);
    ops->close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_for_each),         cmocka_unit_test(combing_goes),
        cmocka_unit_test(nothing_else_changes), cmocka_unit_test(closed_in_the_middle),
        cmocka_unit_test(what_cannot_be_done),
    };
    ops = codec_backend(DEVICE_CPU)->deinterlacer;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Interlaced pictures through NVENC, over the stand-in of the driver (or a real one that codes
 * fields): what is decoded has both fields as they were, and says which comes first. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "nvenc_runs.h"

#define WIDTH 320
#define HEIGHT 240
#define FRAMES 24

static const struct codec_backend *nv;

static struct encoder_params params_for(enum field_order order)
{
    struct encoder_params params = nvenc_params("h264", WIDTH, HEIGHT);
    params.field_order = order;
    return params;
}

static void need_fields(void)
{
    const struct encoder_params params = params_for(FIELD_TOP_FIRST);
    nvenc_need_params(&params);
}

/* Pictures whose two fields are of different times, so that they are not of one piece. */
static void make_fields(struct frame_list *ret)
{
    struct frame_list pictures = {0};
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 2 * FRAMES, 11, &pictures);
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, FRAMES, 11, ret);
    for (size_t i = 0; i < ret->count; i++) {
        for (int p = 0; p < 3; p++) {
            const int lines = p ? HEIGHT / 2 : HEIGHT;
            for (int y = 0; y < lines; y++) {
                const struct frame *from = pictures.items[2 * i + (size_t)(y % 2)];
                struct frame *to = ret->items[i];
                memcpy(to->data[p] + y * to->stride[p], from->data[p] + y * from->stride[p],
                       (size_t)(p ? WIDTH / 2 : WIDTH));
            }
        }
    }
    frame_list_done(&pictures);
}

static void check_order(const struct frame *frame, bool top)
{
    assert_true(frame->flags & FRAME_INTERLACED);
    assert_int_equal((frame->flags & FRAME_TOP_FIRST) != 0, top);
}

/* The stream's order, where pictures say none, and theirs where they do. */
static void test_order(void **state)
{
    (void)state;
    need_fields();
    for (int n = 0; n < 4; n++) {
        const bool top = n % 2;
        struct encoder_params params = params_for(top ? FIELD_TOP_FIRST : FIELD_BOTTOM_FIRST);
        struct frame_list frames = {0};
        struct round_trip trip;
        params.low_latency = n >= 2;
        params.bframes = params.low_latency ? 0 : 2;
        make_fields(&frames);
        frames.items[9]->flags |= FRAME_KEY;
        for (size_t i = 14; i < frames.count; i++)
            frames.items[i]->flags |= FRAME_INTERLACED | (top ? 0 : FRAME_TOP_FIRST);
        nvenc_round_trip(&params, &frames, &trip);
        for (size_t i = 0; i < trip.pictures.count; i++)
            check_order(trip.pictures.items[i], i < 14 ? top : !top);
        check_same_pictures(&trip.pictures, &frames, top ? "top first" : "bottom first");
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

/* With a rate, at efforts that have all that progressive pictures are looked ahead with. */
static void test_rates(void **state)
{
    (void)state;
    need_fields();
    for (int speed = 1; speed <= 7; speed += 3) {
        struct encoder_params params = params_for(FIELD_BOTTOM_FIRST);
        struct frame_list frames = {0};
        struct round_trip trip;
        params.rate = RATE_VBR;
        params.bit_rate_bps = 3000000;
        params.speed = speed;
        make_fields(&frames);
        nvenc_round_trip(&params, &frames, &trip);
        for (size_t i = 0; i < trip.pictures.count; i++)
            check_order(trip.pictures.items[i], false);
        nvenc_check_close(&trip.pictures, &frames, speed);
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

/* A height that fields cannot have, and a codec without them. */
static void test_refused(void **state)
{
    (void)state;
    need_fields();
    struct encoder_params params = params_for(FIELD_TOP_FIRST);
    struct error err = {0};
    void *enc = NULL;
    params.height = HEIGHT + 2;
    assert_int_equal(nv->encoder->open(&enc, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "242 lines"));
    params = params_for(FIELD_TOP_FIRST);
    snprintf(params.codec, sizeof(params.codec), "hevc");
    assert_int_equal(nv->encoder->open(&enc, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "interlaced"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_refused),
    };
    nv = codec_backend(DEVICE_CUDA);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

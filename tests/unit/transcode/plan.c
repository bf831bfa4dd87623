/* What scaler and encoders are opened with, what is said about it, and the small tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "transcode/channel.h"
#include "transcode/flight.h"
#include "transcode/own.h"
#include "transcode/picture.h"
#include "transcode/plan.h"

#include "film.h"

static struct plan make(const struct session_params *params, const struct frame *first)
{
    struct plan plan;
    struct error err = {0};
    const struct track picture = picture_of(&params->source, first);
    assert_int_equal(plan_encoders(&plan, params, codec_backend(DEVICE_CPU), &picture, 8, &err), 0);
    return plan;
}

static bool says(const struct plan *plan, const char *text)
{
    for (int i = 0; i < plan->notes_count; i++)
        if (strstr(plan->notes[i], text))
            return true;
    return false;
}

/* Within the time between key frames, which there are none of then. */
static void intra_refresh(void **state)
{
    (void)state;
    static const struct {
        int64_t gop_us;
        struct rational rate;
        int frames;
    } cases[] = {
        {2000000, {25, 1}, 50},
        {0, {25, 1}, 50},
        {1000000, {30000, 1001}, 30},
        {1000000, {0, 0}, 25},
        {1000, {25, 1}, 2},
        {INT64_C(1000000000), {25, 1}, 25000},
        {INT64_C(2000000000), {25, 1}, 30000},
        {INT64_C(1) << 60, {60, 1}, 30000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct session_params params = film_params(2);
        struct frame first = {.width = 64, .height = 32, .format = PIXEL_YUV420P};
        params.gop_us = cases[i].gop_us;
        params.source.frame_rate = cases[i].rate;
        assert_int_equal(make(&params, &first).encoders[1].intra_refresh_frames, 0);
        params.intra_refresh = true;
        const struct plan plan = make(&params, &first);
        for (int n = 0; n < 2; n++) {
            assert_int_equal(plan.encoders[n].intra_refresh_frames, cases[i].frames);
            assert_int_equal(plan.encoders[n].gop_frames_usual, 0);
        }
    }
}

static void aspect(void **state)
{
    (void)state;
    static const struct {
        struct rational source;
        int size[4];
        struct rational expected;
    } cases[] = {
        {{1, 1}, {1920, 1080, 1280, 720}, {1, 1}},
        {{1, 1}, {1920, 1080, 854, 480}, {1, 1}}, /* rounded to even */
        {{1, 1}, {1920, 1080, 426, 240}, {1, 1}},
        {{64, 45}, {720, 576, 1024, 576}, {1, 1}}, /* made square */
        {{64, 45}, {720, 576, 360, 288}, {64, 45}},
        {{64, 45}, {720, 576, 450, 360}, {64, 45}},
        {{1, 1}, {1920, 1080, 1440, 1080}, {4, 3}},
        {{0, 1}, {1920, 1080, 1440, 1080}, {0, 1}},
        {{0, 0}, {1920, 1080, 1280, 720}, {0, 1}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int *size = cases[i].size;
        struct rational r = plan_aspect(cases[i].source, size[0], size[1], size[2], size[3]);
        assert_int_equal(r.num, cases[i].expected.num);
        assert_int_equal(r.den, cases[i].expected.den);
    }
}

static void threads(void **state)
{
    (void)state;
    struct encoder_params e[4] = {{.width = 1920, .height = 1080, .frame_rate = {30, 1}},
                                  {.width = 1280, .height = 720, .frame_rate = {30, 1}},
                                  {.width = 854, .height = 480, .frame_rate = {30, 1}},
                                  {.width = 640, .height = 360, .frame_rate = {30, 1}}};
    assert_int_equal(plan_threads(e, 1, 0, 16), 24);
    assert_int_equal(plan_threads(e, 1, 0, 2), 3);
    assert_int_equal(plan_threads(e, 1, 0, 1), 1);
    assert_int_equal(plan_threads(e, 4, 0, 1), 1);
    /* Shares of the pixels: 57, 25, 11 and 6 %. */
    const int of_16[4] = {14, 7, 3, 2}, of_2[4] = {2, 1, 1, 1};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(plan_threads(e, 4, i, 16), of_16[i]);
        assert_int_equal(plan_threads(e, 4, i, 2), of_2[i]);
    }
}

static void encoder_params(void **state)
{
    (void)state;
    fake_reset();
    struct session_params params = film_params(2);
    params.source.frame_rate = (struct rational){60, 1};
    params.source.color = (struct color){.primaries = 9, .transfer = 16, .matrix = 9};
    params.source.hdr = (struct hdr){.has_light_level = true, .max_content_light = 900};
    params.source.timecodes = true;
    params.renditions[1].frame_rate_max = (struct rational){30, 1};
    params.renditions[0].bit_rate_bps = 123;
    params.renditions[0].quality = 21;
    strcpy(params.renditions[0].profile, "high");
    struct fake_source source = {0};
    struct frame *first = fake_frame(&source);
    first->color.range = RANGE_FULL;
    first->color.matrix = 1;
    first->hdr = (struct hdr){.has_mastering = true, .luminance_max = 5};
    first->sample_aspect = (struct rational){4, 3};
    struct plan plan = make(&params, first);
    const struct encoder_params *e = plan.encoders;
    assert_string_equal(e[0].codec, "h264");
    assert_string_equal(e[0].profile, "high");
    assert_int_equal(e[0].width, 64);
    assert_int_equal(e[1].width, 32);
    assert_int_equal(e[0].frame_rate.num, 60);
    assert_int_equal(e[1].frame_rate.num, 30);
    assert_int_equal(e[0].bit_rate_bps, 123);
    assert_int_equal(e[0].quality, 21);
    assert_int_equal(e[0].time_base.den, 1000);
    assert_true(e[0].global_headers);
    /* What the frame says counts over the track; each fills the other's gaps. */
    assert_int_equal(e[0].color.primaries, 9);
    assert_int_equal(e[0].color.matrix, 1);
    assert_int_equal(e[0].color.range, RANGE_FULL);
    assert_true(e[0].hdr.has_mastering && e[0].hdr.has_light_level);
    assert_int_equal(e[0].hdr.luminance_max, 5);
    assert_int_equal(e[0].hdr.max_content_light, 900);
    assert_int_equal(e[1].sample_aspect.num, 4);
    assert_int_equal(e[0].timecode_step, 1);
    assert_int_equal(e[1].timecode_step, 2);
    assert_int_equal(plan.notes_count, 0);
    /* They count by a rate; where there is none, as they come. */
    params.source.frame_rate = (struct rational){0, 0};
    assert_int_equal(make(&params, first).encoders[1].timecode_step, 1);
    params.source.timecodes = false;
    assert_int_equal(make(&params, first).encoders[0].timecode_step, 0);
    struct scaler_params s = plan_scaler(&plan, &params, true);
    assert_true(s.interlaced);
    assert_int_equal(s.outputs_count, 2);
    assert_int_equal(s.outputs[1].height, 16);
    first->hdr = (struct hdr){.has_light_level = true, .max_content_light = 100};
    params.source.hdr.has_mastering = true;
    plan = make(&params, first);
    assert_true(e[0].hdr.has_mastering);
    assert_int_equal(e[0].hdr.max_content_light, 100);
    frame_unref(&first);
}

static void notes(void **state)
{
    (void)state;
    fake_reset();
    struct session_params params = film_params(3);
    static const struct {
        enum pixel_format format;
        const char *note;
    } cases[] = {
        {PIXEL_YUV422P10, "4:2:2 10 bit is encoded as 4:2:0 8 bit (h264)"},
        {PIXEL_YUV444P, "4:4:4 8 bit is encoded as 4:2:0 8 bit (h264)"},
        {PIXEL_GBRP, "RGB 8 bit is encoded as 4:2:0 8 bit (h264)"},
        {PIXEL_YUV420P10, "4:2:0 10 bit is encoded as 4:2:0 8 bit (h264)"},
        {PIXEL_P010, "4:2:0 10 bit is encoded as 4:2:0 8 bit (h264)"},
        {PIXEL_YUV411P, "4:1:1 8 bit is encoded as 4:2:0 8 bit (h264)"},
        {PIXEL_YUV440P, "4:4:0 8 bit is encoded as 4:2:0 8 bit (h264)"},
        {PIXEL_NV12, NULL},
        {PIXEL_GRAY8, NULL},
        {PIXEL_YUV420P, NULL},
        {PIXEL_YUV410P, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame *first = frame_new(cases[i].format, 64, 32);
        struct plan plan = make(&params, first);
        assert_int_equal(plan.notes_count, cases[i].note ? 1 : 0); /* once for all renditions */
        if (cases[i].note)
            assert_string_equal(plan.notes[0], cases[i].note);
        frame_unref(&first);
    }
}

static void fields(void **state)
{
    (void)state;
    fake_reset();
    struct session_params params = film_params(2);
    struct fake_source source = {.flags = FRAME_INTERLACED};
    struct frame *first = fake_frame(&source);
    /* The deinterlacer has been over it: the frame is not flagged any more, the track still is. */
    params.source.field_order = FIELD_TOP_FIRST;
    first->flags = 0;
    struct plan plan = make(&params, first);
    assert_int_equal(plan.encoders[0].field_order, FIELD_PROGRESSIVE);
    assert_int_equal(plan.notes_count, 0);
    params.deinterlace = DEINTERLACE_OFF;
    plan = make(&params, first);
    assert_int_equal(plan.encoders[0].field_order, FIELD_TOP_FIRST);
    assert_int_equal(plan.encoders[1].field_order, FIELD_TOP_FIRST);
    assert_true(says(&plan, "field by field"));
    /* The frame knows better. */
    first->flags = FRAME_INTERLACED;
    plan = make(&params, first);
    assert_int_equal(plan.encoders[0].field_order, FIELD_BOTTOM_FIRST);
    /* All at the source's height: nothing to say. */
    params.renditions[1].height = 32;
    plan = make(&params, first);
    assert_int_equal(plan.notes_count, 0);
    /* Codecs and heights without fields. */
    strcpy(params.renditions[0].codec, "hevc");
    params.renditions[1].height = 18;
    plan = make(&params, first);
    assert_int_equal(plan.encoders[0].field_order, FIELD_PROGRESSIVE);
    assert_int_equal(plan.encoders[1].field_order, FIELD_PROGRESSIVE);
    assert_true(says(&plan, "progressive pictures in hevc"));
    assert_true(says(&plan, "32x18"));
    frame_unref(&first);
}

/* ---- flight --------------------------------------------------------------------------------- */

static void flight_in_any_order(void **state)
{
    (void)state;
    struct flight f;
    struct flight_entry got;
    assert_int_equal(flight_init(&f), 0);
    assert_true(flight_empty(&f));
    uint32_t seed = 3;
    int64_t clock = 0, inside[16] = {0};
    int count = 0, landed = 0;
    for (int i = 0; i < 5000; i++) {
        if (count < 16) {
            clock += 1 + film_random(&seed) % 5;
            assert_int_equal(flight_add(&f, (struct flight_entry){.clock = clock, .pts = -clock}),
                             0);
            inside[count++] = clock;
        }
        if (film_random(&seed) % 2) {
            int at = (int)(film_random(&seed) % (uint32_t)count);
            assert_int_equal(flight_land(&f, inside[at], &got), 0);
            assert_int_equal(got.pts, -inside[at]);
            assert_int_equal(flight_land(&f, inside[at], &got), RGPU_ERROR_NOT_FOUND);
            inside[at] = inside[--count];
            landed++;
        }
    }
    assert_true(landed > 2000);
    assert_int_equal(flight_land(&f, clock + 1, &got), RGPU_ERROR_NOT_FOUND);
    while (count)
        assert_int_equal(flight_land(&f, inside[--count], &got), 0);
    assert_true(flight_empty(&f));
    for (int i = 0; i < FLIGHT_MAX; i++)
        assert_int_equal(flight_add(&f, (struct flight_entry){.clock = clock + i}), 0);
    assert_int_equal(flight_add(&f, (struct flight_entry){.clock = clock + FLIGHT_MAX}),
                     RGPU_ERROR_LIMIT);
    flight_done(&f);
}

/* ---- channel -------------------------------------------------------------------------------- */

static void channel_moves_items(void **state)
{
    (void)state;
    struct channel c;
    assert_int_equal(channel_init(&c, 3, sizeof(int)), 0);
    int value = 0;
    assert_int_equal(channel_pop(&c, 0, &value), RGPU_ERROR_AGAIN);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(channel_push(&c, &i), 0);
        if (i < 2)
            continue;
        assert_int_equal(channel_pop(&c, 0, &value), 0);
        assert_int_equal(value, i - 2);
    }
    channel_close(&c);
    assert_int_equal(channel_push(&c, &value), RGPU_ERROR_CANCELLED);
    assert_int_equal(channel_pop(&c, -1, &value), 0);
    assert_int_equal(channel_pop(&c, -1, &value), 0);
    assert_int_equal(value, 9);
    assert_int_equal(channel_pop(&c, -1, &value), RGPU_ERROR_END);
    channel_done(&c);
    channel_close(&c);
    channel_done(&c);
}

/* ---- own ------------------------------------------------------------------------------------ */

static void owning_a_frame(void **state)
{
    (void)state;
    fake_reset();
    struct fake_source source = {.pts = 5, .side = SIDE_A53_CC};
    struct frame *frame = fake_frame(&source);
    struct frame *same = frame;
    assert_int_equal(frame_own(&frame), 0);
    assert_ptr_equal(frame, same);
    struct frame *other = frame_ref(frame);
    assert_int_equal(frame_own(&frame), 0);
    assert_ptr_not_equal(frame, other);
    assert_ptr_equal(frame->data[0], other->data[0]);
    assert_ptr_equal(frame->side[0].buf, other->side[0].buf);
    frame->pts = 6;
    assert_int_equal(other->pts, 5);
    frame_unref(&other);
    assert_int_equal(fake.frames_alive, 1);
    frame_unref(&frame);
    assert_int_equal(fake.frames_alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intra_refresh),
        cmocka_unit_test(aspect),
        cmocka_unit_test(threads),
        cmocka_unit_test(encoder_params),
        cmocka_unit_test(notes),
        cmocka_unit_test(fields),
        cmocka_unit_test(flight_in_any_order),
        cmocka_unit_test(channel_moves_items),
        cmocka_unit_test(owning_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

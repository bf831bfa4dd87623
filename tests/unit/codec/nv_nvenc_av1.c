/* AV1 through NVENC, over the stand-in of the driver (or a real one that has it): what is decoded
 * is what went in, packets are temporal units in the order of display, and the record for
 * containers fits them. Builds whose headers do not know AV1 say so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "codec/nv/nvenc.h"
#include "gpu/encode.h"
#include "media/av1.h"
#include "nvenc_runs.h"

#define WIDTH 320
#define HEIGHT 240

static const struct codec_backend *nv;

static struct encoder_params params_for(enum pixel_format format)
{
    struct encoder_params params = nvenc_params("av1", WIDTH, HEIGHT);
    params.format = format;
    return params;
}

#if GPU_ENCODE_API(12, 0)
static void need_av1(void)
{
    nvenc_need();
    if (nvenc_device_format(0, "av1", "", PIXEL_YUV420P) == PIXEL_NONE) {
        assert_null(getenv("RGPU_STANDIN"));
        skip();
    }
}

/* Of each packet, against the record; gives the count of key frames. */
static size_t check_units(const struct encoder_header *header, const struct packet_list *packets,
                          int depth)
{
    struct av1_config config = {0};
    struct av1_sequence sequence = {0};
    struct error err = {0};
    size_t keys = 0;
    assert_non_null(header->extradata);
    if (av1_config_read(header->extradata->data, header->extradata->size, &config, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(config.profile, 0);
    assert_int_equal(config.bit_depth, depth);
    assert_int_equal(config.subsampling_x + config.subsampling_y, 2);
    for (size_t i = 0; i < packets->count; i++) {
        const struct packet *p = &packets->items[i];
        struct av1_temporal_unit unit = {0};
        if (av1_temporal_unit(&sequence, p->data, p->size, &unit, &err) != 0)
            fail_msg("packet %zu: %s", i, err.text);
        const bool key = p->flags & PACKET_KEY;
        assert_int_equal(unit.shown, 1);
        assert_int_equal(unit.damaged, 0);
        assert_int_equal(unit.key, key);
        assert_int_equal(unit.has_sequence, key);
        assert_int_equal(p->pts, i);
        assert_int_equal(p->ordinal, i);
        keys += key;
    }
    assert_int_equal(sequence.width, WIDTH);
    assert_int_equal(sequence.bit_depth, depth);
    return keys;
}

/* All frames there and back, of which so many are key frames. */
static void check_trip(const struct encoder_params *params, const struct frame_list *frames,
                       size_t keys, struct round_trip *ret)
{
    nvenc_round_trip(params, frames, ret);
    assert_int_equal(ret->header.reorder_frames, 0);
    assert_int_equal(check_units(&ret->header, &ret->packets, pixel_info(params->format)->depth),
                     keys);
}

static void test_lossless(void **state)
{
    (void)state;
    need_av1();
    const struct encoder_params ten_bits = params_for(PIXEL_P010);
    nvenc_need_params(&ten_bits); /* lossless, which not each GPU has that has AV1 */
    for (int n = 0; n < 4; n++) {
        struct encoder_params params = params_for(n % 2 ? PIXEL_P010 : PIXEL_NV12);
        struct frame_list frames = {0};
        struct round_trip trip;
        params.low_latency = n >= 2;
        make_pictures(planar_format(params.format), WIDTH, HEIGHT, 24, 21, &frames);
        frames.items[9]->flags |= FRAME_KEY;
        check_trip(&params, &frames, 2, &trip);
        check_same_pictures(&trip.pictures, &frames,
                            params.low_latency ? "low latency" : "lossless");
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

/* With B-frames and lookahead, as each preset has them. */
static void test_rates(void **state)
{
    (void)state;
    need_av1();
    for (int speed = 1; speed <= 7; speed += 2) {
        struct encoder_params params = params_for(PIXEL_NV12);
        struct frame_list frames = {0};
        struct round_trip trip;
        params.rate = speed < 5 ? RATE_VBR : RATE_CBR;
        params.bit_rate_bps = 4000000;
        params.speed = speed;
        make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 40, 22, &frames);
        check_trip(&params, &frames, 1, &trip);
        nvenc_check_close(&trip.pictures, &frames, speed);
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

static size_t bytes_at(int quality)
{
    struct encoder_params params = params_for(PIXEL_NV12);
    struct frame_list frames = {0};
    struct packet_list packets = {0};
    size_t bytes = 0;
    params.quality = quality;
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 10, 23, &frames);
    encode_all(nv, &params, &frames, &packets, NULL);
    for (size_t i = 0; i < packets.count; i++)
        bytes += packets.items[i].size;
    packet_list_done(&packets);
    frame_list_done(&frames);
    return bytes;
}

/* All of the scale, which goes further than that of the others. */
static void test_quality(void **state)
{
    (void)state;
    need_av1();
    const size_t best = bytes_at(1), middle = bytes_at(30), last = bytes_at(63);
    if (best < 2 * middle || middle < 2 * last)
        fail_msg("%zu bytes at 1, %zu at 30, %zu at 63", best, middle, last);
}

/* A session is used again, for another stream and another rate. */
static void test_sessions_are_used_again(void **state)
{
    (void)state;
    need_av1();
    struct gpu_device *device = nvenc_hold_device();
    struct frame_list frames = {0};
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 12, 24, &frames);
    for (int i = 0; i < 3; i++) {
        struct encoder_params params = params_for(PIXEL_NV12);
        struct round_trip trip;
        params.rate = RATE_VBR;
        params.bit_rate_bps = 500000 * (i + 1);
        check_trip(&params, &frames, 1, &trip);
        round_trip_done(&trip);
    }
    frame_list_done(&frames);
    gpu_close(&device);
}

/* What decoders are told of colours and HDR, where samples are no squares. */
static void test_told(void **state)
{
    (void)state;
    need_av1();
    struct encoder_params params = params_for(PIXEL_P010);
    struct frame_list frames = {0};
    struct packet_list packets = {0};
    struct encoder_header header = {0};
    struct av1_sequence sequence = {0};
    struct av1_temporal_unit unit = {0};
    struct error err = {0};
    params.color = (struct color){9, 16, 9, RANGE_LIMITED, CHROMA_LEFT};
    params.sample_aspect = (struct rational){4, 3};
    params.quality = 30;
    params.hdr.has_light_level = true;
    params.hdr.max_content_light = 1000;
    params.hdr.max_average_light = 400;
    make_pictures(PIXEL_YUV420P10, WIDTH, HEIGHT, 3, 25, &frames);
    encode_all(nv, &params, &frames, &packets, &header);
    const struct packet *first = &packets.items[0];
    assert_int_equal(av1_temporal_unit(&sequence, first->data, first->size, &unit, &err), 0);
    assert_int_equal(sequence.color.primaries, 9);
    assert_int_equal(sequence.color.transfer, 16);
    assert_int_equal(sequence.color.matrix, 9);
    assert_int_equal(sequence.color.range, RANGE_LIMITED);
    assert_int_equal(sequence.chroma_position, 1);
    assert_true(unit.hdr.has_light_level);
    assert_int_equal(unit.hdr.max_content_light, 1000);
    buffer_unref(&header.extradata);
    packet_list_done(&packets);
    frame_list_done(&frames);
}
#else
/* And which build would. */
static void test_refused(void **state)
{
    (void)state;
    nvenc_need();
    const struct encoder_params params = params_for(PIXEL_NV12);
    struct error err = {0};
    void *enc = NULL;
    assert_int_equal(nvenc_device_format(0, "av1", "", PIXEL_YUV420P), PIXEL_NONE);
    assert_int_equal(nv->encoder->open(&enc, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "av1"));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#if GPU_ENCODE_API(12, 0)
        cmocka_unit_test(test_lossless),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_quality),
        cmocka_unit_test(test_sessions_are_used_again),
        cmocka_unit_test(test_told),
#else
        cmocka_unit_test(test_refused),
#endif
    };
    nv = codec_backend(DEVICE_CUDA);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

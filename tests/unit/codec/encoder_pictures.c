/* Pictures of encoders through codec.h: lossless coding, metadata, formats; and headers that say
 * what they are. With `cuda` the encoders are NVENC's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "encoding.h"

static const struct codec_backend *backend, *decoding;

static void test_lossless(void **state)
{
    (void)state;
    static const enum pixel_format formats[] = {PIXEL_YUV420P, PIXEL_YUV420P10};
    for (size_t c = 0; c < CODECS_COUNT; c++)
        for (size_t n = 0; have(backend, codecs[c]) && n < 2; n++) {
            struct encoder_params params = params_for(backend, codecs[c]);
            struct frame_list frames = {0};
            struct round_trip trip;
            struct error err = {0};
            void *enc = NULL;
            params.quality = 0;
            set_format(backend, &params, formats[n]);
            assert_int_equal(host_format(backend, params.format), formats[n]);
            const int rc = backend->encoder->open(&enc, &params, &err);
            if (rc == RGPU_ERROR_UNSUPPORTED) {
                print_message("%s\n", err.text);
                assert_non_null(strstr(err.text, "lossless"));
                continue;
            }
            assert_int_equal(rc, 0);
            backend->encoder->close(enc);
            make_input(backend, &params, 20, 5, &frames);
            round_trip(backend, decoding, &params, &frames, &trip);
            check_same_pictures(&trip.pictures, &frames, codecs[c]);
            round_trip_done(&trip);
            frame_list_done(&frames);
        }
}

static const struct hdr bt2020_hdr = {
    .has_mastering = true,
    .has_light_level = true,
    .primary_x = {35400, 8500, 6550},
    .primary_y = {14600, 39850, 2300},
    .white_x = 15635,
    .white_y = 16450,
    .luminance_max = 10000000,
    .luminance_min = 50,
    .max_content_light = 1000,
    .max_average_light = 400,
};

static void check_hdr(const char *where, const struct hdr *got)
{
    const struct hdr *want = &bt2020_hdr;
    if (!got->has_mastering || !got->has_light_level)
        fail_msg("%s: mastering %d, light level %d", where, got->has_mastering,
                 got->has_light_level);
    assert_memory_equal(got->primary_x, want->primary_x, sizeof(want->primary_x));
    assert_memory_equal(got->primary_y, want->primary_y, sizeof(want->primary_y));
    assert_int_equal(got->white_x, want->white_x);
    assert_int_equal(got->white_y, want->white_y);
    assert_int_equal(got->luminance_max, want->luminance_max);
    assert_int_equal(got->luminance_min, want->luminance_min);
    assert_int_equal(got->max_content_light, want->max_content_light);
    assert_int_equal(got->max_average_light, want->max_average_light);
}

/* Colour, aspect and HDR come back in each key frame, and out of the decoder. */
static void test_metadata(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(backend, codecs[c]))
            continue;
        struct encoder_params params = params_for(backend, codecs[c]);
        struct frame_list frames = {0};
        struct round_trip trip;
        set_format(backend, &params, PIXEL_YUV420P10);
        params.color = (struct color){9, 16, 9, RANGE_LIMITED, CHROMA_TOP_LEFT};
        params.hdr = bt2020_hdr;
        params.sample_aspect = (struct rational){4, 3};
        make_input(backend, &params, 12, 6, &frames);
        frames.items[5]->flags |= FRAME_KEY;
        round_trip(backend, decoding, &params, &frames, &trip);
        for (size_t i = 0; i < trip.packets.count; i++) {
            struct look look;
            look_at(codecs[c], &trip.packets.items[i], &look);
            if (look.key)
                check_hdr(codecs[c], &look.hdr);
        }
        for (size_t i = 0; i < trip.pictures.count; i++) {
            const struct frame *f = trip.pictures.items[i];
            assert_memory_equal(&f->color, &params.color, sizeof(params.color));
            if (strcmp(codecs[c], "av1") != 0) {
                assert_int_equal(f->sample_aspect.num, 4);
                assert_int_equal(f->sample_aspect.den, 3);
            }
            if (!strcmp(codecs[c], "hevc") || i == 0 || i == 5)
                if (strcmp(codecs[c], "h264") != 0) /* read by newer libavcodec only */
                    check_hdr("decoded", &f->hdr);
        }
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

static void test_captions(void **state)
{
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        if (!have(backend, codecs[c]))
            continue;
        struct encoder_params params = params_for(backend, codecs[c]);
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        struct frame_list back = {0};
        params.speed = 4;
        make_input(backend, &params, 20, 7, &frames);
        for (size_t i = 0; i < frames.count; i++) {
            /* Zeros in a row ask for emulation prevention. */
            const uint8_t cc[] = {0xfc, (uint8_t)i, 0x20, 0xf9, 0, 0, 0xfa, 0, 0, 0xfa, 0, 1};
            frames.items[i]->side[0].type = SIDE_A53_CC;
            frames.items[i]->side[0].buf = buffer_copy(cc, i % 3 ? sizeof(cc) : 6);
        }
        encode_all(backend, &params, &frames, &packets, NULL);
        decode_encoded(decoding, &params, NULL, packets.items, packets.count, &back);
        assert_int_equal(back.count, frames.count);
        for (size_t i = 0; i < back.count; i++) {
            const struct buffer *want = frames.items[i]->side[0].buf;
            const struct buffer *got = back.items[i]->side[0].buf;
            assert_int_equal(back.items[i]->side[0].type, SIDE_A53_CC);
            assert_int_equal(got->size, want->size);
            assert_memory_equal(got->data, want->data, want->size);
        }
        frame_list_done(&back);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

static void test_interlaced(void **state)
{
    (void)state;
    if (!have(backend, "h264"))
        return;
    for (int top = 0; top <= 1; top++) {
        struct encoder_params params = params_for(backend, "h264");
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        struct frame_list back = {0};
        params.field_order = top ? FIELD_TOP_FIRST : FIELD_BOTTOM_FIRST;
        params.no_fallback = false; /* few GPUs encode fields */
        params.quality = 20;
        make_input(backend, &params, 10, 8, &frames);
        encode_all(backend, &params, &frames, &packets, NULL);
        decode_encoded(decoding, &params, NULL, packets.items, packets.count, &back);
        assert_int_equal(back.count, frames.count);
        for (size_t i = 0; i < back.count; i++) {
            assert_true(back.items[i]->flags & FRAME_INTERLACED);
            assert_int_equal(!!(back.items[i]->flags & FRAME_TOP_FIRST), top);
        }
        frame_list_done(&back);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *codec, *profile;
        enum pixel_format source, format;
        int codec_profile; /* -1: not looked at */
    } cases[] = {
        {"h264", "", PIXEL_YUV420P, PIXEL_YUV420P, 100},
        {"h264", "", PIXEL_YUV420P10, PIXEL_YUV420P10, 110},
        {"h264", "", PIXEL_YUV420P12, PIXEL_YUV420P10, 110},
        {"h264", "main", PIXEL_YUV420P10, PIXEL_YUV420P, 77},
        {"h264", "baseline", PIXEL_YUV422P10, PIXEL_YUV420P, 66 | 1 << 9},
        {"h264", "high", PIXEL_P010, PIXEL_YUV420P, 100},
        {"h264", "high10", PIXEL_YUV420P, PIXEL_YUV420P10, 110},
        {"h264", "high422", PIXEL_YUV422P10, PIXEL_YUV422P10, 122},
        {"h264", "high422", PIXEL_YUV444P, PIXEL_YUV422P, 122},
        {"h264", "high444", PIXEL_GBRP12, PIXEL_YUV444P10, 244},
        {"h264", "", PIXEL_NV12, PIXEL_NV12, 100},
        {"h264", "", PIXEL_P010, PIXEL_YUV420P10, 110},
        {"h264", "", PIXEL_GBRP, PIXEL_YUV420P, 100},
        {"h264", "", PIXEL_GRAY10, PIXEL_YUV420P10, 110},
        {"h264", "", PIXEL_YUV411P, PIXEL_YUV420P, 100},
        {"h264", "", PIXEL_YUV440P, PIXEL_YUV420P, 100},
        {"hevc", "", PIXEL_YUV420P, PIXEL_YUV420P, 1},
        {"hevc", "", PIXEL_YUV422P10, PIXEL_YUV420P10, 2},
        {"hevc", "main", PIXEL_YUV420P10, PIXEL_YUV420P, 1},
        {"hevc", "main10", PIXEL_YUV420P, PIXEL_YUV420P10, 2},
        {"hevc", "", PIXEL_NV12, PIXEL_YUV420P, 1},
        {"hevc", "main422-10", PIXEL_YUV422P, PIXEL_YUV422P10, 4},
        {"av1", "", PIXEL_YUV444P12, PIXEL_YUV420P10, 0},
        {"av1", "", PIXEL_GRAY8, PIXEL_YUV420P, 0},
        {"vp8", "", PIXEL_YUV420P, PIXEL_NONE, -1},
        {"h264", "", PIXEL_NONE, PIXEL_NONE, -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].format != PIXEL_NONE && !have(backend, cases[i].codec))
            continue;
        const enum pixel_format format =
            backend->encoder->format(0, cases[i].codec, cases[i].profile, cases[i].source);
        if (host_format(backend, format) != host_format(backend, cases[i].format))
            fail_msg("case %zu: %s %s", i, cases[i].codec,
                     pixel_info(format) ? pixel_info(format)->name : "none");
        if (format == PIXEL_NONE)
            continue;
        struct encoder_params params = params_for(backend, cases[i].codec);
        struct frame_list frames = {0};
        struct round_trip trip;
        snprintf(params.profile, sizeof(params.profile), "%s", cases[i].profile);
        set_format(backend, &params, cases[i].source);
        assert_int_equal(params.format, format);
        params.quality = 10;
        params.speed = 4;
        make_input(backend, &params, 3, 9, &frames);
        round_trip(backend, decoding, &params, &frames, &trip);
        if (trip.header.codec_profile != cases[i].codec_profile)
            fail_msg("case %zu: profile %d", i, trip.header.codec_profile);
        assert_true(trip.header.codec_level >= 0);
        assert_int_equal(trip.pictures.items[0]->format, planar_format(format));
        assert_true(luma_mse(trip.pictures.items[1], frames.items[1]) < 20);
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lossless), cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_captions), cmocka_unit_test(test_interlaced),
        cmocka_unit_test(test_formats),
    };
    decoding = backend_of(DEVICE_CPU);
    backend = backend_of(kind_asked_for(argc, argv));
    if (!backend)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

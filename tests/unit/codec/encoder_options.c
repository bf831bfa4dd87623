/* What the command lets one ask for, against what the encoders take: B-frames at every speed, the
 * ends of the range of bit rates, profiles; and headers ahead of the first packet. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/codec_log.h"
#include "media/av1.h"
#include "support/coding.h"

#define WIDTH 64
#define HEIGHT 64
#define SPEEDS 7
#define BFRAMES_MAX 16

static const struct codec_backend *backend;

static struct encoder_params params_for(const char *codec)
{
    struct encoder_params params = {
        .width = WIDTH,
        .height = HEIGHT,
        .format = PIXEL_YUV420P,
        .time_base = {1, 25},
        .frame_rate = {25, 1},
        .rate = RATE_QUALITY,
        .quality = 30,
        .speed = 1,
        .bframes = -1,
        .threads = 1,
        .global_headers = true,
    };
    snprintf(params.codec, sizeof(params.codec), "%s", codec);
    return params;
}

static bool have(const char *codec)
{
    if (backend->encoder->format(0, codec, "", PIXEL_YUV420P) != PIXEL_NONE)
        return true;
    print_message("%s: no encoder here\n", codec);
    return false;
}

/* Whether it opens; a refusal must be one line that holds `named`. */
static bool opens(const struct encoder_params *params, const char *named)
{
    struct error err = {0};
    void *enc = NULL;
    const int rc = backend->encoder->open(&enc, params, &err);
    backend->encoder->close(enc);
    if (rc == 0)
        return true;
    if (!named || !strstr(err.text, named) || strchr(err.text, '\n'))
        fail_msg("%s, speed %d, %d B-frames, profile \"%s\": %s", params->codec, params->speed,
                 params->bframes, params->profile, err.text);
    return false;
}

/* One more frame than fits between two anchors, so that as many as asked for may come in a row. */
static void check_bframes(const struct encoder_params *params)
{
    struct packet_list packets = {0};
    struct frame_list frames = {0};
    struct frame_list back = {0};
    struct encoder_header header = {0};
    if (!opens(params, NULL))
        return;
    make_pictures(params->format, WIDTH, HEIGHT, BFRAMES_MAX + 3, 21, &frames);
    encode_all(backend, params, &frames, &packets, &header);
    assert_int_equal(packets.count, frames.count);
    bool reordered = false;
    for (size_t i = 1; i < packets.count; i++)
        reordered |= packets.items[i].pts < packets.items[i - 1].pts;
    if (reordered && (params->bframes == 0 || header.reorder_frames == 0))
        fail_msg("%s, speed %d, %d B-frames: out of order", params->codec, params->speed,
                 params->bframes);
    decode_encoded(backend, params, &header, packets.items, packets.count, &back);
    assert_int_equal(back.count, frames.count);
    buffer_unref(&header.extradata);
    frame_list_done(&back);
    packet_list_done(&packets);
    frame_list_done(&frames);
}

static void test_bframes_at_every_speed(void **state)
{
    (void)state;
    static const char *const codecs[] = {"h264", "hevc"};
    for (size_t c = 0; c < 2; c++)
        for (int speed = 1; have(codecs[c]) && speed <= SPEEDS; speed++)
            for (int n = -1; n <= BFRAMES_MAX; n++) {
                struct encoder_params params = params_for(codecs[c]);
                params.speed = speed;
                params.bframes = n;
                check_bframes(&params);
            }
}

/* At the fastest speed B-frames are not placed by content: a still film has as many as asked for.
 */
static void test_bframes_are_used(void **state)
{
    (void)state;
    static const char *const codecs[] = {"h264", "hevc"};
    for (size_t c = 0; c < 2; c++)
        for (int n = 1; have(codecs[c]) && n <= BFRAMES_MAX; n++) {
            struct encoder_params params = params_for(codecs[c]);
            struct packet_list packets = {0};
            struct frame_list frames = {0};
            params.bframes = n;
            for (int i = 0; i < 3 * (BFRAMES_MAX + 1); i++) {
                make_pictures(params.format, WIDTH, HEIGHT, 1, 22, &frames);
                frames.items[i]->pts = i;
            }
            encode_all(backend, &params, &frames, &packets, NULL);
            int64_t jump = 0;
            for (size_t i = 1; i < packets.count; i++)
                if (packets.items[i].pts - packets.items[i - 1].pts > jump)
                    jump = packets.items[i].pts - packets.items[i - 1].pts;
            if (jump < n + 1)
                fail_msg("%s, %d B-frames: anchors are %lld apart", codecs[c], n, (long long)jump);
            packet_list_done(&packets);
            frame_list_done(&frames);
        }
}

/* The writer has them before the first packet, and they are those of the stream. */
static void test_headers_before_packets(void **state)
{
    (void)state;
    static const struct {
        const char *codec;
        int width, height, quality;
        enum pixel_format format;
        int64_t bit_rate_bps;
        bool by_aom;
    } cases[] = {
        {"h264", 64, 64, 0, PIXEL_YUV420P, 0},          {"hevc", 64, 64, 0, PIXEL_YUV420P10, 0},
        {"av1", 64, 64, 30, PIXEL_YUV420P, 0},          {"av1", 64, 64, 0, PIXEL_YUV420P, 0, true},
        {"av1", 66, 130, 0, PIXEL_YUV420P10, 0, true},  {"av1", 32, 32, 30, PIXEL_YUV420P, 0, true},
        {"av1", 48, 36, 0, PIXEL_YUV420P, 50000, true}, {"av1", 64, 64, 0, PIXEL_YUV420P, 50000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct encoder_params params = params_for(cases[i].codec);
        params.width = cases[i].width;
        params.height = cases[i].height;
        params.quality = cases[i].quality;
        params.format = cases[i].format;
        params.bit_rate_bps = cases[i].bit_rate_bps;
        params.rate = cases[i].bit_rate_bps ? RATE_VBR : RATE_QUALITY;
        if (!have(cases[i].codec) || !opens(&params, "lossless"))
            continue;
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        struct encoder_header header = {0};
        make_pictures(params.format, params.width, params.height, 8, 23, &frames);
        frames.items[5]->flags |= FRAME_KEY;
        encode_all(backend, &params, &frames, &packets, &header);
        if (!header.extradata || header.codec_profile < 0 || header.codec_level < 0)
            fail_msg("case %zu: no headers", i);
        for (size_t k = 0; header.extradata && !strcmp(params.codec, "av1") && k < packets.count;
             k++) {
            struct av1_config config, in_band;
            const struct packet *pkt = &packets.items[k];
            if (!(pkt->flags & PACKET_KEY))
                continue;
            assert_int_equal(
                av1_config_read(header.extradata->data, header.extradata->size, &config, NULL), 0);
            assert_int_equal(av1_config_read(pkt->data, pkt->size, &in_band, NULL), 0);
            assert_int_equal(config.profile, in_band.profile);
            assert_int_equal(config.level, in_band.level);
            assert_int_equal(config.bit_depth, in_band.bit_depth);
            /* SVT-AV1 1.4 goes on to change which tools it says it has. */
            if (!cases[i].by_aom)
                continue;
            assert_int_equal(config.obus_size, in_band.obus_size);
            assert_memory_equal(config.obus, in_band.obus, config.obus_size);
        }
        buffer_unref(&header.extradata);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

/* The ends of the range that the command takes, and what is between them. */
static void test_bit_rates(void **state)
{
    (void)state;
    static const char *const codecs[] = {"h264", "hevc", "av1"};
    static const int kbps[] = {1, 2, 5, 10, 100000, 1000000};
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; have(codecs[c]) && i < sizeof(kbps) / sizeof(kbps[0]); i++)
            for (int side = 32; side <= 64; side += 32) {
                struct encoder_params params = params_for(codecs[c]);
                struct packet_list packets = {0};
                struct frame_list frames = {0};
                params.rate = RATE_VBR;
                params.bit_rate_bps = INT64_C(1000) * kbps[i];
                params.width = params.height = side;
                const bool most = kbps[i] > 100000 && !strcmp(codecs[c], "av1");
                assert_true(opens(&params, "--bitrate") == !most);
                if (most)
                    continue;
                make_pictures(params.format, side, side, 25, 24, &frames);
                encode_all(backend, &params, &frames, &packets, NULL);
                size_t size = 0;
                for (size_t k = 0; k < packets.count; k++)
                    size += packets.items[k].size;
                /* A rate that overflows in the encoder gives next to nothing. */
                if (kbps[i] >= 100000 && size < 25 * 32 * 32 / 2)
                    fail_msg("%s at %d kbit/s: %zu bytes", codecs[c], kbps[i], size);
                packet_list_done(&packets);
                frame_list_done(&frames);
            }
}

/* Each profile that a refusal lists is to be had, and refusals say --profile. */
static void test_profiles(void **state)
{
    (void)state;
    static const struct {
        const char *codec, *profiles[10];
    } cases[] = {
        {"h264", {"baseline", "main", "high", "high10", "high422", "high444"}},
        {"hevc",
         {"main", "main10", "main12", "main422-10", "main422-12", "main444-8", "main444-10",
          "main444-12"}},
        {"av1", {"main"}},
    };
    static const enum pixel_format sources[] = {PIXEL_YUV420P, PIXEL_YUV420P10, PIXEL_YUV422P,
                                                PIXEL_YUV444P, PIXEL_YUV444P12, PIXEL_GBRP};
    for (size_t c = 0; c < 3; c++) {
        struct encoder_params params = params_for(cases[c].codec);
        if (!have(cases[c].codec))
            continue;
        for (const char *const *name = cases[c].profiles; *name; name++)
            for (size_t s = 0; s < sizeof(sources) / sizeof(sources[0]); s++) {
                snprintf(params.profile, sizeof(params.profile), "%s", *name);
                params.format = backend->encoder->format(0, params.codec, *name, sources[s]);
                params.quality = 30;
                assert_true(opens(&params, NULL));
                params.quality = 0;
                const bool none = !strcmp(params.codec, "h264") && strcmp(*name, "high444") != 0;
                assert_true(opens(&params, none ? "--profile" : "lossless") == !none ||
                            !strcmp(params.codec, "av1"));
            }
        params.format = PIXEL_YUV420P;
        snprintf(params.profile, sizeof(params.profile), "High");
        assert_false(opens(&params, "--profile one of "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bframes_at_every_speed),
        cmocka_unit_test(test_bframes_are_used),
        cmocka_unit_test(test_headers_before_packets),
        cmocka_unit_test(test_bit_rates),
        cmocka_unit_test(test_profiles),
    };
    backend = codec_backend(DEVICE_CPU);
    if (!backend)
        return 77;
    setenv("SVT_LOG", "0", 0);
    codec_log_to_sink();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

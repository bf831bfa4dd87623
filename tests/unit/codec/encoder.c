/* Encoders through codec.h: rates, latency, clear refusals, and what closing gives back. With
 * `cuda` they are NVENC's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoding.h"

static const struct codec_backend *backend;

/* A bit rate is kept, and a frame given is soon a packet where latency counts. */
static void test_rate_and_latency(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(backend, codecs[c]))
            continue;
        for (int cbr = 0; cbr <= 1; cbr++) {
            struct encoder_params params = params_for(backend, codecs[c]);
            struct packet_list packets = {0};
            struct frame_list frames = {0};
            int64_t bits = 0;
            params.rate = cbr ? RATE_CBR : RATE_VBR;
            params.bit_rate_bps = 300000;
            params.gop_frames_usual = 50;
            params.speed = 2;
            make_input(backend, &params, 100, 10, &frames);
            encode_all(backend, &params, &frames, &packets, NULL);
            for (size_t i = 0; i < packets.count; i++)
                bits += (int64_t)packets.items[i].size * 8;
            /* SVT-AV1 needs more than 4 s of noise to find its quantizer. */
            const int64_t most = 4 * 300000 * (strcmp(codecs[c], "av1") ? 15 : 25) / 10;
            if (bits < 4 * 300000 * 6 / 10 || bits > most)
                fail_msg("%s: %lld bits in 4 s, not %d", codecs[c], (long long)bits, 4 * 300000);
            packet_list_done(&packets);
            frame_list_done(&frames);
        }
    }
    for (size_t c = 0; c < 2; c++) {
        if (!have(backend, codecs[c]))
            continue;
        struct encoder_params params = params_for(backend, codecs[c]);
        struct frame_list frames = {0};
        struct error err = {0};
        struct packet pkt = {0};
        void *enc = NULL;
        params.low_latency = true;
        make_input(backend, &params, 10, 11, &frames);
        assert_int_equal(backend->encoder->open(&enc, &params, &err), 0);
        for (size_t i = 0; i < frames.count; i++) {
            assert_int_equal(backend->encoder->send(enc, frames.items[i], &err), 0);
            assert_int_equal(backend->encoder->receive(enc, &pkt, &err), 0);
            assert_int_equal(pkt.pts, frames.items[i]->pts);
            packet_done(&pkt);
        }
        backend->encoder->close(enc);
        frame_list_done(&frames);
    }
}

static void refuse(struct encoder_params params, int code, const char *text)
{
    struct error err = {0};
    void *enc = NULL;
    const int rc = backend->encoder->open(&enc, &params, &err);
    if (rc != code || !strstr(err.text, text))
        fail_msg("%s: \"%s\" lacks \"%s\"", rgpu_error_name(rc), err.text, text);
    assert_null(enc);
}

static void test_refusals(void **state)
{
    (void)state;
    struct encoder_params p = params_for(backend, "nonesuch");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "nonesuch");
    p = params_for(backend, "h264");
    p.width = 127;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "127x96");
    p = params_for(backend, "h264");
    p.width = 20000;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "20000");
    p = params_for(backend, "h264");
    snprintf(p.profile, sizeof(p.profile), "wide");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "--profile one of baseline, main, high, high10, high422");
    p = params_for(backend, "h264");
    set_format(backend, &p, PIXEL_YUV420P10);
    snprintf(p.profile, sizeof(p.profile), "main");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "profile main");
    p = params_for(backend, "h264");
    p.quality = 0;
    snprintf(p.profile, sizeof(p.profile), "high");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "lossless");
    p = params_for(backend, "h264");
    p.bframes = 2;
    snprintf(p.profile, sizeof(p.profile), "baseline");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "B-frames");
    p = params_for(backend, "h264");
    p.format = PIXEL_GBRP;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "gbrp");
    p = params_for(backend, "h264");
    p.quality = 52;
    refuse(p, RGPU_ERROR_PARAM, "52");
    p = params_for(backend, "h264");
    p.rate = RATE_VBR;
    refuse(p, RGPU_ERROR_PARAM, "bit rate");
    p = params_for(backend, "h264");
    p.speed = 8;
    refuse(p, RGPU_ERROR_PARAM, "p8");
    p = params_for(backend, "h264");
    p.time_base = (struct rational){0, 0};
    refuse(p, RGPU_ERROR_PARAM, "time base");
    p = params_for(backend, "h264");
    p.format = PIXEL_NONE;
    refuse(p, RGPU_ERROR_PARAM, "format");
    p = params_for(backend, "h264");
    p.intra_refresh_frames = 1;
    refuse(p, RGPU_ERROR_PARAM, "--gop");
    p.intra_refresh_frames = INTRA_REFRESH_FRAMES_MAX + 1;
    refuse(p, RGPU_ERROR_PARAM, "--gop");
    p.intra_refresh_frames = 50;
    p.bframes = 1;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "--bframes");
    p.bframes = 0;
    p.field_order = FIELD_TOP_FIRST;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "interlaced");
    for (size_t c = 1; c < CODECS_COUNT; c++) {
        p = params_for(backend, codecs[c]);
        p.intra_refresh_frames = 50;
        if (have(backend, codecs[c]))
            refuse(p, RGPU_ERROR_UNSUPPORTED, "intra refresh");
    }
    if (have(backend, "hevc")) {
        p = params_for(backend, "hevc");
        p.field_order = FIELD_TOP_FIRST;
        refuse(p, RGPU_ERROR_UNSUPPORTED, "deinterlace");
        p = params_for(backend, "hevc");
        p.width = p.height = 16;
        refuse(p, RGPU_ERROR_UNSUPPORTED, "16x16");
    }
    backend->encoder->close(NULL);
}

static void test_wrong_frames(void **state)
{
    (void)state;
    const struct encoder_params params = params_for(backend, "h264");
    struct frame_list frames = {0};
    struct error err = {0};
    struct packet pkt = {0};
    void *enc = NULL;
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 2, 12, &frames);
    make_pictures(PIXEL_YUV422P, WIDTH, HEIGHT, 1, 12, &frames);
    assert_int_equal(backend->encoder->open(&enc, &params, &err), 0);
    assert_int_equal(backend->encoder->receive(enc, &pkt, &err), RGPU_ERROR_AGAIN);
    assert_int_equal(backend->encoder->send(enc, frames.items[1], &err), 0);
    assert_int_equal(backend->encoder->send(enc, frames.items[0], &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "grow"));
    frames.items[2]->pts = 9;
    assert_int_equal(backend->encoder->send(enc, frames.items[2], &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "yuv422p"));
    frames.items[0]->pts = PTS_NONE;
    assert_int_equal(backend->encoder->send(enc, frames.items[0], &err), RGPU_ERROR_PARAM);
    assert_int_equal(backend->encoder->send(enc, NULL, &err), 0);
    assert_int_equal(backend->encoder->send(enc, NULL, &err), 0);
    frames.items[0]->pts = 10;
    assert_int_equal(backend->encoder->send(enc, frames.items[0], &err), RGPU_ERROR_PARAM);
    assert_int_equal(backend->encoder->receive(enc, &pkt, &err), 0);
    assert_int_equal(pkt.pts, 1);
    packet_done(&pkt);
    assert_int_equal(backend->encoder->receive(enc, &pkt, &err), RGPU_ERROR_END);
    backend->encoder->close(enc);
    frame_list_done(&frames);
}

/* SVT-AV1 would wait for ever for a packet of an encoder that was given no frame. */
static void test_close_unused(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++)
        for (int drained = 0; have(backend, codecs[c]) && drained <= 1; drained++) {
            const struct encoder_params params = params_for(backend, codecs[c]);
            struct error err = {0};
            void *enc = NULL;
            assert_int_equal(backend->encoder->open(&enc, &params, &err), 0);
            struct packet pkt;
            assert_int_equal(backend->encoder->receive(enc, &pkt, &err), RGPU_ERROR_AGAIN);
            if (drained) {
                assert_int_equal(backend->encoder->send(enc, NULL, &err), 0);
                assert_int_equal(backend->encoder->receive(enc, &pkt, &err), RGPU_ERROR_END);
            }
            backend->encoder->close(enc);
        }
}

/* Closing in mid-stream gives back every reference to the frames. */
static void test_close_early(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(backend, codecs[c]))
            continue;
        const struct encoder_params params = params_for(backend, codecs[c]);
        struct frame_list frames = {0};
        struct error err = {0};
        void *enc = NULL;
        make_input(backend, &params, 6, 13, &frames);
        frames.items[3]->flags |= FRAME_KEY;
        assert_int_equal(backend->encoder->open(&enc, &params, &err), 0);
        for (size_t i = 0; i < frames.count; i++)
            if (backend->encoder->send(enc, frames.items[i], &err) != 0)
                break;
        backend->encoder->close(enc);
        for (size_t i = 0; i < frames.count; i++)
            assert_int_equal(frames.items[i]->refs, 1);
        frame_list_done(&frames);
    }
}

static void test_device(void **state)
{
    (void)state;
    struct device_info info[2];
    memset(info, 0, sizeof(info));
    assert_true(backend->devices(info, 2) >= 1);
    assert_true(info[0].name[0] != 0);
    assert_true(info[0].memory_bytes > 0);
    assert_int_equal(info[0].kind, backend->kind);
    if (backend->kind == DEVICE_CPU)
        assert_true(info[0].cores > 0);
    else if (getenv("RGPU_STANDIN")) /* or all this would be of the CPU's encoders once more */
        assert_true(params_for(backend, "h264").no_fallback &&
                    params_for(backend, "hevc").no_fallback);
    assert_true(backend->devices(NULL, 0) >= 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_and_latency), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_wrong_frames),     cmocka_unit_test(test_close_unused),
        cmocka_unit_test(test_close_early),      cmocka_unit_test(test_device),
    };
    backend = backend_of(kind_asked_for(argc, argv));
    if (!backend)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

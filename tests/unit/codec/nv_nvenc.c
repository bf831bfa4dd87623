/* NVENC behind codec.h, over the stand-in of the driver (or a real one that has it): pictures of
 * the device and of the host come back as they went in, sessions are used again, and what fails
 * does so in one line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "codec/nv/plain.h"
#include "gpu/encode.h"
#include "nvenc_runs.h"
#include "support/clip.h"
#include "support/driver_faults.h"

#define WIDTH 320
#define HEIGHT 240
#define SOURCE                                                                                     \
    "-f lavfi -i testsrc2=s=320x240:r=25:d=0.8,noise=alls=8:allf=t -pix_fmt yuv420p "              \
    "-c:v libx264 -preset veryfast -bf 2 -g 10 "

static const struct codec_backend *nv, *cpu;
static bool standin;
static const char *const codecs[] = {"h264", "hevc"};

static void need_nvenc(void)
{
    standin = nvenc_need();
}

/* For what a real driver cannot be made to do, or does not tell. */
static void need_standin(void)
{
    need_nvenc();
    if (!standin)
        skip();
}

static struct encoder_params rated(const char *codec, int64_t bit_rate_bps)
{
    struct encoder_params params = nvenc_params(codec, WIDTH, HEIGHT);
    params.rate = RATE_VBR;
    params.bit_rate_bps = bit_rate_bps;
    return params;
}

static void *open_decoder(const struct clip *clip)
{
    const struct decoder_params params = {.track = &clip->track, .no_fallback = true};
    struct error err = {0};
    void *dec = NULL;
    if (nv->decoder->open(&dec, &params, &err) != 0)
        fail_msg("%s", err.text);
    return dec;
}

/* The next picture of the clip, of whose packets `sent` have been given; NULL: the end. */
static struct frame *next_picture(void *dec, const struct clip *clip, size_t *sent)
{
    struct error err = {0};
    struct frame *frame = NULL;
    int rc;
    while ((rc = nv->decoder->receive(dec, &frame, &err)) == RGPU_ERROR_AGAIN) {
        const struct packet *pkt = *sent < clip->count ? &clip->packets[*sent] : NULL;
        rc = nv->decoder->send(dec, pkt, &err);
        *sent += rc == 0;
        if (rc != 0 && rc != RGPU_ERROR_AGAIN)
            break;
    }
    if (rc != 0 && rc != RGPU_ERROR_END)
        fail_msg("%s", err.text);
    return frame;
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* A ladder of two rungs from decoded pictures, all on the device. */
struct ladder {
    void *scaler, *encoders[2];
    struct packet_list packets[2];
    struct frame_list host[2]; /* what the encoders were given */
    struct nv_plain *plain;
    int64_t frames;
};

static const int sizes[2][2] = {{WIDTH, HEIGHT}, {160, 120}};

static void ladder_open(struct ladder *l, const char *codec, const struct color *color)
{
    struct error err = {0};
    struct scaler_params scaler = {.width = WIDTH,
                                   .height = HEIGHT,
                                   .format = PIXEL_NV12,
                                   .color = *color,
                                   .target = *color,
                                   .outputs_count = 2};
    *l = (struct ladder){0};
    for (int i = 0; i < 2; i++) {
        const struct encoder_params params = nvenc_params(codec, sizes[i][0], sizes[i][1]);
        scaler.outputs[i] = (struct scaler_output){params.width, params.height, PIXEL_NV12, {0}};
        l->encoders[i] = nvenc_open_encoder(&params);
    }
    if (nv->scaler->open(&l->scaler, &scaler, &err) != 0 || nv_plain_open(&l->plain, 0, &err) != 0)
        fail_msg("%s", err.text);
}

static void ladder_frame(struct ladder *l, struct frame *frame)
{
    struct error err = {0};
    struct frame *rungs[RENDITIONS_MAX] = {0}, *host = NULL;
    if (nv->scaler->run(l->scaler, frame, 3, rungs, &err) != 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rungs[i]->place, PLACE_DEVICE);
        assert_int_equal(rungs[i]->format, PIXEL_NV12);
        const long copies =
            driver_calls("cuMemcpy2DAsync_v2") + driver_calls("cuMemcpyHtoDAsync_v2");
        encode_frame(nv, l->encoders[i], rungs[i], &l->packets[i]);
        assert_int_equal(driver_calls("cuMemcpy2DAsync_v2") + driver_calls("cuMemcpyHtoDAsync_v2"),
                         copies);
        if (nv_plain_run(l->plain, rungs[i], &host, &err) != 0)
            fail_msg("%s", err.text);
        frame_list_add(&l->host[i], host);
        host = NULL;
        frame_unref(&rungs[i]);
    }
    l->frames++;
}

static void ladder_close(struct ladder *l, const char *codec)
{
    for (int i = 0; i < 2; i++) {
        const struct encoder_params params = nvenc_params(codec, sizes[i][0], sizes[i][1]);
        struct encoder_header header = {0};
        struct frame_list back = {0};
        encode_frame(nv, l->encoders[i], NULL, &l->packets[i]);
        nv->encoder->header(l->encoders[i], &header);
        assert_string_equal(header.note, "");
        nv->encoder->close(l->encoders[i]);
        decode_encoded(cpu, &params, &header, l->packets[i].items, l->packets[i].count, &back);
        assert_int_equal(back.count, l->frames);
        check_same_pictures(&back, &l->host[i], codec);
        buffer_unref(&header.extradata);
        frame_list_done(&back);
        frame_list_done(&l->host[i]);
        packet_list_done(&l->packets[i]);
    }
    nv->scaler->close(l->scaler);
    nv_plain_close(&l->plain);
}

/* Nothing is copied between the decoder and the encoders. */
static void test_pictures_stay_on_the_device(void **state)
{
    (void)state;
    need_nvenc();
    struct clip clip;
    assert_true(clip_make("nvenc.mp4", SOURCE));
    clip_read("nvenc.mp4", &clip);
    for (size_t c = 0; c < 2; c++) {
        void *dec = open_decoder(&clip);
        struct frame *frame;
        struct ladder l;
        size_t sent = 0;
        ladder_open(&l, codecs[c], &clip.track.color);
        while ((frame = next_picture(dec, &clip, &sent))) {
            ladder_frame(&l, frame);
            frame_unref(&frame);
        }
        nv->decoder->close(dec);
        assert_int_equal(l.frames, clip.count);
        ladder_close(&l, codecs[c]);
    }
    clip_done(&clip);
}

/* NVENC looks ahead at more pictures than a decoder has to give. */
static void test_decoded_pictures(void **state)
{
    (void)state;
    need_nvenc();
    struct encoder_params params = rated("h264", 800000);
    struct packet_list packets = {0};
    struct frame *frame;
    struct clip clip;
    size_t sent = 0;
    assert_true(clip_make("nvenc.mp4", SOURCE));
    clip_read("nvenc.mp4", &clip);
    void *dec = open_decoder(&clip);
    params.speed = 7;
    void *enc = nvenc_open_encoder(&params);
    while ((frame = next_picture(dec, &clip, &sent))) {
        encode_frame(nv, enc, frame, &packets);
        frame_unref(&frame);
    }
    encode_frame(nv, enc, NULL, &packets);
    assert_int_equal(packets.count, clip.count);
    nv->encoder->close(enc);
    nv->decoder->close(dec);
    packet_list_done(&packets);
    clip_done(&clip);
}

/* Planar pictures of the host, of 8 and 10 bits, lossless. */
static void test_host_frames(void **state)
{
    static const struct {
        const char *codec;
        enum pixel_format format;
    } cases[] = {{"h264", PIXEL_NV12}, {"hevc", PIXEL_NV12}, {"hevc", PIXEL_P010}};
    (void)state;
    need_nvenc();
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        struct encoder_params params = nvenc_params(cases[n].codec, WIDTH, HEIGHT);
        struct frame_list frames = {0};
        struct round_trip trip;
        params.format = cases[n].format;
        make_pictures(planar_format(params.format), WIDTH, HEIGHT, 24, 1, &frames);
        frames.items[9]->flags |= FRAME_KEY;
        nvenc_round_trip(&params, &frames, &trip);
        check_same_pictures(&trip.pictures, &frames, params.codec);
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

/* ---- sessions -------------------------------------------------------------------------------- */

static size_t keys_in(const struct packet_list *packets)
{
    size_t keys = 0;
    for (size_t i = 0; i < packets->count; i++)
        keys += packets->items[i].flags & PACKET_KEY ? 1 : 0;
    return keys;
}

/* One run on a session: all packets, and the first is a key frame. */
static void run_session(const struct encoder_params *params, const struct frame_list *frames,
                        bool drained)
{
    struct packet_list packets = {0};
    void *enc = nvenc_open_encoder(params);
    for (size_t i = 0; i < frames->count; i++)
        encode_frame(nv, enc, frames->items[i], &packets);
    if (drained)
        encode_frame(nv, enc, NULL, &packets);
    nv->encoder->close(enc);
    if (drained)
        assert_int_equal(packets.count, frames->count);
    assert_int_equal(packets.count ? keys_in(&packets) : 1, 1);
    if (packets.count)
        assert_true(packets.items[0].flags & PACKET_KEY);
    packet_list_done(&packets);
}

static void test_sessions_are_used_again(void **state)
{
    (void)state;
    need_nvenc();
    struct gpu_device *device = nvenc_hold_device();
    struct frame_list frames = {0};
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 10, 2, &frames);
    for (size_t c = 0; c < 2; c++) {
        const long opens = driver_calls("nvEncOpenEncodeSessionEx");
        const long changes = driver_calls("nvEncReconfigureEncoder");
        struct encoder_params params = rated(codecs[c], 800000);
        run_session(&params, &frames, true);
        run_session(&params, &frames, false); /* closed with pictures inside */
        run_session(&params, &frames, true);
        params.bit_rate_bps = 500000;
        run_session(&params, &frames, true);
        if (standin) {
            assert_int_equal(driver_calls("nvEncOpenEncodeSessionEx"), opens + 1);
            assert_int_equal(driver_calls("nvEncReconfigureEncoder"), changes + 3);
        }
        params.speed = 1;
        run_session(&params, &frames, true);
        if (standin)
            assert_int_equal(driver_calls("nvEncOpenEncodeSessionEx"), opens + 2);
    }
    frame_list_done(&frames);
    gpu_close(&device);
}

/* The rate control of a session that is used again knows nothing of the stream before. */
static void test_sessions_forget(void **state)
{
    (void)state;
    need_nvenc();
    struct gpu_device *device = nvenc_hold_device();
    struct frame_list frames = {0};
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 30, 7, &frames);
    for (size_t c = 0; c < 2; c++) {
        const struct encoder_params params = rated(codecs[c], 400000);
        struct packet_list first = {0}, second = {0};
        encode_all(nv, &params, &frames, &first, NULL);
        const long opens = driver_calls("nvEncOpenEncodeSessionEx");
        encode_all(nv, &params, &frames, &second, NULL);
        assert_int_equal(driver_calls("nvEncOpenEncodeSessionEx"), opens);
        assert_int_equal(second.count, first.count);
        for (size_t i = 0; i < first.count; i++)
            if (second.items[i].size != first.items[i].size)
                fail_msg("%s: packet %zu has %zu bytes, then %zu", codecs[c], i,
                         first.items[i].size, second.items[i].size);
        /* One that cannot is not used. */
        driver_fail("nvEncReconfigureEncoder", 1, NV_ENC_ERR_GENERIC);
        run_session(&params, &frames, true);
        if (standin)
            assert_int_equal(driver_calls("nvEncOpenEncodeSessionEx"), opens + 1);
        packet_list_done(&first);
        packet_list_done(&second);
    }
    frame_list_done(&frames);
    gpu_close(&device);
}

static int64_t bits_of(const struct packet_list *packets, size_t from)
{
    int64_t bits = 0;
    for (size_t i = from; i < packets->count; i++)
        bits += (int64_t)packets->items[i].size * 8;
    return bits;
}

static void test_rate_changes_without_a_key(void **state)
{
    (void)state;
    need_nvenc();
    for (size_t c = 0; c < 2; c++) {
        struct encoder_params params = rated(codecs[c], 2000000);
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        struct error err = {0};
        params.low_latency = true;
        params.rate = RATE_CBR;
        make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 50, 3, &frames);
        void *enc = nvenc_open_encoder(&params);
        for (size_t i = 0; i < 25; i++)
            encode_frame(nv, enc, frames.items[i], &packets);
        assert_int_equal(packets.count, 25);
        assert_int_equal(nv->encoder->rate(enc, 300000, 0, 0, &err), 0);
        for (size_t i = 25; i < 50; i++)
            encode_frame(nv, enc, frames.items[i], &packets);
        encode_frame(nv, enc, NULL, &packets);
        nv->encoder->close(enc);
        assert_int_equal(packets.count, 50);
        assert_int_equal(keys_in(&packets), 1);
        const int64_t all = bits_of(&packets, 0), second = bits_of(&packets, 25);
        if (2 * second > all - second)
            fail_msg("%s: %lld bits after %lld", codecs[c], (long long)second,
                     (long long)(all - second));
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

/* A target that nothing could be opened with leaves the old one. */
static void test_rates_are_bounded(void **state)
{
    static const struct {
        int64_t bit_rate_bps;
        int rc;
    } cases[] = {
        {-1, RGPU_ERROR_PARAM},
        {0, RGPU_ERROR_PARAM},
        {BIT_RATE_BPS_MIN - 1, RGPU_ERROR_PARAM},
        {(int64_t)INT32_MAX + 1, RGPU_ERROR_UNSUPPORTED},
        {INT64_MAX, RGPU_ERROR_UNSUPPORTED},
    };
    (void)state;
    need_nvenc();
    const struct encoder_params params = rated("h264", 800000);
    const long changes = driver_calls("nvEncReconfigureEncoder");
    struct packet_list packets = {0};
    struct frame_list frames = {0};
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 10, 3, &frames);
    void *enc = nvenc_open_encoder(&params);
    for (size_t i = 0; i < frames.count; i++) {
        const size_t n = i % (sizeof(cases) / sizeof(cases[0]));
        struct error err = {0};
        encode_frame(nv, enc, frames.items[i], &packets);
        assert_int_equal(nv->encoder->rate(enc, cases[n].bit_rate_bps, 0, 0, &err), cases[n].rc);
        assert_true(err.text[0] != '\0');
    }
    encode_frame(nv, enc, NULL, &packets);
    nv->encoder->close(enc);
    assert_int_equal(packets.count, frames.count);
    assert_int_equal(driver_calls("nvEncReconfigureEncoder"), changes);
    packet_list_done(&packets);
    frame_list_done(&frames);
}

/* With lookahead, a packet that more pictures have to come for is not waited for inside the driver,
 * where the call that brings one might have to wait too. */
static void test_lookahead(void **state)
{
    enum { FRAMES = 20, DEPTH = 8, SETTLE_US = 20000 };
    (void)state;
    need_nvenc();
    struct encoder_params params = rated("h264", 800000);
    struct packet_list packets = {0};
    struct frame_list frames = {0};
    struct error err = {0};
    struct packet pkt = {0};
    params.speed = 5;
    params.bframes = 0;
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, FRAMES, 6, &frames);
    void *enc = nvenc_open_encoder(&params);
    const long locks = driver_calls("nvEncLockBitstream");
    for (int i = 0; i < FRAMES; i++)
        encode_frame(nv, enc, frames.items[i], &packets);
    size_t count = packets.count;
    for (int tries = 0; count < FRAMES - DEPTH && tries < 500; tries++) {
        usleep(SETTLE_US);
        while (nv->encoder->receive(enc, &pkt, &err) == 0) {
            packet_done(&pkt);
            count++;
        }
    }
    usleep(SETTLE_US);
    if (standin)
        assert_int_equal(driver_calls("nvEncLockBitstream") - locks, FRAMES - DEPTH);
    encode_frame(nv, enc, NULL, &packets);
    nv->encoder->close(enc);
    packet_list_done(&packets);
    frame_list_done(&frames);
}

/* More encoders than sessions: the CPU takes over and says so, unless it is not to. */
static void test_session_limit(void **state)
{
    (void)state;
    need_standin();
    void *encoders[16] = {0};
    struct encoder_params params = nvenc_params("h264", WIDTH, HEIGHT);
    struct encoder_header header = {0};
    struct error err = {0};
    int count = 0, rc = 0;
    params.quality = 30;
    for (; count < 16; count++) {
        rc = nv->encoder->open(&encoders[count], &params, &err);
        if (rc != 0)
            break;
    }
    assert_int_equal(rc, RGPU_ERROR_UNSUPPORTED);
    assert_true(count > 1 && count < 16);
    assert_non_null(strstr(err.text, "session"));
    assert_non_null(strstr(err.text, "--no-fallback"));
    params.no_fallback = false;
    /* Not where others have the rest of the stream on NVENC. */
    params.joined = true;
    assert_int_equal(nv->encoder->open(&encoders[count], &params, &err), RGPU_ERROR_LIMIT);
    assert_non_null(strstr(err.text, "--jobs"));
    params.joined = false;
    encoders[count] = nvenc_open_encoder(&params);
    nv->encoder->header(encoders[count], &header);
    assert_non_null(strstr(header.note, "the CPU encodes h264: "));
    for (int i = 0; i <= count; i++)
        nv->encoder->close(encoders[i]);
    /* A kept session makes way for one of another kind. */
    struct gpu_device *device = nvenc_hold_device();
    params.no_fallback = true;
    for (int i = 0; i < count; i++)
        encoders[i] = nvenc_open_encoder(&params);
    for (int i = 0; i < count; i++)
        nv->encoder->close(encoders[i]);
    params.speed = 2;
    for (int i = 0; i < count; i++)
        encoders[i] = nvenc_open_encoder(&params);
    for (int i = 0; i < count; i++)
        nv->encoder->close(encoders[i]);
    gpu_close(&device);
    buffer_unref(&header.extradata);
}

/* What is kept makes way where there is no memory for a session; then it is an error. */
static void test_memory_is_made(void **state)
{
    (void)state;
    need_standin();
    struct gpu_device *device = nvenc_hold_device();
    struct encoder_params params = rated("h264", 800000);
    struct error err = {0};
    void *enc = nvenc_open_encoder(&params);
    nv->encoder->close(enc);
    const long destroyed = driver_calls("nvEncDestroyEncoder");
    params.speed = 2;
    driver_fail("nvEncInitializeEncoder", 1, NV_ENC_ERR_OUT_OF_MEMORY);
    enc = nvenc_open_encoder(&params);
    /* The one that found no memory, and the kept one. */
    assert_int_equal(driver_calls("nvEncDestroyEncoder"), destroyed + 2);
    driver_fail("nvEncInitializeEncoder", 1, NV_ENC_ERR_OUT_OF_MEMORY);
    void *other = NULL;
    assert_int_equal(nv->encoder->open(&other, &params, &err), RGPU_ERROR_MEMORY);
    nv->encoder->close(enc);
    gpu_close(&device);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* Encodes until the end or an error; gives the error. */
static int try_run(const struct frame_list *frames)
{
    const struct encoder_params params = rated("h264", 800000);
    struct error err = {0};
    struct packet pkt = {0};
    void *enc = NULL;
    int rc = nv->encoder->open(&enc, &params, &err);
    for (size_t i = 0; rc == 0 && i <= frames->count;) {
        rc = nv->encoder->send(enc, i < frames->count ? frames->items[i] : NULL, &err);
        i += rc == 0;
        while ((rc == 0 || rc == RGPU_ERROR_AGAIN) &&
               (rc = nv->encoder->receive(enc, &pkt, &err)) == 0)
            packet_done(&pkt);
        rc = rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END ? 0 : rc;
    }
    if (rc != 0 && err.text[0] == 0)
        fail_msg("%s without a text", rgpu_error_name(rc));
    nv->encoder->close(enc);
    return rc;
}

/* Each call fails once, at its first times: an error in one line, or none where nothing hangs on
 * it; and nothing is left behind. */
static void test_each_call_fails(void **state)
{
    static const char *const calls[] = {
        "nvEncOpenEncodeSessionEx",
        "nvEncGetEncodePresetConfigEx",
        "nvEncInitializeEncoder",
        "nvEncSetIOCudaStreams",
        "nvEncCreateBitstreamBuffer",
        "nvEncRegisterResource",
        "nvEncMapInputResource",
        "nvEncUnmapInputResource",
        "nvEncEncodePicture",
        "nvEncLockBitstream",
        "nvEncUnlockBitstream",
        "nvEncGetSequenceParams",
        "nvEncUnregisterResource",
        "nvEncDestroyBitstreamBuffer",
        "nvEncDestroyEncoder",
        "cuStreamCreate",
        "cuEventCreate",
        "cuMemAlloc_v2",
        "cuMemHostAlloc",
        "cuMemcpyHtoDAsync_v2",
    };
    static const int codes[] = {8 /* INVALID_PARAM */, 10 /* OUT_OF_MEMORY */, 20 /* GENERIC */};
    (void)state;
    need_standin();
    struct frame_list frames = {0};
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 6, 4, &frames);
    for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
        const bool harmless = strstr(calls[c], "Destroy") || strstr(calls[c], "Unregister") ||
                              strstr(calls[c], "Unmap");
        const long before = driver_calls(calls[c]);
        assert_int_equal(try_run(&frames), 0);
        const long count = driver_calls(calls[c]) - before;
        if (count == 0)
            fail_msg("%s is not called", calls[c]);
        for (long n = 1; n <= count && n <= 8; n++) {
            const long done = driver_calls(calls[c]);
            driver_fail(calls[c], n, codes[n % 3]);
            int rc = try_run(&frames);
            /* How often it is called depends on time a little. */
            while (driver_calls(calls[c]) - done < n)
                rc = try_run(&frames);
            if ((rc == 0) != harmless || driver_violations() > 0)
                fail_msg("call %ld of %s fails: %s, %u rules broken", n, calls[c],
                         rgpu_error_name(rc), driver_violations());
        }
    }
    frame_list_done(&frames);
}

/* A busy encoder is asked again, also for what it holds back at the end. */
static void test_busy(void **state)
{
    const int busy = NV_ENC_ERR_ENCODER_BUSY;
    struct frame_list frames = {0};
    (void)state;
    need_standin();
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 6, 8, &frames);
    for (long n = 1; n <= (long)frames.count + 1; n++) {
        const long before = driver_calls("nvEncEncodePicture");
        driver_fail("nvEncEncodePicture", n, busy);
        assert_int_equal(try_run(&frames), 0);

        assert_true(driver_calls("nvEncEncodePicture") >= before + (long)frames.count + 2);
    }
    frame_list_done(&frames);
}

/* A decoder whose first picture has been through the ladder. */
static void *ladder_begin(struct ladder *l, const struct clip *clip)
{
    void *dec = open_decoder(clip);
    size_t sent = 0;
    ladder_open(l, "h264", &clip->track.color);
    struct frame *frame = next_picture(dec, clip, &sent);
    assert_non_null(frame);
    ladder_frame(l, frame);
    frame_unref(&frame);
    return dec;
}

static void ladder_drop(struct ladder *l)
{
    for (int i = 0; i < 2; i++) {
        nv->encoder->close(l->encoders[i]);
        frame_list_done(&l->host[i]);
        packet_list_done(&l->packets[i]);
    }
    nv->scaler->close(l->scaler);
    nv_plain_close(&l->plain);
}

static void test_dead_device(void **state)
{
    (void)state;
    need_standin();
    const struct encoder_params params = rated("h264", 800000);
    struct gpu_device *device = nvenc_hold_device();
    struct frame_list frames = {0};
    struct packet pkt = {0};
    struct error err = {0};
    struct clip clip;
    struct ladder ladder;
    assert_true(clip_make("nvenc.mp4", SOURCE));
    clip_read("nvenc.mp4", &clip);
    void *dec = ladder_begin(&ladder, &clip);
    void *enc = nvenc_open_encoder(&params);
    int rc = 0;
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 40, 5, &frames);
    for (size_t i = 0; rc == 0 && i < frames.count; i++) {
        if (i == 20)
            driver_kill(0);
        rc = nv->encoder->send(enc, frames.items[i], &err);
        while ((rc == 0 || rc == RGPU_ERROR_AGAIN) &&
               (rc = nv->encoder->receive(enc, &pkt, &err)) == 0)
            packet_done(&pkt);
        rc = rc == RGPU_ERROR_AGAIN ? 0 : rc;
    }
    assert_int_equal(rc, RGPU_ERROR_DEVICE);
    nv->encoder->close(enc);
    ladder_drop(&ladder);
    nv->decoder->close(dec);
    clip_done(&clip);
    assert_int_equal(driver_violations(), 0);
    /* Nothing that was in use keeps the lost context, of which the stand-in misses all. */
    const long releases = driver_calls("cuDevicePrimaryCtxRelease_v2");
    gpu_close(&device);
    assert_int_equal(driver_calls("cuDevicePrimaryCtxRelease_v2"), releases + 1);
    frame_list_done(&frames);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pictures_stay_on_the_device),
        cmocka_unit_test(test_decoded_pictures),
        cmocka_unit_test(test_host_frames),
        cmocka_unit_test(test_sessions_are_used_again),
        cmocka_unit_test(test_rate_changes_without_a_key),
        cmocka_unit_test(test_rates_are_bounded),
        cmocka_unit_test(test_sessions_forget),
        cmocka_unit_test(test_lookahead),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_session_limit),
        cmocka_unit_test(test_memory_is_made),
        cmocka_unit_test(test_each_call_fails),
    };
    const struct CMUnitTest death[] = {cmocka_unit_test(test_dead_device)};
    nv = codec_backend(DEVICE_CUDA);
    cpu = codec_backend(DEVICE_CPU);
    clip_dir_make();
    if (argc > 1 && !strcmp(argv[1], "death")) {
        /* Without an end, at which its objects are missed. */
        const int failed = cmocka_run_group_tests(death, NULL, NULL);
        clip_dir_remove();
        fflush(NULL);
        _exit(failed != 0);
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clip_dir_remove();
    return failed;
}

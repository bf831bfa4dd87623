/* Sessions of NVENC that are kept, for pictures of other sizes, over the stand-in of the driver (or
 * a real one that has it). With the argument "fixed": on a device that cannot change a session's
 * size, and can do less besides. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/nv/nvenc.h"
#include "gpu/device.h"
#include "gpu/encode.h"
#include "support/coding.h"
#include "support/driver_faults.h"

static const struct codec_backend *nv, *cpu;
static bool standin;
static const char *const codecs[] = {"h264", "hevc"};

/* Keeps the device open, and with it its sessions. */
static struct gpu_device *hold_device(void)
{
    struct gpu_device *device = NULL;
    struct error err = {0};
    bool fixable = false;
    nv = codec_backend(DEVICE_CUDA);
    cpu = codec_backend(DEVICE_CPU);
    if (nv->devices(NULL, 0) == 0 || nvenc_present(0, &fixable, NULL) != 0) {
        assert_null(getenv("RGPU_STANDIN"));
        skip();
    }
    standin = driver_faults_bind();
    if (gpu_open(&device, 0, &err) != 0)
        fail_msg("%s", err.text);
    return device;
}

static struct encoder_params sized(const char *codec, int width, int height)
{
    struct encoder_params params = {
        .width = width,
        .height = height,
        .format = PIXEL_NV12,
        .time_base = {1, 25},
        .frame_rate = {25, 1},
        .rate = RATE_QUALITY,
        .speed = 4,
        .bframes = -1,
        .no_fallback = true,
        .global_headers = true,
    };
    snprintf(params.codec, sizeof(params.codec), "%s", codec);
    return params;
}

static void *open_encoder(const struct encoder_params *params)
{
    struct error err = {0};
    void *enc = NULL;
    if (nv->encoder->open(&enc, params, &err) != 0)
        fail_msg("%s", err.text);
    return enc;
}

/* So many more than before were opened; a real driver does not count. */
static void assert_opened(long before, long count)
{
    if (standin)
        assert_int_equal(driver_calls("nvEncOpenEncodeSessionEx") - before, count);
}

/* Lossless pictures of a size come back; the headers are theirs. */
static void run_sized(const struct encoder_params *params)
{
    struct encoder_params plain = *params;
    struct encoder_header header = {0};
    struct packet_list packets = {0};
    struct frame_list frames = {0}, back = {0};
    plain.format = PIXEL_YUV420P;
    make_pictures(plain.format, params->width, params->height, 5, 9, &frames);
    encode_all(nv, params, &frames, &packets, &header);
    decode_encoded(cpu, &plain, &header, packets.items, packets.count, &back);
    assert_int_equal(back.count, frames.count);
    for (size_t i = 0; i < packets.count; i++)
        assert_int_equal((packets.items[i].flags & PACKET_KEY) != 0, i == 0);
    assert_true(packets.items[0].size > header.extradata->size);
    assert_memory_equal(packets.items[0].data, header.extradata->data, header.extradata->size);
    for (size_t i = 0; i < back.count; i++) {
        assert_int_equal(back.items[i]->width, params->width);
        assert_int_equal(back.items[i]->height, params->height);
        if (!same_picture(back.items[i], frames.items[i]))
            fail_msg("%s of %dx%d: picture %zu is another", params->codec, params->width,
                     params->height, i);
    }
    buffer_unref(&header.extradata);
    frame_list_done(&frames);
    frame_list_done(&back);
    packet_list_done(&packets);
}

/* A session does any size up to the one that it was opened for, and another frame rate. */
static void test_sessions_change_size(void **state)
{
    (void)state;
    struct gpu_device *device = hold_device();
    for (size_t c = 0; c < 2; c++) {
        struct encoder_params large = sized(codecs[c], 1280, 720);
        const struct encoder_params small = sized(codecs[c], 640, 360);
        long opens = driver_calls("nvEncOpenEncodeSessionEx");
        run_sized(&large);
        run_sized(&small);
        large.frame_rate = (struct rational){30000, 1001};
        large.sample_aspect = (struct rational){4, 3};
        run_sized(&large);
        run_sized(&small);
        assert_opened(opens, 1);
        /* One that cannot is not used. */
        opens = driver_calls("nvEncOpenEncodeSessionEx");
        driver_fail("nvEncReconfigureEncoder", 1, NV_ENC_ERR_GENERIC);
        run_sized(&small);
        assert_opened(opens, 1);
        run_sized(&large);
        assert_opened(opens, 2);
    }
    gpu_close(&device);
}

/* Bitstreams are made anew for pictures that are larger than the first ones were. */
static void test_sessions_grow(void **state)
{
    (void)state;
    struct gpu_device *device = hold_device();
    for (size_t c = 0; c < 2; c++) {
        struct encoder_params first = sized(codecs[c], 592, 328);
        struct encoder_params second = sized(codecs[c], 640, 352);
        const long opens = driver_calls("nvEncOpenEncodeSessionEx");
        run_sized(&first);
        run_sized(&second);
        run_sized(&first);
        run_sized(&second);
        assert_opened(opens, 1);
        /* Half of them are not enough. */
        first.speed = second.speed = 2;
        run_sized(&first);
        driver_fail("nvEncCreateBitstreamBuffer", 2, NV_ENC_ERR_GENERIC);
        run_sized(&second);
        assert_opened(opens, 3);
    }
    gpu_close(&device);
}

/* Each takes the session with the least room to spare. */
static void test_sessions_fit(void **state)
{
    (void)state;
    struct gpu_device *device = hold_device();
    const struct encoder_params large = sized("h264", 640, 480), small = sized("h264", 320, 240);
    struct encoder_params other = small;
    void *encoders[3];
    const long opens = driver_calls("nvEncOpenEncodeSessionEx");
    for (int i = 0; i < 2; i++)
        encoders[i] = open_encoder(i == 0 ? &small : &large);
    for (int i = 0; i < 2; i++) /* the large one last, so that it is found first */
        nv->encoder->close(encoders[i]);
    for (int i = 0; i < 2; i++)
        encoders[i] = open_encoder(i == 0 ? &small : &large);
    assert_opened(opens, 2);
    other.low_latency = true;
    encoders[2] = open_encoder(&other);
    for (int i = 0; i < 3; i++)
        nv->encoder->close(encoders[i]);
    assert_opened(opens, 3);
    for (int i = 0; i < 3; i++)
        encoders[i] = open_encoder(&small);
    assert_opened(opens, 4);
    for (int i = 0; i < 3; i++)
        nv->encoder->close(encoders[i]);
    gpu_close(&device);
}

/* On a device that cannot change the size of a session. */
static void test_sessions_of_one_size(void **state)
{
    (void)state;
    struct gpu_device *device = hold_device();
    struct encoder_params large = sized("h264", 320, 240);
    const struct encoder_params small = sized("h264", 160, 120);
    const long opens = driver_calls("nvEncOpenEncodeSessionEx");
    run_sized(&large);
    run_sized(&small);
    assert_opened(opens, 2);
    large.frame_rate = (struct rational){50, 1};
    run_sized(&large);
    run_sized(&small);
    assert_opened(opens, 2);
    gpu_close(&device);
}

/* Nor has it intra refresh, which the CPU then does, unless it is not to. */
static void test_no_intra_refresh(void **state)
{
    (void)state;
    struct gpu_device *device = hold_device();
    struct encoder_params params = sized("h264", 320, 240);
    struct encoder_header header = {0};
    struct error err = {0};
    void *enc = NULL;
    params.intra_refresh_frames = 25;
    assert_int_equal(nv->encoder->open(&enc, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "intra refresh"));
    assert_non_null(strstr(err.text, "--no-fallback"));
    params.no_fallback = false;
    enc = open_encoder(&params);
    nv->encoder->header(enc, &header);
    assert_non_null(strstr(header.note, "the CPU encodes h264: "));
    nv->encoder->close(enc);
    buffer_unref(&header.extradata);
    gpu_close(&device);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_change_size),
        cmocka_unit_test(test_sessions_grow),
        cmocka_unit_test(test_sessions_fit),
    };
    const struct CMUnitTest fixed[] = {cmocka_unit_test(test_sessions_of_one_size),
                                       cmocka_unit_test(test_no_intra_refresh)};
    if (argc > 1 && !strcmp(argv[1], "fixed"))
        return cmocka_run_group_tests(fixed, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

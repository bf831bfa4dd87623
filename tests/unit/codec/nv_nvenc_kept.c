/* Sessions of NVENC that are kept, for pictures of other sizes, over the stand-in of the driver (or
 * a real one that has it). With the argument "fixed": on a device that cannot change a session's
 * size, and can do less besides. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "codec/codec.h"
#include "gpu/encode.h"
#include "nvenc_runs.h"
#include "support/driver_faults.h"

static const struct codec_backend *nv;
static bool standin;
static const char *const codecs[] = {"h264", "hevc"};

/* The device, where it has NVENC. */
static struct gpu_device *begin(void)
{
    standin = nvenc_need();
    return nvenc_hold_device();
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
    struct frame_list frames = {0};
    struct round_trip trip;
    make_pictures(PIXEL_YUV420P, params->width, params->height, 5, 9, &frames);
    nvenc_round_trip(params, &frames, &trip);
    const struct packet *first = &trip.packets.items[0];
    const struct buffer *headers = trip.header.extradata;
    for (size_t i = 0; i < trip.packets.count; i++)
        assert_int_equal((trip.packets.items[i].flags & PACKET_KEY) != 0, i == 0);
    assert_true(first->size > headers->size);
    assert_memory_equal(first->data, headers->data, headers->size);
    check_same_pictures(&trip.pictures, &frames, params->codec);
    round_trip_done(&trip);
    frame_list_done(&frames);
}

/* A session does any size up to the one that it was opened for, and another frame rate. */
static void test_sessions_change_size(void **state)
{
    (void)state;
    struct gpu_device *device = begin();
    for (size_t c = 0; c < 2; c++) {
        struct encoder_params large = nvenc_params(codecs[c], 1280, 720);
        const struct encoder_params small = nvenc_params(codecs[c], 640, 360);
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
    struct gpu_device *device = begin();
    for (size_t c = 0; c < 2; c++) {
        struct encoder_params first = nvenc_params(codecs[c], 592, 328);
        struct encoder_params second = nvenc_params(codecs[c], 640, 352);
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
    struct gpu_device *device = begin();
    const struct encoder_params large = nvenc_params("h264", 640, 480);
    const struct encoder_params small = nvenc_params("h264", 320, 240);
    struct encoder_params other = small;
    void *encoders[3];
    const long opens = driver_calls("nvEncOpenEncodeSessionEx");
    for (int i = 0; i < 2; i++)
        encoders[i] = nvenc_open_encoder(i == 0 ? &small : &large);
    for (int i = 0; i < 2; i++) /* the large one last, so that it is found first */
        nv->encoder->close(encoders[i]);
    for (int i = 0; i < 2; i++)
        encoders[i] = nvenc_open_encoder(i == 0 ? &small : &large);
    assert_opened(opens, 2);
    other.low_latency = true;
    encoders[2] = nvenc_open_encoder(&other);
    for (int i = 0; i < 3; i++)
        nv->encoder->close(encoders[i]);
    assert_opened(opens, 3);
    for (int i = 0; i < 3; i++)
        encoders[i] = nvenc_open_encoder(&small);
    assert_opened(opens, 4);
    for (int i = 0; i < 3; i++)
        nv->encoder->close(encoders[i]);
    gpu_close(&device);
}

/* On a device that cannot change the size of a session. */
static void test_sessions_of_one_size(void **state)
{
    (void)state;
    struct gpu_device *device = begin();
    struct encoder_params large = nvenc_params("h264", 320, 240);
    const struct encoder_params small = nvenc_params("h264", 160, 120);
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
    struct gpu_device *device = begin();
    struct encoder_params params = nvenc_params("h264", 320, 240);
    struct encoder_header header = {0};
    struct error err = {0};
    void *enc = NULL;
    params.intra_refresh_frames = 25;
    assert_int_equal(nv->encoder->open(&enc, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "intra refresh"));
    assert_non_null(strstr(err.text, "--no-fallback"));
    params.no_fallback = false;
    enc = nvenc_open_encoder(&params);
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
    nv = codec_backend(DEVICE_CUDA);
    if (argc > 1 && !strcmp(argv[1], "fixed"))
        return cmocka_run_group_tests(fixed, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

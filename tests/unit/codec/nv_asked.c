/* What a device is asked of NVENC before it encodes: once, beside other work, and a question that
 * fails is no answer; and what it refuses once it encodes. Over the stand-in of the driver; the
 * tests follow on each other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "codec/codec.h"
#include "codec/nv/nvenc.h"
#include "support/coding.h"
#include "support/driver_faults.h"

#define OPEN "nvEncOpenEncodeSessionEx"
#define ASKERS 4

static const struct codec_backend *nv;

static void need_standin(void)
{
    nv = codec_backend(DEVICE_CUDA);
    if (!getenv("RGPU_STANDIN"))
        skip();
    assert_int_equal(nv->devices(NULL, 0), 1); /* loads the driver */
    assert_true(driver_faults_bind());
}

static const struct encoder_params params = {.codec = "h264",
                                             .width = 320,
                                             .height = 240,
                                             .format = PIXEL_NV12,
                                             .time_base = {1, 25},
                                             .frame_rate = {25, 1},
                                             .rate = RATE_QUALITY,
                                             .quality = 30,
                                             .bframes = -1};

static int open_encoder(struct error *err)
{
    void *enc = NULL;
    const int rc = nv->encoder->open(&enc, &params, err);
    if (rc == 0)
        nv->encoder->close(enc);
    return rc;
}

/* Whatever the status: the device is not taken for one without NVENC, nor the CPU for its encoder,
 * and nothing is kept of it. */
static void test_a_question_that_fails(void **state)
{
    static const char *const calls[] = {"nvEncGetEncodeGUIDs", "nvEncGetEncodeCaps"};
    static const int statuses[] = {20, 8, 12, 22, 10}; /* generic, parameters, no memory */
    (void)state;
    need_standin();
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (size_t k = 0; k < sizeof(statuses) / sizeof(statuses[0]); k++) {
            struct device_info device = {.index = 0};
            struct error err = {0};
            bool fixable = true;
            print_message("%s gives %d\n", calls[i], statuses[k]);
            driver_fail(calls[i], 1, statuses[k]);
            assert_int_equal(nvenc_present(0, &fixable, &err), RGPU_ERROR_DEVICE);
            assert_non_null(strstr(err.text, "NVENC does not say what it can do: "));
            assert_false(fixable);
            driver_fail(calls[i], 1, statuses[k]);
            nv->examine(&device);
            assert_true(device.encodes);
            assert_ptr_equal(strstr(device.remark, "its encoder cannot be asked now: "),
                             device.remark);
            driver_fail(calls[i], 1, statuses[k]);
            assert_int_equal(nv->encoder->format(0, "h264", "", PIXEL_YUV420P), PIXEL_NV12);
            driver_fail(calls[i], 1, statuses[k]);
            assert_int_equal(open_encoder(&err), RGPU_ERROR_DEVICE);
            assert_non_null(strstr(err.text, "NVENC does not say what it can do: "));
        }
    }
}

static void *examine(void *arg)
{
    nv->examine(arg);
    return NULL;
}

/* By whoever holds the device, without being told to; all others wait for that answer. */
static void test_asked_once(void **state)
{
    struct device_info devices[ASKERS] = {0};
    struct error err = {0};
    pthread_t threads[ASKERS];
    void *held = NULL;
    (void)state;
    need_standin();
    const long before = driver_calls(OPEN);
    if (nv->hold(0, &held, &err) != 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(thread_start(&threads[i], examine, &devices[i]), 0);
    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < ASKERS; i++) {
        assert_true(devices[i].encodes);
        assert_string_equal(devices[i].remark, "");
    }
    assert_int_equal(driver_calls(OPEN), before + 1);
    nv->release(held);
    assert_int_equal(driver_calls(OPEN), before + 1);
    if (nv->hold(0, &held, &err) != 0)
        fail_msg("%s", err.text);
    nv->release(held);
    assert_int_equal(driver_calls(OPEN), before + 1);
}

/* Also where the holder goes at once. */
static void test_asked_by_the_holder(void **state)
{
    struct error err = {0};
    void *held = NULL;
    (void)state;
    need_standin();
    for (int i = 0; i < 20; i++) {
        /* Others have its sessions: that is not kept, so that it is asked anew. */
        const long before = driver_calls(OPEN);
        driver_fail(OPEN, 1, 21);
        if (nv->hold(0, &held, &err) != 0)
            fail_msg("%s", err.text);
        nv->release(held);
        assert_int_equal(driver_calls(OPEN), before + 1);
    }
}

/* A driver that refuses what it has taken before: an error of the device, which is worth another
 * try, and not the job's end. */
static void test_refused_while_it_runs(void **state)
{
    static const struct {
        const char *call;
        int status;
    } cases[] = {{"nvEncEncodePicture", 12},
                 {"nvEncEncodePicture", 8},
                 {"nvEncEncodePicture", 21},
                 {"nvEncMapInputResource", 12},
                 {"nvEncLockBitstream", 12}};
    struct frame_list frames = {0};
    (void)state;
    need_standin();
    make_pictures(PIXEL_YUV420P, params.width, params.height, 40, 1, &frames);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        struct packet pkt = {0};
        void *enc = NULL;
        if (nv->encoder->open(&enc, &params, &err) != 0)
            fail_msg("%s", err.text);
        driver_fail(cases[i].call, 3, cases[i].status);
        int rc = 0;
        for (size_t k = 0; rc == 0 && k <= frames.count; k++) {
            rc = nv->encoder->send(enc, k < frames.count ? frames.items[k] : NULL, &err);
            while ((rc == 0 || rc == RGPU_ERROR_AGAIN) &&
                   (rc = nv->encoder->receive(enc, &pkt, &err)) == 0)
                packet_done(&pkt);
            rc = rc == RGPU_ERROR_AGAIN ? 0 : rc;
        }
        nv->encoder->close(enc);
        print_message("%s: %s\n", cases[i].call, err.text);
        assert_int_equal(rc, RGPU_ERROR_DEVICE);
        assert_non_null(strstr(err.text, "; --device cpu does without NVENC"));
    }
    frame_list_done(&frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_question_that_fails),
        cmocka_unit_test(test_asked_by_the_holder),
        cmocka_unit_test(test_asked_once),
        cmocka_unit_test(test_refused_while_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "nvenc_runs.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "codec/nv/nvenc.h"
#include "support/driver_faults.h"

#define MSE_MAX 65 /* 30 dB */

bool nvenc_need(void)
{
    bool fixable = false;
    if (codec_backend(DEVICE_CUDA)->devices(NULL, 0) == 0 ||
        nvenc_present(0, &fixable, NULL) != 0) {
        assert_null(getenv("RGPU_STANDIN"));
        skip();
    }
    return driver_faults_bind();
}

void nvenc_need_params(const struct encoder_params *params)
{
    const struct codec_backend *nv = codec_backend(DEVICE_CUDA);
    struct error err = {0};
    void *enc = NULL;
    nvenc_need();
    if (nv->encoder->open(&enc, params, &err) != 0) {
        if (getenv("RGPU_STANDIN"))
            fail_msg("%s", err.text);
        skip();
    }
    nv->encoder->close(enc);
}

struct gpu_device *nvenc_hold_device(void)
{
    struct gpu_device *device = NULL;
    struct error err = {0};
    if (gpu_open(&device, 0, &err) != 0)
        fail_msg("%s", err.text);
    return device;
}

struct encoder_params nvenc_params(const char *codec, int width, int height)
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

void *nvenc_open_encoder(const struct encoder_params *params)
{
    struct error err = {0};
    void *enc = NULL;
    if (codec_backend(DEVICE_CUDA)->encoder->open(&enc, params, &err) != 0)
        fail_msg("%s", err.text);
    return enc;
}

void nvenc_round_trip(const struct encoder_params *params, const struct frame_list *frames,
                      struct round_trip *ret)
{
    round_trip(codec_backend(DEVICE_CUDA), codec_backend(DEVICE_CPU), params, frames, ret);
    assert_string_equal(ret->header.note, "");
}

void nvenc_check_close(const struct frame_list *got, const struct frame_list *want, int speed)
{
    for (size_t i = 0; i < got->count; i++) {
        const double mse = luma_mse(got->items[i], want->items[i]);
        if (mse > MSE_MAX)
            fail_msg("p%d: picture %zu is off by %.1f", speed, i, mse);
    }
}

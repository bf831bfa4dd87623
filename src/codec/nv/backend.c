#include "codec/nv/backend.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/cpu/backend.h"
#include "codec/nv/deinterlace.h"
#include "codec/nv/either.h"
#include "codec/nv/encoder.h"
#include "codec/nv/nvenc.h"
#include "codec/nv/scaler.h"
#include "gpu/device.h"
#include "gpu/sensors.h"

static int devices(struct device_info *ret, int max)
{
    struct gpu_info infos[GPU_DEVICES_MAX];
    const int count = gpu_list(infos, GPU_DEVICES_MAX);
    for (int i = 0; i < count && i < max && i < GPU_DEVICES_MAX; i++) {
        ret[i] = (struct device_info){.kind = DEVICE_CUDA,
                                      .index = infos[i].index,
                                      .cores = cpu_cores(),
                                      .memory_bytes = infos[i].memory_bytes};
        snprintf(ret[i].name, sizeof(ret[i].name), "%s", infos[i].name);
    }
    return count;
}

static void examine(struct device_info *device)
{
    struct error why = {0};
    const int rc = nvenc_present(device->index, &device->is_fixable, &why);
    device->encodes = rc != RGPU_ERROR_UNSUPPORTED;
    if (rc != 0)
        snprintf(device->remark, sizeof(device->remark), "%s: %s",
                 device->encodes ? "its encoder cannot be asked now" : "the CPU encodes", why.text);
}

/* A context that stays, with the kernels in it: else each decoder makes and drops one. */
struct hold {
    struct gpu_device *device;
    struct nvenc_question *question; /* its answer comes while other things are made ready */
};

static void release(void *held)
{
    struct hold *h = held;
    nvenc_ask_end(&h->question);
    gpu_close(&h->device);
    free(h);
}

static int hold(int index, void **ret, struct error *err)
{
    struct hold *h = calloc(1, sizeof(*h));
    if (!h)
        return error_memory(err, "a device");
    int rc = gpu_open(&h->device, index, err);
    if (rc == 0)
        rc = gpu_enter(h->device, err);
    if (rc == 0) {
        h->question = nvenc_ask(h->device);
        rc = gpu_load_kernels(h->device, err);
        gpu_leave(h->device);
    }
    if (rc != 0) {
        release(h);
        return error_mark(err, RGPU_ERROR_DEVICE);
    }
    *ret = h;
    return 0;
}

/* Idle clocks are low too, but nothing holds them down. */
static void say_slowed(int64_t reasons, char ret[DEVICE_WORDS_MAX])
{
    static const struct {
        int64_t bits;
        const char *word;
    } words[] = {
        {GPU_THROTTLE_POWER_CAP, "power cap"},
        {GPU_THROTTLE_SW_THERMAL | GPU_THROTTLE_HW_THERMAL, "heat"},
        {GPU_THROTTLE_POWER_BRAKE, "power brake"},
        {GPU_THROTTLE_HW_SLOWDOWN, "hardware"},
    };
    size_t length = 0;
    ret[0] = '\0';
    for (size_t i = 0; reasons > 0 && i < sizeof(words) / sizeof(words[0]); i++)
        if (reasons & words[i].bits)
            length += (size_t)snprintf(ret + length, DEVICE_WORDS_MAX - length, "%s%s",
                                       length > 0 ? ", " : "", words[i].word);
}

static int use(int index, struct device_use *ret)
{
    struct gpu_info infos[GPU_DEVICES_MAX];
    struct gpu_sensors s;
    const int count = gpu_list(infos, GPU_DEVICES_MAX);
    for (int i = 0; i < count && i < GPU_DEVICES_MAX; i++) {
        if (infos[i].index != index)
            continue;
        const int rc = gpu_sense(&infos[i], &s, NULL);
        if (rc != 0)
            return rc;
        *ret = (struct device_use){.compute_percent = s.sm_percent,
                                   .decoder_percent = s.decoder_percent,
                                   .encoder_percent = s.encoder_percent,
                                   .temperature_c = s.temperature_c,
                                   .power_mw = s.power_mw,
                                   .memory_used_bytes = s.memory_used_bytes,
                                   .clock_mhz = s.sm_clock_mhz,
                                   .memory_clock_mhz = s.memory_clock_mhz,
                                   .video_clock_mhz = s.video_clock_mhz};
        say_slowed(s.throttle_reasons, ret->slowed_by);
        return 0;
    }
    return RGPU_ERROR_DEVICE;
}

const struct codec_backend nv_backend = {
    .name = "cuda",
    .kind = DEVICE_CUDA,
    .devices = devices,
    .examine = examine,
    .hold = hold,
    .release = release,
    .use = use,
    .decoder = &nv_either_ops,
    .scaler = &nv_scaler_ops,
    .encoder = &nv_encoder_ops,
    .deinterlacer = &nv_deinterlace_ops,
};

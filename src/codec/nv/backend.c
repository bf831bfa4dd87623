#include "codec/nv/backend.h"

#include <stdio.h>

#include "codec/cpu/backend.h"
#include "codec/nv/deinterlace.h"
#include "codec/nv/either.h"
#include "codec/nv/encoder.h"
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
                                      .memory_bytes = infos[i].memory_bytes,
                                      .remark = "no NVENC in use: the CPU encodes"};
        snprintf(ret[i].name, sizeof(ret[i].name), "%s", infos[i].name);
    }
    return count;
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
                                   .memory_used_bytes = s.memory_used_bytes};
        return 0;
    }
    return RGPU_ERROR_DEVICE;
}

const struct codec_backend nv_backend = {
    .name = "cuda",
    .kind = DEVICE_CUDA,
    .devices = devices,
    .use = use,
    .decoder = &nv_either_ops,
    .scaler = &nv_scaler_ops,
    .encoder = &nv_encoder_ops,
    .deinterlacer = &nv_deinterlace_ops,
};

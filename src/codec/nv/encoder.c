#include "codec/nv/encoder.h"

#include <stdlib.h>

#include "codec/cpu/encoder.h"
#include "codec/nv/download.h"
#include "codec/nv/plain.h"

struct encoder {
    struct gpu_device *device;
    void *cpu;
};

static enum pixel_format encoder_format(const char *codec, const char *profile,
                                        enum pixel_format source)
{
    return cpu_encoder_ops.format(codec, profile, nv_plain_format(source));
}

static void encoder_close(void *handle)
{
    struct encoder *e = handle;
    if (!e)
        return;
    if (e->cpu)
        cpu_encoder_ops.close(e->cpu);
    gpu_close(&e->device);
    free(e);
}

static int open_inside(struct encoder *e, const struct encoder_params *params, struct error *err)
{
    const int rc = gpu_open(&e->device, params->device, err);
    if (rc != 0)
        return rc;
    if (params->no_fallback)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "cuda:%d (%s) cannot encode %s: no NVENC encoder is used by this version; "
                         "without --no-fallback the CPU encodes what the GPU has decoded and "
                         "resized",
                         params->device, gpu_device_info(e->device)->name, params->codec);
    return cpu_encoder_ops.open(&e->cpu, params, err);
}

static int encoder_open(void **ret, const struct encoder_params *params, struct error *err)
{
    struct encoder *e = calloc(1, sizeof(*e));
    if (!e)
        return error_memory(err, "an encoder");
    const int rc = open_inside(e, params, err);
    if (rc != 0) {
        encoder_close(e);
        return rc;
    }
    *ret = e;
    return 0;
}

static void encoder_header(void *handle, struct encoder_header *ret)
{
    const struct encoder *e = handle;
    cpu_encoder_ops.header(e->cpu, ret);
}

static int encoder_send(void *handle, struct frame *frame, struct error *err)
{
    const struct encoder *e = handle;
    const int rc = frame ? nv_frame_wait(e->device, frame, err) : 0;
    return rc == 0 ? cpu_encoder_ops.send(e->cpu, frame, err) : rc;
}

static int encoder_receive(void *handle, struct packet *ret, struct error *err)
{
    const struct encoder *e = handle;
    return cpu_encoder_ops.receive(e->cpu, ret, err);
}

const struct encoder_ops nv_encoder_ops = {
    .format = encoder_format,
    .open = encoder_open,
    .header = encoder_header,
    .send = encoder_send,
    .receive = encoder_receive,
    .close = encoder_close,
};

#include "codec/nv/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/encoder.h"
#include "codec/nv/download.h"
#include "codec/nv/nvenc.h"
#include "codec/nv/plain.h"

struct encoder {
    const struct encoder_ops *ops;
    void *encoder;
    /* Of the CPU's encoder. */
    struct gpu_device *device;
    struct nv_plain *plain; /* for frames that did not come down yet */
    struct frame *host;     /* came down, but the encoder was full: it gets this one first */
    char note[ENCODER_NOTE_MAX];
};

/* NVENC where it keeps what the CPU's encoder would keep. */
static enum pixel_format encoder_format(int device, const char *codec, const char *profile,
                                        enum pixel_format source)
{
    const enum pixel_format host =
        cpu_encoder_ops.format(0, codec, profile, nv_plain_format(source));
    const struct pixel_info *info = pixel_info(host);
    const enum pixel_format own = nvenc_device_format(device, codec, profile, source);
    if (!info)
        return own;
    return own != PIXEL_NONE && nv_plain_format(own) == host ? own : host;
}

static void encoder_close(void *handle)
{
    struct encoder *e = handle;
    if (!e)
        return;
    if (e->encoder)
        e->ops->close(e->encoder);
    frame_unref(&e->host);
    nv_plain_close(&e->plain);
    gpu_close(&e->device);
    free(e);
}

static int open_cpu(struct encoder *e, const struct encoder_params *params, const struct error *why,
                    struct error *err)
{
    struct encoder_params host = *params;
    int rc = gpu_open(&e->device, params->device, err);
    if (rc != 0)
        return rc;
    host.format = nv_plain_format(params->format);
    e->ops = &cpu_encoder_ops;
    /* That a device has none at all is said where it is chosen. */
    bool fixable = false;
    if (nvenc_present(params->device, &fixable, NULL) != RGPU_ERROR_UNSUPPORTED)
        snprintf(e->note, sizeof(e->note), "the CPU encodes %s: %.380s", params->codec, why->text);
    return cpu_encoder_ops.open(&e->encoder, &host, err);
}

static int open_inside(struct encoder *e, const struct encoder_params *params, struct error *err)
{
    struct error why = {0};
    e->ops = &nvenc_ops;
    const int rc = nvenc_ops.open(&e->encoder, params, &why);
    if (rc == 0)
        return 0;
    if (rc != RGPU_ERROR_UNSUPPORTED && rc != RGPU_ERROR_LIMIT)
        return error_set(err, rc, "%s", why.text);
    if (rc == RGPU_ERROR_LIMIT && params->joined)
        return error_set(err, RGPU_ERROR_LIMIT, "%s", why.text);
    if (params->no_fallback)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s; without --no-fallback the CPU encodes what the GPU has decoded and "
                         "resized",
                         why.text);
    return open_cpu(e, params, &why, err);
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
    e->ops->header(e->encoder, ret);
    memcpy(ret->note, e->note, sizeof(ret->note));
}

/* Brings a frame down to the CPU's encoder. */
static int send_down(struct encoder *e, struct frame *frame, struct error *err)
{
    int rc = 0;
    if (!e->host) {
        rc = e->plain ? 0 : nv_plain_open(&e->plain, gpu_device_info(e->device)->index, err);
        if (rc == 0)
            rc = nv_plain_run(e->plain, frame, &e->host, err);
    }
    if (rc == 0)
        rc = e->ops->send(e->encoder, e->host, err);
    if (rc != RGPU_ERROR_AGAIN)
        frame_unref(&e->host);
    return rc;
}

static int encoder_send(void *handle, struct frame *frame, struct error *err)
{
    struct encoder *e = handle;
    if (!frame || e->ops == &nvenc_ops)
        return e->ops->send(e->encoder, frame, err);
    if (frame->place == PLACE_DEVICE)
        return send_down(e, frame, err);
    const int rc = nv_frame_wait(e->device, frame, err);
    return rc == 0 ? e->ops->send(e->encoder, frame, err) : rc;
}

static int encoder_receive(void *handle, struct packet *ret, struct error *err)
{
    const struct encoder *e = handle;
    return e->ops->receive(e->encoder, ret, err);
}

static int encoder_rate(void *handle, int64_t bit_rate_bps, int64_t bit_rate_max_bps,
                        int64_t vbv_bits, struct error *err)
{
    const struct encoder *e = handle;
    if (!e->ops->rate)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "the CPU's encoders keep their bit rate");
    return e->ops->rate(e->encoder, bit_rate_bps, bit_rate_max_bps, vbv_bits, err);
}

const struct encoder_ops nv_encoder_ops = {
    .format = encoder_format,
    .open = encoder_open,
    .header = encoder_header,
    .send = encoder_send,
    .receive = encoder_receive,
    .rate = encoder_rate,
    .close = encoder_close,
};

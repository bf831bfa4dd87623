/* What a device's NVDEC can decode.
 *
 * Threads: any. Memory: none. */
#ifndef CODEC_NV_DECODER_CAPS_H
#define CODEC_NV_DECODER_CAPS_H

#include "codec/nv/decoder_stream.h"
#include "gpu/device.h"

/* UNSUPPORTED where the device does not decode pictures of the shape, naming what; DEVICE where the
 * driver does not say. A size of 0 is not looked at. Within the device's context. */
int nv_caps_check(struct gpu_device *device, const struct nv_shape *shape, struct error *err);

#endif

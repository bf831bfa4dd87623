/* The encoders of NVIDIA devices: NVENC, and the CPU's for what NVENC cannot or is not there for,
 * fed with pictures that come down from the device.
 *
 * Threads, memory: as codec.h. */
#ifndef CODEC_NV_ENCODER_H
#define CODEC_NV_ENCODER_H

#include "codec/codec.h"

/* UNSUPPORTED from open where the parameters want no fall-back. */
extern const struct encoder_ops nv_encoder_ops;

#endif

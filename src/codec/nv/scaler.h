/* The scaler of NVIDIA devices: pictures on the device are resized there and come down for the
 * encoders; pictures in host memory, and what the kernel does not do (changes of colour, other
 * samplings than 4:2:0), go through the CPU's scaler.
 *
 * Threads, memory: as codec.h. */
#ifndef CODEC_NV_SCALER_H
#define CODEC_NV_SCALER_H

#include "codec/codec.h"

extern const struct scaler_ops nv_scaler_ops;

#endif

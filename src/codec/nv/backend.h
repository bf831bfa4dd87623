/* NVIDIA devices: NVDEC decodes, one kernel launch resizes, NVENC encodes.
 *
 * Threads: as codec.h; `devices` may be called from any thread. Memory: static. */
#ifndef CODEC_NV_BACKEND_H
#define CODEC_NV_BACKEND_H

#include "codec/codec.h"

extern const struct codec_backend nv_backend;

#endif

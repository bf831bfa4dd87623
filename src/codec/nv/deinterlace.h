/* The deinterlacer of NVIDIA devices: pictures come down to the CPU's.
 *
 * Threads, memory: as codec.h. */
#ifndef CODEC_NV_DEINTERLACE_H
#define CODEC_NV_DEINTERLACE_H

#include "codec/codec.h"

extern const struct filter_ops nv_deinterlace_ops;

#endif

/* The CPU's scaler: all rungs of a ladder from one picture, by zimg, on a few threads.
 *
 * Filter: Catmull-Rom bicubic, widened by the scale factor where it shrinks; picture edges are
 * mirrored. Chroma siting, range, matrix, primaries and transfer stay the source's. RGB sources
 * become YUV, limited range, with BT.2020's matrix where their primaries are BT.2020's, else
 * BT.709's from 720 source lines on, else BT.601's; the frames' `color` says so. Fewer bits are
 * dithered (ordered), more bits are shifted (full range: stretched, as H.273 has it).
 *
 * Threads: as codec.h; the scaler's own threads work only while `run` does. Memory: all is taken
 * at open, except for output frames, which come from pools and go back there.
 * Limits: SCALER_THREADS_MAX threads; sizes up to FRAME_SIZE_MAX. */
#ifndef CODEC_CPU_SCALER_H
#define CODEC_CPU_SCALER_H

#include "codec/codec.h"

#define SCALER_THREADS_MAX 64

extern const struct scaler_ops cpu_scaler_ops;

/* As cpu_scaler_ops.open with bands of about `band_lines` source lines (0: the default). The
 * result does not depend on it, which tests hold it to; speed does. */
int cpu_scaler_open_banded(void **ret, const struct scaler_params *params, int band_lines,
                           struct error *err);

#endif

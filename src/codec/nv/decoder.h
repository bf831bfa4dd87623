/* NVDEC through NVIDIA's driver: packets in, pictures in the device's memory out.
 *
 * H.264, HEVC, VP9, VP8, AV1, MPEG-2 as the device's caps say, 4:2:0 of 8 and 10 bits. Pictures are
 * NV12 or P010, PLACE_DEVICE, and the decoder's own surfaces, handed on without a copy: a
 * frame's `ready` is an event of the device's, and what reads the planes must be done when its last
 * reference goes. The frame's `data` are device addresses within the device's primary context.
 *
 * Threads: as codec.h. Frames may be unreferenced on any thread, also after close: the decoder goes
 * when its last frame does. Memory: NV_SURFACES_OUT pictures may be out at a time; receive waits
 * for one to come back. */
#ifndef CODEC_NV_DECODER_H
#define CODEC_NV_DECODER_H

#include "codec/codec.h"

#define NV_SURFACES_OUT 10 /* frames out at a time: as many as the stages behind can hold */

/* Its open gives UNSUPPORTED where the device or the driver cannot decode the track, naming what,
 * so that another decoder can be asked. */
extern const struct decoder_ops nv_decoder_ops;

#endif

/* A decoder on the device, or on the CPU for what the device cannot decode: all of a track, or what
 * it changes to in its course.
 *
 * Which one it is shows in where its frames live and, with the reason, in its note. Threads,
 * memory: as codec.h. */
#ifndef CODEC_NV_EITHER_H
#define CODEC_NV_EITHER_H

#include "codec/codec.h"

extern const struct decoder_ops nv_either_ops;

#endif

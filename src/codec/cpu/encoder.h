/* libx264, libx265, libsvtav1 and libaom-av1 behind encoder_ops, through libavcodec.
 *
 * Key frames are where they are asked for and nowhere else: the encoders' own ideas (scene cuts,
 * open GOPs, intervals) are switched off. An AV1 encoder that cannot be told is drained and opened
 * again at each of them.
 *
 * Threads: as codec.h says; the encoders' own threads work underneath. Memory: pictures are lent to
 * the encoder by reference; packets are its own. Limits: ENCODER_DELAY_MAX frames inside. */
#ifndef CODEC_CPU_ENCODER_H
#define CODEC_CPU_ENCODER_H

#include "codec/codec.h"

#define ENCODER_DELAY_MAX 1024

extern const struct encoder_ops cpu_encoder_ops;

#endif

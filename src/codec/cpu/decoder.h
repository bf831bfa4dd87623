/* Decoders of libavcodec behind decoder_ops: any software decoder that the system has, never a
 * hardware one.
 *
 * Threads: as codec.h says; libavcodec's own threads (frame and slice) work underneath.
 * Memory: pictures are libavcodec's, kept by reference. Limits: DECODER_ORDER_MAX packets in flight
 * where frames get their time stamps by order. */
#ifndef CODEC_CPU_DECODER_H
#define CODEC_CPU_DECODER_H

#include "codec/codec.h"

#define DECODER_ORDER_MAX 1024
#define DECODER_THREADS_MAX 16 /* beyond, frame threads only cost memory and delay */

extern const struct decoder_ops cpu_decoder_ops;

#endif

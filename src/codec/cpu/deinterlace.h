/* The CPU's deinterlacer: libavfilter's bwdif, one frame out for each in, at the frame's own time.
 *
 * It looks at the frames before and after, so it is one frame late. Frames that are not flagged
 * FRAME_INTERLACED pass as they are.
 * Threads: as codec.h; the filter's own threads work only while frames are sent or received.
 * Memory: pictures in cross without a copy. Limits: pictures of at least 3 x 4 pixels; planar
 * formats that bwdif has (not NV12, P010, grey of 10 and 12 bits). */
#ifndef CODEC_CPU_DEINTERLACE_H
#define CODEC_CPU_DEINTERLACE_H

#include "codec/codec.h"

extern const struct filter_ops cpu_deinterlace_ops;

#endif

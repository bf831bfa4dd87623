/* Resizes a decoded picture into all rungs of a ladder in one launch.
 *
 * Separable polyphase, Catmull-Rom, widened by the scale factor where it shrinks; picture edges are
 * mirrored; weights are integers that sum to 1 << 14, and all arithmetic is of integers, so that
 * the kernel and its twin on the host (resize_host) give the same bytes. Chroma keeps its siting.
 * A rung of the source's size is copied in the same launch. Fewer bits are dithered (ordered), more
 * are shifted.
 *
 * Threads: a plan is read-only once open: any thread, any number of launches at a time. Memory: the
 * plan's tables, on the device and on the host. Limits: RESIZE_RUNGS_MAX rungs, sizes up to 16384.
 */
#ifndef GPU_RESIZE_H
#define GPU_RESIZE_H

#include "gpu/device.h"

#define RESIZE_RUNGS_MAX 16

enum resize_format {
    RESIZE_NV12,   /* Y, and U and V in turn; bytes */
    RESIZE_P010,   /* the same in 16-bit words, 10 bits at the top */
    RESIZE_I420,   /* Y, U, V; bytes */
    RESIZE_I420P10 /* the same in 16-bit words, 10 bits at the bottom */
};

/* Where the first chroma sample lies, in luma samples from that of the first luma sample, times 2:
 * left is {0, 1}, centre {1, 1}, top left {0, 0}. Of the source and all rungs. */
struct resize_siting {
    int x2, y2;
};

struct resize_rung {
    int width, height; /* pixels, even */
    enum resize_format format;
    /* Where the picture goes, in whole chroma samples (of each field); the rest is black. Width 0:
     * everywhere. */
    struct {
        int x, y, width, height;
    } area;
};

struct resize_params {
    int width, height;         /* of the source, pixels; odd ones are allowed */
    enum resize_format format; /* of the source: NV12 or P010 */
    struct resize_siting siting;
    bool interlaced; /* each field is scaled by itself */
    bool full_range; /* black is 0, else 16 (of 8 bits) */
    int rungs_count;
    struct resize_rung rungs[RESIZE_RUNGS_MAX];
};

/* A picture's planes: device addresses for resize_launch, host addresses for resize_host. */
struct resize_picture {
    uint64_t plane[3];
    int32_t pitch[3]; /* bytes */
};

struct resize;

/* Makes the plan; `device` NULL: for resize_host only. PARAM, UNSUPPORTED (to less than 1/32
 * of a side), LIMIT, MEMORY, DEVICE. */
int resize_open(struct resize **ret, struct gpu_device *device, const struct resize_params *params,
                struct error *err);
void resize_close(struct resize **plan); /* takes NULL, writes NULL */

/* Queues one launch that fills the rungs whose bit is set in `mask`; `rungs` has an entry for each
 * rung of the plan. The source's lines start at multiples of 16 bytes (addresses and pitches), and
 * are readable up to the next such multiple. Within a context. PARAM, DEVICE. */
int resize_launch(const struct resize *plan, CUstream stream, const struct resize_picture *source,
                  const struct resize_picture *rungs, uint32_t mask, struct error *err);

/* The same on this thread, on host memory. */
void resize_host(const struct resize *plan, const struct resize_picture *source,
                 const struct resize_picture *rungs, uint32_t mask);

#endif

/* Pictures of a GPU, brought down to be compared with those of the CPU.
 *
 * Threads: any. Memory: the result is the caller's. */
#ifndef SUPPORT_DEVICE_PICTURE_H
#define SUPPORT_DEVICE_PICTURE_H

#include "gpu/device.h"
#include "media/frame.h"

/* A copy of a device's NV12 or P010 frame in host memory, planar (yuv420p, yuv420p10le), with its
 * properties, once the picture is there. NULL: the driver failed, or no memory (text in `err`). */
struct frame *device_picture(struct gpu_device *device, const struct frame *frame,
                             struct error *err);

#endif

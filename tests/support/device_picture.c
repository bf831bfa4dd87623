#include "support/device_picture.h"

#include <string.h>

#include "gpu/stream.h"

/* Queues the copy of both planes and waits for it. */
static int download(struct gpu_device *device, CUstream stream, const struct frame *from,
                    struct frame *to, struct error *err)
{
    const struct gpu_driver *driver = gpu_device_driver(device);
    CUresult result = CUDA_SUCCESS;
    if (from->ready)
        result = driver->cuStreamWaitEvent(stream, (CUevent)from->ready, 0);
    const size_t bytes = pixel_info(from->format)->depth > 8 ? 2 : 1;
    for (int p = 0; p < 2 && result == CUDA_SUCCESS; p++) {
        const CUDA_MEMCPY2D copy = {
            .srcMemoryType = CU_MEMORYTYPE_DEVICE,
            .srcDevice = (CUdeviceptr)(uintptr_t)from->data[p],
            .srcPitch = (size_t)from->stride[p],
            .dstMemoryType = CU_MEMORYTYPE_HOST,
            .dstHost = to->data[p],
            .dstPitch = (size_t)to->stride[p],
            .WidthInBytes = (size_t)pixel_plane_width(from->format, p, from->width) * bytes,
            .Height = (size_t)pixel_plane_height(from->format, p, from->height),
        };
        result = driver->cuda->cuMemcpy2DAsync(&copy, stream);
    }
    if (result == CUDA_SUCCESS)
        result = driver->cuda->cuStreamSynchronize(stream);
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "copying a picture");
}

static struct frame *download_new(struct gpu_device *device, const struct frame *from,
                                  struct error *err)
{
    CUstream stream = NULL;
    struct frame *to = frame_new(from->format, from->width, from->height);
    if (!to) {
        error_memory(err, "a picture");
        return NULL;
    }
    if (gpu_enter(device, err) != 0) {
        frame_unref(&to);
        return NULL;
    }
    int rc = gpu_stream_new(device, &stream, err);
    if (rc == 0)
        rc = download(device, stream, from, to, err);
    gpu_stream_free(device, &stream);
    gpu_leave(device);
    if (rc != 0)
        frame_unref(&to);
    return to;
}

/* Chroma in planes of its own, values in the low bits. */
static void split(const struct frame *from, struct frame *to)
{
    const bool wide = pixel_info(from->format)->depth > 8;
    for (int p = 0; p < 3; p++) {
        const int step = p ? 2 : 1, first = p ? p - 1 : 0;
        for (int y = 0; y < pixel_plane_height(to->format, p, to->height); y++) {
            const uint8_t *in = from->data[p ? 1 : 0] + y * from->stride[p ? 1 : 0];
            uint8_t *out = to->data[p] + y * to->stride[p];
            for (int x = 0; x < pixel_plane_width(to->format, p, to->width); x++) {
                const ptrdiff_t at = (ptrdiff_t)step * x + first;
                uint16_t value;
                if (!wide) {
                    out[x] = in[at];
                    continue;
                }
                memcpy(&value, in + 2 * at, 2);
                value >>= 6;
                memcpy(out + (ptrdiff_t)2 * x, &value, 2);
            }
        }
    }
}

struct frame *device_picture(struct gpu_device *device, const struct frame *frame,
                             struct error *err)
{
    struct frame *host = download_new(device, frame, err);
    if (!host)
        return NULL;
    struct frame *ret = frame_new(frame->format == PIXEL_P010 ? PIXEL_YUV420P10 : PIXEL_YUV420P,
                                  frame->width, frame->height);
    if (ret) {
        split(host, ret);
        frame_copy_props(ret, frame);
    } else {
        error_memory(err, "a picture");
    }
    frame_unref(&host);
    return ret;
}

#include "gpu/stream.h"

#include <stdio.h>

#define WHAT_MAX 64

int gpu_stream_new(struct gpu_device *device, CUstream *ret, struct error *err)
{
    const CUresult result =
        gpu_device_driver(device)->cuda->cuStreamCreate(ret, CU_STREAM_NON_BLOCKING);
    if (result == CUDA_SUCCESS)
        return 0;
    char what[WHAT_MAX];
    snprintf(what, sizeof(what), "a stream on cuda:%d", gpu_device_info(device)->index);
    return gpu_error(err, result, what);
}

void gpu_stream_free(struct gpu_device *device, CUstream *stream)
{
    if (!stream || !*stream)
        return;
    const CudaFunctions *cuda = gpu_device_driver(device)->cuda;
    cuda->cuStreamSynchronize(*stream);
    cuda->cuStreamDestroy(*stream);
    *stream = NULL;
}

int gpu_event_new(struct gpu_device *device, CUevent *ret, struct error *err)
{
    const CUresult result = gpu_device_driver(device)->cuda->cuEventCreate(
        ret, CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING);
    if (result == CUDA_SUCCESS)
        return 0;
    char what[WHAT_MAX];
    snprintf(what, sizeof(what), "an event on cuda:%d", gpu_device_info(device)->index);
    return gpu_error(err, result, what);
}

void gpu_event_free(struct gpu_device *device, CUevent *event)
{
    if (!event || !*event)
        return;
    gpu_device_driver(device)->cuda->cuEventDestroy(*event);
    *event = NULL;
}

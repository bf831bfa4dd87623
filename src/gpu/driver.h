/* The NVIDIA driver, loaded at run time: the same program runs with and without one. Entry points
 * keep the names and the meaning of the CUDA driver API and of the NVDEC API (Video Codec SDK).
 *
 * Threads: any. The libraries are loaded once, at the first call, and stay for the life of the
 * process. Memory: static. */
#ifndef GPU_DRIVER_H
#define GPU_DRIVER_H

/* The loader would print to standard error. */
#define FFNV_LOG_FUNC(logctx, ...) ((void)(logctx))
#define FFNV_DEBUG_LOG_FUNC(logctx, ...) ((void)(logctx))
#include <ffnvcodec/dynlink_loader.h>

#include "base/error.h"

/* Versions as cuDriverGetVersion has them: 1000 * major + 10 * minor. */
#define GPU_DRIVER_VERSION_MIN 11000

struct gpu_driver {
    CudaFunctions *cuda;
    CuvidFunctions *cuvid; /* NULL: there is no libnvcuvid, or it is too old */
    int version;           /* the driver's */
    /* libcuda's, which ffnvcodec's table lacks. */
    CUresult(CUDAAPI *cuDriverGetVersion)(int *version);
    CUresult(CUDAAPI *cuDeviceTotalMem)(size_t *bytes, CUdevice device);
    CUresult(CUDAAPI *cuDeviceGetPCIBusId)(char *text, int size, CUdevice device);
    CUresult(CUDAAPI *cuMemGetInfo)(size_t *free_bytes, size_t *total_bytes);
    CUresult(CUDAAPI *cuMemHostAlloc)(void **ret, size_t size, unsigned flags);
    CUresult(CUDAAPI *cuMemFreeHost)(void *memory);
    CUresult(CUDAAPI *cuStreamWaitEvent)(CUstream stream, CUevent event, unsigned flags);
    CUresult(CUDAAPI *cuEventElapsedTime)(float *ms, CUevent begin, CUevent end);
    CUresult(CUDAAPI *cuModuleLoadDataEx)(CUmodule *ret, const void *image, unsigned options_count,
                                          CUjit_option *options, void **values);
};

/* The driver. DEVICE: there is none, it is too old (which version is needed), or it finds no
 * device; the text says the remedy. */
int gpu_driver(const struct gpu_driver **ret, struct error *err);

/* 0 where the driver has `cuvid`; else DEVICE, and the text says why and the remedy. */
int gpu_driver_video(const struct gpu_driver *driver, struct error *err);

/* Sets `err` for a CUDA result other than CUDA_SUCCESS, met in `what` ("a stream on cuda:0"); gives
 * its code: MEMORY where the GPU's memory is used up, else DEVICE. The text has the result's name,
 * and the remedy where one is known. */
int gpu_error(struct error *err, CUresult result, const char *what);

#endif

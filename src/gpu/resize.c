#include "gpu/resize.h"

#include <stdlib.h>

#include "gpu/idle.h"
#include "gpu/kernels/resize_twin.h"
#include "gpu/resize_plan.h"
#include "gpu/stream.h"

struct resize {
    struct resize_plan plan;
    struct gpu_device *device; /* owned reference; NULL: for the host only */
    CUdeviceptr block;         /* the plan's, on the device */
    CUfunction kernel;
};

/* ---- device ---------------------------------------------------------------------------------- */

/* Copies the plan's block to the device. Within a context. */
static int upload(struct resize *r, struct error *err)
{
    const CudaFunctions *cuda = gpu_device_driver(r->device)->cuda;
    CUresult result;
    do {
        result = cuda->cuMemAlloc(&r->block, r->plan.size);
    } while (gpu_idle_made_room(r->device, result));
    if (result != CUDA_SUCCESS) {
        r->block = 0;
        return gpu_error(err, result, "memory for the resize's tables");
    }
    CUstream stream = NULL;
    int rc = gpu_stream_new(r->device, &stream, err);
    if (rc)
        return rc;
    result = cuda->cuMemcpyHtoDAsync(r->block, r->plan.block, r->plan.size, stream);
    if (result == CUDA_SUCCESS) {
        result = cuda->cuStreamSynchronize(stream);
        if (result != CUDA_SUCCESS)
            r->block = 0; /* the copy may go on: the context keeps the memory to its end */
    }
    gpu_stream_free(r->device, &stream);
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "copy of the resize's tables");
}

static int open_device(struct resize *r, struct gpu_device *device, struct error *err)
{
    r->device = gpu_ref(device);
    int rc = gpu_enter(device, err);
    if (rc)
        return rc;
    rc = gpu_kernel(device, "resize", &r->kernel, err);
    if (!rc)
        rc = upload(r, err);
    gpu_leave(device);
    return rc;
}

/* ---- the resize ------------------------------------------------------------------------------ */

int resize_open(struct resize **ret, struct gpu_device *device, const struct resize_params *params,
                struct error *err)
{
    struct resize *r = calloc(1, sizeof(*r));
    if (!r)
        return error_memory(err, "a resize");
    int rc = resize_plan_init(&r->plan, params, err);
    if (!rc && device)
        rc = open_device(r, device, err);
    if (rc) {
        resize_close(&r);
        return rc;
    }
    *ret = r;
    return 0;
}

void resize_close(struct resize **plan)
{
    struct resize *r = *plan;
    if (!r)
        return;
    if (r->block && gpu_enter(r->device, NULL) == 0) {
        gpu_device_driver(r->device)->cuda->cuMemFree(r->block);
        gpu_leave(r->device);
    }
    gpu_close(&r->device);
    resize_plan_done(&r->plan);
    free(r);
    *plan = NULL;
}

int resize_launch(const struct resize *plan, CUstream stream, const struct resize_picture *source,
                  const struct resize_picture *rungs, uint32_t mask, struct error *err)
{
    for (int i = 0; i < 2; i++)
        if (source->plane[i] % RESIZE_CHUNK_BYTES || source->pitch[i] % RESIZE_CHUNK_BYTES)
            return error_set(err, RGPU_ERROR_PARAM,
                             "the resize reads lines that start at multiples of %d bytes only",
                             RESIZE_CHUNK_BYTES);
    struct resize_args args;
    int shared_bytes = 0;
    const unsigned blocks =
        resize_plan_args(&plan->plan, source, rungs, mask, &args, &shared_bytes);
    if (!blocks)
        return 0;
    CUdeviceptr block = plan->block;
    void *params[] = {&block, &args};
    const CUresult result =
        gpu_device_driver(plan->device)
            ->cuda->cuLaunchKernel(plan->kernel, blocks, 1, 1, RESIZE_THREADS, 1, 1,
                                   (unsigned)shared_bytes, stream, params, NULL);
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "resize");
}

void resize_host(const struct resize *plan, const struct resize_picture *source,
                 const struct resize_picture *rungs, uint32_t mask)
{
    struct resize_args args;
    int shared_bytes = 0;
    const unsigned blocks =
        resize_plan_args(&plan->plan, source, rungs, mask, &args, &shared_bytes);
    for (unsigned i = 0; i < blocks; i++)
        resize_twin(plan->plan.block, &args, i);
}

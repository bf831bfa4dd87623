/* libcuda: memory and copies.
 *
 * Threads: any. Memory: core.h's. A copy's addresses are checked when it is asked for and again
 * when it is done; both are violations, and nothing is copied then. */
#include <stdlib.h>
#include <string.h>

#include "api.h"

#define PITCH 512 /* bytes */

/* ---- blocks --------------------------------------------------------------------------------- */

CUresult cuMemAlloc_v2(CUdeviceptr *ret, size_t size)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (size == 0)
        return STANDIN_INVALID_VALUE;
    const struct standin_block *block = standin_block_new(MEMORY_DEVICE, size);
    if (!block)
        return STANDIN_OUT_OF_MEMORY;
    *ret = (uintptr_t)block->base;
    return CUDA_SUCCESS;
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *ret, size_t *ret_pitch, size_t width, size_t height,
                            unsigned element)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (width == 0 || height == 0 || (element != 4 && element != 8 && element != 16))
        return STANDIN_INVALID_VALUE;
    const size_t pitch = (width + PITCH - 1) / PITCH * PITCH;
    const struct standin_block *block = standin_block_new(MEMORY_DEVICE, pitch * height);
    if (!block)
        return STANDIN_OUT_OF_MEMORY;
    *ret = (uintptr_t)block->base;
    *ret_pitch = pitch;
    return CUDA_SUCCESS;
}

static bool free_block(const char *name, uint64_t address, enum standin_memory kind)
{
    pthread_mutex_lock(&standin_mutex);
    struct standin_block *block = standin_block_at_locked(address, kind);
    const bool here = block && block->context == standin_current();
    pthread_mutex_unlock(&standin_mutex);
    if (!here)
        standin_violation("%s: not a block of this context", name);
    else
        standin_block_free(block, name);
    return here;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    return free_block(__func__, address, MEMORY_DEVICE) ? result : STANDIN_INVALID_VALUE;
}

CUresult cuMemHostAlloc(void **ret, size_t size, unsigned flags)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (size == 0 || (flags & ~7u))
        return STANDIN_INVALID_VALUE;
    const struct standin_block *block = standin_block_new(MEMORY_PINNED, size);
    if (!block)
        return STANDIN_OUT_OF_MEMORY;
    *ret = block->base;
    return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void *memory)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    return free_block(__func__, (uintptr_t)memory, MEMORY_PINNED) ? result : STANDIN_INVALID_VALUE;
}

CUresult cuMemGetInfo_v2(size_t *ret_free, size_t *ret_total)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    pthread_mutex_lock(&standin_mutex);
    const struct standin_device *device = &standin_devices[standin_current()->device];
    *ret_total = device->total_bytes;
    *ret_free = device->total_bytes - device->used_bytes;
    pthread_mutex_unlock(&standin_mutex);
    return CUDA_SUCCESS;
}

/* ---- copies --------------------------------------------------------------------------------- */

enum side { HOST, DEVICE, EITHER };

struct copy {
    const char *name;
    enum side to_side, from_side;
    uint64_t to, from; /* of the first byte; `from` is the byte itself in a fill */
    size_t to_pitch, from_pitch, width, height;
    bool fill;
};

static bool side_check_locked(const struct copy *copy, uint64_t address, size_t pitch,
                              enum side side, struct standin_op *op)
{
    const size_t size = (copy->height - 1) * pitch + copy->width;
    bool ok;
    if (side == EITHER)
        side = standin_is_device_locked(address) ? DEVICE : HOST;
    struct standin_block *block =
        standin_range_locked(copy->name, address, size, side == DEVICE, &ok);
    if (block && op)
        op->blocks[op->blocks_count++] = block;
    return ok;
}

static bool copy_check(const struct copy *copy, struct standin_op *op)
{
    if (copy->to_pitch < copy->width || copy->from_pitch < copy->width) {
        standin_violation("%s: a line is longer than the pitch", copy->name);
        return false;
    }
    pthread_mutex_lock(&standin_mutex);
    const bool ok =
        side_check_locked(copy, copy->to, copy->to_pitch, copy->to_side, op) &&
        (copy->fill || side_check_locked(copy, copy->from, copy->from_pitch, copy->from_side, op));
    pthread_mutex_unlock(&standin_mutex);
    return ok;
}

static void copy_run(void *arg)
{
    const struct copy *copy = arg;
    /* What it names may have gone since it was queued. */
    if (!copy_check(copy, NULL))
        return;
    for (size_t y = 0; y < copy->height; y++) {
        uint8_t *to = (uint8_t *)(uintptr_t)(copy->to + y * copy->to_pitch);
        if (copy->fill)
            memset(to, (int)copy->from, copy->width);
        else
            memmove(to, (const void *)(uintptr_t)(copy->from + y * copy->from_pitch), copy->width);
    }
}

static CUresult copy_now(const struct copy *copy)
{
    struct copy mine = *copy;
    struct standin_op op = {0};
    if (copy->width == 0 || copy->height == 0)
        return CUDA_SUCCESS;
    if (!copy_check(copy, &op))
        return STANDIN_INVALID_VALUE;
    copy_run(&mine);
    return CUDA_SUCCESS;
}

static CUresult copy_later(const struct copy *copy, CUstream stream)
{
    if (!standin_stream_check(copy->name, stream))
        return STANDIN_INVALID_HANDLE;
    if (copy->width == 0 || copy->height == 0)
        return CUDA_SUCCESS;
    struct standin_op op = {.run = copy_run, .done = free};
    if (!copy_check(copy, &op))
        return STANDIN_INVALID_VALUE;
    struct copy *mine = malloc(sizeof(*mine));
    if (!mine)
        return STANDIN_OUT_OF_MEMORY;
    *mine = *copy;
    op.arg = mine;
    const CUresult result = standin_stream_push(stream, &op);
    if (result != CUDA_SUCCESS)
        free(mine);
    return result;
}

static struct copy line(const char *name, enum side to_side, uint64_t to, enum side from_side,
                        uint64_t from, size_t size)
{
    return (struct copy){name, to_side, from_side, to, from, size, size, size, 1, false};
}

static bool side_2d(CUmemorytype type, const void *host, CUdeviceptr device, enum side *side,
                    uint64_t *address)
{
    *side = type == CU_MEMORYTYPE_HOST ? HOST : DEVICE;
    *address = type == CU_MEMORYTYPE_HOST ? (uintptr_t)host : device;
    return type == CU_MEMORYTYPE_HOST || type == CU_MEMORYTYPE_DEVICE;
}

static bool copy_2d(const char *name, const CUDA_MEMCPY2D *p, struct copy *ret)
{
    *ret = (struct copy){.name = name, .width = p->WidthInBytes, .height = p->Height};
    if (!side_2d(p->dstMemoryType, p->dstHost, p->dstDevice, &ret->to_side, &ret->to) ||
        !side_2d(p->srcMemoryType, p->srcHost, p->srcDevice, &ret->from_side, &ret->from)) {
        standin_violation("%s: neither host nor device memory", name);
        return false;
    }
    /* A pitch of 0 means lines without a gap. */
    ret->to_pitch = p->dstPitch ? p->dstPitch : p->dstXInBytes + p->WidthInBytes;
    ret->from_pitch = p->srcPitch ? p->srcPitch : p->srcXInBytes + p->WidthInBytes;
    ret->to += p->dstY * ret->to_pitch + p->dstXInBytes;
    ret->from += p->srcY * ret->from_pitch + p->srcXInBytes;
    return true;
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *p)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    struct copy copy;
    return copy_2d(__func__, p, &copy) ? copy_now(&copy) : STANDIN_INVALID_VALUE;
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *p, CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    struct copy copy;
    return copy_2d(__func__, p, &copy) ? copy_later(&copy, stream) : STANDIN_INVALID_VALUE;
}

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t size)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct copy copy = line(__func__, EITHER, to, EITHER, from, size);
    return copy_now(&copy);
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct copy copy = line(__func__, EITHER, to, EITHER, from, size);
    return copy_later(&copy, stream);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct copy copy = line(__func__, DEVICE, to, HOST, (uintptr_t)from, size);
    return copy_now(&copy);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct copy copy = line(__func__, DEVICE, to, HOST, (uintptr_t)from, size);
    return copy_later(&copy, stream);
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct copy copy = line(__func__, HOST, (uintptr_t)to, DEVICE, from, size);
    return copy_now(&copy);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct copy copy = line(__func__, HOST, (uintptr_t)to, DEVICE, from, size);
    return copy_later(&copy, stream);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t size)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct copy copy = line(__func__, DEVICE, to, DEVICE, from, size);
    return copy_now(&copy);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct copy copy = line(__func__, DEVICE, to, DEVICE, from, size);
    return copy_later(&copy, stream);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    struct copy copy = line(__func__, DEVICE, to, DEVICE, value, size);
    copy.fill = true;
    return copy_later(&copy, stream);
}

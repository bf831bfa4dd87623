/* Blocks of equal size on a device, or pinned in host memory, each with an event that says when
 * what was queued to fill it is done. Nothing is allocated where a block is free.
 *
 * Threads: any. Memory: the pool grows to the most blocks in use at a time; it keeps the device
 * open. When it and its last block are gone, the device keeps some of them for other pools
 * (gpu/idle.h), as allocating stops the device, and pinning takes long. Get and release need no
 * context of the caller's. Limits: GPU_POOL_BLOCKS_MAX; GPU_KEPT_... a device and place. */
#ifndef GPU_MEMORY_H
#define GPU_MEMORY_H

#include "gpu/device.h"

#define GPU_PITCH_ALIGN 256      /* bytes: lines of pictures start at multiples of it */
#define GPU_POOL_BLOCKS_MAX 4096 /* of a pool; far above what streams need */
#define GPU_KEPT_BLOCKS_MAX 32   /* what a stream's ladder has at a time */
#define GPU_KEPT_BYTES_MAX ((size_t)16 << 20) /* of one that is kept: a picture of 3840x2160 */

enum gpu_place { GPU_MEMORY_DEVICE, GPU_MEMORY_PINNED };

struct gpu_block {
    CUdeviceptr address;    /* of the device's memory; 0 for a pinned block */
    uint8_t *host;          /* of a pinned block; else NULL */
    CUevent ready;          /* without timing; record it behind what fills the block */
    struct gpu_pool *pool;  /* NULL: kept for any */
    struct gpu_block *next; /* the pool's */
};

struct gpu_pool;

int gpu_pool_new(struct gpu_pool **ret, struct gpu_device *device, enum gpu_place place,
                 size_t block_bytes, struct error *err);
struct gpu_pool *gpu_pool_ref(struct gpu_pool *pool); /* another owner: its blocks stay */
void gpu_pool_free(struct gpu_pool **pool);           /* takes NULL, writes NULL */

/* A free block, else a new one. MEMORY, DEVICE; LIMIT: GPU_POOL_BLOCKS_MAX are in use. */
int gpu_pool_get(struct gpu_pool *pool, struct gpu_block **ret, struct error *err);

/* Nothing may be queued any more that touches the block. Takes NULL, writes NULL. */
void gpu_block_release(struct gpu_block **block);

#endif

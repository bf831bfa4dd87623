#include "gpu/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gpu/idle.h"
#include "gpu/stream.h"

#define WHAT_MAX 96

struct gpu_pool {
    struct gpu_device *device; /* one reference */
    enum gpu_place place;
    size_t block_bytes;

    pthread_mutex_t lock;
    /* Protected by `lock`. */
    struct gpu_block *spare;
    int blocks; /* in existence, and those being made */
    int users;  /* blocks in use, and the pool's owners */
};

/* ---- blocks ---------------------------------------------------------------------------------- */

/* `inside`: within the context; else the driver has taken its part already. Takes half-built ones.
 */
static void block_free(void *object, bool inside)
{
    struct gpu_block *block = object;
    const struct gpu_driver *driver = NULL;
    if (inside && gpu_driver(&driver, NULL) == 0) {
        if (block->ready)
            driver->cuda->cuEventDestroy(block->ready);
        if (block->address)
            driver->cuda->cuMemFree(block->address);
        if (block->host)
            driver->cuMemFreeHost(block->host);
    }
    free(block);
}

/* By their size. */
static const struct gpu_idle_kind kept_blocks[] = {
    [GPU_MEMORY_DEVICE] = {"memory", GPU_KEPT_BLOCKS_MAX, block_free},
    [GPU_MEMORY_PINNED] = {"pinned memory", GPU_KEPT_BLOCKS_MAX, block_free},
};

static int block_allocate(struct gpu_pool *pool, struct gpu_block *block, struct error *err)
{
    const struct gpu_driver *driver = gpu_device_driver(pool->device);
    CUdeviceptr address = 0;
    void *host = NULL;
    CUresult result;
    do {
        result = pool->place == GPU_MEMORY_DEVICE
                     ? driver->cuda->cuMemAlloc(&address, pool->block_bytes)
                     : driver->cuMemHostAlloc(&host, pool->block_bytes, 0);
    } while (gpu_idle_made_room(pool->device, result));
    if (result == CUDA_SUCCESS) {
        block->address = address;
        block->host = host;
        return 0;
    }
    char what[WHAT_MAX];
    snprintf(what, sizeof(what), "%zu bytes of %smemory for cuda:%d", pool->block_bytes,
             pool->place == GPU_MEMORY_DEVICE ? "" : "pinned host ",
             gpu_device_info(pool->device)->index);
    const int rc = gpu_error(err, result, what);
    if (rc == RGPU_ERROR_MEMORY && pool->place == GPU_MEMORY_PINNED)
        return error_set(err, rc, "%s: the machine has no more memory that can be pinned", what);
    return rc;
}

static int block_new(struct gpu_pool *pool, struct gpu_block **ret, struct error *err)
{
    struct gpu_block *block = gpu_idle_take(pool->device, &kept_blocks[pool->place],
                                            &pool->block_bytes, sizeof(pool->block_bytes));
    if (block) {
        block->pool = pool;
        *ret = block;
        return 0;
    }
    block = calloc(1, sizeof(*block));
    if (!block)
        return error_memory(err, "a block of a pool");
    block->pool = pool;
    int rc = gpu_enter(pool->device, err);
    if (rc != 0) {
        free(block);
        return rc;
    }
    rc = block_allocate(pool, block, err);
    if (rc == 0)
        rc = gpu_event_new(pool->device, &block->ready, err);
    if (rc == 0)
        *ret = block;
    else
        block_free(block, true);
    gpu_leave(pool->device);
    return rc;
}

/* ---- pool ------------------------------------------------------------------------------------ */

int gpu_pool_new(struct gpu_pool **ret, struct gpu_device *device, enum gpu_place place,
                 size_t block_bytes, struct error *err)
{
    if (block_bytes == 0)
        return error_set(err, RGPU_ERROR_PARAM, "a pool of empty blocks was asked for");
    struct gpu_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return error_memory(err, "a pool");
    pthread_mutex_init(&pool->lock, NULL);
    pool->device = gpu_ref(device);
    pool->place = place;
    pool->block_bytes = block_bytes;
    pool->users = 1;
    *ret = pool;
    return 0;
}

struct gpu_pool *gpu_pool_ref(struct gpu_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->users++;
    pthread_mutex_unlock(&pool->lock);
    return pool;
}

static void pool_destroy(struct gpu_pool *pool)
{
    const bool inside = gpu_enter(pool->device, NULL) == 0;
    while (pool->spare) {
        struct gpu_block *block = pool->spare;
        pool->spare = block->next;
        block->pool = NULL;
        block->next = NULL;
        if (inside && pool->block_bytes <= GPU_KEPT_BYTES_MAX)
            gpu_idle_put(pool->device, &kept_blocks[pool->place], &pool->block_bytes,
                         sizeof(pool->block_bytes), block);
        else
            block_free(block, inside);
    }
    if (inside)
        gpu_leave(pool->device);
    gpu_close(&pool->device);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* Takes one user away, who gives back `block` (NULL: none). */
static void pool_leave(struct gpu_pool *pool, struct gpu_block *block)
{
    pthread_mutex_lock(&pool->lock);
    if (block) {
        block->next = pool->spare;
        pool->spare = block;
    }
    assert(pool->users > 0);
    const bool last = --pool->users == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last)
        pool_destroy(pool);
}

void gpu_pool_free(struct gpu_pool **pool)
{
    if (!pool || !*pool)
        return;
    struct gpu_pool *old = *pool;
    *pool = NULL;
    pool_leave(old, NULL);
}

int gpu_pool_get(struct gpu_pool *pool, struct gpu_block **ret, struct error *err)
{
    pthread_mutex_lock(&pool->lock);
    struct gpu_block *block = pool->spare;
    const bool full = !block && pool->blocks == GPU_POOL_BLOCKS_MAX;
    if (block)
        pool->spare = block->next;
    else if (!full)
        pool->blocks++;
    if (!full)
        pool->users++;
    pthread_mutex_unlock(&pool->lock);
    if (full)
        return error_set(err, RGPU_ERROR_LIMIT, "%d blocks of %zu bytes are in use on cuda:%d",
                         GPU_POOL_BLOCKS_MAX, pool->block_bytes,
                         gpu_device_info(pool->device)->index);
    if (!block) {
        const int rc = block_new(pool, &block, err);
        if (rc != 0) {
            pthread_mutex_lock(&pool->lock);
            pool->blocks--;
            pool->users--; /* never the last: the owner is in this call */
            pthread_mutex_unlock(&pool->lock);
            return rc;
        }
    }
    block->next = NULL;
    *ret = block;
    return 0;
}

void gpu_block_release(struct gpu_block **block)
{
    if (!block || !*block)
        return;
    struct gpu_block *old = *block;
    *block = NULL;
    pool_leave(old->pool, old);
}

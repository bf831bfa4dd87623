/* Pools: a block is one user's at a time, is used again, and outlives its pool; the last one to go
 * closes the device; what it leaves is the next one's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "gpu/idle.h"
#include "gpu/memory.h"
#include "gpu/stream.h"
#include "present.h"

#define THREADS 4
#define ROUNDS 2000
#define HELD_MAX 6
#define BLOCK_BYTES 4096
#define KEPT_ONES 3

static struct gpu_device *open_device(void)
{
    need_devices();
    struct gpu_device *device = NULL;
    struct error err = {0};
    if (gpu_open(&device, 0, &err) != 0)
        fail_msg("%s", err.text);
    return device;
}

static struct gpu_pool *make_pool(struct gpu_device *device, enum gpu_place place, size_t bytes)
{
    struct gpu_pool *pool = NULL;
    struct error err = {0};
    if (gpu_pool_new(&pool, device, place, bytes, &err) != 0)
        fail_msg("%s", err.text);
    return pool;
}

static struct gpu_block *get(struct gpu_pool *pool)
{
    struct gpu_block *block = NULL;
    struct error err = {0};
    if (gpu_pool_get(pool, &block, &err) != 0)
        fail_msg("%s", err.text);
    return block;
}

static bool has_context(void)
{
    const struct gpu_driver *driver = NULL;
    CUdevice device = 0;
    unsigned flags = 0;
    int active = -1;
    assert_int_equal(gpu_driver(&driver, NULL), 0);
    driver->cuda->cuDeviceGet(&device, 0);
    driver->cuda->cuDevicePrimaryCtxGetState(device, &flags, &active);
    return active != 0;
}

static void test_blocks(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    for (int place = GPU_MEMORY_DEVICE; place <= GPU_MEMORY_PINNED; place++) {
        struct gpu_pool *pool = make_pool(device, (enum gpu_place)place, BLOCK_BYTES);
        struct gpu_block *blocks[3];
        for (int i = 0; i < 3; i++) {
            blocks[i] = get(pool);
            assert_int_equal(blocks[i]->address != 0, place == GPU_MEMORY_DEVICE);
            assert_int_equal(blocks[i]->host != NULL, place == GPU_MEMORY_PINNED);
            assert_int_equal(blocks[i]->address % GPU_PITCH_ALIGN, 0);
            assert_non_null(blocks[i]->ready);
            assert_ptr_equal(blocks[i]->pool, pool);
            for (int j = 0; j < i; j++) {
                assert_ptr_not_equal(blocks[i], blocks[j]);
                assert_ptr_not_equal(blocks[i]->ready, blocks[j]->ready);
            }
        }
        /* What was given back is given out before anything new is made. */
        struct gpu_block *free_ones[2] = {blocks[0], blocks[2]};
        gpu_block_release(&blocks[0]);
        assert_null(blocks[0]);
        gpu_block_release(&blocks[2]);
        gpu_block_release(&blocks[2]);
        blocks[0] = get(pool);
        blocks[2] = get(pool);
        assert_true((blocks[0] == free_ones[0] && blocks[2] == free_ones[1]) ||
                    (blocks[0] == free_ones[1] && blocks[2] == free_ones[0]));
        for (int i = 0; i < 3; i++)
            gpu_block_release(&blocks[i]);
        gpu_pool_free(&pool);
        assert_null(pool);
        gpu_pool_free(&pool);
    }
    gpu_block_release(NULL);
    gpu_pool_free(NULL);
    gpu_close(&device);
    assert_false(has_context());
}

/* Down and up again through both kinds, and the events of both. */
static void test_contents(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    const CudaFunctions *cuda = gpu_device_driver(device)->cuda;
    struct gpu_pool *gpu = make_pool(device, GPU_MEMORY_DEVICE, BLOCK_BYTES);
    struct gpu_pool *pinned = make_pool(device, GPU_MEMORY_PINNED, BLOCK_BYTES);
    struct gpu_block *from = get(pinned), *over = get(gpu), *to = get(pinned);
    CUstream up = NULL, down = NULL;
    assert_int_equal(gpu_enter(device, NULL), 0);
    assert_int_equal(gpu_stream_new(device, &up, NULL), 0);
    assert_int_equal(gpu_stream_new(device, &down, NULL), 0);
    for (int i = 0; i < BLOCK_BYTES; i++)
        from->host[i] = (uint8_t)(i * 7 + 3);
    memset(to->host, 0, BLOCK_BYTES);
    assert_int_equal(cuda->cuMemcpyHtoDAsync(over->address, from->host, BLOCK_BYTES, up), 0);
    assert_int_equal(cuda->cuEventRecord(over->ready, up), 0);
    assert_int_equal(gpu_device_driver(device)->cuStreamWaitEvent(down, over->ready, 0), 0);
    assert_int_equal(cuda->cuMemcpyDtoHAsync(to->host, over->address, BLOCK_BYTES, down), 0);
    assert_int_equal(cuda->cuEventRecord(to->ready, down), 0);
    assert_int_equal(cuda->cuEventSynchronize(to->ready), 0);
    assert_memory_equal(to->host, from->host, BLOCK_BYTES);
    gpu_stream_free(device, &up);
    gpu_stream_free(device, &down);
    gpu_leave(device);
    gpu_block_release(&from);
    gpu_block_release(&over);
    gpu_block_release(&to);
    gpu_pool_free(&gpu);
    gpu_pool_free(&pinned);
    gpu_close(&device);
}

static void test_too_much(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    struct gpu_pool *none = NULL;
    assert_int_equal(gpu_pool_new(&none, device, GPU_MEMORY_DEVICE, 0, NULL), RGPU_ERROR_PARAM);
    assert_null(none);
    struct gpu_pool *pool = make_pool(device, GPU_MEMORY_DEVICE, (size_t)1 << 55);
    struct gpu_block *block = NULL;
    struct error err = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(gpu_pool_get(pool, &block, &err), RGPU_ERROR_MEMORY);
    assert_null(block);
    assert_non_null(strstr(err.text, "36028797018963968 bytes"));
    assert_non_null(strstr(err.text, "cuda:0"));
    gpu_pool_free(&pool);
    gpu_close(&device);
    assert_false(has_context());
}

static uintptr_t place_of(const struct gpu_block *block)
{
    return block->host ? (uintptr_t)block->host : (uintptr_t)block->address;
}

/* Makes a pool, takes so many blocks at a time, and drops all. Gives how many of them were at one
 * of the `known` places, and where they were. */
static int use_pool(struct gpu_device *device, enum gpu_place place, size_t bytes, int count,
                    const uintptr_t known[KEPT_ONES], uintptr_t ret[KEPT_ONES])
{
    struct gpu_pool *pool = make_pool(device, place, bytes);
    struct gpu_block *blocks[GPU_KEPT_BLOCKS_MAX + KEPT_ONES];
    int found = 0;
    for (int i = 0; i < count; i++) {
        blocks[i] = get(pool);
        assert_ptr_equal(blocks[i]->pool, pool);
        if (blocks[i]->host)
            memset(blocks[i]->host, i, bytes);
        for (int k = 0; k < KEPT_ONES; k++)
            found += place_of(blocks[i]) == known[k];
        if (i < KEPT_ONES)
            ret[i] = place_of(blocks[i]);
    }
    for (int i = 0; i < count; i++)
        gpu_block_release(&blocks[i]);
    gpu_pool_free(&pool);
    return found;
}

/* What a pool leaves is the next one's of the same place and size, up to a number and a size. */
static void test_kept(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    for (int i = GPU_MEMORY_DEVICE; i <= GPU_MEMORY_PINNED; i++) {
        const enum gpu_place place = (enum gpu_place)i;
        uintptr_t first[KEPT_ONES] = {0}, other[KEPT_ONES];
        assert_int_equal(use_pool(device, place, BLOCK_BYTES, KEPT_ONES, first, first), 0);
        assert_int_equal(use_pool(device, place, 2 * BLOCK_BYTES, KEPT_ONES, first, other), 0);
        assert_int_equal(use_pool(device, place, BLOCK_BYTES, KEPT_ONES + 1, first, other),
                         KEPT_ONES);
        gpu_idle_clear(device);
        use_pool(device, place, BLOCK_BYTES, GPU_KEPT_BLOCKS_MAX + KEPT_ONES, first, other);
        for (int kept = 0; kept < GPU_KEPT_BLOCKS_MAX; kept++)
            assert_true(gpu_idle_evict(device, NULL));
        assert_false(gpu_idle_evict(device, NULL));
        use_pool(device, place, GPU_KEPT_BYTES_MAX + 1, 1, first, other);
        assert_false(gpu_idle_evict(device, NULL));
    }
    gpu_close(&device);
    assert_false(has_context());
}

/* What is kept makes room for what is needed. */
static void test_makes_room(void **state)
{
    (void)state;
    enum { OUT_OF_MEMORY = 2 };
    static const char *const names[] = {"cuMemAlloc_v2", "cuMemHostAlloc"};
    struct gpu_device *device = open_device();
    void *lib = dlopen("libstandin.so", RTLD_LAZY | RTLD_NOLOAD);
    void (*fail_call)(const char *name, long nth, int code) = NULL;
    if (lib)
        *(void **)(void *)&fail_call = dlsym(lib, "standin_fail");
    if (!fail_call) {
        gpu_close(&device);
        skip();
        return;
    }
    for (int i = GPU_MEMORY_DEVICE; i <= GPU_MEMORY_PINNED; i++) {
        const enum gpu_place place = (enum gpu_place)i;
        uintptr_t known[KEPT_ONES] = {0};
        use_pool(device, place, BLOCK_BYTES, KEPT_ONES, known, known);
        struct gpu_pool *pool = make_pool(device, place, 2 * BLOCK_BYTES);
        struct gpu_block *block = NULL;
        fail_call(names[i], 1, OUT_OF_MEMORY);
        fail_call(names[i], 2, OUT_OF_MEMORY);
        assert_int_equal(gpu_pool_get(pool, &block, NULL), 0);
        gpu_block_release(&block);
        gpu_pool_free(&pool);
        /* One of the first, and the new one. */
        assert_true(gpu_idle_evict(device, NULL));
        assert_true(gpu_idle_evict(device, NULL));
        assert_false(gpu_idle_evict(device, NULL));
        pool = make_pool(device, place, BLOCK_BYTES);
        fail_call(names[i], 1, OUT_OF_MEMORY);
        assert_int_equal(gpu_pool_get(pool, &block, NULL), RGPU_ERROR_MEMORY);
        gpu_pool_free(&pool);
    }
    gpu_close(&device);
}

static void *release(void *arg)
{
    struct gpu_block *block = arg;
    gpu_block_release(&block);
    return NULL;
}

static void test_outlives_pool(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    struct gpu_pool *pool = make_pool(device, GPU_MEMORY_PINNED, BLOCK_BYTES);
    struct gpu_block *blocks[3];
    for (int i = 0; i < 3; i++)
        blocks[i] = get(pool);
    gpu_block_release(&blocks[1]);
    gpu_pool_free(&pool);
    gpu_close(&device);
    memset(blocks[0]->host, 1, BLOCK_BYTES);
    gpu_block_release(&blocks[0]);
    memset(blocks[2]->host, 2, BLOCK_BYTES);
    assert_true(has_context());
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release, blocks[2]), 0);
    pthread_join(thread, NULL);
    assert_false(has_context());
}

struct user {
    struct gpu_pool *pool;
    uint8_t number;
    unsigned seed;
    bool failed;
};

static bool all_are(const struct gpu_block *block, uint8_t value)
{
    for (int i = 0; i < BLOCK_BYTES; i++)
        if (block->host[i] != value)
            return false;
    return true;
}

/* Gets and releases at random; what it wrote into a block stays until it gives that back. */
static void *get_and_release(void *arg)
{
    struct user *user = arg;
    struct gpu_block *held[HELD_MAX] = {NULL};
    for (int i = 0; i < ROUNDS && !user->failed; i++) {
        struct gpu_block **at = &held[rand_r(&user->seed) % HELD_MAX];
        if (*at) {
            user->failed = !all_are(*at, user->number);
            gpu_block_release(at);
        } else if (gpu_pool_get(user->pool, at, NULL) == 0) {
            memset((*at)->host, user->number, BLOCK_BYTES);
        } else {
            user->failed = true;
        }
    }
    for (int i = 0; i < HELD_MAX; i++)
        gpu_block_release(&held[i]);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    struct gpu_pool *pool = make_pool(device, GPU_MEMORY_PINNED, BLOCK_BYTES);
    gpu_close(&device);
    struct user users[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        users[i] = (struct user){.pool = pool, .number = (uint8_t)(i + 1), .seed = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_release, &users[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(users[i].failed);
    }
    assert_true(has_context());
    gpu_pool_free(&pool);
    assert_false(has_context());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),     cmocka_unit_test(test_contents),
        cmocka_unit_test(test_too_much),   cmocka_unit_test(test_outlives_pool),
        cmocka_unit_test(test_threads),    cmocka_unit_test(test_kept),
        cmocka_unit_test(test_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a device keeps: the latest with an equal key comes back, the oldest goes when there are too
 * many, all of it goes with the last handle, and nothing goes twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gpu/idle.h"
#include "present.h"

#define THREADS 4
#define ROUNDS 300
#define KEYS 3

struct thing {
    const struct gpu_driver *driver;
    CUdeviceptr memory;
    int number;
    atomic_bool held;
};

static atomic_int alive;
static atomic_int last_destroyed; /* number */

static void destroy(void *object, bool inside)
{
    struct thing *thing = object;
    assert_true(inside);
    assert_false(atomic_load(&thing->held));
    assert_int_equal(thing->driver->cuda->cuMemFree(thing->memory), CUDA_SUCCESS);
    atomic_store(&last_destroyed, thing->number);
    atomic_fetch_sub(&alive, 1);
    free(thing);
}

static const struct gpu_idle_kind few = {.name = "few", .max = 3, .destroy = destroy};
static const struct gpu_idle_kind other = {.name = "other", .max = 1, .destroy = destroy};

static struct gpu_device *open_device(void)
{
    need_devices();
    struct gpu_device *device = NULL;
    struct error err = {0};
    if (gpu_open(&device, 0, &err) != 0)
        fail_msg("%s", err.text);
    return device;
}

static struct thing *make(struct gpu_device *device, int number)
{
    struct thing *thing = calloc(1, sizeof(*thing));
    assert_non_null(thing);
    thing->driver = gpu_device_driver(device);
    thing->number = number;
    atomic_store(&thing->held, true);
    assert_int_equal(gpu_enter(device, NULL), 0);
    assert_int_equal(thing->driver->cuda->cuMemAlloc(&thing->memory, 4096), CUDA_SUCCESS);
    gpu_leave(device);
    atomic_fetch_add(&alive, 1);
    return thing;
}

static void put(struct gpu_device *device, const struct gpu_idle_kind *kind, uint32_t key,
                struct thing *thing)
{
    atomic_store(&thing->held, false);
    gpu_idle_put(device, kind, &key, sizeof(key), thing);
}

/* Its number; -1: there is none. */
static int take(struct gpu_device *device, const struct gpu_idle_kind *kind, uint32_t key,
                struct thing **ret)
{
    *ret = gpu_idle_take(device, kind, &key, sizeof(key));
    if (!*ret)
        return -1;
    assert_false(atomic_exchange(&(*ret)->held, true));
    return (*ret)->number;
}

static void test_order(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    struct thing *thing = NULL;
    assert_int_equal(take(device, &few, 7, &thing), -1);
    put(device, &few, 7, make(device, 1));
    put(device, &few, 8, make(device, 2));
    put(device, &few, 7, make(device, 3));
    assert_int_equal(take(device, &other, 7, &thing), -1);
    assert_int_equal(take(device, &few, 9, &thing), -1);
    assert_null(gpu_idle_take(device, &few, &(uint32_t){7}, 3));
    /* The latest put, also from behind one of another key. */
    assert_int_equal(take(device, &few, 8, &thing), 2);
    put(device, &few, 8, thing);
    struct thing *third = NULL, *none = NULL;
    assert_int_equal(take(device, &few, 7, &third), 3);
    assert_int_equal(take(device, &few, 7, &thing), 1);
    assert_int_equal(take(device, &few, 7, &none), -1);
    assert_int_equal(atomic_load(&alive), 3);
    put(device, &few, 7, thing);
    put(device, &few, 7, third);
    gpu_close(&device);
    assert_int_equal(atomic_load(&alive), 0);
    device = open_device();
    assert_int_equal(take(device, &few, 8, &thing), -1);
    gpu_close(&device);
}

static void test_bounds(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    struct thing *thing = NULL, *none = NULL;
    for (int i = 0; i < 5; i++) {
        put(device, &few, (uint32_t)i % 2, make(device, i));
        put(device, &other, 5, make(device, 100 + i));
    }
    assert_int_equal(atomic_load(&alive), few.max + other.max);
    assert_true(gpu_idle_evict(device, &few));
    assert_int_equal(atomic_load(&last_destroyed), 2);
    assert_int_equal(take(device, &few, 0, &thing), 4);
    assert_int_equal(take(device, &few, 0, &none), -1);
    put(device, &few, 0, thing);
    assert_true(gpu_idle_evict(device, NULL));
    assert_int_equal(atomic_load(&last_destroyed), 3);
    assert_true(gpu_idle_evict(device, &few));
    assert_false(gpu_idle_evict(device, &few));
    assert_true(gpu_idle_evict(device, &other));
    assert_int_equal(atomic_load(&last_destroyed), 104);
    assert_false(gpu_idle_evict(device, NULL));
    assert_int_equal(atomic_load(&alive), 0);
    gpu_close(&device);
}

/* Every device has its own, and only the last handle clears it. */
static void test_devices(void **state)
{
    (void)state;
    struct gpu_device *device = open_device(), *again = open_device(), *second = NULL;
    struct thing *thing = NULL;
    put(device, &few, 1, make(device, 1));
    if (gpu_list(NULL, 0) > 1) {
        assert_int_equal(gpu_open(&second, 1, NULL), 0);
        assert_int_equal(take(second, &few, 1, &thing), -1);
        assert_false(gpu_idle_evict(second, NULL));
        put(second, &few, 1, make(second, 2));
        gpu_close(&second);
        assert_int_equal(atomic_load(&alive), 1);
    }
    gpu_close(&device);
    assert_int_equal(atomic_load(&alive), 1);
    gpu_close(&again);
    assert_int_equal(atomic_load(&alive), 0);
}

static void *run_thread(void *opaque)
{
    const int number = *(const int *)opaque;
    for (int i = 0; i < ROUNDS; i++) {
        struct gpu_device *device = NULL;
        struct thing *thing = NULL;
        if (gpu_open(&device, 0, NULL) != 0)
            return NULL;
        const uint32_t key = (uint32_t)(i * (number + 1)) % KEYS;
        if (take(device, &few, key, &thing) < 0)
            thing = make(device, number);
        if (i % 11 == number)
            gpu_idle_evict(device, &few);
        put(device, &few, key, thing);
        gpu_close(&device);
    }
    return opaque;
}

static void test_threads(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int held = 1; held >= 0; held--) {
        for (int i = 0; i < THREADS; i++) {
            numbers[i] = i;
            assert_int_equal(pthread_create(&threads[i], NULL, run_thread, &numbers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            void *ret = NULL;
            assert_int_equal(pthread_join(threads[i], &ret), 0);
            assert_ptr_equal(ret, &numbers[i]);
        }
        if (held) {
            assert_in_range(atomic_load(&alive), 1, few.max);
            gpu_close(&device); /* in the second round they close and open it all the time */
        }
        assert_int_equal(atomic_load(&alive), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

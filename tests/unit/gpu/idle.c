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
#include <unistd.h>

#include "base/clock.h"
#include "gpu/idle.h"
#include "present.h"

#define THREADS 4
#define ROUNDS 300
#define KEYS 3

struct thing {
    const struct gpu_driver *driver;
    CUdeviceptr memory;
    int number;
    int64_t put_ns; /* when it was put last */
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

/* Nobody destroys these but time. */
static void destroy_brief(void *object, bool inside);
static const struct gpu_idle_kind brief = {
    .name = "brief", .max = 100, .destroy = destroy_brief, .keep_ns = 2000000};
static const struct gpu_idle_kind longer = {
    .name = "longer", .max = 100, .destroy = destroy, .keep_ns = INT64_C(3600000000000)};

static void destroy_brief(void *object, bool inside)
{
    const struct thing *thing = object;
    assert_true(clock_now_ns() - thing->put_ns >= brief.keep_ns);
    destroy(object, inside);
}

/* Between what it is put for, it is taken and evicted as well. */
static const struct gpu_idle_kind fleeting = {
    .name = "fleeting", .max = 3, .destroy = destroy, .keep_ns = 50000};

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
    thing->put_ns = clock_now_ns();
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

static void wait_alive(int count)
{
    while (atomic_load(&alive) != count) /* or the test's own time is over */
        usleep(500);
}

/* What has a time goes when it is over, and what is taken before that stays. */
static void test_times(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    struct thing *thing = NULL;
    for (int round = 0; round < 3; round++) {
        put(device, &longer, 1, make(device, 1));
        put(device, &few, 1, make(device, 2));
        for (int i = 0; i < 5; i++)
            put(device, &brief, (uint32_t)i, make(device, 10 + i));
        wait_alive(2);
        assert_int_equal(atomic_load(&last_destroyed), 14);
        assert_false(gpu_idle_evict(device, &brief));
        assert_int_equal(take(device, &longer, 1, &thing), 1);
        put(device, &longer, 1, thing);
        put(device, &brief, 1, make(device, 3)); /* while the thread waits for an hour */
        wait_alive(2);
        assert_int_equal(atomic_load(&last_destroyed), 3);
        if (round < 2) {
            gpu_close(&device); /* which is not waited for an hour */
            assert_int_equal(atomic_load(&alive), 0);
            device = open_device();
        }
    }
    assert_true(gpu_idle_evict(device, &longer));
    put(device, &brief, 1, make(device, 4)); /* where it waited for nothing */
    wait_alive(1);
    gpu_close(&device);
    assert_int_equal(atomic_load(&alive), 0);
}

/* Who wants room gets it, be it from what is just going: then none is alive when it is told that
 * there is none left. */
static void test_evict_waits(void **state)
{
    (void)state;
    struct gpu_device *device = open_device();
    for (int i = 0; i < ROUNDS; i++) {
        put(device, &fleeting, 1, make(device, i));
        usleep((unsigned)(i % 4) * 40);
        while (gpu_idle_evict(device, &fleeting)) {
        }
        assert_int_equal(atomic_load(&alive), 0);
    }
    gpu_close(&device);
}

static const struct gpu_idle_kind *kind_of_threads = &few;

static void *run_thread(void *opaque)
{
    const struct gpu_idle_kind *kind = kind_of_threads;
    const int number = *(const int *)opaque;
    for (int i = 0; i < ROUNDS; i++) {
        struct gpu_device *device = NULL;
        struct thing *thing = NULL;
        if (gpu_open(&device, 0, NULL) != 0)
            return NULL;
        const uint32_t key = (uint32_t)(i * (number + 1)) % KEYS;
        if (take(device, kind, key, &thing) < 0)
            thing = make(device, number);
        if (i % 11 == number)
            gpu_idle_evict(device, kind);
        put(device, kind, key, thing);
        gpu_close(&device);
    }
    return opaque;
}

static void run_threads(const struct gpu_idle_kind *kind)
{
    kind_of_threads = kind;
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
            /* One may be going just now. */
            assert_in_range(atomic_load(&alive), kind->keep_ns ? 0 : 1,
                            kind->max + (kind->keep_ns > 0));
            gpu_close(&device); /* in the second round they close and open it all the time */
        }
        assert_int_equal(atomic_load(&alive), 0);
    }
}

static void test_threads(void **state)
{
    (void)state;
    run_threads(&few);
}

static void test_threads_in_time(void **state)
{
    (void)state;
    run_threads(&fleeting);
}

static int64_t distance(const void *object, const void *wanted)
{
    const struct thing *thing = object;
    return thing->number - *(const int *)wanted;
}

static void test_best(void **state)
{
    (void)state;
    static const int numbers[] = {12, 5, 9, 7, 5};
    struct gpu_device *device = open_device();
    const struct thing *last = NULL;
    for (int i = 0; i < 5; i++) {
        struct thing *thing = make(device, numbers[i]);
        put(device, &longer, (uint32_t)i, thing);
        last = thing;
    }
    put(device, &few, 1, make(device, 6));
    static const struct {
        int wanted, number;
    } cases[] = {{6, 7}, {6, 9}, {13, -1}, {5, 5}, {0, 5}, {10, 12}, {0, -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct thing *thing = gpu_idle_take_best(device, &longer, distance, &cases[i].wanted);
        assert_int_equal(thing ? thing->number : -1, cases[i].number);
        if (!thing)
            continue;
        if (i == 3) /* the latest of two that are equal */
            assert_ptr_equal(thing, last);
        assert_int_equal(gpu_enter(device, NULL), 0);
        destroy(thing, true);
        gpu_leave(device);
    }
    gpu_close(&device);
    assert_int_equal(atomic_load(&alive), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),           cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_devices),         cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_in_time), cmocka_unit_test(test_times),
        cmocka_unit_test(test_evict_waits),     cmocka_unit_test(test_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

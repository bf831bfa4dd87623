/* Devices: what is listed, one context for all who open one, and none when the last has closed;
 * streams, events and kernels within it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>

#include "gpu/kernels.h"
#include "gpu/stream.h"
#include "present.h"

#define THREADS 4
#define ROUNDS 24

static struct gpu_device *open_device(int index)
{
    struct gpu_device *device = NULL;
    struct error err = {0};
    if (gpu_open(&device, index, &err) != 0)
        fail_msg("%s", err.text);
    return device;
}

/* Whether the process has a context on the device. */
static bool is_active(int index)
{
    const struct gpu_driver *driver = NULL;
    CUdevice device = 0;
    unsigned flags = 0;
    int active = -1;
    assert_int_equal(gpu_driver(&driver, NULL), 0);
    assert_int_equal(driver->cuda->cuDeviceGet(&device, index), CUDA_SUCCESS);
    assert_int_equal(driver->cuda->cuDevicePrimaryCtxGetState(device, &flags, &active),
                     CUDA_SUCCESS);
    return active != 0;
}

static void test_list(void **state)
{
    (void)state;
    const int count = need_devices();
    struct gpu_info infos[GPU_DEVICES_MAX + 1];
    for (int max = 0; max <= count; max++) {
        memset(infos, 0x5a, sizeof(infos));
        assert_int_equal(gpu_list(infos, max), count);
        assert_int_equal(infos[max].index, 0x5a5a5a5a);
    }
    for (int i = 0; i < count; i++) {
        const struct gpu_info *info = &infos[i];
        unsigned domain, bus, slot, function;
        char end;
        assert_int_equal(info->index, i);
        assert_true(info->name[0] != '\0');
        assert_int_equal(sscanf(info->pci, "%x:%x:%x.%x%c", &domain, &bus, &slot, &function, &end),
                         4);
        for (const char *p = info->pci; *p; p++)
            assert_false(isupper((unsigned char)*p));
        assert_true(info->compute_major >= 3 && info->compute_minor >= 0);
        assert_true(info->multiprocessors > 0);
        assert_true(info->memory_bytes > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(info->pci, infos[j].pci);
    }
}

static void test_no_such_device(void **state)
{
    (void)state;
    const int count = need_devices();
    const int indices[] = {count, -1, GPU_DEVICES_MAX, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
        struct gpu_device *device = NULL;
        struct error err = {0};
        char name[32];
        snprintf(name, sizeof(name), "cuda:%d", indices[i]);
        assert_int_equal(gpu_open(&device, indices[i], &err), RGPU_ERROR_DEVICE);
        assert_null(device);
        assert_non_null(strstr(err.text, name));
    }
}

static void test_shared(void **state)
{
    (void)state;
    const int count = need_devices();
    struct gpu_info infos[GPU_DEVICES_MAX];
    gpu_list(infos, count);
    for (int i = 0; i < count; i++) {
        assert_false(is_active(i));
        struct gpu_device *first = open_device(i), *second = open_device(i);
        assert_ptr_equal(first, second);
        struct gpu_device *third = gpu_ref(first);
        assert_ptr_equal(third, first);
        assert_memory_equal(gpu_device_info(first), &infos[i], sizeof(infos[i]));
        gpu_close(&first);
        assert_null(first);
        gpu_close(&second);
        assert_true(is_active(i));
        gpu_close(&third);
        assert_false(is_active(i));
        gpu_close(&third);
    }
    gpu_close(NULL);
}

static void test_context(void **state)
{
    (void)state;
    const int count = need_devices();
    struct gpu_device *outer = open_device(0), *inner = open_device(count - 1);
    const CudaFunctions *cuda = gpu_device_driver(outer)->cuda;
    CUdevice own = -1, other = -1, found = -1;
    cuda->cuDeviceGet(&own, 0);
    cuda->cuDeviceGet(&other, count - 1);
    assert_int_not_equal(cuda->cuCtxGetDevice(&found), CUDA_SUCCESS);
    assert_int_equal(gpu_enter(outer, NULL), 0);
    assert_int_equal(gpu_enter(inner, NULL), 0);
    assert_int_equal(cuda->cuCtxGetDevice(&found), CUDA_SUCCESS);
    assert_int_equal(found, other);
    gpu_leave(inner);
    assert_int_equal(cuda->cuCtxGetDevice(&found), CUDA_SUCCESS);
    assert_int_equal(found, own);
    gpu_leave(outer);
    assert_int_not_equal(cuda->cuCtxGetDevice(&found), CUDA_SUCCESS);
    gpu_close(&inner);
    gpu_close(&outer);
}

static void test_streams(void **state)
{
    (void)state;
    need_devices();
    struct gpu_device *device = open_device(0);
    const struct gpu_driver *driver = gpu_device_driver(device);
    CUstream streams[2] = {NULL, NULL};
    CUevent event = NULL;
    assert_int_equal(gpu_enter(device, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gpu_stream_new(device, &streams[i], NULL), 0);
        assert_non_null(streams[i]);
    }
    assert_ptr_not_equal(streams[0], streams[1]);
    assert_int_equal(gpu_event_new(device, &event, NULL), 0);
    assert_int_equal(driver->cuda->cuEventRecord(event, streams[0]), CUDA_SUCCESS);
    assert_int_equal(driver->cuStreamWaitEvent(streams[1], event, 0), CUDA_SUCCESS);
    assert_int_equal(driver->cuda->cuStreamSynchronize(streams[1]), CUDA_SUCCESS);
    assert_int_equal(driver->cuda->cuEventQuery(event), CUDA_SUCCESS);
    for (int i = 0; i < 2; i++) {
        gpu_stream_free(device, &streams[i]);
        assert_null(streams[i]);
        gpu_stream_free(device, &streams[i]);
    }
    gpu_event_free(device, &event);
    assert_null(event);
    gpu_event_free(device, &event);
    gpu_leave(device);
    gpu_close(&device);
}

/* Every kernel that the PTX has. */
static void test_kernels(void **state)
{
    (void)state;
    need_devices();
    struct gpu_device *device = open_device(0);
    assert_int_equal(gpu_enter(device, NULL), 0);
    int kernels = 0;
    const char *at = (const char *)gpu_kernels_ptx;
    while ((at = strstr(at, ".entry ")) != NULL) {
        char name[256];
        assert_int_equal(sscanf(at, ".entry %255[A-Za-z0-9_$]", name), 1);
        struct error err = {0};
        CUfunction function = NULL;
        if (gpu_kernel(device, name, &function, &err) != 0)
            fail_msg("%s", err.text);
        assert_non_null(function);
        kernels++;
        at += strlen(".entry ");
    }
    assert_true(kernels > 0);
    CUfunction function = NULL;
    struct error err = {0};
    assert_int_equal(gpu_kernel(device, "no_such_kernel", &function, &err), RGPU_ERROR_DEVICE);
    assert_null(function);
    assert_non_null(strstr(err.text, "no_such_kernel"));
    gpu_leave(device);
    gpu_close(&device);
}

struct user {
    unsigned seed;
    int devices;
    bool failed;
};

static void use_device(struct user *user, struct gpu_device *device)
{
    CUevent event = NULL;
    CUdevice found = -1;
    if (gpu_enter(device, NULL) != 0) {
        user->failed = true;
        return;
    }
    const CudaFunctions *cuda = gpu_device_driver(device)->cuda;
    user->failed = user->failed || gpu_event_new(device, &event, NULL) != 0 ||
                   cuda->cuCtxGetDevice(&found) != CUDA_SUCCESS;
    gpu_event_free(device, &event);
    gpu_leave(device);
}

static void *open_and_close(void *arg)
{
    struct user *user = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct gpu_device *device = NULL, *again = NULL;
        const int index = rand_r(&user->seed) % user->devices;
        if (gpu_open(&device, index, NULL) != 0) {
            user->failed = true;
            break;
        }
        if (rand_r(&user->seed) % 2)
            again = gpu_ref(device);
        use_device(user, device);
        gpu_close(&device);
        if (again)
            use_device(user, again);
        gpu_close(&again);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    const int count = need_devices();
    struct user users[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        users[i] = (struct user){.seed = 1 + i, .devices = count};
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &users[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(users[i].failed);
    }
    for (int i = 0; i < count; i++)
        assert_false(is_active(i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),    cmocka_unit_test(test_no_such_device),
        cmocka_unit_test(test_shared),  cmocka_unit_test(test_context),
        cmocka_unit_test(test_streams), cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

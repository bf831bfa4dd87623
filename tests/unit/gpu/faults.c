/* Drivers that are not as they should be: what is missing, what refuses to start, and each call
 * that fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu/idle.h"
#include "gpu/memory.h"
#include "gpu/sensors.h"
#include "gpu/stream.h"
#include "machine.h"

/* ---- a process of its own -------------------------------------------------------------------- */

struct outcome {
    int driver_code, video_code, sense_code, list_count;
    bool has_cuvid;
    struct error driver, video, sense;
    struct gpu_sensors sensors;
};

static const struct gpu_info first = {.index = 0, .pci = "0000:3b:00.0"};

/* What a process finds that starts on the machine as it is now: libraries are loaded once each. It
 * must not say a word on standard error. */
static struct outcome start(void)
{
    struct outcome *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    const int said = memfd_create("said", 0);
    assert_true(said >= 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(said, STDERR_FILENO);
        const struct gpu_driver *driver = NULL;
        for (int i = 0; i < 2; i++) /* the second answer is as the first */
            shared->driver_code = gpu_driver(&driver, &shared->driver);
        if (driver) {
            shared->has_cuvid = driver->cuvid != NULL;
            shared->video_code = gpu_driver_video(driver, &shared->video);
        }
        shared->list_count = gpu_list(NULL, 0);
        shared->sense_code = gpu_sense(&first, &shared->sensors, &shared->sense);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(lseek(said, 0, SEEK_END), 0);
    close(said);
    const struct outcome outcome = *shared;
    munmap(shared, sizeof(*shared));
    return outcome;
}

static void assert_no_driver(const char *const *words)
{
    const struct outcome outcome = start();
    assert_int_equal(outcome.driver_code, RGPU_ERROR_DEVICE);
    assert_int_equal(outcome.driver.code, RGPU_ERROR_DEVICE);
    assert_int_equal(outcome.list_count, 0);
    for (; *words; words++)
        if (!strstr(outcome.driver.text, *words))
            fail_msg("\"%s\" is not in: %s", *words, outcome.driver.text);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_no_cuda(void **state)
{
    (void)state;
    machine_reset();
    machine.no_library = "libcuda.so.1";
    assert_no_driver(WORDS("the loader's reason", "install NVIDIA's driver", "--gpus all"));
}

static void test_old_driver(void **state)
{
    (void)state;
    machine_reset();
    machine.version = 10020;
    assert_no_driver(WORDS("too old", "CUDA 10.2", "CUDA 11.0 or later"));
    machine_reset();
    machine.no_symbol = "cuStreamWaitEvent";
    assert_no_driver(WORDS("too old", "lacks cuStreamWaitEvent", "CUDA 11.0 or later"));
    machine_reset();
    machine.no_symbol = "cuDriverGetVersion";
    assert_no_driver(WORDS("too old", "lacks cuDriverGetVersion"));
    machine_reset();
    machine.no_symbol = "cuTexObjectCreate";
    assert_no_driver(WORDS("too old", "CUDA 12.4", "CUDA 11.0 or later"));
}

static void test_no_start(void **state)
{
    (void)state;
    static const struct {
        int result;
        const char *name;
    } cases[] = {{2, "CUDA_ERROR_OUT_OF_MEMORY"},
                 {34, "CUDA_ERROR_STUB_LIBRARY"},
                 {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
                 {100, "CUDA_ERROR_NO_DEVICE"},
                 {214, "CUDA_ERROR_ECC_UNCORRECTABLE"},
                 {304, "CUDA_ERROR_OPERATING_SYSTEM"},
                 {802, "CUDA_ERROR_SYSTEM_NOT_READY"},
                 {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"},
                 {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"},
                 {999, "CUDA_ERROR_UNKNOWN"},
                 {4242, "CUDA_ERROR_OF_THE_FUTURE"},
                 {4343, "4343"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        machine_reset();
        machine.init_result = cases[i].result;
        assert_no_driver(WORDS("does not start", cases[i].name));
    }
    machine_reset();
    machine.devices = 0;
    assert_no_driver(WORDS("CUDA_ERROR_NO_DEVICE"));
}

static void test_no_video(void **state)
{
    (void)state;
    machine_reset();
    machine.no_library = "libnvcuvid.so.1";
    struct outcome outcome = start();
    assert_int_equal(outcome.driver_code, 0);
    assert_int_equal(outcome.list_count, 1);
    assert_false(outcome.has_cuvid);
    assert_int_equal(outcome.video_code, RGPU_ERROR_DEVICE);
    assert_int_equal(outcome.video.code, RGPU_ERROR_DEVICE);
    assert_non_null(strstr(outcome.video.text, "the loader's reason"));
    assert_non_null(strstr(outcome.video.text, "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility"));

    machine_reset();
    machine.no_symbol = "cuvidReconfigureDecoder";
    outcome = start();
    assert_int_equal(outcome.driver_code, 0);
    assert_false(outcome.has_cuvid);
    assert_int_equal(outcome.video_code, RGPU_ERROR_DEVICE);
    assert_non_null(strstr(outcome.video.text, "install a newer driver"));

    machine_reset();
    outcome = start();
    assert_true(outcome.has_cuvid);
    assert_int_equal(outcome.video_code, 0);
}

static void test_no_nvml(void **state)
{
    (void)state;
    machine_reset();
    machine.no_library = "libnvidia-ml.so.1";
    struct outcome outcome = start();
    assert_int_equal(outcome.driver_code, 0);
    assert_int_equal(outcome.sense_code, RGPU_ERROR_DEVICE);
    assert_non_null(strstr(outcome.sense.text, "the loader's reason"));
    assert_int_equal(outcome.sensors.temperature_c, GPU_UNKNOWN);

    machine_reset();
    machine.nvml_init_result = 9;
    outcome = start();
    assert_int_equal(outcome.sense_code, RGPU_ERROR_DEVICE);
    assert_non_null(strstr(outcome.sense.text, "Driver Not Loaded"));
    assert_non_null(strstr(outcome.sense.text, "load the kernel's NVIDIA module"));

    machine_reset();
    machine.no_symbol = "nvmlDeviceGetHandleByPciBusId_v2";
    assert_int_equal(start().sense_code, RGPU_ERROR_DEVICE);

    /* One figure less, not an error. */
    machine_reset();
    machine.no_symbol = "nvmlDeviceGetTemperature";
    outcome = start();
    assert_int_equal(outcome.sense_code, 0);
    assert_int_equal(outcome.sensors.temperature_c, GPU_UNKNOWN);
    assert_int_equal(outcome.sensors.sm_percent, 41);
}

/* ---- this process ---------------------------------------------------------------------------- */

static void assert_nothing_alive(void)
{
    assert_int_equal(machine.contexts, 0);
    assert_int_equal(machine.depth, 0);
    assert_int_equal(machine.memory, 0);
    assert_int_equal(machine.events, 0);
    assert_int_equal(machine.streams, 0);
    assert_int_equal(machine.modules, 0);
}

/* Uses all there is, as far as it goes. Gives whether all went. */
static bool use_all(struct error *err)
{
    struct gpu_device *device = NULL;
    struct gpu_pool *pools[2] = {NULL, NULL};
    struct gpu_block *blocks[2] = {NULL, NULL};
    CUstream stream = NULL;
    CUevent event = NULL;
    CUfunction function = NULL;
    if (gpu_open(&device, 0, err) != 0) {
        assert_null(device);
        return false;
    }
    bool whole = true;
    for (int i = 0; i < 2; i++) {
        const enum gpu_place place = i == 0 ? GPU_MEMORY_DEVICE : GPU_MEMORY_PINNED;
        assert_int_equal(gpu_pool_new(&pools[i], device, place, 64, err), 0);
        whole = gpu_pool_get(pools[i], &blocks[i], err) == 0 && whole;
    }
    if (gpu_enter(device, err) == 0) {
        whole = gpu_kernel(device, "kernel", &function, err) == 0 && whole;
        whole = gpu_kernel(device, "kernel", &function, err) == 0 && whole;
        whole = gpu_stream_new(device, &stream, err) == 0 && whole;
        whole = gpu_event_new(device, &event, err) == 0 && whole;
        gpu_event_free(device, &event);
        gpu_stream_free(device, &stream);
        gpu_leave(device);
    } else {
        whole = false;
    }
    /* What comes now must not fail. */
    machine.calls_left = -1;
    assert_int_equal(machine.contexts, 1);
    assert_true(machine.modules <= 1);
    gpu_close(&device);
    for (int i = 0; i < 2; i++) {
        gpu_pool_free(&pools[i]);
        gpu_block_release(&blocks[i]);
    }
    return whole;
}

static void test_each_call(void **state)
{
    (void)state;
    int failures = 0;
    for (int n = 0;; n++) {
        struct error err = {0};
        machine_reset();
        machine.calls_left = n;
        const bool whole = use_all(&err);
        assert_nothing_alive();
        assert_int_equal(whole, !machine.failed);
        if (!machine.failed)
            break;
        failures++;
        assert_true(err.code == RGPU_ERROR_DEVICE || err.code == RGPU_ERROR_MEMORY);
        assert_non_null(strstr(err.text, "cuda:0"));
    }
    assert_true(failures > 10);
}

static int freed, freed_inside;

static void free_object(void *object, bool inside)
{
    freed++;
    freed_inside += inside;
    free(object);
}

/* Each kept object goes once, and is told where its context can no longer be entered. */
static void test_idle(void **state)
{
    (void)state;
    static const struct gpu_idle_kind kind = {.name = "a", .max = 2, .destroy = free_object};
    for (int n = 0; n < 4; n++) {
        machine_reset();
        freed = freed_inside = 0;
        struct gpu_device *device = NULL;
        assert_int_equal(gpu_open(&device, 0, NULL), 0);
        machine.calls_left = n;
        for (int i = 0; i < 3; i++)
            gpu_idle_put(device, &kind, &i, sizeof(i), malloc(8));
        assert_int_equal(freed, 1);
        assert_int_equal(freed_inside, n > 0);
        gpu_close(&device);
        assert_int_equal(freed, 3);
        assert_int_equal(freed_inside, n < 3 ? 2 : 3);
        assert_nothing_alive();
    }
}

/* A context that can no longer be entered: its memory went with it. */
static void test_dead_context(void **state)
{
    (void)state;
    machine_reset();
    struct gpu_device *device = NULL;
    struct gpu_pool *pool = NULL;
    struct gpu_block *block = NULL;
    assert_int_equal(gpu_open(&device, 0, NULL), 0);
    assert_int_equal(gpu_pool_new(&pool, device, GPU_MEMORY_DEVICE, 64, NULL), 0);
    assert_int_equal(gpu_pool_get(pool, &block, NULL), 0);
    gpu_close(&device);
    gpu_block_release(&block);
    machine.calls_left = 0;
    gpu_pool_free(&pool);
    assert_true(machine.failed);
    assert_int_equal(machine.depth, 0);
    assert_int_equal(machine.contexts, 0);
}

static void test_limit(void **state)
{
    (void)state;
    machine_reset();
    static struct gpu_block *blocks[GPU_POOL_BLOCKS_MAX];
    struct gpu_device *device = NULL;
    struct gpu_pool *pool = NULL;
    struct gpu_block *block = NULL;
    assert_int_equal(gpu_open(&device, 0, NULL), 0);
    assert_int_equal(gpu_pool_new(&pool, device, GPU_MEMORY_DEVICE, 64, NULL), 0);
    /* Those that could not be had do not count. */
    for (int i = 0; i < 3; i++) {
        machine.calls_left = 1;
        assert_int_equal(gpu_pool_get(pool, &block, NULL), RGPU_ERROR_MEMORY);
    }
    for (int i = 0; i < GPU_POOL_BLOCKS_MAX; i++)
        assert_int_equal(gpu_pool_get(pool, &blocks[i], NULL), 0);
    assert_int_equal(gpu_pool_get(pool, &block, NULL), RGPU_ERROR_LIMIT);
    gpu_block_release(&blocks[17]);
    assert_int_equal(gpu_pool_get(pool, &blocks[17], NULL), 0);
    assert_int_equal(machine.memory, GPU_POOL_BLOCKS_MAX);
    for (int i = 0; i < GPU_POOL_BLOCKS_MAX; i++)
        gpu_block_release(&blocks[i]);
    gpu_pool_free(&pool);
    gpu_close(&device);
    assert_nothing_alive();
}

static void assert_no_kernel(struct gpu_device *device, const char *const *words)
{
    struct error err = {0};
    CUfunction function = NULL;
    assert_int_equal(gpu_enter(device, NULL), 0);
    assert_int_equal(gpu_kernel(device, "kernel", &function, &err), RGPU_ERROR_DEVICE);
    gpu_leave(device);
    assert_null(function);
    for (; *words; words++)
        if (!strstr(err.text, *words))
            fail_msg("\"%s\" is not in: %s", *words, err.text);
    assert_null(strstr(err.text, "second line"));
}

static void test_kernels(void **state)
{
    (void)state;
    struct gpu_device *device = NULL;
    machine_reset();
    machine.compute_major = 6;
    machine.compute_minor = 1;
    assert_int_equal(gpu_open(&device, 0, NULL), 0);
    assert_no_kernel(device, WORDS("cuda:0", "Fake 0", "6.1", "7.0"));
    gpu_close(&device);

    machine_reset();
    machine.compute_major = 7;
    assert_int_equal(gpu_open(&device, 0, NULL), 0);
    machine.jit_result = 218;
    assert_no_kernel(device, WORDS("ptxas line 7; fatal : what is this?:", "INVALID_PTX"));
    machine.jit_result = 222;
    assert_no_kernel(device, WORDS("too old for the kernels"));
    /* It can be had later. */
    machine.jit_result = 0;
    CUfunction function = NULL;
    assert_int_equal(gpu_enter(device, NULL), 0);
    assert_int_equal(gpu_kernel(device, "kernel", &function, NULL), 0);
    gpu_leave(device);
    assert_int_equal(machine.modules, 1);
    gpu_close(&device);
    assert_nothing_alive();
}

static void test_list(void **state)
{
    (void)state;
    machine_reset();
    machine.devices = GPU_DEVICES_MAX + 9;
    static struct gpu_info infos[GPU_DEVICES_MAX];
    assert_int_equal(gpu_list(infos, GPU_DEVICES_MAX), GPU_DEVICES_MAX);
    assert_string_equal(infos[0].pci, "0000:3b:00.0");
    assert_string_equal(infos[63].name, "Fake 63");
    struct gpu_device *device = NULL;
    assert_int_equal(gpu_open(&device, GPU_DEVICES_MAX, NULL), RGPU_ERROR_DEVICE);
    assert_int_equal(gpu_open(&device, GPU_DEVICES_MAX - 1, NULL), 0);
    assert_int_equal(gpu_device_info(device)->index, GPU_DEVICES_MAX - 1);
    gpu_close(&device);
    assert_nothing_alive();
}

static void test_sensors(void **state)
{
    (void)state;
    machine_reset();
    struct gpu_sensors s;
    assert_int_equal(gpu_sense(&first, &s, NULL), 0);
    assert_int_equal(s.temperature_c, 100);
    assert_int_equal(s.sm_percent, 41);
    assert_int_equal(s.memory_percent, 42);
    assert_int_equal(s.encoder_percent, 43);
    assert_int_equal(s.decoder_percent, GPU_UNKNOWN);
    assert_int_equal(s.encoder_sessions, 3);
    assert_int_equal(s.power_mw, GPU_UNKNOWN);
    assert_int_equal(s.power_limit_mw, 700000);
    assert_int_equal(s.sm_clock_mhz, 101);
    assert_int_equal(s.memory_clock_mhz, 102);
    assert_int_equal(s.video_clock_mhz, 103);
    assert_int_equal(s.memory_used_bytes, INT64_C(10) << 30);
    assert_int_equal(s.memory_total_bytes, INT64_C(80) << 30);
    assert_int_equal(s.throttle_reasons, 0x41);
    char text[16] = "";
    gpu_driver_text(text, sizeof(text));
    assert_string_equal(text, "550.54.14");

    /* Once a second. */
    const int asked = machine.nvml_calls;
    struct gpu_sensors again;
    machine.now_ns += SECOND_NS - 1;
    assert_int_equal(gpu_sense(&first, &again, NULL), 0);
    assert_memory_equal(&again, &s, sizeof(s));
    assert_int_equal(machine.nvml_calls, asked);
    machine.now_ns += 1;
    assert_int_equal(gpu_sense(&first, &again, NULL), 0);
    assert_int_equal(machine.nvml_calls, 2 * asked);
}

static void test_sensors_lost(void **state)
{
    (void)state;
    machine_reset();
    machine.now_ns = 100 * SECOND_NS;
    machine.nvml_result = 15;
    struct gpu_sensors s;
    struct error err = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gpu_sense(&first, &s, &err), RGPU_ERROR_DEVICE);
        assert_non_null(strstr(err.text, "fallen off the bus"));
        assert_int_equal(s.sm_percent, GPU_UNKNOWN);
        assert_int_equal(machine.nvml_calls, 1);
    }
    /* While it was being read: what it said before counts no more. */
    machine.now_ns += SECOND_NS;
    machine.nvml_calls = 0;
    machine.nvml_good = 3;
    assert_int_equal(gpu_sense(&first, &s, &err), RGPU_ERROR_DEVICE);
    assert_true(machine.nvml_calls > 3);
    assert_int_equal(s.sm_percent, GPU_UNKNOWN);
    assert_int_equal(s.memory_used_bytes, GPU_UNKNOWN);
    /* Another device has the index: not what the first one said. */
    const struct gpu_info other = {.index = 0, .pci = "0000:3c:00.0"};
    assert_int_equal(gpu_sense(&other, &s, &err), RGPU_ERROR_DEVICE);
    assert_non_null(strstr(err.text, "0000:3c:00.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* Each of these has processes of its own; those behind them load all into this one. */
        cmocka_unit_test(test_no_cuda),      cmocka_unit_test(test_old_driver),
        cmocka_unit_test(test_no_start),     cmocka_unit_test(test_no_video),
        cmocka_unit_test(test_no_nvml),      cmocka_unit_test(test_each_call),
        cmocka_unit_test(test_dead_context), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_kernels),      cmocka_unit_test(test_list),
        cmocka_unit_test(test_sensors),      cmocka_unit_test(test_sensors_lost),
        cmocka_unit_test(test_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

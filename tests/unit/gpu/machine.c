#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/driver.h"
#include "gpu/sensors.h"

struct machine machine;

void machine_reset(void)
{
    memset(&machine, 0, sizeof(machine));
    machine.version = 12040;
    machine.devices = 1;
    machine.compute_major = 9;
    machine.calls_left = -1;
    machine.now_ns = 5 * SECOND_NS;
}

/* ---- libcuda --------------------------------------------------------------------------------- */

/* A call that may fail. */
static CUresult step(int *alive)
{
    if (machine.calls_left >= 0 && machine.calls_left-- == 0) {
        machine.failed = true;
        return (CUresult)2;
    }
    (*alive)++;
    return CUDA_SUCCESS;
}

static CUresult gone(int *alive)
{
    (*alive)--;
    return CUDA_SUCCESS;
}

static CUresult fake_unused(void)
{
    return CUDA_SUCCESS;
}

static CUresult fake_version(int *version)
{
    *version = machine.version;
    return CUDA_SUCCESS;
}

static CUresult fake_init(unsigned flags)
{
    return flags == 0 ? (CUresult)machine.init_result : (CUresult)1;
}

static CUresult fake_count(int *count)
{
    *count = machine.devices;
    return CUDA_SUCCESS;
}

static CUresult fake_device(CUdevice *device, int index)
{
    *device = index;
    return CUDA_SUCCESS;
}

static CUresult fake_name(char *name, int size, CUdevice device)
{
    snprintf(name, (size_t)size, "Fake %d", device);
    return CUDA_SUCCESS;
}

static CUresult fake_pci(char *text, int size, CUdevice device)
{
    snprintf(text, (size_t)size, "0000:3B:%02X.0", (unsigned)device);
    return CUDA_SUCCESS;
}

static CUresult fake_attribute(int *value, CUdevice_attribute name, CUdevice device)
{
    (void)device;
    *value = name == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? machine.compute_major
             : name == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? machine.compute_minor
                                                                    : 1;
    return CUDA_SUCCESS;
}

static CUresult fake_retain(CUcontext *context, CUdevice device)
{
    (void)device;
    *context = (CUcontext)&machine;
    return step(&machine.contexts);
}

static CUresult fake_release(CUdevice device)
{
    (void)device;
    return gone(&machine.contexts);
}

static CUresult fake_push(CUcontext context)
{
    return context == (CUcontext)&machine ? step(&machine.depth) : (CUresult)201;
}

static CUresult fake_pop(CUcontext *context)
{
    *context = (CUcontext)&machine;
    return gone(&machine.depth);
}

static CUresult fake_alloc(CUdeviceptr *address, size_t size)
{
    (void)size;
    const CUresult result = step(&machine.memory);
    if (result == CUDA_SUCCESS)
        *address = 0x1000;
    return result;
}

static CUresult fake_free(CUdeviceptr address)
{
    assert_int_equal(address, 0x1000);
    return gone(&machine.memory);
}

static CUresult fake_host_alloc(void **ret, size_t size, unsigned flags)
{
    (void)flags;
    const CUresult result = step(&machine.memory);
    if (result == CUDA_SUCCESS)
        *ret = malloc(size);
    return result;
}

static CUresult fake_host_free(void *memory)
{
    free(memory);
    return gone(&machine.memory);
}

static CUresult fake_event(CUevent *event, unsigned flags)
{
    assert_int_equal(flags, CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING);
    assert_true(machine.depth > 0);
    const CUresult result = step(&machine.events);
    if (result == CUDA_SUCCESS)
        *event = (CUevent)&machine;
    return result;
}

static CUresult fake_event_free(CUevent event)
{
    assert_ptr_equal(event, &machine);
    return gone(&machine.events);
}

static CUresult fake_stream(CUstream *stream, unsigned flags)
{
    assert_int_equal(flags, CU_STREAM_NON_BLOCKING);
    const CUresult result = step(&machine.streams);
    if (result == CUDA_SUCCESS)
        *stream = (CUstream)&machine;
    return result;
}

static CUresult fake_stream_free(CUstream stream)
{
    assert_ptr_equal(stream, &machine);
    return gone(&machine.streams);
}

static CUresult fake_module(CUmodule *module, const void *image, unsigned count,
                            CUjit_option *options, void **values)
{
    assert_non_null(image);
    assert_true(machine.depth > 0);
    for (unsigned i = 0; machine.jit_result != 0 && i < count; i++)
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
            strcpy(values[i], "\nptxas line 7; fatal : what is this?\nsecond line\n");
    if (machine.jit_result != 0)
        return (CUresult)machine.jit_result;
    const CUresult result = step(&machine.modules);
    if (result == CUDA_SUCCESS)
        *module = (CUmodule)&machine;
    return result;
}

static CUresult fake_module_free(CUmodule module)
{
    assert_ptr_equal(module, &machine);
    assert_true(machine.depth > 0);
    return gone(&machine.modules);
}

static CUresult fake_function(CUfunction *function, CUmodule module, const char *name)
{
    assert_ptr_equal(module, &machine);
    assert_string_equal(name, "kernel");
    int functions = 0;
    const CUresult result = step(&functions);
    if (result == CUDA_SUCCESS)
        *function = (CUfunction)&machine;
    return result;
}

static CUresult fake_error_name(CUresult result, const char **ret)
{
    *ret = (int)result == 4242 ? "CUDA_ERROR_OF_THE_FUTURE" : NULL;
    return *ret ? CUDA_SUCCESS : (CUresult)1;
}

/* ---- libnvidia-ml ---------------------------------------------------------------------------- */

static int nvml(void)
{
    return machine.nvml_calls++ < machine.nvml_good ? 0 : machine.nvml_result;
}

static int fake_nvml_init(void)
{
    return machine.nvml_init_result;
}

static const char *fake_nvml_error(int rc)
{
    return rc == 9 ? "Driver Not Loaded" : "Something Else";
}

static int fake_nvml_version(char *text, unsigned size)
{
    snprintf(text, size, "550.54.14");
    return 0;
}

static int fake_nvml_by_pci(const char *pci, void **device)
{
    if (strcmp(pci, "0000:3b:00.0") != 0)
        return 6;
    *device = &machine;
    return nvml();
}

static int fake_nvml_kind(void *device, int kind, unsigned *value)
{
    (void)device;
    *value = 100 + (unsigned)kind;
    return nvml();
}

static int fake_nvml_utilization(void *device, unsigned *two)
{
    (void)device;
    two[0] = 41;
    two[1] = 42;
    return nvml();
}

static int fake_nvml_encoder(void *device, unsigned *percent, unsigned *period_us)
{
    (void)device;
    *percent = 43;
    *period_us = 167000;
    return nvml();
}

static int fake_nvml_decoder(void *device, unsigned *percent, unsigned *period_us)
{
    (void)device;
    (void)percent;
    (void)period_us;
    return 3; /* "not supported": the figure stays unknown */
}

static int fake_nvml_stats(void *device, unsigned *sessions, unsigned *fps, unsigned *latency_us)
{
    (void)device;
    *sessions = 3;
    *fps = *latency_us = 0;
    return nvml();
}

static int fake_nvml_power(void *device, unsigned *mw)
{
    (void)device;
    *mw = 3000000000u; /* no such figure */
    return nvml();
}

static int fake_nvml_limit(void *device, unsigned *mw)
{
    (void)device;
    *mw = 700000;
    return nvml();
}

static int fake_nvml_memory(void *device, unsigned long long *three)
{
    (void)device;
    three[0] = 80ull << 30;
    three[1] = 70ull << 30;
    three[2] = 10ull << 30;
    return nvml();
}

static int fake_nvml_throttle(void *device, unsigned long long *reasons)
{
    (void)device;
    *reasons = GPU_THROTTLE_IDLE | GPU_THROTTLE_HW_THERMAL;
    return nvml();
}

/* ---- the loader ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*function)(void);
} symbols[] = {
#define FAKE(name, function)                                                                       \
    {                                                                                              \
        name, (void (*)(void))(function)                                                           \
    }
    FAKE("cuDriverGetVersion", fake_version),
    FAKE("cuInit", fake_init),
    FAKE("cuDeviceGetCount", fake_count),
    FAKE("cuDeviceGet", fake_device),
    FAKE("cuDeviceGetName", fake_name),
    FAKE("cuDeviceGetPCIBusId", fake_pci),
    FAKE("cuDeviceGetAttribute", fake_attribute),
    FAKE("cuDevicePrimaryCtxRetain", fake_retain),
    FAKE("cuDevicePrimaryCtxRelease", fake_release),
    FAKE("cuCtxPushCurrent_v2", fake_push),
    FAKE("cuCtxPopCurrent_v2", fake_pop),
    FAKE("cuMemAlloc_v2", fake_alloc),
    FAKE("cuMemFree_v2", fake_free),
    FAKE("cuMemHostAlloc", fake_host_alloc),
    FAKE("cuMemFreeHost", fake_host_free),
    FAKE("cuEventCreate", fake_event),
    FAKE("cuEventDestroy_v2", fake_event_free),
    FAKE("cuStreamCreate", fake_stream),
    FAKE("cuStreamDestroy_v2", fake_stream_free),
    FAKE("cuModuleLoadDataEx", fake_module),
    FAKE("cuModuleUnload", fake_module_free),
    FAKE("cuModuleGetFunction", fake_function),
    FAKE("cuGetErrorName", fake_error_name),
    FAKE("nvmlInit_v2", fake_nvml_init),
    FAKE("nvmlErrorString", fake_nvml_error),
    FAKE("nvmlSystemGetDriverVersion", fake_nvml_version),
    FAKE("nvmlDeviceGetHandleByPciBusId_v2", fake_nvml_by_pci),
    FAKE("nvmlDeviceGetTemperature", fake_nvml_kind),
    FAKE("nvmlDeviceGetUtilizationRates", fake_nvml_utilization),
    FAKE("nvmlDeviceGetEncoderUtilization", fake_nvml_encoder),
    FAKE("nvmlDeviceGetDecoderUtilization", fake_nvml_decoder),
    FAKE("nvmlDeviceGetEncoderStats", fake_nvml_stats),
    FAKE("nvmlDeviceGetPowerUsage", fake_nvml_power),
    FAKE("nvmlDeviceGetEnforcedPowerLimit", fake_nvml_limit),
    FAKE("nvmlDeviceGetClockInfo", fake_nvml_kind),
    FAKE("nvmlDeviceGetMemoryInfo", fake_nvml_memory),
    FAKE("nvmlDeviceGetCurrentClocksThrottleReasons", fake_nvml_throttle),
#undef FAKE
};

void *machine_dlopen(const char *name, int flags)
{
    (void)flags;
    if (machine.no_library && strcmp(name, machine.no_library) == 0)
        return NULL;
    return &machine;
}

void *machine_dlsym(void *library, const char *name)
{
    assert_ptr_equal(library, &machine);
    void (*function)(void) = (void (*)(void))fake_unused;
    if (machine.no_symbol && strcmp(name, machine.no_symbol) == 0)
        return NULL;
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        if (strcmp(symbols[i].name, name) == 0)
            function = symbols[i].function;
    void *address;
    memcpy(&address, &function, sizeof(address));
    return address;
}

int machine_dlclose(void *library)
{
    assert_ptr_equal(library, &machine);
    return 0;
}

char *machine_dlerror(void)
{
    static char text[] = "the loader's reason";
    return text;
}

int64_t machine_clock_now_ns(void)
{
    return machine.now_ns;
}

#include "gpu/device.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/idle.h"
#include "gpu/kernels.h"

#define COMPUTE_MIN 70   /* sm_70, which the kernels are built for: 10 * major + minor */
#define JIT_LOG_MAX 4096 /* bytes of the compiler's log that are read */
#define WHAT_MAX 256
#define NAMELESS "NVIDIA GPU"

struct gpu_device {
    struct gpu_info info;
    const struct gpu_driver *driver;
    CUdevice handle;
    CUcontext context;
    int refs; /* protected by devices_lock */

    pthread_mutex_t kernels_lock;
    CUmodule kernels; /* NULL: not loaded yet; protected by kernels_lock */
};

static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gpu_device *devices[GPU_DEVICES_MAX]; /* by index; protected by devices_lock */

/* ---- list ------------------------------------------------------------------------------------ */

static int attribute(const struct gpu_driver *driver, CUdevice_attribute name, CUdevice device)
{
    int value = 0;
    return driver->cuda->cuDeviceGetAttribute(&value, name, device) == CUDA_SUCCESS ? value : 0;
}

/* What the driver does not say is left 0; the name then is the kind. */
static void get_info(const struct gpu_driver *driver, int index, CUdevice device,
                     struct gpu_info *ret)
{
    struct gpu_info info = {.index = index};
    if (driver->cuda->cuDeviceGetName(info.name, sizeof(info.name), device) != CUDA_SUCCESS)
        snprintf(info.name, sizeof(info.name), "%s", NAMELESS);
    info.name[sizeof(info.name) - 1] = '\0';
    if (driver->cuDeviceGetPCIBusId(info.pci, sizeof(info.pci), device) != CUDA_SUCCESS)
        info.pci[0] = '\0';
    for (char *p = info.pci; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    CUuuid uuid;
    if (driver->cuda->cuDeviceGetUuid &&
        driver->cuda->cuDeviceGetUuid(&uuid, device) == CUDA_SUCCESS)
        memcpy(info.uuid, uuid.bytes, sizeof(info.uuid));
    size_t bytes = 0;
    if (driver->cuDeviceTotalMem(&bytes, device) == CUDA_SUCCESS)
        info.memory_bytes = (int64_t)bytes;
    info.compute_major = attribute(driver, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    info.compute_minor = attribute(driver, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    info.multiprocessors = attribute(driver, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
    *ret = info;
}

static int devices_count(const struct gpu_driver *driver)
{
    int count = 0;
    if (driver->cuda->cuDeviceGetCount(&count) != CUDA_SUCCESS || count < 0)
        return 0;
    return count < GPU_DEVICES_MAX ? count : GPU_DEVICES_MAX;
}

int gpu_list(struct gpu_info *ret, int max)
{
    const struct gpu_driver *driver = NULL;
    if (gpu_driver(&driver, NULL) != 0)
        return 0;
    const int count = devices_count(driver);
    for (int i = 0; i < count && i < max; i++) {
        CUdevice device = 0;
        if (driver->cuda->cuDeviceGet(&device, i) == CUDA_SUCCESS)
            get_info(driver, i, device, &ret[i]);
        else
            ret[i] = (struct gpu_info){.index = i, .name = NAMELESS};
    }
    return count;
}

/* ---- open ------------------------------------------------------------------------------------ */

static int retain_context(struct gpu_device *device, struct error *err)
{
    const CudaFunctions *cuda = device->driver->cuda;
    /* Who waits sleeps. Where the process has the context already, its flags stay. */
    (void)cuda->cuDevicePrimaryCtxSetFlags(device->handle, CU_CTX_SCHED_BLOCKING_SYNC);
    const CUresult result = cuda->cuDevicePrimaryCtxRetain(&device->context, device->handle);
    if (result == CUDA_SUCCESS)
        return 0;
    char what[WHAT_MAX];
    snprintf(what, sizeof(what), "no context on cuda:%d (%s)", device->info.index,
             device->info.name);
    gpu_error(err, result, what);
    return error_mark(err, RGPU_ERROR_DEVICE);
}

static void device_free(struct gpu_device *device)
{
    pthread_mutex_destroy(&device->kernels_lock);
    free(device);
}

static int device_new(struct gpu_device **ret, const struct gpu_driver *driver, int index,
                      struct error *err)
{
    const int count = devices_count(driver);
    if (index < 0 || index >= count)
        return error_set(err, RGPU_ERROR_DEVICE,
                         "there is no cuda:%d; NVIDIA devices here: %d, counted from cuda:0", index,
                         count);
    CUdevice handle = 0;
    const CUresult result = driver->cuda->cuDeviceGet(&handle, index);
    if (result != CUDA_SUCCESS) {
        char what[WHAT_MAX];
        snprintf(what, sizeof(what), "cuda:%d", index);
        gpu_error(err, result, what);
        return error_mark(err, RGPU_ERROR_DEVICE);
    }
    struct gpu_device *device = calloc(1, sizeof(*device));
    if (!device)
        return error_memory(err, "a device");
    pthread_mutex_init(&device->kernels_lock, NULL);
    device->driver = driver;
    device->handle = handle;
    device->refs = 1;
    get_info(driver, index, handle, &device->info);
    const int rc = retain_context(device, err);
    if (rc != 0) {
        device_free(device);
        return rc;
    }
    *ret = device;
    return 0;
}

int gpu_open(struct gpu_device **ret, int index, struct error *err)
{
    const struct gpu_driver *driver = NULL;
    int rc = gpu_driver(&driver, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&devices_lock);
    struct gpu_device *device = index >= 0 && index < GPU_DEVICES_MAX ? devices[index] : NULL;
    if (device)
        device->refs++;
    else
        rc = device_new(&device, driver, index, err);
    if (rc == 0)
        *ret = devices[index] = device;
    pthread_mutex_unlock(&devices_lock);
    return rc;
}

struct gpu_device *gpu_ref(struct gpu_device *device)
{
    pthread_mutex_lock(&devices_lock);
    device->refs++;
    pthread_mutex_unlock(&devices_lock);
    return device;
}

/* A handle that nobody has any more. */
static void close_last(struct gpu_device *device)
{
    const CudaFunctions *cuda = device->driver->cuda;
    gpu_idle_clear(device); /* before the kernels, which it may use */
    if (device->kernels && gpu_enter(device, NULL) == 0) {
        cuda->cuModuleUnload(device->kernels);
        gpu_leave(device);
    }
    cuda->cuDevicePrimaryCtxRelease(device->handle);
    device_free(device);
}

void gpu_close(struct gpu_device **device)
{
    if (!device || !*device)
        return;
    struct gpu_device *old = *device;
    *device = NULL;
    /* The lock is held until the context is given back, so that an open meanwhile gets a new one
     * and not what is left of this. */
    pthread_mutex_lock(&devices_lock);
    if (--old->refs == 0) {
        devices[old->info.index] = NULL;
        close_last(old);
    }
    pthread_mutex_unlock(&devices_lock);
}

const struct gpu_info *gpu_device_info(const struct gpu_device *device)
{
    return &device->info;
}

const struct gpu_driver *gpu_device_driver(const struct gpu_device *device)
{
    return device->driver;
}

CUcontext gpu_device_context(const struct gpu_device *device)
{
    return device->context;
}

/* ---- context --------------------------------------------------------------------------------- */

int gpu_enter(struct gpu_device *device, struct error *err)
{
    const CUresult result = device->driver->cuda->cuCtxPushCurrent(device->context);
    if (result == CUDA_SUCCESS)
        return 0;
    char what[WHAT_MAX];
    snprintf(what, sizeof(what), "the context of cuda:%d", device->info.index);
    gpu_error(err, result, what);
    return error_mark(err, RGPU_ERROR_DEVICE);
}

void gpu_leave(struct gpu_device *device)
{
    CUcontext context;
    device->driver->cuda->cuCtxPopCurrent(&context);
}

/* ---- kernels --------------------------------------------------------------------------------- */

static int load_kernels(struct gpu_device *device, CUmodule *ret, struct error *err)
{
    const struct gpu_info *info = &device->info;
    /* Where it is not known, the driver judges. */
    if (info->compute_major > 0 && 10 * info->compute_major + info->compute_minor < COMPUTE_MIN)
        return error_set(err, RGPU_ERROR_DEVICE,
                         "cuda:%d (%s) is too old: it has compute capability %d.%d, and %d.%d is "
                         "needed (Volta, 2017, or later)",
                         info->index, info->name, info->compute_major, info->compute_minor,
                         COMPUTE_MIN / 10, COMPUTE_MIN % 10);
    char log[JIT_LOG_MAX] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)(uintptr_t)(sizeof(log) - 1)};
    const CUresult result =
        device->driver->cuModuleLoadDataEx(ret, gpu_kernels_ptx, 2, options, values);
    if (result == CUDA_SUCCESS)
        return 0;
    const char *line = log + strspn(log, " \t\r\n");
    const int length = (int)strcspn(line, "\r\n");
    char what[WHAT_MAX];
    snprintf(what, sizeof(what), "kernels on cuda:%d (%s)%s%.*s", info->index, info->name,
             length > 0 ? ": " : "", length, line);
    return gpu_error(err, result, what);
}

int gpu_load_kernels(struct gpu_device *device, struct error *err)
{
    int rc = 0;
    pthread_mutex_lock(&device->kernels_lock);
    if (!device->kernels)
        rc = load_kernels(device, &device->kernels, err);
    pthread_mutex_unlock(&device->kernels_lock);
    return rc;
}

int gpu_kernel(struct gpu_device *device, const char *name, CUfunction *ret, struct error *err)
{
    const int rc = gpu_load_kernels(device, err);
    if (rc != 0)
        return rc;
    /* Once loaded they stay. */
    const CUresult result = device->driver->cuda->cuModuleGetFunction(ret, device->kernels, name);
    if (result == CUDA_SUCCESS)
        return 0;
    char what[WHAT_MAX];
    snprintf(what, sizeof(what), "the kernel \"%s\" on cuda:%d", name, device->info.index);
    return gpu_error(err, result, what);
}

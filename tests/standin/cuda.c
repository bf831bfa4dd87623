/* libcuda: devices and contexts.
 *
 * Threads: any. Memory: core.h's. */
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "api.h"

#define VERSION 13000

/* ---- driver --------------------------------------------------------------------------------- */

CUresult cuInit(unsigned flags)
{
    STANDIN_BEGIN(NEEDS_NOTHING);
    if (flags != 0)
        standin_violation("cuInit: flags are %u, not 0", flags);
    const long count = standin_setting("DEVICES", 1);
    pthread_mutex_lock(&standin_mutex);
    standin_devices_count = (int)(count < STANDIN_DEVICES_MAX ? count : STANDIN_DEVICES_MAX);
    for (int i = 0; i < standin_devices_count; i++) {
        standin_devices[i].primary.device = i;
        standin_devices[i].total_bytes =
            (size_t)standin_setting_at("MEMORY_MIB", i, STANDIN_MEMORY_MIB) << 20;
    }
    pthread_mutex_unlock(&standin_mutex);
    return count > 0 ? CUDA_SUCCESS : STANDIN_NO_DEVICE;
}

CUresult cuDriverGetVersion(int *ret)
{
    STANDIN_BEGIN(NEEDS_NOTHING);
    *ret = (int)standin_setting("DRIVER_VERSION", VERSION);
    return CUDA_SUCCESS;
}

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {205, "CUDA_ERROR_MAP_FAILED", "mapping of buffer object failed"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {800, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

static CUresult error_string(CUresult error, bool name, const char **ret)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i].code == (int)error) {
            *ret = name ? errors[i].name : errors[i].text;
            return CUDA_SUCCESS;
        }
    }
    *ret = NULL;
    return STANDIN_INVALID_VALUE;
}

CUresult cuGetErrorName(CUresult error, const char **ret)
{
    return error_string(error, true, ret);
}

CUresult cuGetErrorString(CUresult error, const char **ret)
{
    return error_string(error, false, ret);
}

/* ---- devices -------------------------------------------------------------------------------- */

static bool device_known(const char *name, CUdevice device)
{
    const bool known = device >= 0 && device < standin_devices_count;
    if (!known)
        standin_violation("%s: there is no device %d", name, device);
    return known;
}

#define DEVICE_BEGIN(device)                                                                       \
    STANDIN_BEGIN(NEEDS_INIT);                                                                     \
    if (!device_known(__func__, device))                                                           \
    return STANDIN_INVALID_DEVICE

CUresult cuDeviceGetCount(int *ret)
{
    STANDIN_BEGIN(NEEDS_INIT);
    *ret = standin_devices_count;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *ret, int ordinal)
{
    STANDIN_BEGIN(NEEDS_INIT);
    if (ordinal < 0 || ordinal >= standin_devices_count)
        return STANDIN_INVALID_DEVICE;
    *ret = ordinal;
    return CUDA_SUCCESS;
}

/* Hopper has no encoder; Ada has. */
static long compute_capability(int device)
{
    return standin_setting_at("COMPUTE", device, standin_setting_text("ENCODERS", NULL) ? 89 : 90);
}

CUresult cuDeviceGetAttribute(int *ret, CUdevice_attribute attribute, CUdevice device)
{
    DEVICE_BEGIN(device);
    const long capability = compute_capability(device);
    switch ((int)attribute) {
    case 1: /* threads a block, then its x, y and z */
    case 2:
    case 3:
        *ret = 1024;
        break;
    case 4:
        *ret = 64;
        break;
    case 8: /* bytes of shared memory a block */
        *ret = 48 << 10;
        break;
    case 10: /* threads a warp */
        *ret = 32;
        break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        *ret = (int)standin_setting_at("MULTIPROCESSORS", device, 132);
        break;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
        *ret = 512;
        break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
        *ret = 1;
        break;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
        *ret = 0x3b + device;
        break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        *ret = (int)(capability / 10);
        break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        *ret = (int)(capability % 10);
        break;
    default:
        *ret = 0;
    }
    return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *ret_major, int *ret_minor, CUdevice device)
{
    DEVICE_BEGIN(device);
    const long capability = compute_capability(device);
    *ret_major = (int)(capability / 10);
    *ret_minor = (int)(capability % 10);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *ret, int size, CUdevice device)
{
    DEVICE_BEGIN(device);
    const char *name = standin_setting_text("NAME", "Stand-in GPU");
    for (const char *next; device > 0 && (next = strchr(name, ';')); device--)
        name = next + 1;
    snprintf(ret, (size_t)size, "%.*s", (int)strcspn(name, ";"), name);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *ret, CUdevice device)
{
    DEVICE_BEGIN(device);
    for (int i = 0; i < 16; i++)
        ret->bytes[i] = (char)(device * 16 + i);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid *ret, CUdevice device)
{
    return cuDeviceGetUuid(ret, device);
}

CUresult cuDeviceTotalMem_v2(size_t *ret, CUdevice device)
{
    DEVICE_BEGIN(device);
    *ret = standin_devices[device].total_bytes;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *ret, int size, CUdevice device)
{
    DEVICE_BEGIN(device);
    if (size < 13)
        return STANDIN_INVALID_VALUE;
    snprintf(ret, (size_t)size, "0000:%02X:00.0", 0x3b + device);
    return CUDA_SUCCESS;
}

/* ---- contexts ------------------------------------------------------------------------------- */

CUresult cuDevicePrimaryCtxRetain(CUcontext *ret, CUdevice device)
{
    DEVICE_BEGIN(device);
    struct standin_device *d = &standin_devices[device];
    pthread_mutex_lock(&standin_mutex);
    const CUresult death = standin_death_locked(&d->primary);
    if (death == CUDA_SUCCESS) {
        d->retained++;
        *ret = &d->primary;
    }
    pthread_mutex_unlock(&standin_mutex);
    return death;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    STANDIN_BEGIN_FREE(NEEDS_INIT);
    if (!device_known(__func__, device))
        return STANDIN_INVALID_DEVICE;
    struct standin_device *d = &standin_devices[device];
    pthread_mutex_lock(&standin_mutex);
    const bool retained = d->retained > 0;
    if (retained && --d->retained == 0)
        standin_context_ended_locked(&d->primary);
    pthread_mutex_unlock(&standin_mutex);
    if (!retained)
        standin_violation("%s: device %d's context is not retained", __func__, device);
    return retained ? result : STANDIN_INVALID_CONTEXT;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    return cuDevicePrimaryCtxRelease_v2(device);
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags)
{
    DEVICE_BEGIN(device);
    return (flags & ~0x3fu) ? STANDIN_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags)
{
    return cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *ret_flags, int *ret_active)
{
    DEVICE_BEGIN(device);
    pthread_mutex_lock(&standin_mutex);
    *ret_flags = 0;
    *ret_active = standin_devices[device].retained > 0;
    pthread_mutex_unlock(&standin_mutex);
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *ret, unsigned flags, CUdevice device)
{
    DEVICE_BEGIN(device);
    (void)flags;
    *ret = standin_context_new(device);
    return *ret ? CUDA_SUCCESS : STANDIN_OUT_OF_MEMORY;
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
    STANDIN_BEGIN_FREE(NEEDS_INIT);
    pthread_mutex_lock(&standin_mutex);
    const bool known = standin_object_live_locked(context, KIND_CONTEXT);
    pthread_mutex_unlock(&standin_mutex);
    if (!known) {
        standin_violation("%s: not a context of cuCtxCreate", __func__);
        return STANDIN_INVALID_CONTEXT;
    }
    standin_context_end(context);
    return result;
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    STANDIN_BEGIN(NEEDS_INIT);
    return standin_push(context);
}

CUresult cuCtxPopCurrent_v2(CUcontext *ret)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    CUcontext context = standin_pop();
    if (ret)
        *ret = context;
    return result;
}

CUresult cuCtxGetCurrent(CUcontext *ret)
{
    STANDIN_BEGIN(NEEDS_INIT);
    *ret = standin_current();
    return CUDA_SUCCESS;
}

/* As cuCtxGetCurrent, a way to ask whether there is one: no violation. */
CUresult cuCtxGetDevice(CUdevice *ret)
{
    STANDIN_BEGIN(NEEDS_INIT);
    if (!standin_current())
        return STANDIN_INVALID_CONTEXT;
    *ret = standin_current()->device;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    (void)limit;
    (void)value;
    return CUDA_SUCCESS;
}

/* ---- not modelled --------------------------------------------------------------------------- */

#pragma GCC visibility push(default)

#define ABSENT(name)                                                                               \
    CUresult name(void);                                                                           \
    CUresult name(void)                                                                            \
    {                                                                                              \
        return STANDIN_NOT_SUPPORTED;                                                              \
    }

ABSENT(cuDevicePrimaryCtxReset)
ABSENT(cuDevicePrimaryCtxReset_v2)
ABSENT(cuMemAllocManaged)
ABSENT(cuLinkCreate)
ABSENT(cuLinkCreate_v2)
ABSENT(cuLinkAddData)
ABSENT(cuLinkAddData_v2)
ABSENT(cuLinkComplete)
ABSENT(cuLinkDestroy)
ABSENT(cuTexObjectCreate)
ABSENT(cuTexObjectDestroy)
ABSENT(cuGLGetDevices_v2)
ABSENT(cuGraphicsGLRegisterImage)
ABSENT(cuGraphicsUnregisterResource)
ABSENT(cuGraphicsMapResources)
ABSENT(cuGraphicsUnmapResources)
ABSENT(cuGraphicsSubResourceGetMappedArray)
ABSENT(cuGraphicsResourceGetMappedPointer_v2)
ABSENT(cuArrayCreate_v2)
ABSENT(cuArray3DCreate_v2)
ABSENT(cuArrayDestroy)

#pragma GCC visibility pop

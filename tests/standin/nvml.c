/* libnvidia-ml: figures from settings.
 *
 * Threads: any. Memory: static. Devices come in the other order than with CUDA, as they may on a
 * real machine: who takes one's index for the other's is told of another device. */
#include <stdio.h>

#include "core.h"
#include "nvml.h"

struct nvml_device {
    int index; /* CUDA's */
};

static int started; /* protected by standin_mutex */
static struct nvml_device devices[STANDIN_DEVICES_MAX];

static int begin(const char *name)
{
    const int ordered = standin_ordered(name);
    pthread_mutex_lock(&standin_mutex);
    const bool is_started = started > 0;
    pthread_mutex_unlock(&standin_mutex);
    if (!is_started)
        standin_violation("%s: before nvmlInit", name);
    return is_started ? ordered : NVML_UNINITIALIZED;
}

static int begin_device(const char *name, const struct nvml_device *device)
{
    const int ordered = begin(name);
    if (ordered != 0)
        return ordered;
    if (device < devices || device >= devices + STANDIN_DEVICES_MAX) {
        standin_violation("%s: not a device", name);
        return NVML_INVALID_ARGUMENT;
    }
    pthread_mutex_lock(&standin_mutex);
    const bool dead = standin_devices[device->index].dead;
    pthread_mutex_unlock(&standin_mutex);
    return dead ? NVML_LOST : 0;
}

/* A device's figure from the settings; -1 there: it has none. */
static int figure(const char *function, const struct nvml_device *device, const char *setting,
                  long fallback, unsigned *ret)
{
    const int rc = begin_device(function, device);
    const long value = rc == 0 ? standin_setting_at(setting, device->index, fallback) : -1;
    if (value >= 0)
        *ret = (unsigned)value;
    return rc != 0 ? rc : value < 0 ? NVML_NOT_SUPPORTED : 0;
}

int nvmlInit_v2(void)
{
    const int ordered = standin_ordered(__func__);
    pthread_mutex_lock(&standin_mutex);
    started += ordered == 0;
    pthread_mutex_unlock(&standin_mutex);
    return ordered;
}

int nvmlShutdown(void)
{
    const int rc = begin(__func__);
    pthread_mutex_lock(&standin_mutex);
    started -= started > 0;
    pthread_mutex_unlock(&standin_mutex);
    return rc;
}

const char *nvmlErrorString(int code)
{
    switch (code) {
    case NVML_NOT_SUPPORTED:
        return "Not Supported";
    case NVML_NOT_FOUND:
        return "Not Found";
    case NVML_LOST:
        return "GPU is lost";
    default:
        return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *ret, unsigned size)
{
    const int rc = begin(__func__);
    if (rc != 0)
        return rc;
    const int length = snprintf(ret, size, "%s", standin_setting_text("DRIVER_TEXT", "580.95.05"));
    return length < (int)size ? 0 : NVML_INSUFFICIENT_SIZE;
}

static int devices_count(void)
{
    const long count = standin_setting("DEVICES", 1);
    return (int)(count < STANDIN_DEVICES_MAX ? count : STANDIN_DEVICES_MAX);
}

static int device_at(int cuda_index, struct nvml_device **ret)
{
    pthread_mutex_lock(&standin_mutex);
    devices[cuda_index].index = cuda_index;
    pthread_mutex_unlock(&standin_mutex);
    *ret = &devices[cuda_index];
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *ret)
{
    const int rc = begin(__func__);
    if (rc == 0)
        *ret = (unsigned)devices_count();
    return rc;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct nvml_device **ret)
{
    const int rc = begin(__func__);
    if (rc != 0)
        return rc;
    if (index >= (unsigned)devices_count())
        return NVML_INVALID_ARGUMENT;
    return device_at(devices_count() - 1 - (int)index, ret);
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, struct nvml_device **ret)
{
    const int rc = begin(__func__);
    if (rc != 0)
        return rc;
    unsigned domain, bus, slot, function;
    if (sscanf(pci, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
        return NVML_INVALID_ARGUMENT;
    for (int i = 0; i < devices_count(); i++) {
        if (domain == 0 && bus == 0x3bu + (unsigned)i && slot == 0 && function == 0)
            return device_at(i, ret);
    }
    return NVML_NOT_FOUND;
}

int nvmlDeviceGetTemperature(struct nvml_device *device, int sensor, unsigned *ret)
{
    if (sensor != 0)
        return NVML_INVALID_ARGUMENT;
    return figure(__func__, device, "TEMPERATURE", 45, ret);
}

int nvmlDeviceGetUtilizationRates(struct nvml_device *device, struct nvml_utilization *ret)
{
    const int rc = figure(__func__, device, "GPU_PERCENT", 30, &ret->gpu);
    if (rc == 0)
        ret->memory = (unsigned)standin_setting_at("MEMORY_PERCENT", device->index, 20);
    return rc;
}

int nvmlDeviceGetEncoderUtilization(struct nvml_device *device, unsigned *ret, unsigned *ret_us)
{
    *ret_us = 1000000;
    return figure(__func__, device, "ENCODER_PERCENT", 0, ret);
}

int nvmlDeviceGetDecoderUtilization(struct nvml_device *device, unsigned *ret, unsigned *ret_us)
{
    *ret_us = 1000000;
    return figure(__func__, device, "DECODER_PERCENT", 50, ret);
}

int nvmlDeviceGetEncoderStats(struct nvml_device *device, unsigned *ret_sessions, unsigned *ret_fps,
                              unsigned *ret_us)
{
    *ret_fps = 0;
    *ret_us = 0;
    return figure(__func__, device, "ENCODER_SESSIONS", 0, ret_sessions);
}

int nvmlDeviceGetPowerUsage(struct nvml_device *device, unsigned *ret_mw)
{
    return figure(__func__, device, "POWER_MW", 120000, ret_mw);
}

int nvmlDeviceGetEnforcedPowerLimit(struct nvml_device *device, unsigned *ret_mw)
{
    return figure(__func__, device, "POWER_LIMIT_MW", 700000, ret_mw);
}

int nvmlDeviceGetClockInfo(struct nvml_device *device, int clock, unsigned *ret_mhz)
{
    static const struct {
        const char *setting;
        long mhz;
    } clocks[] = {
        {"SM_CLOCK", 1980}, {"SM_CLOCK", 1980}, {"MEMORY_CLOCK", 3201}, {"VIDEO_CLOCK", 1545}};
    if (clock < 0 || clock > 3)
        return NVML_INVALID_ARGUMENT;
    return figure(__func__, device, clocks[clock].setting, clocks[clock].mhz, ret_mhz);
}

int nvmlDeviceGetMemoryInfo(struct nvml_device *device, struct nvml_memory *ret)
{
    const int rc = begin_device(__func__, device);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&standin_mutex);
    ret->used = standin_devices[device->index].used_bytes;
    pthread_mutex_unlock(&standin_mutex);
    ret->total =
        (unsigned long long)standin_setting_at("MEMORY_MIB", device->index, STANDIN_MEMORY_MIB)
        << 20;
    ret->free = ret->total - ret->used;
    return 0;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(struct nvml_device *device, unsigned long long *ret)
{
    unsigned reasons = 0;
    const int rc = figure(__func__, device, "THROTTLE", 1, &reasons);
    *ret = reasons;
    return rc;
}

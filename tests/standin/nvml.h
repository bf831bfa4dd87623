/* libnvidia-ml's entry points, as its users declare them. */
#ifndef STANDIN_NVML_H
#define STANDIN_NVML_H

enum {
    NVML_UNINITIALIZED = 1,
    NVML_INVALID_ARGUMENT = 2,
    NVML_NOT_SUPPORTED = 3,
    NVML_NOT_FOUND = 6,
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_LOST = 15,
};

struct nvml_device;

struct nvml_utilization {
    unsigned gpu, memory; /* percent */
};

struct nvml_memory {
    unsigned long long total, free, used; /* bytes */
};

#pragma GCC visibility push(default)
int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int code);
int nvmlSystemGetDriverVersion(char *ret, unsigned size);
int nvmlDeviceGetCount_v2(unsigned *ret);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct nvml_device **ret);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, struct nvml_device **ret);
int nvmlDeviceGetTemperature(struct nvml_device *device, int sensor, unsigned *ret);
int nvmlDeviceGetUtilizationRates(struct nvml_device *device, struct nvml_utilization *ret);
int nvmlDeviceGetEncoderUtilization(struct nvml_device *device, unsigned *ret, unsigned *ret_us);
int nvmlDeviceGetDecoderUtilization(struct nvml_device *device, unsigned *ret, unsigned *ret_us);
int nvmlDeviceGetEncoderStats(struct nvml_device *device, unsigned *ret_sessions, unsigned *ret_fps,
                              unsigned *ret_us);
int nvmlDeviceGetPowerUsage(struct nvml_device *device, unsigned *ret_mw);
int nvmlDeviceGetEnforcedPowerLimit(struct nvml_device *device, unsigned *ret_mw);
int nvmlDeviceGetClockInfo(struct nvml_device *device, int clock, unsigned *ret_mhz);
int nvmlDeviceGetMemoryInfo(struct nvml_device *device, struct nvml_memory *ret);
int nvmlDeviceGetCurrentClocksThrottleReasons(struct nvml_device *device, unsigned long long *ret);
#pragma GCC visibility pop

#endif

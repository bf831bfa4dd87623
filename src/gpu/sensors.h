/* How a device feels and how busy it is, from NVML (loaded at run time, own declarations).
 *
 * Threads: any. The driver is asked at most once a second and device; calls in between get the
 * same figures. */
#ifndef GPU_SENSORS_H
#define GPU_SENSORS_H

#include "gpu/device.h"

#define GPU_UNKNOWN (-1)

/* Each is GPU_UNKNOWN where the driver does not say. */
struct gpu_sensors {
    int temperature_c;
    int sm_percent, memory_percent; /* time in which a kernel ran; memory was read or written */
    int encoder_percent, decoder_percent; /* of all engines */
    int encoder_sessions;
    int power_mw, power_limit_mw;
    int sm_clock_mhz, memory_clock_mhz, video_clock_mhz;
    int64_t memory_used_bytes, memory_total_bytes;
    int64_t throttle_reasons; /* nvmlClocksThrottleReason*: GPU_THROTTLE_* name the usual ones */
};

enum gpu_throttle {
    GPU_THROTTLE_IDLE = 0x1,
    GPU_THROTTLE_POWER_CAP = 0x4,
    GPU_THROTTLE_HW_SLOWDOWN = 0x8,
    GPU_THROTTLE_SW_THERMAL = 0x20,
    GPU_THROTTLE_HW_THERMAL = 0x40,
    GPU_THROTTLE_POWER_BRAKE = 0x80,
};

/* Figures of a device, found by its PCI address (NVML's order is another). DEVICE: no NVML, or it
 * does not know the device; all figures are unknown then. */
int gpu_sense(const struct gpu_info *device, struct gpu_sensors *ret, struct error *err);

/* Version of the driver as text, "580.95.05"; "" where NVML is not there. */
void gpu_driver_text(char *ret, size_t size);

#endif

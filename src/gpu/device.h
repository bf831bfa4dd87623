/* NVIDIA devices of this machine, and one context each.
 *
 * A context is the device's primary one, retained while any handle is open. Every call into the
 * driver is made between gpu_enter and gpu_leave, on any thread, also nested.
 *
 * Threads: any; a handle is shared by all who open the same index. Memory: handles are counted
 * references; kernels are loaded once a device, at the first gpu_kernel. */
#ifndef GPU_DEVICE_H
#define GPU_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/driver.h"

#define GPU_DEVICES_MAX 64
#define GPU_NAME_MAX 128
#define GPU_PCI_MAX 24

struct gpu_info {
    int index; /* N of cuda:N, the driver's order */
    char name[GPU_NAME_MAX];
    uint8_t uuid[16];
    char pci[GPU_PCI_MAX];            /* "0000:3b:00.0" */
    int compute_major, compute_minor; /* compute capability */
    int multiprocessors;
    int64_t memory_bytes;
};

/* Number of devices, 0 where there is no usable driver; fills at most `max` of `ret`. */
int gpu_list(struct gpu_info *ret, int max);

struct gpu_device;

/* DEVICE: no driver, no such device, or it gives no context. Close what was opened. */
int gpu_open(struct gpu_device **ret, int index, struct error *err);
struct gpu_device *gpu_ref(struct gpu_device *device);
void gpu_close(struct gpu_device **device); /* takes NULL, writes NULL */

const struct gpu_info *gpu_device_info(const struct gpu_device *device);
const struct gpu_driver *gpu_device_driver(const struct gpu_device *device);
CUcontext gpu_device_context(const struct gpu_device *device);

/* Makes the context this thread's, and takes it away again. DEVICE. No leave after a failed
 * enter. */
int gpu_enter(struct gpu_device *device, struct error *err);
void gpu_leave(struct gpu_device *device);

/* Loads the kernels, where that was not done yet: whether the device can run them. Within a
 * context. */
int gpu_load_kernels(struct gpu_device *device, struct error *err);

/* A kernel of gpu/kernels by its name; loads them at the first call. Within a context. The
 * function lives as long as the device is open. */
int gpu_kernel(struct gpu_device *device, const char *name, CUfunction *ret, struct error *err);

#endif

/* Objects of a device that take long to make (decoders, encoding sessions), kept when their user is
 * done with them, for the next who wants the like.
 *
 * They are destroyed when they are the oldest and too many, on demand, when their kind's time is
 * over, or with the device's last handle; so an object that is kept must hold no handle of the
 * device.
 * Threads: any; a device that has kept something for a time has a thread, which waits for its end,
 * until its last handle is closed. Memory: at most `max` objects of a kind on a device. */
#ifndef GPU_IDLE_H
#define GPU_IDLE_H

#include "gpu/device.h"

#define GPU_IDLE_KEY_MAX 192 /* bytes */

struct gpu_idle_kind {
    const char *name;
    int max; /* kept on a device */
    /* Within the device's context where `inside`; else it can no longer be entered, the driver has
     * its part back, and only host memory is left to free. Opens and closes no device. */
    void (*destroy)(void *object, bool inside);
    int64_t keep_ns; /* at most, of what is scarce for all programs; 0: as long as the device */
};

/* Keeps `object`, which may destroy the oldest of its kind. Takes ownership in any case. `kind` is
 * static; the key has no padding. */
void gpu_idle_put(struct gpu_device *device, const struct gpu_idle_kind *kind, const void *key,
                  size_t key_size, void *object);

/* A kept object with an equal key, the latest put, now the caller's; NULL: there is none. */
void *gpu_idle_take(struct gpu_device *device, const struct gpu_idle_kind *kind, const void *key,
                    size_t key_size);

/* The same for any that `fits`, which only looks. */
void *gpu_idle_take_fit(struct gpu_device *device, const struct gpu_idle_kind *kind,
                        bool (*fits)(const void *object, const void *wanted), const void *wanted);

/* The one for which `cost` is the least, the latest put of such; negative: it is not for this
 * use. */
void *gpu_idle_take_best(struct gpu_device *device, const struct gpu_idle_kind *kind,
                         int64_t (*cost)(const void *object, const void *wanted),
                         const void *wanted);

/* Destroys the oldest of a kind (NULL: of any) to make room on the device, or waits for one whose
 * time was over to be destroyed. False: there is none. */
bool gpu_idle_evict(struct gpu_device *device, const struct gpu_idle_kind *kind);

/* After a call of the driver's: whether to call again, as it failed for want of memory and there is
 * some more now. */
bool gpu_idle_made_room(struct gpu_device *device, CUresult result);

/* Destroys all that a device keeps; for the close of its last handle. */
void gpu_idle_clear(struct gpu_device *device);

#endif

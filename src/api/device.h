/* Devices by their names in the public library.
 * Threads: any; one device by one at a time. Memory: a device keeps its context until it is closed.
 */
#ifndef API_DEVICE_H
#define API_DEVICE_H

#include "base/error.h"
#include "codec/codec.h"

/* PARAM unless the name is "auto" (or NULL), "cpu" or "cuda:N". Asks no backend. */
int device_check_name(const char *name, struct error *err);

/* 0 where a device of this name is there: PARAM for a name that is none, else DEVICE. */
int device_find(const char *name, struct error *err);

/* A device that a job works on; zero: none. */
struct device {
    struct device_info info;
    void *held; /* the backend's */
};

/* What a job is to do with a device. */
struct device_needs {
    const struct track *source;
    bool is_raw; /* nothing is to be decoded */
    const struct rendition_params *renditions;
    int renditions_count;
};

/* Takes the device of this name. With "auto" one that cannot be worked on is left out with a line
 * in the log, and the next best is taken; of several GPUs that which can do most by itself of what
 * is needed, encoding before decoding, else the first. `needs` NULL: any. PARAM, DEVICE as above;
 * DEVICE too where it cannot be worked on. */
int device_open(struct device *ret, const char *name, const struct device_needs *needs,
                struct error *err);

/* Fills what `info` has after the backend's `examine`; may wait for it. */
void device_examine(struct device *device);

/* Behind all that was opened on the device. Takes a zeroed one, and zeroes it. */
void device_close(struct device *device);

/* "cpu" or "cuda:N". */
void device_name(const struct device_info *device, char *ret, size_t size);

#endif

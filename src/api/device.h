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

/* Takes the device of this name. With "auto" one that cannot be worked on is left out with a line
 * in the log, and the next best is taken. PARAM, DEVICE as above; DEVICE too where it cannot be
 * worked on. */
int device_open(struct device *ret, const char *name, struct error *err);

/* Behind all that was opened on the device. Takes a zeroed one, and zeroes it. */
void device_close(struct device *device);

/* "cpu" or "cuda:N". */
void device_name(const struct device_info *device, char *ret, size_t size);

#endif

/* Device names of the public library. Threads: pure, but for asking the backends. */
#ifndef API_DEVICE_H
#define API_DEVICE_H

#include "base/error.h"
#include "codec/codec.h"

/* PARAM unless the name is "auto" (or NULL), "cpu" or "cuda:N". Asks no backend. */
int device_check_name(const char *name, struct error *err);

/* "auto" (or NULL), "cpu", "cuda:N" to a device that is there. PARAM for another name, DEVICE where
 * there is no such device. */
int device_choose(const char *name, struct device_info *ret, struct error *err);

/* "cpu" or "cuda:N". */
void device_name(const struct device_info *device, char *ret, size_t size);

#endif

/* What the tests of this room find on the machine. With RGPU_STANDIN=1 in the environment there
 * must be devices; else those that need one are skipped where there is none.
 *
 * Threads: any. Memory: none. */
#ifndef UNIT_GPU_PRESENT_H
#define UNIT_GPU_PRESENT_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h"

static inline bool standin(void)
{
    const char *value = getenv("RGPU_STANDIN");
    return value && strcmp(value, "1") == 0;
}

static inline bool has_library(const char *name)
{
    void *library = dlopen(name, RTLD_LAZY);
    if (library)
        dlclose(library);
    return library != NULL;
}

/* Number of devices; does not come back where there is none. */
static inline int need_devices(void)
{
    const int count = gpu_list(NULL, 0);
    if (count == 0 && standin())
        fail_msg("RGPU_STANDIN is set, and there is no device");
    if (count == 0)
        skip();
    return count;
}

#endif

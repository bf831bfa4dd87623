/* NVENC's entry points, loaded at run time with the driver (nvEncodeAPI.h of the Video Codec SDK).
 *
 * Threads: any. The library is loaded once, at the first call, and stays for the life of the
 * process. Memory: static. */
#ifndef GPU_ENCODE_H
#define GPU_ENCODE_H

#include "gpu/device.h"

#include <ffnvcodec/nvEncodeAPI.h>

/* Whether the headers of this build are of an API or newer. */
#define GPU_ENCODE_API(major, minor)                                                               \
    (NVENCAPI_MAJOR_VERSION > (major) ||                                                           \
     (NVENCAPI_MAJOR_VERSION == (major) && NVENCAPI_MINOR_VERSION >= (minor)))

struct gpu_encode {
    NV_ENCODE_API_FUNCTION_LIST functions;
};

/* The library of the driver. DEVICE: it is not there (in a container: the `video` capability), or
 * older than the API this was built with; the text says which driver is needed. */
int gpu_encode(const struct gpu_encode **ret, struct error *err);

/* Sets `err` for a status other than NV_ENC_SUCCESS, met in `what` ("an encoder on cuda:0"); gives
 * its code: UNSUPPORTED where the device has no encoder or none for this, LIMIT where no more
 * sessions may be opened, MEMORY, else DEVICE. The text has the status's name, NVENC's own last
 * words on `session`, and the remedy where one is known. `session` is NULL where it could not be
 * opened: out of memory is then that limit. */
int gpu_encode_error(struct error *err, NVENCSTATUS status, const char *what, void *session);

#endif

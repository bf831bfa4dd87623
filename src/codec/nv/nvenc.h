/* NVENC behind encoder_ops. Frames come from the device's memory without a copy, or from the host.
 *
 * Threads, memory: as codec.h; a session has a thread of its own. */
#ifndef CODEC_NV_NVENC_H
#define CODEC_NV_NVENC_H

#include "codec/codec.h"

/* Whether a device has NVENC at all; asked of the driver once. False: *ret_why says why not,
 * static. */
bool nvenc_present(int device, const char **ret_why);

/* As encoder_ops.format: NV12 or P010. PIXEL_NONE where the device encodes no such thing: another
 * encoder may. */
enum pixel_format nvenc_device_format(int device, const char *codec, const char *profile,
                                      enum pixel_format source);

/* UNSUPPORTED from open where the device has no encoder, or none for these parameters; LIMIT where
 * no more of its sessions may be open. */
extern const struct encoder_ops nvenc_ops;

#endif

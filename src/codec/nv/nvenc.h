/* NVENC behind encoder_ops. Frames come from the device's memory without a copy, or from the host.
 *
 * Threads, memory: as codec.h; a session has a thread of its own, and so has a question. */
#ifndef CODEC_NV_NVENC_H
#define CODEC_NV_NVENC_H

#include "codec/codec.h"
#include "gpu/device.h"

/* Whether a device has NVENC, if other users leave it a session or not. UNSUPPORTED: it has none,
 * and why; *ret_fixable: what is missing is not the GPU's, and the text has the remedy. Asked of
 * the driver once. Other codes: it cannot be told now. */
int nvenc_present(int device, bool *ret_fixable, struct error *err);

/* Asks that in a thread, which takes the driver a quarter of a second; who needs the answer before
 * it is there waits for it. NULL: there is nothing to ask, or no thread. `device` outlives it. */
struct nvenc_question;
struct nvenc_question *nvenc_ask(struct gpu_device *device);
void nvenc_ask_end(struct nvenc_question **question); /* waits; takes NULL, writes NULL */

/* As encoder_ops.format: NV12 or P010. PIXEL_NONE where the device encodes no such thing: another
 * encoder may. */
enum pixel_format nvenc_device_format(int device, const char *codec, const char *profile,
                                      enum pixel_format source);

/* UNSUPPORTED from open where the device has no encoder, or none for these parameters; LIMIT where
 * no more of its sessions may be open. */
extern const struct encoder_ops nvenc_ops;

#endif

/* Pictures of the device's memory resized: one launch for all rungs. Those in NV12 and P010 stay on
 * the device; planar ones come down, in one asynchronous copy for each into pinned memory.
 *
 * Nothing is waited for: an output's `ready` is the event behind what fills it. The source is held
 * until the launch is over.
 * Threads: one handle is used by one thread at a time; outputs are unreferenced on any. Memory:
 * blocks from pools, DOWNLOAD_FLIGHTS sources held. */
#ifndef CODEC_NV_DOWNLOAD_H
#define CODEC_NV_DOWNLOAD_H

#include "codec/codec.h"
#include "gpu/device.h"
#include "gpu/memory.h"

#define DOWNLOAD_FLIGHTS 2

struct nv_download;

/* Whether the kernel can do what the parameters ask for: NV12 or P010 to 4:2:0 of 8 or 10 bits in
 * the same colours. */
bool nv_download_can(const struct scaler_params *params);

/* For parameters that it can do. */
int nv_download_open(struct nv_download **ret, const struct scaler_params *params,
                     struct error *err);
void nv_download_close(struct nv_download **download); /* takes NULL, writes NULL */

/* As scaler_ops.run, for a source that lives on the device; all outputs are new. */
int nv_download_run(struct nv_download *download, struct frame *source, uint32_t mask,
                    struct frame **ret, struct error *err);

/* The block of device memory that a frame from here lies in; NULL: it does not, or is not from
 * here.
 */
const struct gpu_block *nv_frame_block(const struct frame *frame);

/* Waits until the planes hold the picture, on a host frame from here or from elsewhere. */
int nv_frame_wait(struct gpu_device *device, const struct frame *frame, struct error *err);

#endif

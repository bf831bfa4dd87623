/* One NVENC session: frames are submitted by the caller, packets are brought out by a thread of the
 * session's own, which waits for NVENC (Programming Guide, "Threading model").
 *
 * Sessions take long to open and are few on some GPUs: a closed one that is in order is kept on the
 * device for the next of the same coding (gpu/idle.h), which is then set up anew for its rates, and
 * where the device can change it, for its size up to the one that the session was opened for.
 * Threads: one handle is used by one thread at a time. Memory: as many bitstream buffers and frames
 * as NVENC holds back, and NVENC_SLOTS_SPARE more. */
#ifndef CODEC_NV_NVENC_SESSION_H
#define CODEC_NV_NVENC_SESSION_H

#include "codec/codec.h"
#include "codec/nv/nvenc_sei.h"
#include "codec/nv/nvenc_setup.h"
#include "gpu/device.h"

#define NVENC_SLOTS_SPARE 4

struct nvenc_session;

/* `device` outlives the session. UNSUPPORTED; LIMIT: no more sessions on this device; DEVICE,
 * MEMORY. */
int nvenc_session_open(struct nvenc_session **ret, struct gpu_device *device,
                       const struct encoder_params *params, const struct nvenc_caps *caps,
                       struct error *err);
void nvenc_session_close(struct nvenc_session **session); /* takes NULL, writes NULL */

/* Most packets that lie out of display order. */
int nvenc_session_reorder(const struct nvenc_session *s);

/* Parameter sets, or a sequence header OBU. */
int nvenc_session_headers(struct nvenc_session *s, struct buffer **ret, struct error *err);

/* Submits a frame; `key`: it becomes an IDR. AGAIN: take packets first. */
int nvenc_session_submit(struct nvenc_session *s, struct frame *frame, bool key,
                         struct nvenc_sei *sei, struct error *err);

/* No more frames: NVENC gives all that it holds back. */
int nvenc_session_finish(struct nvenc_session *s, struct error *err);

/* Next packet in decode order, with its frame's pts and duration. Waits for NVENC where nothing
 * more can be submitted, and in low latency. AGAIN: submit more. END: finished and empty. */
int nvenc_session_take(struct nvenc_session *s, struct packet *ret, struct error *err);

/* Another target from the next frame on, without a key frame. PARAM, UNSUPPORTED: none to open
 * with either (nvenc_check), or the device cannot change it. */
int nvenc_session_rate(struct nvenc_session *s, int64_t bit_rate_bps, int64_t bit_rate_max_bps,
                       int64_t vbv_bits, struct error *err);

/* Opens a session and closes it: whether the device has an encoder at all, and for which codecs.
 * UNSUPPORTED: it has none, or the driver's library for it is not there. LIMIT, DEVICE. */
int nvenc_session_probe(struct gpu_device *device, const char *const *codecs, int count,
                        struct nvenc_caps *ret, bool *ret_encodes, struct error *err);

#endif

/* What NVENC is asked for: preset and configuration for a set of encoder parameters (NVENC Video
 * Encoder API Programming Guide; nvEncodeAPI.h). Capabilities and checks are in nvenc_caps.h.
 *
 * Key frames come where they are forced, and nowhere else; parameter sets are repeated at each;
 * there are no access unit delimiters (MPEG-TS's muxer adds them, MP4 wants none).
 *
 * Threads: any; a session by one thread at a time. Memory: none but the caller's structs. */
#ifndef CODEC_NV_NVENC_SETUP_H
#define CODEC_NV_NVENC_SETUP_H

#include "codec/nv/nvenc_caps.h"

#define NVENC_DELAY_MAX 32 /* bound of nvenc_setup.delay_frames */

/* A session's configuration; `init.encodeConfig` points at `config`: who copies it points it
 * anew. */
struct nvenc_setup {
    NV_ENC_INITIALIZE_PARAMS init;
    NV_ENC_CONFIG config;
    NV_ENC_BUFFER_FORMAT format; /* of the input: NV12 or YUV420_10BIT */
    int delay_frames;   /* most frames inside that no packet was due for: lookahead and B-frames */
    int reorder_frames; /* packets are at most so many frames out of display order */
};

/* Fills `ret` from the preset of the driver for checked parameters (nvenc_check); its largest size,
 * which stays a session's as it was opened, is that for a new one. The codes of gpu_encode_error.
 */
int nvenc_setup(struct nvenc_setup *ret, const struct encoder_params *params,
                const struct nvenc_caps *caps, const struct gpu_encode *api, void *session,
                struct error *err);

#endif

/* SEI messages (H.264, HEVC) that go with a picture into NVENC: captions, HEVC's time codes, and at
 * key frames the mastering display and content light level.
 *
 * H.264's time codes go into the picture timing of packets that come out (encoder_stream_timecode).
 * AV1 gets none: its packets get the metadata's OBUs when they come out (encoder_stream_av1_hdr,
 * encoder_stream_timecode).
 * HDR10+ and Dolby Vision do not come so far, see stage_decode.c.
 *
 * Threads: any. Memory: the caller's; payloads point into `bytes`, so the struct stays where it is.
 * Limits: NVENC_SEI_MAX messages, SEI_TRIPLETS_MAX triplets of captions. */
#ifndef CODEC_NV_NVENC_SEI_H
#define CODEC_NV_NVENC_SEI_H

#include "codec/codec.h"
#include "gpu/encode.h"
#include "media/sei_write.h"
#include "media/timecode.h"

#define NVENC_SEI_MAX 4

struct nvenc_sei {
    NV_ENC_SEI_PAYLOAD payloads[NVENC_SEI_MAX];
    int count;
    uint8_t captions[SEI_CAPTIONS_MAX], timecode[TIMECODE_PAYLOAD_MAX];
    uint8_t mastering[SEI_MASTERING_SIZE], light[SEI_LIGHT_SIZE];
};

/* What goes with this frame; `ret` is not moved or freed until it is submitted. */
void nvenc_sei(struct nvenc_sei *ret, const struct encoder_params *params,
               const struct frame *frame, bool key);

#endif

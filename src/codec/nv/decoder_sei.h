/* What pictures carry beside themselves, read from the packets: NVIDIA's decoder gives pictures
 * only. Closed captions (ATSC A/53), Dolby Vision's RPU, time codes, the fields' order.
 *
 * HDR10+ is left out: its form on frames is libavutil's, which has no public reader for it.
 *
 * Threads: pure functions. Memory: struct nv_sides owns the RPU; nv_sides_done drops it, zero is an
 * empty one. Limits: CAPTION_BYTES_MAX of captions a picture. Any bytes are safe. */
#ifndef CODEC_NV_DECODER_SEI_H
#define CODEC_NV_DECODER_SEI_H

#include "media/frame.h"
#include "media/h264.h"
#include "media/hevc.h"
#include "media/timecode.h"

#define CAPTION_BYTES_MAX (3 * 31 * 4) /* 31 triplets a message, as cc_count has five bits */

struct nv_sides {
    uint8_t captions[CAPTION_BYTES_MAX];
    size_t captions_size;       /* bytes */
    struct buffer *rpu;         /* owned; or NULL */
    struct timecode_sei timing; /* of the last message that says one */
};

void nv_sides_init(struct nv_sides *sides);
void nv_sides_done(struct nv_sides *sides);

/* Adds what an SEI unit says. `sps`: the one in use. */
void nv_sides_h264(struct nv_sides *sides, struct nal nal, const struct h264_sps *sps);

/* Adds what an SEI or RPU unit of HEVC says. MEMORY. */
int nv_sides_hevc(struct nv_sides *sides, struct nal nal);

/* Adds user data of MPEG-2 (ATSC A/53, 6.2.3), from behind its start code on. */
void nv_sides_mpeg2(struct nv_sides *sides, const uint8_t *data, size_t size);

/* Moves captions, RPU and time code to a frame, which has no side data yet. MEMORY: it got less. */
int nv_sides_give(struct nv_sides *sides, struct frame *frame);

#endif

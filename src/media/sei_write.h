/* Payloads of SEI messages (H.264 annex D, H.265 annex D) that accompany a picture: closed captions
 * and HDR10 static metadata. Without payloadType, size and emulation prevention, which belong to
 * the unit around them. The readers are in media/h26x.h.
 *
 * Threads: pure functions. Memory: the caller's. */
#ifndef MEDIA_SEI_WRITE_H
#define MEDIA_SEI_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "media/color.h"

#define SEI_TRIPLETS_MAX 31 /* of captions a message: cc_count has five bits */
#define SEI_CAPTIONS_MAX (11 + 3 * SEI_TRIPLETS_MAX) /* bytes */
#define SEI_MASTERING_SIZE 24
#define SEI_LIGHT_SIZE 4

/* SEI_USER_DATA_T35 with A/53 caption triplets (ATSC A/72). Gives the number of bytes; 0: there is
 * no whole triplet. What goes beyond SEI_TRIPLETS_MAX is left out. */
size_t sei_write_captions(const uint8_t *triplets, size_t size, uint8_t ret[SEI_CAPTIONS_MAX]);

/* SEI_MASTERING_DISPLAY. */
void sei_write_mastering(const struct hdr *hdr, uint8_t ret[SEI_MASTERING_SIZE]);

/* SEI_CONTENT_LIGHT. */
void sei_write_light_level(const struct hdr *hdr, uint8_t ret[SEI_LIGHT_SIZE]);

#endif

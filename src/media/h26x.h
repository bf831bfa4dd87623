/* What H.264 and H.265 have in common: parts of the video usability information (H.264 E.1.1,
 * H.265 E.2.1) and SEI messages (H.264 7.3.2.3, H.265 7.3.5).
 *
 * Threads: pure functions. Memory: nothing is allocated; SEI payloads point into the caller's
 * bytes. */
#ifndef MEDIA_H26X_H
#define MEDIA_H26X_H

#include <stdbool.h>
#include <stdint.h>

#include "media/bits.h"
#include "media/color.h"
#include "media/rational.h"

/* aspect_ratio_info: from aspect_ratio_info_present_flag on. {0, 0} where absent or unspecified. */
struct rational h26x_read_aspect(struct bits *b);

/* From overscan_info_present_flag to the chroma sample locations; `ret` is fully set. */
void h26x_read_color(struct bits *b, struct color *ret);

/* Colour code points of H.273 in the form that struct color keeps (unspecified and reserved 0, 3
 * become 0; RGB becomes MATRIX_RGB). Used by AV1 and VP9 too. */
void h26x_color_points(struct color *color, unsigned primaries, unsigned transfer, unsigned matrix);

enum sei_type {
    SEI_BUFFERING_PERIOD = 0,
    SEI_PIC_TIMING = 1,
    SEI_USER_DATA_T35 = 4, /* user_data_registered_itu_t_t35 */
    SEI_RECOVERY_POINT = 6,
    SEI_TIME_CODE = 136, /* H.265 only */
    SEI_MASTERING_DISPLAY = 137,
    SEI_CONTENT_LIGHT = 144,
    SEI_ALTERNATIVE_TRANSFER = 147,
};

struct sei {
    uint32_t type;       /* payloadType; enum sei_type knows some */
    uint32_t size;       /* bytes, emulation prevention removed */
    struct bits payload; /* stands at its first bit and ends at its last */
};

/* Next message of an SEI unit; `b` was set by bits_init_rbsp behind the unit's header. False at the
 * end and where a message is cut short (then b->error is set). */
bool sei_next(struct bits *b, struct sei *ret);

/* Adds mastering display colour volume and content light level to `hdr`; leaves it alone for other
 * types and for a payload that is cut short. */
void sei_read_hdr(const struct sei *sei, struct hdr *hdr);

/* Sets *transfer, a code point as struct color keeps it, to what is preferred over that of the SPS
 * (H.264 D.2.32, H.265 D.3.39); leaves it alone as above, and where nothing is preferred. */
void sei_read_transfer(const struct sei *sei, uint8_t *transfer);

#endif

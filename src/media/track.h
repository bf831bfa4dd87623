/* What is known of a video track before its first frame: enough to open a decoder on any machine.
 *
 * Codec names are the lower-case short names of the field ("h264", "hevc", "av1", "vp9",
 * "mpeg2video", "prores", ...), as libavcodec's descriptors have them.
 * Memory: `extradata` is an owned reference. Zero is a valid (empty) track. */
#ifndef MEDIA_TRACK_H
#define MEDIA_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "media/color.h"
#include "media/frame.h"
#include "media/rational.h"

#define CODEC_NAME_MAX 32

struct track {
    char codec[CODEC_NAME_MAX];
    uint32_t codec_tag;                 /* FourCC, little endian; 0 unknown */
    struct buffer *extradata;           /* avcC, hvcC, sequence headers, ...; or NULL */
    int32_t width, height;              /* pixels shown; 0 unknown until the first frame */
    int32_t bits_per_sample;            /* of the coded form, for codecs that need it; 0 unknown */
    int32_t codec_profile, codec_level; /* the codec's own numbers; -99 unknown, as libavcodec */
    enum pixel_format format;           /* PIXEL_NONE unknown */
    struct rational time_base;
    struct rational frame_rate;    /* nominal; den 0 unknown or variable */
    struct rational sample_aspect; /* num 0 unknown */
    bool aspect_is_container;      /* the aspect is the container's, which counts over the stream's:
                                    * it does not change from picture to picture */
    struct color color;
    struct hdr hdr;
    int32_t reorder_frames; /* decode-order delay; -1 unknown */
    enum field_order field_order;
    bool timecodes;      /* the first pictures have time codes, whole ones */
    bool timecodes_drop; /* with drop-frame counting */
};

struct track track_share(const struct track *track);
void track_done(struct track *track);

#endif

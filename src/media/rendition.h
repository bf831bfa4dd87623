/* What is wanted of one rendition, and what a finished segment says of itself. Plain data, shared
 * by everything between the public library and the encoders. */
#ifndef MEDIA_RENDITION_H
#define MEDIA_RENDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "media/rational.h"
#include "media/track.h"

#define RENDITIONS_MAX 16
#define BIT_RATE_BPS_MIN 1000 /* x264 and x265 count in whole kbit/s */
#define BIT_RATE_BPS_MAX INT64_C(1000000000000)

enum rate_control { RATE_QUALITY, RATE_VBR, RATE_CBR };

enum deinterlace_mode { DEINTERLACE_OFF, DEINTERLACE_AUTO };

struct rendition_params {
    char codec[CODEC_NAME_MAX];
    int width, height;              /* even, already fitted to the source's aspect */
    struct rational frame_rate_max; /* den 0: all frames; else at most so many a second */
    enum rate_control rate;
    int64_t bit_rate_bps, bit_rate_max_bps, vbv_bits;
    int quality;
    int speed; /* 1..7, 0: 4 */
    char profile[24];
    int bframes; /* -1: the preset's own; no matter to AV1 */
    bool low_latency;
    char name[32]; /* the user's, for messages; empty: its number */
};

struct segment_done {
    int64_t frames;                  /* source frames shown within the window */
    uint64_t pts_digest;             /* pts_digest_add over them */
    int64_t corrupt_frames;          /* of them, with errors concealed */
    int64_t failed_packets;          /* refused by the decoder since the last segment */
    int64_t packets[RENDITIONS_MAX]; /* given for each rendition */
};

#endif

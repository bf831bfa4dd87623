/* What the parameters of an encoder mean, whichever encodes: profiles, and the bounds of rates.
 *
 * Threads: pure functions. Memory: static. */
#ifndef CODEC_ENCODER_CHECK_H
#define CODEC_ENCODER_CHECK_H

#include "codec/codec.h"

enum { CHROMA_420, CHROMA_422, CHROMA_444 };

struct encoder_profile {
    const char *codec, *name; /* static */
    uint8_t chroma_max, depth_min, depth_max;
};

/* A profile of the codec by its name; one that is named after a depth gives this depth. Without a
 * name (NULL or empty) one whose own name is empty, for 8 to 10 bits of 4:2:0; NULL: there is no
 * such profile. */
const struct encoder_profile *encoder_profile(const char *codec, const char *name);

/* UNSUPPORTED, naming those that `codec` has. */
int encoder_profile_unknown(const struct encoder_params *params, struct error *err);

/* CHROMA_*: the least that keeps what the format has. */
int encoder_chroma(enum pixel_format format);

/* PARAM where rate control, speed, B-frames or time base are out of bounds. */
int encoder_check_rate(const struct encoder_params *params, struct error *err);

/* PARAM, UNSUPPORTED: intra refresh is wanted with what excludes it. */
int encoder_check_refresh(const struct encoder_params *params, struct error *err);

/* UNSUPPORTED where a profile of H.264 is to have what it lacks: lossless coding, B-frames, fields.
 */
int encoder_check_h264(const struct encoder_params *params, struct error *err);

/* The time code that is written for a frame: as timecode_step and timecode_drop have it, one clock
 * for a frame that is coded as a whole. False: there is none. */
bool encoder_timecode(const struct encoder_params *params, const struct frame *frame,
                      struct frame_timecode *ret);

/* Quality 0. */
static inline bool encoder_lossless(const struct encoder_params *params)
{
    return params->rate == RATE_QUALITY && params->quality == 0;
}

static inline bool encoder_interlaced(const struct encoder_params *params)
{
    return params->field_order == FIELD_TOP_FIRST || params->field_order == FIELD_BOTTOM_FIRST;
}

static inline int encoder_speed(const struct encoder_params *params)
{
    return params->speed ? params->speed : 4;
}

/* 25/s where it is not known. */
static inline struct rational encoder_frame_rate(const struct encoder_params *params)
{
    const struct rational r = params->frame_rate;
    return r.num > 0 && r.den > 0 ? r : (struct rational){25, 1};
}

#endif

/* Which source frames become key frames, which ones a slower rendition keeps, and the clock that
 * encoders see. Pure rules over time stamps; the only state is what is named here.
 *
 * Threads: none of its own. Memory: no allocation. Limits: time stamps within +-PTS_LIMIT. */
#ifndef TRANSCODE_CADENCE_H
#define TRANSCODE_CADENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "media/rational.h"

/* Time stamps beyond this are taken as unknown, so that differences never overflow. */
#define PTS_LIMIT ((int64_t)1 << 60)

/* ---- key frames ---- */

/* Key frame at the first frame of a segment, and where floor((pts - start) / gop) changes. */
struct key_rule {
    struct rational time_base;
    int64_t gop_us; /* > 0 */
    int64_t start, index;
    bool first; /* the next frame is the first of its segment */
};

void key_rule_init(struct key_rule *k, struct rational time_base, int64_t gop_us);

/* A segment begins at `start`. */
void key_rule_start(struct key_rule *k, int64_t start);

/* Decision for the next frame. */
bool key_rule_next(struct key_rule *k, int64_t pts);

/* ---- frame rate ---- */

/* Source time since the last key frame is cut into slots, and the first frame of each slot is kept.
 * With a known source rate a slot is a whole number of source frames, and frames may be half a
 * frame off their place; else a slot is one frame of the maximum, with an eighth of tolerance.
 * The choice depends on the frame's time and the key frame's only, not on what came before. */
struct rate_cap {
    bool all;                        /* nothing to drop */
    struct rational rate;            /* what comes out, nominally; den 0 unknown */
    struct rational time_base, slot; /* seconds a tick, seconds a slot (num up to int32) */
    int32_t tolerance;               /* one part in so many of a slot */
    int64_t base, last;              /* the key frame's pts; slot of the last kept frame */
};

/* `source` and `max` with den 0: unknown, and none. */
void rate_cap_init(struct rate_cap *cap, struct rational time_base, struct rational source,
                   struct rational max);

/* Decision for the next frame; key frames are always kept. */
bool rate_cap_keep(struct rate_cap *cap, int64_t pts, bool key);

/* ---- the encoders' clock ---- */

/* Source time with the gaps between segments taken out, so that rate control does not see them.
 * Always grows, whatever the source's time stamps do. */
struct gapless_clock {
    int64_t now;           /* of the last frame */
    int64_t pts, duration; /* of the last frame */
    bool running;
};

/* Clock of the next frame; `follows` is false where it does not follow the last one in time. */
int64_t gapless_clock_next(struct gapless_clock *c, int64_t pts, int64_t duration, bool follows);

#endif

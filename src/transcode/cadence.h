/* Which source frames become key frames, and the clock that encoders see. Pure rules over time
 * stamps; the only state is what is named here.
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

/* Key frame at the first frame of a segment, and where floor((pts - start) / gop) changes: at that
 * frame, or at the first one behind it that all renditions keep, so that all have theirs there. */
struct key_rule {
    struct rational time_base;
    int64_t gop_us; /* > 0 */
    int64_t start, index;
    bool first; /* the next frame is the first of its segment */
    bool due;   /* a key frame is, and no frame that all keep has come yet */
};

void key_rule_init(struct key_rule *k, struct rational time_base, int64_t gop_us);

/* A segment begins at `start`. */
void key_rule_start(struct key_rule *k, int64_t start);

/* Decision for the next frame. `kept`: by all renditions; `asked`: somebody wants a key frame. */
bool key_rule_next(struct key_rule *k, int64_t pts, bool kept, bool asked);

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

/* Which frames of a film its slower renditions keep.
 *
 * The film's frames are numbered by their time: a number is one frame of the source's rate (where
 * that is not known, of the highest cap's). Of each `divisor` numbers a rendition keeps the first
 * frame. All renditions count by the same numbers, so that what the slowest keeps others keep too
 * at least once in the least common multiple of the divisors.
 *
 * A number never comes before its time, however fast the frames come: a cap is a cap. Frames that
 * come late, as those of a source that is a little slower than it says, move the count, so that
 * what is kept stays even. How the film is cut does not matter: who decodes a part of it goes on
 * from the mark in front of that part.
 *
 * Threads: pure functions. Memory: no allocation. Limits: none; whatever a mark says is safe. */
#ifndef MEDIA_RATE_CAP_H
#define MEDIA_RATE_CAP_H

#include "media/rendition.h"

/* Time stamp with a fraction of 2^-32 ticks. */
struct fine_time {
    int64_t ticks;
    uint32_t fraction;
};

struct rate_cap {
    int count;
    bool drops;             /* at least one rendition does not keep all */
    struct fine_time frame; /* length of a number */
    bool even;              /* it is the source's: every so many frames are kept, not as many as
                             * there is time for */
    int64_t divisors[RENDITIONS_MAX];      /* 0: keeps all */
    struct rational rates[RENDITIONS_MAX]; /* what comes out, nominally; den 0 unknown */
};

/* Where the count stands: the last frame's number, and when that was due. Zero: before the film. */
struct rate_mark {
    bool begun;
    int64_t number;
    struct fine_time due;
};

/* `source`: the film's frame rate, den 0 unknown. Of the renditions frame_rate_max counts. Up to 1
 * % over it nothing is dropped: 30 is as good as 29.97. */
void rate_cap_init(struct rate_cap *ret, struct rational time_base, struct rational source,
                   const struct rendition_params *renditions, int count);

/* All renditions. */
uint32_t rate_cap_all(const struct rate_cap *cap);

/* The next frame, in the order of time: which renditions keep it. */
uint32_t rate_cap_next(const struct rate_cap *cap, struct rate_mark *mark, int64_t pts);

#endif

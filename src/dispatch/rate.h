/* Whether a finished segment keeps the renditions' peak bit rates where it joins the segments
 * before it.
 *
 * Each encoder keeps its own leaky bucket, but lanes that work side by side know nothing of each
 * other: the joined film may still break it. Threads: pure. Memory: a scratch list of one segment's
 * time stamps. */
#ifndef DISPATCH_RATE_H
#define DISPATCH_RATE_H

#include "dispatch/segment.h"
#include "media/bucket.h"

enum rate_verdict {
    RATE_FITS,
    RATE_LOWERED, /* segment->permille is less for those that do not fit: worth another try */
};

struct rate_result {
    enum rate_verdict verdict; /* FITS also where they have the least bit rate that there is */
    struct bucket after[RENDITIONS_MAX]; /* what the segment leaves */
    bool broken[RENDITIONS_MAX];         /* the rendition does not fit */
};

/* Encoders whose library takes no peak rate beside a target are not held to one. */
bool rate_is_limited(const struct rendition_params *r);

/* Runs the segment's results through a copy of `before`. They fit too where there was no memory to
 * tell. */
void rate_check(const struct bucket before[RENDITIONS_MAX], const struct job_params *params,
                struct segment *segment, struct rate_result *ret);

/* The least peak rate, with a buffer in proportion, at which the segment would have fitted;
 * 0: there was no memory to tell. */
int64_t rate_peak_bps(const struct bucket *before, const struct job_params *params, int rendition,
                      struct segment *segment);

/* A rendition's packets that go out one by one. */
struct rate_passing {
    double missing_bits, full_seconds; /* since the bucket was full */
};

/* Takes one of them from the bucket, at its pts. The peak rate of those since the bucket was full,
 * with a buffer in proportion; 0: they fit. */
int64_t rate_pass(struct bucket *bucket, struct rate_passing *passing, double seconds, size_t size);

#endif

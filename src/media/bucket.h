/* The leaky bucket (hypothetical reference decoder) of a stream with a bit-rate limit: a buffer
 * that fills at a constant rate and from which each picture is taken at its time. A stream that
 * never empties it can be played over a line of that rate after the buffer was filled once.
 *
 * Threads: pure. Source: H.264 annex C.1 (CPB), with time stamps instead of HRD parameters. */
#ifndef MEDIA_BUCKET_H
#define MEDIA_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "media/rendition.h"

struct bucket {
    double rate_bps, size_bits;
    double level_bits; /* before the next picture is taken */
    double last_seconds;
    bool started;
};

/* Peak rate and buffer of a rendition with RATE_VBR or RATE_CBR, with its defaults: the peak is 1.5
 * times the target (CBR: the target), the buffer 2 s of the peak. */
int64_t rendition_rate_max_bps(const struct rendition_params *r);
int64_t rendition_vbv_bits(const struct rendition_params *r);

/* A bucket for a rendition, 90 % full, as encoders begin; size 0 where there is no limit. */
struct bucket bucket_for(const struct rendition_params *r);

/* Takes a picture of `bits` at `seconds` (not before the last one). How many bits were missing; 0
 * where it fits. */
double bucket_take(struct bucket *b, double seconds, int64_t bits);

#endif

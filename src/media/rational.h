/* Exact time: a rational number and time stamps counted in one.
 * Threads: pure functions. */
#ifndef MEDIA_RATIONAL_H
#define MEDIA_RATIONAL_H

#include <stdint.h>

/* No time stamp. */
#define PTS_NONE INT64_MIN

/* num / den; den 0 means unknown. A time base is seconds per tick. */
struct rational {
    int32_t num, den;
};

enum rounding { ROUND_DOWN, ROUND_NEAREST, ROUND_UP };

/* a * from / to with 128-bit intermediates; PTS_NONE stays PTS_NONE. ROUND_DOWN is towards minus
 * infinity, ROUND_NEAREST takes halves away from zero. Saturates instead of overflowing. */
int64_t rational_rescale(int64_t a, struct rational from, struct rational to, enum rounding how);

/* Sign of a*from - b*to: which of two time stamps in different time bases is later. */
int rational_compare_ts(int64_t a, struct rational from, int64_t b, struct rational to);

/* Lowest terms of num / den that fit; {0, 0} when den is 0. */
struct rational rational_reduce(int64_t num, int64_t den);

static inline double rational_double(struct rational r)
{
    return r.den ? (double)r.num / r.den : 0.0;
}

#endif

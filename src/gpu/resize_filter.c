#include "gpu/resize_filter.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "gpu/kernels/resize_core.h"

#define REACH 2 /* of the filter to either side, in samples, where nothing shrinks */
#define ONE (1 << RESIZE_WEIGHT_BITS)

/* Sample centres are at v = j + 1/2, hence the steps taken off. */
struct resize_mapping resize_map(struct resize_axis src, int src_size, struct resize_axis dst,
                                 int dst_size)
{
    return (struct resize_mapping){
        .slope = 2 * (int64_t)src_size * dst.step,
        .start = (int64_t)src_size * (dst.offset2 - dst.step) -
                 (int64_t)dst_size * (src.offset2 - src.step),
        .den = 2 * (int64_t)dst_size * src.step,
    };
}

static double catmull_rom(double x)
{
    x = fabs(x);
    if (x < 1)
        return ((1.5 * x - 2.5) * x) * x + 1;
    if (x < 2)
        return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
}

/* Whole weights that sum to ONE: rounded down, and what is missing goes to those that lost most. */
static void quantise(int *ret, const double *exact, int count)
{
    double lost[RESIZE_TAPS_MAX] = {0};
    double sum = 0;
    for (int k = 0; k < count; k++)
        sum += exact[k];
    int missing = ONE;
    for (int k = 0; k < count; k++) {
        const double scaled = exact[k] * ONE / sum;
        ret[k] = (int)floor(scaled);
        lost[k] = scaled - ret[k];
        missing -= ret[k];
    }
    for (; missing > 0; missing--) {
        int most = 0;
        for (int k = 1; k < count; k++)
            if (lost[k] > lost[most])
                most = k;
        ret[most]++;
        lost[most] -= 1;
    }
}

/* The sample that a place at or beyond the edges shows. */
static int mirrored(int64_t at, int samples)
{
    at = at < 0 ? -1 - at : at >= samples ? 2 * (int64_t)samples - 1 - at : at;
    return at < 0 ? 0 : at >= samples ? samples - 1 : (int)at;
}

void resize_taps_make(struct resize_taps *ret, const struct resize_mapping *map, int index,
                      int samples)
{
    /* The centre in samples, of which sample i is at i: half a sample less. */
    const int64_t centre = map->slope * (2 * (int64_t)index + 1) + 2 * map->start - map->den;
    const int64_t den = 2 * map->den;
    const int64_t whole = centre / den - (centre % den < 0);
    const double part = (double)(centre - whole * den) / (double)den;
    const double wide = map->slope > map->den ? (double)map->slope / (double)map->den : 1;
    const int from = (int)ceil(part - REACH * wide);
    int count = (int)floor(part + REACH * wide) - from + 1;
    count = count < RESIZE_TAPS_MAX ? count : RESIZE_TAPS_MAX;
    double exact[RESIZE_TAPS_MAX] = {0};
    int weights[RESIZE_TAPS_MAX] = {0};
    for (int k = 0; k < count; k++)
        exact[k] = catmull_rom((from + k - part) / wide);
    quantise(weights, exact, count);

    int first = samples;
    int last = -1;
    for (int k = 0; k < count; k++) {
        const int at = mirrored(whole + from + k, samples);
        if (weights[k] && at < first)
            first = at;
        if (weights[k] && at > last)
            last = at;
    }
    memset(ret, 0, sizeof(*ret));
    ret->first = first;
    ret->count = last - first + 1;
    for (int k = 0; k < count; k++)
        if (weights[k])
            ret->weights[mirrored(whole + from + k, samples) - first] += (int16_t)weights[k];
}

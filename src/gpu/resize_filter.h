/* Which source samples make an output sample along one axis, and their weights.
 *
 * Catmull-Rom (a = -1/2), widened where the picture shrinks; beyond its edges the picture is
 * mirrored. Threads: pure functions. Limits: shrinks by RESIZE_SHRINK_MAX at most. */
#ifndef GPU_RESIZE_FILTER_H
#define GPU_RESIZE_FILTER_H

#include <stdint.h>

#define RESIZE_SHRINK_MAX 32
#define RESIZE_TAPS_MAX (4 * RESIZE_SHRINK_MAX + 1)

/* Where the samples of a plane (of a field) lie along one axis, in luma samples of the frame from
 * the picture's edge: sample i is at step * i + offset2 / 2. */
struct resize_axis {
    int samples; /* of the plane (of the field) */
    int step, offset2;
};

/* Output position v (sample j spans j..j+1) is at source position (slope * v + start) / den. Whole
 * numbers, so that equal phases are equal. */
struct resize_mapping {
    int64_t slope, start, den;
};

/* The sizes are of the picture, in luma samples. */
struct resize_mapping resize_map(struct resize_axis src, int src_size, struct resize_axis dst,
                                 int dst_size);

/* Samples first..first+count-1 of the source, none beyond its edges; the first and the last weight
 * are not 0. The weights sum to 1 << RESIZE_WEIGHT_BITS. */
struct resize_taps {
    int first, count;
    int16_t weights[RESIZE_TAPS_MAX];
};

/* Taps of output sample `index`, of a source of `samples` samples. */
void resize_taps_make(struct resize_taps *ret, const struct resize_mapping *map, int index,
                      int samples);

#endif

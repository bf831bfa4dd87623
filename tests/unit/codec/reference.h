/* A scaler in double precision, written from the definition of the filter: what the scalers of all
 * backends are measured against. Slow.
 *
 * Each sample of a plane has a place in the picture (its siting, its field); a destination sample
 * is the sum of the source samples around the same place of the picture, weighted by the
 * Catmull-Rom kernel of their distance, which is widened where the picture shrinks. Weights sum to
 * one; beyond its edges the picture is mirrored.
 *
 * Threads: pure functions. Memory: what they return is the caller's, to be freed. */
#ifndef TESTS_CODEC_REFERENCE_H
#define TESTS_CODEC_REFERENCE_H

#include "codec/codec.h"

/* Component 0, 1, 2 (Y, U, V) of the source scaled to `out`, in the output's code values, neither
 * rounded nor cut to its range. Size: reference_width x reference_height. */
double *reference_scale(const struct frame *src, bool interlaced, const struct scaler_output *out,
                        int component);

int reference_width(enum pixel_format format, int component, int width);
int reference_height(enum pixel_format format, int component, int height);

/* Code value of a frame's sample, wherever its format keeps it. */
int reference_sample(const struct frame *f, int component, int x, int y);

/* Peak signal-to-noise ratio in dB (99 where equal) of a component of `f` to the reference rounded
 * to the frame's depth; `ret_exact` is the share of samples that are equal. Rounding to 8 bits
 * alone costs 58.9 dB against the unrounded reference, hence the rounding. */
double reference_psnr(const struct frame *f, const double *reference, int component,
                      double *ret_exact);

#endif

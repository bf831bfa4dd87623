/* Synthetic pictures with detail at all frequencies, made of a seed. */
#ifndef TESTS_CODEC_PICTURES_H
#define TESTS_CODEC_PICTURES_H

#include <stdbool.h>

#include "media/frame.h"

/* PICTURE_DETAIL: a zone plate up to half the sampling rate with noise on it, each component its
 * own. PICTURE_SMOOTH: gradients. PICTURE_NOISE: every code value, independent. The first two stay
 * within limited range where `full` is not set. */
enum picture { PICTURE_DETAIL, PICTURE_SMOOTH, PICTURE_NOISE };

/* A new frame with the picture in it; NULL: no memory. */
struct frame *picture_new(enum pixel_format format, int width, int height, enum picture what,
                          bool full, unsigned seed);

/* The same picture in another layout of the same depth and subsampling (nv12 for yuv420p). */
struct frame *picture_repack(const struct frame *f, enum pixel_format format);

/* The same picture at addresses `shift` bytes off alignment, in lines of an odd number of bytes
 * (samples of 2 bytes stay at even addresses). Its memory goes with the last reference. */
struct frame *picture_unaligned(const struct frame *f, int shift);

void picture_store(struct frame *f, int component, int x, int y, int value);

/* Whether the visible samples of two frames are the same. */
bool picture_equal(const struct frame *a, const struct frame *b);

#endif

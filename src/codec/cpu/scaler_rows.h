/* One line of samples from one layout into another: what zimg does not read or write itself.
 *
 * Inside the scaler a sample is 8 bits, or 16 bits with the value in the high bits (as P010 has
 * it), so that nothing is rounded before the end.
 * Threads: pure functions. Memory: lines are the caller's; source and destination are apart. */
#ifndef CODEC_CPU_SCALER_ROWS_H
#define CODEC_CPU_SCALER_ROWS_H

#include <stddef.h>
#include <stdint.h>

#define DITHER_SIZE 16 /* the pattern repeats so many samples either way */

/* A sample of a plane from G, B and R: (green * g + blue * b + red * r + offset) >> 14, 16 bits. */
struct rgb_weights {
    int32_t green, blue, red, offset;
};

/* 16 bits to `depth`: (v * scale + offset + bias) >> shift, then into 0..max, then << left. */
struct pack_params {
    int32_t scale, offset, max;
    int shift, left;
};

struct row_ops {
    /* Pairs to two lines of n samples. */
    void (*split8)(const uint8_t *pairs, uint8_t *a, uint8_t *b, int n);
    void (*split16)(const uint16_t *pairs, uint16_t *a, uint16_t *b, int n);
    /* Two lines of n samples to pairs. */
    void (*merge8)(const uint8_t *a, const uint8_t *b, uint8_t *pairs, int n);
    void (*merge16)(const uint16_t *a, const uint16_t *b, uint16_t *pairs, int n);
    /* dst = src << shift. */
    void (*raise16)(const uint16_t *src, uint16_t *dst, int n, int shift);
    void (*raise8)(const uint8_t *src, uint16_t *dst, int n);
    void (*rgb8)(const uint8_t *g, const uint8_t *b, const uint8_t *r, uint16_t *dst, int n,
                 const struct rgb_weights *w);
    void (*rgb16)(const uint16_t *g, const uint16_t *b, const uint16_t *r, uint16_t *dst, int n,
                  const struct rgb_weights *w);
    /* `bias` has DITHER_SIZE values, for the columns 0, 1, ... and again. */
    void (*pack8)(const uint16_t *src, uint8_t *dst, int n, const struct pack_params *pack,
                  const int32_t *bias);
    void (*pack16)(const uint16_t *src, uint16_t *dst, int n, const struct pack_params *pack,
                   const int32_t *bias);
};

/* The functions that suit this CPU. Static. */
const struct row_ops *row_ops(void);

/* Bias of each column of line `line` of component `component` for samples cut by `shift` bits:
 * the ordered pattern with `dither`, whose mean is one half, else one half. */
void row_bias(int32_t ret[DITHER_SIZE], int line, int component, int shift, int dither);

#endif

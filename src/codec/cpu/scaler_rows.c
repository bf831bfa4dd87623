#include "codec/cpu/scaler_rows.h"

/* Plain loops for the compiler to vectorise, built once for any x86-64 or other CPU and once for
 * AVX2; at -O2 gcc does not vectorise loops of unknown length. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

#if defined(__x86_64__)
#define HAS_AVX2 1
#else
#define HAS_AVX2 0
#endif

#define BODY static inline __attribute__((always_inline)) void

BODY split8_body(const uint8_t *restrict pairs, uint8_t *restrict a, uint8_t *restrict b, int n)
{
    for (int i = 0; i < n; i++) {
        a[i] = pairs[2 * i];
        b[i] = pairs[2 * i + 1];
    }
}

BODY split16_body(const uint16_t *restrict pairs, uint16_t *restrict a, uint16_t *restrict b, int n)
{
    for (int i = 0; i < n; i++) {
        a[i] = pairs[2 * i];
        b[i] = pairs[2 * i + 1];
    }
}

BODY merge8_body(const uint8_t *restrict a, const uint8_t *restrict b, uint8_t *restrict pairs,
                 int n)
{
    for (int i = 0; i < n; i++) {
        pairs[2 * i] = a[i];
        pairs[2 * i + 1] = b[i];
    }
}

BODY merge16_body(const uint16_t *restrict a, const uint16_t *restrict b, uint16_t *restrict pairs,
                  int n)
{
    for (int i = 0; i < n; i++) {
        pairs[2 * i] = a[i];
        pairs[2 * i + 1] = b[i];
    }
}

BODY raise16_body(const uint16_t *restrict src, uint16_t *restrict dst, int n, int shift)
{
    for (int i = 0; i < n; i++)
        dst[i] = (uint16_t)(src[i] << shift);
}

BODY raise8_body(const uint8_t *restrict src, uint16_t *restrict dst, int n)
{
    for (int i = 0; i < n; i++)
        dst[i] = (uint16_t)(src[i] << 8);
}

static inline __attribute__((always_inline)) int32_t clamp(int32_t v, int32_t max)
{
    v = v < 0 ? 0 : v;
    return v > max ? max : v;
}

BODY rgb8_body(const uint8_t *restrict g, const uint8_t *restrict b, const uint8_t *restrict r,
               uint16_t *restrict dst, int n, const struct rgb_weights *w)
{
    const struct rgb_weights k = *w;
    for (int i = 0; i < n; i++)
        dst[i] = (uint16_t)clamp((k.green * g[i] + k.blue * b[i] + k.red * r[i] + k.offset) >> 14,
                                 UINT16_MAX);
}

BODY rgb16_body(const uint16_t *restrict g, const uint16_t *restrict b, const uint16_t *restrict r,
                uint16_t *restrict dst, int n, const struct rgb_weights *w)
{
    const struct rgb_weights k = *w;
    for (int i = 0; i < n; i++)
        dst[i] = (uint16_t)clamp((k.green * g[i] + k.blue * b[i] + k.red * r[i] + k.offset) >> 14,
                                 UINT16_MAX);
}

BODY pack8_body(const uint16_t *restrict src, uint8_t *restrict dst, int n,
                const struct pack_params *pack, const int32_t *restrict bias)
{
    const struct pack_params p = *pack;
    int i = 0;
    for (; i + DITHER_SIZE <= n; i += DITHER_SIZE)
        for (int j = 0; j < DITHER_SIZE; j++)
            dst[i + j] =
                (uint8_t)clamp((src[i + j] * p.scale + p.offset + bias[j]) >> p.shift, p.max);
    for (int j = 0; i + j < n; j++)
        dst[i + j] = (uint8_t)clamp((src[i + j] * p.scale + p.offset + bias[j]) >> p.shift, p.max);
}

BODY pack16_body(const uint16_t *restrict src, uint16_t *restrict dst, int n,
                 const struct pack_params *pack, const int32_t *restrict bias)
{
    const struct pack_params p = *pack;
    int i = 0;
    for (; i + DITHER_SIZE <= n; i += DITHER_SIZE)
        for (int j = 0; j < DITHER_SIZE; j++)
            dst[i + j] =
                (uint16_t)(clamp((src[i + j] * p.scale + p.offset + bias[j]) >> p.shift, p.max)
                           << p.left);
    for (int j = 0; i + j < n; j++)
        dst[i + j] = (uint16_t)(clamp((src[i + j] * p.scale + p.offset + bias[j]) >> p.shift, p.max)
                                << p.left);
}

/* The table's functions, each `attribute` compiled for one kind of CPU. */
#define ROW_OPS(suffix, attribute)                                                                 \
    attribute static void split8_##suffix(const uint8_t *s, uint8_t *a, uint8_t *b, int n)         \
    {                                                                                              \
        split8_body(s, a, b, n);                                                                   \
    }                                                                                              \
    attribute static void split16_##suffix(const uint16_t *s, uint16_t *a, uint16_t *b, int n)     \
    {                                                                                              \
        split16_body(s, a, b, n);                                                                  \
    }                                                                                              \
    attribute static void merge8_##suffix(const uint8_t *a, const uint8_t *b, uint8_t *d, int n)   \
    {                                                                                              \
        merge8_body(a, b, d, n);                                                                   \
    }                                                                                              \
    attribute static void merge16_##suffix(const uint16_t *a, const uint16_t *b, uint16_t *d,      \
                                           int n)                                                  \
    {                                                                                              \
        merge16_body(a, b, d, n);                                                                  \
    }                                                                                              \
    attribute static void raise16_##suffix(const uint16_t *s, uint16_t *d, int n, int shift)       \
    {                                                                                              \
        raise16_body(s, d, n, shift);                                                              \
    }                                                                                              \
    attribute static void raise8_##suffix(const uint8_t *s, uint16_t *d, int n)                    \
    {                                                                                              \
        raise8_body(s, d, n);                                                                      \
    }                                                                                              \
    attribute static void rgb8_##suffix(const uint8_t *g, const uint8_t *b, const uint8_t *r,      \
                                        uint16_t *d, int n, const struct rgb_weights *w)           \
    {                                                                                              \
        rgb8_body(g, b, r, d, n, w);                                                               \
    }                                                                                              \
    attribute static void rgb16_##suffix(const uint16_t *g, const uint16_t *b, const uint16_t *r,  \
                                         uint16_t *d, int n, const struct rgb_weights *w)          \
    {                                                                                              \
        rgb16_body(g, b, r, d, n, w);                                                              \
    }                                                                                              \
    attribute static void pack8_##suffix(const uint16_t *s, uint8_t *d, int n,                     \
                                         const struct pack_params *p, const int32_t *bias)         \
    {                                                                                              \
        pack8_body(s, d, n, p, bias);                                                              \
    }                                                                                              \
    attribute static void pack16_##suffix(const uint16_t *s, uint16_t *d, int n,                   \
                                          const struct pack_params *p, const int32_t *bias)        \
    {                                                                                              \
        pack16_body(s, d, n, p, bias);                                                             \
    }                                                                                              \
    static const struct row_ops ops_##suffix = {                                                   \
        split8_##suffix, split16_##suffix, merge8_##suffix, merge16_##suffix, raise16_##suffix,    \
        raise8_##suffix, rgb8_##suffix,    rgb16_##suffix,  pack8_##suffix,   pack16_##suffix,     \
    };

ROW_OPS(plain, )
#if HAS_AVX2
ROW_OPS(avx2, __attribute__((target("avx2"))))
#endif

const struct row_ops *row_ops(void)
{
#if HAS_AVX2
    if (__builtin_cpu_supports("avx2"))
        return &ops_avx2;
#endif
    return &ops_plain;
}

/* Rank of a cell in the 16 x 16 Bayer matrix: the bits of x ^ y and y interleaved, the finest
 * position most significant. */
static int bayer(int x, int y)
{
    int rank = 0;
    for (int bit = 0; bit < 4; bit++)
        rank = rank << 2 | ((x ^ y) >> bit & 1) << 1 | (y >> bit & 1);
    return rank;
}

void row_bias(int32_t ret[DITHER_SIZE], int line, int component, int shift, int dither)
{
    for (int x = 0; x < DITHER_SIZE; x++) {
        /* Components are moved against each other, so that they do not step at the same places. */
        int rank = bayer((x + 7 * component) & 15, (line + 5 * component) & 15);
        ret[x] = dither ? (int32_t)(((int64_t)(2 * rank + 1) << shift) >> 9) : 1 << (shift - 1);
    }
}

#include "pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

static uint32_t next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static int components(enum pixel_format format)
{
    return pixel_info(format)->planes == 1 ? 1 : 3;
}

void picture_store(struct frame *f, int component, int x, int y, int value)
{
    const struct pixel_info *info = pixel_info(f->format);
    int plane = component;
    if (info->planes == 2 && component) {
        plane = 1;
        x = 2 * x + component - 1;
    }
    uint8_t *line = f->data[plane] + y * f->stride[plane];
    if (info->depth == 8) {
        line[x] = (uint8_t)value;
        return;
    }
    uint16_t v = (uint16_t)(f->format == PIXEL_P010 ? value << 6 : value);
    memcpy(line + 2 * x, &v, sizeof(v));
}

/* 0..1 */
static double value_at(enum picture what, int c, double x, double y, uint32_t *state)
{
    const double pi = 3.14159265358979;
    const double noise = next(state) / 4294967296.0;
    if (what == PICTURE_NOISE)
        return noise;
    if (what == PICTURE_SMOOTH)
        return 0.5 + 0.25 * sin(2 * pi * (x + 0.3 * c)) + 0.2 * cos(2 * pi * (y - 0.2 * c));
    return 0.5 + 0.38 * cos(pi * (x * x + y * y) * (c ? 260 : 500) + c) + 0.1 * (noise - 0.5);
}

struct frame *picture_new(enum pixel_format format, int width, int height, enum picture what,
                          bool full, unsigned seed)
{
    struct frame *f = frame_new(format, width, height);
    if (!f)
        return NULL;
    const int depth = pixel_info(format)->depth;
    const bool spread = full || what == PICTURE_NOISE;
    uint32_t state = seed * 2654435761U + 12345;
    for (int c = 0; c < components(format); c++) {
        const int w = reference_width(format, c, width);
        const int h = reference_height(format, c, height);
        const double low = spread ? 0 : ldexp(16, depth - 8);
        const double high = spread ? (1 << depth) - 1 : ldexp(c ? 240 : 235, depth - 8);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                double v = value_at(what, c, (double)x / w, (double)y / h, &state);
                picture_store(f, c, x, y, (int)(low + (high - low) * v + 0.5));
            }
    }
    f->color.range = full ? RANGE_FULL : RANGE_LIMITED;
    return f;
}

struct frame *picture_repack(const struct frame *f, enum pixel_format format)
{
    struct frame *ret = frame_new(format, f->width, f->height);
    if (!ret)
        return NULL;
    for (int c = 0; c < components(format); c++)
        for (int y = 0; y < reference_height(format, c, f->height); y++)
            for (int x = 0; x < reference_width(format, c, f->width); x++)
                picture_store(ret, c, x, y, reference_sample(f, c, x, y));
    frame_copy_props(ret, f);
    return ret;
}

static void release_unaligned(void *opaque, struct frame *frame)
{
    free(opaque);
    free(frame);
}

struct frame *picture_unaligned(const struct frame *f, int shift)
{
    const struct pixel_info *info = pixel_info(f->format);
    const int bytes = info->depth > 8 ? 2 : 1;
    size_t total = 0;
    ptrdiff_t stride[FRAME_PLANES];
    for (int p = 0; p < info->planes; p++) {
        stride[p] = (pixel_plane_width(f->format, p, f->width) + 1) * bytes;
        stride[p] += stride[p] % 64 ? 0 : bytes;
        total += (size_t)stride[p] * (size_t)pixel_plane_height(f->format, p, f->height);
    }
    struct frame *ret = calloc(1, sizeof(*ret));
    uint8_t *block = malloc(total + (size_t)shift);
    if (!ret || !block) {
        free(ret);
        free(block);
        return NULL;
    }
    ret->refs = 1;
    ret->format = f->format;
    ret->width = f->width;
    ret->height = f->height;
    ret->release = release_unaligned;
    ret->opaque = block;
    uint8_t *at = block + shift;
    for (int p = 0; p < info->planes; p++) {
        ret->data[p] = at;
        ret->stride[p] = stride[p];
        for (int y = 0; y < pixel_plane_height(f->format, p, f->height); y++, at += stride[p])
            memcpy(at, f->data[p] + y * f->stride[p],
                   (size_t)pixel_plane_width(f->format, p, f->width) * (size_t)bytes);
    }
    frame_copy_props(ret, f);
    return ret;
}

bool picture_equal(const struct frame *a, const struct frame *b)
{
    if (a->format != b->format || a->width != b->width || a->height != b->height)
        return false;
    const struct pixel_info *info = pixel_info(a->format);
    const int bytes = info->depth > 8 ? 2 : 1;
    for (int p = 0; p < info->planes; p++)
        for (int y = 0; y < pixel_plane_height(a->format, p, a->height); y++)
            if (memcmp(a->data[p] + y * a->stride[p], b->data[p] + y * b->stride[p],
                       (size_t)pixel_plane_width(a->format, p, a->width) * (size_t)bytes) != 0)
                return false;
    return true;
}

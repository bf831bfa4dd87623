#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where sample 0 of an axis is, and how far it is from each to the next, in luma samples. */
struct place {
    int count;
    double first, step;
};

static bool is_rgb(enum pixel_format format)
{
    return format == PIXEL_GBRP || format == PIXEL_GBRP10 || format == PIXEL_GBRP12;
}

int reference_width(enum pixel_format format, int component, int width)
{
    int block = component ? 1 << pixel_info(format)->shift_x : 1;
    return (width + block - 1) / block;
}

int reference_height(enum pixel_format format, int component, int height)
{
    int block = component ? 1 << pixel_info(format)->shift_y : 1;
    return (height + block - 1) / block;
}

int reference_sample(const struct frame *f, int component, int x, int y)
{
    const struct pixel_info *info = pixel_info(f->format);
    int plane = component;
    if (info->planes == 2 && component) {
        plane = 1;
        x = 2 * x + component - 1;
    }
    const uint8_t *line = f->data[plane] + y * f->stride[plane];
    if (info->depth == 8)
        return line[x];
    uint16_t v;
    memcpy(&v, line + 2 * x, sizeof(v));
    return f->format == PIXEL_P010 ? v >> 6 : v;
}

static double kernel(double x)
{
    x = fabs(x);
    if (x < 1)
        return ((1.5 * x - 2.5) * x) * x + 1;
    if (x < 2)
        return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
}

/* out[j * out_pitch] from in[k * in_pitch], the destination's luma samples being `ratio` of the
 * source's wide. */
static void resample(const double *in, int in_pitch, struct place src, double *out, int out_pitch,
                     struct place dst, double ratio)
{
    double wide = ratio * dst.step / src.step;
    wide = wide < 1 ? 1 : wide;
    for (int j = 0; j < dst.count; j++) {
        double at = (ratio * (dst.first + dst.step * j) - src.first) / src.step;
        double sum = 0;
        double weights = 0;
        for (int k = (int)floor(at - 2 * wide); k <= (int)ceil(at + 2 * wide); k++) {
            double w = kernel((k - at) / wide);
            int from = k < 0 ? -1 - k : k >= src.count ? 2 * src.count - 1 - k : k;
            from = from < 0 ? 0 : from >= src.count ? src.count - 1 : from;
            sum += w * in[from * in_pitch];
            weights += w;
        }
        out[j * out_pitch] = sum / weights;
    }
}

static struct place place_x(enum pixel_format format, int component, int width, int at)
{
    int block = component ? 1 << pixel_info(format)->shift_x : 1;
    bool middle = at == CHROMA_CENTER || at == CHROMA_TOP || at == CHROMA_BOTTOM;
    return (struct place){reference_width(format, component, width), middle ? block / 2.0 : 0.5,
                          block};
}

static struct place place_y(enum pixel_format format, int component, int height, int at)
{
    int block = component ? 1 << pixel_info(format)->shift_y : 1;
    double first = at == CHROMA_TOP_LEFT || at == CHROMA_TOP         ? 0.5
                   : at == CHROMA_BOTTOM_LEFT || at == CHROMA_BOTTOM ? block - 0.5
                                                                     : block / 2.0;
    return (struct place){reference_height(format, component, height), first, block};
}

static struct place field_of(struct place frame, int field)
{
    return (struct place){(frame.count + 1 - field) / 2, frame.first + frame.step * field,
                          frame.step * 2};
}

/* Y, U or V of an RGB sample as 0..1 and -1/2..1/2. */
static double from_rgb(const struct frame *f, int component, int x, int y)
{
    const int depth = pixel_info(f->format)->depth;
    double c[3];
    for (int i = 0; i < 3; i++) {
        double v = reference_sample(f, i, x, y);
        c[i] = f->color.range == RANGE_LIMITED ? (v - (16 << (depth - 8))) / (219 << (depth - 8))
                                               : v / ((1 << depth) - 1);
    }
    double kr = 0.299, kb = 0.114;
    if (f->color.primaries == 9) {
        kr = 0.2627;
        kb = 0.0593;
    } else if (f->height >= 720) {
        kr = 0.2126;
        kb = 0.0722;
    }
    const double green = c[0], blue = c[1], red = c[2];
    double luma = kr * red + (1 - kr - kb) * green + kb * blue;
    return component == 0   ? luma
           : component == 1 ? (blue - luma) / (2 * (1 - kb))
                            : (red - luma) / (2 * (1 - kr));
}

/* A source sample in code values of the output's depth. */
static double sample(const struct frame *f, int component, int x, int y, int depth)
{
    const int own = pixel_info(f->format)->depth;
    if (is_rgb(f->format)) {
        double v = from_rgb(f, component, x, y);
        return ldexp(component ? 128 + 224 * v : 16 + 219 * v, depth - 8);
    }
    double v = reference_sample(f, component, x, y);
    if (f->color.range != RANGE_FULL || own == depth)
        return ldexp(v, depth - own);
    double stretch = ((1 << depth) - 1.0) / ((1 << own) - 1.0);
    if (component == 0)
        return v * stretch;
    return (v - (1 << (own - 1))) * stretch + (1 << (depth - 1));
}

double *reference_scale(const struct frame *src, bool interlaced, const struct scaler_output *out,
                        int component)
{
    const int at = src->color.chroma;
    const struct place sx = place_x(src->format, component, src->width, at);
    const struct place sy = place_y(src->format, component, src->height, at);
    const struct place dx = place_x(out->format, component, out->width, at);
    const struct place dy = place_y(out->format, component, out->height, at);
    const double rx = (double)src->width / out->width;
    const double ry = (double)src->height / out->height;
    const int fields = interlaced ? 2 : 1;
    double *in = calloc((size_t)sx.count * (size_t)sy.count, sizeof(double));
    double *tall = calloc((size_t)sx.count * (size_t)dy.count, sizeof(double));
    double *ret = calloc((size_t)dx.count * (size_t)dy.count, sizeof(double));
    for (int y = 0; y < sy.count; y++)
        for (int x = 0; x < sx.count; x++)
            in[y * sx.count + x] = sample(src, component, x, y, pixel_info(out->format)->depth);
    for (int x = 0; x < sx.count; x++)
        for (int f = 0; f < fields; f++)
            resample(in + x + f * sx.count, sx.count * fields, interlaced ? field_of(sy, f) : sy,
                     tall + x + f * sx.count, sx.count * fields, interlaced ? field_of(dy, f) : dy,
                     ry);
    for (int y = 0; y < dy.count; y++)
        resample(tall + y * sx.count, 1, sx, ret + y * dx.count, 1, dx, rx);
    free(tall);
    free(in);
    return ret;
}

double reference_psnr(const struct frame *f, const double *reference, int component,
                      double *ret_exact)
{
    const int width = reference_width(f->format, component, f->width);
    const int height = reference_height(f->format, component, f->height);
    const int max = (1 << pixel_info(f->format)->depth) - 1;
    double squares = 0;
    int64_t exact = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double v = floor(reference[y * width + x] + 0.5);
            v = v < 0 ? 0 : v > max ? max : v;
            double d = reference_sample(f, component, x, y) - v;
            squares += d * d;
            exact += d == 0;
        }
    const double count = (double)width * height;
    *ret_exact = (double)exact / count;
    return squares > 0 ? 10 * log10((double)max * max * count / squares) : 99;
}

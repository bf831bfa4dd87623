#include "pictures.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define PI 3.14159265358979323846
#define SINC_LOBES 8
#define COUNT_MAX 16 /* pictures judged at a time */
#define PSNR_EQUAL 99

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory) {
        fprintf(stderr, "pictures: out of memory\n");
        exit(1);
    }
    return memory;
}

static uint8_t to_byte(double v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
}

static uint32_t next(uint32_t *seed, uint32_t limit)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % limit;
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* One component; its samples are `step` bytes apart. */
struct plane {
    uint8_t *samples;
    int width, height, step, pitch;
};

static void draw_zone(const struct plane *to, double phase)
{
    for (int y = 0; y < to->height; y++)
        for (int x = 0; x < to->width; x++) {
            const double dx = x - to->width / 2.0;
            const double dy = y - to->height / 2.0;
            const double angle = PI / to->width * (dx * dx + dy * dy) + phase;
            to->samples[y * to->pitch + x * to->step] = to_byte(126 + 100 * cos(angle));
        }
}

/* Adds noise that is random every `size` samples and linear between. */
static void add_noise(double *sum, int width, int height, int size, double amplitude,
                      uint32_t *seed)
{
    const int columns = width / size + 2;
    const int rows = height / size + 2;
    double *lattice = allocate((size_t)columns * (size_t)rows, sizeof(*lattice));
    for (int i = 0; i < columns * rows; i++)
        lattice[i] = amplitude * ((double)next(seed, 1 << 16) / (1 << 15) - 1);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const double *at = lattice + y / size * columns + x / size;
            const double u = (double)(x % size) / size;
            const double v = (double)(y % size) / size;
            sum[y * width + x] += (1 - v) * ((1 - u) * at[0] + u * at[1]) +
                                  v * ((1 - u) * at[columns] + u * at[columns + 1]);
        }
    free(lattice);
}

static void draw_texture(const struct plane *to, uint32_t *seed)
{
    double *sum = allocate((size_t)to->width * (size_t)to->height, sizeof(*sum));
    for (int size = 128; size > 0; size /= 2)
        add_noise(sum, to->width, to->height, size, 16 + 3 * sqrt(size), seed);
    for (int y = 0; y < to->height; y++)
        for (int x = 0; x < to->width; x++)
            to->samples[y * to->pitch + x * to->step] = to_byte(126 + sum[y * to->width + x]);
    free(sum);
}

static void draw_card(const struct plane *to, uint32_t *seed)
{
    for (int y = 0; y < to->height; y++)
        for (int x = 0; x < to->width; x++)
            to->samples[y * to->pitch + x * to->step] = 200;
    for (int i = 0; i < to->width * to->height / 100; i++) {
        const bool thin = next(seed, 3) != 0;
        const bool upright = next(seed, 2);
        const int length = 2 + (int)next(seed, thin ? 24 : 12);
        const int across = 1 + (int)next(seed, thin ? 2 : 12);
        const int width = upright ? across : length;
        const int height = upright ? length : across;
        const int left = (int)next(seed, (uint32_t)to->width);
        const int top = (int)next(seed, (uint32_t)to->height);
        const uint8_t v = (uint8_t)(16 + next(seed, 220));
        for (int y = top; y < top + height && y < to->height; y++)
            for (int x = left; x < left + width && x < to->width; x++)
                to->samples[y * to->pitch + x * to->step] = v;
    }
}

const char *picture_name(enum picture_kind kind)
{
    static const char *const names[PICTURE_KINDS] = {"zone", "texture", "card"};
    return names[kind];
}

uint8_t *picture_make(enum picture_kind kind)
{
    uint8_t *nv12 = allocate(1, PICTURE_BYTES);
    uint32_t seed = 1;
    for (int c = 0; c < 3; c++) {
        const struct plane plane = {
            .samples = nv12 + (c ? PICTURE_WIDTH * PICTURE_HEIGHT + c - 1 : 0),
            .width = c ? PICTURE_WIDTH / 2 : PICTURE_WIDTH,
            .height = c ? PICTURE_HEIGHT / 2 : PICTURE_HEIGHT,
            .step = c ? 2 : 1,
            .pitch = PICTURE_WIDTH,
        };
        if (kind == PICTURE_ZONE)
            draw_zone(&plane, c);
        else if (kind == PICTURE_TEXTURE)
            draw_texture(&plane, &seed);
        else
            draw_card(&plane, &seed);
    }
    return nv12;
}

struct picture picture_view(const uint8_t *nv12, int width, int height)
{
    return (struct picture){width, height, nv12, nv12 + (ptrdiff_t)width * height, width, width};
}

/* ---- judges ---------------------------------------------------------------------------------- */

static double cubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return ((1.5 * x - 2.5) * x) * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static double sinc(double x)
{
    return fabs(x) < 1e-9 ? 1 : sin(PI * x) / (PI * x);
}

/* How much of source sample 0, which reaches from -1/2 to 1/2, lies under what reaches half of
 * `wide` to either side of `at`. */
static double covered(double at, double wide)
{
    const double from = fmax(-0.5, at - wide / 2);
    const double to = fmin(0.5, at + wide / 2);
    return fmax(0, to - from);
}

/* Of a source sample, for the output sample at `at`, `distance` away; the output's samples lie
 * `wide` apart. */
static double weight(enum judge judge, double distance, double wide)
{
    const double x = distance / wide;
    switch (judge) {
    case JUDGE_AREA:
        return covered(distance, wide);
    case JUDGE_SINC:
        return fabs(x) < SINC_LOBES ? sinc(x) * sinc(x / SINC_LOBES) : 0;
    default:
        return cubic(x);
    }
}

static double reach(enum judge judge, double wide)
{
    return judge == JUDGE_AREA ? wide / 2 + 1 : judge == JUDGE_SINC ? SINC_LOBES * wide : 2 * wide;
}

/* Where the output's sample 0 lies in the source, if samples of both are 1 and `wide` apart. */
static double place_corner(double wide)
{
    (void)wide;
    return 0;
}

static double place_centre(double wide)
{
    return 0.5 * (wide - 1);
}

static double place_left(double wide)
{
    return 0.25 * (wide - 1);
}

static const struct placement {
    double (*x)(double wide), (*y)(double wide);
} placements[] = {
    {place_centre, place_centre},
    {place_corner, place_corner},
    {place_left, place_centre}, /* of chroma only */
};
#define PLACEMENTS ((int)(sizeof(placements) / sizeof(placements[0])))
#define PLACEMENTS_LUMA 2

/* Which source samples, and how much of each, make each of an axis' `count` samples. */
struct axis {
    int size, count, taps;
    int *sources;    /* count * taps */
    double *weights; /* the same */
};

static struct axis axis_make(enum judge judge, double first, int size, int count)
{
    const double wide = (double)size / count;
    const double around = reach(judge, wide);
    struct axis a = {.size = size, .count = count, .taps = (int)ceil(2 * around) + 1};
    a.sources = allocate((size_t)count * (size_t)a.taps, sizeof(*a.sources));
    a.weights = allocate((size_t)count * (size_t)a.taps, sizeof(*a.weights));
    for (int i = 0; i < count; i++) {
        const double at = first + wide * i;
        const int from = (int)ceil(at - around);
        double sum = 0;
        for (int k = 0; k < a.taps; k++) {
            const double w = weight(judge, at - (from + k), wide);
            int source = from + k;
            source = source < 0 ? -1 - source : source >= size ? 2 * size - 1 - source : source;
            a.sources[i * a.taps + k] = source < 0 ? 0 : source >= size ? size - 1 : source;
            a.weights[i * a.taps + k] = w;
            sum += w;
        }
        for (int k = 0; k < a.taps; k++)
            a.weights[i * a.taps + k] /= sum;
    }
    return a;
}

static void axis_free(struct axis *a)
{
    free(a->sources);
    free(a->weights);
}

static const uint8_t *component(const struct picture *p, int c, int *ret_pitch, int *ret_step)
{
    *ret_pitch = c ? p->chroma_pitch : p->luma_pitch;
    *ret_step = c ? 2 : 1;
    return c ? p->chroma + c - 1 : p->luma;
}

/* Component `c` as it should be, width x height samples, cut to what 8 bits can say. */
static double *judge_picture(const struct picture *source, int c, enum judge judge,
                             const struct placement *place, int width, int height)
{
    const int src_width = source->width >> (c > 0);
    const int src_height = source->height >> (c > 0);
    int pitch, step;
    const uint8_t *samples = component(source, c, &pitch, &step);
    struct axis x = axis_make(judge, place->x((double)src_width / width), src_width, width);
    struct axis y = axis_make(judge, place->y((double)src_height / height), src_height, height);
    double *lines = allocate((size_t)width * (size_t)src_height, sizeof(*lines));
    double *ret = allocate((size_t)width * (size_t)height, sizeof(*ret));
    for (int j = 0; j < src_height; j++)
        for (int i = 0; i < width; i++) {
            double sum = 0;
            for (int k = i * x.taps; k < (i + 1) * x.taps; k++)
                sum += x.weights[k] * samples[j * pitch + x.sources[k] * step];
            lines[j * width + i] = sum;
        }
    for (int j = 0; j < height; j++) {
        double *to = ret + (ptrdiff_t)j * width;
        for (int k = j * y.taps; k < (j + 1) * y.taps; k++)
            for (int i = 0; i < width; i++)
                to[i] += y.weights[k] * lines[y.sources[k] * width + i];
        for (int i = 0; i < width; i++)
            to[i] = fmin(255, fmax(0, to[i]));
    }
    free(lines);
    axis_free(&x);
    axis_free(&y);
    return ret;
}

const char *judge_name(enum judge judge)
{
    static const char *const names[JUDGES] = {"cubic", "area", "sinc"};
    return names[judge];
}

static double squares(const struct picture *made, int c, const double *reference)
{
    const int width = made->width >> (c > 0);
    const int height = made->height >> (c > 0);
    int pitch, step;
    const uint8_t *samples = component(made, c, &pitch, &step);
    double sum = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const double d = samples[y * pitch + x * step] - reference[y * width + x];
            sum += d * d;
        }
    return sum / ((double)width * height);
}

static double psnr(double square)
{
    return square > 0 ? 10 * log10(255 * 255 / square) : PSNR_EQUAL;
}

/* One judge over components first..last, whose errors count together; the best placement's PSNR
 * of each picture. */
static void judge_all(const struct picture *source, const struct picture *made, int count,
                      enum judge judge, int first, int last, double *ret)
{
    const int places = first > 0 ? PLACEMENTS : PLACEMENTS_LUMA;
    for (int i = 0; i < count; i++)
        ret[i] = -1;
    for (int p = 0; p < places; p++) {
        double square[COUNT_MAX] = {0};
        for (int c = first; c <= last; c++) {
            double *reference = judge_picture(source, c, judge, &placements[p],
                                              made[0].width >> (c > 0), made[0].height >> (c > 0));
            for (int i = 0; i < count; i++)
                square[i] += squares(&made[i], c, reference) / (last - first + 1);
            free(reference);
        }
        for (int i = 0; i < count; i++)
            ret[i] = fmax(ret[i], psnr(square[i]));
    }
}

void pictures_judge(const struct picture *source, const struct picture *made, int count,
                    struct quality *ret)
{
    count = count < COUNT_MAX ? count : COUNT_MAX;
    for (int j = 0; j < JUDGES; j++) {
        double luma[COUNT_MAX], chroma[COUNT_MAX];
        judge_all(source, made, count, (enum judge)j, 0, 0, luma);
        judge_all(source, made, count, (enum judge)j, 1, 2, chroma);
        for (int i = 0; i < count; i++) {
            ret[i].luma[j] = luma[i];
            ret[i].chroma[j] = chroma[i];
        }
    }
}

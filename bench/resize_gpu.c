/* The one-launch resize on a real GPU: are its bytes those of its twin on the host, and how long do
 * its launches take? usage: bench_resize_gpu [DEVICE [SEED [RUNS]]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_bench.h"

#define SURFACES 16 /* sources, and sets of outputs, that take turns: more than the L2 holds */
#define LAUNCHES 2000
#define ROUNDS 5 /* the best counts */

/* Detail and extremes: overshoot must be cut alike. */
static void fill(struct bench *b, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const uint32_t v = bench_random(b, 1024);
        to[i] = (uint8_t)(v & 0x300 ? v : v & 1 ? 255 : 0);
    }
}

/* ---- the same bytes -------------------------------------------------------------------------- */

static struct resize_params random_params(struct bench *b)
{
    const int max = bench_random(b, 6) ? 500 : 4096;
    struct resize_params p = {
        .width = 1 + (int)bench_random(b, (uint32_t)max),
        .height = 3 + (int)bench_random(b, bench_random(b, 6) ? 400 : 2200),
        .format = bench_random(b, 2) ? RESIZE_NV12 : RESIZE_P010,
        .siting = {(int)bench_random(b, 3), (int)bench_random(b, 3)},
        .interlaced = bench_random(b, 4) == 0,
        .full_range = bench_random(b, 2),
        .rungs_count = 1 + (int)bench_random(b, 5),
    };
    for (int i = 0; i < p.rungs_count; i++) {
        struct resize_rung *r = &p.rungs[i];
        const int part = 1 + (int)bench_random(b, 31); /* of the source's size, or near it */
        const bool grow = bench_random(b, 6) == 0;
        r->format = (enum resize_format)bench_random(b, 4);
        r->width =
            ((p.width + part - 1) / part * (grow ? 2 : 1) + 1 + (int)bench_random(b, 9)) & ~1;
        r->height =
            ((p.height + part - 1) / part * (grow ? 3 : 1) + 1 + (int)bench_random(b, 9)) & ~1;
        if (bench_random(b, 8) == 0) {
            r->width = (p.width + 1) & ~1;
            r->height = (p.height + 1) & ~1;
        }
        if (bench_random(b, 4) == 0) {
            const int width = r->width;
            const int height = r->height;
            r->width += 2 * (int)bench_random(b, 50);
            r->height += 4 * (int)bench_random(b, 20);
            r->area.x = (int)bench_random(b, (uint32_t)(r->width - width) / 2 + 1) * 2;
            r->area.y = (int)bench_random(b, (uint32_t)(r->height - height) / 4 + 1) * 4;
            r->area.width = width;
            r->area.height = p.interlaced && height % 4 ? height + 2 : height;
            if (r->area.y + r->area.height > r->height)
                r->height = r->area.y + r->area.height;
        }
    }
    return p;
}

static void describe(const struct resize_params *p, int rung)
{
    const struct resize_rung *r = &p->rungs[rung];
    printf("  %dx%d format %d interlaced %d siting %d,%d -> %dx%d format %d area %dx%d at %d,%d\n",
           p->width, p->height, p->format, p->interlaced, p->siting.x2, p->siting.y2, r->width,
           r->height, r->format, r->area.width, r->area.height, r->area.x, r->area.y);
}

/* Whether the device's picture is the host's; both hold the same padding from before. */
static bool same(struct bench *b, const struct surface *s)
{
    uint8_t *copy = malloc(s->bytes);
    if (!copy)
        bench_die("pictures", "out of memory");
    surface_download(b, s, copy);
    const bool equal = memcmp(copy, s->memory, s->bytes) == 0;
    for (size_t i = 0; !equal && i < s->bytes; i++)
        if (copy[i] != s->memory[i]) {
            printf("  first difference at byte %zu of %zu: %u on the GPU, %u on the host\n", i,
                   s->bytes, copy[i], s->memory[i]);
            break;
        }
    free(copy);
    return equal;
}

/* Number of rungs that differ. */
static int compare(struct bench *b, const struct resize_params *p)
{
    struct error err = {0};
    struct resize *resize = NULL;
    int rc = resize_open(&resize, b->device, p, &err);
    if (rc == RGPU_ERROR_UNSUPPORTED)
        return 0;
    if (rc)
        bench_die("resize_open", err.text);
    b->used = 0;
    struct surface in = surface_new(b, p->format, p->width, p->height, 16, true);
    fill(b, in.memory, in.bytes);
    surface_upload(b, &in);
    struct surface out[RESIZE_RUNGS_MAX];
    struct resize_picture device[RESIZE_RUNGS_MAX], host[RESIZE_RUNGS_MAX];
    for (int i = 0; i < p->rungs_count; i++) {
        const struct resize_rung *r = &p->rungs[i];
        out[i] = surface_new(b, r->format, r->width, r->height, 2 << bench_random(b, 8), true);
        surface_upload(b, &out[i]);
        device[i] = out[i].device;
        host[i] = out[i].host;
    }
    const uint32_t mask = (1u << p->rungs_count) - 1 - bench_random(b, 2) * bench_random(b, 2);
    if (resize_launch(resize, b->streams[0], &in.device, device, mask, &err))
        bench_die("resize_launch", err.text);
    resize_host(resize, &in.host, host, mask);
    int different = 0;
    for (int i = 0; i < p->rungs_count; i++) {
        if (!same(b, &out[i])) {
            describe(p, i);
            different++;
        }
        free(out[i].memory);
    }
    free(in.memory);
    resize_close(&resize);
    return different;
}

static int compare_all(struct bench *b, int runs)
{
    static const int extremes[][4] = {{2, 2, 2, 2},
                                      {1, 3, 16384, 2},
                                      {16384, 16, 16384, 16},
                                      {16384, 16, 512, 2},
                                      {16, 16384, 2, 512},
                                      {64, 64, 2, 2},
                                      {1920, 1080, 1280, 720},
                                      {1920, 1080, 120, 68},
                                      {3840, 2160, 1920, 1080},
                                      {7680, 4320, 480, 270}};
    const int count = sizeof(extremes) / sizeof(extremes[0]);
    int different = 0;
    for (int i = 0; i < runs + 2 * count; i++) {
        struct resize_params p = random_params(b);
        if (i < 2 * count) {
            const int *size = extremes[i / 2];
            p = (struct resize_params){.width = size[0],
                                       .height = size[1],
                                       .format = i % 2 ? RESIZE_P010 : RESIZE_NV12,
                                       .siting = {0, 1},
                                       .rungs_count = 4};
            for (int f = 0; f < 4; f++)
                p.rungs[f] = (struct resize_rung){size[2], size[3], (enum resize_format)f, {0}};
        }
        different += compare(b, &p);
    }
    printf("kernel and twin: %d pictures, %d rungs differ\n", runs + 2 * count, different);
    return different;
}

/* ---- time ------------------------------------------------------------------------------------ */

struct timing {
    const char *name;
    int width, height;
    enum resize_format from, to;
    int rungs_count;
    int sizes[4][2];
};

struct job {
    struct bench *bench;
    struct resize *resize;
    uint32_t mask;
    struct resize_picture in[SURFACES], out[SURFACES][RESIZE_RUNGS_MAX];
    double bytes; /* read and written by a launch, each once */
};

static struct job job_open(struct bench *b, const struct timing *t)
{
    struct job job = {.bench = b, .mask = (1u << t->rungs_count) - 1};
    struct resize_params p = {.width = t->width,
                              .height = t->height,
                              .format = t->from,
                              .siting = {0, 1},
                              .rungs_count = t->rungs_count};
    for (int i = 0; i < t->rungs_count; i++)
        p.rungs[i] = (struct resize_rung){t->sizes[i][0], t->sizes[i][1], t->to, {0}};
    struct error err = {0};
    if (resize_open(&job.resize, b->device, &p, &err))
        bench_die("resize_open", err.text);
    b->used = 0;
    for (int s = 0; s < SURFACES; s++) {
        struct surface in = surface_new(b, t->from, t->width, t->height, 256, false);
        job.in[s] = in.device;
        job.bytes = s ? job.bytes : (double)in.bytes;
        for (int i = 0; i < t->rungs_count; i++) {
            in = surface_new(b, t->to, t->sizes[i][0], t->sizes[i][1], 256, false);
            job.out[s][i] = in.device;
            job.bytes += s ? 0 : (double)in.bytes;
        }
    }
    return job;
}

static void launch(void *opaque, int stream, int n)
{
    const struct job *job = opaque;
    struct error err = {0};
    if (resize_launch(job->resize, job->bench->streams[stream], &job->in[n % SURFACES],
                      job->out[n % SURFACES], job->mask, &err))
        bench_die("resize_launch", err.text);
}

static double best(struct job *job, int streams, int launches, int rounds)
{
    double us = 0;
    for (int i = 0; i < rounds; i++) {
        const double t = bench_queue(job->bench, streams, launches, launch, job);
        us = i == 0 || t < us ? t : us;
    }
    return us;
}

static void time_one(struct bench *b, const struct timing *t, double copy_bytes_s)
{
    struct job job = job_open(b, t);
    bench_queue(b, 1, 100, launch, &job);
    const double alone = best(&job, 1, 1, 50);
    const double queued = best(&job, 1, LAUNCHES, ROUNDS);
    double streams = 0;
    for (int s = 2; s <= BENCH_STREAMS_MAX; s *= 2) {
        const double us = best(&job, s, LAUNCHES, ROUNDS);
        streams = s == 2 || us < streams ? us : streams;
    }
    const double least = streams < queued ? streams : queued;
    const double floor_us = job.bytes / copy_bytes_s * 1e6;
    printf("%-42s alone %6.2f us, queued %6.2f us, 2-8 streams %6.2f us | %5.2f MB, %6.1f GB/s, "
           "memory floor %5.2f us (%.2f of it)\n",
           t->name, alone, queued, streams, job.bytes / 1e6, job.bytes / least / 1e3, floor_us,
           least / floor_us);
    resize_close(&job.resize);
}

/* Bytes read and written a second by the driver's own copy. */
static double measure_copy(struct bench *b)
{
    const CudaFunctions *cuda = b->driver->cuda;
    double best_bytes_s = 0;
    const size_t half = BENCH_ARENA_BYTES / 2;
    for (int i = 0; i < ROUNDS; i++) {
        bench_check(cuda->cuEventRecord(b->begin, b->streams[0]), "event");
        bench_check(cuda->cuMemcpyDtoDAsync(b->arena, b->arena + half, half, b->streams[0]),
                    "copy");
        bench_check(cuda->cuEventRecord(b->end, b->streams[0]), "event");
        bench_check(cuda->cuStreamSynchronize(b->streams[0]), "copy");
        float ms = 0;
        bench_check(b->driver->cuEventElapsedTime(&ms, b->begin, b->end), "time");
        const double rate = 2 * (double)half / (double)ms * 1000;
        best_bytes_s = rate > best_bytes_s ? rate : best_bytes_s;
    }
    printf("device copy: %.0f GB/s read and written\n", best_bytes_s / 1e9);
    return best_bytes_s;
}

static void time_all(struct bench *b, double copy_bytes_s)
{
    static const struct timing timings[] = {
        {"1080p nv12 -> 720 480 360 240 i420",
         1920,
         1080,
         RESIZE_NV12,
         RESIZE_I420,
         4,
         {{1280, 720}, {854, 480}, {640, 360}, {426, 240}}},
        {"1080p nv12 -> 720 480 360 240 nv12",
         1920,
         1080,
         RESIZE_NV12,
         RESIZE_NV12,
         4,
         {{1280, 720}, {854, 480}, {640, 360}, {426, 240}}},
        {"1080p nv12 -> 1080 720 480 360 i420",
         1920,
         1080,
         RESIZE_NV12,
         RESIZE_I420,
         4,
         {{1920, 1080}, {1280, 720}, {854, 480}, {640, 360}}},
        {"1080p nv12 -> 1080 i420", 1920, 1080, RESIZE_NV12, RESIZE_I420, 1, {{1920, 1080}}},
        {"1080p nv12 -> 720 i420", 1920, 1080, RESIZE_NV12, RESIZE_I420, 1, {{1280, 720}}},
        {"1080p nv12 -> 480 i420", 1920, 1080, RESIZE_NV12, RESIZE_I420, 1, {{854, 480}}},
        {"1080p nv12 -> 360 i420", 1920, 1080, RESIZE_NV12, RESIZE_I420, 1, {{640, 360}}},
        {"1080p nv12 -> 240 i420", 1920, 1080, RESIZE_NV12, RESIZE_I420, 1, {{426, 240}}},
        {"1080p nv12 -> 68 i420 (1/16)", 1920, 1080, RESIZE_NV12, RESIZE_I420, 1, {{120, 68}}},
        {"1080p p010 -> 720 480 360 240 i420p10",
         1920,
         1080,
         RESIZE_P010,
         RESIZE_I420P10,
         4,
         {{1280, 720}, {854, 480}, {640, 360}, {426, 240}}},
        {"1080p p010 -> 720 480 360 240 nv12",
         1920,
         1080,
         RESIZE_P010,
         RESIZE_NV12,
         4,
         {{1280, 720}, {854, 480}, {640, 360}, {426, 240}}},
        {"2160p nv12 -> 1080 720 480 360 i420",
         3840,
         2160,
         RESIZE_NV12,
         RESIZE_I420,
         4,
         {{1920, 1080}, {1280, 720}, {854, 480}, {640, 360}}},
        {"720p nv12 -> 1080 i420", 1280, 720, RESIZE_NV12, RESIZE_I420, 1, {{1920, 1080}}},
    };
    for (size_t i = 0; i < sizeof(timings) / sizeof(timings[0]); i++)
        time_one(b, &timings[i], copy_bytes_s);
}

/* ---------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    const int index = argc > 1 ? atoi(argv[1]) : 0;
    const int runs = argc > 3 ? atoi(argv[3]) : 200;
    struct bench b = {.seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1};
    if (index < 0 || runs < 0) {
        fprintf(stderr, "usage: %s [DEVICE [SEED [RUNS]]]\n", argv[0]);
        return 2;
    }
    bench_open(&b, index);
    const int different = compare_all(&b, runs);
    time_all(&b, measure_copy(&b));
    bench_close(&b);
    return different ? 1 : 0;
}

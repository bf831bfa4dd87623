/* Ladder scaling: this library's scaler against libswscale, in one process, frames per second and
 * CPU time. usage: bench_scaler [FRAMES [WIDTH HEIGHT]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#include "base/clock.h"
#include "codec/cpu/scaler.h"

#define SOURCES 4 /* frames that take turns, so that not all stays in the cache */
#define ROUNDS 3  /* the best counts */

static const int sizes[][2] = {{1280, 720}, {854, 480}, {640, 360}, {426, 240}};

struct times {
    double wall_s, cpu_s;
};

struct job {
    struct frame *sources[SOURCES];
    int frames, rungs, threads;
    enum pixel_format to;
};

static struct frame *noise(enum pixel_format format, int width, int height, uint32_t seed)
{
    struct frame *f = frame_new(format, width, height);
    if (!f)
        return NULL;
    const int depth = pixel_info(format)->depth;
    for (int p = 0; p < pixel_info(format)->planes; p++)
        for (int y = 0; y < pixel_plane_height(format, p, height); y++)
            for (int x = 0; x < pixel_plane_width(format, p, width); x++) {
                seed = seed * 1664525 + 1013904223;
                uint32_t v = (uint32_t)(x + y) / 8 % 160 + 32 + (seed >> 28);
                uint8_t *line = f->data[p] + y * f->stride[p];
                if (depth == 8)
                    line[x] = (uint8_t)v;
                else
                    ((uint16_t *)(void *)line)[x] =
                        (uint16_t)(v << (format == PIXEL_P010 ? 8 : depth - 8));
            }
    f->color.range = RANGE_LIMITED;
    return f;
}

static int time_ours(const struct job *job, struct times *ret)
{
    const struct frame *src = job->sources[0];
    struct scaler_params params = {
        .width = src->width,
        .height = src->height,
        .format = src->format,
        .color = src->color,
        .outputs_count = job->rungs,
        .threads = job->threads,
    };
    for (int i = 0; i < job->rungs; i++)
        params.outputs[i] = (struct scaler_output){sizes[i][0], sizes[i][1], job->to};
    struct error err = {0};
    void *scaler = NULL;
    int rc = cpu_scaler_ops.open(&scaler, &params, &err);
    int64_t wall = clock_now_ns();
    int64_t cpu = clock_cpu_ns();
    for (int n = 0; !rc && n < job->frames; n++) {
        struct frame *out[RENDITIONS_MAX] = {0};
        rc = cpu_scaler_ops.run(scaler, job->sources[n % SOURCES], (1U << job->rungs) - 1, out,
                                &err);
        for (int i = 0; i < job->rungs; i++)
            frame_unref(&out[i]);
    }
    ret->wall_s = (double)(clock_now_ns() - wall) / 1e9;
    ret->cpu_s = (double)(clock_cpu_ns() - cpu) / 1e9;
    cpu_scaler_ops.close(scaler);
    if (rc)
        fprintf(stderr, "scaler: %s\n", err.text);
    return rc;
}

static struct SwsContext *sws_open(const struct job *job, int rung)
{
    const struct frame *src = job->sources[0];
    struct SwsContext *sws = sws_alloc_context();
    if (!sws)
        return NULL;
    av_opt_set_int(sws, "srcw", src->width, 0);
    av_opt_set_int(sws, "srch", src->height, 0);
    av_opt_set_int(sws, "src_format", av_get_pix_fmt(pixel_info(src->format)->name), 0);
    av_opt_set_int(sws, "dstw", sizes[rung][0], 0);
    av_opt_set_int(sws, "dsth", sizes[rung][1], 0);
    av_opt_set_int(sws, "dst_format", av_get_pix_fmt(pixel_info(job->to)->name), 0);
    av_opt_set_int(sws, "sws_flags",
                   SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP, 0);
    av_opt_set_int(sws, "threads", job->threads, 0);
    if (sws_init_context(sws, NULL, NULL) < 0) {
        sws_freeContext(sws);
        return NULL;
    }
    return sws;
}

/* The rungs one after the other, each with `threads` slices, as ffmpeg's scale filter does. */
static int time_swscale(const struct job *job, struct times *ret)
{
    struct SwsContext *sws[RENDITIONS_MAX] = {0};
    AVFrame *in = av_frame_alloc();
    AVFrame *out[RENDITIONS_MAX] = {0};
    const struct frame *src = job->sources[0];
    int rc = in ? 0 : -1;
    for (int i = 0; !rc && i < job->rungs; i++) {
        sws[i] = sws_open(job, i);
        out[i] = av_frame_alloc();
        if (!sws[i] || !out[i]) {
            rc = -1;
            break;
        }
        out[i]->format = av_get_pix_fmt(pixel_info(job->to)->name);
        out[i]->width = sizes[i][0];
        out[i]->height = sizes[i][1];
        rc = av_frame_get_buffer(out[i], 0);
    }
    if (!rc) {
        in->format = av_get_pix_fmt(pixel_info(src->format)->name);
        in->width = src->width;
        in->height = src->height;
        rc = av_frame_get_buffer(in, 64);
    }
    int64_t wall = clock_now_ns();
    int64_t cpu = clock_cpu_ns();
    for (int n = 0; !rc && n < job->frames; n++) {
        const struct frame *f = job->sources[n % SOURCES];
        for (int p = 0; p < pixel_info(f->format)->planes; p++) {
            in->data[p] = f->data[p];
            in->linesize[p] = (int)f->stride[p];
        }
        for (int i = 0; rc >= 0 && i < job->rungs; i++)
            rc = sws_scale_frame(sws[i], out[i], in);
        rc = rc < 0 ? rc : 0;
    }
    ret->wall_s = (double)(clock_now_ns() - wall) / 1e9;
    ret->cpu_s = (double)(clock_cpu_ns() - cpu) / 1e9;
    for (int i = 0; i < job->rungs; i++) {
        sws_freeContext(sws[i]);
        av_frame_free(&out[i]);
    }
    av_frame_free(&in);
    if (rc)
        fprintf(stderr, "swscale failed\n");
    return rc;
}

static int best_of(int (*time)(const struct job *, struct times *), const struct job *job,
                   struct times *ret)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct times t;
        int rc = time(job, &t);
        if (rc)
            return rc;
        if (i == 0 || t.wall_s < ret->wall_s)
            *ret = t;
    }
    return 0;
}

static int compare(enum pixel_format from, enum pixel_format to, int width, int height, int frames)
{
    struct job job = {.frames = frames, .to = to};
    for (int i = 0; i < SOURCES; i++) {
        job.sources[i] = noise(from, width, height, (uint32_t)i + 1);
        if (!job.sources[i]) {
            fprintf(stderr, "no memory for %dx%d\n", width, height);
            exit(1);
        }
    }
    int rc = 0;
    for (job.rungs = 3; !rc && job.rungs <= 4; job.rungs++)
        for (job.threads = 1; !rc && job.threads <= 2; job.threads++) {
            struct times ours = {0}, theirs = {0};
            rc = best_of(time_ours, &job, &ours);
            if (!rc)
                rc = best_of(time_swscale, &job, &theirs);
            if (!rc)
                printf(
                    "%-12s %-12s %d rungs %d threads | %7.1f fps %6.3f CPU s | swscale %7.1f fps "
                    "%6.3f CPU s | %.2fx wall %.2fx CPU\n",
                    pixel_info(from)->name, pixel_info(to)->name, job.rungs, job.threads,
                    frames / ours.wall_s, ours.cpu_s, frames / theirs.wall_s, theirs.cpu_s,
                    theirs.wall_s / ours.wall_s, theirs.cpu_s / ours.cpu_s);
        }
    for (int i = 0; i < SOURCES; i++)
        frame_unref(&job.sources[i]);
    return rc;
}

int main(int argc, char **argv)
{
    int frames = argc > 1 ? atoi(argv[1]) : 360;
    int width = argc > 3 ? atoi(argv[2]) : 1920;
    int height = argc > 3 ? atoi(argv[3]) : 1080;
    if (frames < 1 || width < 16 || height < 16) {
        fprintf(stderr, "usage: %s [FRAMES [WIDTH HEIGHT]]\n", argv[0]);
        return 2;
    }
    printf("%d frames of %dx%d to 720p, 480p, 360p (and 240p), bicubic\n", frames, width, height);
    static const enum pixel_format pairs[][2] = {{PIXEL_YUV420P, PIXEL_YUV420P},
                                                 {PIXEL_NV12, PIXEL_NV12},
                                                 {PIXEL_YUV420P10, PIXEL_YUV420P10},
                                                 {PIXEL_YUV420P10, PIXEL_YUV420P}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (compare(pairs[i][0], pairs[i][1], width, height, frames))
            return 1;
    return 0;
}

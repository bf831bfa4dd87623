/* The one-launch resize next to NPP and FFmpeg's scale_cuda, all on the same pictures: GPU time of
 * a frame's ladder, what queueing it costs the host, and PSNR (pictures.h says of what).
 *
 * usage: bench_resize_peers [--device N] [--scale-cuda PTX] [--picture NV12]... [--time]
 *                           [--quality]
 *        bench_resize_peers [--device N] [--scale-cuda PTX] --frames COUNT NAME
 *        bench_resize_peers --write FOLDER | --judge NV12 WIDTH HEIGHT MADE... | --twin [NV12]...
 *
 * --time, --quality: both, unless one is asked for. PTX: of scale_cuda's kernels, which
 * bench/scale_cuda_ptx.py takes out of libavfilter. NPP is measured where its libraries are found.
 * NV12: 1920x1080 raw pictures, judged besides the program's own.
 *
 * --frames: only queues COUNT frames of ours, npp, npp-once or scale_cuda, for a profiler.
 *
 * --write: the program's own pictures as raw NV12; needs no GPU, nor do the next two.
 *
 * --judge: PSNR of raw NV12 pictures that others made of a 1920x1080 one.
 *
 * --twin: PSNR of ours alone, made on the host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "peers.h"
#include "pictures.h"

#define CONTENDERS 4
#define PICTURES_MAX 16
#define REPLAYED 128 /* frames of a graph */
#define QUEUED 64    /* frames queued at a time: fewer launches than the driver's queue takes */
#define ROUNDS 20    /* the best counts */

static const int sizes[PEER_RUNGS][2] = {{1280, 720}, {854, 480}, {640, 360}, {426, 240}};

struct peers {
    struct bench bench;
    struct peer_job job;
    struct resize *resize;
    struct npp *npp;
    struct scale_cuda *scale;
};

/* ---- contenders ------------------------------------------------------------------------------ */

static struct resize *open_ours(struct gpu_device *device)
{
    struct resize_params p = {
        .width = PICTURE_WIDTH,
        .height = PICTURE_HEIGHT,
        .format = RESIZE_NV12,
        .siting = {0, 1},
        .rungs_count = PEER_RUNGS,
    };
    struct error err = {0};
    struct resize *ret = NULL;
    for (int r = 0; r < PEER_RUNGS; r++)
        p.rungs[r] = (struct resize_rung){sizes[r][0], sizes[r][1], RESIZE_NV12, {0}};
    if (resize_open(&ret, device, &p, &err))
        bench_die("resize_open", err.text);
    return ret;
}

static bool has_ours(const struct peers *p)
{
    return p->resize;
}

static void frame_ours(void *opaque, int stream, int n)
{
    struct peers *p = opaque;
    struct resize_picture rungs[PEER_RUNGS];
    struct error err = {0};
    n %= PEER_SURFACES;
    for (int r = 0; r < PEER_RUNGS; r++)
        rungs[r] = p->job.out[n][r].device;
    if (resize_launch(p->resize, p->bench.streams[stream], &p->job.in[n].device, rungs,
                      (1u << PEER_RUNGS) - 1, &err))
        bench_die("resize_launch", err.text);
}

static bool has_npp(const struct peers *p)
{
    return p->npp;
}

static void frame_npp(void *opaque, int stream, int n)
{
    npp_frame(((struct peers *)opaque)->npp, stream, n, false);
}

static void frame_npp_once(void *opaque, int stream, int n)
{
    npp_frame(((struct peers *)opaque)->npp, stream, n, true);
}

static bool has_scale_cuda(const struct peers *p)
{
    return p->scale;
}

static void frame_scale_cuda(void *opaque, int stream, int n)
{
    scale_cuda_frame(((struct peers *)opaque)->scale, stream, n);
}

static const struct contender {
    const char *name;
    int launches; /* a frame */
    bool (*has)(const struct peers *p);
    bench_work *frame;
} contenders[CONTENDERS] = {
    {"ours", 1, has_ours, frame_ours},
    {"npp", 5 * PEER_RUNGS, has_npp, frame_npp},
    {"npp-once", 1 + 4 * PEER_RUNGS, has_npp, frame_npp_once},
    {"scale_cuda", 2 * PEER_RUNGS, has_scale_cuda, frame_scale_cuda},
};

/* ---- time ------------------------------------------------------------------------------------ */

/* Microseconds of this thread for each of a few frames that are queued at once. */
static double queue_us(struct peers *p, const struct contender *c)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const int64_t begin = clock_now_ns();
        for (int n = 0; n < QUEUED; n++)
            c->frame(p, 0, n);
        const double us = (double)(clock_now_ns() - begin) / 1e3 / QUEUED;
        bench_check(p->bench.driver->cuda->cuStreamSynchronize(p->bench.streams[0]), c->name);
        best = i == 0 || us < best ? us : best;
    }
    return best;
}

static void time_all(struct peers *p)
{
    double ours_us = 0;
    printf(
        "\n1080p NV12 to 720, 480, 360 and 240 lines, microseconds a frame. One stream and 8: GPU "
        "time of\n%d frames replayed from a CUDA graph, that is without what launches cost. "
        "Queueing: time of the\nhost without a graph. Both: frames queued one by one to 8 "
        "streams.\n\n%-12s %8s %10s %10s %10s %10s %12s\n",
        REPLAYED, "", "launches", "one stream", "8 streams", "queueing", "both", "8 streams /");
    for (int i = 0; i < CONTENDERS; i++) {
        const struct contender *c = &contenders[i];
        if (!c->has(p))
            continue;
        bench_queue(&p->bench, BENCH_STREAMS_MAX, QUEUED, c->frame, p);
        const double one = bench_replay(&p->bench, 1, REPLAYED, ROUNDS, c->frame, p);
        const double all =
            bench_replay(&p->bench, BENCH_STREAMS_MAX, REPLAYED, ROUNDS, c->frame, p);
        const double host = queue_us(p, c);
        double both = 0;
        for (int round = 0; round < ROUNDS; round++) {
            const double us = bench_queue(&p->bench, BENCH_STREAMS_MAX, REPLAYED, c->frame, p);
            both = round == 0 || us < both ? us : both;
        }
        ours_us = i == 0 ? all : ours_us;
        printf("%-12s %8d %10.2f %10.2f %10.2f %10.2f %12.2f\n", c->name, c->launches, one, all,
               host, both, ours_us > 0 ? all / ours_us : 0.0);
    }
    printf("%-12s (below 0: could not be captured into a graph)%34s\n", "", "ours");
}

/* ---- quality --------------------------------------------------------------------------------- */

static void print_head(const char *picture)
{
    printf("\n%-34s", picture);
    for (int k = 0; k < 2; k++)
        for (int j = 0; j < JUDGES; j++)
            printf(" %s %-5s", k ? "UV" : " Y", judge_name((enum judge)j));
    printf("\n");
}

static void print_quality(const char *name, int width, int height, const struct quality *q)
{
    char size[32];
    snprintf(size, sizeof(size), "%dx%d (1:%.2f)", width, height, (double)PICTURE_HEIGHT / height);
    printf("  %-16s %-15s", size, name);
    for (int j = 0; j < JUDGES; j++)
        printf(" %8.2f", q->luma[j]);
    for (int j = 0; j < JUDGES; j++)
        printf(" %8.2f", q->chroma[j]);
    printf("\n");
}

static struct picture view(const struct surface *s, int width, int height)
{
    return (struct picture){
        .width = width,
        .height = height,
        .luma = (const uint8_t *)(uintptr_t)s->host.plane[0],
        .chroma = (const uint8_t *)(uintptr_t)s->host.plane[1],
        .luma_pitch = s->host.pitch[0],
        .chroma_pitch = s->host.pitch[1],
    };
}

static void copy_lines(const uint8_t *from, uint64_t to, int pitch, int lines)
{
    for (int y = 0; y < lines; y++)
        memcpy((uint8_t *)(uintptr_t)to + (ptrdiff_t)y * pitch, from + (ptrdiff_t)y * PICTURE_WIDTH,
               PICTURE_WIDTH);
}

/* Has a contender make the rungs of `nv12`, which come down to `made`. */
static void make_rungs(struct peers *p, const struct contender *c, const uint8_t *nv12,
                       struct surface *made)
{
    const CudaFunctions *cuda = p->bench.driver->cuda;
    struct surface in = p->job.in[0];
    in.memory = calloc(1, in.bytes);
    if (!in.memory)
        bench_die("pictures", "out of memory");
    for (int plane = 0; plane < 2; plane++)
        in.host.plane[plane] =
            (uint64_t)(uintptr_t)in.memory + (in.device.plane[plane] - in.device.plane[0]);
    copy_lines(nv12, in.host.plane[0], in.host.pitch[0], PICTURE_HEIGHT);
    copy_lines(nv12 + PICTURE_WIDTH * PICTURE_HEIGHT, in.host.plane[1], in.host.pitch[1],
               PICTURE_HEIGHT / 2);
    surface_upload(&p->bench, &in);
    for (int r = 0; r < PEER_RUNGS; r++) /* what nobody fills is seen */
        bench_check(cuda->cuMemsetD8Async(p->job.out[0][r].device.plane[0], 0, made[r].bytes,
                                          p->bench.streams[0]),
                    "memory");
    c->frame(p, 0, 0);
    for (int r = 0; r < PEER_RUNGS; r++) {
        made[r].device = p->job.out[0][r].device;
        surface_download(&p->bench, &made[r], made[r].memory);
    }
    free(in.memory);
}

/* A surface of the host alone, laid out as those of the device are. */
static struct surface host_surface(const int *size)
{
    struct bench none = {0};
    return surface_new(&none, RESIZE_NV12, size[0], size[1], 256, true);
}

static void judge_contenders(struct peers *p, const char *name, const uint8_t *nv12)
{
    const struct picture source = picture_view(nv12, PICTURE_WIDTH, PICTURE_HEIGHT);
    struct surface made[CONTENDERS][PEER_RUNGS] = {0};
    for (int i = 0; i < CONTENDERS; i++)
        for (int r = 0; r < PEER_RUNGS; r++)
            made[i][r] = host_surface(sizes[r]);
    for (int i = 0; i < CONTENDERS; i++)
        if (contenders[i].has(p))
            make_rungs(p, &contenders[i], nv12, made[i]);
    print_head(name);
    for (int r = 0; r < PEER_RUNGS; r++) {
        struct picture pictures[CONTENDERS];
        struct quality quality[CONTENDERS];
        for (int i = 0; i < CONTENDERS; i++)
            pictures[i] = view(&made[i][r], sizes[r][0], sizes[r][1]);
        pictures_judge(&source, pictures, CONTENDERS, quality);
        for (int i = 0; i < CONTENDERS; i++)
            if (contenders[i].has(p))
                print_quality(contenders[i].name, sizes[r][0], sizes[r][1], &quality[i]);
    }
    for (int i = 0; i < CONTENDERS; i++)
        for (int r = 0; r < PEER_RUNGS; r++)
            free(made[i][r].memory);
}

/* Ours alone, on the host. */
static void judge_twin(struct peers *p, const char *name, const uint8_t *nv12)
{
    const struct picture source = picture_view(nv12, PICTURE_WIDTH, PICTURE_HEIGHT);
    const struct resize_picture in = {
        .plane = {(uint64_t)(uintptr_t)source.luma, (uint64_t)(uintptr_t)source.chroma},
        .pitch = {source.luma_pitch, source.chroma_pitch},
    };
    struct surface made[PEER_RUNGS];
    struct resize_picture rungs[PEER_RUNGS];
    for (int r = 0; r < PEER_RUNGS; r++) {
        made[r] = host_surface(sizes[r]);
        rungs[r] = made[r].host;
    }
    resize_host(p->resize, &in, rungs, (1u << PEER_RUNGS) - 1);
    print_head(name);
    for (int r = 0; r < PEER_RUNGS; r++) {
        const struct picture picture = view(&made[r], sizes[r][0], sizes[r][1]);
        struct quality quality;
        pictures_judge(&source, &picture, 1, &quality);
        print_quality("ours", sizes[r][0], sizes[r][1], &quality);
        free(made[r].memory);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static uint8_t *read_nv12(const char *path, int width, int height)
{
    const size_t size = (size_t)width * (size_t)height * 3 / 2;
    uint8_t *nv12 = malloc(size);
    FILE *file = fopen(path, "re");
    if (!nv12 || !file || fread(nv12, 1, size, file) != size)
        bench_die(path, "no raw NV12 picture of its size");
    fclose(file);
    return nv12;
}

static void judge_pictures(struct peers *p, char **paths, int count,
                           void (*judge)(struct peers *p, const char *name, const uint8_t *nv12))
{
    for (int i = 0; i < PICTURE_KINDS + count; i++) {
        const bool own = i < PICTURE_KINDS;
        const char *name = own ? picture_name((enum picture_kind)i) : paths[i - PICTURE_KINDS];
        uint8_t *nv12 = own ? picture_make((enum picture_kind)i)
                            : read_nv12(name, PICTURE_WIDTH, PICTURE_HEIGHT);
        judge(p, name, nv12);
        free(nv12);
    }
}

static int write_pictures(const char *folder)
{
    for (int i = 0; i < PICTURE_KINDS; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s.nv12", folder, picture_name((enum picture_kind)i));
        uint8_t *nv12 = picture_make((enum picture_kind)i);
        FILE *file = fopen(path, "we");
        if (!file || fwrite(nv12, 1, PICTURE_BYTES, file) != PICTURE_BYTES || fclose(file) != 0)
            bench_die(path, "cannot be written");
        free(nv12);
    }
    return 0;
}

static int judge_files(char **argv, int argc)
{
    const int width = atoi(argv[1]);
    const int height = atoi(argv[2]);
    if (width < 2 || height < 2 || width % 2 || height % 2 || width > PICTURE_WIDTH ||
        height > PICTURE_HEIGHT)
        bench_die("--judge", "even sizes, none larger than the picture");
    uint8_t *nv12 = read_nv12(argv[0], PICTURE_WIDTH, PICTURE_HEIGHT);
    const struct picture source = picture_view(nv12, PICTURE_WIDTH, PICTURE_HEIGHT);
    print_head(argv[0]);
    for (int i = 3; i < argc; i++) {
        uint8_t *made = read_nv12(argv[i], width, height);
        const struct picture picture = picture_view(made, width, height);
        struct quality quality;
        pictures_judge(&source, &picture, 1, &quality);
        const char *slash = strrchr(argv[i], '/');
        print_quality(slash ? slash + 1 : argv[i], width, height, &quality);
        free(made);
    }
    free(nv12);
    return 0;
}

/* ---- main ------------------------------------------------------------------------------------ */

static void peers_open(struct peers *p, int device, const char *ptx)
{
    bench_open(&p->bench, device);
    struct peer_job *job = &p->job;
    job->bench = &p->bench;
    job->width = PICTURE_WIDTH;
    job->height = PICTURE_HEIGHT;
    memcpy(job->sizes, sizes, sizeof(sizes));
    uint8_t *noise = picture_make(PICTURE_TEXTURE);
    for (int s = 0; s < PEER_SURFACES; s++) {
        job->in[s] = surface_new(&p->bench, RESIZE_NV12, job->width, job->height, 256, false);
        for (int r = 0; r < PEER_RUNGS; r++)
            job->out[s][r] =
                surface_new(&p->bench, RESIZE_NV12, sizes[r][0], sizes[r][1], 256, false);
        struct surface in = job->in[s]; /* any detail will do: its lines need not be in place */
        in.memory = noise;
        in.bytes = PICTURE_BYTES;
        surface_upload(&p->bench, &in);
    }
    free(noise);
    p->resize = open_ours(p->bench.device);
    p->npp = npp_open(job);
    if (ptx)
        p->scale = scale_cuda_open(job, ptx);
    else
        printf("scale_cuda: not measured, see --scale-cuda\n");
}

static void peers_close(struct peers *p)
{
    scale_cuda_close(p->scale);
    npp_close(p->npp);
    resize_close(&p->resize);
    bench_close(&p->bench);
}

/* The frames alone, for a profiler. */
static int run_frames(struct peers *p, int count, const char *name)
{
    for (int i = 0; i < CONTENDERS; i++)
        if (strcmp(contenders[i].name, name) == 0 && contenders[i].has(p)) {
            bench_queue(&p->bench, 1, count, contenders[i].frame, p);
            return 0;
        }
    fprintf(stderr, "%s: not here\n", name);
    return 1;
}

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--device N] [--scale-cuda PTX] [--picture NV12]... [--time] [--quality]\n"
            "       %s [--device N] [--scale-cuda PTX] --frames COUNT NAME\n"
            "       %s --write FOLDER | --judge NV12 WIDTH HEIGHT MADE... | --twin [NV12]...\n",
            program, program, program);
    return 2;
}

int main(int argc, char **argv)
{
    struct peers peers = {.bench.seed = 1};
    char *paths[PICTURES_MAX];
    const char *ptx = NULL;
    int device = 0, frames = 0, paths_count = 0, at = 1;
    bool time = false, quality = false;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        const char *option = argv[at] + 2;
        const int left = argc - at - 1;
        if (strcmp(option, "twin") == 0) {
            peers.resize = open_ours(NULL);
            judge_pictures(&peers, argv + at + 1, left, judge_twin);
            resize_close(&peers.resize);
            return 0;
        }
        if (strcmp(option, "write") == 0 && left == 1)
            return write_pictures(argv[at + 1]);
        if (strcmp(option, "judge") == 0 && left >= 4)
            return judge_files(argv + at + 1, left);
        if (strcmp(option, "quality") == 0)
            quality = true;
        else if (strcmp(option, "time") == 0)
            time = true;
        else if (strcmp(option, "device") == 0 && left > 0)
            device = atoi(argv[++at]);
        else if (strcmp(option, "scale-cuda") == 0 && left > 0)
            ptx = argv[++at];
        else if (strcmp(option, "frames") == 0 && left > 0)
            frames = atoi(argv[++at]);
        else if (strcmp(option, "picture") == 0 && left > 0 && paths_count < PICTURES_MAX)
            paths[paths_count++] = argv[++at];
        else
            return usage(argv[0]);
    }
    if (device < 0 || frames < 0 || argc - at != (frames > 0))
        return usage(argv[0]);
    peers_open(&peers, device, ptx);
    int rc = 0;
    if (frames > 0) {
        rc = run_frames(&peers, frames, argv[at]);
    } else {
        if (time || !quality)
            time_all(&peers);
        if (quality || !time)
            judge_pictures(&peers, paths, paths_count, judge_contenders);
    }
    peers_close(&peers);
    return rc;
}

/* What a frame's resize costs the host as launches are made now, and what it would in a CUDA graph
 * or in one launch for the frames of several streams. usage: bench_launches_gpu [DEVICE]
 *
 * A tick is one frame (1080p to 720, 480, 360 and 240 lines) of each of BATCH_FRAMES streams. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "gpu/resize_plan.h"
#include "gpu_bench.h"
#include "launches.h"

#define SETS 2     /* of BATCH_FRAMES pictures, that take turns */
#define TICKS 8    /* queued at once: fewer launches than the driver's queue takes */
#define ROUNDS 200 /* medians */
#define CALLS 64   /* of one kind at once */
#define PINNED_BYTES (1280 * 720 * 3 / 2)

_Static_assert(BATCH_FRAMES <= BENCH_STREAMS_MAX, "a stream each");

static const int sizes[BATCH_RUNGS][2] = {{1280, 720}, {854, 480}, {640, 360}, {426, 240}};

struct launches {
    struct bench bench;
    struct resize_params params;
    struct resize *resize;
    /* The same plan for the kernels here. */
    struct resize_plan plan;
    CUdeviceptr plan_block;
    struct resize_picture in[SETS][BATCH_FRAMES], out[SETS][BATCH_FRAMES][BATCH_RUNGS];
    CUmodule module;
    CUfunction one, batch, empty, args; /* one: the library's kernel */
    /* A graph with a node for each frame, and BATCH_FRAMES graphs with one. */
    bench_exec graph, graphs[BATCH_FRAMES];
    bench_node nodes[BATCH_FRAMES], lone[BATCH_FRAMES];
    CUevent ready[BATCH_FRAMES], done; /* without timing */
};

/* ---- ways to queue a tick -------------------------------------------------------------------- */

static void tick_as_now(struct launches *l, int set)
{
    struct error err = {0};
    for (int f = 0; f < BATCH_FRAMES; f++)
        if (resize_launch(l->resize, l->bench.streams[f], &l->in[set][f], l->out[set][f],
                          (1u << BATCH_RUNGS) - 1, &err))
            bench_die("resize_launch", err.text);
}

static unsigned frame_args(const struct launches *l, int set, int frame, struct resize_args *ret,
                           int *ret_shared_bytes)
{
    return resize_plan_args(&l->plan, &l->in[set][frame], l->out[set][frame],
                            (1u << BATCH_RUNGS) - 1, ret, ret_shared_bytes);
}

static struct bench_node_params node_params(CUfunction kernel, unsigned blocks, unsigned frames,
                                            int shared_bytes, void **params)
{
    return (struct bench_node_params){.kernel = kernel,
                                      .grid = {blocks, frames, 1},
                                      .block = {RESIZE_THREADS, 1, 1},
                                      .shared_bytes = (unsigned)shared_bytes,
                                      .params = params};
}

/* Gives a node of a graph the frame's addresses. */
static void set_node(struct launches *l, bench_exec exec, bench_node node, int set, int frame)
{
    struct resize_args args;
    int shared_bytes;
    const unsigned blocks = frame_args(l, set, frame, &args, &shared_bytes);
    void *list[] = {&l->plan_block, &args};
    const struct bench_node_params params = node_params(l->one, blocks, 1, shared_bytes, list);
    bench_check(bench_graphs()->set_kernel(exec, node, &params), "a graph's node");
}

static void tick_graph(struct launches *l, int set)
{
    for (int f = 0; f < BATCH_FRAMES; f++)
        set_node(l, l->graph, l->nodes[f], set, f);
    bench_check(bench_graphs()->launch(l->graph, l->bench.streams[0]), "a graph");
}

static void tick_graphs(struct launches *l, int set)
{
    for (int f = 0; f < BATCH_FRAMES; f++) {
        set_node(l, l->graphs[f], l->lone[f], set, f);
        bench_check(bench_graphs()->launch(l->graphs[f], l->bench.streams[f]), "a graph");
    }
}

/* Addresses that never change would need no new ones for the node: the least a graph can cost. */
static void tick_graph_fixed(struct launches *l, int set)
{
    (void)set;
    bench_check(bench_graphs()->launch(l->graph, l->bench.streams[0]), "a graph");
}

static void tick_batch(struct launches *l, int set)
{
    struct batch_args batch = {0};
    struct resize_args args;
    int shared_bytes = 0;
    unsigned blocks = 0;
    for (int f = 0; f < BATCH_FRAMES; f++) {
        blocks = frame_args(l, set, f, &args, &shared_bytes);
        struct batch_frame *frame = &batch.frames[f];
        memcpy(frame->source, args.source, sizeof(frame->source));
        memcpy(frame->source_pitch, args.source_pitch, sizeof(frame->source_pitch));
        memcpy(frame->rungs, args.rungs, sizeof(frame->rungs));
    }
    batch.entries_count = args.entries_count;
    memcpy(batch.entries, args.entries, sizeof(batch.entries));
    void *params[] = {&l->plan_block, &batch};
    bench_check(l->bench.driver->cuda->cuLaunchKernel(l->batch, blocks, BATCH_FRAMES, 1,
                                                      RESIZE_THREADS, 1, 1, (unsigned)shared_bytes,
                                                      l->bench.streams[0], params, NULL),
                "a batch");
}

/* As it would be: each stream's decoder has its own, so the batch waits for all, and all for it. */
static void tick_batch_joined(struct launches *l, int set)
{
    const struct gpu_driver *driver = l->bench.driver;
    for (int f = 1; f < BATCH_FRAMES; f++) {
        bench_check(driver->cuda->cuEventRecord(l->ready[f], l->bench.streams[f]), "event");
        bench_check(driver->cuStreamWaitEvent(l->bench.streams[0], l->ready[f], 0), "wait");
    }
    tick_batch(l, set);
    bench_check(driver->cuda->cuEventRecord(l->done, l->bench.streams[0]), "event");
    for (int f = 1; f < BATCH_FRAMES; f++)
        bench_check(driver->cuStreamWaitEvent(l->bench.streams[f], l->done, 0), "wait");
}

static void launch_small(struct launches *l, CUfunction kernel, int frame, void **params)
{
    bench_check(l->bench.driver->cuda->cuLaunchKernel(kernel, 1, 1, 1, RESIZE_THREADS, 1, 1, 0,
                                                      l->bench.streams[frame], params, NULL),
                "a launch");
}

static void tick_empty(struct launches *l, int set)
{
    void *params[1] = {NULL};
    (void)set;
    for (int f = 0; f < BATCH_FRAMES; f++)
        launch_small(l, l->empty, f, params);
}

static void tick_args(struct launches *l, int set)
{
    struct resize_args args = {.source = {(uint64_t)set}};
    void *params[] = {&l->plan_block, &args};
    for (int f = 0; f < BATCH_FRAMES; f++)
        launch_small(l, l->args, f, params);
}

static const struct way {
    const char *name;
    bool graphs; /* needed */
    void (*tick)(struct launches *l, int set);
} ways[] = {
    {"as now: 8 launches, 8 streams", false, tick_as_now},
    {"8 graphs of a launch, 8 streams", true, tick_graphs},
    {"1 graph of 8 launches", true, tick_graph},
    {"  the same, addresses never new", true, tick_graph_fixed},
    {"1 launch for 8 frames", false, tick_batch},
    {"  the same, joining 8 streams", false, tick_batch_joined},
    {"8 launches that do nothing", false, tick_empty},
    {"  the same, 800 bytes of arguments", false, tick_args},
};
#define WAYS ((int)(sizeof(ways) / sizeof(ways[0])))

/* ---- opening --------------------------------------------------------------------------------- */

static void load_kernels(struct launches *l)
{
    const struct {
        const char *name;
        CUfunction *ret;
    } kernels[] = {
        {"resize_batch", &l->batch}, {"launch_empty", &l->empty}, {"launch_args", &l->args}};
    const CudaFunctions *cuda = l->bench.driver->cuda;
    struct error err = {0};
    if (gpu_kernel(l->bench.device, "resize", &l->one, &err))
        bench_die("kernels", err.text);
    bench_check(cuda->cuModuleLoadData(&l->module, launches_ptx), "kernels");
    for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
        bench_check(cuda->cuModuleGetFunction(kernels[i].ret, l->module, kernels[i].name),
                    kernels[i].name);
}

static void add_node(struct launches *l, bench_graph graph, int frame, bench_node *ret)
{
    struct resize_args args;
    int shared_bytes;
    const unsigned blocks = frame_args(l, 0, frame, &args, &shared_bytes);
    void *list[] = {&l->plan_block, &args};
    const struct bench_node_params params = node_params(l->one, blocks, 1, shared_bytes, list);
    bench_check(bench_graphs()->add_kernel(ret, graph, NULL, 0, &params), "a graph's node");
}

static void make_graphs(struct launches *l)
{
    const struct bench_graphs *graphs = bench_graphs();
    bench_graph all = NULL;
    if (!graphs)
        return;
    bench_check(graphs->create(&all, 0), "a graph");
    for (int f = 0; f < BATCH_FRAMES; f++) {
        bench_graph one = NULL;
        bench_check(graphs->create(&one, 0), "a graph");
        add_node(l, one, f, &l->lone[f]);
        add_node(l, all, f, &l->nodes[f]);
        bench_check(graphs->instantiate(&l->graphs[f], one, 0), "a graph");
        /* The graph is kept: nodes of what was made from it are named by its own. */
    }
    bench_check(graphs->instantiate(&l->graph, all, 0), "a graph");
}

static void launches_open(struct launches *l, int device)
{
    struct bench *b = &l->bench;
    struct error err = {0};
    bench_open(b, device);
    l->params = (struct resize_params){.width = 1920,
                                       .height = 1080,
                                       .format = RESIZE_NV12,
                                       .siting = {0, 1},
                                       .rungs_count = BATCH_RUNGS};
    for (int r = 0; r < BATCH_RUNGS; r++)
        l->params.rungs[r] = (struct resize_rung){sizes[r][0], sizes[r][1], RESIZE_I420, {0}};
    if (resize_open(&l->resize, b->device, &l->params, &err) ||
        resize_plan_init(&l->plan, &l->params, &err))
        bench_die("the resize", err.text);
    bench_check(b->driver->cuda->cuMemAlloc(&l->plan_block, l->plan.size), "memory");
    bench_check(b->driver->cuda->cuMemcpyHtoDAsync(l->plan_block, l->plan.block, l->plan.size,
                                                   b->streams[0]),
                "copy");
    bench_check(b->driver->cuda->cuStreamSynchronize(b->streams[0]), "copy");
    for (int s = 0; s < SETS; s++)
        for (int f = 0; f < BATCH_FRAMES; f++) {
            l->in[s][f] = surface_new(b, RESIZE_NV12, 1920, 1080, 256, false).device;
            for (int r = 0; r < BATCH_RUNGS; r++)
                l->out[s][f][r] =
                    surface_new(b, RESIZE_I420, sizes[r][0], sizes[r][1], 256, false).device;
        }
    for (int f = 0; f < BATCH_FRAMES; f++)
        bench_check(b->driver->cuda->cuEventCreate(&l->ready[f], CU_EVENT_DISABLE_TIMING), "event");
    bench_check(b->driver->cuda->cuEventCreate(&l->done, CU_EVENT_DISABLE_TIMING), "event");
    load_kernels(l);
    make_graphs(l);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double thread_cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double wall_us(void)
{
    return (double)clock_now_ns() / 1e3;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), by_size);
    return values[count / 2];
}

static void wait_all(const struct launches *l)
{
    for (int s = 0; s < BENCH_STREAMS_MAX; s++)
        bench_check(l->bench.driver->cuda->cuStreamSynchronize(l->bench.streams[s]), "the work");
}

static void measure_way(struct launches *l, const struct way *way)
{
    static double queue[ROUNDS], cpu[ROUNDS], all[ROUNDS], lone[ROUNDS];
    way->tick(l, 0);
    wait_all(l);
    for (int i = 0; i < ROUNDS; i++) {
        double begin = wall_us();
        const double cpu_begin = thread_cpu_us();
        for (int t = 0; t < TICKS; t++)
            way->tick(l, t % SETS);
        cpu[i] = (thread_cpu_us() - cpu_begin) / TICKS / BATCH_FRAMES;
        queue[i] = (wall_us() - begin) / TICKS / BATCH_FRAMES;
        wait_all(l);
        all[i] = (wall_us() - begin) / TICKS / BATCH_FRAMES;
        begin = wall_us();
        way->tick(l, i % SETS);
        wait_all(l);
        lone[i] = wall_us() - begin;
    }
    printf("%-36s %10.2f %10.2f %12.2f %12.1f\n", way->name, median(queue, ROUNDS),
           median(cpu, ROUNDS), median(all, ROUNDS), median(lone, ROUNDS));
}

/* Whether a batch makes the same bytes as the product's launches, of noise. */
static void check_batch(struct launches *l)
{
    struct bench *b = &l->bench;
    const CudaFunctions *cuda = b->driver->cuda;
    const size_t bytes = b->used;
    uint8_t *noise = malloc(bytes), *now = malloc(bytes), *batch = malloc(bytes);
    if (!noise || !now || !batch)
        bench_die("pictures", "out of memory");
    for (size_t i = 0; i < bytes; i++)
        noise[i] = (uint8_t)bench_random(b, 256);
    for (int i = 0; i < 2; i++) {
        bench_check(cuda->cuMemcpyHtoDAsync(b->arena, noise, bytes, b->streams[0]), "copy");
        wait_all(l);
        if (i == 0)
            tick_as_now(l, 0);
        else
            tick_batch(l, 0);
        wait_all(l);
        bench_check(cuda->cuMemcpyDtoHAsync(i ? batch : now, b->arena, bytes, b->streams[0]),
                    "copy");
        wait_all(l);
    }
    const bool same = memcmp(now, batch, bytes) == 0;
    const bool wrote = memcmp(now, noise, bytes) != 0;
    printf("a batch of 8 makes %s bytes as 8 launches%s\n", same ? "the same" : "OTHER",
           wrote ? "" : " (NOTHING WAS WRITTEN)");
    free(noise);
    free(now);
    free(batch);
}

/* ---- single calls ---------------------------------------------------------------------------- */

/* Calls of one kind: host time for each. Frames come down to pinned memory. */
static void measure_calls(struct launches *l)
{
    static const char *const names[] = {"recording an event", "waiting for an event of another",
                                        "a copy of 720p to pinned memory", "a launch as now"};
    const struct gpu_driver *driver = l->bench.driver;
    CUstream stream = l->bench.streams[0];
    void *pinned = NULL;
    double times[ROUNDS];
    struct error err = {0};
    bench_check(driver->cuMemHostAlloc(&pinned, PINNED_BYTES, 0), "pinned memory");
    printf("\n%-36s %10s\n", "one call", "host us");
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < ROUNDS; i++) {
            const double begin = wall_us();
            for (int n = 0; n < CALLS; n++) {
                CUresult result = CUDA_SUCCESS;
                if (kind == 0)
                    result = driver->cuda->cuEventRecord(l->ready[0], stream);
                else if (kind == 1)
                    result = driver->cuStreamWaitEvent(l->bench.streams[1], l->ready[0], 0);
                else if (kind == 2)
                    result = driver->cuda->cuMemcpyDtoHAsync(pinned, l->out[0][0][0].plane[0],
                                                             PINNED_BYTES, stream);
                else if (resize_launch(l->resize, stream, &l->in[0][0], l->out[0][0],
                                       (1u << BATCH_RUNGS) - 1, &err))
                    bench_die("resize_launch", err.text);
                bench_check(result, names[kind]);
            }
            times[i] = (wall_us() - begin) / CALLS;
            wait_all(l);
        }
        printf("%-36s %10.2f\n", names[kind], median(times, ROUNDS));
    }
    driver->cuMemFreeHost(pinned);
}

/* ---- several threads ------------------------------------------------------------------------- */

struct thread {
    struct launches *launches;
    int index;
    double wall_us, cpu_us; /* medians of a launch */
    pthread_t thread;
};

/* A thread of a stream of its own, as a job's is: a few launches, then it waits for them. */
static void *thread_main(void *opaque)
{
    struct thread *t = opaque;
    struct launches *l = t->launches;
    struct error err = {0};
    double wall[ROUNDS], cpu[ROUNDS];
    if (gpu_enter(l->bench.device, &err))
        bench_die("gpu_enter", err.text);
    for (int i = 0; i < ROUNDS; i++) {
        const double wall_begin = wall_us(), cpu_begin = thread_cpu_us();
        for (int n = 0; n < TICKS; n++)
            if (resize_launch(l->resize, l->bench.streams[t->index], &l->in[n % SETS][t->index],
                              l->out[n % SETS][t->index], (1u << BATCH_RUNGS) - 1, &err))
                bench_die("resize_launch", err.text);
        wall[i] = (wall_us() - wall_begin) / TICKS;
        cpu[i] = (thread_cpu_us() - cpu_begin) / TICKS;
        bench_check(l->bench.driver->cuda->cuStreamSynchronize(l->bench.streams[t->index]), "work");
    }
    t->wall_us = median(wall, ROUNDS);
    t->cpu_us = median(cpu, ROUNDS);
    gpu_leave(l->bench.device);
    return NULL;
}

static void measure_threads(struct launches *l)
{
    printf("\n%-36s %10s %10s\n", "launches as now, threads at a time", "wall us", "CPU us");
    for (int count = 1; count <= BENCH_STREAMS_MAX; count *= 2) {
        struct thread threads[BENCH_STREAMS_MAX];
        double wall = 0, cpu = 0;
        for (int i = 0; i < count; i++) {
            threads[i] = (struct thread){.launches = l, .index = i};
            if (pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]) != 0)
                bench_die("threads", "cannot be started");
        }
        for (int i = 0; i < count; i++) {
            pthread_join(threads[i].thread, NULL);
            wall += threads[i].wall_us / count;
            cpu += threads[i].cpu_us / count;
        }
        printf("%-36d %10.2f %10.2f\n", count, wall, cpu);
    }
}

/* ---------------------------------------------------------------------------------------------- */

static void launches_close(struct launches *l)
{
    const CudaFunctions *cuda = l->bench.driver->cuda;
    const struct bench_graphs *graphs = bench_graphs();
    for (int f = 0; f < BATCH_FRAMES; f++) {
        cuda->cuEventDestroy(l->ready[f]);
        if (graphs)
            graphs->exec_destroy(l->graphs[f]);
    }
    if (graphs)
        graphs->exec_destroy(l->graph);
    cuda->cuEventDestroy(l->done);
    cuda->cuModuleUnload(l->module);
    cuda->cuMemFree(l->plan_block);
    resize_plan_done(&l->plan);
    resize_close(&l->resize);
    bench_close(&l->bench);
}

int main(int argc, char **argv)
{
    static struct launches l = {.bench.seed = 1};
    const int device = argc > 1 ? atoi(argv[1]) : 0;
    if (device < 0 || argc > 2) {
        fprintf(stderr, "usage: %s [DEVICE]\n", argv[0]);
        return 2;
    }
    launches_open(&l, device);
    check_batch(&l);
    printf(
        "\nMedians. Queueing and both: microseconds a frame, %d ticks of %d frames at once; one "
        "tick: from its\nfirst call until all its frames are done.\n\n%-36s %10s %10s %12s %12s\n",
        TICKS, BATCH_FRAMES, "", "queueing", "CPU time", "queue + GPU", "one tick us");
    for (int i = 0; i < WAYS; i++)
        if (!ways[i].graphs || bench_graphs())
            measure_way(&l, &ways[i]);
    measure_calls(&l);
    measure_threads(&l);
    launches_close(&l);
    return 0;
}

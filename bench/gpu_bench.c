#include "gpu_bench.h"

#include <dlfcn.h>

#include "gpu/stream.h"
#include "gpu/symbols.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CAPTURE_RELAXED 2 /* CU_STREAM_CAPTURE_MODE_RELAXED */

void bench_check(CUresult result, const char *what)
{
    struct error err = {0};
    if (result != CUDA_SUCCESS) {
        gpu_error(&err, result, what);
        bench_die("error", err.text);
    }
}

uint32_t bench_random(struct bench *b, uint32_t limit)
{
    b->seed = b->seed * 1664525 + 1013904223;
    return (b->seed >> 8) % limit;
}

/* ---- device ---------------------------------------------------------------------------------- */

void bench_open(struct bench *b, int index)
{
    struct error err = {0};
    if (gpu_list(NULL, 0) == 0) {
        gpu_driver(&b->driver, &err);
        fprintf(stderr, "skipped: %s\n", err.text);
        exit(BENCH_SKIPPED);
    }
    if (gpu_open(&b->device, index, &err) || gpu_enter(b->device, &err))
        bench_die("gpu_open", err.text);
    b->driver = gpu_device_driver(b->device);
    const CudaFunctions *cuda = b->driver->cuda;
    bench_check(cuda->cuMemAlloc(&b->arena, BENCH_ARENA_BYTES), "memory");
    bench_check(cuda->cuEventCreate(&b->begin, 0), "event");
    bench_check(cuda->cuEventCreate(&b->end, 0), "event");
    int rc = gpu_event_new(b->device, &b->forked, &err);
    for (int i = 0; rc == 0 && i < BENCH_STREAMS_MAX; i++) {
        rc = gpu_stream_new(b->device, &b->streams[i], &err);
        if (rc == 0)
            rc = gpu_event_new(b->device, &b->joined[i], &err);
    }
    if (rc != 0)
        bench_die("streams", err.text);
    const struct gpu_info *info = gpu_device_info(b->device);
    printf("%s, %d multiprocessors, seed %u\n", info->name, info->multiprocessors, b->seed);
}

void bench_close(struct bench *b)
{
    const CudaFunctions *cuda = b->driver->cuda;
    for (int i = 0; i < BENCH_STREAMS_MAX; i++) {
        gpu_event_free(b->device, &b->joined[i]);
        gpu_stream_free(b->device, &b->streams[i]);
    }
    gpu_event_free(b->device, &b->forked);
    cuda->cuEventDestroy(b->begin);
    cuda->cuEventDestroy(b->end);
    cuda->cuMemFree(b->arena);
    gpu_leave(b->device);
    gpu_close(&b->device);
}

/* ---- pictures -------------------------------------------------------------------------------- */

struct surface surface_new(struct bench *b, enum resize_format format, int width, int height,
                           int align, bool host)
{
    const bool words = format == RESIZE_P010 || format == RESIZE_I420P10;
    const bool paired = format == RESIZE_NV12 || format == RESIZE_P010;
    struct surface s = {0};
    size_t at[3] = {0};
    for (int p = 0; p < (paired ? 2 : 3); p++) {
        const int columns = !p ? width : (width + 1) / 2 * (paired ? 2 : 1);
        const int lines = p ? (height + 1) / 2 : height;
        const int pitch = ((columns << words) + align - 1) / align * align;
        at[p] = s.bytes;
        s.device.pitch[p] = s.host.pitch[p] = pitch;
        s.bytes += ((size_t)pitch * (size_t)lines + 255) / 256 * 256;
    }
    if (b->used + s.bytes > BENCH_ARENA_BYTES)
        bench_die("pictures", "they do not fit the memory kept for them");
    s.memory = host ? calloc(1, s.bytes) : NULL;
    if (host && !s.memory)
        bench_die("pictures", "out of memory");
    for (int p = 0; p < (paired ? 2 : 3); p++) {
        s.device.plane[p] = b->arena + b->used + at[p];
        s.host.plane[p] = host ? (uint64_t)(uintptr_t)(s.memory + at[p]) : 0;
    }
    b->used += s.bytes;
    return s;
}

void surface_upload(struct bench *b, const struct surface *s)
{
    const CudaFunctions *cuda = b->driver->cuda;
    bench_check(cuda->cuMemcpyHtoDAsync(s->device.plane[0], s->memory, s->bytes, b->streams[0]),
                "copy to the GPU");
    bench_check(cuda->cuStreamSynchronize(b->streams[0]), "copy to the GPU");
}

void surface_download(struct bench *b, const struct surface *s, uint8_t *ret)
{
    const CudaFunctions *cuda = b->driver->cuda;
    bench_check(cuda->cuMemcpyDtoHAsync(ret, s->device.plane[0], s->bytes, b->streams[0]),
                "copy to the host");
    bench_check(cuda->cuStreamSynchronize(b->streams[0]), "copy to the host");
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Work on all streams between that what is queued to the first one before and after. */
static void fork_and_join(struct bench *b, int streams, int count, bench_work *work, void *opaque)
{
    const struct gpu_driver *driver = b->driver;
    if (streams > 1)
        bench_check(driver->cuda->cuEventRecord(b->forked, b->streams[0]), "event");
    for (int s = 1; s < streams; s++)
        bench_check(driver->cuStreamWaitEvent(b->streams[s], b->forked, 0), "wait");
    for (int n = 0; n < count; n++)
        work(opaque, n % streams, n);
    for (int s = 1; s < streams; s++) {
        bench_check(driver->cuda->cuEventRecord(b->joined[s], b->streams[s]), "event");
        bench_check(driver->cuStreamWaitEvent(b->streams[0], b->joined[s], 0), "wait");
    }
}

/* Waits for the end; microseconds since the beginning for each of `count`. */
static double elapsed_us(struct bench *b, int count)
{
    const CudaFunctions *cuda = b->driver->cuda;
    float ms = 0;
    bench_check(cuda->cuEventRecord(b->end, b->streams[0]), "event");
    bench_check(cuda->cuStreamSynchronize(b->streams[0]), "the measured work");
    bench_check(b->driver->cuEventElapsedTime(&ms, b->begin, b->end), "time");
    return (double)ms * 1000 / count;
}

double bench_queue(struct bench *b, int streams, int count, bench_work *work, void *opaque)
{
    bench_check(b->driver->cuda->cuEventRecord(b->begin, b->streams[0]), "event");
    fork_and_join(b, streams, count, work, opaque);
    return elapsed_us(b, count);
}

const struct bench_graphs *bench_graphs(void)
{
    static const struct symbol symbols[] = {
        {"cuStreamBeginCapture_v2", offsetof(struct bench_graphs, begin)},
        {"cuStreamEndCapture", offsetof(struct bench_graphs, end)},
        {"cuGraphCreate", offsetof(struct bench_graphs, create)},
        {"cuGraphAddKernelNode", offsetof(struct bench_graphs, add_kernel)},
        {"cuGraphInstantiateWithFlags", offsetof(struct bench_graphs, instantiate)},
        {"cuGraphExecKernelNodeSetParams", offsetof(struct bench_graphs, set_kernel)},
        {"cuGraphLaunch", offsetof(struct bench_graphs, launch)},
        {"cuGraphDestroy", offsetof(struct bench_graphs, destroy)},
        {"cuGraphExecDestroy", offsetof(struct bench_graphs, exec_destroy)},
    };
    static struct bench_graphs graphs;
    static bool loaded, complete;
    if (!loaded) {
        void *library = dlopen("libcuda.so.1", RTLD_LAZY);
        complete = library && !symbols_load(library, symbols, COUNT_OF(symbols), &graphs);
        loaded = true;
    }
    return complete ? &graphs : NULL;
}

double bench_replay(struct bench *b, int streams, int count, int rounds, bench_work *work,
                    void *opaque)
{
    const struct bench_graphs *graphs = bench_graphs();
    bench_graph graph = NULL;
    bench_exec exec = NULL;
    if (!graphs || graphs->begin(b->streams[0], CAPTURE_RELAXED) != CUDA_SUCCESS)
        return -1;
    fork_and_join(b, streams, count, work, opaque);
    if (graphs->end(b->streams[0], &graph) != CUDA_SUCCESS || !graph)
        return -1;
    bench_check(graphs->instantiate(&exec, graph, 0), "a graph");
    double best = -1;
    for (int i = 0; i <= rounds; i++) {
        bench_check(b->driver->cuda->cuEventRecord(b->begin, b->streams[0]), "event");
        bench_check(graphs->launch(exec, b->streams[0]), "a graph");
        const double us = elapsed_us(b, count);
        if (i > 0) /* the first one warms up */
            best = best < 0 || us < best ? us : best;
    }
    graphs->exec_destroy(exec);
    graphs->destroy(graph);
    return best;
}

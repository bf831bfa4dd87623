/* What the programs that measure on a GPU share: the device with memory, streams and events, which
 * pictures take turns, and time of the GPU, with and without CUDA graphs.
 *
 * Whatever fails ends the program; where there is no device, with BENCH_SKIPPED. Threads: one.
 * Memory: pictures lie in one block, BENCH_ARENA_BYTES, which is used up from the front. */
#ifndef BENCH_GPU_BENCH_H
#define BENCH_GPU_BENCH_H

#include <stdio.h>
#include <stdlib.h>

#include "gpu/resize.h"

#define BENCH_ARENA_BYTES ((size_t)768 << 20)
#define BENCH_STREAMS_MAX 8
#define BENCH_SKIPPED 77 /* exit code where there is no device */

struct bench {
    struct gpu_device *device;
    const struct gpu_driver *driver;
    CUdeviceptr arena;
    size_t used; /* of the arena */
    CUstream streams[BENCH_STREAMS_MAX];
    CUevent begin, end, forked, joined[BENCH_STREAMS_MAX];
    uint32_t seed;
};

/* Opens the device and makes its context this thread's. */
void bench_open(struct bench *b, int index);
void bench_close(struct bench *b);

/* Prints and ends the program. In the header, so that checkers see that it does. */
_Noreturn static inline void bench_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

void bench_check(CUresult result, const char *what);
uint32_t bench_random(struct bench *b, uint32_t limit);

/* A picture on the device and, where asked for, one like it on the host. */
struct surface {
    struct resize_picture device, host;
    size_t bytes;    /* of all planes */
    uint8_t *memory; /* the host's; the caller's, to be freed; or NULL */
};

struct surface surface_new(struct bench *b, enum resize_format format, int width, int height,
                           int align, bool host);
void surface_upload(struct bench *b, const struct surface *s);
void surface_download(struct bench *b, const struct surface *s, uint8_t *ret);

/* Queues one piece of work, the `n`th, to a stream of the bench. */
typedef void bench_work(void *opaque, int stream, int n);

/* Queues pieces of work to the streams in turn; gives microseconds of the GPU for each. */
double bench_queue(struct bench *b, int streams, int count, bench_work *work, void *opaque);

/* ---- CUDA graphs ----------------------------------------------------------------------------- */

typedef struct bench_graph_st *bench_graph;
typedef struct bench_exec_st *bench_exec;
typedef struct bench_node_st *bench_node;

/* As the driver has it (the first version of CUDA_KERNEL_NODE_PARAMS). */
struct bench_node_params {
    CUfunction kernel;
    unsigned grid[3], block[3], shared_bytes;
    void **params, **extra;
};

/* Entry points that ffnvcodec's table lacks. */
struct bench_graphs {
    CUresult(CUDAAPI *begin)(CUstream stream, int mode);
    CUresult(CUDAAPI *end)(CUstream stream, bench_graph *ret);
    CUresult(CUDAAPI *create)(bench_graph *ret, unsigned flags);
    CUresult(CUDAAPI *add_kernel)(bench_node *ret, bench_graph graph, const bench_node *after,
                                  size_t after_count, const struct bench_node_params *params);
    CUresult(CUDAAPI *instantiate)(bench_exec *ret, bench_graph graph, unsigned long long flags);
    CUresult(CUDAAPI *set_kernel)(bench_exec exec, bench_node node,
                                  const struct bench_node_params *params);
    CUresult(CUDAAPI *launch)(bench_exec exec, CUstream stream);
    CUresult(CUDAAPI *destroy)(bench_graph graph);
    CUresult(CUDAAPI *exec_destroy)(bench_exec exec);
};

/* NULL: the driver is too old for them. */
const struct bench_graphs *bench_graphs(void);

/* The same work as bench_queue's, captured into a graph that runs `rounds` times: microseconds of
 * the GPU for each piece, the best round's, without what the launches cost. Below 0: the work
 * cannot be captured. */
double bench_replay(struct bench *b, int streams, int count, int rounds, bench_work *work,
                    void *opaque);

#endif

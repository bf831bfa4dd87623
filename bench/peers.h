/* Others' ways to make a ladder of NV12 pictures on a GPU, as this library's resize is asked to:
 * NVIDIA's NPP, called as a published design of a transcoding service does it (each rung: U and V
 * taken apart, three resizes by NPPI_INTER_CUBIC, U and V put together: 5 launches), and FFmpeg's
 * own kernels of scale_cuda (two launches a rung), from their PTX text.
 *
 * Neither is needed to build: NPP's libraries are loaded where they are found, the PTX is a file.
 *
 * Threads: one. Memory: on the device, from the bench's. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "gpu_bench.h"

#define PEER_SURFACES 16 /* that take turns: more than the L2 holds */
#define PEER_RUNGS 4

struct npp;
struct scale_cuda;

/* What all make: the source's surfaces, and for each one those of the rungs. */
struct peer_job {
    struct bench *bench;
    int width, height;
    int sizes[PEER_RUNGS][2];
    struct surface in[PEER_SURFACES], out[PEER_SURFACES][PEER_RUNGS];
};

/* NULL, and what is missing is printed: there is no NPP. */
struct npp *npp_open(const struct peer_job *job);
void npp_close(struct npp *npp); /* takes NULL */

/* Queues what fills the rungs of surface n. `once`: U and V of the source are taken apart once a
 * frame, not once a rung. */
void npp_frame(struct npp *npp, int stream, int n, bool once);

struct scale_cuda *scale_cuda_open(const struct peer_job *job, const char *ptx_path);
void scale_cuda_close(struct scale_cuda *scale); /* takes NULL */
void scale_cuda_frame(struct scale_cuda *scale, int stream, int n);

#endif

/* Kernels that are measured only: the resize for several pictures at once, and nothing at all. */
#include "resize.cu"
#include "launches.h"

__device__ static inline unsigned block_y()
{
    return __nvvm_read_ptx_sreg_ctaid_y();
}

extern "C" __global__ void launch_empty()
{
}

extern "C" __global__ void launch_args(const uint8_t *, const struct resize_args)
{
}

extern "C" __global__ __launch_bounds__(RESIZE_THREADS,
                                        8) void resize_batch(const uint8_t *plan,
                                                             const struct batch_args args)
{
    unsigned e = 0;
    while (block_x() >= args.entries[e].end)
        e++;
    const struct resize_header *header = (const struct resize_header *)plan;
    const struct resize_tile tile = ((
        const struct resize_tile *)(plan + header->tiles))[(int)block_x() + args.entries[e].shift];
    const struct resize_job *job = (const struct resize_job *)(plan + header->jobs) + tile.job;
    const int64_t pitch = args.frames[block_y()].source_pitch[job->chroma];
    const uint8_t *source =
        (const uint8_t *)args.frames[block_y()].source[job->chroma] + job->field * pitch;
    const uint32_t middles =
        shared_address(shared) + job->stage_rows * tile.chunks * RESIZE_CHUNK_BYTES;
    if (job->pairs)
        make_middles(plan, job, &tile, source, pitch * job->fields, middles);
    write_tile(plan, job, &tile, middles, &args.frames[block_y()].rungs[job->rung]);
}

/* The resize kernel: a thread block makes a tile of a job (see resize_core.h).
 *
 * Shared memory holds staged source lines and middles. Staged lines are bytes of one kind each: U
 * and V apart, and of 16-bit words the lower and the upper bytes, so that dp2a takes them as they
 * are. The same word (4 bytes) of 4 lines lies together, hence one load gives a thread its column
 * of 4 lines. Middles lie as pairs of rows: both lower bytes, then both upper ones. */
#include "cuda.h"
#include "resize_core.h"

#define WARP_LANES 32
#define WARPS (RESIZE_THREADS / WARP_LANES)

typedef __attribute__((address_space(1))) uint8_t global_u8;
typedef __attribute__((address_space(1))) uint16_t global_u16;
typedef __attribute__((address_space(1))) uint32_t global_u32;
typedef __attribute__((address_space(1))) uint2 global_u32x2;

extern __shared__ __attribute__((aligned(16))) uint4 shared[];

/* A tile's source lines as they are staged. */
struct stage {
    int words;      /* of a line */
    int kind_bytes; /* of all lines of one kind of byte */
    int chunks;     /* of a line */
};

/* Stores a chunk of one line, of which `to` is the place. The order of words differs between lanes
 * so that none meet in a bank. */
template <int KINDS>
__device__ static inline void stage_chunk(uint32_t to, int kind_bytes, int lane, uint4 v)
{
    if (KINDS == 1) {
        int k = lane >> 3 & 3;
        v = k & 1 ? v.yxwz : v;
        v = k & 2 ? v.zwxy : v;
        store_shared_u32(to + 16 * k, v.x);
        store_shared_u32(to + 16 * (k ^ 1), v.y);
        store_shared_u32(to + 16 * (k ^ 2), v.z);
        store_shared_u32(to + 16 * (k ^ 3), v.w);
    } else if (KINDS == 2) {
        int k = lane >> 4;
        v = k ? v.zwxy : v;
        store_shared_u32(to + 16 * k, bytes(v.x, v.y, 0x6420));
        store_shared_u32(to + 16 * (k ^ 1), bytes(v.z, v.w, 0x6420));
        store_shared_u32(to + 16 * k + kind_bytes, bytes(v.x, v.y, 0x7531));
        store_shared_u32(to + 16 * (k ^ 1) + kind_bytes, bytes(v.z, v.w, 0x7531));
    } else {
        uint32_t a = bytes(v.x, v.y, 0x5140);
        uint32_t b = bytes(v.z, v.w, 0x5140);
        store_shared_u32(to, bytes(a, b, 0x5410));
        store_shared_u32(to + kind_bytes, bytes(a, b, 0x7632));
        a = bytes(v.x, v.y, 0x7362);
        b = bytes(v.z, v.w, 0x7362);
        store_shared_u32(to + 2 * kind_bytes, bytes(a, b, 0x5410));
        store_shared_u32(to + 3 * kind_bytes, bytes(a, b, 0x7632));
    }
}

/* Stages `rows` lines from `row` on. What lies beyond the picture is under weights of 0: any line
 * and any chunk will do. */
template <int KINDS>
__device__ static inline void stage_lines(uint32_t to, const struct stage &stage,
                                          const uint8_t *source, int64_t pitch, int row, int rows,
                                          int last_row, int chunk, int last_chunk)
{
    const int lane = (int)thread_x() % WARP_LANES;
    const int line = lane & 3;
    for (int quad = (int)thread_x() / WARP_LANES; quad < rows / 4; quad += WARPS) {
        int y = row + 4 * quad + line;
        const uint8_t *from = source + (y < last_row ? y : last_row) * pitch;
        const uint32_t quad_to = to + 16 * quad * stage.words + 4 * line;
        for (int c = lane >> 2; c < stage.chunks; c += WARP_LANES / 4) {
            int at = chunk + c < last_chunk ? chunk + c : last_chunk;
            uint4 v = load_u32x4(from + at * RESIZE_CHUNK_BYTES);
            stage_chunk<KINDS>(quad_to + c * (64 / KINDS), stage.kind_bytes, lane, v);
        }
    }
}

struct across {
    uint32_t lines;         /* staged, of the thread's column; in shared memory */
    uint32_t middles;       /* of the thread's column; in shared memory */
    const uint8_t *weights; /* of the thread's column */
    int weights_pitch;      /* bytes */
    int middles_pitch;      /* bytes of a pair of rows */
    int quad_bytes;         /* of 4 staged lines of one kind of byte */
    int kind_bytes;         /* of all staged ones */
    int groups;             /* of weights */
    int batches, step;      /* of lines; the thread takes every step'th */
};

/* Adds words of 8 lines under a filter of 4 weights. */
__device__ static inline void add_lines(int *sum, uint2 weights, uint4 a, uint4 b)
{
    sum[0] = dot2_high(weights.y, a.x, dot2_low(weights.x, a.x, sum[0]));
    sum[1] = dot2_high(weights.y, a.y, dot2_low(weights.x, a.y, sum[1]));
    sum[2] = dot2_high(weights.y, a.z, dot2_low(weights.x, a.z, sum[2]));
    sum[3] = dot2_high(weights.y, a.w, dot2_low(weights.x, a.w, sum[3]));
    sum[4] = dot2_high(weights.y, b.x, dot2_low(weights.x, b.x, sum[4]));
    sum[5] = dot2_high(weights.y, b.y, dot2_low(weights.x, b.y, sum[5]));
    sum[6] = dot2_high(weights.y, b.z, dot2_low(weights.x, b.z, sum[6]));
    sum[7] = dot2_high(weights.y, b.w, dot2_low(weights.x, b.w, sum[7]));
}

/* Sums of 8 lines to 4 pairs of middles. */
template <bool DEEP>
__device__ static inline void put_middles(uint32_t to, int pitch, const int *sum)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        uint32_t even = (uint32_t)resize_middle(sum[2 * i], DEEP);
        uint32_t odd = (uint32_t)resize_middle(sum[2 * i + 1], DEEP);
        store_shared_u32(to, bytes(even, odd, 0x5140));
        to += pitch;
    }
}

/* Filters staged lines of bytes across, with all weights of the column in registers. For few: more
 * would spill. */
template <int COUNT>
__device__ static inline void filter_across(const struct across &job, int batch)
{
    uint2 weights[COUNT];
#pragma unroll
    for (int g = 0; g < COUNT; g++)
        weights[g] = load_u32x2(job.weights + g * job.weights_pitch);
    for (; batch < job.batches; batch += job.step) {
        uint32_t a = job.lines + 2 * batch * job.quad_bytes;
        uint32_t b = a + job.quad_bytes;
        int sum[8] = {0};
#pragma unroll
        for (int g = 0; g < COUNT; g++)
            add_lines(sum, weights[g], load_shared_u32x4(a + 16 * g),
                      load_shared_u32x4(b + 16 * g));
        put_middles<false>(job.middles + 4 * batch * job.middles_pitch, job.middles_pitch, sum);
    }
}

/* The same for any number of weights, and with DEEP for words. */
template <bool DEEP>
__device__ static inline void filter_wide_across(const struct across &job, int batch)
{
    for (; batch < job.batches; batch += job.step) {
        uint32_t a = job.lines + 2 * batch * job.quad_bytes;
        uint32_t b = a + job.quad_bytes;
        const uint8_t *weights = job.weights;
        int sum[8] = {0};
        int upper[8] = {0};
        for (int g = 0; g < job.groups; g++) {
            uint2 w = load_u32x2(weights);
            weights += job.weights_pitch;
            add_lines(sum, w, load_shared_u32x4(a), load_shared_u32x4(b));
            if (DEEP)
                add_lines(upper, w, load_shared_u32x4(a + job.kind_bytes),
                          load_shared_u32x4(b + job.kind_bytes));
            a += 16;
            b += 16;
        }
        if (DEEP)
#pragma unroll
            for (int i = 0; i < 8; i++)
                sum[i] += upper[i] * 256;
        put_middles<DEEP>(job.middles + 4 * batch * job.middles_pitch, job.middles_pitch, sum);
    }
}

__device__ static inline void filter_lines(const struct across &job, int batch, bool deep)
{
    if (deep)
        return filter_wide_across<true>(job, batch);
    switch (job.groups) {
    case 1:
        return filter_across<1>(job, batch);
    case 2:
        return filter_across<2>(job, batch);
    case 3:
        return filter_across<3>(job, batch);
    case 4:
        return filter_across<4>(job, batch);
    default:
        return filter_wide_across<false>(job, batch);
    }
}

/* Adds up 4 columns of a row of the output, the middles' lower and upper bytes apart. */
__device__ static inline void filter_down(uint32_t middles, int pitch, const uint8_t *weights,
                                          int pairs, int *sum)
{
    int high[4] = {0};
    for (int p = 0; p < pairs; p += 2) {
        uint2 w = load_u32x2(weights + 4 * p);
        uint4 a = load_shared_u32x4(middles);
        uint4 b = load_shared_u32x4(middles + pitch);
        middles += 2 * pitch;
        sum[0] = dot2_low(w.y, b.x, dot2_low(w.x, a.x, sum[0]));
        sum[1] = dot2_low(w.y, b.y, dot2_low(w.x, a.y, sum[1]));
        sum[2] = dot2_low(w.y, b.z, dot2_low(w.x, a.z, sum[2]));
        sum[3] = dot2_low(w.y, b.w, dot2_low(w.x, a.w, sum[3]));
        high[0] = dot2_high_signed(w.y, b.x, dot2_high_signed(w.x, a.x, high[0]));
        high[1] = dot2_high_signed(w.y, b.y, dot2_high_signed(w.x, a.y, high[1]));
        high[2] = dot2_high_signed(w.y, b.z, dot2_high_signed(w.x, a.z, high[2]));
        high[3] = dot2_high_signed(w.y, b.w, dot2_high_signed(w.x, a.w, high[3]));
    }
    for (int i = 0; i < 4; i++)
        sum[i] += high[i] * 256;
}

/* Writes the first `count` of 4 samples. */
__device__ static inline void store_samples(uint64_t to, const unsigned *v, int count, bool words)
{
    if (words) {
        if (count >= 4 && to % 8 == 0) {
            uint2 pair = {v[0] | v[1] << 16, v[2] | v[3] << 16};
            *(global_u32x2 *)to = pair;
            return;
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (i < count)
                ((global_u16 *)to)[i] = (uint16_t)v[i];
        return;
    }
    if (count >= 4 && to % 4 == 0) {
        *(global_u32 *)to = v[0] | v[1] << 8 | v[2] << 16 | v[3] << 24;
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i < count)
            ((global_u8 *)to)[i] = (uint8_t)v[i];
}

/* Filters the tile's middles down and writes it. */
__device__ static inline void write_tile(const uint8_t *plan, const struct resize_job *job,
                                         const struct resize_tile *tile, uint32_t middles,
                                         const struct resize_target *target)
{
    const int lanes_log2 = job->tile_columns_log2 + job->components - 1;
    const int lane = 4 * ((int)thread_x() & ((1 << lanes_log2) / 4 - 1));
    const bool paired = job->paired;
    const int component = paired ? 0 : lane >> job->tile_columns_log2;
    const int column = paired ? lane / 2 : lane & ((1 << job->tile_columns_log2) - 1);
    if (tile->x + column >= job->width)
        return;
    const int left = job->width - tile->x - column;
    const int count = paired ? 2 * left : left;
    const int plane = job->chroma + component;
    const int pitch = target->pitch[plane];
    const int x = (job->x + tile->x + column) << paired << job->out_words;
    const uint64_t to =
        target->plane[plane] + (uint64_t)x +
        (uint64_t)((int64_t)(job->fields * (job->y + tile->y) + job->field) * pitch);
    const int pairs = job->pairs;
    const bool words = job->out_words;
    const struct resize_output out = job->out;
    const int64_t step = (int64_t)job->fields * pitch;
    const int src_pair = tile->src_pair;
    const uint8_t *firsts = plan + job->first_row;
    const uint8_t *weights = plan + job->weights_down;
    int rows = job->height - tile->y;
    rows = rows < job->tile_rows ? rows : job->tile_rows;
    for (int r = (int)thread_x() >> (lanes_log2 - 2); r < rows;
         r += RESIZE_THREADS >> (lanes_log2 - 2)) {
        const int y = tile->y + r;
        int sum[4] = {0};
        if (pairs) {
            int first = load_u16(firsts + 2 * y) - src_pair;
            filter_down(middles + 4 * ((first << lanes_log2) + lane), 4 << lanes_log2,
                        weights + 4 * (y * pairs), pairs, sum);
        }
        unsigned v[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[i] = resize_sample(
                &out, sum[i] + resize_bias(&out, tile->x + column + (paired ? i / 2 : i), y));
        store_samples(to + (uint64_t)(r * step), v, count, words);
    }
}

/* Stages the tile's lines and filters them across. */
__device__ static inline void make_middles(const uint8_t *plan, const struct resize_job *job,
                                           const struct resize_tile *tile, const uint8_t *source,
                                           int64_t pitch, uint32_t middles)
{
    const bool deep = job->deep;
    const int kinds = job->components << deep;
    const int stage_rows = job->stage_rows;
    const int words = tile->chunks * (4 / kinds);
    const struct stage stage = {words, 4 * stage_rows * words, tile->chunks};
    const uint32_t lines = shared_address(shared);
    const int lanes_log2 = job->tile_columns_log2 + job->components - 1;
    const int lane = (int)thread_x() & ((1 << lanes_log2) - 1);
    const int component = job->paired ? lane & 1 : lane >> job->tile_columns_log2;
    const int column =
        tile->x + (job->paired ? lane / 2 : lane & ((1 << job->tile_columns_log2) - 1));
    const int first =
        load_u16(plan + job->first_column + 2 * column) - tile->src_chunk * (4 / kinds);
    struct across across = {
        lines + (component << deep) * stage.kind_bytes + 16 * first,
        middles + 4 * lane,
        plan + job->weights_across + 8 * column,
        8 * job->columns_pitch,
        4 << lanes_log2,
        16 * words,
        stage.kind_bytes,
        job->groups,
        0,
        RESIZE_THREADS >> lanes_log2,
    };
    const int src_row = 2 * tile->src_pair;
    const int src_chunk = tile->src_chunk;
    const int rows = tile->rows;
    const int last_row = job->src_rows - 1;
    const int last_chunk = job->src_chunks - 1;
    for (int row = 0; row < rows; row += stage_rows) {
        const int count = rows - row < stage_rows ? rows - row : stage_rows;
        if (row > 0)
            sync_threads();
        if (kinds == 1)
            stage_lines<1>(lines, stage, source, pitch, src_row + row, count, last_row, src_chunk,
                           last_chunk);
        else if (kinds == 2)
            stage_lines<2>(lines, stage, source, pitch, src_row + row, count, last_row, src_chunk,
                           last_chunk);
        else
            stage_lines<4>(lines, stage, source, pitch, src_row + row, count, last_row, src_chunk,
                           last_chunk);
        sync_threads();
        across.batches = count / RESIZE_BATCH_LINES;
        filter_lines(across, (int)thread_x() >> lanes_log2, deep);
        across.middles += stage_rows / 2 * across.middles_pitch;
    }
    sync_threads();
}

extern "C" __global__
__launch_bounds__(RESIZE_THREADS, 8) void resize(const uint8_t *plan, const struct resize_args args)
{
    unsigned e = 0;
    while (block_x() >= args.entries[e].end)
        e++;
    const struct resize_header *header = (const struct resize_header *)plan;
    const struct resize_tile tile = ((
        const struct resize_tile *)(plan + header->tiles))[(int)block_x() + args.entries[e].shift];
    const struct resize_job *job = (const struct resize_job *)(plan + header->jobs) + tile.job;
    const int64_t pitch = args.source_pitch[job->chroma];
    const uint8_t *source = (const uint8_t *)args.source[job->chroma] + job->field * pitch;
    /* Staged lines come first, then middles. */
    const uint32_t middles =
        shared_address(shared) + job->stage_rows * tile.chunks * RESIZE_CHUNK_BYTES;
    if (job->pairs)
        make_middles(plan, job, &tile, source, pitch * job->fields, middles);
    write_tile(plan, job, &tile, middles, &args.rungs[job->rung]);
}

/* What the resize kernel and its twin on the host share: the plan's layout and the arithmetic.
 *
 * A plan is one block of memory with offsets in it, the same on the device and on the host: jobs
 * (one plane of one field of one rung), the tiles they are cut into, and the filters' tables. A
 * thread block makes one tile: it takes the source's lines, filters them across into 16-bit
 * middles, and filters those down. All sums are of whole numbers below 2^31, so that their order
 * does not matter.
 *
 * Samples: a source of 8 bits counts as it is, one of 10 bits as the 16-bit word that holds it, 10
 * bits at the top. A middle has 14 bits for either (and a sign and one more bit, for Catmull-Rom
 * overshoots by up to 1/8 of the range).
 *
 * Compiled as C and as CUDA C++. Threads: pure functions. */
#ifndef GPU_KERNELS_RESIZE_CORE_H
#define GPU_KERNELS_RESIZE_CORE_H

#include <stdint.h>

#ifdef __CUDA__
#define RESIZE_FN static __attribute__((device)) inline
#else
#define RESIZE_FN static inline
#endif

#define RESIZE_THREADS 128    /* of a block */
#define RESIZE_LANES 64       /* the most columns of a tile, those of U and V together */
#define RESIZE_BATCH_LINES 8  /* source lines that a thread filters across at a time */
#define RESIZE_CHUNK_BYTES 16 /* of a source line, read at once */
#define RESIZE_ENTRIES_MAX 16 /* rungs of a launch */
#define RESIZE_ROWS_MAX 256   /* source rows of a tile */
#define RESIZE_GROUPS_MAX 34  /* words under the widest filter */

#define RESIZE_WEIGHT_BITS 14 /* weights sum to 1 << 14 */
#define RESIZE_MIDDLE_BITS 14

/* How a sum becomes a sample. */
struct resize_output {
    int32_t bias, shift, max;
    int32_t up;     /* shift of the sample within its word */
    int32_t dither; /* the bias differs from sample to sample */
};

/* One plane (U and V count as one) of one field of one rung, or a black part of it. Columns and
 * rows are those of the output's samples, a pair of U and V being one column. */
struct resize_job {
    /* Filters, as offsets into the plan. Across: of each column the first word (4 samples) of the
     * line, and weights[group][column][4]. Down: of each row the first pair of source rows, and
     * weights[row][pair][2]. */
    uint32_t first_column, weights_across, first_row, weights_down;
    int32_t groups, pairs; /* words and pairs of rows under a filter; 0 pairs: black */
    int32_t columns_pitch; /* columns of weights_across, a multiple of RESIZE_LANES */
    int32_t width, height; /* of the job */
    int32_t x, y;          /* its place in the plane (of the field) */
    int32_t src_columns, src_rows, src_chunks; /* of the source's plane (of the field) */
    int32_t src_chunk_words; /* words of one component (or byte of words) in a chunk */
    int32_t stage_rows;      /* source rows that are staged at a time */
    struct resize_output out;
    uint8_t rung, chroma;
    uint8_t field, fields;
    uint8_t deep;      /* the source has 16-bit words */
    uint8_t out_words; /* so has the output */
    uint8_t paired;    /* U and V in turn in the output */
    uint8_t tile_columns_log2, tile_rows;
    uint8_t components; /* 2: U and V */
    uint8_t padding;
};

struct resize_tile {
    uint16_t job;
    uint16_t x, y;      /* of the job's columns and rows */
    uint16_t src_chunk; /* the first chunk of each source line */
    uint16_t chunks;
    uint16_t src_pair; /* the first pair of source rows */
    uint16_t rows;     /* source rows, a multiple of RESIZE_BATCH_LINES */
    uint16_t padding;
};

/* The plan starts with this; then come jobs, tiles and tables, at these offsets. */
struct resize_header {
    uint32_t jobs, tiles;
};

struct resize_target {
    uint64_t plane[3];
    int32_t pitch[3];
    int32_t padding;
};

/* A run of tiles: those of one rung. Tile of block b: b + shift, for the first entry with
 * b < end. */
struct resize_entry {
    uint32_t end;
    int32_t shift;
};

/* The kernel's arguments besides the plan. */
struct resize_args {
    uint64_t source[2];
    int32_t source_pitch[2];
    uint32_t entries_count, padding;
    struct resize_entry entries[RESIZE_ENTRIES_MAX];
    struct resize_target rungs[RESIZE_ENTRIES_MAX];
};

/* A sum across to a middle. */
RESIZE_FN int resize_middle(int sum, int deep)
{
    return deep ? (sum + (1 << 15)) >> 16 : (sum + (1 << 7)) >> 8;
}

/* The ordered dither's threshold, 0..63, of an 8x8 pattern. */
RESIZE_FN int resize_threshold(int x, int y)
{
    int d = x ^ y;
    return (d & 1) << 5 | (y & 1) << 4 | (d & 2) << 2 | (y & 2) << 1 | (d & 4) >> 1 | (y & 4) >> 2;
}

/* What is added before the shift: half of the last bit, or where bits are lost, a threshold that
 * differs from sample to sample; its mean is the same. */
RESIZE_FN int resize_bias(const struct resize_output *out, int x, int y)
{
    if (!out->dither)
        return out->bias;
    return (2 * resize_threshold(x, y) + 1) << (out->shift - 7);
}

/* A sum down, bias added, to the output's sample. */
RESIZE_FN unsigned resize_sample(const struct resize_output *out, int sum)
{
    int v = sum >> out->shift;
    v = v < 0 ? 0 : v > out->max ? out->max : v;
    return (unsigned)v << out->up;
}

#endif

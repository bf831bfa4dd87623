/* What the program that measures launches and its kernels share: the resize of several pictures in
 * one launch, all of one size and to the same rungs, as streams of one kind would have it. Of the
 * resize's plan and arguments see gpu/kernels/resize_core.h.
 *
 * Compiled as C and as CUDA C++. */
#ifndef BENCH_LAUNCHES_H
#define BENCH_LAUNCHES_H

#include "gpu/kernels/resize_core.h"

#define BATCH_FRAMES 8
#define BATCH_RUNGS 4

struct batch_frame {
    uint64_t source[2];
    int32_t source_pitch[2];
    struct resize_target rungs[BATCH_RUNGS];
};

/* The kernel's arguments besides the plan: block (b, f) makes tile b of frame f. */
struct batch_args {
    uint32_t entries_count, padding;
    struct resize_entry entries[BATCH_RUNGS];
    struct batch_frame frames[BATCH_FRAMES];
};

#ifndef __CUDA__
/* The PTX text of launches.cu, NUL at its end. */
extern const unsigned char launches_ptx[];
#endif

#endif

/* The resize kernel's plan: jobs, tiles and filters in one block of memory (kernels/resize_core.h).
 *
 * Threads: a finished plan is read-only. Memory: the plan owns its block. */
#ifndef GPU_RESIZE_PLAN_H
#define GPU_RESIZE_PLAN_H

#include <stddef.h>

#include "gpu/kernels/resize_core.h"
#include "gpu/resize.h"

/* Shared memory of a thread block that every device gives without being asked. */
#define RESIZE_SHARED_MAX (48 * 1024)

struct resize_plan_rung {
    int first_tile, tiles;
    int shared_bytes; /* the most that a tile needs */
};

struct resize_plan {
    uint8_t *block;
    size_t size;
    int rungs_count;
    struct resize_plan_rung rungs[RESIZE_RUNGS_MAX];
    int order[RESIZE_RUNGS_MAX]; /* rungs, the one with the longest-running tiles first */
};

/* 0 and a plan, or an error and a zeroed one. PARAM, MEMORY, UNSUPPORTED. */
int resize_plan_init(struct resize_plan *plan, const struct resize_params *params,
                     struct error *err);
void resize_plan_done(struct resize_plan *plan);

/* The kernel's arguments for the rungs in `mask`. Gives the number of thread blocks. */
unsigned resize_plan_args(const struct resize_plan *plan, const struct resize_picture *source,
                          const struct resize_picture *rungs, uint32_t mask,
                          struct resize_args *ret, int *ret_shared_bytes);

#endif

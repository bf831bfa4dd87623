/* The kernels of the software driver: what gpu/kernels does on a device, done by the twins. */
#include "kernels.h"

#include <string.h>

#include "gpu/kernels/resize_twin.h"

static void run_resize(const struct standin_launch *launch, void **params)
{
    uint64_t plan;
    memcpy(&plan, params[0], sizeof(plan));
    struct resize_args args;
    memcpy(&args, params[1], sizeof(args));
    for (unsigned i = 0; i < launch->grid[0]; i++)
        resize_twin((const uint8_t *)(uintptr_t)plan, &args, i);
}

const struct standin_kernel standin_kernels[] = {
    {"resize", run_resize, 2, {sizeof(uint64_t), sizeof(struct resize_args)}},
    {NULL, NULL, 0, {0}},
};

/* Kernels for the stand-ins' own tests. */
#include <stdint.h>

#include "kernels.h"

/* fill(uint8_t *to, int count, uint8_t value) */
static void fill(const struct standin_launch *launch, void **params)
{
    uint8_t *to = *(uint8_t **)params[0];
    const int count = *(int *)params[1];
    const uint8_t value = *(uint8_t *)params[2];
    const int threads = (int)(launch->grid[0] * launch->block[0]);
    for (int i = 0; i < threads && i < count; i++)
        to[i] = value;
}

const struct standin_kernel standin_kernels[] = {
    {"fill", fill, 3, {sizeof(uint8_t *), sizeof(int), sizeof(uint8_t)}},
    {0},
};

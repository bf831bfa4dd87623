/* The resize kernel's twin on the host: the same bytes, from the same plan, a thread block at a
 * time. Reads no sample beyond the picture.
 *
 * Threads: pure function; blocks write to places of their own. Memory: a few KiB of stack. */
#ifndef GPU_KERNELS_RESIZE_TWIN_H
#define GPU_KERNELS_RESIZE_TWIN_H

#include "gpu/kernels/resize_core.h"

/* Does what thread block `block` does; all addresses are of the host. */
void resize_twin(const uint8_t *plan, const struct resize_args *args, unsigned block);

#endif

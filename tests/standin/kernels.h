/* How kernels come to run on the CPU: a library exports `standin_kernels`, in which the stand-in of
 * libcuda looks up what it launches. It opens libstandin_kernels.so beside itself, or the libraries
 * in STANDIN_KERNELS (colons in between).
 *
 * Threads: a kernel runs on its stream's thread, others at the same time. Memory: parameters are
 * copies made at the launch; device addresses in them are addresses of this process. */
#ifndef STANDIN_KERNELS_H
#define STANDIN_KERNELS_H

#include <stddef.h>

#define STANDIN_PARAMS_MAX 16

struct standin_launch {
    unsigned grid[3], block[3];
    unsigned shared_bytes;
};

struct standin_kernel {
    const char *name; /* of the __global__ function; NULL ends the table */
    /* The whole grid; `params` as in cuLaunchKernel: a pointer to each argument. */
    void (*run)(const struct standin_launch *launch, void **params);
    int params_count;
    size_t params_size[STANDIN_PARAMS_MAX]; /* bytes */
};

__attribute__((visibility("default"))) extern const struct standin_kernel standin_kernels[];

#endif

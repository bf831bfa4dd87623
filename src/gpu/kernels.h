/* The PTX text of all kernels, NUL at its end; made from gpu/kernels when the library is built. */
#ifndef GPU_KERNELS_H
#define GPU_KERNELS_H

extern const unsigned char gpu_kernels_ptx[];

#endif

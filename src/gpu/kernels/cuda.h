/* What the kernels need of CUDA C++, so that they build with clang alone, without NVIDIA's
 * toolkit: attributes, the place of a thread, vectors, and instructions that C has no words for. */
#ifndef GPU_KERNELS_CUDA_H
#define GPU_KERNELS_CUDA_H

#include <stdint.h>

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))

typedef uint32_t uint2 __attribute__((ext_vector_type(2)));
typedef uint32_t uint4 __attribute__((ext_vector_type(4)));

__device__ static inline unsigned thread_x()
{
    return __nvvm_read_ptx_sreg_tid_x();
}

__device__ static inline unsigned block_x()
{
    return __nvvm_read_ptx_sreg_ctaid_x();
}

__device__ static inline void sync_threads()
{
    __syncthreads();
}

/* Loads of memory that no one writes while the kernel runs. Builtins where clang has them: it moves
 * no asm statement out of a loop and unrolls no loop of unknown length around one. */
__device__ static inline int load_u16(const void *p)
{
    return __nvvm_ldg_us((const uint16_t *)p);
}

__device__ static inline uint2 load_u32x2(const void *p)
{
    return __nvvm_ldg_ui2((const uint2 *)p);
}

__device__ static inline uint4 load_u32x4(const void *p)
{
    return __nvvm_ldg_ui4((const uint4 *)p);
}

/* Shared memory by its own addresses of 32 bits, in one instruction each: clang takes vectors of C
 * apart. They stay on their side of a barrier. */
__device__ static inline uint32_t shared_address(const void *p)
{
    return (uint32_t)(uintptr_t)(const __attribute__((address_space(3))) void *)p;
}

__device__ static inline uint4 load_shared_u32x4(uint32_t from)
{
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(from)
                 : "memory");
    return v;
}

__device__ static inline void store_shared_u32(uint32_t to, uint32_t v)
{
    asm volatile("st.shared.u32 [%0], %1;" : : "r"(to), "r"(v) : "memory");
}

/* Bytes of a (0..3) and b (4..7), picked by the nibbles of `pick`. */
__device__ static inline uint32_t bytes(uint32_t a, uint32_t b, uint32_t pick)
{
    return (uint32_t)__nvvm_prmt((int)a, (int)b, (int)pick);
}

/* sum + both halves of w (signed) times the lower or upper two bytes of b. */
__device__ static inline int dot2_low(uint32_t w, uint32_t b, int sum)
{
    int v;
    asm("dp2a.lo.s32.u32 %0, %1, %2, %3;" : "=r"(v) : "r"(w), "r"(b), "r"(sum));
    return v;
}

__device__ static inline int dot2_high(uint32_t w, uint32_t b, int sum)
{
    int v;
    asm("dp2a.hi.s32.u32 %0, %1, %2, %3;" : "=r"(v) : "r"(w), "r"(b), "r"(sum));
    return v;
}

/* The same, bytes signed. */
__device__ static inline int dot2_high_signed(uint32_t w, uint32_t b, int sum)
{
    int v;
    asm("dp2a.hi.s32.s32 %0, %1, %2, %3;" : "=r"(v) : "r"(w), "r"(b), "r"(sum));
    return v;
}

#endif

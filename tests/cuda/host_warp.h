/* SPDX-License-Identifier: Apache-2.0
 * What a kernel's source takes from CUDA, for a C++ compiler: the kernels run on the CPU at its
 * own speed, each thread a fiber (host_gpu.cc). It shows in seconds whether the source computes
 * what it should; races, memory and PTX itself are the stand-in's to check. */
#ifndef HOST_WARP_H
#define HOST_WARP_H

#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
/* Blocks run one after the other: one copy serves. `extern` arrays are defined by host_gpu.cc. */
#define __shared__ static

struct host_index {
    unsigned x, y, z;
};
extern host_index threadIdx, blockIdx, blockDim, gridDim;

/* Hands in this lane's value, waits for the warp, and gives all 32. `what` must be the same in all
 * lanes. Values stay until the warp's next collective but one. */
const uint32_t *host_meet(uint32_t value, const char *what);
void host_meet_block();
int host_meet_any(int held); /* by any thread of the block */

static inline uint32_t host_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float host_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float __shfl_sync(unsigned, float x, int lane)
{
    return host_float(host_meet(host_bits(x), "shfl")[lane & 31]);
}

static inline float __shfl_xor_sync(unsigned, float x, int mask)
{
    int lane = (int)(threadIdx.x % 32);
    return host_float(host_meet(host_bits(x), "shfl_xor")[lane ^ mask]);
}

static inline float __shfl_down_sync(unsigned, float x, int by)
{
    int lane = (int)(threadIdx.x % 32);
    return host_float(host_meet(host_bits(x), "shfl_down")[lane + by > 31 ? lane : lane + by]);
}

static inline uint32_t __shfl_sync(unsigned, uint32_t x, int lane)
{
    return host_meet(x, "shfl")[lane & 31];
}

static inline uint32_t __shfl_xor_sync(unsigned, uint32_t x, int mask)
{
    return host_meet(x, "shfl_xor")[(threadIdx.x % 32) ^ (unsigned)mask];
}

static inline uint32_t __shfl_up_sync(unsigned, uint32_t x, int by)
{
    int lane = (int)(threadIdx.x % 32);
    return host_meet(x, "shfl_up")[lane < by ? lane : lane - by];
}

static inline int32_t __shfl_sync(unsigned, int32_t x, int lane)
{
    return (int32_t)host_meet((uint32_t)x, "shfl")[lane & 31];
}

static inline int32_t __shfl_up_sync(unsigned, int32_t x, int by)
{
    int lane = (int)(threadIdx.x % 32);
    return (int32_t)host_meet((uint32_t)x, "shfl_up")[lane < by ? lane : lane - by];
}

static inline unsigned __match_any_sync(unsigned, int32_t x)
{
    const uint32_t *all = host_meet((uint32_t)x, "match_any");
    unsigned same = 0;
    for (int i = 0; i < 32; i++)
        same |= (all[i] == (uint32_t)x ? 1U : 0U) << i;
    return same;
}

static inline unsigned __ballot_sync(unsigned, int held)
{
    const uint32_t *all = host_meet(held != 0, "ballot");
    unsigned bits = 0;
    for (int i = 0; i < 32; i++)
        bits |= all[i] << i;
    return bits;
}

static inline unsigned __match_any_sync(unsigned, uint32_t x)
{
    const uint32_t *all = host_meet(x, "match_any");
    unsigned bits = 0;
    for (int i = 0; i < 32; i++)
        bits |= (unsigned)(all[i] == x) << i;
    return bits;
}

static inline int __all_sync(unsigned mask, int held)
{
    return __ballot_sync(mask, held) == 0xFFFFFFFFU;
}

template <class T> static inline T __reduce_max_sync(unsigned, T x)
{
    const uint32_t *all = host_meet((uint32_t)x, "reduce_max");
    T most = (T)all[0];
    for (int i = 1; i < 32; i++)
        most = (T)all[i] > most ? (T)all[i] : most;
    return most;
}

template <class T> static inline T __reduce_min_sync(unsigned, T x)
{
    const uint32_t *all = host_meet((uint32_t)x, "reduce_min");
    T least = (T)all[0];
    for (int i = 1; i < 32; i++)
        least = (T)all[i] < least ? (T)all[i] : least;
    return least;
}

template <class T> static inline T __reduce_add_sync(unsigned, T x)
{
    const uint32_t *all = host_meet((uint32_t)x, "reduce_add");
    uint32_t sum = 0;
    for (int i = 0; i < 32; i++)
        sum += all[i];
    return (T)sum;
}

static inline void __syncwarp(unsigned = 0xFFFFFFFFU)
{
    (void)host_meet(0, "syncwarp");
}

static inline void __syncthreads()
{
    host_meet_block();
}

static inline int __syncthreads_or(int held)
{
    return host_meet_any(held);
}

static inline void __threadfence_system()
{
}

static inline void __threadfence()
{
}

template <class T> static inline T atomicAdd(T *at, T value)
{
    T before = *at;
    *at = before + value;
    return before;
}

template <class T> static inline T atomicMin(T *at, T value)
{
    T before = *at;
    *at = before < value ? before : value;
    return before;
}

template <class T> static inline T atomicMax(T *at, T value)
{
    T before = *at;
    *at = before > value ? before : value;
    return before;
}

template <class T> static inline T atomicOr(T *at, T value)
{
    T before = *at;
    *at = before | value;
    return before;
}

static inline int __ffs(int bits)
{
    return __builtin_ffs(bits);
}

static inline int __popc(unsigned bits)
{
    return __builtin_popcount(bits);
}

#endif

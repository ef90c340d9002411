/* SPDX-License-Identifier: Apache-2.0
 * A block working on one problem: loops, sums and choices over its threads. */
#ifndef SLC_BLOCK_CUH
#define SLC_BLOCK_CUH

#include "warp.cuh"

typedef unsigned long long slc_u64;

/* Every i below n, shared out over the block's threads. */
#define SLC_EACH_OF(i_, n_)                                                                        \
    for (int32_t i_ = (int32_t)threadIdx.x; i_ < (n_); i_ += (int32_t)blockDim.x)

SLC_DEVICE int32_t slc_thread_lane(void)
{
    return (int32_t)(threadIdx.x % SLC_WARP);
}

SLC_DEVICE uint32_t slc_lanes_below(void)
{
    return (1U << slc_thread_lane()) - 1;
}

SLC_DEVICE void slc_add(int64_t *sum, int64_t more)
{
    atomicAdd((slc_u64 *)sum, (slc_u64)more);
}

SLC_DEVICE int64_t slc_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

SLC_DEVICE int64_t slc_most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What [a, a + n) and [b, b + m) have in common. */
SLC_DEVICE int64_t slc_overlap(int64_t a, int64_t n, int64_t b, int64_t m)
{
    int64_t common = slc_least(a + n, b + m) - slc_most(a, b);
    return common > 0 ? common : 0;
}

/* a / b for a >= 0 and b > 0, which rarely needs 64 bits. */
SLC_DEVICE int64_t slc_divide(int64_t a, int32_t b)
{
    return a >> 32 ? a / b : (int64_t)((uint32_t)a / (uint32_t)b);
}

SLC_DEVICE int64_t slc_ceiling(int64_t a, int32_t b)
{
    return slc_divide(a + b - 1, b);
}

/* Is this the last of the launch's blocks to come here? It sees what all of them have written. All
 * threads call; *last is shared memory, *finished 0 before a launch and after. */
SLC_DEVICE bool slc_last_block(uint32_t *finished, uint32_t *last)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        *last = atomicAdd(finished, 1U) + 1U == gridDim.x;
        __threadfence();
        if (*last)
            *(volatile uint32_t *)finished = 0;
    }
    __syncthreads();
    return *last != 0;
}

/* The least of the warp's numbers, none negative. All lanes call and get it. */
SLC_DEVICE int64_t slc_warp_least(int64_t x)
{
    uint32_t high = (uint32_t)((uint64_t)x >> 32), low = (uint32_t)x;
    uint32_t least = __reduce_min_sync(SLC_ALL, high);
    low = __reduce_min_sync(SLC_ALL, high == least ? low : UINT32_MAX);
    return (int64_t)((uint64_t)least << 32 | low);
}

SLC_DEVICE int64_t slc_warp_up(int64_t x, int32_t by)
{
    uint32_t low = __shfl_up_sync(SLC_ALL, (uint32_t)x, by);
    uint32_t high = __shfl_up_sync(SLC_ALL, (uint32_t)((uint64_t)x >> 32), by);
    return (int64_t)((uint64_t)high << 32 | low);
}

SLC_DEVICE int64_t slc_warp_from(int64_t x, int32_t lane)
{
    uint32_t low = __shfl_sync(SLC_ALL, (uint32_t)x, lane);
    uint32_t high = __shfl_sync(SLC_ALL, (uint32_t)((uint64_t)x >> 32), lane);
    return (int64_t)((uint64_t)high << 32 | low);
}

/* The sum of x up to and with this lane's. */
SLC_DEVICE int64_t slc_warp_running(int64_t x)
{
    for (int32_t by = 1; by < SLC_WARP; by *= 2) {
        int64_t other = slc_warp_up(x, by);
        x += slc_thread_lane() >= by ? other : 0;
    }
    return x;
}

#endif

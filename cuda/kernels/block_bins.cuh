/* SPDX-License-Identifier: Apache-2.0
 * A block's own histogram of physical experts, and its own copy of the static map, in shared
 * memory: a block of many tokens then touches each counter and each map entry once. For every
 * kernel that routes; few tokens a block are better off without. How to use it: slc_block_start by
 * every thread of a block of `Threads`, __syncthreads; slc_bins_add; __syncthreads, slc_bins_flush
 * by every thread. The shared memory takes slc_block_bytes. */
#ifndef SLC_BLOCK_BINS_CUH
#define SLC_BLOCK_BINS_CUH

#include "warp.cuh"

struct slc_block {
    uint32_t *bins;  /* [P] */
    int32_t *copies; /* [E+1]: the copy that an expert's tokens go to; -1: none, E has none */
    int32_t *slots;  /* [E+1]: its slot; not filled in without shared slots, where it is the copy */
};

template <int32_t Room> SLC_DEVICE struct slc_block slc_block_in(void *shared)
{
    struct slc_block block; /* all aligned to 16 bytes where `shared` is */
    block.copies = (int32_t *)shared;
    block.slots = block.copies + Room + 4;
    block.bins = (uint32_t *)(block.slots + Room + 4);
    return block;
}

struct __attribute__((aligned(16))) slc_four_bins {
    uint32_t bin[4];
};

template <int32_t Threads>
SLC_DEVICE void slc_copy_map(int32_t *to, const int32_t *from, int32_t experts)
{
#pragma unroll 1
    for (int32_t e = (int32_t)threadIdx.x; e <= experts; e += Threads)
        to[e] = from[e];
}

/* Clears the bins and reads the map; chosen and chosen_slot are [E+1]. */
template <int32_t Threads>
SLC_DEVICE void slc_block_start(const struct slc_block *block, int32_t physical, int32_t experts,
                                const int32_t *chosen, const int32_t *chosen_slot, bool shared)
{
    const struct slc_four_bins none = {{0, 0, 0, 0}};
#pragma unroll 1
    for (int32_t p = (int32_t)threadIdx.x * 4; p < physical; p += Threads * 4)
        *(struct slc_four_bins *)(block->bins + p) = none;
    slc_copy_map<Threads>(block->copies, chosen, experts);
    if (shared)
        slc_copy_map<Threads>(block->slots, chosen_slot, experts);
}

SLC_DEVICE void slc_bins_add(const struct slc_block *block, int32_t copy)
{
    atomicAdd(&block->bins[copy], 1U);
}

/* Adds what was counted to the counters, [P]: one atomic for each bin that is not 0. */
template <int32_t Threads>
SLC_DEVICE void slc_bins_flush(const struct slc_block *block, int32_t physical,
                               unsigned long long *counters)
{
#pragma unroll 1
    for (int32_t p = (int32_t)threadIdx.x; p < physical; p += Threads) {
        uint32_t count = block->bins[p];
        if (count > 0)
            atomicAdd(&counters[p], (unsigned long long)count);
    }
}

#endif

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
    int32_t *copies; /* [Room+1]: the copy that an expert's tokens go to; -1: none, Room has none */
    int32_t *slots;  /* [Room+1]: its slot; not filled in without shared slots, where it is the copy */
};

template <int32_t Room> SLC_DEVICE struct slc_block slc_block_in(void *shared)
{
    struct slc_block block;
    block.copies = (int32_t *)shared;
    block.slots = block.copies + Room + 1;
    block.bins = (uint32_t *)(block.slots + Room + 1);
    return block;
}

template <int32_t Threads, int32_t Room>
SLC_DEVICE void slc_copy_map(int32_t *to, const int32_t *from, int32_t experts)
{
#pragma unroll 1
    for (int32_t e = (int32_t)threadIdx.x; e < experts; e += Threads)
        to[e] = from[e];
    if (threadIdx.x == 0)
        to[Room] = -1;
}

/* Clears the bins and reads the map. */
template <int32_t Threads, int32_t Room>
SLC_DEVICE void slc_block_start(const struct slc_map *map, const struct slc_block *block)
{
#pragma unroll 1
    for (int32_t p = (int32_t)threadIdx.x; p < map->physical; p += Threads)
        block->bins[p] = 0;
    slc_copy_map<Threads, Room>(block->copies, map->chosen, map->experts);
    if (map->shared > 0)
        slc_copy_map<Threads, Room>(block->slots, map->chosen_slot, map->experts);
}

SLC_DEVICE void slc_bins_add(const struct slc_block *block, int32_t copy)
{
    atomicAdd(&block->bins[copy], 1U);
}

/* Adds what was counted to the counters, [P]: one atomic for each bin that is not 0. */
template <int32_t Threads>
SLC_DEVICE void slc_bins_flush(const struct slc_map *map, const struct slc_block *block,
                               uint64_t *counters)
{
#pragma unroll 1
    for (int32_t p = (int32_t)threadIdx.x; p < map->physical; p += Threads) {
        uint32_t count = block->bins[p];
        if (count > 0)
            atomicAdd((unsigned long long *)&counters[p], (unsigned long long)count);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A block's own histogram of physical experts, and its own copy of the static map, in shared
 * memory: a block of many tokens then touches each counter and each map entry once. For every
 * kernel that routes; few tokens a block are better off without. How to use it: slc_block_start by
 * every thread, __syncthreads; slc_bins_add, slc_block_copy; __syncthreads, slc_bins_flush by every
 * thread. The shared memory takes slc_block_bytes. */
#ifndef SLC_BLOCK_BINS_CUH
#define SLC_BLOCK_BINS_CUH

#include "warp.cuh"

struct slc_block {
    uint32_t *bins;  /* [P] */
    int32_t *copies; /* [E]: the copy that an expert's tokens go to, -1: none lives */
    int32_t *slots;  /* [E]: its slot; the same array as copies where slots and copies are one */
};

SLC_DEVICE struct slc_block slc_block_in(const struct slc_map *map, void *shared)
{
    struct slc_block block;
    block.bins = (uint32_t *)shared;
    block.copies = (int32_t *)(block.bins + map->physical);
    block.slots = map->shared > 0 ? block.copies + map->experts : block.copies;
    return block;
}

/* Clears the bins and reads the map. */
SLC_DEVICE void slc_block_start(const struct slc_map *map, const struct slc_block *block)
{
    for (int32_t p = (int32_t)threadIdx.x; p < map->physical; p += (int32_t)blockDim.x)
        block->bins[p] = 0;
    for (int32_t e = (int32_t)threadIdx.x; e < map->experts; e += (int32_t)blockDim.x)
        block->copies[e] = map->chosen[e];
    if (map->shared == 0)
        return;
    for (int32_t e = (int32_t)threadIdx.x; e < map->experts; e += (int32_t)blockDim.x)
        block->slots[e] = map->chosen_slot[e];
}

SLC_DEVICE void slc_bins_add(const struct slc_block *block, int32_t copy)
{
    atomicAdd(&block->bins[copy], 1U);
}

/* Adds what was counted to the counters, [P]: one atomic for each bin that is not 0. */
SLC_DEVICE void slc_bins_flush(const struct slc_map *map, const struct slc_block *block,
                               uint64_t *counters)
{
    for (int32_t p = (int32_t)threadIdx.x; p < map->physical; p += (int32_t)blockDim.x) {
        uint32_t count = block->bins[p];
        if (count > 0)
            atomicAdd((unsigned long long *)&counters[p], (unsigned long long)count);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Both ends of an exchange of rows; see meet_job.h. */
#ifndef SLC_BLOCK_MEET_CUH
#define SLC_BLOCK_MEET_CUH

#include "block.cuh"
#include "meet_job.h"
#include "warp_told.cuh"

/* Before it: puts the head in front of this rank's row. One block's threads. */
SLC_DEVICE void slc_meet_begin(const struct slc_meet *meet)
{
    if (!meet->told || threadIdx.x != 0)
        return;
    volatile struct slc_told *told = meet->told;
    told->rows = meet->rows;
    told->stride = meet->stride;
    slc_begin(meet);
    *(struct slc_head *)(void *)meet->mine = slc_own_head(meet);
}

/* This rank's row beside the others'. */
SLC_DEVICE void slc_meet_self(const struct slc_meet *meet)
{
    const int64_t *from = (const int64_t *)(const void *)meet->mine;
    int64_t *to = (int64_t *)(void *)(meet->rows + meet->own * meet->stride);
    SLC_EACH_OF(i, (int32_t)(meet->stride / (int64_t)sizeof *from))
    to[i] = from[i];
}

/* After it: do all rows belong to the same call? The host is told of the first that does not. One
 * block's threads; *first is shared memory. */
SLC_DEVICE void slc_meet_end(const struct slc_meet *meet, int32_t *first)
{
    if (!meet->told)
        return;
    if (threadIdx.x == 0)
        *first = INT32_MAX;
    slc_meet_self(meet);
    __syncthreads();
    struct slc_head own = slc_own_head(meet);
    SLC_EACH_OF(p, meet->peers)
    {
        const char *row = meet->rows + p * meet->stride;
        if (!slc_same_head(&own, (const struct slc_head *)(const void *)row))
            atomicMin(first, p);
    }
    __syncthreads();
    if (threadIdx.x != 0 || ((volatile struct slc_told *)meet->told)->stopped)
        return;
    if (*first < meet->peers) {
        struct slc_short who = {0, meet->living[*first], 0, 0};
        slc_tell(meet, SLUICE_FAULT_MISMATCH, &who);
    }
    slc_end(meet);
}

#endif

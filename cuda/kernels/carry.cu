/* SPDX-License-Identifier: Apache-2.0
 * dispatch: what the step balance learns from it. One block each. */
#include "block.cuh"
#include "carry_job.h"

/* Of the entries that were to be sent: those of a physical expert's slot. */
SLC_DEVICE int32_t slc_went_to(const struct slc_carried *job, const int32_t *totals, int32_t p)
{
    return totals[p + p / job->slots * job->shared];
}

SLC_DEVICE int32_t slc_entry_went(const struct slc_carried *job, const int32_t *totals, int32_t e)
{
    int32_t sum = 0;
    if (job->by_copy)
        return slc_went_to(job, totals, e);
    for (int32_t c = job->start[e]; c < job->start[e + 1]; c++)
        sum += slc_went_to(job, totals, job->copies[c]);
    return sum;
}

/* This rank's row, and a copy of it to every other rank. */
extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_CARRY_WARPS)
    slc_carry(const __grid_constant__ struct slc_carried job)
{
    __shared__ int32_t columns;
    const int32_t *totals = job.wanted && job.found->slow ? job.wanted : job.totals;
    int32_t width = job.entries + 1;
    if (threadIdx.x == 0)
        columns = 0;
    __syncthreads();
    SLC_EACH_OF(e, job.entries)
    job.row[e] = slc_entry_went(&job, totals, e);
    SLC_EACH_OF(i, job.ranks * job.shared)
    {
        int32_t rank = i / job.shared, j = i - rank * job.shared;
        atomicAdd(&columns, totals[rank * job.local + job.slots + j]);
    }
    __syncthreads();
    if (threadIdx.x == 0)
        job.row[job.entries] = job.shared > 0 ? columns / job.shared : 0;
    __syncthreads();
    SLC_EACH_OF(i, job.peers * width)
    {
        int32_t p = i / width, k = i - p * width;
        if (p != job.own)
            ((int32_t *)(void *)(job.out + p * job.out_stride))[k] = job.row[k];
    }
}

/* All ranks' rows take the place of the window's oldest; not those of an exchange that was cut
 * short, or that belong to another call. */
extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_CARRY_WARPS)
    slc_take_carried(const __grid_constant__ struct slc_carried job)
{
    int32_t width = job.entries + 1, cells = job.peers * width;
    if (job.found->cut || job.found->differs)
        return;
    int32_t *oldest = job.window + (int64_t)*job.next * cells;
    SLC_EACH_OF(i, cells)
    {
        int32_t p = i / width, k = i - p * width;
        const void *row = p == job.own ? (const void *)job.row : job.in + p * job.in_stride;
        int32_t count = ((const int32_t *)row)[k];
        job.sums[i] += count - oldest[i];
        oldest[i] = count;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        *job.next = (*job.next + 1) % job.steps;
        *job.stale = 1;
        ++*job.step;
    }
}

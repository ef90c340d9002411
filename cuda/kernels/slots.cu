/* SPDX-License-Identifier: Apache-2.0
 * add_slots: a transport's counts by local slot, added to this rank's counters; one block. in_ids
 * are the counts [L]. Where one is negative nothing is added, and each is counted as rejected. */
#include "warp.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOST_WARPS)
    slc_slots(const __grid_constant__ struct slc_job job)
{
    __shared__ uint32_t negative;
    if (threadIdx.x == 0)
        negative = 0;
    __syncthreads();
    for (int32_t i = (int32_t)threadIdx.x; i < job.map.local; i += (int32_t)blockDim.x)
        if (sl_id_at(&job.in_ids, i, 0) < 0)
            atomicAdd(&negative, 1U);
    __syncthreads();
    if (negative > 0) {
        if (threadIdx.x == 0)
            atomicAdd((unsigned long long *)job.rejected, (unsigned long long)negative);
        return;
    }
    uint64_t *own = job.counters + (int64_t)job.map.rank * job.map.slots;
    for (int32_t i = (int32_t)threadIdx.x; i < job.map.slots; i += (int32_t)blockDim.x)
        atomicAdd((unsigned long long *)&own[i], (unsigned long long)sl_id_at(&job.in_ids, i, 0));
    if (SL_MUTANT(slots_count_shared) && threadIdx.x == 0)
        for (int32_t i = job.map.slots; i < job.map.local; i++)
            atomicAdd((unsigned long long *)own, (unsigned long long)sl_id_at(&job.in_ids, i, 0));
    if (SL_MUTANT(counters_32_bit))
        for (int32_t i = (int32_t)threadIdx.x; i < job.map.slots; i += (int32_t)blockDim.x)
            own[i] = (uint32_t)own[i];
}

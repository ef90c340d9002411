/* SPDX-License-Identifier: Apache-2.0
 * record: adds recorder ids to the counters; one thread an id. */
#include "warp.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOST_WARPS)
    slc_record(const __grid_constant__ struct slc_job job)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= job.rows * job.columns)
        return;
    int64_t t = i / job.columns;
    if (t >= slc_scalar(&job.num_valid, job.io.valid_rows) && !SL_MUTANT(padding_counted))
        return;
    int64_t id = sl_id_at(&job.in_ids, t, i - t * job.columns);
    if ((uint64_t)id < (uint64_t)job.map.physical)
        atomicAdd((unsigned long long *)&job.counters[id], 1ULL);
    else if (id != -1 && !SL_MUTANT(record_rejects_silently))
        atomicAdd((unsigned long long *)job.rejected, 1ULL);
}

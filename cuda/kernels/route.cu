/* SPDX-License-Identifier: Apache-2.0
 * route: topk, remap and record in one launch; one warp a row. */
#include "warp_map.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOST_WARPS)
    slc_route(const __grid_constant__ struct slc_job job)
{
    int32_t warp = (int32_t)(threadIdx.x / SLC_WARP);
    int64_t t = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + warp;
    if (t < job.rows) {
        bool live = slc_row_live(&job, t);
        struct slc_row row =
            slc_choose(&job, t, live, slc_shared + warp * slc_warp_bytes(job.rule.columns));
        struct slc_call call = slc_call_of(&job);
        slc_put_choices(&job, t, &row);
        slc_map_row(&job, &call, t, live, job.rule.shared_weight != SLUICE_SHARED_ONE, &row);
    }
    slc_call_done(&job.map);
}

/* SPDX-License-Identifier: Apache-2.0
 * route for rules that slc_wide holds of. */
#include "warp_map.cuh"
#include "warp_wide.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOST_WARPS)
    slc_route_wide(const __grid_constant__ struct slc_job job)
{
    int64_t t = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + threadIdx.x / SLC_WARP;
    if (t < job.rows) {
        bool live = slc_row_live(&job, t);
        struct slc_row row = slc_choose_wide(&job, t, live);
        struct slc_call call = slc_call_of(&job);
        slc_put_choices(&job, t, &row);
        slc_map_row(&job, &call, t, live, job.rule.shared_weight != SLUICE_SHARED_ONE, &row);
    }
    slc_call_done(&job.map);
}

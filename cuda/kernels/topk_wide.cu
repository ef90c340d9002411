/* SPDX-License-Identifier: Apache-2.0
 * topk for rules that slc_wide holds of. */
#include "warp_wide.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOST_WARPS)
    slc_topk_wide(const __grid_constant__ struct slc_job job)
{
    int64_t t = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + threadIdx.x / SLC_WARP;
    if (t >= job.rows)
        return;
    struct slc_row row = slc_choose_wide(&job, t, slc_row_live(&job, t));
    slc_put_choices(&job, t, &row);
}

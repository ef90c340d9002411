/* SPDX-License-Identifier: Apache-2.0
 * topk: one warp a row. */
#include "warp_choose.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOST_WARPS)
    slc_topk(const __grid_constant__ struct slc_job job)
{
    int32_t warp = (int32_t)(threadIdx.x / SLC_WARP);
    int64_t t = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + warp;
    if (t >= job.rows)
        return;
    struct slc_row row = slc_choose(&job, t, slc_row_live(&job, t),
                                    slc_shared + warp * slc_warp_bytes(job.rule.columns));
    slc_put_choices(&job, t, &row);
}

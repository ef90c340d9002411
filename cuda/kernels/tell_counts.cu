/* SPDX-License-Identifier: Apache-2.0
 * Exact dispatch: each rank's message of counts, head first; one block. */
#include "warp_told.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOVE_WARPS, 1)
    slc_tell_counts(const __grid_constant__ struct slc_move job)
{
    if (threadIdx.x == 0)
        job.found->own = {0, 0, 0, 0}; /* a fixed dispatch of this lane may have left one */
    if (job.peers > 1)
        slc_put_heads(&job);
    slc_put_counts(&job);
}

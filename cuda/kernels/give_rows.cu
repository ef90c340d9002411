/* SPDX-License-Identifier: Apache-2.0
 * combine, order EXACT: rows of other ranks' tokens, packed for their way home. A warp, or `slices`
 * of them, a received token. */
#include "warp_told.cuh"

SLC_DEVICE void slc_nan_row(const struct slc_move *job, char *to, int32_t type, int32_t at,
                            int32_t step)
{
    for (int64_t i = at; i < job->elements; i += step)
        slc_put(to, type, i, slc_nan());
}

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOVE_WARPS, 1)
    slc_give_rows(const __grid_constant__ struct slc_move job)
{
    int32_t slice;
    int64_t unit = slc_unit(&job, &slice), i = unit % job.received_stride;
    int32_t p = (int32_t)(unit / job.received_stride);
    if (blockIdx.x == 0 && job.first == 0)
        slc_put_heads(&job);
    if (p >= job.peers || p == job.own || i >= job.came[p] || job.found->cut)
        return;
    int32_t at = slice * SLC_WARP + slc_lane(), step = job.slices * SLC_WARP;
    for (int32_t first = 0; first < job.columns; first += SLC_WARP) {
        struct slc_item entry = {SL_ROW_NONE, 0, 0, 0.0f};
        if (first + slc_lane() < job.columns)
            entry = job.received[(p * job.received_stride + i) * job.columns + first + slc_lane()];
        bool goes =
            entry.at != SL_ROW_NONE && entry.back >= job.first && entry.back < job.first + job.most;
        for (uint32_t left = __ballot_sync(SLC_ALL, goes); left; left &= left - 1) {
            int32_t from = __ffs((int)left) - 1;
            int32_t row = __shfl_sync(SLC_ALL, entry.at, from);
            int64_t back = __shfl_sync(SLC_ALL, entry.back, from) - job.first;
            char *to = job.out + p * job.out_stride + job.front + back * job.record;
            if (row < 0)
                slc_nan_row(&job, to, job.type, at, step);
            else
                slc_copy_row(to, job.results.data + row * job.results.stride, &job.results, at,
                             step);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * combine, order PER_RANK: what this rank's rows add up to for other ranks' tokens, in f32. A warp,
 * or `slices` of them, a received token. */
#include "warp_add.cuh"
#include "warp_told.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOVE_WARPS, 1)
    slc_give_sums(const __grid_constant__ struct slc_move job)
{
    int32_t slice;
    int64_t unit = slc_unit(&job, &slice), i = unit % job.received_stride;
    int32_t p = (int32_t)(unit / job.received_stride);
    if (blockIdx.x == 0 && job.first == 0)
        slc_put_heads(&job);
    if (p >= job.peers || p == job.own || i >= job.came[p] || job.found->cut || i < job.first ||
        i >= job.first + job.most)
        return;
    struct slc_terms *terms = slc_terms_of_warp();
    const struct slc_item *entries = job.received + (p * job.received_stride + i) * job.columns;
    for (int32_t c = slc_lane(); c < job.columns; c += SLC_WARP)
        slc_put_term(&job, terms, c, entries[c].at, entries[c].weight);
    __syncwarp();
    char *to = job.out + p * job.out_stride + job.front + (i - job.first) * job.record;
    int32_t step = job.slices * SLC_WARP;
    for (int64_t e = slice * SLC_WARP + slc_lane(); e < job.elements; e += step)
        slc_put(to, SL_F32, e, slc_add_terms(&job, terms, job.columns, e));
}

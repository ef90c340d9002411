/* SPDX-License-Identifier: Apache-2.0
 * dispatch: what no token fills. Every row's slot becomes -1 and its weight 0, until unpack says
 * otherwise; rows behind a slot's last one up to the next slot are zero. A warp a row. As the first
 * behind an exact exchange it also sees whether that was cut short, or not the same for all. */
#include "warp_told.cuh"

/* Is it padding between two slots? */
SLC_DEVICE bool slc_is_padding(const struct slc_move *job, int64_t row)
{
    int32_t low = 0, high = job->local; /* the last slot that starts at or below the row */
    if (job->slot_stride || row >= job->start[job->local])
        return false;
    while (high - low > 1) {
        int32_t middle = (low + high) / 2;
        if (job->start[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return row >= job->start[low] + job->count[low];
}

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOVE_WARPS, 1)
    slc_pad_rows(const __grid_constant__ struct slc_move job)
{
    int64_t row = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + threadIdx.x / SLC_WARP;
    int64_t base = row * SLC_WARP + slc_lane();
    if (job.peers > 1 && !job.fixed && blockIdx.x == 0 && threadIdx.x == 0)
        job.found->cut = !slc_check_heads(&job, job.in, job.in_stride, NULL, 0);
    if (job.row_slot.data && base < job.slots_given)
        slc_put_id(&job.row_slot, base, 0, SL_MUTANT(padding_has_slot) ? 0 : -1);
    if (job.row_weight.data && base < job.weights_given)
        job.row_weight.data[base * job.row_weight.stride] = 0.0f;
    if (!slc_is_padding(&job, row) || SL_MUTANT(padding_rows_left))
        return;
    for (int32_t k = 0; k < job.payload_count; k++)
        for (int32_t i = slc_lane(); i < job.rows[k].columns; i += SLC_WARP)
            job.rows[k].data[row * job.rows[k].stride + i] = 0;
}

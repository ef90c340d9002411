/* SPDX-License-Identifier: Apache-2.0
 * remap: choices that are there already; one warp a row. */
#include "warp_map.cuh"

/* What does not fit into 32 bits is as wrong as any id out of range. */
SLC_DEVICE int32_t slc_get_id(const struct sl_ids *ids, int64_t row, int32_t column)
{
    int64_t id = sl_id_at(ids, row, column);
    if (SL_MUTANT(wide_ids_read_narrow))
        id = ((const int32_t *)ids->data)[row * ids->stride + column];
    return id < INT32_MIN || id > INT32_MAX ? INT32_MAX : (int32_t)id;
}

SLC_DEVICE float slc_get_float(const struct slc_floats *from, int64_t row, int32_t column)
{
    return from->data ? from->data[row * from->stride + column] : 0.0f;
}

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOST_WARPS)
    slc_remap(const __grid_constant__ struct slc_job job)
{
    int64_t t = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + threadIdx.x / SLC_WARP;
    if (t < job.rows) {
        struct slc_row row = {{-1, -1}, {0.0f, 0.0f}, 0.0f, 0.0f};
        struct slc_call call = slc_call_of(&job);
        int32_t lane = slc_lane();
        for (int32_t i = 0; i < 2; i++) {
            int32_t k = lane + i * SLC_WARP;
            if (k >= job.rule.top_k)
                continue;
            row.id[i] = slc_get_id(&job.in_ids, t, k);
            row.w[i] = slc_get_float(&job.in_weights, t, k);
        }
        if (lane < job.map.shared)
            row.shared = slc_get_float(&job.in_shared, t, lane);
        if (lane == 0)
            row.zero = slc_get_float(&job.in_zero, t, 0);
        slc_map_row(&job, &call, t, slc_row_live(&job, t), job.in_shared.data != NULL, &row);
    }
    slc_call_done(&job.map);
}

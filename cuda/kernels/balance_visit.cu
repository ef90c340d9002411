/* SPDX-License-Identifier: Apache-2.0
 * visited_only under TOKENS: of the ranks that a row visits the one with the most room, the lowest
 * of several, serves its next shared column; where none has room it stays at home. Each row sees
 * what the rows before have left, so one warp goes over all rows, its lanes over a row's choices.
 */
#include "warp_map.cuh"
#include "warp_tile.cuh"

SLC_DEVICE void slc_visit_row(const struct slc_balance_pass *pass, int64_t t, int32_t home,
                              int32_t *rooms)
{
    const struct slc_job *job = &pass->job;
    int32_t top_k = job->rule.top_k, lane = slc_thread_lane(), rank[2];
    for (int32_t i = 0; i < 2; i++) {
        int32_t k = lane + i * SLC_WARP;
        int64_t slot = k < top_k ? sl_id_at(&job->dispatch_ids, t, k) : -1;
        rank[i] = slot < 0 ? -1 : (int32_t)slot / job->map.local;
        rank[i] = rank[i] == home ? -1 : rank[i];
    }
    for (int32_t j = 0; j < job->map.shared; j++) {
        uint32_t room[2], lowest = UINT32_MAX;
        for (int32_t i = 0; i < 2; i++)
            room[i] = rank[i] < 0 ? 0 : (uint32_t)rooms[rank[i]];
        uint32_t most = __reduce_max_sync(SLC_ALL, room[0] > room[1] ? room[0] : room[1]);
        if (most == 0)
            return;
        for (int32_t i = 0; i < 2; i++)
            if (room[i] == most && (uint32_t)rank[i] < lowest)
                lowest = (uint32_t)rank[i];
        lowest = __reduce_min_sync(SLC_ALL, lowest);
        __syncwarp();
        if (lane == 0) {
            rooms[lowest]--;
            slc_put_id(&job->dispatch_ids, t, top_k + j,
                       (int32_t)lowest * job->map.local + job->map.slots + j);
        }
        __syncwarp();
    }
}

extern "C" __global__ void __launch_bounds__(SLC_WARP)
    slc_balance_visit(const __grid_constant__ struct slc_balance_pass pass)
{
    const struct slc_job *job = &pass.job;
    int32_t *rooms = (int32_t *)(void *)slc_shared;
    if (pass.balance.column[0] >= 0)
        return;
    for (int32_t r = slc_thread_lane(); r < pass.balance.ranks; r += SLC_WARP)
        rooms[r] = (int32_t)(pass.call.line[r] - (r > 0 ? pass.call.line[r - 1] : 0));
    __syncwarp();
    struct slc_homes homes = slc_homes_of(job);
    for (int64_t t = 0; t < job->rows; t++) {
        if (!slc_row_live(job, t))
            continue;
        slc_visit_row(&pass, t, slc_home_of(job, &homes, t), rooms);
    }
}

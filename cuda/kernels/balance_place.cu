/* SPDX-License-Identifier: Apache-2.0
 * The second pass of a call: the j-th choice of an expert, in row order, takes the copy in whose
 * quota j falls, and shared columns fill the ranks' quotas in row order. A warp to a tile. */
#include "warp_map.cuh"
#include "warp_tile.cuh"

/* ----------------------------------------------------------------------------------- choices */

/* The copy of the j-th choice, whose expert has several. */
SLC_DEVICE int32_t slc_copy_of_turn(const struct slc_balance_pass *pass, int32_t begin, int32_t end,
                                    int32_t j)
{
    int32_t c = begin;
    if (SL_MUTANT(balance_quota_short) && pass->call.call[c] > 1)
        j++;
    for (; c < end - 1 && j >= pass->call.call[c]; c++)
        j -= pass->call.call[c];
    return pass->balance.copies[c];
}

/* All lanes call: the copy for this lane's expert `entry`, -1: no choice; bins [E] say how often
 * each expert was chosen before, and are brought up to date. */
SLC_DEVICE int32_t slc_take_turn(const struct slc_balance_pass *pass, int32_t entry, int32_t *bins)
{
    const struct slc_balance *balance = &pass->balance;
    uint32_t same = __match_any_sync(SLC_ALL, (uint32_t)entry), before = same & slc_lanes_below();
    int32_t copy = -1;
    if (entry >= 0) {
        int32_t begin = balance->start[entry], end = balance->start[entry + 1];
        copy = end - begin == 1 ? balance->copies[begin]
                                : slc_copy_of_turn(pass, begin, end, bins[entry] + __popc(before));
    }
    __syncwarp();
    if (entry >= 0 && before == 0)
        bins[entry] += __popc(same);
    __syncwarp();
    return copy;
}

SLC_DEVICE void slc_put_choice(const struct slc_job *job, int64_t t, int32_t k, int32_t copy)
{
    int32_t slot = copy < 0 ? -1 : copy + copy / job->map.slots * job->map.shared;
    if (job->dispatch_weights.data) {
        float weight = copy < 0 ? 0.0f : job->in_weights.data[t * job->in_weights.stride + k];
        job->dispatch_weights.data[t * job->dispatch_weights.stride + k] = weight;
    }
    if (job->dispatch_ids.data)
        slc_put_id(&job->dispatch_ids, t, k, slot);
    if (job->recorder_ids.data)
        slc_put_id(&job->recorder_ids, t, k, copy);
}

SLC_DEVICE void slc_place_choices(const struct slc_balance_pass *pass, const struct slc_tile *at,
                                  int32_t tile, int32_t *bins)
{
    const struct slc_job *job = &pass->job;
    int32_t entries = pass->balance.entries;
    const int32_t *before = slc_tile_counts(pass, tile);
    for (int32_t e = slc_thread_lane(); e < entries; e += SLC_WARP)
        bins[e] = before[e];
    __syncwarp();
    struct slc_cell cell = slc_first_cell(job);
    for (int32_t i = 0; i < at->rows * job->rule.top_k; i += SLC_WARP) {
        int64_t t = at->first + cell.row;
        bool there = cell.row < at->rows;
        int32_t entry = -1;
        if (there && slc_row_live(job, t)) {
            entry = slc_entry_of(&job->map, sl_id_at(&job->in_ids, t, cell.column));
            entry = job->map.chosen[entry] < 0 ? -1 : entry;
        }
        int32_t copy = slc_take_turn(pass, entry, bins);
        if (there)
            slc_put_choice(job, t, cell.column, copy);
        slc_next_cell(job, &cell);
    }
}

/* ---------------------------------------------------------------------------- shared columns */

/* The rank that the u-th shared column of the call goes to. */
SLC_DEVICE int32_t slc_rank_of_column(const struct slc_balance_pass *pass, int64_t u)
{
    int32_t low = 0, high = pass->balance.ranks - 1;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (pass->call.line[middle] > u)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

SLC_DEVICE bool slc_visits(const struct slc_job *job, int64_t t, int32_t rank)
{
    bool visits = false;
    for (int32_t k = 0; k < job->rule.top_k; k++) {
        int64_t slot = sl_id_at(&job->dispatch_ids, t, k);
        visits = visits || (slot >= 0 && (int32_t)slot / job->map.local == rank);
    }
    return visits;
}

/* Shared column j of row t, which is the v-th valid row; `home` where quotas say nothing. */
SLC_DEVICE int32_t slc_shared_rank(const struct slc_balance_pass *pass, int64_t t, int64_t v,
                                   int32_t j, int32_t home)
{
    const struct slc_balance *balance = &pass->balance;
    bool level = balance->level && pass->job.dispatch_ids.data;
    if (!level)
        return home;
    if (balance->column[0] < 0)
        return pass->call.visited_only ? home
                                       : slc_rank_of_column(pass, v * pass->job.map.shared + j);
    int32_t rank = balance->column[j];
    return pass->call.visited_only && !slc_visits(&pass->job, t, rank) ? home : rank;
}

SLC_DEVICE float slc_shared_weight(const struct slc_job *job, int64_t t, int32_t j)
{
    if (!job->in_shared.data)
        return job->map.shared_constant;
    return slc_quotient(job->in_shared.data[t * job->in_shared.stride + j],
                        job->map.shared_divisor);
}

/* One lane's row. by_copy: all but the columns' ranks is there already. */
SLC_DEVICE void slc_place_shared(const struct slc_balance_pass *pass, const struct slc_homes *homes,
                                 int64_t t, bool live, int64_t v)
{
    const struct slc_job *job = &pass->job;
    int32_t home = slc_home_of(job, homes, t), top_k = job->rule.top_k;
    if (SL_MUTANT(shared_counted_in_level) && live && job->map.shared > 0 && pass->call.counters)
        slc_add((int64_t *)&pass->call.counters[(job->map.rank + 1) * job->map.slots - 1], 1);
    for (int32_t j = 0; j < job->map.shared; j++) {
        int32_t rank = live ? slc_shared_rank(pass, t, v, j, home) : -1;
        if (job->dispatch_ids.data)
            slc_put_id(&job->dispatch_ids, t, top_k + j,
                       live ? rank * job->map.local + job->map.slots + j : -1);
        if (job->dispatch_weights.data && !pass->balance.by_copy)
            job->dispatch_weights.data[t * job->dispatch_weights.stride + top_k + j] =
                live ? slc_shared_weight(job, t, j) : 0.0f;
    }
    if (job->zero_here.data && !pass->balance.by_copy)
        job->zero_here.data[t * job->zero_here.stride] =
            home == job->map.rank ? job->in_zero.data[t * job->in_zero.stride] : 0.0f;
}

SLC_DEVICE void slc_place_rows(const struct slc_balance_pass *pass, const struct slc_tile *at,
                               int32_t tile)
{
    int64_t v = *slc_tile_valid(pass, tile);
    struct slc_homes homes = slc_homes_of(&pass->job);
    for (int32_t base = 0; base < at->rows; base += SLC_WARP) {
        int32_t i = base + slc_thread_lane();
        bool live = i < at->rows && slc_row_live(&pass->job, at->first + i);
        uint32_t lives = __ballot_sync(SLC_ALL, live);
        if (i < at->rows)
            slc_place_shared(pass, &homes, at->first + i, live,
                             v + __popc(lives & slc_lanes_below()));
        v += __popc(lives);
    }
}

extern "C" __global__ void __launch_bounds__(SLC_PLACE_THREADS, 1)
    slc_balance_place(const __grid_constant__ struct slc_balance_pass pass)
{
    int32_t warps = (int32_t)(blockDim.x / SLC_WARP), warp = (int32_t)threadIdx.x / SLC_WARP;
    int32_t tile = (int32_t)blockIdx.x * warps + warp;
    if (tile >= pass.call.tile_count)
        return;
    struct slc_tile at = slc_tile_of(&pass, tile);
    if (!pass.balance.by_copy)
        slc_place_choices(&pass, &at, tile,
                          (int32_t *)(void *)slc_shared + warp * pass.balance.entries);
    __syncwarp();
    if (pass.job.map.shared > 0 || pass.job.zero_here.data)
        slc_place_rows(&pass, &at, tile);
}

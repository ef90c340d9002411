/* SPDX-License-Identifier: Apache-2.0
 * Counts a call's choices by entry, a warp to a tile of rows; the last block turns the tiles'
 * counts into sums over the tiles before, so that each warp of the next pass knows how often an
 * expert was chosen before its rows. */
#include "block_meet.cuh"
#include "warp_tile.cuh"

/* Copies are chosen from experts: ids without one are counted as remap does. */
SLC_DEVICE void slc_count_expert(const struct slc_balance_pass *pass, int64_t id, int32_t *bins)
{
    const struct slc_job *job = &pass->job;
    int32_t entry = slc_entry_of(&job->map, id);
    if (job->map.chosen[entry] >= 0)
        atomicAdd(&bins[entry], 1);
    else if (entry < job->map.experts)
        atomicAdd((slc_u64 *)job->dead, 1ULL);
    else if (id != -1)
        atomicAdd((slc_u64 *)job->rejected, 1ULL);
}

SLC_DEVICE void slc_count_tile(const struct slc_balance_pass *pass, int32_t tile, int32_t *bins)
{
    const struct slc_balance *balance = &pass->balance;
    int32_t entries = balance->entries, lane = slc_thread_lane(), valid = 0;
    struct slc_tile at = slc_tile_of(pass, tile);
    for (int32_t e = lane; e < entries && !balance->by_copy; e += SLC_WARP)
        bins[e] = 0;
    __syncwarp();
    struct slc_cell cell = slc_first_cell(&pass->job);
    for (; cell.row < at.rows && !pass->call.drawn; slc_next_cell(&pass->job, &cell)) {
        int64_t t = at.first + cell.row;
        if (!slc_row_live(&pass->job, t))
            continue;
        int64_t id = sl_id_at(&pass->job.in_ids, t, cell.column);
        if (!balance->by_copy)
            slc_count_expert(pass, id, bins);
        else if (id >= 0)
            atomicAdd(&pass->call.own[slc_physical_of(pass, id)], 1);
    }
    for (int32_t base = 0; base < at.rows; base += SLC_WARP)
        valid += __popc(__ballot_sync(
            SLC_ALL, base + lane < at.rows && slc_row_live(&pass->job, at.first + base + lane)));
    __syncwarp();
    int32_t *counts = slc_tile_counts(pass, tile);
    for (int32_t e = lane; e < entries && !balance->by_copy; e += SLC_WARP)
        counts[e] = bins[e];
    if (lane == 0)
        *slc_tile_valid(pass, tile) = valid;
}

/* One entry's counts become sums, in pieces whose loads do not wait for each other. */
SLC_DEVICE void slc_sum_tiles(const struct slc_balance_pass *pass, int32_t e)
{
    enum { PIECE = 8 };
    int32_t width = pass->balance.by_copy ? 1 : pass->balance.entries + 1, sum = 0;
    int32_t tiles = pass->call.tile_count;
    volatile int32_t *counts = pass->call.tiles + (pass->balance.by_copy ? 0 : e);
    for (int32_t base = 0; base < tiles; base += PIECE) {
        int32_t part[PIECE];
#pragma unroll
        for (int32_t i = 0; i < PIECE; i++)
            part[i] = base + i < tiles ? counts[(int64_t)(base + i) * width] : 0;
#pragma unroll
        for (int32_t i = 0; i < PIECE; i++) {
            if (base + i < tiles)
                counts[(int64_t)(base + i) * width] = sum;
            sum += part[i];
        }
    }
    pass->call.own[e] = sum;
}

/* What the first pass of a call without ids has counted; where another policy picks copies also
 * for the load. */
SLC_DEVICE void slc_take_drawn(const struct slc_balance_pass *pass, int32_t e)
{
    const struct slc_balance *balance = &pass->balance;
    int32_t begin = balance->by_copy ? e : balance->start[e];
    int32_t end = balance->by_copy ? e + 1 : balance->start[e + 1];
    uint64_t drawn = 0;
    for (int32_t c = begin; c < end; c++)
        drawn += pass->call.drawn[balance->by_copy ? c : balance->copies[c]];
    pass->call.own[e] = (int32_t)drawn;
    if (balance->by_copy && pass->call.counters && drawn > 0)
        atomicAdd((slc_u64 *)&pass->call.counters[e], (slc_u64)drawn);
}

extern "C" __global__ void __launch_bounds__(SLC_BALANCE_THREADS)
    slc_balance_count(const __grid_constant__ struct slc_balance_pass pass)
{
    __shared__ uint32_t last;
    int32_t warps = (int32_t)(blockDim.x / SLC_WARP), warp = (int32_t)threadIdx.x / SLC_WARP;
    int32_t tile = (int32_t)blockIdx.x * warps + warp, entries = pass.balance.entries;
    if (blockIdx.x == 0)
        slc_meet_begin(&pass.meet);
    if (tile < pass.call.tile_count)
        slc_count_tile(&pass, tile, (int32_t *)(void *)slc_shared + warp * entries);
    if (!slc_last_block(pass.call.finished, &last))
        return;
    for (int32_t e = (int32_t)threadIdx.x + (pass.balance.by_copy ? entries : 0); e <= entries;
         e += (int32_t)blockDim.x)
        slc_sum_tiles(&pass, e);
    SLC_EACH_OF(e, pass.call.drawn ? entries : 0)
    slc_take_drawn(&pass, e);
}

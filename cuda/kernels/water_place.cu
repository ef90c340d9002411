/* SPDX-License-Identifier: Apache-2.0
 * Gives the shared columns of a call their ranks. Where every rank is a candidate and where they
 * are the source and those that the row visits, a lane takes a row. */
#include "block_water.cuh"

/* Source and row in 32 bits, so that neighbours spread. */
SLC_DEVICE uint32_t slc_water_seed(const struct slc_water *water, int64_t t)
{
    uint32_t mixed = (uint32_t)t ^ (uint32_t)water->job.map.rank * 0x9E3779B9U;
    return mixed * 1664525U + 1013904223U;
}

/* seed mod total, total > 0. */
SLC_DEVICE int64_t slc_water_pick(uint32_t seed, int64_t total)
{
    return total >> 32 ? (int64_t)seed : (int64_t)(seed % (uint32_t)total);
}

SLC_DEVICE void slc_move_shared(const struct slc_job *job, int64_t t, int32_t rank)
{
    int32_t slot = rank * job->map.local + job->map.slots;
    for (int32_t j = 0; j < job->map.shared; j++)
        slc_put_id(&job->dispatch_ids, t, job->rule.top_k + j, slot + j);
}

/* First rank whose running sum is beyond the pick. */
SLC_DEVICE int32_t slc_find_rank(const struct slc_water *water, int64_t pick)
{
    int32_t low = 0, high = water->job.map.ranks - 1;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (water->line[middle] > pick)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

SLC_DEVICE void slc_place_any(const struct slc_water *water, int64_t t)
{
    const struct slc_job *job = &water->job;
    if (t >= job->rows || sl_id_at(&job->dispatch_ids, t, job->rule.top_k) < 0)
        return;
    int32_t rank = water->plan->full;
    if (rank < 0)
        rank = slc_find_rank(
            water, slc_water_pick(slc_water_seed(water, t), water->line[job->map.ranks - 1]));
    slc_move_shared(job, t, rank);
}

/* ------------------------------------------------------------ candidates: ranks that are visited
 *
 * Choices come to shared memory as ranks, -1: none; then a lane takes a row. */

/* Ranks of the choices of the rows from `first` on, `rows` of them, K + 1 apart: an odd number of
 * words for the usual K, so that lanes do not meet in a bank. */
SLC_DEVICE void slc_bring_ranks(const struct slc_water *water, int64_t first, int32_t rows,
                                int32_t *ranks)
{
    const struct slc_job *job = &water->job;
    int32_t top_k = job->rule.top_k, row = slc_thread_lane() / top_k;
    int32_t k = slc_thread_lane() - row * top_k, down = SLC_WARP / top_k;
    int32_t right = SLC_WARP - down * top_k;
    while (row < rows) {
        int32_t slot = (int32_t)sl_id_at(&job->dispatch_ids, first + row, k);
        ranks[row * (top_k + 1) + k] = slot < 0 ? -1 : slot / job->map.local;
        row += down;
        k += right;
        if (k >= top_k) {
            k -= top_k;
            row++;
        }
    }
}

/* The next higher of a row's ranks and the source; -1: none. */
SLC_DEVICE int32_t slc_next_rank(const int32_t *ranks, int32_t top_k, int32_t source, int32_t last)
{
    uint32_t next = source > last ? (uint32_t)source : UINT32_MAX;
    for (int32_t k = 0; k < top_k; k++) {
        uint32_t rank = ranks[k] > last ? (uint32_t)ranks[k] : UINT32_MAX;
        next = rank < next ? rank : next;
    }
    return (int32_t)next;
}

/* The rooms of the source and of each rank of the row, once. */
SLC_DEVICE int64_t slc_row_total(const struct slc_water *water, const int32_t *ranks)
{
    int32_t source = water->job.map.rank;
    int64_t total = water->rooms[source];
    for (int32_t k = 0; k < water->job.rule.top_k; k++) {
        bool known = ranks[k] < 0 || ranks[k] == source;
        for (int32_t j = 0; j < k; j++)
            known = known || ranks[j] == ranks[k];
        total += known ? 0 : water->rooms[ranks[k]];
    }
    return total;
}

/* No candidate has room: over the row's columns to each rank that is lighter than the best. */
SLC_DEVICE int32_t slc_walk_row(const struct slc_water *water, const int32_t *ranks)
{
    int32_t best = water->job.map.rank;
    for (int32_t k = 0; k < water->job.rule.top_k; k++)
        if (ranks[k] >= 0 && slc_lighter(water->line[ranks[k]], water->line[best]))
            best = ranks[k];
    return best;
}

/* The candidate of row t. */
SLC_DEVICE int32_t slc_choose_visited(const struct slc_water *water, int64_t t,
                                      const int32_t *ranks)
{
    int64_t total = slc_row_total(water, ranks);
    if (total == 0)
        return slc_walk_row(water, ranks);
    int64_t pick = slc_water_pick(slc_water_seed(water, t), total);
    int32_t rank = -1;
    while (pick >= 0) {
        rank = slc_next_rank(ranks, water->job.rule.top_k, water->job.map.rank, rank);
        pick -= water->rooms[rank];
    }
    return rank;
}

/* The same with at most 32 ranks: candidates are bits. */
SLC_DEVICE int32_t slc_choose_among_few(const struct slc_water *water, int64_t t,
                                        const int32_t *ranks)
{
    uint32_t bits = 1U << water->job.map.rank;
    int64_t total = 0;
    for (int32_t k = 0; k < water->job.rule.top_k; k++)
        bits |= ranks[k] < 0 ? 0 : 1U << ranks[k];
    for (uint32_t left = bits; left; left &= left - 1)
        total += water->rooms[__ffs((int32_t)left) - 1];
    if (total == 0)
        return slc_walk_row(water, ranks);
    int64_t pick = slc_water_pick(slc_water_seed(water, t), total);
    int32_t rank = -1;
    for (; pick >= 0; bits &= bits - 1) {
        rank = __ffs((int32_t)bits) - 1;
        pick -= water->rooms[rank];
    }
    return rank;
}

SLC_DEVICE void slc_place_visited(const struct slc_water *water, int64_t t, const int32_t *ranks)
{
    const struct slc_job *job = &water->job;
    if (sl_id_at(&job->dispatch_ids, t, job->rule.top_k) < 0)
        return;
    int32_t rank = job->map.ranks <= 32 ? slc_choose_among_few(water, t, ranks)
                                        : slc_choose_visited(water, t, ranks);
    slc_move_shared(job, t, rank);
}

SLC_DEVICE void slc_place_rows_visited(const struct slc_water *water, int64_t first, int32_t *ranks)
{
    int32_t rows = (int32_t)slc_least(water->job.rows - first, SLC_WARP);
    slc_bring_ranks(water, first, rows, ranks);
    __syncwarp();
    if (slc_thread_lane() < rows)
        slc_place_visited(water, first + slc_thread_lane(),
                          ranks + slc_thread_lane() * (water->job.rule.top_k + 1));
}

extern "C" __global__ void __launch_bounds__(SLC_WATER_THREADS)
    slc_water_place(const __grid_constant__ struct slc_water water)
{
    int32_t warp = (int32_t)threadIdx.x / SLC_WARP;
    int64_t first = ((int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + warp) * SLC_WARP;
    if (water.plan->all)
        slc_place_any(&water, first + slc_thread_lane());
    else if (first < water.job.rows)
        slc_place_rows_visited(&water, first,
                               (int32_t *)(void *)slc_shared +
                                   warp * SLC_WARP * (water.job.rule.top_k + 1));
}

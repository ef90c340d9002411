/* SPDX-License-Identifier: Apache-2.0
 * Gives the shared columns of a call their ranks. Where every rank is a candidate a lane takes a
 * row; else the lanes of a row have its choices. */
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

/* ------------------------------------------------------------- candidates: ranks that are visited */

/* One of a row's choices, of two a lane. */
struct slc_choice {
    int32_t rank; /* -1: none */
    int64_t load, room;
    int64_t before; /* rooms of the row's candidates on lower ranks */
};

SLC_DEVICE int64_t slc_row_from(const struct slc_water *water, int64_t x, int32_t k)
{
    int32_t first = slc_thread_lane() & ~(water->width - 1);
    return slc_warp_from(x, first + k);
}

SLC_DEVICE int32_t slc_row_rank(const struct slc_water *water, int32_t x, int32_t k)
{
    int32_t first = slc_thread_lane() & ~(water->width - 1);
    return __shfl_sync(SLC_ALL, x, first + k);
}

SLC_DEVICE void slc_read_choices(const struct slc_water *water, int64_t t, bool live,
                                 struct slc_choice *choice)
{
    const struct slc_job *job = &water->job;
    int32_t k = slc_thread_lane() & (water->width - 1);
    for (int32_t i = 0; i < 2; i++, k += water->width) {
        int64_t slot = live && k < job->rule.top_k ? sl_id_at(&job->dispatch_ids, t, k) : -1;
        choice[i].rank = slot < 0 ? -1 : (int32_t)slot / job->map.local;
        choice[i].load = slot < 0 ? 0 : water->line[choice[i].rank];
        choice[i].room = slot < 0 || choice[i].rank == job->map.rank
                             ? 0 /* the source is a candidate by itself */
                             : slc_water_room(water->plan->target, choice[i].load, false);
        choice[i].before = 0;
    }
}

/* Of equal ranks the first column is the candidate. */
SLC_DEVICE void slc_drop_equals(const struct slc_water *water, struct slc_choice *choice)
{
    int32_t own = slc_thread_lane() & (water->width - 1);
    for (int32_t k = 0; k < water->job.rule.top_k; k++) {
        int32_t from = k & (water->width - 1), which = k >= water->width;
        int32_t rank = slc_row_rank(water, which ? choice[1].rank : choice[0].rank, from);
        for (int32_t i = 0; i < 2; i++)
            if (choice[i].rank == rank && k < own + i * water->width)
                choice[i].room = 0;
    }
}

/* Sums: total of the row, and what lies before the source and before each choice. */
SLC_DEVICE int64_t slc_line_up(const struct slc_water *water, int64_t home, int64_t *before_home,
                               struct slc_choice *choice)
{
    int64_t total = home;
    int32_t source = water->job.map.rank;
    *before_home = 0;
    for (int32_t k = 0; k < water->job.rule.top_k; k++) {
        int32_t from = k & (water->width - 1), which = k >= water->width;
        int32_t rank = slc_row_rank(water, which ? choice[1].rank : choice[0].rank, from);
        int64_t room = slc_row_from(water, which ? choice[1].room : choice[0].room, from);
        total += room;
        *before_home += rank < source ? room : 0;
        for (int32_t i = 0; i < 2; i++)
            choice[i].before += rank < choice[i].rank ? room : 0;
    }
    for (int32_t i = 0; i < 2; i++)
        choice[i].before += source < choice[i].rank ? home : 0;
    return total;
}

/* No candidate has room: over the row's columns to each rank that is lighter than the best. */
SLC_DEVICE int32_t slc_walk_row(const struct slc_water *water, const struct slc_choice *choice)
{
    int32_t best = water->job.map.rank;
    int64_t load = water->line[best];
    for (int32_t k = 0; k < water->job.rule.top_k; k++) {
        int32_t from = k & (water->width - 1), which = k >= water->width;
        int32_t rank = slc_row_rank(water, which ? choice[1].rank : choice[0].rank, from);
        int64_t own = slc_row_from(water, which ? choice[1].load : choice[0].load, from);
        if (rank >= 0 && slc_lighter(own, load)) {
            best = rank;
            load = own;
        }
    }
    return best;
}

SLC_DEVICE void slc_place_visited(const struct slc_water *water, int64_t t)
{
    const struct slc_job *job = &water->job;
    struct slc_choice choice[2];
    int32_t source = job->map.rank;
    bool live = t < job->rows && sl_id_at(&job->dispatch_ids, t, job->rule.top_k) >= 0;
    int64_t home = slc_water_room(water->plan->target, water->line[source], true), before_home;
    slc_read_choices(water, t, live, choice);
    slc_drop_equals(water, choice);
    int64_t total = slc_line_up(water, home, &before_home, choice);
    int32_t rank = -1;
    if (total > 0) {
        int64_t pick = slc_water_pick(slc_water_seed(water, t), total);
        if (pick >= before_home && pick < before_home + home)
            rank = source;
        for (int32_t i = 0; i < 2; i++)
            if (pick >= choice[i].before && pick < choice[i].before + choice[i].room)
                rank = choice[i].rank;
    }
    if (__ballot_sync(SLC_ALL, live && total == 0)) {
        int32_t walked = slc_walk_row(water, choice);
        rank = total == 0 ? walked : rank;
    }
    /* the lane whose choice it is; what all lanes of a row know the first writes */
    bool known = total == 0 || (rank == source && rank >= 0);
    bool first = (slc_thread_lane() & (water->width - 1)) == 0;
    if (live && rank >= 0 && (!known || first))
        slc_move_shared(job, t, rank);
}

extern "C" __global__ void __launch_bounds__(SLC_WATER_THREADS)
    slc_water_place(const __grid_constant__ struct slc_water water)
{
    int64_t warp = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + threadIdx.x / SLC_WARP;
    int64_t first = warp * water.rows;
    if (water.plan->all) {
        for (int32_t i = slc_thread_lane(); i < water.rows; i += SLC_WARP)
            slc_place_any(&water, first + i);
        return;
    }
    for (int32_t i = 0; i < water.rows; i += SLC_WARP / water.width)
        slc_place_visited(&water, first + i + slc_thread_lane() / water.width);
}

/* SPDX-License-Identifier: Apache-2.0
 * The objective COST: the better of the two others' answers, and moves that shorten the slowest
 * rank's time (src/core/sl_balance.h says which). A warp tries a move at a time, its lanes looking
 * at ranks; the first of the best ones is made. */
#ifndef SLC_BLOCK_SHIFT_CUH
#define SLC_BLOCK_SHIFT_CUH

#include "block_cost.cuh"

enum { SLC_MOST_SHIFTS = 64 };

/* The slowest rank's time, how many ranks take it, and the lowest of them, once `shift` is made,
 * the at-th of all that are tried. */
struct slc_slow {
    int64_t time;
    int32_t count, rank;
    uint32_t at;
    struct slc_shift shift;
};

/* The slowest of the lanes' ranks. */
SLC_DEVICE void slc_slowest_lane(struct slc_slow *slow)
{
    uint32_t high = (uint32_t)((uint64_t)slow->time >> 32), low = (uint32_t)slow->time;
    uint32_t most = __reduce_max_sync(SLC_ALL, high);
    low = __reduce_max_sync(SLC_ALL, high == most ? low : 0);
    int64_t time = (int64_t)((uint64_t)most << 32 | low);
    bool mine = slow->time == time;
    slow->time = time;
    slow->count = (int32_t)__reduce_add_sync(SLC_ALL, mine ? (uint32_t)slow->count : 0U);
    slow->rank = (int32_t)__reduce_min_sync(SLC_ALL, mine ? (uint32_t)slow->rank : UINT32_MAX);
}

SLC_DEVICE void slc_look_at_time(struct slc_slow *slow, int32_t r, int64_t time)
{
    if (time > slow->time) {
        slow->time = time;
        slow->count = 0;
        slow->rank = r;
    }
    slow->count += time == slow->time;
}

/* One warp: of the answer as it is. */
SLC_DEVICE struct slc_slow slc_slowest(const struct slc_cost *cost)
{
    const struct slc_balance *job = cost->flow->job;
    struct slc_slow slow = {0, 0, job->ranks, UINT32_MAX, {0, 0, 0, 0, 0, 0}};
    for (int32_t r = slc_thread_lane(); r < job->ranks; r += SLC_WARP) {
        if (cost->flow->source_of[r] == -2)
            continue;
        slow.rank = slow.count == 0 ? r : slow.rank;
        slc_look_at_time(
            &slow, r, slc_time_of(&job->costs, cost->rows[r], cost->experts[r], cost->traffic[r]));
    }
    slc_slowest_lane(&slow);
    return slow;
}

/* -------------------------------------------------------------------------------------- a move */

/* Of the two nodes that a move touches: as it was, and as it is once the move is made. */
struct slc_two_nodes {
    int32_t count;
    struct slc_near was[2], is[2];
};

SLC_DEVICE void slc_two_nodes_of(const struct slc_cost *cost, const struct slc_shift *shift,
                                 struct slc_two_nodes *nodes)
{
    const struct slc_balance *job = cost->flow->job;
    const struct slc_shift none = {shift->expert, -1, -1, -1, -1, 0};
    int32_t from = job->leader[shift->from_rank], to = job->leader[shift->to_rank];
    nodes->count = !job->nodes ? 0 : from == to ? 1 : 2;
#pragma unroll
    for (int32_t i = 0; i < 2; i++)
        if (i < nodes->count) {
            nodes->was[i] = slc_near_of(cost, &none, i == 0 ? from : to);
            nodes->is[i] = slc_near_of(cost, shift, i == 0 ? from : to);
        }
}

/* How much more the ways of the lane's rank r cost. The next 32 ranks. */
SLC_DEVICE int64_t slc_more_ways(const struct slc_cost *cost, const struct slc_shift *shift,
                                 struct slc_two_nodes *nodes, int32_t r)
{
    const struct slc_balance *job = cost->flow->job;
    const struct slc_shift none = {shift->expert, -1, -1, -1, -1, 0};
    bool there = r < job->ranks;
    int64_t was = there ? slc_gives(cost, &none, r) : 0;
    int64_t is = there ? slc_gives(cost, shift, r) : 0, near = 0;
#pragma unroll
    for (int32_t i = 0; i < 2; i++)
        if (i < nodes->count) {
            bool here = there && job->leader[r] == nodes->was[i].node;
            near += slc_near_part(&nodes->is[i], here ? is : 0);
            near -= slc_near_part(&nodes->was[i], here ? was : 0);
        }
    return slc_ways(job, is) - slc_ways(job, was) + near * (job->costs.near_ps - job->costs.far_ps);
}

/* One warp, of a held expert: the slowest once the move is made; `make` it, but for its units. */
SLC_DEVICE struct slc_slow slc_weigh_shift(const struct slc_cost *cost,
                                           const struct slc_shift *shift, bool make)
{
    const struct slc_balance *job = cost->flow->job;
    struct slc_slow slow = {0, 0, job->ranks, 0, *shift};
    struct slc_two_nodes nodes;
    int32_t gone = cost->flow->units[shift->from] == shift->units;
    int32_t fresh = cost->flow->units[shift->to] == 0;
    if (cost->ways)
        slc_two_nodes_of(cost, shift, &nodes);
    for (int32_t base = 0; base < job->ranks; base += SLC_WARP) {
        int32_t r = base + slc_thread_lane();
        int64_t ways = cost->ways ? slc_more_ways(cost, shift, &nodes, r) : 0;
        if (r >= job->ranks || cost->flow->source_of[r] == -2)
            continue;
        bool from = r == shift->from_rank, to = r == shift->to_rank;
        int64_t rows = cost->rows[r] + (to ? shift->units : 0) - (from ? shift->units : 0);
        int64_t experts = cost->experts[r] + (to ? fresh : 0) - (from ? gone : 0);
        int64_t traffic = cost->traffic[r] + ways;
        slow.rank = slow.count == 0 ? r : slow.rank;
        slc_look_at_time(&slow, r, slc_time_of(&job->costs, rows, experts, traffic));
        if (make) {
            cost->rows[r] = rows;
            cost->experts[r] = experts;
            cost->traffic[r] = traffic;
        }
    }
    __syncwarp();
    slc_slowest_lane(&slow);
    return slow;
}

/* -------------------------------------------------------------------------------- all of them */

SLC_DEVICE bool slc_shorter(const struct slc_slow *a, const struct slc_slow *b)
{
    if (a->time != b->time)
        return a->time < b->time;
    return a->count != b->count ? a->count < b->count : a->at < b->at;
}

/* The pair's two amounts: all of it, or half of what the two ranks' times differ by in rows. */
SLC_DEVICE void slc_try_pair(const struct slc_cost *cost, const struct slc_slow *now,
                             struct slc_shift *shift, uint32_t pair, struct slc_slow *best)
{
    const struct slc_costs *costs = &cost->flow->job->costs;
    int32_t to = shift->to_rank;
    int64_t held = cost->flow->units[shift->from];
    int64_t apart =
        now->time - slc_time_of(costs, cost->rows[to], cost->experts[to], cost->traffic[to]);
    int64_t half = apart / slc_most(costs->row_ps, 1) / 2;
    for (uint32_t i = 0; i < 2; i++) {
        shift->units = i == 0 ? held : half;
        if (shift->units <= 0 || shift->units > held)
            continue;
        struct slc_slow slow = slc_weigh_shift(cost, shift, false);
        slow.at = 2 * pair + i;
        if (slow.time < now->time || (slow.time == now->time && slow.count < now->count))
            *best = slc_shorter(&slow, best) ? slow : *best;
    }
}

/* All moves from copy c; this warp's turn is every blockDim / 32 pairs. */
SLC_DEVICE void slc_try_copy(const struct slc_cost *cost, const struct slc_slow *now, int32_t c,
                             uint32_t *pair, struct slc_slow *best)
{
    const struct slc_balance *job = cost->flow->job;
    int32_t e = cost->flow->expert_of[c];
    uint32_t warps = blockDim.x / SLC_WARP, warp = threadIdx.x / SLC_WARP;
    bool held = !cost->ways;
    for (int32_t to = job->start[e]; to < job->start[e + 1]; to++) {
        struct slc_shift shift = {e, c, to, now->rank, slc_copy_rank(job, to), 0};
        if (shift.to_rank == now->rank)
            continue;
        bool mine = *pair % warps == warp;
        if (mine && !held) {
            slc_hold_expert(cost, e);
            held = true;
        }
        if (mine)
            slc_try_pair(cost, now, &shift, *pair, best);
        ++*pair;
    }
}

/* All moves from the slowest rank: the best of this warp's, which is none where none helps. */
SLC_DEVICE struct slc_slow slc_try_all(const struct slc_cost *cost, const struct slc_slow *now)
{
    const struct slc_balance *job = cost->flow->job;
    int32_t copies = job->start[job->entries];
    struct slc_slow best = *now;
    uint32_t pair = 0;
    for (int32_t base = 0; base < copies; base += SLC_WARP) {
        int32_t c = base + slc_thread_lane();
        uint32_t found = __ballot_sync(SLC_ALL, c < copies && slc_copy_rank(job, c) == now->rank &&
                                                    cost->flow->units[c] > 0);
        for (; found; found &= found - 1)
            slc_try_copy(cost, now, base + __ffs((int32_t)found) - 1, &pair, &best);
    }
    return best;
}

/* One warp. */
SLC_DEVICE void slc_make_shift(const struct slc_cost *cost, const struct slc_shift *shift)
{
    if (cost->ways)
        slc_hold_expert(cost, shift->expert);
    (void)slc_weigh_shift(cost, shift, true);
    __syncwarp();
    if (slc_thread_lane() == 0) {
        cost->flow->units[shift->from] -= shift->units;
        cost->flow->units[shift->to] += shift->units;
    }
}

/* From the answer that is counted up. All threads come here. */
SLC_DEVICE void slc_improve(const struct slc_cost *cost)
{
    __shared__ struct slc_slow bests[SLC_BALANCE_WARPS];
    int32_t warp = (int32_t)threadIdx.x / SLC_WARP, warps = (int32_t)blockDim.x / SLC_WARP;
    for (int32_t i = 0; i < SLC_MOST_SHIFTS; i++) {
        struct slc_slow now = slc_slowest(cost), best = slc_try_all(cost, &now);
        if (slc_thread_lane() == 0)
            bests[warp] = best;
        __syncthreads();
        best = bests[0];
        for (int32_t w = 1; w < warps; w++)
            best = slc_shorter(&bests[w], &best) ? bests[w] : best;
        if (best.shift.units == 0)
            break;
        if (warp == 0)
            slc_make_shift(cost, &best.shift);
        __syncthreads();
    }
}

/* --------------------------------------------------------------------------------- the solver */

/* Shared columns that stay at home: the rooms are what they need. */
SLC_DEVICE int64_t slc_stay(const struct slc_flow *flow, bool ones)
{
    (void)slc_set_base(flow, ones);
    SLC_EACH_OF(i, flow->living)
    {
        int32_t r = flow->job->living[1 + i];
        flow->rank_load[r] = -flow->rank_load[r];
    }
    return 0;
}

/* EXPERTS' answer to the side: left has what its copies serve, serves its columns. z: as
 * slc_flow_run. */
SLC_DEVICE void slc_put_aside(const struct slc_cost *cost, int64_t z)
{
    const struct slc_flow *flow = cost->flow;
    const struct slc_balance *job = flow->job;
    SLC_EACH_OF(e, job->entries)
    for (int32_t c = slc_copy_begin(job, e); c < slc_copy_end(flow, e); c++)
        flow->left[c] = flow->units[c] * flow->load[e];
    if (job->shared > 0 && threadIdx.x < SLC_WARP) {
        slc_serve_columns(flow, z);
        __syncwarp();
        for (int32_t r = slc_thread_lane(); r < job->ranks; r += SLC_WARP)
            cost->serves[r] = flow->rank_level[r];
    }
    __syncthreads();
}

/* EXPERTS' answer, then that of TOKENS. Gives z of the latter. */
SLC_DEVICE int64_t slc_solve_both(struct slc_flow *flow, const struct slc_cost *cost,
                                  struct slc_flow_numbers *numbers)
{
    int64_t z = 0;
#pragma unroll 1
    for (int32_t turn = 0; turn < 2; turn++) {
        bool ones = turn == 0;
        if (threadIdx.x == 0)
            numbers->sum = 0;
        slc_look_at_ranks(flow, numbers);
        if (ones)
            slc_add_up(flow);
        __syncthreads();
        slc_fold(flow, numbers, ones);
        z = slc_flow_run(flow, numbers, ones);
        __syncthreads();
        if (!flow->job->level && flow->job->shared > 0)
            z = slc_stay(flow, ones);
        __syncthreads();
        if (ones)
            slc_put_aside(cost, z);
    }
    return z;
}

SLC_DEVICE void slc_swap_answers(const struct slc_flow *flow)
{
    const struct slc_balance *job = flow->job;
    SLC_EACH_OF(c, job->by_copy ? 0 : job->start[job->entries])
    {
        int64_t held = flow->units[c];
        flow->units[c] = flow->left[c];
        flow->left[c] = held;
    }
    __syncthreads();
}

/* Counts up the better of the two, that of TOKENS where they are equal; is it EXPERTS'? */
SLC_DEVICE bool slc_take_better(const struct slc_cost *cost, int64_t z,
                                struct slc_flow_numbers *numbers)
{
    int64_t by_rows = 0;
#pragma unroll 1
    for (int32_t turn = 0;; turn++) {
        slc_count_up(cost, turn == 1, z, numbers);
        int64_t time = slc_slowest(cost).time;
        bool shorter = time < by_rows && !SL_MUTANT(balance_cost_by_rows);
        if (turn == 2 || (turn == 1 && shorter))
            return turn == 1;
        by_rows = time;
        slc_swap_answers(cost->flow);
    }
}

/* All threads of one block come here. */
SLC_DEVICE void slc_solve_cost(const struct slc_balance *job, void *shared)
{
    __shared__ struct slc_flow_numbers numbers;
    struct slc_flow flow;
    struct slc_cost cost;
    slc_flow_bind(&flow, job, job->scratch ? job->scratch : shared);
    slc_cost_bind(&cost, &flow);
    int64_t z = slc_solve_both(&flow, &cost, &numbers);
    bool ones = slc_take_better(&cost, z, &numbers);
    if (!job->by_copy && !SL_MUTANT(balance_cost_by_rows))
        slc_improve(&cost);
    __syncthreads();
    SLC_EACH_OF(e, job->by_copy ? 0 : job->entries)
    slc_split_expert(&flow, e);
    if (!slc_begin_columns(&flow, ones, z, &numbers))
        return;
    SLC_EACH_OF(r, job->ranks)
    flow.rank_level[r] = cost.serves[r];
    __syncthreads();
    if (threadIdx.x < SLC_WARP && sl_id_at(&job->counts, flow.own, job->entries) > 0)
        slc_choose_servers(&flow);
}

#endif

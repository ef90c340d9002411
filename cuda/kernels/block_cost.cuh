/* SPDX-License-Identifier: Apache-2.0
 * What an answer costs each rank under the objective COST (src/core/balance_cost.c), to the same
 * integers. Who takes whose does not matter here, only how much stays at its rank and in its node:
 * of an expert a rank gives what it chose beyond what it serves, or gets what it serves beyond what
 * it chose, and a node's ranks give each other as much as the lesser of the two in all. Where one
 * of them is more, that is shared out by rising rank. */
#ifndef SLC_BLOCK_COST_CUH
#define SLC_BLOCK_COST_CUH

#include "block_solve.cuh"

struct slc_cost {
    const struct slc_flow *flow;
    int64_t *rows, *experts, *traffic; /* [ranks] of the answer as it is */
    int64_t *columns;                  /* [ranks] */
    int64_t *held;         /* [ranks] a warp's own: what each rank serves of an expert */
    int64_t *gives, *left; /* [ranks] of shared columns; where held are */
    int32_t *serves;       /* [ranks] EXPERTS: bit j: it serves shared expert j */
    int32_t ways;          /* a token's way costs something */
};

/* `units` of an expert go from a copy to another. */
struct slc_shift {
    int32_t expert, from, to, from_rank, to_rank;
    int64_t units;
};

SLC_DEVICE void slc_cost_bind(struct slc_cost *cost, const struct slc_flow *flow)
{
    const struct slc_balance *job = flow->job;
    int32_t ranks = job->ranks, warp = (int32_t)threadIdx.x / SLC_WARP;
    cost->flow = flow;
    cost->rows = flow->apart[0];
    cost->experts = flow->apart[1];
    cost->traffic = flow->apart[2];
    cost->columns = flow->apart[3];
    cost->held = (int64_t *)job->cost_scratch + warp * ranks;
    cost->gives = (int64_t *)job->cost_scratch;
    cost->left = cost->gives + ranks;
    cost->serves = (int32_t *)((int64_t *)job->cost_scratch + SLC_BALANCE_WARPS * ranks);
    cost->ways = job->rank >= 0 && (job->costs.near_ps > 0 || job->costs.far_ps > 0);
}

SLC_DEVICE int64_t slc_positive(int64_t x)
{
    return x > 0 ? x : 0;
}

SLC_DEVICE int64_t slc_time_of(const struct slc_costs *costs, int64_t rows, int64_t experts,
                               int64_t traffic)
{
    int64_t reads = experts * costs->expert_ps, computes = rows * costs->row_ps;
    return (costs->add ? reads + computes : slc_most(reads, computes)) + traffic;
}

/* ------------------------------------------------------------------------------ one expert's ways
 *
 * By one warp; a lane has a rank. */

SLC_DEVICE void slc_hold_expert(const struct slc_cost *cost, int32_t e)
{
    const struct slc_balance *job = cost->flow->job;
    int32_t end = slc_copy_end(cost->flow, e);
    for (int32_t r = slc_thread_lane(); r < job->ranks; r += SLC_WARP)
        cost->held[r] = 0;
    __syncwarp();
    for (int32_t c = slc_copy_begin(job, e) + slc_thread_lane(); c < end; c += SLC_WARP)
        slc_add(&cost->held[slc_copy_rank(job, c)], cost->flow->units[c]);
    __syncwarp();
}

/* What rank r gives of a held expert once `shift` is made; negative: gets. */
SLC_DEVICE int64_t slc_gives(const struct slc_cost *cost, const struct slc_shift *shift, int32_t r)
{
    int32_t s = cost->flow->source_of[r];
    int64_t gives = s >= 0 ? sl_id_at(&cost->flow->job->counts, s, shift->expert) : 0;
    gives += r == shift->from_rank ? shift->units : 0;
    return gives - cost->held[r] - (r == shift->to_rank ? shift->units : 0);
}

/* What stays in a node. */
struct slc_near {
    int32_t node, more; /* more: 1: its ranks give more than they get */
    int64_t limit, before;
};

SLC_DEVICE struct slc_near slc_near_of(const struct slc_cost *cost, const struct slc_shift *shift,
                                       int32_t node)
{
    const struct slc_balance *job = cost->flow->job;
    int64_t out = 0, in = 0;
    for (int32_t r = slc_thread_lane(); r < job->ranks; r += SLC_WARP) {
        int64_t gives = job->leader[r] == node ? slc_gives(cost, shift, r) : 0;
        out += slc_positive(gives);
        in += slc_positive(-gives);
    }
    out = slc_warp_from(slc_warp_running(out), SLC_WARP - 1);
    in = slc_warp_from(slc_warp_running(in), SLC_WARP - 1);
    struct slc_near near = {node, out > in, slc_least(out, in), 0};
    return near;
}

/* How much of what the lane's rank gives or gets stays in the node; `gives` is 0 outside of it. The
 * next 32 ranks. */
SLC_DEVICE int64_t slc_near_part(struct slc_near *near, int64_t gives)
{
    int64_t amount = gives < 0 ? -gives : gives, cut = near->more == (gives > 0) ? amount : 0;
    int64_t running = near->before + slc_warp_running(cut);
    int64_t part = slc_overlap(running - cut, cut, 0, near->limit);
    near->before = slc_warp_from(running, SLC_WARP - 1);
    return cut > 0 ? part : amount;
}

/* The ways of what a rank gives or gets, were they all far. */
SLC_DEVICE int64_t slc_ways(const struct slc_balance *job, int64_t gives)
{
    return (gives < 0 ? -gives : gives) * (job->nodes ? job->costs.far_ps : job->costs.near_ps);
}

/* What is less for those that stay in the node of copy c, once for each node of expert e. */
SLC_DEVICE void slc_add_near(const struct slc_cost *cost, int32_t e, int32_t c)
{
    const struct slc_balance *job = cost->flow->job;
    const struct slc_shift none = {e, -1, -1, -1, -1, 0};
    int32_t node = job->leader[slc_copy_rank(job, c)];
    for (int32_t d = slc_copy_begin(job, e); d < c; d++)
        if (job->leader[slc_copy_rank(job, d)] == node)
            return;
    struct slc_near near = slc_near_of(cost, &none, node);
    for (int32_t base = 0; base < job->ranks; base += SLC_WARP) {
        int32_t r = base + slc_thread_lane();
        bool here = r < job->ranks && job->leader[r] == node;
        int64_t part = slc_near_part(&near, here ? slc_gives(cost, &none, r) : 0);
        if (part > 0)
            slc_add(&cost->traffic[r], part * (job->costs.near_ps - job->costs.far_ps));
    }
}

SLC_DEVICE void slc_add_ways(const struct slc_cost *cost, int32_t e)
{
    const struct slc_balance *job = cost->flow->job;
    const struct slc_shift none = {e, -1, -1, -1, -1, 0};
    slc_hold_expert(cost, e);
    for (int32_t r = slc_thread_lane(); r < job->ranks; r += SLC_WARP) {
        int64_t ways = slc_ways(job, slc_gives(cost, &none, r));
        if (ways > 0)
            slc_add(&cost->traffic[r], ways);
    }
    for (int32_t c = slc_copy_begin(job, e); c < slc_copy_end(cost->flow, e) && job->nodes; c++)
        slc_add_near(cost, e, c);
    __syncwarp();
}

/* ----------------------------------------------------------------------------- shared columns */

/* What is given and got within the node of rank r, and by its ranks below. */
SLC_DEVICE void slc_column_node(const struct slc_cost *cost, int32_t r, int64_t *limit,
                                int64_t *out, int64_t *in)
{
    const struct slc_balance *job = cost->flow->job;
    int64_t all_out = 0, all_in = 0;
    *out = *in = 0;
    for (int32_t q = job->leader[r]; q < job->ranks; q++) {
        int64_t gives = job->leader[q] == job->leader[r] ? cost->gives[q] : 0;
        all_out += slc_positive(gives);
        all_in += slc_positive(-gives);
        *out += q < r ? slc_positive(gives) : 0;
        *in += q < r ? slc_positive(-gives) : 0;
    }
    *limit = slc_least(all_out, all_in);
}

/* Own rooms, then the node's. numbers->sum, which comes as 0: what needs another one's. */
SLC_DEVICE void slc_columns_stay(const struct slc_cost *cost, struct slc_flow_numbers *numbers)
{
    const struct slc_balance *job = cost->flow->job;
    SLC_EACH_OF(r, job->ranks)
    {
        int64_t gives = cost->gives[r], limit = 0, out = 0, in = 0;
        if (job->rank >= 0)
            slc_column_node(cost, r, &limit, &out, &in);
        int64_t given = slc_overlap(out, slc_positive(gives), 0, limit);
        int64_t got = slc_overlap(in, slc_positive(-gives), 0, limit);
        int64_t needs = slc_positive(gives) - given;
        cost->left[r] = slc_positive(-gives) - got;
        cost->columns[r] += got;
        slc_add(&numbers->sum, needs);
        if (job->rank >= 0)
            slc_add(&cost->traffic[r],
                    (given + got) * job->costs.near_ps + needs * job->costs.far_ps);
    }
}

/* TOKENS: who serves how many is as in slc_split_columns, for all sources at once. z: how far
 * rank_load is filled up. */
SLC_DEVICE void slc_add_columns(const struct slc_cost *cost, int64_t z,
                                struct slc_flow_numbers *numbers)
{
    const struct slc_flow *flow = cost->flow;
    const struct slc_balance *job = flow->job;
    if (threadIdx.x == 0)
        numbers->sum = job->rank < 0 ? flow->load[job->entries] * job->shared : 0;
    SLC_EACH_OF(r, job->ranks)
    {
        int32_t s = flow->source_of[r];
        int64_t room = s > -2 ? z - flow->rank_load[r] : 0;
        int64_t need = s >= 0 ? slc_columns_of(job, s) : 0;
        cost->columns[r] = slc_least(need, room);
        cost->gives[r] = need - room;
    }
    __syncthreads();
    slc_columns_stay(cost, numbers);
    __syncthreads();
    SLC_EACH_OF(r, job->ranks)
    {
        int64_t before = 0;
        for (int32_t q = 0; q < r; q++)
            before += cost->left[q];
        int64_t got = slc_overlap(before, cost->left[r], 0, numbers->sum);
        cost->columns[r] += got;
        cost->traffic[r] += job->rank < 0 ? 0 : got * job->costs.far_ps;
        cost->rows[r] += cost->columns[r];
        cost->experts[r] += slc_least(cost->columns[r], job->shared);
    }
}

/* EXPERTS: as slc_choose_servers, for shared expert j of the source on rank `home`, -1: on none. */
SLC_DEVICE int32_t slc_server_of(const struct slc_cost *cost, int32_t home, int32_t j)
{
    const struct slc_balance *job = cost->flow->job;
    int32_t any = -1, near = -1;
    if (home >= 0 && cost->serves[home] >> j & 1)
        return home;
    for (int32_t r = job->ranks - 1; r >= 0; r--) {
        if (!(cost->serves[r] >> j & 1))
            continue;
        any = r;
        near = home >= 0 && job->leader[r] == job->leader[home] ? r : near;
    }
    return near >= 0 ? near : any;
}

SLC_DEVICE void slc_serve_source(const struct slc_cost *cost, int32_t s)
{
    const struct slc_balance *job = cost->flow->job;
    int32_t home = job->rank < 0 ? -1 : slc_source_rank(job, s);
    int64_t tokens = sl_id_at(&job->counts, s, job->entries);
    for (int32_t j = 0; j < job->shared && tokens > 0; j++) {
        int32_t rank = slc_server_of(cost, home, j);
        slc_add(&cost->rows[rank], tokens);
        if (home < 0 || home == rank)
            continue;
        bool near = job->leader[home] == job->leader[rank];
        int64_t way = tokens * (near ? job->costs.near_ps : job->costs.far_ps);
        slc_add(&cost->traffic[home], way);
        slc_add(&cost->traffic[rank], way);
    }
}

SLC_DEVICE void slc_add_served(const struct slc_cost *cost)
{
    SLC_EACH_OF(r, cost->flow->job->ranks)
    cost->experts[r] += __popc((uint32_t)cost->serves[r]);
    SLC_EACH_OF(s, cost->flow->sources)
    slc_serve_source(cost, s);
}

/* ------------------------------------------------------------------------------- a whole answer */

/* What `units` and the shared columns, those of EXPERTS or of TOKENS, cost each rank. */
SLC_DEVICE void slc_count_up(const struct slc_cost *cost, bool ones, int64_t z,
                             struct slc_flow_numbers *numbers)
{
    const struct slc_flow *flow = cost->flow;
    const struct slc_balance *job = flow->job;
    SLC_EACH_OF(r, job->ranks)
    cost->rows[r] = cost->experts[r] = cost->traffic[r] = 0;
    __syncthreads();
    if (job->shared > 0 && ones)
        slc_add_served(cost);
    else if (job->shared > 0)
        slc_add_columns(cost, z, numbers);
    __syncthreads();
    SLC_EACH_OF(e, job->entries)
    for (int32_t c = slc_copy_begin(job, e); c < slc_copy_end(flow, e); c++) {
        if (flow->units[c] == 0)
            continue;
        slc_add(&cost->rows[slc_copy_rank(job, c)], flow->units[c]);
        slc_add(&cost->experts[slc_copy_rank(job, c)], 1);
    }
    for (int32_t e = (int32_t)threadIdx.x / SLC_WARP; e < job->entries && cost->ways;
         e += (int32_t)blockDim.x / SLC_WARP)
        if (flow->load[e] > 0)
            slc_add_ways(cost, e);
    __syncthreads();
}

#endif

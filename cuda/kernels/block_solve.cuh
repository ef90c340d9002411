/* SPDX-License-Identifier: Apache-2.0
 * sl_balance_solve by one block, for one of its sources: this rank. */
#ifndef SLC_BLOCK_SOLVE_CUH
#define SLC_BLOCK_SOLVE_CUH

#include "block_split.cuh"

SLC_DEVICE void slc_look_at_ranks(struct slc_flow *flow, struct slc_flow_numbers *numbers)
{
    const struct slc_balance *job = flow->job;
    flow->living = job->living[0];
    flow->sources = job->alone ? 1 : flow->living;
    if (threadIdx.x == 0)
        numbers->own = 0;
    SLC_EACH_OF(r, job->ranks)
    {
        flow->source_of[r] = -2;
        flow->rank_load[r] = 0;
        flow->rank_next[r] = 0;
        flow->listed[r] = 0;
    }
    __syncthreads();
    SLC_EACH_OF(i, flow->living)
    {
        int32_t r = job->living[1 + i];
        flow->source_of[r] = !job->alone ? i : r == job->rank ? 0 : -1;
        if (r == job->rank && !job->alone)
            numbers->own = i;
    }
    __syncthreads();
    flow->own = numbers->own;
}

/* Loads of all entries, and behind them the rows with shared columns. */
SLC_DEVICE void slc_add_up(const struct slc_flow *flow)
{
    const struct slc_balance *job = flow->job;
    SLC_EACH_OF(e, job->entries + 1)
    {
        int64_t sum = 0, before = 0;
#pragma unroll 4
        for (int32_t s = 0; s < flow->sources; s++) {
            before = s == flow->own ? sum : before;
            sum += sl_id_at(&job->counts, s, e);
        }
        flow->load[e] = sum;
        flow->before[e] = before;
    }
}

/* Shared columns that stay where they are, or (`ones`) shared experts that do. A source of no rank
 * has each row's on another rank. Gives this thread's part of their sum. */
SLC_DEVICE int64_t slc_set_base(const struct slc_flow *flow, bool ones)
{
    const struct slc_balance *job = flow->job;
    int64_t sum = 0, all = flow->load[job->entries];
    SLC_EACH_OF(i, flow->living)
    {
        int32_t r = job->living[1 + i], s = flow->source_of[r];
        int64_t rows = s >= 0 ? sl_id_at(&job->counts, s, job->entries) : 0;
        if (job->rank < 0)
            rows = slc_divide(all + flow->living - 1 - i, flow->living);
        rows = (ones ? (int64_t)(rows > 0) : rows) * job->shared;
        flow->rank_load[r] = rows;
        sum += rows;
    }
    return sum;
}

/* Folds the graph; numbers->sum becomes the sum of everything, and comes as 0. */
SLC_DEVICE void slc_fold(const struct slc_flow *flow, struct slc_flow_numbers *numbers, bool ones)
{
    const struct slc_balance *job = flow->job;
    int64_t sum = 0, rows = flow->load[job->entries];
    if (job->shared > 0 && !job->level)
        sum = slc_set_base(flow, ones);
    else if (job->shared > 0 && threadIdx.x == 0)
        sum = (ones ? (int64_t)(rows > 0) : rows) * job->shared;
    __syncthreads();
    SLC_EACH_OF(e, job->entries)
    {
        bool lives = slc_copy_begin(job, e) < slc_copy_end(flow, e);
        int64_t load = lives ? flow->load[e] : 0, units = ones ? (int64_t)(load > 0) : load;
        flow->load[e] = load;
        slc_fold_expert(flow, e, units);
        sum += units;
    }
    slc_add(&numbers->sum, sum);
    __syncthreads();
}

/* Shared columns by rows are split; true: by experts, of which the caller says who serves. All
 * threads come here. */
SLC_DEVICE bool slc_begin_columns(const struct slc_flow *flow, bool ones, int64_t z,
                                  struct slc_flow_numbers *numbers)
{
    const struct slc_balance *job = flow->job;
    if (!job->level || job->shared == 0)
        return false;
    if (threadIdx.x == 0)
        job->column[0] = -1;
    if (!ones) {
        slc_split_columns(flow, z, numbers);
        return false;
    }
    SLC_EACH_OF(r, job->ranks)
    job->columns[r] = 0;
    return true;
}

/* All threads of one block come here. */
SLC_DEVICE void slc_solve(const struct slc_balance *job, void *shared)
{
    __shared__ struct slc_flow_numbers numbers;
    struct slc_flow flow;
    bool ones = job->objective == 1; /* SLUICE_BALANCE_EXPERTS */
    slc_flow_bind(&flow, job, job->scratch ? job->scratch : shared);
    if (threadIdx.x == 0)
        numbers.sum = 0;
    slc_look_at_ranks(&flow, &numbers);
    slc_add_up(&flow);
    __syncthreads();
    slc_fold(&flow, &numbers, ones);
    int64_t z = slc_flow_run(&flow, &numbers, ones);
    SLC_EACH_OF(e, job->by_copy ? 0 : job->entries)
    {
        for (int32_t c = job->start[e]; c < job->start[e + 1] && ones; c++)
            flow.units[c] *= flow.load[e];
        slc_split_expert(&flow, e);
    }
    if (!slc_begin_columns(&flow, ones, z, &numbers))
        return;
    __syncthreads();
    if (threadIdx.x < SLC_WARP && sl_id_at(&job->counts, flow.own, job->entries) > 0) {
        slc_serve_columns(&flow, z);
        __syncwarp();
        slc_choose_servers(&flow);
    }
}

#endif

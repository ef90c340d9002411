/* SPDX-License-Identifier: Apache-2.0
 * The kernels around a gate: a struct of what a lane keeps from row to row, with
 *     ROOM     most columns, and most experts
 *     EACH     neighbouring columns of a lane
 *     FULL     1: every lane has them
 *     scratch  the type of what a warp has in shared memory
 *     slc_start(job, lane, bias, scratch, gate), slc_choose(gate, rows, from, score).
 * The grids are cu_gate.c's. */
#ifndef SLC_GATE_KERNEL_CUH
#define SLC_GATE_KERNEL_CUH

#include "gate_rows.cuh"

enum { SLC_GATE_THREADS = SLC_WARP * SLC_MOST_WARPS };

/* The logits of a lane's columns in row t; lanes that have none read some that others have. */
template <class Gate>
SLC_DEVICE const char *slc_gate_from(const struct slc_gate *job, uint32_t lane, int32_t t)
{
    int32_t first = (int32_t)lane * Gate::EACH, last = job->columns - Gate::EACH;
    if (!Gate::FULL)
        first = first < last ? first : last;
    return job->logits + (int64_t)t * job->logit_bytes +
           (first << (job->logit_type == SL_F32 ? 2 : 1));
}

/* A block of eight warps, several rows a warp; the bias, the map and what is counted lie in its
 * shared memory. */
template <class Gate, bool Routes> SLC_DEVICE void slc_gate_many(const struct slc_job *all)
{
    typedef typename Gate::scratch scratch;
    const struct slc_gate *job = &all->gate;
    uint32_t lane = threadIdx.x % SLC_WARP;
    /* By a collective, so that ptxas sees that a warp stays together; it would else have the loop's
     * body twice. */
    uint32_t warp = __shfl_sync(SLC_ALL, threadIdx.x / SLC_WARP, 0);
    int32_t step = (int32_t)gridDim.x * SLC_MOST_WARPS;
    int32_t t = (int32_t)(blockIdx.x * SLC_MOST_WARPS + warp), rows = job->rows;
    SLC_KEEP(lane);
    SLC_KEEP(warp);
    SLC_KEEP(step);
    SLC_KEEP(rows);
    scratch *of_warps = (scratch *)slc_shared;
    float *bias = (float *)(of_warps + SLC_MOST_WARPS);
    struct slc_block block = slc_block_in<Gate::ROOM>(bias + Gate::ROOM);
    struct slc_ends ends = {(uint32_t)job->experts, block.copies, block.slots, block.bins};
    if (Routes)
        slc_block_start<SLC_GATE_THREADS>(&block, job->physical, job->experts, job->chosen,
                                          job->chosen_slot, job->shared > 0);
    if (job->bias && (int32_t)threadIdx.x < job->columns)
        bias[threadIdx.x] = job->bias[threadIdx.x];
    __syncthreads();
    Gate gate;
    slc_start(job, lane, bias, of_warps + warp, &gate);
    struct slc_lane_rows my = slc_lane_rows_of<Routes>(job, lane, t, step);
    const char *from = slc_gate_from<Gate>(job, lane, t);
    int64_t from_step = (int64_t)step * job->logit_bytes;
    int32_t live_rows = slc_live_rows(all);
    SLC_KEEP(live_rows);
    SLC_KEEP(ends.experts);
    SLC_KEEP_WIDE(from_step);
    for (; t < rows; t += step) {
        if ((t >= live_rows || (my.has_valid && !my.valid[t])) && !SL_MUTANT(padding_chosen)) {
            slc_pad_row<Routes>(job, &my);
        } else {
            float score;
            int32_t id = slc_choose(&gate, &my, from, &score);
            float weight = slc_weigh_eight(&my, score);
            if (Routes)
                slc_end_route<true>(job, &ends, &my, id, weight);
            else
                slc_end_topk(&my, id, weight);
        }
        from += from_step;
        my.to += my.step;
        if (Routes)
            my.weights += my.weights_step;
    }
    if (Routes) {
        __syncthreads();
        if (job->counters)
            slc_bins_flush<SLC_GATE_THREADS>(&block, job->physical, job->counters);
    }
}

/* A block of one warp for a row: straight from and to global memory. */
template <class Gate, bool Routes> SLC_DEVICE void slc_gate_few(const struct slc_job *all)
{
    typedef typename Gate::scratch scratch;
    const struct slc_gate *job = &all->gate;
    uint32_t lane = threadIdx.x % SLC_WARP;
    int32_t t = (int32_t)blockIdx.x;
    SLC_KEEP(lane);
    struct slc_lane_rows my = slc_lane_rows_of<Routes>(job, lane, t, 0);
    if ((t >= slc_live_rows(all) || (job->row_valid && !job->row_valid[t])) &&
        !SL_MUTANT(padding_chosen)) {
        slc_pad_row<Routes>(job, &my);
        return;
    }
    Gate gate;
    float score;
    slc_start(job, lane, job->bias, (scratch *)slc_shared, &gate);
    int32_t id = slc_choose(&gate, &my, slc_gate_from<Gate>(job, lane, t), &score);
    float weight = slc_weigh_eight(&my, score);
    const struct slc_ends ends = {(uint32_t)job->experts, job->chosen, job->chosen_slot, NULL};
    if (Routes)
        slc_end_route<false>(job, &ends, &my, id, weight);
    else
        slc_end_topk(&my, id, weight);
}

/* The four kernels of a gate. */
#define SLC_GATE_KERNEL(name_, threads_, body_)                                                    \
    extern "C" __global__ void __launch_bounds__(threads_)                                         \
        name_(const __grid_constant__ struct slc_job job)                                          \
    {                                                                                              \
        body_(&job);                                                                               \
    }
#define SLC_GATE_KERNELS(name_, gate_)                                                             \
    SLC_GATE_KERNEL(slc_topk_##name_, SLC_GATE_THREADS, (slc_gate_many<gate_, false>))             \
    SLC_GATE_KERNEL(slc_topk_##name_##_few, SLC_WARP, (slc_gate_few<gate_, false>))                \
    SLC_GATE_KERNEL(slc_route_##name_, SLC_GATE_THREADS, (slc_gate_many<gate_, true>))             \
    SLC_GATE_KERNEL(slc_route_##name_##_few, SLC_WARP, (slc_gate_few<gate_, true>))

#endif

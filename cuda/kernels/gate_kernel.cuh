/* SPDX-License-Identifier: Apache-2.0
 * The kernels around a gate: a struct of what a lane keeps from row to row, with
 *     ROOM     most columns, and most experts
 *     EACH     neighbouring columns of a lane
 *     scratch  the type of what a warp has in shared memory
 *     slc_start(job, lane, bias, scratch, gate), slc_choose(gate, rows, from, score).
 * The grids are cu_gate.c's. */
#ifndef SLC_GATE_KERNEL_CUH
#define SLC_GATE_KERNEL_CUH

#include "gate_rows.cuh"

enum { SLC_GATE_THREADS = SLC_WARP * SLC_MOST_WARPS };

template <class Gate>
SLC_DEVICE const char *slc_gate_from(const struct slc_job *job, uint32_t lane, int32_t t)
{
    int64_t at = t * job->io.logit_stride + lane * Gate::EACH;
    return (const char *)job->io.logits + at * (job->io.logit_type == SL_F32 ? 4 : 2);
}

/* A block of eight warps, several rows a warp; the bias, the map and what is counted lie in its
 * shared memory. */
template <class Gate, bool Routes> SLC_DEVICE void slc_gate_many(const struct slc_job *job)
{
    typedef typename Gate::scratch scratch;
    int32_t step = (int32_t)gridDim.x * SLC_MOST_WARPS, rows = (int32_t)job->rows;
    int32_t warp = __shfl_sync(SLC_ALL, (int32_t)(threadIdx.x / SLC_WARP), 0);
    int32_t t = (int32_t)blockIdx.x * SLC_MOST_WARPS + warp;
    uint32_t lane = threadIdx.x % SLC_WARP;
    SLC_KEEP(lane);
    SLC_KEEP(step);
    SLC_KEEP(rows);
    scratch *of_warps = (scratch *)slc_shared;
    float *bias = (float *)(of_warps + SLC_MOST_WARPS);
    struct slc_block block = slc_block_in<Gate::ROOM>(bias + Gate::ROOM);
    struct slc_ends ends = {Gate::ROOM, block.copies, block.slots, block.bins,
                            (unsigned long long *)job->counters};
    if (Routes)
        slc_block_start<SLC_GATE_THREADS, Gate::ROOM>(&job->map, &block);
    if (job->io.bias && (int32_t)threadIdx.x < job->rule.columns)
        bias[threadIdx.x] = job->io.bias[threadIdx.x];
    __syncthreads();
    Gate gate;
    slc_start(job, lane, bias, of_warps + warp, &gate);
    struct slc_lane_rows my = slc_lane_rows_of(job, lane, t, step);
    const char *from = slc_gate_from<Gate>(job, lane, t);
    int64_t from_step = slc_gate_from<Gate>(job, lane, t + step) - from;
    for (; t < rows; t += step) {
        bool live = slc_is_live(&my, t);
        int32_t id = -1;
        float weight = 0.0f;
        if (live) {
            id = slc_choose(&gate, &my, from, &weight);
            weight = slc_weigh_eight(&my, weight);
        }
        if (Routes)
            slc_end_route<true>(job, &ends, &my, live, id, weight);
        else
            slc_end_topk(&my, id, weight);
        from += from_step;
        my.to += my.step;
        if (Routes)
            my.weights += my.weights_step;
    }
    if (Routes) {
        __syncthreads();
        if (ends.counters)
            slc_bins_flush<SLC_GATE_THREADS>(&job->map, &block, job->counters);
    }
}

/* A block of one warp for a row: straight from and to global memory. */
template <class Gate, bool Routes> SLC_DEVICE void slc_gate_few(const struct slc_job *job)
{
    typedef typename Gate::scratch scratch;
    uint32_t lane = threadIdx.x % SLC_WARP;
    int32_t t = (int32_t)blockIdx.x, id = -1;
    SLC_KEEP(lane);
    struct slc_lane_rows my = slc_lane_rows_of(job, lane, t, 0);
    bool live = slc_is_live(&my, t);
    float weight = 0.0f;
    if (live) {
        Gate gate;
        slc_start(job, lane, job->io.bias, (scratch *)slc_shared, &gate);
        id = slc_choose(&gate, &my, slc_gate_from<Gate>(job, lane, t), &weight);
        weight = slc_weigh_eight(&my, weight);
    }
    struct slc_ends ends = {(uint32_t)job->map.experts, job->map.chosen, job->map.chosen_slot, NULL,
                            (unsigned long long *)job->counters};
    if (Routes)
        slc_end_route<false>(job, &ends, &my, live, id, weight);
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

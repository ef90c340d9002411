/* SPDX-License-Identifier: Apache-2.0
 * topk and route for calls that slc_limited holds of. */
#include "gate_limit.cuh"

enum { SLC_GATE_THREADS = SLC_WARP * SLC_MOST_WARPS };

/* The choice of this lane for a row whose logits of its columns are at `from`. */
SLC_DEVICE int32_t slc_limit_row(const struct slc_limit *limit, const struct slc_lane_rows *my,
                                 const char *from, float *weight)
{
    float x[SLC_EIGHT], score;
    slc_get_eight(from, my->type, x);
    int32_t id = slc_limit_choose(limit, x, &score);
    *weight = slc_weigh_eight(my, score);
    return id;
}

SLC_DEVICE const char *slc_limit_from(const struct slc_job *job, uint32_t lane, int32_t t)
{
    int64_t at = t * job->io.logit_stride + lane * SLC_EIGHT;
    return (const char *)job->io.logits + at * (job->io.logit_type == SL_F32 ? 4 : 2);
}

/* A block of eight warps, several rows a warp; the bias, the map and what is counted lie in its
 * shared memory. */
template <bool Routes> SLC_DEVICE void slc_limit_many(const struct slc_job *job)
{
    int32_t step = (int32_t)gridDim.x * SLC_MOST_WARPS, rows = (int32_t)job->rows;
    int32_t warp = __shfl_sync(SLC_ALL, (int32_t)(threadIdx.x / SLC_WARP), 0);
    int32_t t = (int32_t)blockIdx.x * SLC_MOST_WARPS + warp;
    uint32_t lane = threadIdx.x % SLC_WARP;
    SLC_KEEP(lane);
    SLC_KEEP(step);
    SLC_KEEP(rows);
    struct slc_left *left = (struct slc_left *)slc_shared;
    float *bias = (float *)(left + SLC_MOST_WARPS);
    struct slc_block block = slc_block_in<256>(bias + SLC_GATE_THREADS);
    struct slc_ends ends = {256, block.copies, block.slots, block.bins,
                            (unsigned long long *)job->counters};
    if (Routes)
        slc_block_start<SLC_GATE_THREADS, 256>(&job->map, &block);
    bias[threadIdx.x] = job->io.bias[threadIdx.x];
    __syncthreads();
    struct slc_limit limit = slc_limit_of(job, lane, bias, left + warp);
    struct slc_lane_rows my = slc_lane_rows_of(job, lane, t, step);
    const char *from = slc_limit_from(job, lane, t);
    int64_t from_step = slc_limit_from(job, lane, t + step) - from;
    for (; t < rows; t += step) {
        bool live = slc_is_live(&my, t);
        int32_t id = -1;
        float weight = 0.0f;
        if (live)
            id = slc_limit_row(&limit, &my, from, &weight);
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
template <bool Routes> SLC_DEVICE void slc_limit_few(const struct slc_job *job)
{
    uint32_t lane = threadIdx.x % SLC_WARP;
    int32_t t = (int32_t)blockIdx.x, id = -1;
    SLC_KEEP(lane);
    struct slc_lane_rows my = slc_lane_rows_of(job, lane, t, 0);
    bool live = slc_is_live(&my, t);
    float weight = 0.0f;
    if (live) {
        struct slc_limit limit =
            slc_limit_of(job, lane, job->io.bias, (struct slc_left *)slc_shared);
        id = slc_limit_row(&limit, &my, slc_limit_from(job, lane, t), &weight);
    }
    struct slc_ends ends = {256, job->map.chosen, job->map.chosen_slot, NULL,
                            (unsigned long long *)job->counters};
    if (Routes)
        slc_end_route<false>(job, &ends, &my, live, id, weight);
    else
        slc_end_topk(&my, id, weight);
}

extern "C" __global__ void __launch_bounds__(SLC_GATE_THREADS)
    slc_topk_limit(const __grid_constant__ struct slc_job job)
{
    slc_limit_many<false>(&job);
}

extern "C" __global__ void __launch_bounds__(SLC_GATE_THREADS)
    slc_route_limit(const __grid_constant__ struct slc_job job)
{
    slc_limit_many<true>(&job);
}

extern "C" __global__ void __launch_bounds__(SLC_WARP)
    slc_topk_limit_few(const __grid_constant__ struct slc_job job)
{
    slc_limit_few<false>(&job);
}

extern "C" __global__ void __launch_bounds__(SLC_WARP)
    slc_route_limit_few(const __grid_constant__ struct slc_job job)
{
    slc_limit_few<true>(&job);
}

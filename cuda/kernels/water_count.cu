/* SPDX-License-Identifier: Apache-2.0
 * Counts a call's choices by destination rank; a row without a valid choice loses its shared
 * columns. Static: the last block makes the plan. */
#include "block_water.cuh"

/* The lanes of a row. */
SLC_DEVICE uint32_t slc_row_lanes(const struct slc_water *water)
{
    int32_t first = slc_thread_lane() & ~(water->width - 1);
    return (water->width == SLC_WARP ? SLC_ALL : (1U << water->width) - 1) << first;
}

SLC_DEVICE void slc_drop_shared(const struct slc_job *job, int64_t t)
{
    for (int32_t j = 0; j < job->map.shared; j++) {
        int32_t k = job->rule.top_k + j;
        slc_put_id(&job->dispatch_ids, t, k, -1);
        if (job->dispatch_weights.data)
            job->dispatch_weights.data[t * job->dispatch_weights.stride + k] = 0.0f;
    }
}

/* This lane's part of row t. */
SLC_DEVICE bool slc_count_row(const struct slc_water *water, int64_t t, uint32_t *bins)
{
    const struct slc_job *job = &water->job;
    bool dispatched = job->dispatch_ids.data != NULL, any = false;
    int32_t each = dispatched ? job->map.local : job->map.slots;
    for (int32_t k = slc_thread_lane() & (water->width - 1); k < job->rule.top_k;
         k += water->width) {
        int64_t id = t < job->rows ? sl_id_at(&job->in_ids, t, k) : -1;
        any = any || id >= 0;
        if (id >= 0)
            atomicAdd(&bins[(int32_t)id / each], 1U);
    }
    return any;
}

SLC_DEVICE void slc_count_rows(const struct slc_water *water, int64_t first, uint32_t *bins)
{
    const struct slc_job *job = &water->job;
    int32_t rows = SLC_WARP / water->width, lane = slc_thread_lane(), live = 0;
    for (int32_t i = 0; i < water->rows; i += rows) {
        int64_t t = first + i + lane / water->width;
        bool any = slc_count_row(water, t, bins);
        uint32_t chosen = __ballot_sync(SLC_ALL, any) & slc_row_lanes(water);
        if (chosen == 0 && t < job->rows && (lane & (water->width - 1)) == 0 &&
            job->dispatch_ids.data)
            slc_drop_shared(job, t);
    }
    if (!water->dynamic)
        return;
    for (int32_t i = lane; i < water->rows; i += SLC_WARP)
        live += first + i < job->rows && slc_row_live(job, first + i);
    live = __reduce_add_sync(SLC_ALL, live);
    if (lane == 0 && live > 0)
        slc_add(&water->counted[job->map.ranks + job->map.rank], live);
}

extern "C" __global__ void __launch_bounds__(SLC_WATER_THREADS)
    slc_water_count(const __grid_constant__ struct slc_water water)
{
    __shared__ uint32_t last;
    __shared__ struct slc_water_numbers numbers;
    const struct slc_map *map = &water.job.map;
    uint32_t *bins = (uint32_t *)(void *)slc_shared;
    SLC_EACH_OF(r, map->ranks)
    bins[r] = 0;
    __syncthreads();
    int64_t warp = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + threadIdx.x / SLC_WARP;
    slc_count_rows(&water, warp * water.rows, bins);
    __syncthreads();
    SLC_EACH_OF(r, map->ranks)
    if (bins[r] > 0)
        slc_add(&water.counted[r], bins[r]);
    if (water.dynamic)
        return;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        last = atomicAdd(water.finished, 1U) + 1U == gridDim.x;
    __syncthreads();
    if (!last)
        return;
    __threadfence();
    if (threadIdx.x == 0)
        *(volatile uint32_t *)water.finished = 0;
    slc_water_make(&water, &numbers);
}

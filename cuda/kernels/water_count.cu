/* SPDX-License-Identifier: Apache-2.0
 * Counts a call's choices by destination rank; a row without a valid choice loses its shared
 * columns. Static: the last block makes the plan. */
#include "block_meet.cuh"
#include "block_water.cuh"

SLC_DEVICE void slc_drop_shared(const struct slc_job *job, int64_t t)
{
    for (int32_t j = 0; j < job->map.shared; j++) {
        int32_t k = job->rule.top_k + j;
        slc_put_id(&job->dispatch_ids, t, k, -1);
        if (job->dispatch_weights.data)
            job->dispatch_weights.data[t * job->dispatch_weights.stride + k] = 0.0f;
    }
}

/* The id at element `at`, counted; -1 where it is not `there`. */
SLC_DEVICE int32_t slc_count_id(const struct slc_water *water, int64_t at, bool there, int32_t each,
                                uint32_t *bins)
{
    const struct sl_ids *ids = &water->job.in_ids;
    int32_t id = -1;
    if (there)
        id = ids->wide ? (int32_t)((const int64_t *)ids->data)[at]
                       : ((const int32_t *)ids->data)[at];
    int32_t shared =
        SL_MUTANT(waterfill_counts_slots) && id >= 0 ? id / each * water->job.map.shared : 0;
    if (id >= 0)
        atomicAdd(&bins[(id - shared) / each], 1U);
    return id;
}

/* The warp's rows, several at once: `width` lanes to each. */
SLC_DEVICE void slc_count_rows(const struct slc_water *water, int64_t first, uint32_t *bins)
{
    const struct slc_job *job = &water->job;
    int32_t lane = slc_thread_lane(), k = lane & (water->width - 1), row = lane / water->width;
    int32_t step = SLC_WARP / water->width, top_k = job->rule.top_k;
    int32_t rows = (int32_t)slc_least(job->rows - first, water->rows);
    int32_t each = job->dispatch_ids.data ? job->map.local : job->map.slots;
    uint32_t lanes = (water->width == SLC_WARP ? SLC_ALL : (1U << water->width) - 1) << (lane - k);
    int64_t at = (first + row) * job->in_ids.stride + k, ahead = step * job->in_ids.stride;
    for (int32_t base = 0; base < rows; base += step, row += step, at += ahead) {
        bool any = slc_count_id(water, at, row < rows && k < top_k, each, bins) >= 0;
        if (top_k > SLC_WARP)
            any |= slc_count_id(water, at + SLC_WARP, k + SLC_WARP < top_k, each, bins) >= 0;
        uint32_t chosen = __ballot_sync(SLC_ALL, any) & lanes;
        if (SL_MUTANT(shared_counted_in_waterfill) && chosen != 0 && k == 0 && job->counters)
            slc_add((int64_t *)&job->counters[(job->map.rank + 1) * job->map.slots - 1], 1);
        if (chosen == 0 && k == 0 && row < rows && job->dispatch_ids.data &&
            !SL_MUTANT(waterfill_keeps_empty))
            slc_drop_shared(job, first + row);
    }
}

SLC_DEVICE void slc_count_tokens(const struct slc_water *water, int64_t first)
{
    const struct slc_job *job = &water->job;
    int32_t live = 0;
    for (int32_t i = slc_thread_lane(); i < water->rows; i += SLC_WARP)
        live += first + i < job->rows && slc_row_live(job, first + i);
    live = __reduce_add_sync(SLC_ALL, live);
    if (slc_thread_lane() == 0 && live > 0)
        slc_add(&water->counted[job->map.ranks], live);
}

/* What the launches before have counted. One block's threads. */
SLC_DEVICE void slc_count_drawn(const struct slc_water *water)
{
    const struct slc_map *map = &water->job.map;
    SLC_EACH_OF(p, map->physical)
    {
        uint64_t drawn = water->drawn[p];
        if (drawn == 0)
            continue;
        slc_add(&water->counted[p / map->slots], (int64_t)drawn);
        if (water->counters)
            atomicAdd((slc_u64 *)&water->counters[p], (slc_u64)drawn);
    }
}

extern "C" __global__ void __launch_bounds__(SLC_WATER_THREADS)
    slc_water_count(const __grid_constant__ struct slc_water water)
{
    __shared__ uint32_t last;
    __shared__ struct slc_water_numbers numbers;
    const struct slc_map *map = &water.job.map;
    uint32_t *bins = (uint32_t *)(void *)slc_shared;
    if (blockIdx.x == 0)
        slc_meet_begin(&water.meet);
    SLC_EACH_OF(r, map->ranks)
    bins[r] = 0;
    __syncthreads();
    int64_t warp = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + threadIdx.x / SLC_WARP;
    if (!water.drawn)
        slc_count_rows(&water, warp * water.rows, bins);
    else if (blockIdx.x == 0)
        slc_count_drawn(&water);
    if (water.dynamic)
        slc_count_tokens(&water, warp * water.rows);
    __syncthreads();
    SLC_EACH_OF(r, map->ranks)
    if (bins[r] > 0)
        slc_add(&water.counted[r], bins[r]);
    if (!water.dynamic && slc_last_block(water.finished, &last))
        slc_water_make(&water, &numbers);
}

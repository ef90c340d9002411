/* SPDX-License-Identifier: Apache-2.0
 * From a row's choices to copies, slots and counters, a warp to a row: what sl_remap_block and
 * sl_count_ids of src/core do for a block. */
#ifndef SLC_WARP_MAP_CUH
#define SLC_WARP_MAP_CUH

#include "warp_choose.cuh"

/* a mod n, n < 2^16. 32-bit divisions only: a 64-bit one is a call, which keeps nothing in
 * registers. */
SLC_DEVICE uint32_t slc_modulo(uint64_t a, uint32_t n)
{
    uint32_t high = (uint32_t)(a >> 32), low = (uint32_t)a;
    if (high == 0)
        return low % n;
    high = (high % n << 16 | low >> 16) % n;
    return (high << 16 | (low & 0xFFFFU)) % n;
}

/* The word of Philox that column k draws. */
SLC_DEVICE uint32_t slc_draw(const struct slc_map *map, uint64_t row, uint64_t step, int32_t k)
{
    uint64_t part = (uint64_t)(uint32_t)map->layer << 4 | (uint64_t)k / 4;
    if (SL_MUTANT(random_ignores_step))
        step = 0;
    struct sl_philox draw = sl_philox(map->seed ^ part << 32, row, step);
    uint32_t low = k & 1 ? draw.word[1] : draw.word[0];
    uint32_t high = k & 1 ? draw.word[3] : draw.word[2];
    return k & 2 ? high : low;
}

/* Numbers of a call that every row uses. */
struct slc_call {
    uint64_t row_base, step;
};

SLC_DEVICE struct slc_call slc_call_of(const struct slc_job *job)
{
    int64_t counted = job->map.step;
    /* Another launch has counted since this kernel was last on the machine. Not in one expression
     * with the parameter, which would be read as volatile too, through an address of no space. */
    if (job->map.calls && !job->map.step_given)
        counted = *(volatile const int64_t *)job->map.calls;
    struct slc_call call = {(uint64_t)slc_scalar(&job->row_base, job->map.row_base),
                            (uint64_t)slc_scalar(&job->step, counted)};
    return call;
}

/* The copy that column k takes for expert `entry`, -1: none lives; its slot. */
SLC_DEVICE int32_t slc_copy(const struct slc_map *map, const struct slc_call *call, int64_t t,
                            int32_t k, uint32_t entry, int32_t *slot)
{
    if (!map->by_row && !map->random) {
        *slot = map->chosen_slot[entry];
        return map->chosen[entry];
    }
    uint64_t row = call->row_base + (uint64_t)t;
    int32_t start = map->start[entry];
    uint32_t count = (uint32_t)(map->start[entry + 1] - start), number = 0;
    if (count > 1)
        number = map->by_row ? slc_modulo(row, count)
                             : sl_below(slc_draw(map, row, call->step, k), count);
    int32_t copy = count ? map->copies[start + (int32_t)number] : -1;
    *slot = count ? copy + copy / map->slots * map->shared : -1;
    return copy;
}

/* One routed column. */
SLC_DEVICE void slc_map_choice(const struct slc_job *job, const struct slc_call *call, int64_t t,
                               bool live, int32_t k, int32_t id, float weight)
{
    const struct slc_map *map = &job->map;
    uint32_t entry = (uint32_t)id < (uint32_t)map->experts ? (uint32_t)id : (uint32_t)map->experts;
    int32_t slot = -1, copy = -1;
    if (live) {
        copy = slc_copy(map, call, t, k, entry, &slot);
        if (copy < 0 && id != -1) {
            bool outside = entry == (uint32_t)map->experts;
            bool silent = outside ? SL_MUTANT(rejected_not_counted) : SL_MUTANT(dead_not_counted);
            if (!silent)
                atomicAdd((unsigned long long *)(outside ? job->rejected : job->dead), 1ULL);
        }
    }
    if (job->dispatch_ids.data)
        slc_put_id(&job->dispatch_ids, t, k,
                   SL_MUTANT(padding_shifted) && !live ? -1 - map->shared : slot);
    if (job->dispatch_weights.data)
        job->dispatch_weights.data[t * job->dispatch_weights.stride + k] =
            copy < 0 && !SL_MUTANT(dead_weight_kept) ? 0.0f : weight;
    if (job->recorder_ids.data)
        slc_put_id(&job->recorder_ids, t, k, SL_MUTANT(recorder_after_shift) ? slot : copy);
    if (job->counters && copy >= 0)
        atomicAdd((unsigned long long *)&job->counters[copy], 1ULL);
}

/* a / b; a NaN keeps its bits and becomes quiet, as on the CPU. */
SLC_DEVICE float slc_quotient(float a, float b)
{
    return isnan(a) ? sl_bits_float(sl_float_bits(a) | 0x400000) : a / b;
}

/* The shared columns and zero_weight_here. has_shared: row->shared is used, else the constant. */
SLC_DEVICE void slc_map_shared(const struct slc_job *job, const struct slc_call *call, int64_t t,
                               bool live, bool has_shared, const struct slc_row *row)
{
    const struct slc_map *map = &job->map;
    int32_t home = map->rank, j = slc_lane();
    if (map->by_row && !SL_MUTANT(shared_on_every_rank))
        home = map->living[1 + slc_modulo(call->row_base + (uint64_t)t, (uint32_t)map->living[0])];
    if (j < map->shared && job->dispatch_ids.data)
        slc_put_id(&job->dispatch_ids, t, job->rule.top_k + j,
                   live || SL_MUTANT(padding_keeps_shared) ? home * map->local + map->slots + j
                                                           : -1);
    if (j < map->shared && job->dispatch_weights.data) {
        float weight =
            has_shared ? slc_quotient(row->shared, map->shared_divisor) : map->shared_constant;
        job->dispatch_weights.data[t * job->dispatch_weights.stride + job->rule.top_k + j] =
            live ? weight : 0.0f;
    }
    if (j == 0 && job->zero_here.data)
        job->zero_here.data[t * job->zero_here.stride] =
            home == map->rank || SL_MUTANT(zero_weight_on_every_rank) ? row->zero : 0.0f;
    if (SLC_COUNTS_SHARED && j == 0 && live && map->shared > 0 && job->counters)
        atomicAdd((unsigned long long *)&job->counters[(map->rank + 1) * map->slots - 1], 1ULL);
}

SLC_DEVICE void slc_map_row(const struct slc_job *job, const struct slc_call *call, int64_t t,
                            bool live, bool has_shared, const struct slc_row *row)
{
    if (slc_lane() < job->rule.top_k)
        slc_map_choice(job, call, t, live, slc_lane(), row->id[0], row->w[0]);
    if (slc_lane() + SLC_WARP < job->rule.top_k)
        slc_map_choice(job, call, t, live, slc_lane() + SLC_WARP, row->id[1], row->w[1]);
    if (job->map.shared > 0 || job->zero_here.data)
        slc_map_shared(job, call, t, live, has_shared, row);
}

/* Ends a launch that may draw: the last block counts the call. Every thread comes here. */
SLC_DEVICE void slc_call_done(const struct slc_map *map)
{
    if (!map->calls)
        return;
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    __threadfence();
    if (atomicAdd(map->done, 1U) + 1U != gridDim.x)
        return;
    *(volatile uint32_t *)map->done = 0;
    *(volatile int64_t *)map->calls = *(volatile int64_t *)map->calls + 1;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * route of few columns: one thread a row. Where every row maps an expert to the same copy, a block
 * counts how often each expert was chosen, and at its end adds that to the copies' counters. */
#include "few.cuh"
#include "warp_map.cuh"

/* An expert's copy, the same for all rows, and how often a block's rows chose the expert. */
struct __attribute__((aligned(16))) slc_few_place {
    uint32_t count;
    int32_t slot;
    int32_t copy; /* -1: none lives */
    float factor; /* the weights' scale, 0 without a copy */
};

/* The place that this thread fills, read early and needed late. SLOTS: slots and copies have
 * different numbers. */
template <bool SLOTS> SLC_DEVICE struct slc_few_place slc_few_look(const struct slc_job *job)
{
    struct slc_few_place place = {0, -1, -1, 0.0f};
    int32_t e = (int32_t)threadIdx.x;
    if (e < job->map.experts) {
        place.copy = job->map.chosen[e];
        place.slot = SLOTS ? job->map.chosen_slot[e] : place.copy;
        place.factor = place.copy < 0 ? 0.0f : job->rule.weight_scale;
    }
    return place;
}

/* Adds what the block has counted to the counters; every thread. */
SLC_DEVICE void slc_few_flush(const struct slc_job *job, const struct slc_few_place *places)
{
    int32_t e = (int32_t)threadIdx.x;
    __syncthreads();
    if (e >= SLC_FEW_PLACES || places[e].count == 0 || e >= job->map.experts)
        return;
    int32_t copy = places[e].copy;
    unsigned long long count = places[e].count;
    if (copy < 0 && !SL_MUTANT(dead_not_counted))
        atomicAdd((unsigned long long *)job->dead, count);
    else if (job->counters)
        atomicAdd((unsigned long long *)&job->counters[copy], count);
}

/* SLC_FEW_F32 and SLC_FEW_BF16: two of eight, nothing out of the ordinary, no shared slots. ALL:
 * topk's outputs as well. */
template <int32_t TYPE, bool ALL>
SLC_DEVICE void slc_route_few_plain(const struct slc_job *job, struct slc_few_place *places,
                                    uint32_t t)
{
    uint32_t last = (uint32_t)job->rows - 1;
    struct slc_few_place place;
    if (threadIdx.x < SLC_FEW_PLACES)
        place = slc_few_look<false>(job);
    struct slc_few_pair pair = slc_few_choose_plain<TYPE>(job, t < last ? t : last);
    if (threadIdx.x < SLC_FEW_PLACES)
        places[threadIdx.x] = place;
    __syncthreads();
    if (t <= last) {
        struct slc_few_place *first = &places[pair.id[0]], *second = &places[pair.id[1]];
        int32_t copies[2] = {first->copy, second->copy};
        float w[2] = {pair.part[0] * first->factor, pair.part[1] * second->factor};
        slc_few_put_plain(job->dispatch_ids.data, t, (uint32_t)copies[0], (uint32_t)copies[1]);
        slc_few_put_plain(job->recorder_ids.data, t, (uint32_t)copies[0], (uint32_t)copies[1]);
        slc_few_put_plain(job->dispatch_weights.data, t, slc_few_bits(w[0]), slc_few_bits(w[1]));
        atomicAdd(&first->count, 1U);
        atomicAdd(&second->count, 1U);
        if (ALL)
            slc_few_put_pair(job, t, &pair);
    }
    slc_few_flush(job, places);
}

/* The copy and the slot of an expert where they depend on the row: copy `number` of those that
 * live, of a number that is drawn or the row's. */
SLC_DEVICE int32_t slc_few_copy(const struct slc_map *map, uint64_t row, uint32_t drawn, int32_t id,
                                int32_t *slot)
{
    int32_t start = map->start[id];
    uint32_t count = (uint32_t)(map->start[id + 1] - start);
    if (count == 0)
        return -1;
    uint32_t number = map->by_row ? slc_modulo(row, count) : sl_below(drawn, count);
    int32_t copy = map->copies[start + (int32_t)number];
    *slot = copy + copy / map->slots * map->shared;
    return copy;
}

/* The copies of K choices, their slots, and weights: what slc_map_choice does. */
template <int32_t K>
SLC_DEVICE void slc_few_map(const struct slc_job *job, const struct slc_call *call,
                            struct slc_few_place *places, int64_t t, int32_t *id, float *w)
{
    const struct slc_map *map = &job->map;
    int32_t slot[K], top_k = job->rule.top_k;
    uint64_t row = call->row_base + (uint64_t)t;
    bool fixed = !map->by_row && !map->random;
    struct sl_philox draw = {{0, 0, 0, 0}};
    if (map->random && !map->by_row)
        draw = sl_philox(map->seed ^ (uint64_t)(uint32_t)map->layer << 36, row, call->step);
#pragma unroll
    for (int32_t k = 0; k < K; k++) {
        int32_t copy = -1;
        slot[k] = -1;
        if (fixed && k < top_k) {
            copy = places[id[k]].copy;
            slot[k] = places[id[k]].slot;
            atomicAdd(&places[id[k]].count, 1U);
        } else if (k < top_k && id[k] < map->experts) {
            copy = slc_few_copy(map, row, draw.word[k], id[k], &slot[k]);
            if (copy < 0)
                atomicAdd((unsigned long long *)job->dead, 1ULL);
            else if (job->counters)
                atomicAdd((unsigned long long *)&job->counters[copy], 1ULL);
        }
        id[k] = copy;
        w[k] = copy < 0 ? 0.0f : w[k];
    }
    slc_few_put_ids<K>(&job->dispatch_ids, t, top_k, slot);
    slc_few_put_ids<K>(&job->recorder_ids, t, top_k, SL_MUTANT(recorder_after_shift) ? slot : id);
    slc_few_put_floats<K>(&job->dispatch_weights, t, top_k, w);
}

/* The constant shared columns. */
SLC_DEVICE void slc_few_share(const struct slc_job *job, const struct slc_call *call, int64_t t,
                              bool live)
{
    const struct slc_map *map = &job->map;
    int32_t home = map->rank, top_k = job->rule.top_k;
    if (map->by_row)
        home = map->living[1 + slc_modulo(call->row_base + (uint64_t)t, (uint32_t)map->living[0])];
    if (SLC_COUNTS_SHARED && live && job->counters)
        atomicAdd((unsigned long long *)&job->counters[(map->rank + 1) * map->slots - 1], 1ULL);
    for (int32_t j = 0; j < map->shared; j++) {
        if (job->dispatch_ids.data)
            slc_put_id(&job->dispatch_ids, t, top_k + j,
                       live || SL_MUTANT(padding_keeps_shared) ? home * map->local + map->slots + j
                                                               : -1);
        if (job->dispatch_weights.data)
            job->dispatch_weights.data[t * job->dispatch_weights.stride + top_k + j] =
                live ? map->shared_constant : 0.0f;
    }
}

template <int32_t C, int32_t K>
SLC_DEVICE void slc_route_few_any(const struct slc_job *job, struct slc_few_place *places,
                                  uint32_t t)
{
    if (threadIdx.x < SLC_FEW_PLACES)
        places[threadIdx.x] = slc_few_look<true>(job);
    __syncthreads();
    if (t < (uint32_t)job->rows) {
        int32_t id[K];
        float w[K];
        bool live = slc_row_live(job, t);
        slc_few_choose<C, K>(job, t, live, id, w);
        struct slc_call call = slc_call_of(job);
        slc_few_map<K>(job, &call, places, t, id, w);
        if (job->map.shared > 0)
            slc_few_share(job, &call, t, live);
    }
    slc_few_flush(job, places);
    slc_call_done(&job->map);
}

extern "C" __global__ void __launch_bounds__(SLC_FEW_THREADS)
    slc_route_few(const __grid_constant__ struct slc_job job)
{
    __shared__ struct slc_few_place places[SLC_FEW_PLACES];
    uint32_t t = blockIdx.x * blockDim.x + threadIdx.x;
    if (job.few == SLC_FEW_F32)
        slc_route_few_plain<SL_F32, false>(&job, places, t);
    else if (job.few == SLC_FEW_BF16)
        slc_route_few_plain<SL_BF16, false>(&job, places, t);
    else if (job.few == SLC_FEW_F32_ALL)
        slc_route_few_plain<SL_F32, true>(&job, places, t);
    else if (job.few == SLC_FEW_BF16_ALL)
        slc_route_few_plain<SL_BF16, true>(&job, places, t);
    else if (job.few == SLC_FEW_8_2)
        slc_route_few_any<8, 2>(&job, places, t);
    else if (job.few == SLC_FEW_16_2)
        slc_route_few_any<16, 2>(&job, places, t);
    else
        slc_route_few_any<16, 4>(&job, places, t);
}

/* SPDX-License-Identifier: Apache-2.0
 * What the kernels that choose 8 by registers alone share: a warp's rows of the inputs and outputs.
 * The host has seen (cu_gate.c) that rows of logits are aligned to 16 bytes, that all ids have one
 * width and that there are fewer than 2^30 rows. Lanes k, k + 8, k + 16 and k + 24 have the same
 * choice k, so that one store writes a row of four outputs. */
#ifndef SLC_GATE_ROWS_CUH
#define SLC_GATE_ROWS_CUH

#include "block_bins.cuh"
#include "lists.cuh"
#include "warp_map.cuh"

SLC_DEVICE struct slc_four slc_get_four(const char *from)
{
    return *(const struct slc_four *)from;
}

/* Eight elements from an aligned place. */
SLC_DEVICE void slc_get_eight(const char *from, int32_t type, float *x)
{
    if (type == SL_F32) {
        struct slc_floats_4 low = ((const struct slc_floats_4 *)from)[0];
        struct slc_floats_4 high = ((const struct slc_floats_4 *)from)[1];
#pragma unroll
        for (int32_t i = 0; i < SLC_FOUR; i++) {
            x[i] = low.x[i];
            x[i + 4] = high.x[i];
        }
        return;
    }
    struct slc_four four = slc_get_four(from);
    if (type == SL_BF16) {
#pragma unroll
        for (int32_t i = 0; i < SLC_FOUR; i++) {
            x[2 * i] = slc_low_bf16(four.word[i]);
            x[2 * i + 1] = slc_high_bf16(four.word[i]);
        }
        return;
    }
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++) {
        x[2 * i] = slc_low_f16(four.word[i]);
        x[2 * i + 1] = slc_low_f16(four.word[i] >> 16);
    }
}

SLC_DEVICE void slc_put_eight(float *to, const float *x)
{
    struct slc_floats_4 *four = (struct slc_floats_4 *)to;
#pragma unroll
    for (int32_t h = 0; h < 2; h++) {
        struct slc_floats_4 all = {{x[4 * h], x[4 * h + 1], x[4 * h + 2], x[4 * h + 3]}};
        four[h] = all;
    }
}

/* Four elements from an aligned place. */
SLC_DEVICE void slc_get_four_floats(const char *from, int32_t type, float *x)
{
    if (type == SL_F32) {
        struct slc_floats_4 four = *(const struct slc_floats_4 *)from;
#pragma unroll
        for (int32_t i = 0; i < SLC_FOUR; i++)
            x[i] = four.x[i];
        return;
    }
    struct slc_words two = *(const struct slc_words *)from;
    if (type == SL_BF16) {
        x[0] = slc_low_bf16(two.low);
        x[1] = slc_high_bf16(two.low);
        x[2] = slc_low_bf16(two.high);
        x[3] = slc_high_bf16(two.high);
        return;
    }
    x[0] = slc_low_f16(two.low);
    x[1] = slc_low_f16(two.low >> 16);
    x[2] = slc_low_f16(two.high);
    x[3] = slc_low_f16(two.high >> 16);
}

/* s, a sigmoid, and v of a column: s + bias, or -inf where the column is never chosen. */
SLC_DEVICE float slc_biased(float logit, float bias, float *s)
{
    if (SL_MUTANT(nan_chosen) && logit != logit)
        logit = FLT_MAX;
    float x = slc_min_nan(logit, 18.0f); /* +inf is as FLT_MAX: s is 1 */
    *s = slc_sigmoid(x);
    /* x * 0 makes a NaN of NaN and of -inf. */
    float v = fmaxf(fmaf(x, 0.0f, *s) + bias, -INFINITY);
    if (SL_MUTANT(weight_after_bias))
        *s = *s + bias;
    return v;
}

/* What a lane does with every row. */
struct slc_lane_rows {
    char *to, *weights;         /* its place in an output, and in the fifth */
    int64_t step, weights_step; /* bytes to the warp's next row */
    const uint8_t *valid;
    uint32_t lane, k, selector; /* k: its choice; lanes from K up do what lane K - 1 does */
    int32_t counts;             /* 1: it takes part in the sum that renormalises */
    int32_t speaks;             /* -1: it counts; 0: another lane counts the same choice */
    int32_t silent;             /* 0: it adds to the counters; -1 */
    int32_t copies;             /* -1: it writes copies; 0: ids, or weights */
    int32_t kind, wide, type, has_valid, unusual, has_weights;
    float floor, eps, scale;
};

template <bool Routes>
SLC_DEVICE struct slc_lane_rows slc_lane_rows_of(const struct slc_gate *job, uint32_t lane,
                                                 int32_t t, int32_t step)
{
    struct slc_lane_rows my;
    uint32_t top_k = (uint32_t)job->top_k, k = lane % SLC_EIGHT;
    const struct slc_out *out = &job->out[lane / SLC_EIGHT];
    my.counts = k < top_k && job->renorm;
    k = k < top_k ? k : top_k - 1;
    my.lane = lane;
    my.k = k;
    my.selector = slc_byte_selector(k);
    my.kind = out->kind;
    my.wide = out->wide;
    my.to = out->data + (int64_t)t * out->row_bytes + (k << (2 + my.wide));
    my.step = (int64_t)step * out->row_bytes;
    my.weights = NULL;
    my.weights_step = 0;
    if (Routes && job->has_weights) {
        my.weights = job->weights + (int64_t)t * job->weights_bytes + k * 4;
        my.weights_step = (int64_t)step * job->weights_bytes;
    }
    my.speaks = lane < top_k ? -1 : 0;
    my.silent = lane < top_k && job->counters ? 0 : -1;
    my.copies = my.kind == SLC_OUT_SLOTS || my.kind == SLC_OUT_COPIES ? -1 : 0;
    my.type = job->logit_type;
    my.valid = job->row_valid;
    my.has_valid = job->row_valid != NULL;
    my.unusual = job->unusual;
    my.has_weights = job->has_weights;
    my.floor = job->renorm_floor;
    my.eps = job->renorm_eps;
    my.scale = job->scale;
    SLC_KEEP(my.k);
    SLC_KEEP(my.selector);
    SLC_KEEP(my.counts);
    SLC_KEEP(my.speaks);
    SLC_KEEP(my.silent);
    SLC_KEEP(my.kind);
    SLC_KEEP(my.copies);
    SLC_KEEP(my.wide);
    SLC_KEEP(my.type);
    SLC_KEEP(my.has_valid);
    SLC_KEEP(my.unusual);
    SLC_KEEP(my.has_weights);
    SLC_KEEP_FLOAT(my.floor);
    SLC_KEEP_FLOAT(my.eps);
    SLC_KEEP_FLOAT(my.scale);
    SLC_KEEP_WIDE(my.step);
    return my;
}

SLC_DEVICE int32_t slc_live_rows(const struct slc_job *job)
{
    if (!job->gate.has_num_valid)
        return job->gate.live_rows;
    int64_t valid = sl_id_at(&job->num_valid, 0, 0), rows = job->gate.rows;
    valid = valid < rows ? valid : rows;
    return (int32_t)(valid > 0 ? valid : 0);
}

/* Weights from the scores of the choices, of which every lane has one. */
SLC_DEVICE float slc_weigh_eight(const struct slc_lane_rows *my, float score)
{
    float divisor = my->counts ? score : 0.0f;
    divisor = divisor + slc_across<4>(divisor);
    divisor = divisor + slc_across<2>(divisor);
    divisor = divisor + slc_across<1>(divisor);
    divisor = fmaxf(divisor, my->floor) + my->eps;
    divisor = divisor > 0 ? divisor : 1.0f;
    return score / divisor * my->scale;
}

SLC_DEVICE void slc_write(char *to, int32_t wide, int32_t value)
{
    if (wide)
        *(int64_t *)to = value;
    else
        *(int32_t *)to = value;
}

/* The shared columns of the dispatch outputs: lane j of eight has column K + j. */
SLC_DEVICE void slc_write_shared(const struct slc_gate *job, const struct slc_lane_rows *my,
                                 bool live)
{
    int32_t j = (int32_t)(my->lane % SLC_EIGHT), ahead = job->top_k + j - (int32_t)my->k;
    bool slots = my->kind == SLC_OUT_SLOTS;
    if ((!slots && my->kind != SLC_OUT_GIVEN) || j >= job->shared)
        return;
    int32_t value = slots ? job->shared_slot + j : sl_float_bits(job->shared_weight);
    slc_write(my->to + ((int64_t)ahead << (2 + my->wide)), my->wide, live ? value : slots ? -1 : 0);
}

/* A row without choices that is not live. */
template <bool Routes>
SLC_DEVICE void slc_pad_row(const struct slc_gate *job, const struct slc_lane_rows *my)
{
    bool floats = my->kind == SLC_OUT_GIVEN || my->kind == SLC_OUT_WEIGHTS;
    slc_write(my->to, my->wide, floats ? 0 : -1);
    if (Routes && job->shared > 0)
        slc_write_shared(job, my, SL_MUTANT(padding_keeps_shared));
    if (Routes && job->weights)
        *(float *)my->weights = 0.0f;
}

/* What choices become copies by: in the block's shared memory, or the map's own. */
struct slc_ends {
    uint32_t experts;
    const int32_t *copies, *slots;
    uint32_t *bins; /* Staged: of the block */
};

SLC_DEVICE void slc_write_route(const struct slc_lane_rows *my, int32_t id, int32_t copy,
                                int32_t slot, float weight)
{
    int32_t counted = SL_MUTANT(recorder_after_shift) ? slot : copy;
    int32_t value = my->kind == SLC_OUT_COPIES ? counted : my->kind == SLC_OUT_IDS ? id : slot;
    int32_t given = sl_float_bits(copy < 0 ? 0.0f : weight);
    slc_write(my->to, my->wide, my->kind == SLC_OUT_GIVEN ? given : value);
}

/* Copies, counts and outputs of a row, of which this lane has choice my->k. */
template <bool Staged>
SLC_DEVICE void slc_end_route(const struct slc_gate *job, const struct slc_ends *ends,
                              const struct slc_lane_rows *my, int32_t id, float weight)
{
    uint32_t entry = (uint32_t)id < ends->experts ? (uint32_t)id : ends->experts;
    int32_t copy = ends->copies[entry];
    if ((copy | my->silent) >= 0) {
        if (Staged)
            atomicAdd(&ends->bins[copy], 1U);
        else
            atomicAdd(&job->counters[copy], 1ULL);
    }
    if (slc_and_not_and(copy, id, my->speaks) < 0 && /* its expert has no living copy */
        !SL_MUTANT(dead_not_counted))
        atomicAdd(job->dead, 1ULL);
    if (SLC_COUNTS_SHARED && my->silent >= 0 && my->lane == 0 && job->shared > 0)
        atomicAdd(&job->counters[job->physical - 1], 1ULL);
    if (my->has_weights)
        *(float *)my->weights = weight;
    if (my->unusual) {
        slc_write_route(my, id, copy, job->shared > 0 ? ends->slots[entry] : copy, weight);
        if (job->shared > 0)
            slc_write_shared(job, my, true);
        return;
    }
    int32_t value = slc_merged(my->copies, copy, id), given = copy < 0 ? 0 : sl_float_bits(weight);
    *(int32_t *)my->to = my->kind == SLC_OUT_GIVEN ? given : value;
}

SLC_DEVICE void slc_end_topk(const struct slc_lane_rows *my, int32_t id, float weight)
{
    slc_write(my->to, my->wide, my->kind == SLC_OUT_IDS ? id : sl_float_bits(weight));
}

#endif

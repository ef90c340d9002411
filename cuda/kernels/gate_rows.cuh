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
    float x = slc_min_nan(logit, 18.0f); /* +inf is as FLT_MAX: s is 1 */
    *s = slc_sigmoid(x);
    /* x * 0 makes a NaN of NaN and of -inf. */
    return fmaxf(fmaf(x, 0.0f, *s) + bias, -INFINITY);
}

/* What a lane does with every row. */
struct slc_lane_rows {
    char *to, *weights;         /* its place in an output (slc_out), and in that of weights alone */
    int64_t step, weights_step; /* bytes to the warp's next row */
    uint32_t lane;
    uint32_t k; /* its choice; lanes from K up do what lane K - 1 does */
    int32_t top_k, live_rows, kind, wide;
    int32_t idle; /* -1: this lane counts nothing; lanes from K up, or all */
    int32_t shared, renorm, has_weights, type;
    const uint8_t *valid; /* row_valid, or NULL */
    float floor, eps, scale;
};

SLC_DEVICE struct slc_lane_rows slc_lane_rows_of(const struct slc_job *job, uint32_t lane, int32_t t,
                                                 int32_t step)
{
    struct slc_lane_rows my;
    uint32_t top_k = (uint32_t)job->rule.top_k, k = lane % SLC_EIGHT;
    k = k < top_k ? k : top_k - 1;
    const struct slc_out *out = &job->out[lane / SLC_EIGHT];
    my.lane = lane;
    my.k = k;
    my.top_k = (int32_t)top_k;
    my.kind = out->kind;
    my.wide = out->wide;
    my.to = out->data + t * out->row_bytes + (k << (2 + out->wide));
    my.step = step * out->row_bytes;
    my.weights = (char *)job->last.data;
    my.weights += t * job->last.row_bytes + k * 4;
    my.weights_step = step * job->last.row_bytes;
    int64_t valid = slc_scalar(&job->num_valid, job->io.valid_rows);
    valid = valid < job->rows ? valid : job->rows;
    my.live_rows = (int32_t)(valid > 0 ? valid : 0);
    my.idle = lane < top_k && job->counters ? 0 : -1;
    my.shared = job->map.shared;
    my.has_weights = job->last.data != NULL;
    my.type = job->io.logit_type;
    my.valid = job->io.row_valid;
    my.renorm = job->rule.renorm;
    my.floor = job->rule.renorm_floor;
    my.eps = job->rule.renorm_eps;
    my.scale = job->rule.weight_scale;
    SLC_KEEP(my.live_rows);
    SLC_KEEP(my.k);
    SLC_KEEP(my.top_k);
    SLC_KEEP(my.idle);
    SLC_KEEP(my.kind);
    SLC_KEEP(my.wide);
    SLC_KEEP(my.shared);
    SLC_KEEP(my.has_weights);
    SLC_KEEP(my.type);
    SLC_KEEP(my.renorm);
    SLC_KEEP_FLOAT(my.floor);
    SLC_KEEP_FLOAT(my.eps);
    SLC_KEEP_FLOAT(my.scale);
    return my;
}

/* Weights from the scores of the eight choices, which every lane has one of. */
SLC_DEVICE float slc_weigh_eight(const struct slc_lane_rows *my, float score)
{
    float divisor = (int32_t)(my->lane % SLC_EIGHT) < my->top_k ? score : 0.0f;
    divisor = divisor + slc_across<4>(divisor);
    divisor = divisor + slc_across<2>(divisor);
    divisor = divisor + slc_across<1>(divisor);
    divisor = fmaxf(divisor, my->floor) + my->eps;
    divisor = (my->renorm != 0) & (divisor > 0) ? divisor : 1.0f;
    return score / divisor * my->scale;
}

SLC_DEVICE bool slc_is_live(const struct slc_lane_rows *my, int32_t t)
{
    bool live = t < my->live_rows;
    if (my->valid && live)
        live = my->valid[t] != 0;
    return live;
}

SLC_DEVICE void slc_write(char *to, int32_t wide, int32_t value)
{
    if (wide)
        *(int64_t *)to = value;
    else
        *(int32_t *)to = value;
}

/* The shared columns of the dispatch outputs: lane j of eight has column K + j. */
SLC_DEVICE void slc_write_shared(const struct slc_map *map, const struct slc_lane_rows *my,
                                 bool live)
{
    int32_t j = (int32_t)(my->lane % SLC_EIGHT), ahead = my->top_k + j - (int32_t)my->k;
    bool slots = my->kind == SLC_OUT_SLOTS;
    if ((!slots && my->kind != SLC_OUT_GIVEN) || j >= map->shared)
        return;
    int32_t slot = map->rank * map->local + map->slots + j;
    int32_t value = slots ? slot : sl_float_bits(map->shared_constant);
    slc_write(my->to + ((int64_t)ahead << (2 + my->wide)), my->wide, live ? value : slots ? -1 : 0);
}

/* What choices become copies by: in the block's shared memory, or the map's own. */
struct slc_ends {
    uint32_t experts;
    const int32_t *copies, *slots;
    uint32_t *bins;               /* Staged: of the block */
    unsigned long long *counters; /* NULL: nothing is counted */
};

/* A choice whose expert has no living copy. */
SLC_DEVICE void slc_count_dead(const struct slc_job *job, const struct slc_lane_rows *my)
{
    if (my->lane < (uint32_t)my->top_k)
        atomicAdd((unsigned long long *)job->dead, 1ULL);
}

/* Copies, counts and outputs of a row, of which this lane has choice my->k. */
template <bool Staged>
SLC_DEVICE void slc_end_route(const struct slc_job *job, const struct slc_ends *ends,
                              const struct slc_lane_rows *my, bool live, int32_t id, float weight)
{
    const struct slc_map *map = &job->map;
    uint32_t entry = (uint32_t)id < ends->experts ? (uint32_t)id : ends->experts;
    int32_t copy = ends->copies[entry], slot = copy;
    if (my->shared > 0) {
        slot = ends->slots[entry];
        slc_write_shared(map, my, live);
    }
    if ((copy | my->idle) >= 0) {
        if (Staged)
            atomicAdd(&ends->bins[copy], 1U);
        else
            atomicAdd(&ends->counters[copy], 1ULL);
    }
    if ((copy & ~id) < 0)
        slc_count_dead(job, my);
    int32_t value = my->kind == SLC_OUT_COPIES ? copy : my->kind == SLC_OUT_IDS ? id : slot;
    int32_t given = sl_float_bits(copy < 0 ? 0.0f : weight);
    slc_write(my->to, my->wide, my->kind == SLC_OUT_GIVEN ? given : value);
    if (my->has_weights)
        *(float *)my->weights = weight;
}

SLC_DEVICE void slc_end_topk(const struct slc_lane_rows *my, int32_t id, float weight)
{
    slc_write(my->to, my->wide, my->kind == SLC_OUT_IDS ? id : sl_float_bits(weight));
}

#endif

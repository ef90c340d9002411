/* SPDX-License-Identifier: Apache-2.0
 * Weights of chosen rows, and the outputs: sl_tail by vectors. Included by cpu_choose_avx2.c and
 * cpu_choose_avx512.c. */
#ifndef SL_CPU_CHOOSE_WEIGH_H
#define SL_CPU_CHOOSE_WEIGH_H

/* Sixteen choices at `at` of chosen: their scores, 0 for none; what is none gets the id -1. lane:
 * the column of each choice in its row. */
SL_SIMD vf sl_scores_at(const struct sl_rule *rule, struct sl_chosen *chosen, int32_t at, vm in_row,
                        vf max, vf sum)
{
    vi id = vi_load(chosen->ids + at);
    vf x = vf_clean(vf_load(chosen->x + at));
    vm live = vm_and(vm_and(vi_gt(id, vi_set(-1)), in_row), vf_ge(x, vf_set(-FLT_MAX)));
    vi_store(chosen->ids + at, vi_pick(live, id, vi_set(-1)));
    return vf_or_zero(live, vf_score(rule, x, max, sum));
}

/* The divisor of renorm, from the sum of the K scores. */
SL_SIMD vf sl_divisor(const struct sl_rule *rule, vf sum)
{
    vf divisor = vf_max(sum, vf_set(rule->renorm_floor));
    divisor = vf_add(divisor, vf_set(rule->renorm_eps));
    return vf_pick(vf_gt(divisor, vf_set(0.0f)), divisor, vf_set(1.0f));
}

SL_SIMD void sl_put_weights(const struct sl_rule *rule, const struct sl_choose_io *io,
                            struct sl_chosen *chosen, int32_t at, vf s, vf divisor)
{
    if (rule->renorm)
        s = vf_div(s, divisor);
    vf w = vf_mul(s, vf_set(rule->weight_scale));
    if (io->expert_scale) {
        vi id = vi_load(chosen->ids + at);
        vm live = vi_gt(id, vi_set(-1));
        w = vf_pick(live, vf_mul(w, vf_gather(live, io->expert_scale, id)), w);
    }
    vf_store(chosen->weights + at, w);
}

/* K <= 8: rows i and i + 1. */
SL_SIMD void sl_weigh_two(const struct sl_rule *rule, const struct sl_choose_io *io,
                          struct sl_chosen *chosen, int32_t i)
{
    const int32_t lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
    vm in_row = vi_gt(vi_set(rule->top_k), vi_load(lane));
    vf max = vf_two(chosen->max[i], chosen->max[i + 1]);
    vf sum = vf_two(chosen->sum[i], chosen->sum[i + 1]);
    vf s = sl_scores_at(rule, chosen, 8 * i, in_row, max, sum);
    sl_put_weights(rule, io, chosen, 8 * i, s, sl_divisor(rule, vf_sum8(s)));
}

/* K > 8: row i. */
SL_SIMD void sl_weigh_one(const struct sl_rule *rule, const struct sl_choose_io *io,
                          struct sl_chosen *chosen, int32_t i)
{
    vf s[SL_MAX_K / 16], total = vf_set(0.0f);
    vf max = vf_set(chosen->max[i]), sum = vf_set(chosen->sum[i]);
    for (int32_t k = 0; k < rule->top_k; k += 16) {
        vm in_row = sl_lanes_below(rule->top_k - k);
        s[k / 16] = sl_scores_at(rule, chosen, i * chosen->room + k, in_row, max, sum);
        total = vf_add(total, s[k / 16]);
    }
    vf divisor = sl_divisor(rule, vf_sum16(total));
    for (int32_t k = 0; k < rule->top_k; k += 16)
        sl_put_weights(rule, io, chosen, i * chosen->room + k, s[k / 16], divisor);
}

/* Rows of `room` become dense rows of k; both are of 4-byte elements. */
SL_SIMD void sl_put_rows(void *to, const void *from, int32_t room, int32_t k, int32_t count)
{
    char *out = to;
    const char *in = from;
    if (room == k) {
        memcpy(out, in, (size_t)count * (size_t)k * 4);
        return;
    }
    for (int32_t i = 0; i < count; i++, in += 4 * room) {
        /* A whole vector where the next rows overwrite what is too much. */
        if (room == 8 && (count - i) * k >= 8)
            _mm256_storeu_si256((__m256i *)(void *)(out + 4 * i * k),
                                _mm256_loadu_si256((const __m256i *)(const void *)in));
        else
            memcpy(out + 4 * i * k, in, (size_t)k * 4);
    }
}

/* Gates of the shared experts. */
SL_SIMD void sl_gates(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t first,
                      int32_t count, float *shared)
{
    float gate[SL_BLOCK_ROWS * SL_MAX_SHARED + 16];
    int32_t columns = io->shared_columns > 1 ? rule->shared : 1, total = count * columns;
    for (int32_t i = 0; i < count; i++)
        for (int32_t j = 0; j < columns; j++)
            gate[i * columns + j] = sl_float_at(io->shared_logits, io->shared_type,
                                                (first + i) * io->shared_stride + j);
    for (int32_t at = total; at < (total + 15) / 16 * 16; at++)
        gate[at] = 0.0f;
    for (int32_t at = 0; at < total; at += 16)
        vf_store(gate + at, vf_mul(vf_sigmoid(vf_load(gate + at)), vf_set(rule->shared_scale)));
    for (int32_t i = 0; i < count; i++)
        for (int32_t j = 0; j < rule->shared; j++)
            shared[i * rule->shared + j] = sl_plain_nan(gate[i * columns + (columns > 1 ? j : 0)]);
}

/* Weights of all rows of the block, and the outputs. Scores only with JOINT: sl_tail does the rest,
 * row by row. */
SL_SIMD_STEP void sl_weigh(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t first,
                           int32_t count, struct sl_chosen *chosen, const struct sl_choices *out)
{
    struct sl_rule scores_only = *rule;
    struct sl_choose_io io_of_scores = *io;
    bool is_joint = rule->shared_weight == SLUICE_SHARED_JOINT;
    if (is_joint) {
        scores_only.renorm = 0;
        scores_only.weight_scale = 1.0f;
        io_of_scores.expert_scale = NULL;
    }
    if (chosen->room == 8)
        for (int32_t i = 0; i < count; i += 2)
            sl_weigh_two(&scores_only, &io_of_scores, chosen, i);
    else
        for (int32_t i = 0; i < count; i++)
            sl_weigh_one(&scores_only, &io_of_scores, chosen, i);
    sl_put_rows(out->ids, chosen->ids, chosen->room, rule->top_k, count);
    sl_put_rows(out->weights, chosen->weights, chosen->room, rule->top_k, count);
    for (int32_t i = 0; i < count && (is_joint || rule->zero_experts > 0); i++) {
        struct sl_row_out row = sl_row_of(rule, out, i);
        if (is_joint)
            sl_tail(rule, io, first + i, chosen->joint[i], row);
        else
            sl_zero_experts(rule, row);
    }
    if (rule->shared_weight == SLUICE_SHARED_SIGMOID)
        sl_gates(rule, io, first, count, out->shared);
}

#endif

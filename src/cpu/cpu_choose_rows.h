/* SPDX-License-Identifier: Apache-2.0
 * Choosing for any rule, by vectors along a row; the weights of a block of rows come at its end, two
 * rows to a vector where K is at most 8. Included by cpu_choose_avx2.c and cpu_choose_avx512.c. */
#ifndef SL_CPU_CHOOSE_ROWS_H
#define SL_CPU_CHOOSE_ROWS_H

SL_SIMD bool sl_keeps_some(const struct sl_rule *rule)
{
    return rule->group_mode == SLUICE_GROUPS_LIMIT && rule->keep_groups < rule->groups;
}

SL_SIMD int32_t sl_padded(const struct sl_rule *rule)
{
    return (rule->columns + 15) / 16 * 16;
}

/* x of every column: the logits themselves where they need nothing but vf_clean, else in `work`. */
SL_SIMD const float *sl_row_x(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                              const float *bias, struct sl_ranking *work)
{
    int64_t size = io->logit_type == SL_F32 ? 4 : 2;
    const void *row = (const char *)io->logits + t * io->logit_stride * size;
    bool as_is = io->logit_type == SL_F32 && rule->columns % 16 == 0 && rule->logit_scale == 1.0f &&
                 !(rule->logit_cap > 0) && rule->bias_use != SLUICE_BIAS_LOGIT;
    if (as_is)
        return (const float *)row;
    for (int32_t at = 0; at < rule->columns; at += 16) {
        int32_t n = rule->columns - at < 16 ? rule->columns - at : 16;
        vf logit = vf_load_row(row, io->logit_type, at, n);
        vf b = rule->bias_use == SLUICE_BIAS_LOGIT ? vf_load_row(bias, SL_F32, at, n) : vf_set(0.0f);
        vf x = vf_column_x(rule, logit, b);
        vf_store(work->x + at, n == 16 ? x : vf_pick(sl_lanes_below(n), x, vf_set(-INFINITY)));
    }
    return work->x;
}

/* Sum of exp(x - max); writes the summands to s if it is not NULL. */
SL_SIMD float sl_softmax_sum(const float *x, int32_t padded, float max, float *s)
{
    vf sum = vf_set(0.0f);
    for (int32_t at = 0; at < padded; at += 16) {
        vf e = vf_exp(vf_sub(vf_clean(vf_load(x + at)), vf_set(max)));
        sum = vf_add(sum, e);
        if (s)
            vf_store(s + at, e);
    }
    return vf_first(vf_sum16(sum));
}

/* s, or s + bias where that ranks, of all columns into work->s; -inf for one never chosen. Returns
 * the greatest of each lane. `score` is rule->score, a constant where this is called. */
SL_SIMD vf sl_fill_scores(const struct sl_rule *rule, int32_t score, const float *x,
                          const float *bias, float sum, struct sl_ranking *work)
{
    bool add = rule->bias_use == SLUICE_BIAS_SCORE || rule->bias_use == SLUICE_BIAS_RANK_LOGIT;
    vf best = vf_set(-INFINITY);
    for (int32_t at = 0; at < rule->columns; at += 16) {
        vf logit = vf_load(x + at), s;
        if (score == SLUICE_SCORE_SIGMOID)
            s = vf_sigmoid(logit);
        else if (score == SLUICE_SCORE_SQRT_SOFTPLUS)
            s = vf_sqrt_softplus(vf_min(vf_set(FLT_MAX), logit));
        else
            s = vf_div(vf_load(work->s + at), vf_set(sum));
        if (add && rule->columns - at >= 16)
            s = vf_add(s, vf_load(bias + at));
        else if (add)
            s = vf_add(s, vf_load_row(bias, SL_F32, at, rule->columns - at));
        vm alive = vf_ge(logit, vf_set(-FLT_MAX));
        /* In this order NaN becomes -inf. */
        s = vf_max(vf_pick(alive, s, vf_set(-INFINITY)), vf_set(-INFINITY));
        vf_store(work->s + at, s);
        best = vf_max(s, best);
    }
    return best;
}

SL_SIMD vf sl_scores_of(const struct sl_rule *rule, const float *x, const float *bias, float sum,
                        struct sl_ranking *work)
{
    if (rule->score == SLUICE_SCORE_SIGMOID)
        return sl_fill_scores(rule, SLUICE_SCORE_SIGMOID, x, bias, sum, work);
    if (rule->score == SLUICE_SCORE_SQRT_SOFTPLUS)
        return sl_fill_scores(rule, SLUICE_SCORE_SQRT_SOFTPLUS, x, bias, sum, work);
    return sl_fill_scores(rule, SLUICE_SCORE_SOFTMAX, x, bias, sum, work);
}

/* x + bias, which ranks with RANK_LOGIT, into work->v. */
SL_SIMD void sl_fill_biased(const struct sl_rule *rule, const float *x, const float *bias,
                            struct sl_ranking *work)
{
    for (int32_t at = 0; at < rule->columns; at += 16) {
        int32_t n = rule->columns - at < 16 ? rule->columns - at : 16;
        vf clean = vf_clean(vf_load(x + at));
        vf v = vf_add(clean, vf_load_row(bias, SL_F32, at, n));
        v = vf_pick(vf_ge(clean, vf_set(-FLT_MAX)), v, vf_set(-INFINITY));
        vf_store(work->v + at, vf_max(v, vf_set(-INFINITY)));
    }
}

/* -1 from `found` to the end of the eight that k is in. */
SL_SIMD void sl_pad_ids(int32_t *ids, int32_t found, int32_t k)
{
    for (; found < (k + 7) / 8 * 8; found++)
        ids[found] = -1;
}

SL_SIMD_TARGET static void sl_best_even(const struct sl_rule *rule, struct sl_field *field,
                                        struct sl_candidates *room, int32_t *ids)
{
    int32_t each = rule->top_k / rule->groups, found = 0;
    int32_t own[SL_MAX_K];
    field->width = rule->group_size;
    field->parts = 1;
    for (int32_t g = 0; g < rule->groups; g++) {
        field->part = &g;
        sl_best(field, each, room, own);
        for (int32_t k = 0; k < each && own[k] >= 0; k++)
            ids[found++] = own[k];
    }
    sl_pad_ids(ids, found, rule->top_k);
}

/* Ranks a row. `lanes`: the greatest x of each lane, of use where x ranks. */
SL_SIMD void sl_rank_row(const struct sl_rule *rule, const float *x, const float *bias, float sum,
                         vf lanes, struct sl_ranking *work, int32_t *ids)
{
    static const int32_t whole = 0;
    int32_t kept[SL_MAX_GROUPS];
    struct sl_field field = {x, FLT_MAX, sl_padded(rule), 1, &whole};
    bool some = sl_keeps_some(rule);
    if (some || rule->bias_use == SLUICE_BIAS_SCORE)
        lanes = sl_scores_of(rule, x, bias, sum, work);
    if (rule->bias_use == SLUICE_BIAS_SCORE) {
        field.v = work->s;
        field.most = INFINITY;
    }
    if (rule->bias_use == SLUICE_BIAS_RANK_LOGIT) {
        sl_fill_biased(rule, x, bias, work);
        field.v = work->v;
        field.most = INFINITY;
    }
    if (rule->group_mode == SLUICE_GROUPS_EVEN && rule->groups > 1) {
        sl_best_even(rule, &field, &work->candidates, ids);
        return;
    }
    if (some) {
        sl_best_groups(rule, work->s, kept);
        field.width = rule->group_size;
        field.parts = rule->keep_groups;
        field.part = kept;
    }
    if (rule->top_k > 8 || some || rule->bias_use == SLUICE_BIAS_RANK_LOGIT)
        sl_best(&field, rule->top_k, &work->candidates, ids);
    else
        vk_ids(sl_best_8(&field, lanes, &work->candidates), ids);
}

/* to[k] = x[ids[k]], 0 for a negative id; 8 of them. */
SL_SIMD void sl_gather_8(const float *x, const int32_t *ids, float *to)
{
    __m256i id = _mm256_loadu_si256((const __m256i *)(const void *)ids);
    __m256 some = _mm256_castsi256_ps(_mm256_cmpgt_epi32(id, _mm256_set1_epi32(-1)));
    _mm256_storeu_ps(to, _mm256_mask_i32gather_ps(_mm256_setzero_ps(), x, id, some, 4));
}

/* Row t as number i of the block: its ids and what their scores come from. */
SL_SIMD void sl_choose_row(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                           int32_t i, const float *bias, struct sl_ranking *work,
                           struct sl_chosen *chosen)
{
    const float *x = sl_row_x(rule, io, t, bias, work);
    int32_t *ids = chosen->ids + i * chosen->room;
    bool is_joint = rule->shared_weight == SLUICE_SHARED_JOINT;
    float max = 0, sum = 1, *joint = chosen->joint[i];
    vf lanes = vf_set(-INFINITY);
    if (is_joint)
        sl_joint_x(rule, io, t, joint);
    if (rule->score == SLUICE_SCORE_SOFTMAX || rule->bias_use != SLUICE_BIAS_SCORE)
        for (int32_t at = 0; at < rule->columns; at += 16)
            lanes = vf_max(vf_load(x + at), lanes);
    if (rule->score == SLUICE_SCORE_SOFTMAX) {
        max = vf_greatest(lanes);
        max = max > -FLT_MAX ? max : -FLT_MAX;
        max = max < FLT_MAX ? max : FLT_MAX;
        if (is_joint)
            max = sl_joint_max(rule, joint, max);
        bool all = rule->bias_use == SLUICE_BIAS_SCORE || sl_keeps_some(rule);
        sum = sl_softmax_sum(x, sl_padded(rule), max, all ? work->s : NULL);
        if (is_joint)
            sum = sl_joint_sum(rule, joint, max, sum);
    }
    if (is_joint)
        sl_joint_scores(rule, joint, max, sum);
    chosen->max[i] = max;
    chosen->sum[i] = sum;
    if (io->forced_ids.data) {
        sl_forced(rule, io, t, ids);
        sl_pad_ids(ids, rule->top_k, rule->top_k);
    } else {
        sl_rank_row(rule, x, bias, sum, lanes, work, ids);
    }
    for (int32_t k = 0; k < rule->top_k; k += 8)
        sl_gather_8(x, ids + k, chosen->x + i * chosen->room + k);
}

#endif

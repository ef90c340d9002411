/* SPDX-License-Identifier: Apache-2.0
 * Choosing for any rule, by vectors along the rows of a tile. Included by cpu_choose_avx2.c and
 * cpu_choose_avx512.c. */
#ifndef SL_CPU_CHOOSE_TILE_H
#define SL_CPU_CHOOSE_TILE_H

SL_SIMD bool sl_keeps_some(const struct sl_rule *rule)
{
    return rule->group_mode == SLUICE_GROUPS_LIMIT && rule->keep_groups < rule->groups;
}

/* All columns are scored before the ranking. */
SL_SIMD bool sl_scores_all(const struct sl_rule *rule)
{
    return rule->bias_use == SLUICE_BIAS_SCORE || sl_keeps_some(rule);
}

/* A row of the bias for whole vectors; NaN, which no column with it survives, becomes -inf. */
SL_SIMD void sl_read_bias(const struct sl_rule *rule, const float *bias, float *to)
{
    for (int32_t at = 0; at < rule->columns; at += 16)
        vf_store(to + at, vf_max(sl_load_to(bias, at, rule->columns), vf_set(-INFINITY)));
}

/* x of every column of row t, or the logits themselves where they need nothing but vf_clean. */
SL_SIMD const float *sl_read_x(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                               const float *bias, float *to)
{
    int64_t size = io->logit_type == SL_F32 ? 4 : 2;
    const void *row = (const char *)io->logits + t * io->logit_stride * size;
    bool to_logit = rule->bias_use == SLUICE_BIAS_LOGIT;
    bool as_is = io->logit_type == SL_F32 && rule->columns % 16 == 0 && !to_logit &&
                 rule->logit_scale == 1.0f && !(rule->logit_cap > 0);
    if (as_is)
        return (const float *)row;
    for (int32_t at = 0; at < rule->columns; at += 16) {
        int32_t n = rule->columns - at < 16 ? rule->columns - at : 16;
        vf x = vf_load_row(row, io->logit_type, at, n);
        x = vf_column_x(rule, x, to_logit ? vf_load(bias + at) : vf_set(0.0f));
        vf_store(to + at, n == 16 ? x : vf_pick(sl_lanes_below(n), x, vf_set(-INFINITY)));
    }
    return to;
}

/* The lanes of x. */
SL_SIMD_STEP void sl_find_lanes(struct sl_tile *tile)
{
    for (int32_t i = 0; i < tile->rows; i++) {
        vf best = vf_set(-INFINITY);
        for (int32_t at = 0; at < tile->padded; at += 16)
            best = vf_max(vf_load(tile->x_of[i] + at), best);
        vf_store(tile->lanes[i], best);
    }
}

/* Sums of exp(x - max) in tile->sum; with `all` the summands go to s. */
SL_SIMD void sl_sum_softmax(struct sl_tile *tile, bool all)
{
    for (int32_t i = 0; i < tile->rows; i++) {
        vf sum = vf_set(0.0f), max = vf_set(tile->max[i]);
        for (int32_t at = 0; at < tile->padded; at += 16) {
            vf e = vf_exp_below(vf_load(tile->x_of[i] + at), max);
            sum = vf_add(sum, e);
            if (all)
                vf_store(tile->s + i * tile->padded + at, e);
        }
        vf_store(tile->sums[i], sum);
    }
    sl_tile_sum(tile);
}

/* tile->max, and sum unless it cancels, from the lanes of x. Makes scores of the shared columns
 * with JOINT. */
SL_SIMD_STEP void sl_tile_softmax(const struct sl_rule *rule, const struct sl_choose_io *io,
                                  int64_t first, struct sl_tile *tile, struct sl_chosen *chosen)
{
    bool is_joint = rule->shared_weight == SLUICE_SHARED_JOINT;
    sl_tile_max(tile);
    if (rule->sum_cancels)
        return;
    for (int32_t i = 0; i < tile->rows && is_joint; i++) {
        float *joint = chosen->joint[tile->slot[i]];
        sl_joint_x(rule, io, first + tile->slot[i], joint);
        tile->max[i] = sl_joint_max(rule, joint, tile->max[i]);
    }
    if (sl_scores_all(rule))
        sl_sum_softmax(tile, true);
    else
        sl_sum_softmax(tile, false);
    for (int32_t i = 0; i < tile->rows && is_joint; i++) {
        float *joint = chosen->joint[tile->slot[i]];
        tile->sum[i] = sl_joint_sum(rule, joint, tile->max[i], tile->sum[i]);
        sl_joint_scores(rule, joint, tile->max[i], tile->sum[i]);
    }
}

/* s, or s + bias where that ranks, of all columns into tile->s; -inf for one never chosen. Their
 * lanes. `score` is rule->score, a constant where this is called. */
SL_SIMD void sl_fill_scores(const struct sl_rule *rule, int32_t score, struct sl_tile *tile)
{
    bool add = rule->bias_use == SLUICE_BIAS_SCORE || rule->bias_use == SLUICE_BIAS_RANK_LOGIT;
    for (int32_t i = 0; i < tile->rows; i++) {
        const float *x = tile->x_of[i], *bias = tile->bias_of[i];
        float *to = tile->s + i * tile->padded;
        vf best = vf_set(-INFINITY);
        for (int32_t at = 0; at < tile->padded; at += 16) {
            vf logit = vf_load(x + at), s;
            if (score == SLUICE_SCORE_SIGMOID)
                s = vf_sigmoid(logit);
            else if (score == SLUICE_SCORE_SQRT_SOFTPLUS)
                s = vf_sqrt_softplus(vf_min(vf_set(FLT_MAX), logit));
            else
                s = vf_div(vf_load(to + at), vf_set(tile->sum[i]));
            vm alive = vf_ge(logit, vf_set(-FLT_MAX));
            if (add)
                s = vf_add_or(alive, s, vf_load(bias + at), vf_set(-INFINITY));
            else
                s = vf_pick(alive, s, vf_set(-INFINITY));
            vf_store(to + at, s);
            best = vf_max(s, best);
        }
        vf_store(tile->lanes[i], best);
    }
}

SL_SIMD_STEP void sl_tile_scores(const struct sl_rule *rule, struct sl_tile *tile)
{
    if (rule->score == SLUICE_SCORE_SIGMOID)
        sl_fill_scores(rule, SLUICE_SCORE_SIGMOID, tile);
    else if (rule->score == SLUICE_SCORE_SQRT_SOFTPLUS)
        sl_fill_scores(rule, SLUICE_SCORE_SQRT_SOFTPLUS, tile);
    else
        sl_fill_scores(rule, SLUICE_SCORE_SOFTMAX, tile);
    for (int32_t i = 0; i < tile->rows && rule->bias_use == SLUICE_BIAS_SCORE; i++)
        tile->v_of[i] = tile->s + i * tile->padded;
}

/* x + bias, which ranks with RANK_LOGIT, into tile->v, and its lanes. */
SL_SIMD_STEP void sl_tile_biased(struct sl_tile *tile)
{
    for (int32_t i = 0; i < tile->rows; i++) {
        float *to = tile->v + i * tile->padded;
        vf best = vf_set(-INFINITY);
        for (int32_t at = 0; at < tile->padded; at += 16) {
            vf x = vf_clean(vf_load(tile->x_of[i] + at));
            vf v = vf_add_or(vf_ge(x, vf_set(-FLT_MAX)), x, vf_load(tile->bias_of[i] + at),
                             vf_set(-INFINITY));
            vf_store(to + at, v);
            best = vf_max(v, best);
        }
        vf_store(tile->lanes[i], best);
        tile->v_of[i] = to;
    }
}

/* tile->kept from s. */
SL_SIMD_STEP void sl_tile_groups(const struct sl_rule *rule, struct sl_tile *tile)
{
    bool both = rule->group_value == SLUICE_GROUP_TOP2;
    for (int32_t i = 0; i < tile->rows; i++) {
        const float *u = tile->s + i * tile->padded;
        if (rule->groups == 8 && rule->group_size == 32 && both)
            sl_group_values(u, 0, 8, 32, true, tile->group[i]);
        else
            for (int32_t g = 0; g < rule->groups; g += 8)
                sl_group_values(u, g, rule->groups, rule->group_size, both, tile->group[i]);
    }
    if (rule->groups <= 8 && tile->rows >= SL_FEW_ROWS) {
        sl_tile_keep_of_8(tile, rule->keep_groups);
        return;
    }
    for (int32_t i = 0; i < tile->rows; i++)
        sl_row_keep(rule, tile->group[i], tile->kept[i]);
}

/* Where the best of row i are. */
SL_SIMD struct sl_field sl_field_of(const struct sl_rule *rule, const struct sl_tile *tile,
                                    int32_t i)
{
    if (!sl_keeps_some(rule))
        return (struct sl_field){tile->v_of[i], tile->most, tile->padded, 1, NULL};
    return (struct sl_field){tile->v_of[i], tile->most, rule->group_size, rule->keep_groups,
                             tile->kept[i]};
}

/* The ids of row i of the tile, in chosen. */
SL_SIMD int32_t *sl_ids_of(const struct sl_tile *tile, struct sl_chosen *chosen, int32_t i)
{
    return chosen->ids + tile->slot[i] * chosen->room;
}

/* The candidates of every row for at most 8 best. `width`, of a part, is a constant where it can
 * be. */
SL_SIMD void sl_collect_8(const struct sl_rule *rule, struct sl_tile *tile, bool some,
                          int32_t width)
{
    struct sl_field field = {NULL, tile->most, width, some ? rule->keep_groups : 1, NULL};
    for (int32_t i = 0; i < tile->rows && some; i++) {
        field.v = tile->v_of[i];
        field.part = tile->kept[i];
        vf_store(tile->lanes[i], sl_lane_greatest(&field));
    }
    sl_tile_least(tile);
    for (int32_t i = 0; i < tile->rows; i++) {
        field.v = tile->v_of[i];
        field.part = some ? tile->kept[i] : NULL;
        sl_collect(&field, tile->least[i], &tile->candidates[i]);
    }
}

SL_SIMD_STEP void sl_tile_collect_8(const struct sl_rule *rule, struct sl_tile *tile)
{
    if (!sl_keeps_some(rule))
        sl_collect_8(rule, tile, false, tile->padded);
    else if (rule->group_size == 32)
        sl_collect_8(rule, tile, true, 32);
    else
        sl_collect_8(rule, tile, true, rule->group_size);
}

SL_SIMD_STEP void sl_tile_sort_8(struct sl_tile *tile, struct sl_chosen *chosen)
{
    for (int32_t i = 0; i < tile->rows; i++)
        sl_sort_8(&tile->candidates[i], sl_ids_of(tile, chosen, i));
}

SL_SIMD void sl_tile_rank(const struct sl_rule *rule, struct sl_tile *tile,
                          struct sl_chosen *chosen)
{
    bool by_x = rule->bias_use == SLUICE_BIAS_NONE || rule->bias_use == SLUICE_BIAS_LOGIT;
    tile->most = by_x ? FLT_MAX : INFINITY;
    for (int32_t i = 0; i < tile->rows && by_x; i++)
        tile->v_of[i] = tile->x_of[i];
    if (sl_scores_all(rule))
        sl_tile_scores(rule, tile);
    if (rule->bias_use == SLUICE_BIAS_RANK_LOGIT)
        sl_tile_biased(tile);
    if (sl_keeps_some(rule))
        sl_tile_groups(rule, tile);
    bool even = rule->group_mode == SLUICE_GROUPS_EVEN && rule->groups > 1;
    if (!even && rule->top_k <= 8) {
        sl_tile_collect_8(rule, tile);
        sl_tile_sort_8(tile, chosen);
        return;
    }
    for (int32_t i = 0; i < tile->rows; i++) {
        struct sl_field field = sl_field_of(rule, tile, i);
        int32_t *ids = sl_ids_of(tile, chosen, i);
        if (even)
            sl_best_even(rule, &field, &tile->candidates[i], ids);
        else
            sl_best(&field, rule->top_k, &tile->candidates[i], ids);
    }
}

/* to[k] = x[ids[k]], 0 for a negative id; 8 of them. */
SL_SIMD void sl_gather_8(const float *x, const int32_t *ids, float *to)
{
    __m256i id = _mm256_loadu_si256((const __m256i *)(const void *)ids);
    __m256 some = _mm256_castsi256_ps(_mm256_cmpgt_epi32(id, _mm256_set1_epi32(-1)));
    _mm256_storeu_ps(to, _mm256_mask_i32gather_ps(_mm256_setzero_ps(), x, id, some, 4));
}

/* The rows of the tile, which are of the block that starts at row `first`: their ids and what their
 * scores come from. */
SL_SIMD void sl_choose_tile(const struct sl_rule *rule, const struct sl_choose_io *io,
                            int64_t first, struct sl_tile *tile, struct sl_chosen *chosen)
{
    if (rule->score == SLUICE_SCORE_SOFTMAX || rule->bias_use != SLUICE_BIAS_SCORE)
        sl_find_lanes(tile);
    if (rule->score == SLUICE_SCORE_SOFTMAX)
        sl_tile_softmax(rule, io, first, tile, chosen);
    if (!io->forced_ids.data)
        sl_tile_rank(rule, tile, chosen);
    for (int32_t i = 0; i < tile->rows; i++) {
        int32_t slot = tile->slot[i], *ids = sl_ids_of(tile, chosen, i);
        if (io->forced_ids.data) {
            sl_forced(rule, io, first + slot, ids);
            sl_pad_ids(ids, rule->top_k, rule->top_k);
        }
        for (int32_t k = 0; k < rule->top_k; k += 8)
            sl_gather_8(tile->x_of[i], ids + k, chosen->x + slot * chosen->room + k);
        chosen->max[slot] = tile->max[i];
        chosen->sum[slot] = tile->sum[i];
        if (rule->shared_weight == SLUICE_SHARED_JOINT && rule->score != SLUICE_SCORE_SOFTMAX) {
            sl_joint_x(rule, io, first + slot, chosen->joint[slot]);
            sl_joint_scores(rule, chosen->joint[slot], 0, 0);
        }
    }
}

#endif

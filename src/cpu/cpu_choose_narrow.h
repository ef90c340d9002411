/* SPDX-License-Identifier: Apache-2.0
 * Choosing among at most 16 columns: 16 rows side by side, a vector for each column. Serves what
 * is_narrow in cpu_choose.c says. Included by cpu_choose_avx2.c and cpu_choose_avx512.c. */
#ifndef SL_CPU_CHOOSE_NARROW_H
#define SL_CPU_CHOOSE_NARROW_H

enum { SL_NARROW_COLUMNS = 16, SL_NARROW_K = 8 };

/* The best so far of 16 rows, descending. */
struct sl_narrow_best {
    vf v[SL_NARROW_K], x[SL_NARROW_K];
    vi id[SL_NARROW_K];
};

/* The first `rows` of 16 rows into column vectors, a row's columns in fours. What is beyond the
 * last column or row is 0. */
SL_SIMD void sl_narrow_load(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                            int32_t rows, vf *column)
{
    float copy[16 * SL_NARROW_COLUMNS];
    int64_t stride = io->logit_stride, size = io->logit_type == SL_F32 ? 4 : 2;
    const float *x = (const float *)io->logits + t * stride;
    if (io->logit_type != SL_F32 || rows < 16 || rule->columns % 4 != 0) {
        for (int32_t i = 0; i < 16; i++) {
            const char *row = (const char *)io->logits + (t + i) * stride * size;
            vf_store(copy + 16 * i,
                     i < rows ? vf_load_row(row, io->logit_type, 0, rule->columns) : vf_set(0.0f));
        }
        x = copy;
        stride = 16;
    }
    for (int32_t c = 0; c < rule->columns; c += 4, x += 4) {
        for (int32_t i = 0; i < 4; i++)
            column[c + i] = vf_load_quads(x + i * stride, x + (4 + i) * stride,
                                          x + (8 + i) * stride, x + (12 + i) * stride);
        vf_transpose_quads(column + c);
    }
}

/* sl_sum of n <= 16 columns; overwrites them. */
SL_SIMD vf sl_narrow_sum(vf *column, int32_t n)
{
    for (int32_t width = 8; width > 0; width /= 2)
        for (int32_t i = 0; i < width && i + width < n; i++)
            column[i] = vf_add(column[i], column[i + width]);
    return column[0];
}

/* Takes in column c, after all lower ones. */
SL_SIMD void sl_narrow_take(struct sl_narrow_best *best, int32_t top_k, int32_t c, vf v, vf x,
                            bool apart)
{
    for (int32_t k = top_k - 1; k >= 0; k--) {
        vm here = vf_gt(v, best->v[k]);
        best->v[k] = vf_pick(here, v, best->v[k]);
        best->id[k] = vi_pick(here, vi_set(c), best->id[k]);
        if (apart)
            best->x[k] = vf_pick(here, x, best->x[k]);
        if (k == 0)
            continue;
        /* What it goes in front of moves down by one. */
        vm above = vf_gt(v, best->v[k - 1]);
        best->v[k] = vf_pick(above, best->v[k - 1], best->v[k]);
        best->id[k] = vi_pick(above, best->id[k - 1], best->id[k]);
        if (apart)
            best->x[k] = vf_pick(above, best->x[k - 1], best->x[k]);
    }
}

SL_SIMD void sl_narrow_rank(const struct sl_rule *rule, const float *bias, const vf *x, vf max,
                            vf sum, struct sl_narrow_best *best)
{
    for (int32_t k = 0; k < rule->top_k; k++) {
        best->v[k] = best->x[k] = vf_set(-INFINITY);
        best->id[k] = vi_set(-1);
    }
    for (int32_t c = 0; c < rule->columns; c++) {
        bool score = rule->bias_use == SLUICE_BIAS_SCORE;
        if (!score && rule->bias_use != SLUICE_BIAS_RANK_LOGIT) {
            sl_narrow_take(best, rule->top_k, c, x[c], x[c], false);
            continue;
        }
        vf v = vf_add(score ? vf_score(rule, x[c], max, sum) : x[c], vf_set(bias[c]));
        v = vf_pick(vf_ge(x[c], vf_set(-FLT_MAX)), v, vf_set(-INFINITY));
        sl_narrow_take(best, rule->top_k, c, v, x[c], true);
    }
    if (rule->bias_use != SLUICE_BIAS_SCORE && rule->bias_use != SLUICE_BIAS_RANK_LOGIT)
        for (int32_t k = 0; k < rule->top_k; k++)
            best->x[k] = best->v[k];
}

/* best->x becomes w. */
SL_SIMD void sl_narrow_weigh(const struct sl_rule *rule, const float *expert_scale, vf max, vf sum,
                             struct sl_narrow_best *best)
{
    vf part[SL_NARROW_K], divisor = vf_set(1.0f);
    for (int32_t k = 0; k < rule->top_k; k++) {
        vm live = vi_gt(best->id[k], vi_set(-1));
        part[k] = best->x[k] = vf_or_zero(live, vf_score(rule, best->x[k], max, sum));
    }
    if (rule->renorm)
        divisor = sl_divisor(rule, sl_narrow_sum(part, rule->top_k));
    for (int32_t k = 0; k < rule->top_k; k++) {
        vf w = rule->renorm ? vf_div(best->x[k], divisor) : best->x[k];
        w = vf_mul(w, vf_set(rule->weight_scale));
        if (expert_scale) {
            vm live = vi_gt(best->id[k], vi_set(-1));
            w = vf_pick(live, vf_mul(w, vf_gather(live, expert_scale, best->id[k])), w);
        }
        best->x[k] = w;
    }
}

/* column[k], of 16 rows, becomes the first `rows` rows of k. */
SL_SIMD void sl_narrow_store(void *to, vf *column, int32_t top_k, int32_t rows)
{
    float copy[16 * SL_NARROW_K], *out = rows == 16 ? to : copy;
    if (top_k == 1) {
        vf_store(out, column[0]);
    } else if (top_k == 2) {
        vf_store_pairs(out, column[0], column[1]);
    } else {
        float side[SL_NARROW_K][16];
        for (int32_t k = 0; k < top_k; k++)
            vf_store(side[k], column[k]);
        for (int32_t i = 0; i < rows; i++)
            for (int32_t k = 0; k < top_k; k++)
                out[i * top_k + k] = side[k][i];
    }
    if (rows < 16)
        memcpy(to, copy, (size_t)(rows * top_k) * 4);
}

/* Rows t ... t+rows-1 into ids and weights. top_k is rule->top_k, a constant where it can be. */
SL_SIMD void sl_narrow_rows(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                            int32_t rows, int32_t *ids, float *weights)
{
    vf x[SL_NARROW_COLUMNS], e[SL_NARROW_COLUMNS];
    vf max = vf_set(-FLT_MAX), sum = vf_set(1.0f);
    sl_narrow_load(rule, io, t, rows, x);
    for (int32_t c = 0; c < rule->columns; c++) {
        bool to_logit = rule->bias_use == SLUICE_BIAS_LOGIT;
        x[c] = vf_column_x(rule, x[c], vf_set(to_logit ? io->bias[c] : 0.0f));
        max = vf_max(x[c], max);
    }
    if (rule->score == SLUICE_SCORE_SOFTMAX && !rule->sum_cancels) {
        for (int32_t c = 0; c < rule->columns; c++)
            e[c] = vf_exp(vf_sub(x[c], max));
        sum = sl_narrow_sum(e, rule->columns);
    }
    struct sl_narrow_best best;
    sl_narrow_rank(rule, io->bias, x, max, sum, &best);
    sl_narrow_weigh(rule, io->expert_scale, max, sum, &best);
    sl_narrow_store(weights, best.x, rule->top_k, rows);
    for (int32_t k = 0; k < rule->top_k; k++)
        best.x[k] = vi_as_float(best.id[k]);
    sl_narrow_store(ids, best.x, rule->top_k, rows);
}

/* Two of eight, the commonest; with the numbers known everything stays in registers. */
SL_SIMD_STEP void sl_narrow_rows_8_2(const struct sl_rule *rule, const struct sl_choose_io *io,
                                     int64_t t, int32_t rows, int32_t *ids, float *weights)
{
    struct sl_rule known = *rule;
    known.columns = 8;
    known.top_k = 2;
    sl_narrow_rows(&known, io, t, rows, ids, weights);
}

SL_SIMD void sl_narrow_block(const struct sl_rule *rule, const struct sl_choose_io *io,
                             int64_t first, int32_t count, const struct sl_choices *out)
{
    for (int32_t i = 0; i < count; i += 16) {
        int32_t rows = count - i < 16 ? count - i : 16;
        int32_t *ids = out->ids + i * rule->top_k;
        float *weights = out->weights + i * rule->top_k;
        if (rule->columns == 8 && rule->top_k == 2)
            sl_narrow_rows_8_2(rule, io, first + i, rows, ids, weights);
        else
            sl_narrow_rows(rule, io, first + i, rows, ids, weights);
    }
    if (rule->shared_weight == SLUICE_SHARED_SIGMOID)
        sl_gates(rule, io, first, count, out->shared);
    if (first + count <= io->valid_rows && !io->row_valid)
        return;
    for (int32_t i = 0; i < count; i++)
        if (!sl_row_live(io, first + i))
            sl_tail_padding(rule, sl_row_of(rule, out, i));
}

#endif
